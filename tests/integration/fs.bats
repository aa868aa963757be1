load helper

# berth-fs as a guest sees it, but mounted on this machine: by the relay that the agent uses where
# there is no virtio-fs device.
setup_file() {
    [ "$(id -u)" = 0 ] || skip "mounts"
    [ -c /dev/fuse ] || skip "no /dev/fuse"
    [ -x "$BERTH_BUILD/berth-fs" ] || skip "built without microVMs"
}

setup() {
    source=$BATS_TEST_TMPDIR/source
    mnt=$BATS_TEST_TMPDIR/mnt
    mkdir -m 755 "$source" "$mnt"
    # Ordinary users of the tests have to come through.
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
}

teardown() {
    umount -l "$BATS_TEST_TMPDIR"/mnt* "$BATS_TEST_TMPDIR"/source "$BATS_TEST_TMPDIR"/source/inner 2> /dev/null || true
    wait_until 30 no_server_is_left
}

no_server_is_left() { ! pgrep -f "berth-fs.*$BATS_TEST_TMPDIR"; }

# Mounts the source: serve MOUNT-POINT [OPTIONS OF berth-fs]
serve() {
    local where=$1
    shift
    "$BERTH_BUILD/tests/payload/fs_mount" "$BERTH_BUILD/berth-fs" "$where" --root "$source" "$@" 3>&-
}

server_pid() { pgrep -f "berth-fs --socket-fd .*$source"; }

# Runs as an ordinary user without groups: as_user COMMAND...
as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }

@test "a program cannot tell the directory from a plain one" {
    mkdir "$BATS_TEST_TMPDIR/plain"
    serve "$mnt"
    run -0 python3 "$BATS_TEST_DIRNAME/fs_compare.py" "$BATS_TEST_TMPDIR/plain" "$mnt"
    # It is all there on the host, with the same owners and modes.
    diff <(cd "$BATS_TEST_TMPDIR/plain" && find . ! -type d -printf '%p %m %U %G %s %l\n' | sort) \
        <(cd "$source" && find . ! -type d -printf '%p %m %U %G %s %l\n' | sort)
}

@test "nor in the other cache modes" {
    local mode
    for mode in none always; do
        mkdir "$BATS_TEST_TMPDIR/plain-$mode" "$source/$mode"
        serve "$mnt" --cache "$mode"
        run -0 python3 "$BATS_TEST_DIRNAME/fs_compare.py" "$BATS_TEST_TMPDIR/plain-$mode" "$mnt/$mode" \
            modes owners set_id_bits_go times links names sparse renames open_and_removed data mapped permissions locks
        umount "$mnt"
    done
}

@test "what is read-only there cannot be changed, nor by another mount of it" {
    echo text > "$source/f"
    serve "$mnt" --read-only
    [ "$(cat "$mnt/f")" = text ]
    mount -i -o remount,rw "$mnt" # by the kernel: mount.fuse(8), where it is, knows no berth-fs
    for command in "touch $mnt/f" "rm $mnt/f" "mkdir $mnt/d" "mv $mnt/f $mnt/g" "chmod 600 $mnt/f" "chown 1 $mnt/f" \
        "ln $mnt/f $mnt/g" "ln -s x $mnt/l" "mkfifo $mnt/p" "truncate -s 0 $mnt/f"; do
        run -1 sh -c "$command"
        expect_text "Read-only file system"
    done
    [ "$(cat "$source/f")" = text ]
}

@test "locks hold between two mounts, and against the host" {
    mkdir "$BATS_TEST_TMPDIR/mnt2"
    echo > "$source/f"
    serve "$mnt"
    serve "$BATS_TEST_TMPDIR/mnt2"
    cat > "$BATS_TEST_TMPDIR/locks.py" << 'END'
import fcntl, os, sys, time
for kind, take in (("flock", fcntl.flock), ("fcntl", fcntl.lockf)):
    holder = os.open(sys.argv[1], os.O_RDWR)
    take(holder, fcntl.LOCK_EX)
    for other in sys.argv[2:]:
        fd = os.open(other, os.O_RDWR)
        if os.path.realpath(other) != os.path.realpath(sys.argv[1]):
            try:
                take(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                print(kind, "is not held against", other)
            except BlockingIOError:
                pass
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(holder)
            mine = os.open(other, os.O_RDWR)
            os.write(writer, b"w")
            take(mine, fcntl.LOCK_EX)
            os.write(writer, b"g")
            os._exit(0)
        os.read(reader, 1)
        os.set_blocking(reader, False)
        time.sleep(0.1)
        try:
            os.read(reader, 1)
            print(kind, "did not wait for", other)
        except BlockingIOError:
            pass
        os.set_blocking(reader, True)
        take(holder, fcntl.LOCK_UN)
        os.read(reader, 1)
        os.waitpid(pid, 0)
        take(holder, fcntl.LOCK_EX)
        os.close(fd)
    os.close(holder)
END
    run -0 timeout 60 python3 "$BATS_TEST_TMPDIR/locks.py" "$mnt/f" "$BATS_TEST_TMPDIR/mnt2/f" "$source/f"
    [ -z "$output" ]
    run -0 timeout 60 python3 "$BATS_TEST_TMPDIR/locks.py" "$source/f" "$mnt/f"
    [ -z "$output" ]
}

@test "what the host changes is seen, after a second at most" {
    echo one > "$source/f"
    serve "$mnt"
    [ "$(cat "$mnt/f")" = one ]
    echo another > "$source/f"
    echo new > "$source/g"
    mv "$source/f" "$source/h"
    wait_until 30 test ! -e "$mnt/f"
    [ "$(cat "$mnt/h" "$mnt/g")" = "another
new" ]
    umount "$mnt"
    serve "$mnt" --cache none
    [ "$(cat "$mnt/g")" = new ]
    echo newer still > "$source/g"
    [ "$(cat "$mnt/g")" = "newer still" ]
    rm "$source/g"
    [ ! -e "$mnt/g" ]
}

@test "a full disk says so, and what it took is there" {
    mount -t tmpfs -o size=1m,mode=755 none "$source"
    serve "$mnt"
    run ! dd if=/dev/zero of="$mnt/big" bs=64k count=100 status=none
    expect_text "No space left on device"
    [ "$(stat -c %s "$source/big")" = 1048576 ]
    run ! fallocate -l 10m "$mnt/other"
    expect_text "No space left on device"
    rm "$mnt/big"
    echo fits > "$mnt/other"
    [ "$(cat "$source/other")" = fits ]
    [ "$(stat -f -c '%b %S' "$mnt")" = "$(stat -f -c '%b %S' "$source")" ]
}

@test "a mount in the directory is seen with what is in it" {
    mkdir "$source/inner"
    mount -t tmpfs -o size=1m none "$source/inner"
    echo there > "$source/inner/f"
    touch "$source/outer"
    serve "$mnt"
    [ "$(cat "$mnt/inner/f")" = there ]
    run -1 ln "$mnt/outer" "$mnt/inner/link"
    expect_text "Invalid cross-device link"
    mv "$mnt/outer" "$mnt/inner/moved"
    [ -e "$source/inner/moved" ]
    run -1 rmdir "$mnt/inner"
    expect_text "busy"
}

@test "links of the host do not lead out, and swapping them in does not help" {
    echo secret > "$BATS_TEST_TMPDIR/secret"
    ln -s ../secret "$source/link"
    mkdir "$source/d"
    serve "$mnt"
    # The link is the guest's to follow: from where it is mounted.
    [ "$(readlink "$mnt/link")" = ../secret ]
    cat > "$BATS_TEST_TMPDIR/swap.py" << 'END'
import ctypes, os, sys, time
source, outside = sys.argv[1:]
end = time.monotonic() + 3
os.symlink(outside, source + "/other")
while time.monotonic() < end:
    ctypes.CDLL(None).renameat2(-100, (source + "/d").encode(), -100, (source + "/other").encode(), 2)
END
    python3 "$BATS_TEST_TMPDIR/swap.py" "$source" "$BATS_TEST_TMPDIR" 3>&- &
    local swapper=$! found=0 i
    for i in $(seq 300); do
        # With the link in place the caller's kernel follows it on its own machine, past the server.
        touch "$mnt/d/made-$i" 2> /dev/null || true
        [ "$(stat -c %F "$mnt/d" 2> /dev/null)" != directory ] || found=1
    done
    wait "$swapper"
    [ "$found" = 1 ]
    # What the server made is in the directory, under one of its names.
    [ -z "$(find "$source" -newer "$BATS_TEST_TMPDIR/secret" -name 'made-*' ! -path "$source/d/*" ! -path "$source/other/*")" ]
}

@test "device nodes are neither made nor opened" {
    serve "$mnt"
    run -1 mknod "$mnt/null" c 1 3
    expect_text "Operation not permitted"
    run -1 mknod "$mnt/disk" b 8 0
    mknod "$source/null" c 1 3
    [ "$(stat -c '%F %t:%T' "$mnt/null")" = "character special file 1:3" ]
    run -1 cat "$mnt/null"
    expect_text "Permission denied"
    mknod "$mnt/pipe" p
    mknod "$mnt/whiteout" c 0 0
}

@test "the server keeps few rights" {
    serve "$mnt"
    echo x > "$mnt/f"
    local pid
    pid=$(server_pid)
    grep -q "^NoNewPrivs:.*1$" "/proc/$pid/status"
    # Sanitizers make calls of their own.
    grep -q "^Seccomp:.*2$" "/proc/$pid/status" || grep -q __asan_init "$BERTH_BUILD/berth-fs"
    # CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID SETFCAP, of which none makes devices or reads by handle
    grep -q "^CapBnd:.*00000000800000db$" "/proc/$pid/status"
    grep -q "^CapEff:.*00000000800000db$" "/proc/$pid/status"
    # An ordinary user of a guest is one here for as long as his file is made.
    chmod 777 "$mnt"
    as_user sh -c "echo mine > $mnt/mine"
    [ "$(stat -c '%u %g' "$source/mine")" = "1000 1000" ]
    grep -q "^Uid:.*0.*0.*0.*0$" "/proc/$pid/status"
}

@test "when the server dies, the mount says so, and can be taken away" {
    serve "$mnt"
    echo x > "$mnt/f"
    kill -9 "$(server_pid)"
    wait_until 30 sh -c "! stat $mnt/f"
    run -1 stat "$mnt/f"
    expect_text "not connected"
    umount "$mnt"
    [ "$(cat "$source/f")" = x ]
}

@test "it is not for people" {
    run -1 "$BERTH_BUILD/berth-fs"
    expect_text "berth-fs: it is started by berth-vmm, not by hand"
    run -1 "$BERTH_BUILD/berth-fs" --socket-fd 0 --root /nowhere
    expect_text "berth-fs: open directory '/nowhere': No such file or directory"
    run -1 "$BERTH_BUILD/berth-fs" --socket-fd 0 --root / --cache sometimes
    expect_text "--cache: 'sometimes' is none of none, auto, always"
    run -1 "$BERTH_BUILD/berth-fs" --socket-fd 0 --root "$source" < <(head -c 100 /dev/zero)
    expect_text "the guest sent what is no FUSE message"
}
