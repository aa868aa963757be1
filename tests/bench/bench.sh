#!/usr/bin/env bash
# Ratios measured in one run, on this machine, now: never a pass or a fail.
#
#   make bench        (or BERTH_BUILD=build tests/bench/bench.sh [RUNS])
#
# Commands run in turn, A B A B ..., and the median of the ratios is told.
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "${BERTH_BUILD:?folder of the built programs}")
runs=${1:-25}
work=$(mktemp -d)
export BERTH_DATA="$work/data" BERTH_RUN="$work/run"
cleanup() { umount "$BERTH_RUN"; rm -rf "$work"; }
# Run states are in memory, as /run is where systemd mounts it: on a disk a peer with more files
# would lose by the disk.
mkdir "$BERTH_RUN"
mount -t tmpfs -o mode=0755 run "$BERTH_RUN"
trap cleanup EXIT

"$build/tests/bench/bench_cgroups" "$((runs * 20))"

"$build/berth" image make busybox > /dev/null
mkdir -p "$work/bundle/rootfs"
cp -a "$BERTH_DATA"/layers/*/fs/. "$work/bundle/rootfs/"
"$build/berth-oci" spec -b "$work/bundle"
sed -i 's/"terminal": true/"terminal": false/; s|"sh"|"/bin/true"|' "$work/bundle/config.json"

# The profile as berth writes it into its bundles.
id=$("$build/berth" create busybox true)
jq .linux.seccomp "$BERTH_DATA/containers/$id/bundle/config.json" > "$work/seccomp.json"
"$build/berth" rm "$id" > /dev/null

view=v1
BERTH_BUILD=$build tests/integration/in_view.sh $view true || view=here
BERTH_BUILD=$build tests/integration/in_view.sh $view \
    python3 tests/bench/bench_oci.py "$build" "$work/bundle" "$work" "$BERTH_RUN" "$runs"

python3 tests/bench/bench_pull.py "$build" 3
python3 tests/bench/bench_erofs.py "$build" 5
python3 tests/bench/bench_store.py "$build" "$runs"

python3 - "$build" "$work" "$runs" << 'PY'
import glob, os, resource, shutil, statistics, subprocess, sys, time
build, work, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
bundle = f"{work}/bundle"

def once(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000

def works(command):
    try: once(command); return True
    except (subprocess.CalledProcessError, FileNotFoundError): return False

def pair(title, a, b, name_b):
    if not works(a): print(f"{title}: does not run here: {' '.join(a)}"); return
    if not works(b): print(f"{title}: {name_b} is not there or does not run here"); return
    ta, tb = [], []
    for _ in range(runs):
        ta.append(once(a)); tb.append(once(b))
    ratio = statistics.median(x / y for x, y in zip(ta, tb))
    print(f"{title}: {statistics.median(ta):.1f} ms, {name_b} {statistics.median(tb):.1f} ms, ratio {ratio:.2f}")

floor = [f"{build}/tests/bench/floor", f"{bundle}/rootfs"]
berth_run = [f"{build}/berth", "run", "--rm", "busybox", "true"]

print("berth run --rm busybox true")
pair("  berth run against the floor", berth_run, floor, "floor")
if shutil.which("podman"):
    subprocess.run("podman image exists localhost/bench-busybox || tar -C %s -c . | podman import - localhost/bench-busybox" % f"{bundle}/rootfs",
                   shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    podman = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none",
              "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "localhost/bench-busybox", "true"]
    pair("  berth run against podman", berth_run, podman, "podman run")

# Each commit has a change of its own, so that none finds the layer of another; images are not removed
# meanwhile, since ext4 is slow for a while after files were deleted by the thousand.
print("berth commit of 10,000 changed files (150 MB)")
script = "i=0; while [ $i -lt 100 ]; do mkdir -p /data/$i; j=0; while [ $j -lt 100 ]; do dd if=/bin/busybox of=/data/$i/$j bs=14k count=1 skip=$(((i+j)%100)) 2> /dev/null; j=$((j+1)); done; i=$((i+1)); done"
subprocess.run([f"{build}/berth", "run", "--name", "changes", "busybox", "sh", "-c", script], stdout=subprocess.DEVNULL)
upper = glob.glob(f"{os.environ['BERTH_DATA']}/containers/*/upper/data")[0]
def processor_time(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = once(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000
rows = []
for i in range(3):
    open(f"{upper}/round", "w").write(str(i))
    os.sync()
    rows.append(processor_time(["sh", "-c", f"tar -C {upper} -c . | openssl dgst -sha256"]) +
                processor_time([f"{build}/berth", "commit", "changes"]))
wall_floor, cpu_floor, wall, cpu = (statistics.median(column) for column in zip(*rows))
print(f"  {wall:.0f} ms, {cpu:.0f} ms of processor time; tar and SHA-256 {wall_floor:.0f} and {cpu_floor:.0f} ms, "
      f"ratios {wall / wall_floor:.1f} and {cpu / cpu_floor:.1f}")
subprocess.run([f"{build}/berth", "rm", "changes"], stdout=subprocess.DEVNULL)

print("monitor")
identity = subprocess.run([f"{build}/berth", "run", "-d", "busybox", "sleep", "60"], capture_output=True, text=True).stdout.strip()
time.sleep(0.3)
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{pid}/comm").read().strip().startswith("berth-monitor"):
            rollup = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
            private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
            ticks = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
            time.sleep(2)
            later = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
            print(f"  private memory {private} KiB, CPU of 2 idle seconds {sum(map(int, later)) - sum(map(int, ticks))} ticks")
    except OSError:
        pass
subprocess.run([f"{build}/berth", "rm", "-f", identity], stdout=subprocess.DEVNULL)
PY
