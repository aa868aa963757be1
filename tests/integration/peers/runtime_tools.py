"""Runs the programs of the runtime-tools validation suite with two runtimes, side by side.

    runtime_tools.py PROGRAMS OUR_RUNTIME THEIR_RUNTIME KNOWN [NAME...]

PROGRAMS  folder that runtime_tools.sh made
KNOWN     lines "program: reason" for those of which a test fails with OUR_RUNTIME

Prints a table, and ends with 1 when it is not as KNOWN says, in either direction, or when a test passes
with THEIR_RUNTIME only. With NAMEs, only these programs. Containers, mounts and cgroups that a program
leaves are removed: many expect that.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TEST = re.compile(r"^(ok|not ok) \d+(?: - )?(.*)")
SECONDS = 120
# Programs that race with their container: tried until they pass, with each runtime, at most so often;
# the table tells how often. The second word is what the runtime says when such a race was lost, if it
# tells at all: a program of which all tries are lost so has neither passed nor failed, and is counted
# by itself.
TRIES = 5
RACES = {
    "killsig": ("sends its signal when the state is running; the shell may not have set its trap", None),
    "pidfile": ("kills a program that may have ended", "container not running"),
}


def unmount_below(folder):
    """What a runtime leaves mounted must not be reached by a removal of files."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split()[4] for line in file]
    for mount in sorted((path for path in mounts if path.startswith(folder + "/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


class Outcome:
    """What one program told of one runtime: how often each test passed, and what failed."""

    def __init__(self, program, runtime):
        self.passed, self.failed, self.tries, self.is_lost = {}, [], 1, False
        folder = tempfile.mkdtemp(prefix="berth-runtime-tools-")
        done = subprocess.Popen([program], cwd=os.path.dirname(program), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace", start_new_session=True,
                                env={**os.environ, "RUNTIME": runtime, "TMPDIR": folder})
        try:
            output = done.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, 9)
            output = done.communicate()[0] + f"\nnot done within {SECONDS} s"
        unmount_below(folder)
        shutil.rmtree(folder)
        self.is_skipped = False
        for line in output.splitlines():
            found = TEST.match(line)
            if not found:
                continue
            if "# SKIP" in line:
                self.is_skipped = True
            elif found[1] == "ok":
                self.passed[found[2]] = self.passed.get(found[2], 0) + 1
            elif "# TODO" not in line:
                self.failed.append(found[2])
        told = RACES.get(os.path.basename(program), (None, None))[1]
        self.is_lost = bool(self.failed) and told is not None and told in output
        # One that gives up says why, and no test; those of hooks tell of no test when all is well.
        if done.returncode != 0:
            said = [line for line in output.splitlines() if line.strip() and not line.startswith(("TAP", "ok", " "))]
            self.failed.append(f"status {done.returncode}: {' / '.join(said[-3:])[:300]}")

    def word(self):
        if self.failed:
            return "lost" if self.is_lost else "FAIL"
        return "skip" if self.is_skipped and not self.passed else "ok"

    def lacks(self, other):
        """Tests that pass there and not here."""
        if self.is_lost or (other.failed and not self.failed):
            return []
        return [name for name, count in other.passed.items() if self.passed.get(name, 0) < count]


def cgroups():
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup")}


def containers(runtime):
    return set(subprocess.run([runtime, "list", "-q"], capture_output=True, text=True).stdout.split())


def run(program, runtime):
    """One program; what it leaves goes: containers that it did not delete, and empty cgroups."""
    before, others = cgroups(), containers(runtime)
    for tried in range(TRIES if os.path.basename(program) in RACES else 1):
        outcome = Outcome(program, runtime)
        outcome.tries = tried + 1
        for name in containers(runtime) - others:
            subprocess.run([runtime, "delete", "--force", name], capture_output=True)
        if not outcome.failed:
            break
    for path in sorted(cgroups() - before, reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            pass
    return outcome


def read_known(path):
    with open(path) as file:
        rows = (line.split(":", 1) for line in file if line.strip() and not line.startswith("#"))
        return {name: reason.strip() for name, reason in rows}


def main(folder, ours, theirs, known_path, *wanted):
    known = read_known(known_path)
    status = 0
    counts = {"ok": 0, "FAIL": 0, "skip": 0, "lost": 0}
    print(f"{'program':34} {'ours':5} runc")
    for program in sorted(glob.glob(os.path.join(folder, "bin", "*"))):
        name = os.path.basename(program)
        if wanted and name not in wanted:
            continue
        # They look for their helper in the folder where they are started.
        copy = os.path.join(folder, name)
        shutil.copy(program, copy)
        our, their = run(copy, ours), run(copy, theirs)
        os.unlink(copy)
        lost = our.lacks(their)
        reason = known.get(name)
        wrong = (our.word() == "FAIL") != bool(reason) or bool(lost)
        counts[our.word()] += 1
        print(f"{name:34} {our.word():5} {their.word():5}{' <==' if wrong else ''} {reason or ''}", flush=True)
        if our.tries > 1 or their.tries > 1:
            print(f"    races: {RACES[name][0]}; tries: ours {our.tries}, runc {their.tries}")
        for line in our.failed:
            print(f"    ours: {line}")
        for line in their.failed:
            print(f"    runc: {line}")
        if lost:
            print(f"    passes with runc only: {len(lost)} tests, such as: {lost[0]}")
        if wrong:
            status = 1
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped, {counts['lost']} lost a race")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
