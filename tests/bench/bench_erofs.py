"""One EROFS file of an image's layers, as microVMs have it, beside mkfs.erofs of the same tree.

    bench_erofs.py BUILD [ROUNDS]

Both with the sync of their file to the disk. The image is a part of this machine's /usr.
"""

import glob
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD, ROUNDS = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
PARTS = ["usr/sbin", "usr/share/perl", "usr/share/perl5", "usr/lib/python3", "usr/lib/python3.11"]


def timed(command):
    """Milliseconds that pass, and of processor time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def allocated(path):
    return os.stat(path).st_blocks * 512 / 1e6


def main(work):
    data = os.environ["BERTH_DATA"] = f"{work}/data"
    os.environ["BERTH_RUN"] = f"{work}/run"
    parts = [part for part in PARTS if os.path.isdir(f"/{part}")]
    subprocess.run(f"tar -C / -c {' '.join(parts)} | {BUILD}/berth import - bench:1", shell=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key, = [name for name in os.listdir(f"{data}/layers") if not name.startswith(".")]
    tree = f"{data}/layers/{key}/fs"
    ours = [f"{BUILD}/berth-image", "flatten", key]
    theirs = ["sh", "-c", f"mkfs.erofs -Enoinline_data {work}/theirs {tree} && sync {work}/theirs"]
    rows = []
    for _ in range(ROUNDS):
        shutil.rmtree(f"{data}/erofs", ignore_errors=True)
        os.sync()
        row = timed(ours)
        if shutil.which("mkfs.erofs"):
            os.sync()
            row += timed(theirs)
        rows.append(row)
    file, = glob.glob(f"{data}/erofs/*/root.erofs")
    medians = [statistics.median(column) for column in zip(*rows)]
    count = sum(len(folders) + len(files) for _, folders, files in os.walk(tree))
    print(f"one EROFS file of {count} files")
    print(f"  {medians[0]:.0f} ms, {medians[1]:.0f} ms of processor time, {allocated(file):.0f} MB")
    if len(medians) < 4:
        print("  mkfs.erofs is not there")
        return
    print(f"  mkfs.erofs {medians[2]:.0f} ms, {medians[3]:.0f} ms of processor time, {allocated(f'{work}/theirs'):.0f} MB")


if __name__ == "__main__":
    folder = tempfile.mkdtemp(prefix="berth-bench-")
    try:
        main(folder)
    finally:
        shutil.rmtree(folder)
