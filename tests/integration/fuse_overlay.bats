load helper

# Containers whose root is a mount by fuse-overlayfs: chosen on a file system that takes no overlay,
# and everywhere when asked for.

setup() {
    needs_root "an overlay is mounted"
    cd "$BATS_TEST_TMPDIR" || return
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    ordinary=$BERTH_DATA
    export BERTH_STORAGE_DRIVER=fuse-overlayfs
}

teardown() {
    remove_all
    no_program
    [ "$(grep -c fuse-overlayfs /proc/mounts)" = 0 ]
    ! mountpoint -q place || umount place
}

# Of containers in this test's directories, or the suite's.
programs() { pgrep -r R,S,D,T -f "^/usr/bin/fuse-overlayfs .*upperdir=$BERTH_DATA/"; }
no_program() { ! programs; }

# From here on the store is on an overlay.
use_overlay() {
    mkdir lower upper work place
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work place
    export BERTH_DATA=$PWD/place/data BERTH_RUN=$PWD/run
    unset BERTH_STORAGE_DRIVER
    berth --data "$ordinary" save -o busybox.tar busybox
    berth load -q -i busybox.tar
}

# Files of a container of that image, but for those that each one has of its own, and for the root,
# whose time may be that of its start. Links are not counted: programs make different things of them.
list() {
    berth run --rm "$1" sh -c 'cd /; find . -xdev ! -path . ! -path "./etc*" ! -path "./[dps][ery][vos]*" | sort | xargs stat -c "%n %f %u %g %Y"'
}

# An image of two layers in which no file has two names.
load_rich() {
    python3 -c "from oci_image import *
l = Layout()
l.image('rich:1', [busybox(), tar([directory(n) for n in ('etc/', 'home/', 'tmp/', 'usr/', 'usr/bin/', 'var/', 'var/log/', 'opt/', 'opt/a/', 'opt/b/')] +
    [file(n) for n in ('etc/passwd', 'etc/group', 'usr/cat', 'usr/ls', 'usr/bin/env', 'usr/bin/x', 'var/log/y', 'opt/a/1', 'opt/b/2', 'opt/c')]),
    tar([file('opt/.wh.gone'), file('usr/bin/x', 'other'), file('opt/a/.wh.1')])])
l.write('rich.tar')"
    berth load -q -i rich.tar
}

@test "where no overlay can be mounted, fuse-overlayfs takes its place, and info says why" {
    use_overlay
    run -0 berth info
    expect_text "Storage Driver: fuse-overlayfs"
    expect_text "as no overlay can be used: mount one above files of '$BERTH_DATA'"
    # Layers that hide what is below have marks of berth's own there, and those of this program.
    python3 -c "from oci_image import *
l = Layout()
l.image('two:1', [busybox(), tar([directory('d/'), file('d/one'), directory('e/'), file('e/two'), file('f'), file('g')]),
    tar([directory('d/'), file('d/.wh.one', ''), directory('e/'), file('e/.wh..wh..opq', ''), file('e/new'), file('.wh.f', ''),
        file('.wh.g', ''), file('g', 'again')])])
l.write('two.tar')"
    berth load -q -i two.tar
    run -0 berth run --rm two:1 cat /proc/mounts
    expect_text "fuse-overlayfs / fuse.fuse-overlayfs rw,"
    [ "$(berth run --rm two:1 sh -c 'echo /d/* /e/* /f* /g; cat /g')" = "/d/* /e/new /f* /g
again" ]
    berth run --name cc -v vol:/d -u 0 two:1 sh -c 'echo x > /new; rm -r /usr/bin 2> /dev/null; mkdir -p /usr/bin; rm -r /e; mkdir /e; echo y > /f; rm /bin/cat'
    [ "$(field cc .GraphDriver.Name)" = fuse-overlayfs ]
    run -0 berth diff cc
    [ "$output" = "C /bin
D /bin/cat
C /e
D /e/new
A /f
A /new
A /usr
A /usr/bin" ]
    # What is made of it has the same files for every driver.
    berth commit cc mine:1 > /dev/null
    list mine:1 > served
    BERTH_STORAGE_DRIVER=copies list mine:1 > copied
    diff served copied
    grep -q '^./f ' served
    run ! grep '^./e/\|^./bin/cat\|/\.wh\.' served
    # Several names of one file are what it mixes up: so such an image is copied.
    berth run --name copied busybox true
    [ "$(field copied .GraphDriver.Name)" = copies ]
    run -125 berth run --rm --userns auto two:1 true
    expect_text "--userns: ids cannot be mapped where containers get their root by fuse-overlayfs"
    run -0 berth system check
    expect_text "defects: 0"
}

@test "a container's changes are the same as above the kernel's overlay" {
    local driver
    load_rich
    for driver in overlayfs fuse-overlayfs; do
        export BERTH_STORAGE_DRIVER=$driver
        berth run --name cc -v vol:/mnt/volume rich:1 sh -c 'echo x > /new; rm -r /usr/bin; mkdir /usr/bin; touch /usr/bin/env
            chmod 700 /home; rm /usr/cat; mv /var /moved; mkdir -p /a/b/c; touch /a/b/c/f; ln /new /also; mv /new /newer
            mv /usr/ls /usr/list; rm -r /tmp; echo > /tmp; mkdir /gone; touch /gone/f; rm -r /gone; mkdir /etc/d; chown 5:6 /etc/passwd
            rm -r /opt/a; mv /opt/b /opt/a; echo y >> /etc/group; ln -s x /usr/link; rm /opt/c; mkdir /opt/c'
        berth diff cc > "diff.$driver"
        berth export cc | tar -tv | awk '{ print $1, $2, $3, $6, $7, $8 }' | sort > "export.$driver"
        berth commit cc "mine:$driver" > /dev/null
        berth rm -v cc
        BERTH_STORAGE_DRIVER=overlayfs list "mine:$driver" | sed 's/ [0-9]*$//' > "list.$driver"
    done
    berth rmi mine:overlayfs mine:fuse-overlayfs rich:1 > /dev/null
    [ "$(grep -c '^[ACD] ' diff.overlayfs)" -gt 30 ]
    [ "$(wc -l < list.overlayfs)" -gt 40 ]
    diff diff.overlayfs diff.fuse-overlayfs
    diff export.overlayfs export.fuse-overlayfs
    diff list.overlayfs list.fuse-overlayfs
}

@test "files of containers that run, stand still and start again are one container's" {
    berth run -d --name cc --restart no busybox sh -c 'cat /put 2> /dev/null; exec sleep 1000' > /dev/null
    echo hello > file
    berth cp file cc:/put
    berth exec cc sh -c 'cat /put; rm /bin/ls; exec 3> /open; echo more >&3; cp /bin/busybox /big'
    [ "$(berth cp cc:/put - | tar -xO)" = hello ]
    berth pause cc > /dev/null
    [ "$(berth diff cc | grep -c '^[AD] /\(put\|open\|big\|bin/ls\)$')" = 4 ]
    berth unpause cc > /dev/null
    berth stop -t 1 cc > /dev/null
    no_program
    berth cp cc:/open - | tar -xO | grep -qx more
    echo changed > file
    berth cp file cc:/put
    no_program
    berth start cc > /dev/null
    wait_until 20 eval '[ "$(berth logs cc | tail -n 1)" = changed ]'
    [ "$(berth exec cc sh -c 'ls / 2>&1; cmp /big /bin/busybox && echo same' | tail -1)" = same ]
    [ "$(berth exec -u nobody cc sh -c 'id -u; echo x > /put' 2>&1 | head -1)" != 0 ]
    run -1 berth checkpoint cc
    expect_text "has its root by fuse-overlayfs, which cannot be saved"
    run -0 berth system df
    berth rm -f cc
}

@test "the program ends with its container, and the container with it" {
    berth run -d --name cc busybox sleep 1000 > /dev/null
    berth exec cc sh -c 'echo kept > /file'
    kill -9 "$(programs)"
    wait_until 20 eval '[ "$(field cc .State.Status)" = exited ]'
    [ "$(field cc .State.ExitCode)" = 137 ]
    [ "$(field cc .State.Error)" = "the container's root was lost with fuse-overlayfs: it was ended by signal 9" ]
    [ "$(berth diff cc)" = "A /file" ]
    berth start cc > /dev/null
    [ "$(berth exec cc cat /file)" = kept ]
    # With its maker as well; what was written is there.
    berth exec cc sh -c 'echo more >> /file'
    kill -9 "$(ps -o ppid= -p "$(programs)" | tr -d ' ')"
    wait_until 20 no_program
    [ "$(berth ps -q)" = "" ]
    berth start cc > /dev/null
    [ "$(berth exec cc cat /file)" = "kept
more" ]
    berth kill cc > /dev/null
    wait_until 20 no_program
    run -0 berth run --rm busybox sh -c 'exit 0'
    no_program
}

@test "it holds no right that files do not need, and is outside of the container's cgroup" {
    local pid
    berth run -d --name cc -m 32m busybox sleep 1000 > /dev/null
    pid=$(programs)
    # chown, dac_*, fowner, fsetid, mknod, sys_admin for attributes "trusted.", setfcap
    [ "$(awk '/^Cap(Prm|Eff|Bnd)/ {print $2}' "/proc/$pid/status" | sort -u)" = 000000008820001f ]
    [ "$(awk '/^NoNewPrivs/ {print $2}' "/proc/$pid/status")" = 1 ]
    run ! grep "$(field cc .Id)" "/proc/$pid/cgroup"
    run ! grep fuse-overlayfs "/proc/$pid/mounts"
}

@test "its program reaches the layers to read, the container's own files, and nothing else" {
    local version
    version=$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')
    [ "$version" -ge 2 ] || skip "no Landlock of version 2 here"
    # In its place a shell, which has no other program at hand.
    echo "#!/bin/sh
host='$PWD'" > program
    cat >> program <<'EOF'
own=${3#*upperdir=} own=${own%/upper,*} lower=${3#lowerdir=} lower=${lower%%[:,]*}
said=
can() { if (eval "$2") 2> /dev/null; then said="$said $1"; fi; }
can read-layer 'read line < "$lower/etc/passwd" && [ "$(echo "$lower"/bin/*)" != "$lower/bin/*" ]'
can write-upper ': > "$own/upper/made" && : > "$own/work/made"'
can write-layer ': >> "$lower/etc/passwd"'
can read-record ': < "$own/container.json"'
can make-record ': > "$own/made"'
can list-store '[ "$(echo "$own"/*)" != "$own/*" ]'
can read-host 'read line < /etc/passwd'
can write-host ': > "$host/made"'
can read-proc 'read line < "/proc/$PPID/comm"'
can write-program ': >> /usr/bin/fuse-overlayfs'
can open-fuse ': < /dev/fuse'
echo "it can$said" >&2
exit 1
EOF
    chmod 755 program
    # shellcheck disable=SC2016 # the inner shell's arguments
    run -125 unshare -m sh -c 'mount --bind program /usr/bin/fuse-overlayfs && berth run --rm busybox true'
    [ "$output" = "berth: fuse-overlayfs: it can read-layer write-upper" ]
}

@test "a driver that is unknown or cannot be used is refused" {
    run -125 env BERTH_STORAGE_DRIVER=zfs berth run --rm busybox true
    expect_text "BERTH_STORAGE_DRIVER: unknown 'zfs': take overlayfs, fuse-overlayfs or copies"
    # shellcheck disable=SC2016 # the inner shell's arguments
    run -125 unshare -m sh -c 'mount --bind /etc/passwd /usr/bin/fuse-overlayfs && berth run --rm busybox true'
    expect_text "BERTH_STORAGE_DRIVER: fuse-overlayfs is not installed"
    berth create --name cc busybox true > /dev/null
    # shellcheck disable=SC2016
    run -1 unshare -m sh -c 'mount --bind /etc/passwd /usr/bin/fuse-overlayfs && berth start -a cc'
    expect_text "the container's root is fuse-overlayfs's, which is not installed"
    use_overlay
    run -125 env BERTH_STORAGE_DRIVER=overlayfs berth run --rm busybox true
    expect_text "BERTH_STORAGE_DRIVER: no overlay can be used: mount one above"
}
