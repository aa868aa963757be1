"""All that can be told of the files below a directory, one line each, for comparing trees.

    tree_list.py DIRECTORY [NAME...]     leaves out what is below these names

Mode, owner, size, time in nanoseconds, names of the file, device, extended attributes, target or
digest of the content. Other file systems are not entered.
"""

import hashlib
import os
import stat
import sys


def line(path, name):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    words = [name, "%o" % status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns]
    if kind != stat.S_IFDIR:  # overlayfs counts otherwise
        words += [status.st_nlink, status.st_size]
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append("%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)))
    for attribute in sorted(os.listxattr(path, follow_symlinks=False)):
        if not attribute.startswith("trusted.overlay."):
            words.append((attribute, os.getxattr(path, attribute, follow_symlinks=False)))
    if kind == stat.S_IFLNK:
        words.append(os.readlink(path))
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            words.append(hashlib.sha256(file.read()).hexdigest())
    return " ".join(str(word) for word in words)


def walk(root, name, left_out, device):
    for entry in sorted(os.listdir(os.path.join(root, name))):
        path = os.path.join(name, entry)
        full = os.path.join(root, path)
        if path in left_out:
            continue
        print(line(full, path).encode(errors="surrogateescape").decode(errors="backslashreplace"))
        status = os.lstat(full)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            walk(root, path, left_out, device)


print(line(sys.argv[1], "."))
walk(sys.argv[1], "", set(sys.argv[2:]), os.lstat(sys.argv[1]).st_dev)
