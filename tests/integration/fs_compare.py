#!/usr/bin/env python3
"""fs_compare.py PLAIN MOUNTED [CASE...]: does the same in two empty directories, of which one is
served by berth-fs, and compares all that a program can see: results, errors, contents, attributes.
Prints a line for each difference and ends with 1 when there was one. As root."""
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import stat
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
AT_FDCWD = -100
O_TMPFILE = 0o20000000 | os.O_DIRECTORY
USER, GROUP, OTHER_GROUP = 1000, 1000, 1001


def call(function, *arguments):
    """The result of a function, or the name of its error."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def libc(name, *arguments):
    result = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def rename2(old, new, flags):
    return libc("renameat2", AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)


def link_descriptor(fd, new):
    at_symlink_follow = 0x400
    return libc("linkat", AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, os.fsencode(new), at_symlink_follow)


def look(path, with_times=False):
    """What stat tells, without what differs between file systems."""
    status = os.lstat(path)
    found = [oct(status.st_mode), status.st_nlink, status.st_uid, status.st_gid]
    if not stat.S_ISDIR(status.st_mode):
        found += [status.st_size]
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        found += [os.major(status.st_rdev), os.minor(status.st_rdev)]
    if with_times:
        found += [status.st_atime_ns, status.st_mtime_ns]
    return found


def write(path, data, mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def as_user(function, uid=USER, gid=GROUP, groups=()):
    """Calls in a child that is an ordinary user; returns the repr of what it returned."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            text = repr(function())
        except BaseException as error:  # pylint: disable=broad-except
            text = "failed: %r" % error
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    text = b""
    while True:
        piece = os.read(reader, 65536)
        if not piece:
            break
        text += piece
    os.close(reader)
    os.waitpid(pid, 0)
    return text.decode()


# --- cases: each a generator of what it has seen ----------------------------------------------------


def case_modes(_):
    for umask in (0, 0o022, 0o077, 0o777):
        os.umask(umask)
        for mode in (0o777, 0o666, 0o4755, 0o2755, 0o1777, 0o600, 0):
            name = "f%o-%o" % (umask, mode)
            os.close(os.open(name, os.O_CREAT | os.O_RDWR, mode))
            yield look(name)
            os.mkdir(name + "d", mode)
            yield look(name + "d")
            os.mkfifo(name + "p", mode)
            yield look(name + "p")
    os.umask(0o022)
    write("c", b"x")
    for mode in range(0, 0o10000, 0o111):
        os.chmod("c", mode)
        yield look("c")
    os.mkdir("shared")
    os.chown("shared", USER, OTHER_GROUP)
    os.chmod("shared", 0o2777)
    os.mkdir("shared/d")
    write("shared/f", b"")
    os.close(os.open("shared/s", os.O_CREAT | os.O_RDWR, 0o2775))
    for name in ("d", "f", "s"):
        yield look("shared/" + name)

    def inside():
        os.umask(0)
        os.mkdir("shared/ud")
        os.close(os.open("shared/us", os.O_CREAT | os.O_RDWR, 0o2775))
        os.close(os.open("shared/ux", os.O_CREAT | os.O_RDWR, 0o6644))
        return [look("shared/ud"), look("shared/us"), look("shared/ux")]

    yield as_user(inside)
    yield as_user(lambda: call(os.chmod, "shared/us", 0o2755)), look("shared/us")


def case_owners(_):
    write("f", b"x")
    for uid, gid in ((USER, GROUP), (-1, 5), (7, -1), (4294967294, 4294967294), (0, 0)):
        os.chown("f", uid, gid)
        yield look("f")
    for mode in (0o4755, 0o2755, 0o6755, 0o2644, 0o6711):
        os.chmod("f", mode)
        os.chown("f", USER, GROUP)
        yield look("f")
    os.symlink("nowhere", "l")
    os.lchown("l", USER, GROUP)
    yield look("l")
    os.chown("f", USER, GROUP)
    os.chmod("f", 0o6755)
    yield as_user(lambda: call(os.chown, "f", USER, OTHER_GROUP))
    yield as_user(lambda: call(os.chown, "f", USER, OTHER_GROUP), groups=(OTHER_GROUP,))
    yield look("f")
    yield as_user(lambda: call(os.chown, "f", 0, 0))
    os.mkdir("open", 0o777)
    os.chmod("open", 0o1777)

    def make():
        write("open/file", b"mine")
        os.mkdir("open/dir")
        os.symlink("a", "open/link")
        os.mkfifo("open/fifo")
        os.link("open/file", "open/hard")
        return [look("open/" + name) for name in sorted(os.listdir("open"))]

    yield as_user(make)
    yield as_user(lambda: call(os.unlink, "open/file"), uid=1002, gid=1002)
    yield as_user(lambda: call(os.rename, "open/file", "open/other"), uid=1002, gid=1002)


def case_set_id_bits_go(_):
    def append(path):
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"more")
        os.close(fd)
        return look(path)

    for mode in (0o6777, 0o4777, 0o2777, 0o2767):
        for name, act in (
            ("write", append),
            ("truncate", lambda path: os.truncate(path, 1)),
            ("open", lambda path: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))),
        ):
            path = "%s-%o" % (name, mode)
            write(path, b"12345")
            os.chmod(path, mode)
            act(path)
            yield "root", path, look(path)
            os.chmod(path, mode)
            as_user(lambda: act(path))  # pylint: disable=cell-var-from-loop
            yield "user", path, look(path)
    write("mapped", bytes(4096))
    os.chmod("mapped", 0o6777)
    write("capable", b"12345")
    os.setxattr("capable", "security.capability", struct.pack("<5I", 0x02000001, 1, 0, 0, 0))
    yield os.listxattr("capable")
    append("capable")
    yield os.listxattr("capable")
    os.setxattr("capable", "security.capability", struct.pack("<5I", 0x02000001, 1, 0, 0, 0))
    os.chown("capable", 1, 1)
    yield os.listxattr("capable")


def case_times(_):
    write("f", b"x")
    os.symlink("f", "l")
    os.mkdir("d")
    for pair in ((0, 0), (1, 999999999), (-1, -1), (-1000000001, 1500000000123456789),
                 (4294967296 * 10**9, 5)):
        for name in ("f", "l", "d"):
            yield call(lambda: os.utime(name, ns=pair, follow_symlinks=False)), look(name, True)
    write("g", b"x")
    os.utime("g", ns=(5, 7))
    yield look("g", True)
    os.chmod("g", 0o600)
    yield look("g", True)
    before = os.stat("g").st_ctime_ns
    write("g", b"longer")
    yield os.stat("g").st_mtime_ns > 7, os.stat("g").st_ctime_ns >= before
    os.chmod("g", 0o666)
    yield as_user(lambda: call(os.utime, "g")), as_user(lambda: call(os.utime, "g", (1, 1)))


def case_links(_):
    write("f", b"x")
    os.link("f", "g")
    yield look("f"), os.stat("f").st_ino == os.stat("g").st_ino
    os.symlink("x" * 4095, "long")
    yield os.readlink("long"), call(os.symlink, "x" * 4096, "longer"), call(os.symlink, "", "empty")
    os.symlink("/etc/passwd", "outside")
    os.symlink("../../../../../../etc/hostname", "up")
    yield os.readlink("outside"), os.readlink("up"), look("outside")
    os.link("outside", "hard-link-of-link", follow_symlinks=False)
    yield look("hard-link-of-link"), os.readlink("hard-link-of-link")
    yield call(os.link, "f", "g"), call(os.link, "nothing", "h"), call(os.readlink, "f")
    os.mkdir("d")
    yield call(os.link, "d", "e"), call(os.unlink, "d"), call(os.rmdir, "f")
    os.symlink("loop", "loop")
    yield call(os.open, "loop", os.O_RDONLY), call(os.stat, "loop")
    yield call(os.open, "loop", os.O_RDONLY | os.O_CREAT), call(os.open, "d", os.O_RDWR)
    os.symlink("made-by-link", "dangling")
    os.close(os.open("dangling", os.O_CREAT | os.O_WRONLY))
    yield sorted(os.listdir("."))
    yield call(os.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fd = os.open(".", O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"no name yet")
    yield os.fstat(fd).st_nlink
    yield call(link_descriptor, fd, "named")
    os.close(fd)
    yield look("named"), read("named")
    fd = os.open(".", O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    yield call(link_descriptor, fd, "never")
    os.close(fd)


def case_names(_):
    for name in (b"a" * 255, b"a" * 256, b"\xff\xfe", b"new\nline", b"...", b" ", b"-", "ä€𝄞".encode()):
        yield call(lambda: write(name, b"x")), call(os.unlink, name)
    os.mkdir("d")
    path = "d"
    for _ in range(200):
        path += "/" + "n" * 10
        os.mkdir(path)
    write(path + "/bottom", b"deep")
    yield read(path + "/bottom"), look(path + "/bottom")
    yield call(os.rmdir, "d"), call(os.mkdir, "d"), call(look, "d/../d"), call(os.stat, "nothing/x")
    yield call(os.rmdir, "."), call(os.rmdir, "d/.."), call(os.unlink, "nothing"), call(os.stat, "")


def case_attributes(_):
    write("f", b"x")
    os.symlink("f", "l")
    os.mkdir("d")
    for path in ("f", "d"):
        for name in ("user.one", "user." + "n" * 250, "user." + "n" * 251, "nothing.x"):
            for value in (b"", b"value", bytes(range(256)) * 8):
                yield path, name, call(os.setxattr, path, name, value)
                yield call(os.getxattr, path, name)
        yield sorted(os.listxattr(path)), call(os.getxattr, path, "user.none")
        yield call(os.setxattr, path, "user.one", b"x", os.XATTR_CREATE)
        yield call(os.setxattr, path, "user.none", b"x", os.XATTR_REPLACE)
        yield call(os.removexattr, path, "user.one"), call(os.removexattr, path, "user.one")
    yield call(lambda: os.setxattr("l", "user.x", b"", follow_symlinks=False))
    yield call(lambda: os.listxattr("l", follow_symlinks=False)), call(os.listxattr, "l")
    buffer = ctypes.create_string_buffer(2)
    os.setxattr("f", "user.large", b"12345")
    yield call(libc, "getxattr", b"f", b"user.large", buffer, 2), call(libc, "getxattr", b"f", b"user.large", None, 0)
    yield call(libc, "listxattr", b"f", buffer, 2)
    os.chmod("f", 0o600)
    yield as_user(lambda: call(os.getxattr, "f", "user.large"))
    yield as_user(lambda: call(os.setxattr, "f", "user.large", b"x"))


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def case_access_lists(_):
    none = 0xFFFFFFFF
    grants = acl((1, 6, none), (2, 4, USER), (4, 0, none), (16, 6, none), (32, 0, none))
    write("f", b"secret", 0o600)
    yield call(os.setxattr, "f", "system.posix_acl_access", grants), look("f")
    yield call(os.getxattr, "f", "system.posix_acl_access")
    yield as_user(lambda: call(read, "f")), as_user(lambda: call(read, "f"), uid=1002, gid=1002)
    yield as_user(lambda: call(write, "f", b"x"))
    os.chmod("f", 0o600)
    yield call(os.getxattr, "f", "system.posix_acl_access"), as_user(lambda: call(read, "f"))
    os.mkdir("d")
    yield call(os.setxattr, "d", "system.posix_acl_default",
               acl((1, 7, none), (2, 7, USER), (4, 5, none), (16, 7, none), (32, 0, none)))
    os.umask(0o077)
    write("d/f", b"x", 0o666)
    os.mkdir("d/d", 0o777)
    os.umask(0o022)
    for name in ("d/f", "d/d"):
        yield look(name), call(os.getxattr, name, "system.posix_acl_access")
        yield call(os.getxattr, name, "system.posix_acl_default")
    yield as_user(lambda: call(read, "d/f")), as_user(lambda: call(os.listdir, "d/d"))
    yield call(os.removexattr, "d", "system.posix_acl_default")
    os.chown("f", USER, OTHER_GROUP)
    os.chmod("f", 0o2755)
    yield as_user(lambda: call(os.setxattr, "f", "system.posix_acl_access", grants)), look("f")


def case_sparse(_):
    fd = os.open("s", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"begin", 0)
    os.pwrite(fd, b"end", 10 << 20)
    yield os.fstat(fd).st_size, os.fstat(fd).st_blocks < 1000
    os.fsync(fd)
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        for offset in (0, 5, 4096, 1 << 20, 10 << 20, (10 << 20) + 3, 1 << 40):
            yield whence, offset, call(os.lseek, fd, offset, whence)
    keep, punch, zero = 1, 2, 16
    for mode, offset, length in ((0, 0, 20 << 20), (keep, 20 << 20, 1 << 20), (punch | keep, 0, 4096),
                                 (punch, 0, 4096), (zero, 10 << 20, 2),
                                 (0, -1, 5), (0, 0, 0), (0x40000000, 0, 5)):
        yield mode, call(libc, "fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))
        yield os.fstat(fd).st_size, os.pread(fd, 8, 0), os.pread(fd, 3, 10 << 20)
    for size in (3, 1 << 40, 0):
        yield call(os.ftruncate, fd, size), os.fstat(fd).st_size, os.pread(fd, 8, 0)
    yield call(os.ftruncate, fd, 1 << 62), call(os.truncate, "s", -1), call(os.truncate, ".", 0)
    os.close(fd)
    fd = os.open("s", os.O_RDONLY)
    yield call(os.ftruncate, fd, 1), call(os.write, fd, b"x")
    os.close(fd)


def case_renames(_):
    for name in ("a", "b"):
        write(name, name.encode())
    os.makedirs("d/sub")
    os.mkdir("e")
    os.mkdir("full")
    write("full/f", b"")
    for old, new, flags in (("a", "b", RENAME_NOREPLACE), ("a", "b", RENAME_EXCHANGE),
                            ("a", "nothing", RENAME_EXCHANGE), ("a", "d", RENAME_EXCHANGE),
                            ("a", "d", RENAME_EXCHANGE), ("d", "d/sub/x", 0), ("e", "full", 0),
                            ("full", "e", 0), ("a", "d", 0), ("d", "a", 0), ("a", "b", 0),
                            ("b", "d/b", RENAME_NOREPLACE), ("d/b", "b", RENAME_WHITEOUT),
                            ("nothing", "b", 0), ("b", "b", 0), ("b", "c", 8)):
        yield old, new, flags, call(rename2, old, new, flags)
        yield sorted(os.listdir(".")), call(lambda: sorted(os.listdir("d")))
    yield look("d/b") if os.path.lexists("d/b") else None
    fd = os.open("d/sub", os.O_RDONLY)
    os.rename("d", "moved")
    os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    yield os.listdir("moved/sub")
    os.close(fd)


def case_open_and_removed(_):
    fd = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"still here")
    os.unlink("gone")
    yield os.fstat(fd).st_nlink, os.pread(fd, 100, 0)
    os.fchmod(fd, 0o600)
    os.fchown(fd, 5, 6)
    os.utime(fd, ns=(3, 4))
    os.ftruncate(fd, 5)
    status = os.fstat(fd)
    yield oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns > 4, status.st_size
    yield call(os.setxattr, fd, "user.x", b"y"), call(os.getxattr, fd, "user.x")
    yield call(lambda: os.open("/proc/self/fd/%d" % fd, os.O_RDONLY) > 0)
    os.close(fd)
    write("old", b"old")
    fd = os.open("old", os.O_RDONLY)
    write("new", b"new")
    os.rename("new", "old")
    yield os.read(fd, 10), read("old"), os.fstat(fd).st_nlink
    os.close(fd)
    os.mkdir("dir")
    fd = os.open("dir", os.O_RDONLY)
    os.rmdir("dir")
    yield call(os.listdir, fd), call(lambda: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def case_data(_):
    piece = bytes(range(256)) * 4096
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    for i in range(8):
        os.write(fd, piece)
    yield os.fstat(fd).st_size
    for offset, length in ((0, 10), (1, 3), (4095, 2), ((1 << 20) - 1, 5), ((8 << 20) - 1, 10), (9 << 20, 4)):
        yield os.pread(fd, length, offset)
    yield hash(os.pread(fd, 8 << 20, 0)) == hash(piece * 8)
    os.close(fd)
    first = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    second = os.open("log", os.O_WRONLY | os.O_APPEND)
    for i in range(10):
        os.write(first, b"1%d" % i)
        os.write(second, b"2%d" % i)
    os.pwrite(first, b"end", 0)
    yield read("log")
    os.close(first)
    os.close(second)
    fd = os.open("direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    buffer = mmap.mmap(-1, 8192)
    buffer.write(b"d" * 8192)
    yield os.write(fd, buffer)
    os.lseek(fd, 0, os.SEEK_SET)
    yield os.readv(fd, [buffer]), os.fstat(fd).st_size
    os.close(fd)
    fd = os.open("sync", os.O_WRONLY | os.O_CREAT | os.O_SYNC)
    yield os.write(fd, b"now"), call(os.fsync, fd), call(os.fdatasync, fd)
    os.close(fd)
    source = os.open("f", os.O_RDONLY)
    target = os.open("copy", os.O_RDWR | os.O_CREAT)
    yield os.copy_file_range(source, target, 3 << 20, 100, 0) > 0
    yield os.pread(target, 10, 0)
    yield os.sendfile(target, source, 0, 1000)
    yield call(os.copy_file_range, source, target, 5, 1 << 40, 0)
    os.close(source)
    os.close(target)
    fd = os.open(".", os.O_RDONLY)
    yield call(os.fsync, fd), call(os.read, fd, 5)
    os.close(fd)
    os.sync()


def case_mapped(_):
    fd = os.open("m", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 10000)
    area = mmap.mmap(fd, 10000)
    area[0:5] = b"hello"
    area[9000:9003] = b"end"
    area.flush()
    yield read("m")[:5], read("m")[9000:9003]
    os.pwrite(fd, b"HELLO", 0)
    yield area[0:5]
    area.close()
    os.close(fd)
    yield os.stat("m").st_size
    # Pages that are written back by a descriptor with O_APPEND stay where they are.
    fd = os.open("m", os.O_RDWR | os.O_APPEND)
    area = mmap.mmap(fd, 10000)
    area[100:104] = b"page"
    area.flush()
    os.write(fd, b"appended")
    area.close()
    os.close(fd)
    yield os.stat("m").st_size, read("m")[100:104], read("m")[-8:]
    private = os.open("m", os.O_RDONLY)
    area = mmap.mmap(private, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    yield area[100:104], len(area)
    area.close()
    os.close(private)


def case_special(_):
    yield call(os.mknod, "fifo", stat.S_IFIFO | 0o640), look("fifo")
    yield call(os.mknod, "whiteout", stat.S_IFCHR, 0), look("whiteout")
    yield call(os.mknod, "regular", stat.S_IFREG | 0o640), look("regular")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect("socket")
    yield look("socket")
    pid = os.fork()
    if pid == 0:
        write("fifo", b"through")
        os._exit(0)
    yield read("fifo")
    os.waitpid(pid, 0)


def case_programs(_):
    write("script", b"#!/bin/sh\necho ran $1\n", 0o755)
    write("data", b"#!/bin/sh\necho ran\n", 0o644)
    yield os.popen("./script one").read(), os.popen("./data 2>&1; echo $?").read()[-4:]
    with open("/bin/true", "rb") as program:
        write("true", program.read(), 0o755)
    yield os.system("./true")
    os.chmod("true", 0o4755)
    yield os.system("./true"), as_user(lambda: os.system("./true"))


def case_permissions(_):
    os.mkdir("closed", 0o700)
    write("closed/f", b"x")
    write("mine", b"x", 0o600)
    write("group", b"x", 0o640)
    os.chown("group", 0, OTHER_GROUP)
    write("read", b"x", 0o644)

    def try_all():
        return [
            call(read, "closed/f"), call(os.listdir, "closed"), call(read, "mine"), call(read, "group"),
            call(read, "read"), call(write, "read", b"y"), call(write, "new", b"y"), call(os.unlink, "read"),
            call(os.mkdir, "new"), call(os.chmod, "read", 0o777), call(os.rename, "read", "new"),
            call(os.link, "read", "new"), call(os.symlink, "read", "new"), call(os.truncate, "read", 0),
            call(os.access, "read", os.W_OK), call(os.access, "read", os.R_OK), call(os.mkfifo, "new"),
        ]

    yield as_user(try_all)
    yield as_user(try_all, groups=(OTHER_GROUP,))
    yield as_user(try_all, uid=0)
    yield [call(os.access, name, os.X_OK) for name in ("closed", "mine", "nothing")]


def case_many_files(_):
    os.mkdir("many")
    for i in range(10000):
        os.close(os.open("many/%05d" % i, os.O_CREAT | os.O_WRONLY))
    seen = []
    with os.scandir("many") as entries:
        for count, entry in enumerate(entries):
            seen.append(entry.name)
            if count % 3 == 0:
                os.unlink("many/" + entry.name)
    yield len(seen), len(set(seen)), sorted(seen)[0], sorted(seen)[-1]
    yield len(os.listdir("many"))
    # More than the server keeps open: each is found again.
    yield sum(os.stat("many/" + name).st_size for name in os.listdir("many"))
    os.rename("many", "moved")
    for name in sorted(os.listdir("moved"))[:50]:
        write("moved/" + name, name.encode())
    yield [read("moved/" + name) for name in sorted(os.listdir("moved"))[:60]]
    for name in os.listdir("moved"):
        os.unlink("moved/" + name)
    yield call(os.rmdir, "moved")


def case_kept_descriptors_outlive_many(_):
    os.makedirs("a/b/c")
    write("a/b/c/f", b"kept")
    kept = os.open("a/b/c", os.O_PATH)
    os.mkdir("crowd")
    for i in range(5000):
        write("crowd/%d" % i, b"x")
    os.rename("a/b", "b")
    for i in range(5000):
        os.stat("crowd/%d" % i)
    fd = os.open("f", os.O_RDONLY, dir_fd=kept)
    yield os.read(fd, 10)
    os.close(fd)
    yield call(os.stat, "b/c/f").st_size
    os.close(kept)


def case_locks(_):
    write("f", b"x" * 100)
    first = os.open("f", os.O_RDWR)
    second = os.open("f", os.O_RDWR)
    yield call(fcntl.flock, first, fcntl.LOCK_SH | fcntl.LOCK_NB)
    yield call(fcntl.flock, second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    yield call(fcntl.flock, first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(second)
    yield call(fcntl.flock, first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(first)
    fd = os.open("f", os.O_RDWR)
    yield call(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)

    def other():
        mine = os.open("f", os.O_RDWR)
        found = [call(fcntl.lockf, mine, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
                 for length, start in ((5, 0), (1, 5), (1, 14), (1, 15), (0, 0))]
        asked = fcntl.fcntl(mine, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        return found + list(struct.unpack("hhqqi4x", asked)[:4])

    yield as_user(other, uid=0, gid=0)
    copy = os.open("f", os.O_RDONLY)
    os.close(copy)  # gives up all locks of the process
    yield as_user(other, uid=0, gid=0)
    read_only = os.open("f", os.O_RDONLY)
    yield call(fcntl.lockf, read_only, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield call(fcntl.lockf, read_only, fcntl.LOCK_SH | fcntl.LOCK_NB)
    # One that waits, for both kinds, until it gets it; and until a signal comes.
    for take in (fcntl.flock, fcntl.lockf):
        os.close(fd)
        fd = os.open("f", os.O_RDWR)
        take(fd, fcntl.LOCK_EX)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(fd)
            mine = os.open("f", os.O_RDWR)
            os.write(writer, b"waits")
            take(mine, fcntl.LOCK_EX)
            os.write(writer, b"has it")
            os._exit(0)
        yield os.read(reader, 10), call(take, fd, fcntl.LOCK_UN), os.read(reader, 10)
        os.waitpid(pid, 0)
        take(fd, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            os.close(fd)
            signal.signal(signal.SIGALRM, lambda *_: os._exit(7))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            take(os.open("f", os.O_RDWR), fcntl.LOCK_EX)
            os._exit(8)
        yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        yield call(take, fd, fcntl.LOCK_UN)
        # Whoever gave up waiting does not get it later.
        third = os.open("f", os.O_RDWR)
        yield call(fcntl.flock, third, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(third)


def case_space(_):
    found = os.statvfs(".")
    yield found.f_bsize, found.f_frsize, found.f_namemax


CASES = {name[5:]: function for name, function in globals().items() if name.startswith("case_")}


def run(case, directory):
    place = os.path.join(directory, case)
    os.mkdir(place)
    os.chdir(place)
    os.umask(0o022)
    seen = []
    try:
        for found in CASES[case](place):
            seen.append(found)
    except Exception as error:  # pylint: disable=broad-except
        seen.append("stopped by %r at line %d" % (error, error.__traceback__.tb_next.tb_lineno))
    os.chdir("/")
    return seen


def main():
    plain, mounted = sys.argv[1:3]
    wrong = 0
    for case in sys.argv[3:] or CASES:
        begin = time.monotonic()
        expected = run(case, plain)
        middle = time.monotonic()
        found = run(case, mounted)
        print("# %s: %.1f s, mounted %.1f s" % (case, middle - begin, time.monotonic() - middle))
        for index, (one, other) in enumerate(zip(expected, found)):
            if one != other:
                wrong = 1
                print("%s, step %d:\n  plain   %.600r\n  mounted %.600r" % (case, index, one, other))
        if len(expected) != len(found):
            wrong = 1
            print("%s: %d steps, mounted %d" % (case, len(expected), len(found)))
        if any(str(step).startswith("stopped by") for step in expected):
            wrong = 1
            print("%s: plain: %s" % (case, expected[-1]))
    sys.exit(wrong)


main()
