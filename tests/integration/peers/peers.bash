# What the tests with existing engines share. Each file is one peer: it starts the peer's server, if
# there is one, with folders of its own below PEER, and stops it. PEER_CGROUPS says by which words
# the peer's cgroups are known. Packages come from scripts/check --integration-peers.
# shellcheck shell=bash

load ../helper

# A container's root with busybox and what the tests run in it: make_root DIR
make_root() {
    mkdir -p "$1"/{bin,etc,tmp,root,proc,sys,dev}
    cp /bin/busybox "$1/bin/"
    for _name in $(/bin/busybox --list); do
        [ "$_name" = busybox ] || ln -s busybox "$1/bin/$_name"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' > "$1/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' > "$1/etc/group"
    echo 'not a program' > "$1/bin/not-executable"
    printf 'garbage\0\1' > "$1/bin/not-a-program"
    chmod +x "$1/bin/not-a-program"
}

# Everything of this peer that a container could leave behind.
peer_picture() {
    grep -F "$PEER" /proc/self/mountinfo || true
    ip -o link | sed 's/^[0-9]*: \([^@:]*\).*/link \1/' | grep -v 'link \(veth\|eth\)' || true
    ls /run/netns /run/docker/netns 2> /dev/null || true
    find /sys/fs/cgroup -mindepth 2 -type d 2> /dev/null | grep -E "/$NAME(/|\$)${PEER_CGROUPS:+|$PEER_CGROUPS}" | sort || true
    peer_processes
}

# Processes that were started with this peer's folder in their environment.
peer_processes() {
    local file pid
    for file in /proc/[0-9]*/environ; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        grep -qzF "BERTH_PEER_SERVER=$PEER" "$file" 2> /dev/null &&
            tr '\0' ' ' < "/proc/$pid/cmdline" && echo
    done
    return 0
}

# The lines of README.md that match a regular expression, with our program and folders in them.
readme_lines() {
    grep -E "$1" "$BATS_TEST_DIRNAME/../../../README.md" |
        sed "s#/usr/local/bin/berth-oci#$OCI#; s#/run/berth-slurm#$PEER/run#"
}

# The peer's folder is short: paths of unix sockets are limited to 107 bytes.
peer_begin() {
    PEER=$(mktemp -d /tmp/berth-peer.XXXXXX)
    OCI=${BERTH_BUILD:-$PWD/build-check}/berth-oci
    NAME=${PEER##*/}
    export PEER OCI NAME
    peer_picture > "$PEER/before"
}

# Compares, and removes the folder. Kernel and servers may need a moment for the last of it.
peer_end() {
    local end=$((SECONDS + 20))
    until peer_picture | diff "$PEER/before" - > "$PEER.diff"; do
        [ $SECONDS -lt $end ] || {
            echo "left behind:"
            cat "$PEER.diff"
            rm -f "$PEER.diff"
            return 1
        }
        sleep 0.2
    done
    rm -rf "$PEER" "$PEER.diff"
}

# peer_server PROGRAM...: starts it in the background, with its output in PEER/server.log.
peer_server() {
    BERTH_PEER_SERVER=$PEER "$@" > "$PEER/server.log" 2>&1 3>&- &
    echo $! > "$PEER/server.pid"
}

peer_server_stop() {
    local pid
    [ -f "$PEER/server.pid" ] || return 0
    pid=$(cat "$PEER/server.pid")
    kill "$pid" 2> /dev/null || return 0
    wait_until 30 bash -c "! kill -0 $pid"
}

# podman with its folders in the peer's.
podman() {
    CONTAINERS_CONF=$PEER/containers.conf BERTH_PEER_SERVER=$PEER command podman \
        --root "$PEER/store" --runroot "$PEER/run" --tmpdir "$PEER/tmp" --storage-driver vfs "$@"
}

# Writes podman's configuration, with more lines for [engine]: configure_podman LINES
configure_podman() {
    # Ulimits are named, for podman's own exceed what a small machine allows.
    cat > "$PEER/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
[engine]
events_logger = "file"
$1
EOF
}

# Removes its containers' images, its store and what it keeps for the next container.
remove_podman() {
    podman rmi -a -f > /dev/null
    remove_cgroups libpod_parent
    # Stays with the store, for every layer's sake.
    umount "$PEER/store/overlay" 2> /dev/null || true
}

start_containerd() {
    cat > "$PEER/config.toml" <<EOF
version = 2
root = "$PEER/root"
state = "$PEER/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "$PEER/containerd.sock"
[ttrpc]
address = "$PEER/ttrpc.sock"
EOF
    peer_server containerd -c "$PEER/config.toml"
    wait_until 30 ctr version
}

ctr() { BERTH_PEER_SERVER=$PEER command ctr -a "$PEER/containerd.sock" "$@"; }

# In place of `ctr run`, for tasks of the image in IMAGE; with the options in CTR_OPTIONS:
# ctr_run [OPTION...] ID COMMAND...
ctr_run() {
    local options=()
    while [[ $1 == -* ]]; do
        options+=("$1")
        shift
    done
    ctr run --runc-root "$PEER/runc" --cgroup "/$NAME/$1" "${CTR_OPTIONS[@]}" "${options[@]}" "$IMAGE" "$@"
}

task_status() { ctr task ls | awk -v id="$1" '$1 == id { print $3 }'; }
is_stopped() { [ "$(task_status "$1")" = STOPPED ]; }

remove_tasks() {
    local id
    for id in $(ctr container ls -q); do
        ctr task delete --force "$id" > /dev/null 2>&1 || true
        ctr container rm "$id"
    done
}

# An image as an archive of the OCI layout: make_oci_archive ROOT FILE
make_oci_archive() {
    umoci init --layout "$2.layout" 2> /dev/null
    umoci new --image "$2.layout:box" 2> /dev/null
    umoci insert --image "$2.layout:box" "$1" / 2> /dev/null
    umoci config --image "$2.layout:box" --config.cmd sh 2> /dev/null
    tar -C "$2.layout" -cf "$2" .
    rm -rf "$2.layout"
}

# Removes the cgroups of a parent that the peer keeps for its next container, when the last of its
# processes are gone.
remove_cgroups() { wait_until 20 try_remove_cgroups "$1"; }
try_remove_cgroups() {
    local found=(find /sys/fs/cgroup -depth -mindepth 2 -type d "(" -name "$1" -o -path "*/$1/*" ")")
    # podman takes every folder there for a hierarchy, also one where nothing is mounted.
    find /sys/fs/cgroup -xdev -mindepth 2 -path "*/$1/*" -type f -delete
    "${found[@]}" -exec rmdir {} + 2> /dev/null
    [ -z "$("${found[@]}" 2> /dev/null)" ]
}

# Runs a command on a terminal of 33 lines and 77 columns, types a line, and ends with its status:
# on_terminal LINE COMMAND...
on_terminal() {
    local line=$1
    shift
    LINE=$line expect -f - -- "$@" <<'EOF'
set timeout [expr {30 * ([info exists env(BERTH_TEST_PATIENCE)] ? $env(BERTH_TEST_PATIENCE) : 1)}]
spawn -noecho {*}[lrange $argv 0 end]
stty rows 33 columns 77 < $spawn_out(slave,name)
expect "ready"
send "$env(LINE)\r"
expect eof
exit [lindex [wait] 3]
EOF
}

# What a test machine takes, once: prepare_machine TESTVM-OPTION... Skips where there can be none.
prepare_machine() {
    run "$BATS_TEST_DIRNAME/../../testvm/testvm" "$@" --prepare
    # shellcheck disable=SC2154 # status, output: from run
    [ "$status" != 77 ] || skip "$output"
    [ "$status" = 0 ] || { echo "$output"; return 1; }
}
