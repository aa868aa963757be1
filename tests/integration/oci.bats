load helper

setup() {
    make_bundle
    configure '.process.args = ["sh", "-c", "echo inside; exit 3"]'
}

teardown() {
    delete_containers
}

oci_status() { oci state "$1" | jq -r .status; }

@test "spec is what runc writes" {
    mkdir "$BATS_TEST_TMPDIR/theirs"
    (cd "$BATS_TEST_TMPDIR/theirs" && runc spec)
    berth-oci spec -b "$BATS_TEST_TMPDIR"
    [ "$(jq -S . "$BATS_TEST_TMPDIR/config.json")" = "$(jq -S . "$BATS_TEST_TMPDIR/theirs/config.json")" ]
}

@test "run runs a bundle and leaves nothing" {
    run -3 oci run -b "$BUNDLE" one
    [ "$output" = inside ]
    [ -z "$(oci list -q)" ]
    [ -z "$(find /sys/fs/cgroup -type d -name one)" ]
}

@test "create, state, start, kill, delete" {
    configure '.process.args = ["sleep", "1000"]'
    oci create -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" two < /dev/null > /dev/null 2>&1
    run -0 oci state two
    [ "$(echo "$output" | jq -r .status)" = created ]
    [ "$(echo "$output" | jq -r .id)" = two ]
    [ "$(echo "$output" | jq -r .bundle)" = "$(realpath "$BUNDLE")" ]
    [ "$(echo "$output" | jq -r .pid)" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    run -1 oci create -b "$BUNDLE" two
    expect_text "already exists"
    oci start two
    [ "$(oci_status two)" = running ]
    run -1 oci start two
    run -1 oci delete two
    expect_text "not stopped"
    run -0 oci exec two sh -c 'echo from-exec'
    [ "$output" = from-exec ]
    run -0 oci ps two
    expect_text "sleep 1000"
    oci pause two
    [ "$(oci_status two)" = paused ]
    run -255 oci exec two true
    expect_text "cannot exec in a paused container"
    oci resume two
    oci kill two KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state two | jq -r .status)\" = stopped ]"
    run -1 oci kill two
    expect_text "container not running"
    oci delete two
    run -1 oci state two
    expect_text "does not exist"
}

@test "a container that is only created can be deleted; delete --force of a missing one is fine" {
    oci create -b "$BUNDLE" three < /dev/null > /dev/null 2>&1
    oci delete three
    oci delete --force three
    run -1 oci delete three
}

@test "list shows containers as a table and as JSON" {
    oci create -b "$BUNDLE" four < /dev/null > /dev/null 2>&1
    run -0 oci list
    expect_text "ID  "
    expect_text four
    [ "$(oci list -f json | jq -r '.[0].id')" = four ]
}

@test "a malformed config.json gives one sentence that names the member" {
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
    while IFS='|' read -r change words; do
        cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
        configure "$change"
        run -1 oci run -b "$BUNDLE" bad
        [ "${#lines[@]}" = 1 ]
        expect_text "$words"
    done << 'CASES'
.process.cwd = "relative"|process.cwd
.process.user.uid = -1|process.user.uid
.process.user.uid = "0"|process.user.uid
.mounts[2].options = ["nosuchoption=", "rwx"]|mounts[2]
.linux.namespaces[0].type = "moon"|linux.namespaces[0].type
.process.args = []|process.args
.process.rlimits[0].type = "RLIMIT_MOON"|process.rlimits[0].type
.root.path = null|root.path
.linux.resources.memory.limit = "much"|linux.resources.memory.limit
CASES
    echo '{' > "$BUNDLE/config.json"
    run -1 oci run -b "$BUNDLE" bad
    printf '{"ociVersion":"1.0.2","ociVersion":"1.0.2"}' > "$BUNDLE/config.json"
    run -1 oci run -b "$BUNDLE" bad
    expect_text ociVersion
    [ -z "$(oci list -q)" ]
}

@test "ids that are paths are refused by every verb" {
    for verb in state start kill delete pause resume ps; do
        run -1 oci $verb ../x
        expect_text "invalid container id"
    done
    run -1 oci create -b "$BUNDLE" a/b
    run -1 oci create -b "$BUNDLE" ..
}

@test "a user namespace maps root to an ordinary id" {
    needs_root "an ordinary user maps his own ids"
    configure '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings | .process.args = ["sh", "-c", "id -u; cat /proc/self/uid_map"]'
    chown -R 100000:100000 "$BUNDLE/rootfs"
    run -0 oci run -b "$BUNDLE" mapped
    [ "${lines[0]}" = 0 ]
    [[ "${lines[1]}" =~ 0\ +100000\ +65536 ]]
}

@test "hooks run in order with the state on stdin; a failing one ends the create" {
    cat > "$BATS_TEST_TMPDIR/hook" << 'HOOK'
#!/bin/sh
echo "$2 $(sed -n 's/.*"status": "\([a-z]*\)".*/\1/p')" >> "$1"
HOOK
    chmod +x "$BATS_TEST_TMPDIR/hook"
    h="$BATS_TEST_TMPDIR/hook" o="$BATS_TEST_TMPDIR/order"
    configure "def h(\$n): [{path: \"$h\", args: [\"hook\", \"$o\", \$n], env: [\"PATH=/bin:/usr/bin\"]}]; .hooks = {createRuntime: h(\"createRuntime\"), poststart: h(\"poststart\"), poststop: h(\"poststop\")}"
    run -3 oci run -b "$BUNDLE" hooked
    [ "$(cat "$o")" = "createRuntime creating
poststart running
poststop stopped" ]
    configure '.hooks.createRuntime[0].path = "/bin/false"'
    run -1 oci run -b "$BUNDLE" hooked
    expect_text "error running createRuntime hook #0"
    [ -z "$(oci list -q)" ]
}

@test "a console socket receives the terminal" {
    configure '.process.terminal = true | .process.args = ["sh", "-c", "tty; stty size"] | .process.consoleSize = {height: 12, width: 34}'
    python3 - "$BATS_TEST_TMPDIR/sock" > "$BATS_TEST_TMPDIR/out" << 'PY' &
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(1)
os.rename(sys.argv[1] + ".new", sys.argv[1])
c, _ = s.accept()
fds = array.array("i")
_, anc, _, _ = c.recvmsg(100, socket.CMSG_SPACE(4))
fds.frombytes(anc[0][2][:4])
data = b""
try:
    while (piece := os.read(fds[0], 1000)): data += piece
except OSError: pass
print(data.decode())
PY
    pid=$!
    wait_until 20 test -S "$BATS_TEST_TMPDIR/sock"
    oci create -b "$BUNDLE" --console-socket "$BATS_TEST_TMPDIR/sock" tty1
    oci start tty1
    wait $pid
    grep -q "12 34" "$BATS_TEST_TMPDIR/out"
}

@test "SIGKILL at random moments of run, then delete --force: nothing is left" {
    cgroups() { find /sys/fs/cgroup -type d -name 'killed*'; }
    mounts=$(mounts)
    for i in $(seq 60); do
        berth-oci --root "$ROOT" run -b "$BUNDLE" "killed$i" > /dev/null 2>&1 &
        pid=$!
        sleep "0.00$((i % 10))"
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
        oci delete --force "killed$i"
    done
    [ -z "$(oci list -q)" ]
    [ -z "$(cgroups)" ]
    wait_until 20 eval '[ "$(mounts)" = "$mounts" ]' || diff <(echo "$mounts") <(mounts)
}

@test "a symlinked /proc or /sys in the rootfs is refused" {
    rm -rf "$BUNDLE/rootfs/proc" && ln -s /tmp "$BUNDLE/rootfs/proc"
    run -1 oci run -b "$BUNDLE" linked
    expect_text proc
}

@test "mount destinations that are links stay inside the root" {
    mkdir -p "$BATS_TEST_TMPDIR/outside"
    rm -rf "$BUNDLE/rootfs/data" && ln -s "../../../../../../..$BATS_TEST_TMPDIR/outside" "$BUNDLE/rootfs/data"
    configure '.mounts += [{destination: "/data/sub/file", type: "bind", source: "/etc/hostname", options: ["bind"]}]'
    run oci run -b "$BUNDLE" escape
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/outside")" ]
}

@test "features names what is there" {
    run -0 berth-oci features
    [ "$(echo "$output" | jq -r '.linux.namespaces | index("pid") != null')" = true ]
    [ "$(echo "$output" | jq -r '.linux.seccomp.enabled')" = true ]
    # The system's manager and a user's own: --systemd-cgroup asks the one that the caller has.
    [ "$(echo "$output" | jq -r '.linux.cgroup | .systemd and .systemdUser')" = true ]
}

@test "the log is runc's JSON when asked for" {
    run -1 berth-oci --root "$ROOT" --log "$BATS_TEST_TMPDIR/log" --log-format json state nobody
    [ "$(jq -r .level "$BATS_TEST_TMPDIR/log")" = error ]
    [ "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" = "container 'nobody' does not exist" ]
}

@test "a /dev/ptmx among the devices stays the link to the container's own terminals" {
    configure '.linux.devices = [{path: "/dev/ptmx", type: "c", major: 5, minor: 2}] |
               .process.args = ["readlink", "/dev/ptmx"]'
    run -0 oci run -b "$BUNDLE" ptmx
    [ "$output" = pts/ptmx ]
}

@test "mounts of a shared volume are seen on both sides; the host keeps its own mounts" {
    needs_root "an ordinary user makes no mounts"
    mkdir "$BATS_TEST_TMPDIR/volume"
    configure '.linux.rootfsPropagation = "shared" | .process.args = ["sh", "-c",
            "mkdir /v/inside && mount -t tmpfs none /v/inside && grep -c \" /v .*shared:\" /proc/self/mountinfo"] |
        .process.capabilities.bounding += ["CAP_SYS_ADMIN"] |
        .process.capabilities.permitted += ["CAP_SYS_ADMIN"] |
        .process.capabilities.effective += ["CAP_SYS_ADMIN"] |
        .mounts += [{destination: "/v", type: "bind", source: "'"$BATS_TEST_TMPDIR"'/volume",
                     options: ["rbind", "rshared"]}]'
    # As on a machine whose mounts are shared, which systemd makes them; but not with this machine.
    run -0 unshare --mount --propagation private sh -ec '
        mount --make-rshared /
        mount --bind "$1/volume" "$1/volume"
        wc -l < /proc/self/mountinfo
        berth-oci --root "$2" run -b "$3" shared
        umount "$1/volume/inside"
        wc -l < /proc/self/mountinfo' sh "$BATS_TEST_TMPDIR" "$ROOT" "$BUNDLE"
    [ "${lines[1]}" = 1 ]
    [ "${lines[0]}" = "${lines[2]}" ]
}
