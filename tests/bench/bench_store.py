"""rmi of an image of some 12,000 files, and starts on 1, 50 and 120 layers.

    bench_store.py BUILD [ROUNDS]

What a start costs more than one on a single layer is finding and mounting the others.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from oci_image import Layout, busybox, directory, file, tar  # noqa: E402 (its folder is known now)

BUILD, ROUNDS = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
LAYERS = [1, 50, 120]


def berth(*words):
    """Milliseconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run([f"{BUILD}/berth", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def remove_images(work):
    parts = [tar([directory(f"d{part}/")] + [directory(f"d{part}/{i}/") for i in range(20)] +
                 [file(f"d{part}/{i % 20}/{i}", os.urandom(500) * 10) for i in range(2000)]) for part in range(6)]
    layout = Layout()
    layout.image("large:1", [busybox()] + parts)
    layout.write(f"{work}/large.tar")
    times = []
    for _ in range(3):
        berth("load", "-qi", f"{work}/large.tar")
        times.append(berth("rmi", "large:1"))
        while os.listdir(f"{os.environ['BERTH_DATA']}/trash"):
            time.sleep(0.1)
    print(f"rmi of 12,000 files in {len(parts) + 1} layers: {statistics.median(times):.0f} ms")


def start(work):
    layout = Layout()
    for count in LAYERS:
        layout.image(f"layers:{count}", [busybox()] + [tar([directory("d/"), file(f"d/{i}", f"{count} {i}")])
                                                       for i in range(1, count)])
    layout.write(f"{work}/layers.tar")
    berth("load", "-qi", f"{work}/layers.tar")
    rows = [[berth("run", "--rm", f"layers:{count}", "true") for count in LAYERS] for _ in range(ROUNDS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*rows)]
    more = [statistics.median(row[i] - row[0] for row in rows) for i in range(1, len(LAYERS))]
    print("run --rm on layers: " + ", ".join(f"{count}: {ms:.1f} ms" for count, ms in zip(LAYERS, medians)) +
          "; more than on one: " + ", ".join(f"{ms:.1f} ms" for ms in more))


if __name__ == "__main__":
    folder = tempfile.mkdtemp(prefix="berth-bench-")
    os.environ["BERTH_DATA"], os.environ["BERTH_RUN"] = f"{folder}/data", f"{folder}/run"
    try:
        remove_images(folder)
        start(folder)
    finally:
        shutil.rmtree(folder)
