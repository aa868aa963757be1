"""Pull and unpack of an image of some 450 MB (160 MB gzip) from Debian's docker-registry on loopback, and load of
the same from an OCI archive.

    bench_pull.py BUILD [ROUNDS [NAME]]

NAME: only what is named so.

berth, podman, skopeo copy with umoci unpack, and the floor (inflate, two digests, the
files; igzip (package isal), openssl and tar, one after the other), on one core and on two. Each run
gets a new ext4 in a file in memory, since ext4 is slow for minutes after files were deleted by the
thousand, and the disk is not what is measured. Layers are files of this machine's /usr.
"""

import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

BUILD, ROUNDS = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
ONLY = sys.argv[3] if len(sys.argv) > 3 else ""
LAYERS = [("usr/lib", 170), ("usr/share", 120), ("usr/bin", 90), ("usr/include", 40), ("usr/sbin", 20), ("etc", 5)]


def make_layer(path, folder, megabytes):
    """A tar of so much of a folder, directories first, names sorted."""
    left = megabytes << 20
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for where, folders, files in os.walk(f"/{folder}"):
            folders.sort()
            archive.add(where, where[1:], recursive=False)
            for name in sorted(files):
                file = f"{where}/{name}"
                size = os.lstat(file).st_size
                if size > left or size > 20 << 20:
                    continue
                left -= size
                archive.add(file, file[1:], recursive=False)
            if left < 1 << 16:
                return


def sha256(path):
    return subprocess.run(["openssl", "dgst", "-sha256", "-r", path], check=True, capture_output=True,
                          text=True).stdout.split()[0]


def make_image(work):
    """An OCI layout; its tars stay beside it for the floor."""
    blobs = f"{work}/image/blobs/sha256"
    os.makedirs(blobs)
    layers, diff_ids = [], []

    def keep(data, media_type):
        path = f"{work}/document"
        pathlib.Path(path).write_text(json.dumps(data), encoding="utf-8")
        name, size = sha256(path), os.path.getsize(path)
        os.rename(path, f"{blobs}/{name}")
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": size}

    for number, (folder, megabytes) in enumerate(LAYERS):
        plain = f"{work}/{number}.tar"
        make_layer(plain, folder, megabytes)
        diff_ids.append("sha256:" + sha256(plain))
        subprocess.run(["gzip", "-kn", plain], check=True)
        name, size = sha256(plain + ".gz"), os.path.getsize(plain + ".gz")
        os.link(plain + ".gz", f"{blobs}/{name}")
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                       "digest": f"sha256:{name}", "size": size})
    config = keep({"architecture": "amd64", "os": "linux", "config": {},
                   "rootfs": {"type": "layers", "diff_ids": diff_ids}},
                  "application/vnd.oci.image.config.v1+json")
    manifest = keep({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                     "config": config, "layers": layers}, "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    pathlib.Path(f"{work}/image/index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [manifest]}), encoding="utf-8")
    pathlib.Path(f"{work}/image/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def serve(work):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        host = f"localhost:{sock.getsockname()[1]}"
    pathlib.Path(f"{work}/registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {work}/registry}}}}\n"
        f"http: {{addr: '{host}', secret: bench}}\n", encoding="utf-8")
    with open(f"{work}/registry.log", "wb") as log:
        registry = subprocess.Popen(["docker-registry", "serve", f"{work}/registry.yml"], stdout=log, stderr=log)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://{host}/v2/").close()
            break
        except OSError:
            time.sleep(0.1)
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
                    f"oci:{work}/image:1", f"docker://{host}/bench:1"], check=True)
    return registry, host


def measure(work, cores, script):
    """Wall time and processor time of a script in an empty file system."""
    disk, mount = f"{work}/memory/disk", f"{work}/disk"
    with open(disk, "wb") as file:
        file.truncate(4 << 30)
    subprocess.run(["mkfs.ext4", "-qF", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(["taskset", "-c", ",".join(map(str, range(cores))), "sh", "-ec", script], cwd=mount,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["umount", f"{mount}/podman/overlay"], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["umount", mount], check=True)
    os.unlink(disk)
    if done.returncode != 0:
        print(f"  failed: {script}\n{done.stderr}")
        return None
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bench(work, host):
    tars = " ".join(f"{work}/{number}.tar" for number in range(len(LAYERS)))
    scripts = {
        "berth pull": f"BERTH_DATA=$PWD/data BERTH_RUN=$PWD/run {BUILD}/berth pull -q {host}/bench:1",
        "podman pull": "podman --root $PWD/podman --runroot $PWD/run --storage-driver overlay"
                       f" pull -q --tls-verify=false {host}/bench:1",
        "berth load": f"BERTH_DATA=$PWD/data BERTH_RUN=$PWD/run {BUILD}/berth load -qi {work}/image.tar",
        "podman load": "podman --root $PWD/podman --runroot $PWD/run --storage-driver overlay"
                       f" load -qi {work}/image.tar",
        "skopeo copy, umoci unpack": "skopeo copy -q --insecure-policy --src-tls-verify=false"
                                     f" docker://{host}/bench:1 oci:oci:1 && umoci unpack --image oci:1 bundle",
        "floor": f"for tar in {tars}; do igzip -dc $tar.gz > /dev/null; openssl dgst -sha256 $tar.gz $tar;"
                 " mkdir layer; tar -C layer -xf $tar; mv layer $(basename $tar).d; done",
    }
    scripts = {name: script for name, script in scripts.items() if ONLY in name}
    rows = {}
    for _ in range(ROUNDS):
        for cores in (1, 2):
            for name, script in scripts.items():
                if all(map(shutil.which, {"podman pull": ["podman"], "podman load": ["podman"], "floor": ["igzip"],
                                          "skopeo copy, umoci unpack": ["umoci"]}.get(name, []))):
                    rows.setdefault((name, cores), []).append(measure(work, cores, script))
    for name in scripts:
        for cores in (1, 2):
            found = [row for row in rows.get((name, cores), []) if row]
            if not found:
                continue
            wall, cpu = (statistics.median(column) for column in zip(*found))
            floor = statistics.median(row[1] for row in rows.get(("floor", cores), [(0, cpu)]) if row)
            print(f"  {name}, {cores} core{'s' * (cores > 1)}: {wall:.2f} s, {cpu:.2f} s of processor time,"
                  f" {cpu / floor:.2f} of the floor's")


def main():
    if not all(map(shutil.which, ["docker-registry", "skopeo", "openssl", "mkfs.ext4"])) or os.getuid() != 0:
        print("pull: needs root, docker-registry, skopeo, openssl and mkfs.ext4")
        return
    work = tempfile.mkdtemp(prefix="berth-bench-pull-")
    registry = None
    try:
        os.mkdir(f"{work}/memory")
        os.mkdir(f"{work}/disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5g", "berth-bench", f"{work}/memory"], check=True)
        make_image(work)
        subprocess.run(["tar", "-C", f"{work}/image", "-cf", f"{work}/image.tar", "."], check=True)
        registry, host = serve(work)
        sizes = [os.path.getsize(f"{work}/{number}.tar{end}") for end in ("", ".gz") for number in range(len(LAYERS))]
        print(f"pull of {len(LAYERS)} layers, {sum(sizes[:len(LAYERS)]) >> 20} MiB"
              f" ({sum(sizes[len(LAYERS):]) >> 20} MiB gzip)")
        bench(work, host)
    finally:
        if registry is not None:
            registry.kill()
            registry.wait()
        subprocess.run(["umount", "-l", f"{work}/memory"], check=False)  # loop devices close behind
        shutil.rmtree(work)


main()
