load helper
OCI_SECONDS=60

# What berth-oci does when something is in its way: failing system calls, kills, no descriptors, no
# space, bundles that lead out of their root, and what else a configuration can ask for.

setup() {
    make_bundle sh true false sleep cat ls id env grep stat touch readlink tty hostname ps ln rm
    mkdir "$BUNDLE/rootfs/etc" "$BUNDLE/rootfs/tmp" "$BUNDLE/rootfs/data"
    configure '.process.args = ["true"]'
}

teardown() {
    [ -z "${helper_pid:-}" ] || kill -KILL "$helper_pid" 2> /dev/null || true
    delete_containers
    ! mountpoint -q "$BATS_TEST_TMPDIR/small" || umount "$BATS_TEST_TMPDIR/small"
}

nothing_is_left() {
    [ ! -e "$ROOT/$1" ]
    [ -z "$(find /sys/fs/cgroup -type d -name "$1")" ]
    if grep -q "$BUNDLE" /proc/self/mountinfo; then return 1; fi
}

@test "a failing system call is told in a sentence and leaves nothing" {
    command -v strace > /dev/null || skip "needs strace"
    run "$BATS_TEST_DIRNAME/oci_faults.sh" "$BUNDLE" "$ROOT"
    expect_status 0
}

@test "a program that ends at once is not waited for for ever" {
    for _ in $(seq 50); do oci run -b "$BUNDLE" quick; done
    nothing_is_left quick
}

@test "SIGKILL of create, start, exec and delete: delete --force leaves nothing" {
    configure '.process.args = ["sleep", "1000"]'
    local i pid verb never status kills=0 turns=$((50 / ${BERTH_TEST_PATIENCE:-1}))
    local -A command=([create]="create -b $BUNDLE killed" [start]="start killed"
        [exec]="exec -d killed sleep 1000" [delete]="delete -f killed")
    # Microseconds that each may take here, learned on the way: so that most kills find it at work.
    local -A lasts=([create]=15000 [start]=15000 [exec]=15000 [delete]=15000)
    # Waits without a process of its own, whose start may take longer than what is to be killed.
    exec {never}<> <(:)
    for i in $(seq $turns); do
        for verb in create start exec delete; do
            case $verb in
            create) ;;
            start) oci create -b "$BUNDLE" killed < /dev/null > /dev/null 2>&1 ;;
            *) start_detached killed ;;
            esac
            # shellcheck disable=SC2086
            berth-oci --root "$ROOT" ${command[$verb]} < /dev/null > /dev/null 2>&1 &
            pid=$! status=0
            read -rt "$(printf '0.%06d' $((RANDOM * lasts[$verb] / 32768)))" -u "$never" || true
            kill -9 $pid 2> /dev/null || true
            wait $pid 2> /dev/null || status=$?
            if [ $status = 137 ]; then
                kills=$((kills + 1)) lasts[$verb]=$((lasts[$verb] * 21 / 20))
            else
                lasts[$verb]=$((lasts[$verb] * 4 / 5))
            fi
            oci delete --force killed
            nothing_is_left killed
        done
    done
    exec {never}>&-
    echo "$kills of $((4 * turns)) were killed before they ended"
    [ $kills -gt $turns ]
}

@test "a caller that ignores the end of its children gets the status all the same" {
    configure '.process.args = ["sh", "-c", "exit 3"] | .hooks = {poststart: [{path: "/bin/true"}]}'
    run -3 env --ignore-signal=CHLD timeout 60 berth-oci --root "$ROOT" run -b "$BUNDLE" ignored
    nothing_is_left ignored
}

@test "an init that is killed ends the run" {
    configure '.process.args = ["sleep", "1000"]'
    local pid init
    for i in 1 2 3 4 5; do
        oci run -b "$BUNDLE" init < /dev/null > /dev/null 2>&1 &
        pid=$!
        wait_until 20 test -e "$ROOT/init/state.json"
        sleep "0.00$i"
        init=$(jq -r .pid "$ROOT/init/state.json")
        [ "$init" = 0 ] || kill -9 "$init" || true
        [ "$init" != 0 ] || { wait_until 20 oci kill init KILL; }
        wait $pid && return 1
        nothing_is_left init
    done
}

@test "without descriptors it says so and leaves nothing" {
    configure '.process.rlimits = []'
    local n refused=0
    for n in $(seq 4 35); do
        run bash -c "exec 3>&- 4>&-; ulimit -n $n; exec berth-oci --root '$ROOT' run -b '$BUNDLE' few"
        if [ "$status" != 0 ]; then
            expect_status 1
            expect_text "Too many open files"
            [ "${#lines[@]}" = 1 ]
            refused=$((refused + 1))
        fi
        nothing_is_left few
    done
    [ $refused -gt 5 ]
}

@test "without space or inodes for the run state it says so and leaves nothing" {
    mkdir "$BATS_TEST_TMPDIR/small"
    for limit in size=4k nr_inodes=1 nr_inodes=2 nr_inodes=3; do
        mount -t tmpfs -o "$limit" tmpfs "$BATS_TEST_TMPDIR/small"
        run -1 timeout 60 berth-oci --root "$BATS_TEST_TMPDIR/small" run -b "$BUNDLE" full
        expect_text "No space left"
        [ -z "$(ls -A "$BATS_TEST_TMPDIR/small")" ]
        umount "$BATS_TEST_TMPDIR/small"
    done
    mount -t tmpfs -o ro tmpfs "$BATS_TEST_TMPDIR/small"
    run -1 timeout 60 berth-oci --root "$BATS_TEST_TMPDIR/small" run -b "$BUNDLE" full
    expect_text "Read-only file system"
    umount "$BATS_TEST_TMPDIR/small"
    [ -z "$(find /sys/fs/cgroup -type d -name full)" ]
}

@test "closed standard streams become /dev/null" {
    runs '[ "$(readlink /proc/self/fd/0)" = /dev/null ] && readlink /proc/self/fd/1 > /tmp/seen; exit 4'
    configure '.root.readonly = false'
    local status=0
    oci run -b "$BUNDLE" closed 0<&- 1>&- 2>&- 3>&- || status=$?
    [ "$status" = 4 ]
    [ -s "$BUNDLE/rootfs/tmp/seen" ]
}

@test "a damaged state can be removed, but a state that cannot be read hides nothing" {
    configure '.process.args = ["sleep", "1000"]'
    start_detached damaged
    pid=$(jq .pid "$ROOT/damaged/state.json")
    run -1 bash -c "exec 3>&- 4>&-; ulimit -n 4; exec berth-oci --root '$ROOT' delete --force damaged"
    kill -0 "$pid"
    oci delete --force damaged
    nothing_is_left damaged
    mkdir "$ROOT/half" && echo '{' > "$ROOT/half/state.json"
    oci delete --force half
    nothing_is_left half
}

@test "of sixteen runs with one id at once, one wins" {
    # The one that wins goes on until all the others were told.
    runs 'until [ -e /tmp/told ]; do sleep 0.05; done'
    local pids=()
    for i in $(seq 16); do
        (oci run -b "$BUNDLE" same < /dev/null > /dev/null 2> "$BATS_TEST_TMPDIR/told.$i" && echo won >> "$BATS_TEST_TMPDIR/won") &
        pids+=($!)
    done
    told() { cat "$BATS_TEST_TMPDIR"/told.* | grep -c 'container with given ID already exists'; }
    wait_until 50 eval '[ "$(told)" = 15 ]'
    touch "$BUNDLE/rootfs/tmp/told"
    wait "${pids[@]}" || true
    [ "$(wc -l < "$BATS_TEST_TMPDIR/won")" = 1 ]
    nothing_is_left same
}

@test "links in the place of dev, dev/pts, dev/shm and etc lead nowhere outside" {
    local outside="$BATS_TEST_TMPDIR/outside" name before
    mkdir "$outside" && echo secret > "$outside/null"
    before=$(stat -c '%a %u %Y' "$outside" "$outside/null")
    for name in dev dev/pts dev/shm etc; do
        rm -rf "$BUNDLE/rootfs/dev" "$BUNDLE/rootfs/etc"
        mkdir -p "$BUNDLE/rootfs/$(dirname $name)"
        ln -s "../../../../../../../../..$outside" "$BUNDLE/rootfs/$name"
        run oci run -b "$BUNDLE" links
        configure --slurpfile c "$BUNDLE/config.json" \
            '.mounts |= map(select(.destination | startswith("/dev") | not))'
        run oci run -b "$BUNDLE" links
        configure --slurpfile c "$BUNDLE/config.json" '.mounts = $c[0].mounts'
        [ "$(stat -c '%a %u %Y' "$outside" "$outside/null")" = "$before" ]
        [ "$(ls "$outside")" = null ]
    done
}

@test "a /dev/null of the image masks nothing: the mask is a verified device" {
    mkdir -p "$BUNDLE/rootfs/dev" && echo image > "$BUNDLE/rootfs/dev/null"
    echo secret > "$BUNDLE/rootfs/etc/secret"
    configure '.mounts |= map(select(.destination | startswith("/dev") | not)) |
        .linux.maskedPaths = ["/etc/secret", "/tmp", "/nowhere"] | .linux.readonlyPaths = ["/data"] |
        .root.readonly = false'
    runs 'cat /etc/secret; touch /tmp/x || touch /data/x || touch /free && ls /etc'
    run -0 oci run -b "$BUNDLE" masked
    [[ "$output" != *image* && "$output" != *$'\n'secret$'\n'*secret* ]]
    [ ! -e "$BUNDLE/rootfs/tmp/x" ]
    [ ! -e "$BUNDLE/rootfs/data/x" ]
}

@test "mount destinations that are swapped for links while it starts stay inside" {
    local outside="$BATS_TEST_TMPDIR/outside" volume="$BATS_TEST_TMPDIR/volume"
    mkdir -p "$outside" "$volume/d"
    ln -s "../../../../../../../../..$outside" "$volume/l"
    configure --arg v "$volume" '.process.cwd = "/data/d/w" | .mounts += [
        {destination: "/data", type: "bind", source: $v, options: ["rbind"]},
        {destination: "/data/d/x/y", type: "bind", source: "/etc", options: ["bind", "ro"]},
        {destination: "/data/d/t", type: "tmpfs", source: "tmpfs"}]'
    python3 - "$volume" << 'PY' 3>&- &
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
while True: libc.renameat2(-100, b"d", -100, b"l", 2)
PY
    helper_pid=$!
    for _ in $(seq 50); do
        oci run -b "$BUNDLE" swapped > /dev/null 2>&1 || true
        [ -z "$(ls -A "$outside")" ]
        nothing_is_left swapped
    done
}

@test "a working directory through a descriptor of the runtime is refused" {
    local n
    for n in 3 4 5 6 7 8 9 10 12 15 20; do
        configure ".process.cwd = \"/proc/self/fd/$n\""
        run -1 oci run -b "$BUNDLE" cwd
        [ "${#lines[@]}" = 1 ]
    done
    configure '.process.cwd = "/" | .process.args = ["sleep", "1000"]'
    start_detached cwd
    for n in 3 4 5 6 7 8 9 10; do run -255 oci exec --cwd /proc/self/fd/$n cwd ls; done
}

@test "the runtime's own file cannot be written from a container" {
    local program before
    program=$(command -v berth-oci)
    before=$(sha256sum "$program")
    configure '.root.readonly = false | .process.capabilities.bounding += ["CAP_SYS_PTRACE"]'
    printf '#!/proc/self/exe\n' > "$BUNDLE/rootfs/bin/script" && chmod +x "$BUNDLE/rootfs/bin/script"
    configure '.process.args = ["/bin/script"]'
    run ! oci run -b "$BUNDLE" own
    # The first process is the runtime while a startContainer hook runs.
    # What it says is told when it fails.
    printf '#!/bin/sh\necho broken > /proc/1/exe\nexit 1\n' > "$BUNDLE/rootfs/bin/hook"
    chmod +x "$BUNDLE/rootfs/bin/hook"
    configure '.process.args = ["true"] | .hooks = {startContainer: [{path: "/bin/hook", env: ["PATH=/bin"]}]}'
    run -1 oci run -b "$BUNDLE" own
    [[ "$output" == *"Permission denied"* || "$output" == *"Read-only file system"* ]]
    [ "$(sha256sum "$program")" = "$before" ]
}

@test "inside are only the standard streams, what is preserved, and the configured environment" {
    runs 'ls /proc/self/fd | tr "\n" " "; env'
    ln -s busybox "$BUNDLE/rootfs/bin/tr"
    configure '.process.env = ["PATH=/bin", "ONE=1"]'
    export HOME=/of-the-caller
    run -0 oci run -b "$BUNDLE" open 3< /dev/zero 4< /dev/zero 9< /dev/zero
    expect_text "0 1 2 3 "
    [[ "${lines[0]}" != *4* && "${lines[0]}" != *9* ]]
    expect_text "ONE=1"
    # The home is the user's, not the caller's.
    expect_text "HOME=/"
    [[ "$output" != *of-the-caller* && "$output" != *BERTH* ]]
    runs 'readlink /proc/self/fd/3; readlink /proc/self/fd/4'
    run oci run -b "$BUNDLE" --preserve-fds 1 open 3< /dev/zero 4< /dev/zero
    [ "$output" = /dev/zero ]
    run -1 bash -c "exec 3<&-; berth-oci --root '$ROOT' --log '$BATS_TEST_TMPDIR/log' run --preserve-fds 1 -b '$BUNDLE' open"
    expect_text "descriptor 3 is not open"
}

@test "a hook sees none of the caller's descriptors" {
    printf '#!/bin/sh\n[ ! -e /proc/self/fd/9 ]\n' > "$BUNDLE/rootfs/bin/hook"
    chmod +x "$BUNDLE/rootfs/bin/hook"
    configure '.hooks = {startContainer: [{path: "/bin/hook", env: ["PATH=/bin"]}]}'
    run -0 oci run -b "$BUNDLE" hook 9< /etc/passwd
}

@test "hooks of all kinds run in order, in their namespaces, with the state" {
    local kind hook="$BATS_TEST_TMPDIR/hook" seen="$BATS_TEST_TMPDIR/seen"
    cat > "$hook" << 'HOOK'
#!/bin/sh
state=$(cat)
status=$(echo "$state" | sed -n 's/.*"status": "\([a-z]*\)".*/\1/p')
inside=$([ "$(readlink /proc/self/ns/mnt)" = "$3" ] && echo outside || echo inside)
echo "$1 $status $inside" >> "$2"
HOOK
    chmod +x "$hook" && cp "$hook" "$BUNDLE/rootfs/bin/hook" && ln -s busybox "$BUNDLE/rootfs/bin/sed"
    configure '.root.readonly = false | .process.args = ["sleep", "0.2"]'
    for kind in prestart createRuntime createContainer poststart poststop; do
        configure --arg k $kind --arg p "$hook" --arg o "$seen" --arg n "$(readlink /proc/self/ns/mnt)" \
            '.hooks[$k] = [{path: $p, args: ["hook", $k, $o, $n], env: ["PATH=/bin:/usr/bin"]}]'
    done
    configure '.hooks.startContainer = [{path: "/bin/hook", args: ["hook", "startContainer", "/tmp/seen", "-"], env: ["PATH=/bin"]}]'
    run -0 oci run -b "$BUNDLE" hooked
    [ "$(cat "$seen")" = "prestart creating outside
createRuntime creating outside
createContainer creating inside
poststart running outside
poststop stopped outside" ]
    [ "$(cat "$BUNDLE/rootfs/tmp/seen")" = "startContainer created inside" ]
}

@test "a failing hook ends the container, but a poststop hook only warns" {
    for kind in prestart createRuntime createContainer startContainer poststart; do
        configure --arg k $kind '.process.args = ["sleep", "1000"] | .hooks = {($k): [{path: "/bin/false"}]}'
        run -1 oci run -b "$BUNDLE" hooked
        [[ "$output" == *"error running $kind hook #0: '/bin/false': exit status 1\"" ]]
        nothing_is_left hooked
    done
    configure '.process.args = ["true"] | .hooks = {poststop: [{path: "/bin/false"}]}'
    run -0 oci run -b "$BUNDLE" hooked
    expect_text "level=warning msg=\"error running poststop hook #0"
    configure '.hooks = {createRuntime: [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]}'
    run -1 oci run -b "$BUNDLE" hooked
    expect_text "did not end within 1 s and was killed"
}

@test "namespaces are joined by path, each and together" {
    unshare -n -u -i -m -p -C -f --kill-child sh -c 'hostname joined; exec sleep 100' 3>&- &
    helper_pid=$!
    wait_until 20 pgrep -P $helper_pid -x sleep
    local inner type name
    inner=$(pgrep -P $helper_pid)
    configure 'del(.hostname)'
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
    join() {
        configure --arg t "$1" --arg p "/proc/$inner/ns/$2" \
            '.linux.namespaces |= (map(select(.type != $t)) + [{type: $t, path: $p}])'
    }
    for pair in network:net uts:uts ipc:ipc mount:mnt cgroup:cgroup pid:pid; do
        type=${pair%:*} name=${pair#*:}
        cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
        join "$type" "$name"
        runs "readlink /proc/self/ns/$name"
        run -0 oci run -b "$BUNDLE" joins
        [ "$output" = "$(readlink "/proc/$inner/ns/$name")" ]
        nothing_is_left joins
    done
    cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
    join pid pid && join network net && join uts uts
    runs 'hostname; readlink /proc/self/ns/pid; [ $$ != 1 ]'
    run -0 oci run -b "$BUNDLE" joins
    [ "$output" = "joined
$(readlink "/proc/$inner/ns/pid")" ]
    join network uts
    run -1 oci run -b "$BUNDLE" joins
    expect_text "join the network namespace"
    configure '.linux.namespaces |= (map(select(.type != "mount")) + [{type: "mount", path: "/proc/self/ns/mnt"}])'
    run -1 oci run -b "$BUNDLE" joins
    expect_text "is the caller's own"
}

@test "in a user namespace the message queues and the time offsets belong to its root" {
    map_root
    configure '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 864000}}'
    runs 'stat -c "%u %g %a" /dev/mqueue /dev/shm; cat /proc/self/timens_offsets; echo x > /dev/null && echo written'
    run -0 oci run -b "$BUNDLE" mapped
    [ "${lines[0]}" = "0 0 1777" ]
    [ "${lines[1]}" = "0 0 1777" ]
    expect_text "864000"
    expect_text "written"
}

@test "who the program is: groups, umask, ambient capabilities, none without a configuration" {
    runs 'id; umask; grep -E "Cap(Eff|Amb|Inh)|NoNewPrivs|Seccomp:" /proc/self/status'
    configure '.process.user = {uid: 1000, gid: 1001, additionalGids: [5, 7], umask: 63} |
        .process.capabilities = {bounding: ["CAP_NET_RAW"], effective: ["CAP_NET_RAW"],
            permitted: ["CAP_NET_RAW"], inheritable: ["CAP_NET_RAW"], ambient: ["CAP_NET_RAW"]}'
    run -0 oci run -b "$BUNDLE" who
    expect_text "uid=1000 gid=1001 groups=5,7"
    expect_text 0077
    expect_text $'CapAmb:\t0000000000002000'
    expect_text $'CapEff:\t0000000000002000'
    configure 'del(.process.capabilities) | .process.user = {uid: 0, gid: 0}'
    run -0 oci run -b "$BUNDLE" who
    expect_text $'CapEff:\t0000000000000000'
    for value in true false; do
        configure --argjson v $value '.process.noNewPrivileges = $v | .process.user = {uid: 1000, gid: 1000} |
            .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
                syscalls: [{names: ["chmod", "capset"], action: "SCMP_ACT_ERRNO"}]}'
        [ $value = true ] || configure '.linux.seccomp.syscalls[0].names = ["chmod"]'
        run -0 oci run -b "$BUNDLE" who
        expect_text $'Seccomp:\t2'
        expect_text "$([ $value = true ] && echo $'NoNewPrivs:\t1' || echo $'NoNewPrivs:\t0')"
    done
}

@test "what may not be set is refused by name" {
    while IFS='|' read -r change words; do
        configure 'del(.process.oomScoreAdj, .linux.sysctl, .linux.timeOffsets) | .process.rlimits = []'
        configure "$change"
        run -1 oci run -b "$BUNDLE" refused
        [ "${#lines[@]}" = 1 ]
        expect_text "$words"
        nothing_is_left refused
    done << 'CASES'
.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 1, hard: 9999999999}]|RLIMIT_NOFILE
.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2, hard: 1}]|is above the hard limit
.linux.sysctl = {"kernel.panic": "1"}|kernel.panic
.linux.sysctl = {"net/../kernel/panic": "1"}|is not the name of a setting
.linux.timeOffsets = {monotonic: {secs: 1}}|needs a new time namespace
CASES
}

@test "kill takes all processes along also without a pid namespace, and when paused" {
    configure '.linux.namespaces |= map(select(.type != "pid"))'
    runs 'sleep 31415 & sleep 31415'
    start_detached every
    oci kill every KILL
    wait_until 20 bash -c '! pgrep -f "sleep 3141[5]"'
    oci delete every
    nothing_is_left every
    start_detached every
    oci pause every
    oci kill --all every KILL
    wait_until 20 bash -c '! pgrep -f "sleep 3141[5]"'
    oci delete every
    nothing_is_left every
}

@test "exec takes user, groups, directory, environment, capabilities or a process file" {
    configure '.process.args = ["sleep", "1000"]'
    start_detached further
    run -0 oci exec --user 1000:1001 --additional-gids 7 --cwd /tmp --env A=b further sh -c 'id; pwd; echo $A'
    [ "$output" = "uid=1000 gid=1001 groups=7
/tmp
b" ]
    run -0 oci exec --cap CAP_NET_RAW further grep CapEff /proc/self/status
    [[ "$output" == *2420 ]]
    echo '{"args": ["sh", "-c", "id -u; pwd; cat /proc/self/oom_score_adj"], "cwd": "/tmp",
        "user": {"uid": 5, "gid": 6}, "env": ["PATH=/bin"], "oomScoreAdj": 300}' > "$BATS_TEST_TMPDIR/process"
    run -0 oci exec --process "$BATS_TEST_TMPDIR/process" further
    [ "$output" = "5
/tmp
300" ]
    oci exec -d --pid-file "$BATS_TEST_TMPDIR/pid" further sleep 100 < /dev/null > /dev/null 2>&1
    kill -0 "$(cat "$BATS_TEST_TMPDIR/pid")"
    for user in 4294967295 -1 root 1:2:3 ''; do run -255 oci exec --user "$user" further true; done
    run -255 oci exec further nosuch
    expect_text "executable file not found"
}

@test "exec with a terminal takes only a terminal device for /dev/ptmx" {
    configure '.process.args = ["sleep", "1000"]'
    ln -s busybox "$BUNDLE/rootfs/bin/mkfifo"
    start_detached fake
    for change in 'ln -s /dev/zero /dev/ptmx' 'mkfifo /dev/ptmx' 'touch /dev/ptmx'; do
        oci exec fake sh -c "rm -f /dev/ptmx; $change"
        run -255 oci exec -t fake tty
        expect_text "is not a terminal device"
    done
    oci exec fake sh -c 'rm -f /dev/ptmx; ln -s pts/ptmx /dev/ptmx'
    run -0 oci exec -t fake tty
    expect_text /dev/pts/0
}

@test "a creator that dies while it makes an id map leaves no process" {
    command -v strace > /dev/null || skip "needs strace"
    map_root
    configure --arg source "$BATS_TEST_TMPDIR" \
        '.mounts += [{destination: "/mnt", type: "bind", source: $source, options: ["bind", "idmap"]}]'
    # The only kill(2) is that of the process that holds the map's user namespace.
    run -137 strace -o /dev/null -e trace=kill -e inject=kill:error=EPERM:signal=KILL:when=1 \
        berth-oci --root "$ROOT" run -b "$BUNDLE" holding
    wait_until 30 sh -c '! pgrep -f "berth-oci --root $1 run" > /dev/null' sh "$ROOT"
    oci delete -f holding
    nothing_is_left holding
}

@test "a thousand cycles leave nothing" {
    local first pids=()
    for first in 1 501; do
        (for i in $(seq $first $((first + 499))); do berth-oci --root "$ROOT" run -b "$BUNDLE" "cycle$i" || exit; done) &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    [ -z "$(find /sys/fs/cgroup -type d -name 'cycle*')" ]
    [ -z "$(oci list -q)" ]
    [ -z "$(find "$ROOT" -mindepth 1 ! -path '*/.*')" ]
}
