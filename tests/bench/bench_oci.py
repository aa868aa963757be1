#!/usr/bin/env python3
"""Compares berth-oci with runc, crun and the floor, in one run, as ratios; never a pass or a fail.

    bench_oci.py BUILD BUNDLE WORK STATES RUNS

BUNDLE is a bundle with a busybox root and the default config.json; WORK a folder for more bundles,
STATES one for run states.
Commands run in turn, A B C A B C ..., and a ratio is the median of the ratios of each turn. As crun
refuses a hybrid of cgroup v1 and v2, bench.sh hides the v2 hierarchy from all of them.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

BUILD, BUNDLE, WORK, STATES, RUNS = *sys.argv[1:5], int(sys.argv[5])
FLOOR = [f"{BUILD}/tests/bench/floor", f"{BUNDLE}/rootfs"]
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def runtimes():
    """The runtimes that work here: name -> the beginning of each command."""
    found = {}
    for name, program in (("berth-oci", f"{BUILD}/berth-oci"), ("crun", "crun"), ("runc", "runc")):
        if shutil.which(program):
            command = [program, "--root", f"{STATES}/{name}"]
            if call([*command, "run", "-b", bundle("plain"), f"try-{name}"]) == 0:
                found[name] = command
                continue
        print(f"  {name} is not here, or does not run here")
    return found


def call(command):
    return subprocess.run(command, **QUIET, check=False).returncode


def milliseconds(action):
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def must(command):
    if call(command) != 0:
        raise RuntimeError("failed: " + " ".join(command))


def bundle(name, change=None):
    """A bundle beside BUNDLE with the same root and a changed configuration."""
    folder = f"{WORK}/bundle-{name}"
    if not os.path.exists(folder):
        os.makedirs(folder)
        with open(f"{BUNDLE}/config.json", encoding="utf-8") as file:
            config = json.load(file)
        config["root"]["path"] = f"{BUNDLE}/rootfs"
        if change:
            change(config)
        with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
            json.dump(config, file)
    return folder


def with_docker_seccomp(config):
    config["linux"]["seccomp"] = json.load(open(f"{WORK}/seccomp.json", encoding="utf-8"))


def sleeping(config):
    config["process"]["args"] = ["/bin/sleep", "1000"]


def with_memory(limit):
    def change(config):
        config["linux"]["resources"]["memory"] = {"limit": limit, "swap": limit}
    return change


def compare(title, actions):
    """Runs the actions in turn; prints the first one's median time and each one's ratio to it."""
    times = {name: [] for name in actions}
    for turn in range(RUNS + 2):
        for name, action in actions.items():
            spent = milliseconds(action)
            if turn >= 2:  # the first two warm up
                times[name].append(spent)
    first = next(iter(actions))
    line = f"  {title}: {first} {statistics.median(times[first]):.1f} ms"
    for name in list(actions)[1:]:
        ratio = statistics.median(a / b for a, b in zip(times[first], times[name]))
        line += f"; {name} {statistics.median(times[name]):.1f} ms, ratio {ratio:.2f}"
    print(line, flush=True)


def run(command, folder, name):
    return lambda: must([*command, "run", "-b", folder, name])


def life(command, folder, name):
    def cycle():
        must([*command, "create", "-b", folder, name])
        must([*command, "start", name])
        while call([*command, "delete", name]) != 0:  # until its program has ended
            pass
    return cycle


def exec_and_state(found, profile):
    change = (lambda config: (sleeping(config), with_docker_seccomp(config))) if profile else sleeping
    folder = bundle("sleeping-seccomp" if profile else "sleeping", change)
    label = ", Docker's seccomp profile" if profile else ""
    for name, command in found.items():
        must([*command, "run", "-d", "-b", folder, f"sleep-{name}"])
    try:
        compare("exec" + label, {name: lambda command=command, name=name:
                                 must([*command, "exec", f"sleep-{name}", "/bin/true"])
                                 for name, command in found.items()})
        if not profile:
            compare("state", {name: lambda command=command, name=name:
                              must([*command, "state", f"sleep-{name}"])
                              for name, command in found.items()})
            for name, command in found.items():
                print(f"  exec, system calls: {name} "
                      f"{system_calls([*command, 'exec', f'sleep-{name}', '/bin/true'])}")
    finally:
        for name, command in found.items():
            call([*command, "delete", "-f", f"sleep-{name}"])


def parallel(command, folder, name, count=100):
    def all_at_once():
        children = [subprocess.Popen([*command, "run", "-b", folder, f"{name}-{i}"], **QUIET)
                    for i in range(count)]
        failed = sum(child.wait() != 0 for child in children)
        if failed:
            print(f"  {name}: {failed} of {count} parallel runs failed")
    return all_at_once


def system_calls(command):
    if not shutil.which("strace"):
        return "unknown (no strace)"
    trace = f"{WORK}/trace"
    call(["strace", "-f", "-c", "-o", trace, *command])
    with open(trace, encoding="utf-8") as file:
        totals = [line.split() for line in file if line.strip().endswith("total")]
    return totals[0][3] if totals else "unknown"  # % time, seconds, usecs/call, calls


def peak_memory(command):
    """The largest resident set of a process of the command, KiB."""
    measured = subprocess.run([f"{BUILD}/tests/payload/payload", "peak", *command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return int(measured.stdout)


def smallest_limit(command, name):
    """KiB of memory and swap together with which /bin/true runs, three times in a row."""
    for limit in (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288):
        folder = bundle(f"memory-{limit}", with_memory(limit << 10))
        if all(call([*command, "run", "-b", folder, f"small-{name}"]) == 0 for _ in range(3)):
            return f"{limit} KiB"
        call([*command, "delete", "-f", f"small-{name}"])
    return "above 12 MiB"


def cycles(command, count=1000):
    folder = bundle("plain")
    spent = [milliseconds(run(command, folder, "cycle")) for _ in range(count)]
    return statistics.median(spent[-100:]) / statistics.median(spent[:100])


def main():
    plain = bundle("plain")
    found = runtimes()
    print("berth-oci beside its peers")
    actions = {name: run(command, plain, f"run-{name}") for name, command in found.items()}
    compare("run", {**actions, "floor": lambda: must(FLOOR)})
    for name in list(found)[1:]:
        compare(f"run, {name} against the floor", {name: actions[name], "floor": lambda: must(FLOOR)})
    compare("create + start + delete", {name: life(command, plain, f"life-{name}")
                                        for name, command in found.items()})
    profile = bundle("seccomp", with_docker_seccomp)
    compare("run, Docker's seccomp profile", {name: run(command, profile, f"run-{name}")
                                              for name, command in found.items()})
    exec_and_state(found, False)
    exec_and_state(found, True)
    times = {name: statistics.median(milliseconds(parallel(command, plain, f"many-{name}"))
                                     for _ in range(3)) for name, command in found.items()}
    print("  100 at once: " + "; ".join(f"{name} {spent:.0f} ms" for name, spent in times.items()))
    for name, command in found.items():
        once = [*command, "run", "-b", plain, f"count-{name}"]
        filtered = [*command, "run", "-b", profile, f"count-{name}"]
        print(f"  {name}: {system_calls(once)} system calls ({system_calls(filtered)} with the "
              f"profile), peak memory {peak_memory(once)} KiB, smallest limit "
              f"{smallest_limit(command, name)}", flush=True)
    print(f"  floor: {system_calls(FLOOR)} system calls")
    print(f"  a thousand runs: the last hundred take {cycles(found['berth-oci']):.2f} times the first")


main()
