load ../../helper

# Checkpoint and restore by the real CRIU; peers/checkpoint.bats runs it in a machine whose kernel
# CRIU knows. Emulated processors are slow: a restore takes seconds.

setup() {
    OCI=${BERTH_BUILD:?}/berth-oci
    ROOT=$BATS_TEST_TMPDIR/run BUNDLE=$BATS_TEST_TMPDIR/bundle VOLUME=$BATS_TEST_TMPDIR/volume
    OUT=$BATS_TEST_TMPDIR/out
    mkdir -p "$VOLUME"
    mkdir -p "$BUNDLE/rootfs/bin"
    cp /bin/busybox "$BUNDLE/rootfs/bin/"
    for name in sh cat sleep seq ifconfig wc; do ln -s busybox "$BUNDLE/rootfs/bin/$name"; done
    # A bind below a link: CRIU has to know it by the path behind.
    mkdir -p "$BUNDLE/rootfs/real"
    ln -s real "$BUNDLE/rootfs/data"
    "$OCI" spec -b "$BUNDLE"
    # It counts into a volume and to its output.
    configure '.process.terminal = false | .process.args = ["sh", "-c",
        "i=0; while :; do i=$((i + 1)); echo $i > /data/count; echo line $i; sleep 0.1; done"]
        | .mounts += [{ destination: "/data", type: "bind", source: $volume, options: ["rbind", "rw"] }]' \
        --arg volume "$VOLUME"
    before=$(left)
}

teardown() {
    local id
    for id in $(oci list -q); do oci delete -f "$id"; done
    [ "$(left)" = "$before" ] || diff <(echo "$before") <(left)
}

configure() {
    jq "$@" "$BUNDLE/config.json" > "$BUNDLE/new"
    mv "$BUNDLE/new" "$BUNDLE/config.json"
}
left() {
    wc -l < /proc/self/mountinfo
    find /sys/fs/cgroup -mindepth 1 -type d
    ls "$ROOT" 2> /dev/null || true
}
oci() { "$OCI" --root "$ROOT" "$@"; }
oci_status() { oci state "$1" | jq -r .status; }
count() { cat "$VOLUME/count"; }
counts_on() {
    local start
    start=$(count)
    wait_until 20 bash -c "[ \$(cat $VOLUME/count) -gt $((start + 3)) ]"
}
# Its streams outlive the commands; files have to be as they were.
start() { oci run -d -b "$BUNDLE" "$1" < /dev/null >> "$OUT" 2>&1 3>&-; }
restore() { oci restore -d -b "$BUNDLE" "$@" < /dev/null >> "$OUT" 2>&1 3>&-; }

# It goes on where it was: no number is left out and none comes twice.
goes_on() {
    wait_until 20 test -s "$VOLUME/count"
    counts_on
    cp "$OUT" "$OUT.now" # it grows
    diff <(seq "$(tail -1 "$OUT.now" | cut -d' ' -f2)") <(cut -d' ' -f2 "$OUT.now")
}

@test "a container goes on where it was" {
    start one
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    run -1 oci state one
    [ "$(left)" = "$before" ]
    restore --image-path "$BATS_TEST_TMPDIR/image" --pid-file "$BATS_TEST_TMPDIR/pid" one
    goes_on
    [ "$(oci_status one)" = running ]
    [ "$(oci state one | jq .pid)" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    [ "$(cat /sys/fs/cgroup/one/cgroup.procs | head -1)" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    # As it was made: its own cgroup, network and masks.
    run -0 oci exec one cat /proc/self/cgroup 3>&-
    [ "$output" = 0::/ ]
    run -0 oci exec one ifconfig lo
    expect_text 'UP LOOPBACK'
    run -0 oci exec one wc -c /proc/kcore
    expect_text '0 /proc/kcore'
    oci kill one KILL
    wait_until 30 bash -c "[ \$($OCI --root $ROOT state one | jq -r .status) = stopped ]"
    oci delete one
}

@test "a paused container is checkpointed, and stays paused when it goes on" {
    start one
    counts_on
    oci pause one
    oci checkpoint --leave-running --image-path "$BATS_TEST_TMPDIR/image" one
    [ "$(oci_status one)" = paused ]
    oci resume one
    counts_on
}

@test "--leave-running lets it run" {
    start one
    counts_on
    oci checkpoint --leave-running --image-path "$BATS_TEST_TMPDIR/image" \
        --work-path "$BATS_TEST_TMPDIR/work" one
    [ "$(oci_status one)" = running ]
    counts_on
    [ -f "$BATS_TEST_TMPDIR/work/dump.log" ]
    [ ! -e "$BATS_TEST_TMPDIR/image/dump.log" ]
}

@test "a dump after a pre-dump is restored, under another name" {
    start one
    counts_on
    oci checkpoint --pre-dump --image-path "$BATS_TEST_TMPDIR/before" one
    counts_on
    oci checkpoint --parent-path ../before --image-path "$BATS_TEST_TMPDIR/image" one
    [ "$(readlink "$BATS_TEST_TMPDIR/image/parent")" = ../before ]
    restore --image-path "$BATS_TEST_TMPDIR/image" two
    goes_on
    [ -d /sys/fs/cgroup/two ] && [ ! -e /sys/fs/cgroup/one ]
}

@test "in the foreground the status is the program's, and pipes are connected" {
    (oci run -b "$BUNDLE" one < /dev/null 2> /dev/null 3>&- | cat > "$OUT.first") &
    local reader=$! # a wait for all would wait for bats' own clock, too
    wait_until 20 test -s "$VOLUME/count"
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    wait "$reader"
    grep -q '"pipe:' "$BATS_TEST_TMPDIR/image/descriptors.json"
    local last
    last=$(tail -1 "$OUT.first" | cut -d' ' -f2)
    (oci restore -b "$BUNDLE" --image-path "$BATS_TEST_TMPDIR/image" one < /dev/null 3>&- ||
        echo "status $?") 2> /dev/null | cat > "$OUT.second" &
    reader=$!
    wait_until 60 grep -q "line $((last + 5))" "$OUT.second"
    oci kill one KILL
    wait "$reader"
    [ "$(head -1 "$OUT.second")" = "line $((last + 1))" ]
    [ "$(tail -1 "$OUT.second")" = 'status 137' ]
}

@test "a terminal goes to the console socket again" {
    configure '.process.terminal = true'
    cat > "$BATS_TEST_TMPDIR/receive.py" <<'EOF'
import array, os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(4)
def copy(fd):
    with open(sys.argv[2], 'ab', buffering=0) as out:
        out.write(b'[terminal]\n')
        try:
            while (got := os.read(fd, 4096)):
                out.write(got)
        except OSError:
            pass
while True:
    _, ancillary, _, _ = server.accept()[0].recvmsg(4096, socket.CMSG_LEN(4))
    threading.Thread(target=copy, args=array.array('i', ancillary[0][2]), daemon=True).start()
EOF
    python3 "$BATS_TEST_TMPDIR/receive.py" "$BATS_TEST_TMPDIR/console" "$OUT.console" 3>&- &
    local server=$!
    wait_until 20 test -S "$BATS_TEST_TMPDIR/console"
    oci run -d -b "$BUNDLE" --console-socket "$BATS_TEST_TMPDIR/console" one 3>&-
    wait_until 20 test -s "$VOLUME/count"
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    run -1 restore --image-path "$BATS_TEST_TMPDIR/image" one # nobody takes it
    oci restore -d -b "$BUNDLE" --image-path "$BATS_TEST_TMPDIR/image" \
        --console-socket "$BATS_TEST_TMPDIR/console" one 3>&-
    counts_on
    wait_until 30 grep -q 'line.*' <(tail -n +1 "$OUT.console")
    [ "$(grep -ac '\[terminal\]' "$OUT.console")" = 2 ]
    [ "$(grep -a line "$OUT.console" | tail -1 | tr -dc 0-9)" -gt 5 ]
    kill $server
}

@test "hooks run, and a network namespace of the host is joined again" {
    ip netns add berth-criu
    configure '.linux.namespaces |= map(if .type == "network" then .path = "/run/netns/berth-criu" else . end)
        | .hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "cat > $0", $dir + "/create"] }],
                     poststart: [{ path: "/bin/sh", args: ["sh", "-c", "cat > $0", $dir + "/post"] }] }' \
        --arg dir "$BATS_TEST_TMPDIR"
    start one
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    rm "$BATS_TEST_TMPDIR/create" "$BATS_TEST_TMPDIR/post"
    restore --image-path "$BATS_TEST_TMPDIR/image" one
    local pid
    pid=$(oci state one | jq .pid)
    [ "$(jq -r .status "$BATS_TEST_TMPDIR/post")" = running ]
    [ "$(jq .pid "$BATS_TEST_TMPDIR/create")" = "$pid" ]
    [ "$(stat -Lc %i /run/netns/berth-criu)" = "$(stat -Lc %i "/proc/$pid/ns/net")" ]
    goes_on
    oci delete -f one
    ip netns del berth-criu
    umount /run/netns
}

@test "a failing hook at a restore leaves nothing" {
    start one
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    configure '.hooks = { createRuntime: [{ path: "/bin/false" }] }'
    run -1 oci restore -d -b "$BUNDLE" --image-path "$BATS_TEST_TMPDIR/image" one
    expect_text 'error running createRuntime hook'
    [ "$(left)" = "$before" ]
}

@test "a user namespace is restored with its mapping" {
    configure '.linux.namespaces += [{ type: "user" }]
        | .linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }]
        | .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs" "$VOLUME"
    # CRIU goes to the root as that user.
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR" "$BUNDLE"
    # What is not the user's own he may not open again.
    touch "$OUT"
    chmod 666 "$OUT"
    start one
    wait_until 20 test -s "$VOLUME/count"
    counts_on
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    restore --image-path "$BATS_TEST_TMPDIR/image" one
    goes_on
    grep -q '0 *100000 *65536' "/proc/$(oci state one | jq .pid)/uid_map"
}

@test "root of a restored user namespace cannot undo the flags of the host's mounts" {
    ln -s busybox "$BUNDLE/rootfs/bin/mount"
    mkdir "$BUNDLE/locked"
    mount -t tmpfs -o ro,nosuid,nodev tmpfs "$BUNDLE/locked"
    configure '.linux.namespaces += [{ type: "user" }] | .mounts += [{ destination: "/locked", type: "bind", source: "locked", options: ["bind"] }]
        | .process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN"])
        | .linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }] | .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs" "$VOLUME"
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR" "$BUNDLE"
    touch "$OUT"
    chmod 666 "$OUT"
    start one
    counts_on
    run oci exec one mount -o remount,bind,rw,nosuid,nodev none /locked
    expect_text "permission denied"
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" one
    restore --image-path "$BATS_TEST_TMPDIR/image" one
    counts_on
    run oci exec one mount -o remount,bind,rw,nosuid,nodev none /locked
    expect_text "permission denied"
    oci delete -f one
    umount "$BUNDLE/locked"
}

@test "podman checkpoints, restores, exports and imports" {
    cat > "$BATS_TEST_TMPDIR/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
[engine]
runtime = "berth"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
berth = ["$OCI"]
EOF
    export CONTAINERS_CONF=$BATS_TEST_TMPDIR/containers.conf
    local store=$BATS_TEST_TMPDIR
    podman() {
        command podman --root "$store/s" --runroot "$store/r" --tmpdir "$store/t" --storage-driver vfs "$@" 3>&-
    }
    podman_counts() {
        local start
        start=$(podman logs "$1" | tail -1 | cut -d' ' -f2)
        wait_until 30 eval "podman logs $1 | grep -q 'line $((start + 3))\$'"
    }
    tar -C "$BUNDLE/rootfs" -c . | podman import - box > /dev/null
    podman run -d --name web box sh -c 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done'
    wait_until 30 eval 'podman logs web | grep -q line'
    podman container checkpoint web
    [ "$(podman inspect --format '{{.State.Status}}' web)" = exited ]
    podman container restore web
    podman_counts web
    podman container checkpoint --export "$store/web.tar" web
    podman rm -f -t 0 web
    podman container restore --import "$store/web.tar" --name copy
    podman_counts copy
    # The log came along in the archive: all of it is there, once.
    podman logs copy > "$OUT"
    diff <(seq "$(tail -1 "$OUT" | cut -d' ' -f2)") <(cut -d' ' -f2 "$OUT")
    podman rm -f -t 0 copy
    podman rmi -a -f > /dev/null
    umount "$store/s/overlay" 2> /dev/null || true
    find /sys/fs/cgroup -depth -mindepth 1 -type d -path '*libpod*' -exec rmdir {} + || true
}

@test "berth checkpoint ends a container of an image, and berth restore lets it go on with its log" {
    export BERTH_DATA=$BATS_TEST_TMPDIR/data BERTH_RUN=$BATS_TEST_TMPDIR/berth-run PATH=$BERTH_BUILD:$PATH
    berth image make busybox
    berth run -d --name web -t busybox sh -c 'i=0; while :; do i=$((i + 1)); echo line $i; sleep 0.1; done'
    counted() { berth logs web | tail -n 1 | tr -dc 0-9; }
    counts_beyond() { [ "$(counted)" -gt "$1" ]; }
    wait_until 30 counts_beyond 3
    berth checkpoint --leave-running web
    wait_until 30 counts_beyond $(($(counted) + 3))
    berth checkpoint web
    [ "$(berth inspect --format '{{.State.Status}}' web)" = exited ]
    at=$(counted)
    berth restore --keep web || { tail -n 40 "$BERTH_DATA"/containers/*/checkpoint/restore.log; false; }
    wait_until 30 counts_beyond $((at + 3))
    berth logs web | tr -dc '0-9\n' > "$OUT.now"
    diff "$OUT.now" <(seq "$(wc -l < "$OUT.now")")
    berth rm -f web
    [ -z "$(berth ps -aq)" ]
    rmdir /sys/fs/cgroup/berth
}
