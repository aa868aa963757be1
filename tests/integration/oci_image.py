"""Layers and images by hand, odd ones too, for the integration tests: tar entries, OCI layouts.

    python3 -c 'from oci_image import *; ...' with this directory in PYTHONPATH
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

APPLETS = "sh cat chmod cp df env id kill ln ls mkdir mknod mount readlink rm sleep stat true wc".split()
KIND = "application/vnd.oci.image."
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def entry(name, kind="file", content=b"", mode=None, uid=0, gid=0, mtime=1000, link="", pax=None,
          device=(0, 0)):
    info = tarfile.TarInfo(name)
    kinds = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE,
             "hard": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "char": tarfile.CHRTYPE,
             "block": tarfile.BLKTYPE}
    info.type = kinds[kind]
    info.mode = mode if mode is not None else (0o755 if kind == "dir" else 0o644)
    info.uid, info.gid, info.mtime, info.linkname = uid, gid, mtime, link
    info.devmajor, info.devminor = device
    if isinstance(content, str):
        content = content.encode()
    info.size = len(content) if kind == "file" else 0
    info.pax_headers = pax or {}
    return info, content


def tar(entries, end=b"\0" * 1024, tar_format=tarfile.PAX_FORMAT):
    out = bytearray()
    for info, content in entries:
        out += info.tobuf(tar_format, "utf-8", "surrogateescape")
        if info.isreg():
            out += content + b"\0" * (-len(content) % 512)
    return bytes(out) + end


def directory(name, **options):
    return entry(name, "dir", **options)


def file(name, content="x", **options):
    return entry(name, "file", content, **options)


def symlink(name, target, **options):
    return entry(name, "link", link=target, **options)


def hard(name, target, **options):
    return entry(name, "hard", link=target, **options)


def busybox():
    """A layer in which programs run."""
    with open("/bin/busybox", "rb") as program:
        return tar([directory("bin/"), file("bin/busybox", program.read(), mode=0o755)] +
                   [symlink(f"bin/{name}", "busybox") for name in APPLETS])


def zstd(data):
    return subprocess.run(["zstd", "-q", "-1"], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


class Layout:
    """An OCI image layout in memory. What is there may be changed before it is written."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.entries = []

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        self.files["blobs/sha256/" + digest] = data
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def document(self, value, media_type):
        return self.blob(json.dumps(value).encode(), KIND + media_type)

    def layer(self, data, form):
        if form == "gzip":
            return self.blob(gzip.compress(data, 1, mtime=0), KIND + "layer.v1.tar+gzip")
        if form == "zstd":
            return self.blob(zstd(data), KIND + "layer.v1.tar+zstd")
        return self.blob(data, KIND + "layer.v1.tar")

    def image(self, name, layers, form="tar", diff_ids=None, change=None, **config):
        """Adds an image. @change: called with the manifest before it is written; other names
        are members of the config, such as Env."""
        config.setdefault("Cmd", ["/bin/sh"])
        document = {"architecture": MACHINE, "os": "linux", "config": config,
                    "rootfs": {"type": "layers", "diff_ids": diff_ids or [
                        "sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": KIND + "manifest.v1+json",
                    "config": self.document(document, "config.v1+json"),
                    "layers": [self.layer(layer, form) for layer in layers]}
        if change is not None:
            change(manifest)
        descriptor = self.document(manifest, "manifest.v1+json")
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.entries.append(descriptor)
        return descriptor

    def finish(self):
        if "index.json" not in self.files:
            self.files["index.json"] = json.dumps(
                {"schemaVersion": 2, "mediaType": KIND + "index.v1+json",
                 "manifests": self.entries}).encode()
        return self.files.items()

    def write(self, path):
        """As a tar."""
        with tarfile.open(path, "w") as out:
            for name, data in self.finish():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))

    def write_directory(self, path):
        for name, data in self.finish():
            place = os.path.join(path, name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as out:
                out.write(data)
