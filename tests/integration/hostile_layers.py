#!/usr/bin/env python3
"""Writes hostile and odd layers, one case a file, for the integration tests.

    hostile_layers.py OUTDIR [BASE.tar]

For each case:
  OUTDIR/<case>.tar        an OCI layout with one image, "hostile/<case>:latest": BASE.tar if given,
                           a lower layer, and the layer of the case on top
  OUTDIR/<case>.layer.tar  the layer of the case alone, as plain tar
  OUTDIR/<case>.expect     what has to come of it. The first line is "ok", or "refuse TEXT" with a
                           part of the message, "refuse-above TEXT" when it is good without the
                           layers below; then lines about the merged root:
                             absent PATH            not there
                             file PATH CONTENT      a regular file
                             dir PATH MODE UID GID  a directory
                             link PATH TARGET       a symbolic link
                             same PATH PATH         two names of one file
                             mtime PATH SECONDS
                             list PATH NAMES...     exactly these names, sorted; "-" for none
"""

import os
import struct
import sys

sys.dont_write_bytecode = True
from oci_image import Layout, directory, entry, file, hard, symlink, tar  # noqa: E402

ESCAPE = "berth-hostile-escape"  # a file of this name outside of a layer is a failure


LOWER = [
    directory("etc/", mode=0o711, uid=5, gid=6, mtime=2000), file("etc/old", "old"),
    symlink("etc/abs", "/usr/../data/./sub"), directory("usr/"), directory("usr/lib/"), file("usr/lib/liba", "a"),
    symlink("lib", "usr/lib"), symlink("escape", f"usr/{ESCAPE}"),
    directory("data/"), file("data/old", "old"), directory("data/sub/"), file("data/sub/f", "f"),
    file("gone", "gone"), file("plain", "lower"),
    directory("var/"), symlink("var/q", "/data/sub"), symlink("v", "var"),
]


def patched(entries, index, patch):
    """A tar whose header number @index was changed by patch(bytearray) and summed up again."""
    data = bytearray(tar(entries))
    header = memoryview(data)[index * 512:index * 512 + 512]
    patch(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(data)


def base256(value):
    return struct.pack(">Q", value | 1 << 63)


def set_uid(value):
    def patch(header):
        header[108:116] = base256(value)
    return patch


def set_type(kind):
    def patch(header):
        header[156:157] = kind
    return patch


CASES = {}


def case(name, layer, *expect):
    assert name not in CASES
    CASES[name] = (layer if isinstance(layer, bytes) else tar(layer), expect)


OUTSIDE = "refuse leads outside of the layer"

# Names that lead outside.
case("dotdot", [file(f"../{ESCAPE}")], OUTSIDE)
case("dotdot-deep", [directory("a/"), file(f"a/../../{ESCAPE}")], OUTSIDE)
case("dotdot-absolute", [file(f"/../../{ESCAPE}")], OUTSIDE)
case("dotdot-directory", [directory("../")], OUTSIDE)
case("dotdot-pax", [file("x", pax={"path": f"a/../../{ESCAPE}"})], OUTSIDE)
case("dotdot-inside", [directory("a/"), file("a/../b", "b")], "ok", "file b b")
case("absolute", [file(f"/tmp/{ESCAPE}", "in")], "ok", f"file tmp/{ESCAPE} in")
case("many-slashes", [file("//a///b/./c", "c")], "ok", "file a/b/c c")

# Links that lead outside, and names below them.
case("link-absolute", [symlink("out", "/tmp"), file(f"out/{ESCAPE}", "in")], "ok",
     f"file tmp/{ESCAPE} in", "link out /tmp")
case("link-up", [symlink("out", "../../../../tmp"), file(f"out/{ESCAPE}", "in")], "ok",
     f"file tmp/{ESCAPE} in")
case("link-chain", [symlink("a", "b"), symlink("b", "c"), symlink("c", "/d/../.."),
                    file(f"a/{ESCAPE}", "in")], "ok", f"file {ESCAPE} in")
case("link-loop", [symlink("a", "b"), symlink("b", "a"), file("a/x")], "refuse symbolic links")
case("link-self", [symlink("a", "a"), file("a/x")], "refuse symbolic links")
case("link-proc", [symlink("p", "/proc/self/cwd"), file(f"p/{ESCAPE}", "in")], "ok",
     f"file proc/self/cwd/{ESCAPE} in")
case("link-replaced", [symlink("d", "/tmp"), file("d/a", "1"), directory("d/"), file("d/b", "2")],
     "ok", "file tmp/a 1", "file d/b 2", "list d b")
case("link-over-directory", [directory("d/"), file("d/a", "1"), symlink("d", "/tmp"),
                             file("d/b", "2")], "ok", "link d /tmp", "file tmp/b 2")
case("link-then-file", [symlink("f", f"/tmp/{ESCAPE}"), file("f", "in")], "ok", "file f in")
case("link-empty", [symlink("f", "")], "refuse symbolic link to nothing")
case("root-link", [symlink("./", "/tmp"), file(ESCAPE)], "refuse root")
case("root-file", [file("./")], "refuse tar archive")
case("root-slash-link", [symlink("/", "/tmp")], "refuse root")
case("below-file", [file("a"), file("a/b")], "refuse not a directory")

# Hard links.
case("hard-up", [hard("h", "../../etc/shadow")], OUTSIDE)
case("hard-absolute", [file("etc/shadow", "mine"), hard("h", "/etc/shadow")], "ok",
     "same h etc/shadow", "file h mine")
case("hard-dot-slash", [file("a", "1"), hard("h", "./a")], "ok", "same h a")
case("hard-missing", [hard("h", "etc/shadow")], "refuse not in this layer")
case("hard-through-link", [symlink("out", "/etc"), hard("h", "out/shadow")],
     "refuse not in this layer")
case("hard-to-link", [symlink("s", "/etc/shadow"), hard("h", "s")], "ok", "link h /etc/shadow")
case("hard-to-directory", [directory("d/"), hard("h", "d")], "refuse directory")
case("hard-to-itself", [file("a", "1"), hard("a", "a")], "ok", "file a 1")
case("hard-over-file", [file("a", "1"), file("b", "2"), hard("b", "a")], "ok", "file b 1",
     "same a b")
case("hard-to-whiteout", [file(".wh.gone", ""), hard("h", "gone")], "refuse not in this layer")
case("hard-write-through", [file("a", "1"), hard("h", "a"), file("h", "2")], "ok", "file a 1",
     "file h 2")

# Whiteouts.
case("whiteout", [file(".wh.gone", "")], "ok", "absent gone", "file plain lower")
case("whiteout-directory", [directory("./"), file(".wh.data", "")], "ok", "absent data")
case("whiteout-deep", [directory("data/"), file("data/.wh.old", "")], "ok", "absent data/old",
     "list data sub")
case("whiteout-then-file", [file(".wh.plain", ""), file("plain", "upper")], "ok",
     "file plain upper")
case("file-then-whiteout", [file("plain", "upper"), file(".wh.plain", "")], "ok",
     "file plain upper")
case("whiteout-then-directory", [file(".wh.data", ""), directory("data/"), file("data/new", "n")],
     "ok", "list data new")
case("directory-then-whiteout", [directory("data/"), file("data/new", "n"), file(".wh.data", "")],
     "ok", "list data new")
case("whiteout-then-child", [file(".wh.data", ""), file("data/new", "n")], "ok", "list data new",
     "dir data 755 0 0")
case("opaque-first", [directory("data/"), file("data/.wh..wh..opq", ""), file("data/new", "n")],
     "ok", "list data new")
case("opaque-last", [directory("data/"), file("data/new", "n"), file("data/.wh..wh..opq", "")],
     "ok", "list data new")
case("opaque-orphan", [file("etc/.wh..wh..opq", ""), file("etc/new", "n")], "ok", "list etc new",
     "dir etc 711 5 6")
case("opaque-root", [file(".wh..wh..opq", ""), file("new", "n"), directory("data/")], "ok",
     "file new n", "absent gone", "absent etc", "list data -")
case("whiteout-of-nothing", [file(".wh.", "")], "refuse whiteout")
case("whiteout-of-dot", [directory("d/"), file("d/.wh..", "")], "refuse whiteout")
case("whiteout-of-dotdot", [directory("d/"), file("d/.wh...", "")], "refuse whiteout")
case("whiteout-outside", [file("../.wh.tmp", "")], OUTSIDE)
case("whiteout-aufs", [file(".wh..wh.aufs", ""), directory(".wh..wh.plnk/"),
                       file(".wh..wh.plnk/1.2", "")], "ok", "absent .wh..wh.aufs",
     "absent .wh..wh.plnk")
case("whiteout-in-name", [file("a.wh.b", "1")], "ok", "file a.wh.b 1")
case("whiteout-missing", [file(".wh.never", "")], "ok", "absent never")
case("below-whiteout", [file(".wh.d/x")], "refuse below a whiteout")
case("whiteout-in-new-directory", [directory("fresh/"), file("fresh/.wh.x", "")], "ok",
     "list fresh -")
case("whiteout-in-opaque-directory", [directory("data/"), file("data/.wh..wh..opq", ""),
                                      file("data/.wh.old", "")], "ok", "list data -")
case("whiteout-below-file", [file("data", "f"), file("data/.wh.old", ""),
                             file("data/sub/.wh..wh..opq", "")], "ok", "file data f")
case("whiteout-below-whiteout", [file(".wh.data", ""), file("data/sub/.wh.f", "")], "ok",
     "absent data")
case("whiteout-above-whiteout", [file("data/sub/.wh.f", ""), file("data/.wh.old", ""),
                                 file(".wh.data", "")], "ok", "absent data")
case("raw-whiteout", [entry("gone", "char")], "ok", "absent gone")

# Directories without an entry, and repeated entries.
case("orphan", [file("etc/new", "n")], "ok", "dir etc 711 5 6", "file etc/new n",
     "file etc/old old")
case("orphan-new", [file("opt/x/y", "n")], "ok", "dir opt/x 755 0 0", "file opt/x/y n")
case("orphan-late-entry", [file("etc/new", "n"), directory("etc/", mode=0o700, mtime=77)], "ok",
     "dir etc 700 0 0", "mtime etc 77")
case("orphan-below-lower-link", [file("lib/libb", "b"), file("lib/sub/x", "x")], "ok",
     "link lib usr/lib", "file usr/lib/libb b", "file usr/lib/liba a", "file usr/lib/sub/x x")
case("orphan-below-lower-link-merged", [directory("usr/lib/", mode=0o701, mtime=9),
                                        file("usr/lib/a", "1"), directory("usr/lib/d/"),
                                        file("usr/lib/d/1", "1"), file("lib/d/2", "2"),
                                        file("lib/libc", "c")], "ok",
     "link lib usr/lib", "dir usr/lib 701 0 0", "list usr/lib a d liba libc", "list usr/lib/d 1 2",
     "mtime usr/lib 9")
case("entry-over-lower-link", [directory("lib/"), file("lib/libb", "b")], "ok", "list lib libb",
     "list usr/lib liba")
case("whiteout-below-lower-link", [file("lib/.wh.liba", "")], "ok", "link lib usr/lib",
     "absent usr/lib/liba", "list usr/lib -")
case("orphan-below-lower-link-to-own-link", [symlink("usr", "/tmp"), file("escape/x", "in")],
     "ok", f"link escape usr/{ESCAPE}", "link usr /tmp", f"file tmp/{ESCAPE}/x in")
case("orphan-below-lower-link-to-own-links", [symlink("usr", "u"), symlink("u", "/../etc/../tmp"),
                                              file("lib/x", "in")], "ok", "link usr u",
     "file tmp/lib/x in")
case("orphan-below-lower-link-to-own-loop", [symlink("usr", "usr"), file("lib/x")],
     "refuse-above lead nowhere")
case("orphan-below-lower-link-to-own-file", [file("usr"), file("lib/x")],
     "refuse-above not a directory")
case("orphan-below-lower-link-to-whiteout", [file(".wh.usr", ""), file("lib/x")],
     "refuse-above not a directory")
case("orphan-below-lower-absolute-link", [file("etc/abs/x", "x")], "ok",
     "link etc/abs /usr/../data/./sub", "file data/sub/x x", "file data/sub/f f")
case("orphan-below-lower-links-twice", [file("v/q/s/x", "x"), file("v/q/x", "x"),
                                         file("var/q/s/y", "y"), file("var/q/y", "y")],
     "ok", "link v var", "link var/q /data/sub", "list var q", "list data/sub f s x y",
     "list data/sub/s x y")
case("whiteouts-below-lower-links-twice", [file("v/q/.wh.f", ""), file("v0/.wh.z", ""),
                                           file("var/q/.wh.none", ""), file("var/q/y", "y")],
     "ok", "link v var", "link var/q /data/sub", "list var q", "list data/sub y")
case("repeated-file", [file("a", "1"), file("a", "2", mode=0o600)], "ok", "file a 2")
case("repeated-directory", [directory("d/", mode=0o700), file("d/x", "x"),
                            directory("d/", mode=0o1777, mtime=5)], "ok", "dir d 1777 0 0",
     "mtime d 5", "file d/x x")
case("file-over-directory", [directory("d/"), file("d/x", "x"), file("d", "f")], "ok",
     "file d f")
case("file-over-lower-directory", [file("data", "f")], "ok", "file data f")
case("directory-over-file", [file("d", "f"), directory("d/", mode=0o701), file("d/x", "x")], "ok",
     "dir d 701 0 0", "file d/x x")
case("directory-over-lower-file", [directory("plain/"), file("plain/x", "x")], "ok",
     "list plain x")
case("times", [directory("d/", mtime=123), file("d/x", "x", mtime=456), directory("d/s/"),
               file("d/y", "y")], "ok", "mtime d 123", "mtime d/x 456")
case("root-entry", [directory("./", mode=0o750, mtime=42), file("new", "n")], "ok",
     "dir . 750 0 0")
case("set-group-id", [directory("d/", mode=0o2775, gid=50), file("d/x", "x"), directory("d/e/")],
     "ok", "dir d 2775 0 50", "dir d/e 755 0 0")

# Numbers, sizes, attributes.
case("uid-2-33", patched([file("f", mode=0o4755)], 0, set_uid(1 << 33)), "refuse user id")
case("uid-2-32", patched([file("f", mode=0o4755)], 0, set_uid(1 << 32)), "refuse user id")
case("uid-minus-1", patched([file("f", mode=0o4755)], 0, set_uid((1 << 32) - 1)),
     "refuse user id")
case("uid-largest", patched([directory("d/")], 0, set_uid((1 << 32) - 2)), "ok",
     "dir d 755 4294967294 0")
case("gid-pax", [file("f", pax={"gid": "4294967296"})], "refuse group id")
case("attribute-overlay", [directory("data/", pax={"SCHILY.xattr.trusted.overlay.opaque": "y"})],
     "ok", "list data old sub")
case("attribute-redirect", [directory("r/", pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc"})],
     "ok", "list r -")
case("attribute-user-overlay",
     [directory("data/", pax={"SCHILY.xattr.user.overlay.opaque": "y"})], "ok",
     "list data old sub")
case("attribute-huge", [file("f", pax={"SCHILY.xattr.user.big": "x" * 70000})],
     "refuse attribute")
case("component-long", [file("a" * 256)], "refuse component")
case("component-longest", [file("a" * 255, "l")], "ok", f"file {'a' * 255} l")
case("path-long", [file("/".join(["a" * 200] * 21))], "refuse longer than")
case("path-deep", [file("/".join(["a"] * 513))], "refuse deeper than")
case("sparse-huge", [file("f", "", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                        "GNU.sparse.name": "f",
                                        "GNU.sparse.realsize": str(1 << 45)})], "refuse tar archive")
case("unknown-type", patched([file("f", "")], 0, set_type(b"Z")), "ok", "file f ")

# Ends.
case("end-none", tar([file("a", "1")], b""), "ok", "file a 1")
case("end-one", tar([file("a", "1")], b"\0" * 512), "ok", "file a 1")
case("end-garbage", tar([file("a", "1")], b"\0" * 1024 + b"garbage" * 99), "ok", "file a 1")
case("truncated", tar([file("a", "1" * 5000)])[:2000], "refuse tar")
case("damaged", tar([file("a", "1")])[:100] + b"?" * 412 + tar([file("b", "2")]), "refuse tar")
case("no-tar", b"this is no tar at all, whatever it may be named\n" * 40, "refuse tar")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    out = sys.argv[1]
    below = [tar(LOWER)]
    if len(sys.argv) == 3:
        with open(sys.argv[2], "rb") as base:
            below.insert(0, base.read())
    os.makedirs(out, exist_ok=True)
    for name, (layer, expect) in CASES.items():
        layout = Layout()
        layout.image(f"hostile/{name}:latest", below + [layer])
        layout.write(os.path.join(out, name + ".tar"))
        with open(os.path.join(out, name + ".layer.tar"), "wb") as plain:
            plain.write(layer)
        with open(os.path.join(out, name + ".expect"), "w", encoding="utf-8") as text:
            text.write("\n".join(expect) + "\n")
    with open(os.path.join(out, "lower.layer.tar"), "wb") as lower:
        lower.write(tar(LOWER))
    print(f"{len(CASES)} cases in {out}")


if __name__ == "__main__":
    main()
