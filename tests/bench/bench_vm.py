"""Measures microVMs on KVM, beside QEMU's microvm machine: run by bench_vm.sh in the test machine.

There a nanosecond is an instruction: of the machine's kernel, of the VMM and of the guest together.
Moments are told by the kernel's own events: a program's exec, its exit; and by the arrival of what the
guest writes. All files are in memory before anything is measured. A guest that hangs, as emulated
processors make it at times, is run once more, and that is said.

The same kernel, initrd and root for both: tests/payload/guest_init loads the modules, mounts the root
and a layer in memory above it, runs /bin/true there and turns the machine off. What berth runs has
its agent, console port and jail besides.
"""
import collections
import glob
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

BUILD, DATA, RUNS = sys.argv[1], sys.argv[2], int(sys.argv[3])
WORK = "/dev/shm/bench"
TRACING = "/sys/kernel/tracing"
MEMORY_MIB = 256
LIMIT_S = 30
# As microvm/machine.h has it, of a guest whose program may not trace.
UNTRACED = "initcall_blacklist=trace_eval_init,tracer_init_tracefs"
# As machine.h and microvm/kvm_machine.c have it.
CMDLINE = ("cryptomgr.notests panic=-1 rcupdate.rcu_expedited=1 initcall_blacklist=ftrace_check_for_weak_functions "
           "reboot=t console=ttyS0 loglevel=1 8250.nr_uarts=1 tsc=reliable no_timer_check pci=off audit=0 " + UNTRACED)
REASONS = {0x400: "page fault", 0x78: "halt", 0x7b: "port", 0x7c: "register", 0x60: "interrupt",
           0x64: "interrupt window", 0x72: "cpuid", 0x81: "call", 0x77: "pause", 0x4e: "exception"}


def trace_write(name, text, mode="w"):
    with open(f"{TRACING}/{name}", mode) as file:
        file.write(text)


def copy(path):
    to = f"{WORK}/{os.path.basename(path)}"
    subprocess.run(["cp", path, to], check=True)  # with its holes
    return to


def cpio_entry(name, mode, content):
    head = "070701" + "".join(f"{number:08x}" for number in
                              (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0))
    bytes_ = (head + name + "\0").encode()
    bytes_ += b"\0" * (-len(bytes_) % 4) + content
    return bytes_ + b"\0" * (-len(bytes_) % 4)


def prepare():
    os.makedirs(WORK)
    if not os.path.exists(f"{TRACING}/events"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
    trace_write("trace_clock", "mono")
    for path in glob.glob(f"{BUILD}/berth*"):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            copy(path)
    kernel = os.path.dirname(sorted(glob.glob(f"{DATA}/data/kernels/*/vmlinux"))[0])
    for path in (f"{kernel}/vmlinux", f"{kernel}/modules.cpio", f"{BUILD}/tests/payload/machine_run",
                 f"{BUILD}/tests/payload/guest_init", f"{BUILD}/tests/payload/guest"):
        copy(path)
    with open(f"{WORK}/initrd", "wb") as initrd:
        initrd.write(open(f"{WORK}/modules.cpio", "rb").read())
        initrd.write(b"\0" * (-initrd.tell() % 512))
        initrd.write(cpio_entry("init", 0o100755, open(f"{WORK}/guest_init", "rb").read()))
        initrd.write(cpio_entry("TRAILER!!!", 0, b""))
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        copy(qemu)
        for line in subprocess.run(["ldd", qemu], capture_output=True, text=True, check=True).stdout.splitlines():
            found = re.search(r"=> (/\S+)", line)
            if found:
                os.makedirs(f"{WORK}/lib", exist_ok=True)
                shutil.copy(found[1], f"{WORK}/lib/")
        os.makedirs(f"{WORK}/share")
        for name in ("bios-microvm.bin", "linuxboot_dma.bin", "pvh.bin"):
            for path in glob.glob(f"/usr/share/*/{name}"):
                shutil.copy(path, f"{WORK}/share/")
    os.environ.update(BERTH_DATA=f"{DATA}/data", BERTH_RUN=f"{DATA}/run")
    return os.path.basename(kernel), bool(qemu)


def machine_run(root, how, cpus=1):
    return [f"{WORK}/machine_run", f"{WORK}/vmlinux", "--agent", f"{WORK}/guest_init", "--modules",
            f"{WORK}/modules.cpio", root, f"{WORK}/root.erofs", "--memory", str(MEMORY_MIB), "--cpus", str(cpus),
            f"{UNTRACED} -- {how}"]


def qemu(how):
    return [f"{WORK}/qemu-system-x86_64", "-L", f"{WORK}/share", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", "microvm,accel=kvm,pit=off,pic=off,rtc=off,x-option-roms=off,auto-kernel-cmdline=off",
            "-cpu", "host", "-global", "virtio-mmio.force-legacy=false", "-m", str(MEMORY_MIB),
            "-kernel", f"{WORK}/vmlinux", "-initrd", f"{WORK}/initrd", "-append", f"{CMDLINE} -- {how}",
            "-serial", "stdio", "-drive", f"if=none,id=root,format=raw,readonly=on,file.locking=off,file={WORK}/root.erofs",
            "-device", "virtio-blk-device,drive=root", "-device", "virtio-serial-device", "-device", "virtio-rng-device",
            "-device", "virtio-balloon-device"]


def start(command):
    environment = dict(os.environ)
    if "qemu" in command[0]:
        environment["LD_LIBRARY_PATH"] = f"{WORK}/lib"
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=environment)


def run_once(command, marker, ending):
    """Returns (when the marker came, all output), or None: it hung. ENDING is run when it came."""
    process = start(command)
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    output, came = b"", None
    while True:
        piece = os.read(process.stdout.fileno(), 65536)
        output += piece
        if came is None and marker.encode() in output:
            came = time.monotonic_ns()
            if ending:
                subprocess.run(ending, check=True)
        if not piece:
            break
    process.wait()
    timer.cancel()
    return None if process.returncode < 0 else (came, output.decode(errors="replace"))


def run(command, marker, ending=None):
    for _ in range(2):
        result = run_once(command, marker, ending)
        if result is not None and result[0] is not None:
            return result
        print(f"  (hung or failed, once more: {' '.join(command[:2])}: {result and result[1][-300:]})", flush=True)
        subprocess.run("for id in $(%s/berth ps -aq); do %s/berth rm -f $id; done" % (WORK, WORK), shell=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return None


def times(command, program, marker, ending=None, events=("sched/sched_process_exec", "sched/sched_process_exit")):
    """Instructions from exec of PROGRAM to the marker, to its end, and to the first of kvm/kvm_entry if that is among
    EVENTS, before the difference between runs in percent; None when it does not run."""
    for event in events:
        trace_write(f"events/{event}/enable", "1")
    rows = []
    for _ in range(RUNS):
        trace_write("trace", "")
        result = run(command, marker, ending)
        if result is None:
            return None
        trace = open(f"{TRACING}/trace").read()
        execs = re.finditer(r" (\d+\.\d+): sched_process_exec: filename=\S*%s pid=(\d+)" % re.escape(program), trace)
        last = list(execs)[-1]
        end = re.findall(r" (\d+\.\d+): sched_process_exit: comm=.* pid=%s " % last[2], trace)[-1]
        entry = re.compile(r" (\d+\.\d+): kvm_entry:").search(trace, last.end())
        moments = [result[0] / 1e9, float(end)] + ([float(entry[1])] if entry else [])
        rows.append([moment - float(last[1]) for moment in moments])
    for event in events:
        trace_write(f"events/{event}/enable", "0")
    spread = (max(row[1] for row in rows) - min(row[1] for row in rows)) / rows[0][1] * 100
    return [statistics.median(column) for column in zip(*rows)] + [spread]


def histogram(event):
    counts = collections.Counter()
    for line in open(f"{TRACING}/events/kvm/{event}/hist"):
        found = re.search(r"(?:exit_)?reason:\s+(\d+)\s*} hitcount:\s+(\d+)", line)
        if found:
            counts[int(found[1])] += int(found[2])
    return counts


def exits(command, marker):
    """All exits by their reasons, and those to user space."""
    events = {"kvm_exit": "hist:keys=exit_reason", "kvm_userspace_exit": "hist:keys=reason"}
    for event, trigger in events.items():
        trace_write(f"events/kvm/{event}/trigger", trigger)
    result = run(command, marker)
    counts = [histogram(event) for event in events]
    for event, trigger in events.items():
        trace_write(f"events/kvm/{event}/trigger", "!" + trigger)
    return counts if result else None


def memory_of(pid):
    """Of a VMM in KiB: resident and private memory beyond the guest's, and what the guest has touched."""
    beyond = private = guest = 0
    is_guest = is_root = False
    for line in open(f"/proc/{pid}/smaps"):
        words = line.split()
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            begin, end = (int(number, 16) for number in words[0].split("-"))
            is_guest = MEMORY_MIB << 20 <= end - begin < (MEMORY_MIB + 4) << 20
            is_root = line.rstrip().endswith("root.erofs")
        elif words[0] == "Rss:":
            if is_guest:
                guest += int(words[1])
            elif not is_root:
                beyond += int(words[1])
        elif words[0].startswith("Private_") and not is_guest and not is_root:
            private += int(words[1])
    return beyond, private, guest


def memory(command):
    process = start(command)
    output = b""
    while b"CPUs" not in output:
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            return None
        output += piece
    time.sleep(0.5)
    result = memory_of(process.pid)
    process.kill()
    process.wait()
    return result


RESTORE_EVENTS = ("sched/sched_process_exec", "sched/sched_process_exit", "kvm/kvm_entry")


def restored_machine():
    """What times() says of a machine whose guest is a few pages that count, from where it was saved."""
    saved, bare = f"{WORK}/saved", [f"{WORK}/machine_run", f"{WORK}/guest", "--memory", str(MEMORY_MIB), "--stop"]
    shutil.rmtree(saved, ignore_errors=True)
    os.makedirs(saved)
    if run(bare + ["--save", saved, "count 0x40", "count"], "count 0x40") is None:
        return None
    return times(bare + ["--restore", saved, "-"], "machine_run", "first words", events=RESTORE_EVENTS)


def restored_container():
    """What times() says of a container of berth's that was saved while it spoke, and is ended when it speaks.

    It is the same for one checkpoint, and differs between two by where the guest stood."""
    oci, image, said = [f"{WORK}/berth-oci", "--root", f"{WORK}/oci"], f"{WORK}/image", f"{WORK}/said"
    container = subprocess.run([f"{WORK}/berth", "create", "--isolation", "microvm", "--vm-memory", f"{MEMORY_MIB}m",
                                "busybox", "sh", "-c", "while :; do echo spoken; done"],
                               stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    bundle = f"{DATA}/data/containers/{container}/bundle"
    shutil.rmtree(image, ignore_errors=True)
    # Into a file, so that nothing that it said waits to be read.
    with open(said, "wb") as file:
        first = subprocess.Popen(oci + ["run", "-b", bundle, "vm"], stdin=subprocess.DEVNULL, stdout=file)
    while first.poll() is None and os.path.getsize(said) == 0:
        time.sleep(0.1)
    subprocess.run(oci + ["checkpoint", "--image-path", image, "vm"], check=True)
    first.wait()
    result = times(oci + ["restore", "-b", bundle, "--image-path", image, "vm"], "berth-vmm", "spoken",
                   oci + ["delete", "-f", "vm"], RESTORE_EVENTS)
    subprocess.run([f"{WORK}/berth", "rm", "-f", container], stdout=subprocess.DEVNULL, check=True)
    return result


def giga(number):
    return f"{number:.4f}"


def line(title, *cells):
    print(f"{title:44}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def compare(title, ours, theirs, format_):
    """Two figures and their ratio; either may be missing."""
    ratio = f"{theirs / ours:.1f} times" if ours and theirs else ""
    line(title, *(format_(number) if number is not None else "-" for number in (ours, theirs)), ratio)


def make_root():
    """The image as one file, made by the first microVM of it; which also fills the caches."""
    result = run([f"{WORK}/berth", "run", "--rm", "--isolation", "microvm", "busybox", "sh", "-c", "echo up"], "up")
    if result is None:
        sys.exit("bench_vm: berth runs no microVM here")
    shutil.copy(glob.glob(f"{DATA}/data/erofs/*/root.erofs")[0], f"{WORK}/root.erofs")
    if not re.search(r"kvm", subprocess.run([f"{WORK}/berth", "info", "--format", "{{.MicroVMBackend}}"],
                                            capture_output=True, text=True, check=True).stdout):
        sys.exit("bench_vm: KVM is not used here")


def show_restored():
    for title, restored in (("a guest without a kernel", restored_machine), ("a container", restored_container)):
        figures = restored() or [None] * 3
        compare(title, figures[2], None, giga)
        compare("", figures[0], None, giga)


def favor_changes():
    """Whether the cgroups are mounted so that changing them does not wait for a grace period of RCU."""
    return subprocess.run(["mount", "-o", "remount,favordynmods", "/sys/fs/cgroup"]).returncode == 0


def main():
    kernel, has_qemu = prepare()
    make_root()
    true_pmem, true_blk = machine_run("--root", "true"), machine_run("--disk", "true-blk")
    qemu_true, qemu_wait = qemu("true-blk"), qemu("wait")
    for command in [true_pmem] + [qemu_true] * has_qemu:  # not counted: fills the caches
        run(command, "true: ok")
    print(f"A microVM of {MEMORY_MIB} MiB with {kernel}, by KVM; instructions in 10^9")
    line("", "berth-vmm", "QEMU microvm", "ratio")
    pmem = times(true_pmem, "machine_run", "init:") or [None] * 3
    blk = times(true_blk, "machine_run", "init:") or [None] * 3
    other = (times(qemu_true, "qemu-system-x86_64", "init:") if has_qemu else None) or [None] * 3
    compare("exec to /init", blk[0], other[0], giga)
    compare("exec to /bin/true and off, root on blk", blk[1], other[1], giga)
    compare("exec to /bin/true and off, root on pmem", pmem[1], None, giga)
    counts = exits(true_blk, "true: ok"), exits(qemu_true, "true: ok") if has_qemu else None
    for title, index in (("exits, root on blk", 0), ("of these to user space", 1)):
        compare(title, *(sum(count[index].values()) if count else None for count in counts), str)
    counts = exits(true_pmem, "true: ok")
    compare("exits, root on pmem", sum(counts[0].values()) if counts else None, None, str)
    memories = memory(machine_run("--root", "wait")), memory(qemu_wait) if has_qemu else None
    for title, index in (("memory of the VMM beyond the guest's, KiB", 0), ("of it private, KiB", 1),
                         ("guest's memory touched at /init, KiB", 2)):
        compare(title, *(figures[index] if figures else None for figures in memories), str)
    spreads = [row[2] for row in (pmem, blk, other) if row[2] is not None]
    print(f"between {RUNS} runs at most {max(spreads):.2f} % of difference" if spreads else "")
    if counts:
        print("exits by reason, pmem: " + ", ".join(
            f"{REASONS.get(reason, hex(reason))} {count}" for reason, count in counts[0].most_common()))

    print("restore: exec of the VMM to the guest's next instruction, and until its next words are read")
    show_restored()

    print("berth run --rm --isolation microvm busybox sh -c 'echo up'")
    berth = [f"{WORK}/berth", "run", "--rm", "--isolation", "microvm", "--vm-memory", f"{MEMORY_MIB}m", "busybox", "sh", "-c", "echo up"]
    whole = times(berth, "berth-vmm", "up") or [None] * 3
    compare("exec of berth-vmm to the program's output", whole[0], None, giga)
    compare("exec of berth-vmm to its end", whole[1], None, giga)
    counts = exits(berth, "up")
    if counts:
        compare("exits", sum(counts[0].values()), None, str)
        compare("of these to user space", sum(counts[1].values()), None, str)
        print("exits by reason: " + ", ".join(
            f"{REASONS.get(reason, hex(reason))} {count}" for reason, count in counts[0].most_common()))

    if favor_changes():  # last: it holds for all that comes after it
        print("restore as above, with cgroups mounted by favordynmods")
        show_restored()


main()
