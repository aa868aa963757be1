# What all integration tests share. Each file begins with `load helper`.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

# Fails with what a command printed when its output lacks a text.
expect_text() {
    [[ "$output" == *"$1"* ]] || {
        echo "expected '$1' in:"
        echo "$output"
        return 1
    }
}

expect_status() {
    [ "$status" = "$1" ] || {
        echo "expected status $1, got $status:"
        echo "$output"
        return 1
    }
}

# Every berth cgroup below the hierarchies, but the parent that containers share.
berth_cgroups() { find /sys/fs/cgroup -mindepth 2 -type d -path '*/berth/*' 2> /dev/null; }

# The mounts of this machine, without what they share with others.
mounts() { cut -d ' ' -f 3-5 /proc/self/mountinfo | sort; }

# A picture of everything that a container could leave behind, to be compared.
picture() {
    mounts
    echo "links $(ls /sys/class/net | wc -l)"
    berth_cgroups
    find "$BERTH_RUN" -mindepth 1 ! -path '*/.*' | sort
    (cd "$BERTH_DATA" && find containers container-names staging trash volumes -mindepth 1 -maxdepth 1 2> /dev/null | sort)
    pgrep -r S,R,D -f "berth-monitor $BERTH_DATA" | sort || true
    lsns -t net -n -o NS 2> /dev/null | sort -u | wc -l
}

is_picture() { [ "$(picture)" = "$1" ]; }

# Fails with the difference when something is other than in a picture, and stays so: a monitor may
# still be about to end, and what else runs on the machine may just have had a mount or a network.
expect_picture() { wait_until 20 is_picture "$1" > /dev/null || diff <(echo "$1") <(picture); }

# needs_root REASON: the tests of berth-oci are run by an ordinary user too.
needs_root() { [ "$(id -u)" = 0 ] || skip "$1"; }

# Waits until a condition holds: wait_until SECONDS COMMAND...
# Where a processor is emulated more patience is asked for: a test machine, or a microVM.
wait_until() {
    local slower=${BERTH_TEST_PATIENCE:-1}
    [ -z "${BERTH_ISOLATION:-}" ] || slower=$((slower * 6))
    local end=$((SECONDS + $1 * slower))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || {
            echo "not within the time: $*"
            return 1
        }
        sleep 0.05
    done
}

# Removes containers that a failed test left, so that the next one begins clean.
remove_all() {
    local ids
    ids=$(berth ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rm -f -v $ids > /dev/null
}

# A test with a DATA of its own gets the suite's kernels for microVMs.
lend_kernels() {
    [ ! -d "$BERTH_TEST_DATA/data/kernels" ] || [ -d "$BERTH_DATA/kernels" ] ||
        cp -al "$BERTH_TEST_DATA/data/kernels" "$BERTH_DATA/" 2> /dev/null ||
        cp -a "$BERTH_TEST_DATA/data/kernels" "$BERTH_DATA/" # in a test machine, from another file system
}

# Also nobody is emptying it any more.
trash_is_empty() { [ -z "$(ls "$BERTH_DATA/trash" 2> /dev/null)" ] && [ ! -e "$BERTH_DATA/staging/trash.lock" ]; }
# Deleting is of low priority: on a busy machine it takes as long as it takes. A test's own time ends
# what never ends.
wait_trash() { wait_until 250 trash_is_empty; }

# The process of a program that parses hostile bytes is nobody's, has no capability, a filter, three
# descriptors (nothing that its callers had open) and no variable: expect_no_rights PID PROGRAM
expect_no_rights() {
    local seccomp=2
    # With the sanitizers there is no filter.
    ! grep -q __asan_init "$BERTH_BUILD/$2" || seccomp=0
    run -0 sh -c "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|NoNewPrivs|Seccomp):' /proc/$1/status | tr -s '\t ' ' ' | sed 's/ \$//'"
    [ "$output" = "Uid: 65534 65534 65534 65534
Gid: 65534 65534 65534 65534
Groups:
CapPrm: 0000000000000000
CapEff: 0000000000000000
NoNewPrivs: 1
Seccomp: $seccomp" ]
    [ "$(ls "/proc/$1/fd" | tr "\n" " ")" = "0 1 2 " ]
    [ "$(tr -d '\0' < "/proc/$1/environ" | wc -c)" = 0 ]
}

# What a server on a port of this machine sends: read_port PORT
read_port() { python3 -c 'import socket, sys; print(socket.create_connection(("127.0.0.1", int(sys.argv[1]))).recv(99).decode(), end="")' "$1"; }

# A port on which nobody listens, and that the kernel gives to no connection of its own accord.
free_port() {
    python3 -c '
import random, socket
while True:
    port = random.randrange(10000, 32768)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break'
}

# Holds a lock as a command that is at work does, until release_lock: hold_lock FILE
hold_lock() {
    python3 -c '
import fcntl, os, signal, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
open(sys.argv[2], "w").close()
signal.pause()' "$1" "$BATS_TEST_TMPDIR/lock-is-held" 3>&- &
    lock_holder=$!
    wait_until 20 test -e "$BATS_TEST_TMPDIR/lock-is-held"
}
release_lock() {
    rm "$BATS_TEST_TMPDIR/lock-is-held"
    kill "$lock_holder"
    wait "$lock_holder" || true
}
# Whether a process has a file open, as who waits for a lock: has_open PID FILE
has_open() { find "/proc/$1/fd" -lname "$2" | grep -q .; }

is_running() { [ "$(berth inspect --format '{{.State.Running}}' "$1")" = true ]; }
is_gone() { ! berth inspect "$1" > /dev/null 2>&1; }
field() { berth inspect --format "{{$2}}" "$1"; }

# An OCI layout with one image of twenty files, made by other people's tool: make_layout DIR TAG
make_layout() {
    umoci init --layout "$1" 2> /dev/null
    umoci new --image "$1:$2" 2> /dev/null
    mkdir -p "$1.root/bin" "$1.root/data"
    cp /bin/busybox "$1.root/bin/busybox"
    ln -s busybox "$1.root/bin/sh"
    ln -s busybox "$1.root/bin/true"
    for _n in 1 2 3 4 5 6 7 8 9; do head -c 300000 /dev/urandom > "$1.root/data/$_n"; done
    umoci insert --image "$1:$2" "$1.root" / 2> /dev/null
    umoci config --image "$1:$2" --config.cmd sh 2> /dev/null
}

# --- bundles for berth-oci ------------------------------------------------------------------------

# Makes a bundle in BUNDLE, for run state in ROOT. Its root has some of busybox's programs, or, when
# none is named, all of them, with the files of its image: make_bundle [PROGRAM...]
make_bundle() {
    local name
    export ROOT="$BATS_TEST_TMPDIR/root" BUNDLE="$BATS_TEST_TMPDIR/bundle"
    mkdir -p "$BUNDLE/rootfs/bin"
    if [ $# = 0 ] && [ "$(id -u)" != 0 ]; then
        # There are no layers to take it from.
        cp "$(command -v busybox)" "$BUNDLE/rootfs/bin/busybox"
        "$BUNDLE/rootfs/bin/busybox" --install "$BUNDLE/rootfs/bin"
    elif [ $# = 0 ]; then
        berth image inspect busybox > /dev/null
        cp -a "$(find "$BERTH_DATA/layers" -path '*/fs/bin/busybox' | head -1 | xargs dirname | xargs dirname)/." "$BUNDLE/rootfs/"
    else
        cp "$(command -v busybox)" "$BUNDLE/rootfs/bin/busybox"
        for name; do ln -s busybox "$BUNDLE/rootfs/bin/$name"; done
    fi
    berth-oci spec -b "$BUNDLE"
    configure '.process.terminal = false'
}

# Changes config.json: configure [OPTION OF JQ...] FILTER
configure() { jq "$@" "$BUNDLE/config.json" > "$BUNDLE/new" && mv "$BUNDLE/new" "$BUNDLE/config.json"; }

# A network namespace NETWORK with an interface "inside", 10.77.8.2; its other end is here, 10.77.8.1.
make_network() {
    NETWORK=berth-test-$$
    ip netns add "$NETWORK"
    ip -n "$NETWORK" link add inside type veth peer name berth-test
    ip -n "$NETWORK" link set berth-test netns $$
    ip -n "$NETWORK" address add 10.77.8.2/24 dev inside
    ip -n "$NETWORK" link set inside up
    ip address add 10.77.8.1/24 dev berth-test
    ip link set berth-test up
}
remove_network() { [ -z "${NETWORK:-}" ] || ip netns delete "$NETWORK"; }
# The bundle is in it.
use_network() {
    configure --arg path "/run/netns/$NETWORK" \
        '(.linux.namespaces[] | select(.type == "network")).path = $path'
}

# The program of the container is a script: runs SCRIPT
runs() { configure --arg script "$1" '.process.args = ["sh", "-c", $script]'; }

# With a user namespace, in which 65536 ids from 100000 on are known; the first owns the root.
map_root() {
    configure '.linux.namespaces += [{type: "user"}] |
        .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] |
        .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs"
}

# berth-oci with this test's ROOT; a file that sets OCI_SECONDS has it killed after these.
oci() { ${OCI_SECONDS:+timeout -s KILL "$OCI_SECONDS"} berth-oci --root "$ROOT" "$@"; }

start_detached() { oci run -d -b "$BUNDLE" "$1" < /dev/null > /dev/null 2>&1; }

delete_containers() {
    local id
    for id in $(oci list -q); do oci delete -f "$id"; done
}

# --- the kernel's files of the cgroup GROUP, such as berth/ID, in whatever layout this machine has ---

# Path of the first of the files that is here: kernel_file V1-NAME [V2-NAME]
kernel_file() {
    local name path
    for name; do
        for path in "/sys/fs/cgroup/$GROUP/$name" /sys/fs/cgroup/*/"$GROUP/$name"; do
            [ ! -e "$path" ] || { echo "$path" && return 0; }
        done
    done
    return 1
}

needs() { kernel_file "$@" > /dev/null || skip "no $1 and no ${2:-$1} on this view of the cgroups"; }
value() { cat "$(kernel_file "$@")"; }

# Fails unless a file says so: expect_value VALUE V1-NAME [V2-NAME]
expect_value() {
    local found
    found=$(value "${@:2}")
    [ "$found" = "$1" ] || {
        echo "expected $1 in $2, found $found"
        return 1
    }
}
