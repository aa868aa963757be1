load helper

# Mounts of berth-oci: options, odd destinations, and changes to a running container.

setup() {
    export ROOT="$BATS_TEST_TMPDIR/root" BUNDLE="$BATS_TEST_TMPDIR/bundle"
    local name
    mkdir -p "$BUNDLE/rootfs/bin" "$BUNDLE/rootfs/etc" "$BUNDLE/rootfs/tmp" "$BUNDLE/rootfs/data" \
        "$BUNDLE/source/below"
    cp "$(command -v busybox)" "$BUNDLE/rootfs/bin/busybox"
    for name in sh true sleep cat ls id grep stat touch readlink mount ln rm mkdir mv; do
        ln -s busybox "$BUNDLE/rootfs/bin/$name"
    done
    echo inside > "$BUNDLE/source/file"
    berth-oci spec -b "$BUNDLE"
    configure '.process.terminal = false | .root.readonly = false'
}

teardown() {
    local id
    for id in $(berth-oci --root "$ROOT" list -q); do berth-oci --root "$ROOT" delete -f "$id"; done
    for id in "$BUNDLE/source/below" "$BUNDLE/ro"; do ! mountpoint -q "$id" || umount "$id"; done
}

configure() { jq "$@" "$BUNDLE/config.json" > "$BUNDLE/new" && mv "$BUNDLE/new" "$BUNDLE/config.json"; }
runs() { configure --arg script "$1" '.process.args = ["sh", "-c", $script]'; }
adds() { configure ".mounts += [$1]"; }
oci() { timeout -s KILL 20 berth-oci --root "$ROOT" "$@"; }
start_detached() { oci run -d -b "$BUNDLE" "$1" < /dev/null > /dev/null 2>&1; }
list() { echo "$1" > "$BATS_TEST_TMPDIR/mounts.json"; }
map_root() {
    configure '.linux.namespaces += [{type: "user"}] |
        .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] |
        .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs"
}

@test "mounts add and remove change a running container" {
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/new/here", "type": "bind", "source": "source", "options": ["rbind", "ro"]},
        {"destination": "/data", "type": "tmpfs", "options": ["ro", "size=64k"]},
        {"destination": "/etc/one", "source": "source/file", "options": ["bind"]}]'
    oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live cat /new/here/file /etc/one
    [ "$output" = "inside
inside" ]
    run oci exec live touch /new/here/x
    expect_text "Read-only"
    run oci exec live touch /data/x
    expect_text "Read-only"
    run -1 grep /new/here /proc/self/mountinfo
    list '{"mounts": [{"destination": "/new/here"}, {"destination": "/data"}, {"destination": "/etc/one"}]}'
    oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'ls /new/here; cat /etc/one; touch /data/x'
    [ -z "$output" ]
    run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[0] on '/new/here': nothing is mounted there"
    oci kill live KILL
}

@test "mounts add makes all or none, and so does remove" {
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/data", "type": "tmpfs"}, {"destination": "/etc/one", "source": "source/file",
        "options": ["bind"]}, {"destination": "/tmp", "source": "source/file", "options": ["bind"]}]'
    run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[2] on '/tmp'"
    run -0 oci exec live sh -c 'grep -e " /data " -e " /etc/one " -e " /tmp " /proc/self/mountinfo; ls /etc/one'
    [ "$output" = /etc/one ]
    list '[{"destination": "/dev/shm"}, {"destination": "/data"}]'
    run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[1] on '/data': nothing is mounted there"
    run -0 oci exec live grep -c " /dev/shm " /proc/self/mountinfo
}

@test "mounts add and remove in a container with a user namespace" {
    map_root
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/data", "type": "tmpfs", "options": ["mode=700"]},
        {"destination": "/bound", "source": "source", "options": ["bind", "idmap"]}]'
    oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'touch /data/x /bound/y; stat -c "%u %g" /data /data/x /bound/file'
    [ "$output" = "0 0
0 0
0 0" ]
    [ "$(stat -c %u "$BUNDLE/source/y")" = 0 ]
    oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'ls /data /bound'
}

@test "what cannot be changed in a running container is told" {
    local file words
    runs 'sleep 1000'
    start_detached live
    while IFS='|' read -r file words; do
        list "$file"
        run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
        expect_text "$words"
        [ "${#lines[@]}" = 1 ]
    done << 'CASES'
[{"destination": "/p", "type": "proc"}]|mounts[0]: 'proc' on '/p' cannot be added to a running container
[{"destination": "/sys/fs/cgroup", "type": "cgroup"}]|cannot be added to a running container
[{"destination": "/dev", "type": "tmpfs"}]|mounts[0]: 'tmpfs' on '/dev' cannot be added
[{"destination": "/", "type": "overlay"}]|mounts[0].destination: is the root
[{"destination": "/x", "source": "nosuch", "options": ["bind"]}]|mounts[0] on '/x': bind of
[{"destination": "/proc/self/x", "source": "source", "options": ["bind"]}]|inside /proc
[{"type": "tmpfs"}]|mounts[0].destination: is missing
{}|mounts: is missing
[|
CASES
    for file in / /data/../..; do
        list "[{\"destination\": \"$file\"}]"
        run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
        expect_text "the root cannot be removed"
    done
    oci kill live KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state live | jq -r .status)\" = stopped ]"
    list '[{"destination": "/data", "type": "tmpfs"}]'
    run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "container not running"
    run -1 oci mounts add nobody "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "does not exist"
}

@test "a container that swaps links meanwhile gets no mount outside of its root" {
    mkdir -p "$BATS_TEST_TMPDIR/outside"
    configure --arg script "mkdir /swap /real; while :; do ln -s /../../../../$BATS_TEST_TMPDIR/outside /swap/l;
        mv /swap/l /swap/d; rm -f /swap/d; mkdir /swap/d; rm -r /swap/d; done" \
        '.process.args = ["sh", "-c", $script]'
    local done_count=0
    start_detached swapper
    list '[{"destination": "/swap/d/new", "type": "tmpfs"}]'
    for _ in $(seq 40); do
        oci mounts add swapper "$BATS_TEST_TMPDIR/mounts.json" 2> /dev/null && done_count=$((done_count + 1))
    done
    [ "$done_count" -gt 0 ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/outside")" ]
    run grep -c "$BATS_TEST_TMPDIR/outside" /proc/self/mountinfo
    [ "$output" = 0 ]
}
