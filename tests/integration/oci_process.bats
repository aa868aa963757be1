load helper

# What the last process before exec puts on itself, and `exec`.

setup() {
    make_bundle
    configure '.process.args = ["sleep", "1000"]'
    before=$(things)
}

teardown() {
    delete_containers
    [ -z "$BACKGROUND" ] || kill $BACKGROUND 2> /dev/null || true
    wait_until 20 are_as_before > /dev/null || diff <(echo "$before") <(things)
}

# What a container could leave on the machine.
things() {
    mounts
    find /sys/fs/cgroup -type d -name 'process-*'
    find "$ROOT" -mindepth 1 ! -path '*/.*' 2> /dev/null | sort
}

are_as_before() { [ "$(things)" = "$before" ]; }

program() { runs "$1"; }
oci_status() { oci state "$1" | jq -r .status; }
is_status() { [ "$(oci_status "$1")" = "$2" ]; }
start() { oci run -d -b "$BUNDLE" "$@" < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1; }

# Writes a program of Python and runs it in the background: agent NAME ARGUMENT... < PROGRAM
agent() {
    cat > "$BATS_TEST_TMPDIR/$1.py"
    python3 "$BATS_TEST_TMPDIR/$1.py" "${@:2}" > "$BATS_TEST_TMPDIR/$1.out" 2> "$BATS_TEST_TMPDIR/$1.err" 3>&- &
    BACKGROUND="$BACKGROUND $!"
    AGENT=$!
}

# Waits for one descriptor and prints the text that came with it and the process it stands for.
receive_pidfd() {
    agent receiver "$1" << 'PY'
import array, os, re, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(1)
os.rename(sys.argv[1] + ".new", sys.argv[1])
c, _ = s.accept()
text, extra, _, _ = c.recvmsg(100, socket.CMSG_SPACE(4))
fd = array.array("i", extra[0][2][:4])[0]
info = open("/proc/self/fdinfo/%d" % fd).read()
print(text.decode(), re.search(r"Pid:\s*(\d+)", info).group(1))
PY
    wait_until 20 test -S "$1"
}

@test "a caller that is tied to one CPU does not tie its containers" {
    [ "$(nproc)" -gt 1 ] || skip "this machine has one CPU"
    program 'grep Cpus_allowed_list /proc/self/status; sleep 1000'
    all=$(grep Cpus_allowed_list /proc/1/status)
    taskset -c 0 berth-oci --root "$ROOT" run -d -b "$BUNDLE" process-cpu < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    wait_until 30 grep -qxF "$all" "$BATS_TEST_TMPDIR/out"
    run -0 taskset -c 0 berth-oci --root "$ROOT" exec process-cpu grep Cpus_allowed_list /proc/self/status
    [ "$output" = "$all" ]
}

@test "the cpuset is what remains of all CPUs" {
    [ "$(nproc)" -gt 1 ] || skip "this machine has one CPU"
    [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name 'cpuset.cpus*' -print -quit)" ] || skip "no cpuset controller here"
    configure '.linux.resources.cpu.cpus = "1"'
    program 'grep Cpus_allowed_list /proc/self/status; sleep 1000'
    taskset -c 0 berth-oci --root "$ROOT" run -d -b "$BUNDLE" process-set < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    wait_until 30 grep -q '1$' "$BATS_TEST_TMPDIR/out"
    run -0 oci exec process-set grep Cpus_allowed_list /proc/self/status
    [[ "$output" =~ :.1$ ]]
}

@test "exec runs on the CPUs of execCPUAffinity, and says which list is wrong" {
    [ "$(nproc)" -gt 1 ] || skip "this machine has one CPU"
    configure '.process.execCPUAffinity = {initial: "0", final: "1"}'
    start process-aff
    run -0 oci exec process-aff grep Cpus_allowed_list /proc/self/status
    [[ "$output" =~ :.1$ ]]
    run -0 grep Cpus_allowed_list "/proc/$(oci state process-aff | jq .pid)/status"
    [ "$output" = "$(grep Cpus_allowed_list /proc/1/status)" ]
    jq '.process | .args = ["true"] | .execCPUAffinity = {initial: "8000-8001"}' "$BUNDLE/config.json" > "$BATS_TEST_TMPDIR/process.json"
    run -255 oci exec --process "$BATS_TEST_TMPDIR/process.json" process-aff
    expect_text "process.execCPUAffinity.initial: run on the CPUs '8000-8001'"
    configure '.process.execCPUAffinity = {final: "3-1"}'
    run -1 oci run -b "$BUNDLE" process-bad
    expect_text "process.execCPUAffinity.final: a range in '3-1' runs backwards"
}

@test "a memory policy is that of the program and of exec" {
    [ -d /sys/devices/system/node/node0 ] || skip "this kernel has no NUMA"
    configure '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
    program 'head -1 /proc/self/numa_maps; sleep 1000'
    start process-mem
    wait_until 30 grep -q 'bind=static:0' "$BATS_TEST_TMPDIR/out"
    run -0 oci exec process-mem head -1 /proc/self/numa_maps
    expect_text "bind=static:0"
    configure '.linux.memoryPolicy.nodes = "999"'
    run -1 oci run -b "$BUNDLE" process-bad
    expect_text "linux.memoryPolicy: set memory policy MPOL_BIND for nodes 999"
}

@test "a pidfd socket receives the process of run, create and exec" {
    sock="$BATS_TEST_TMPDIR/pidfd"
    receive_pidfd "$sock"
    start --pidfd-socket "$sock" process-fd
    wait "$AGENT"
    [ "$(cat "$BATS_TEST_TMPDIR/receiver.out")" = "standard $(oci state process-fd | jq .pid)" ]

    rm "$sock"
    receive_pidfd "$sock"
    oci exec -d --pidfd-socket "$sock" --pid-file "$BATS_TEST_TMPDIR/pid" process-fd sleep 1000 < /dev/null > /dev/null 2>&1
    wait "$AGENT"
    [ "$(cat "$BATS_TEST_TMPDIR/receiver.out")" = "setns $(cat "$BATS_TEST_TMPDIR/pid")" ]

    rm "$sock"
    receive_pidfd "$sock"
    configure ".annotations[\"run.oci.pidfd_receiver\"] = \"$sock\""
    oci create -b "$BUNDLE" process-note < /dev/null > /dev/null 2>&1
    wait "$AGENT"
    [ "$(cat "$BATS_TEST_TMPDIR/receiver.out")" = "standard $(oci state process-note | jq .pid)" ]

    configure 'del(.annotations)'
    run -1 oci run --pidfd-socket "$BATS_TEST_TMPDIR/nobody" -b "$BUNDLE" process-none
    expect_text "pidfd socket: connect to '$BATS_TEST_TMPDIR/nobody'"
    run -255 oci exec --pidfd-socket "$BATS_TEST_TMPDIR/nobody" process-fd true
    expect_text "pidfd socket: connect to '$BATS_TEST_TMPDIR/nobody'"
}

@test "the caller's groups stay when an annotation asks for it" {
    program 'id -G'
    configure '.annotations["run.oci.keep_original_groups"] = "1"'
    run -0 setpriv --groups 7,8 berth-oci --root "$ROOT" run -b "$BUNDLE" process-groups
    [ "$output" = "0 7 8" ]
    configure 'del(.annotations)'
    run -0 setpriv --groups 7,8 berth-oci --root "$ROOT" run -b "$BUNDLE" process-groups
    [ "$output" = "0" ]
}

@test "features names memory policies and the annotations that are not for everyone" {
    run -0 berth-oci features
    [ "$(echo "$output" | jq '.linux.memoryPolicy.modes | length')" = 7 ]
    [ "$(echo "$output" | jq '.linux.memoryPolicy.flags | length')" = 3 ]
    [ "$(echo "$output" | jq '.potentiallyUnsafeConfigAnnotations | contains(["run.oci.pidfd_receiver", "run.oci.seccomp_bpf_data", "run.oci.hooks."])')" = true ]
}

# --- seccomp agents -------------------------------------------------------------------------------

# Adds a profile that notifies of these calls and allows all else: notify 'JSON LIST' [MORE JSON]
notify() {
    configure ".linux.seccomp = ({defaultAction: \"SCMP_ACT_ALLOW\", listenerPath: \"$BATS_TEST_TMPDIR/agent\",
        listenerMetadata: \"of the test\", syscalls: [{names: $1, action: \"SCMP_ACT_NOTIFY\"}]} + ${2:-{\}})"
}

# Listens as an agent for COUNT processes one after the other; answers mkdir with an error of its
# own, lets all else go on. Its output: the state of each process, then the calls.
answer() {
    rm -f "$BATS_TEST_TMPDIR/agent"
    agent notifier "$BATS_TEST_TMPDIR/agent" "${1:-1}" < "$BATS_TEST_DIRNAME/seccomp_agent.py"
    wait_until 20 test -S "$BATS_TEST_TMPDIR/agent"
}
agent_said() { grep -q "$1" "$BATS_TEST_TMPDIR/notifier.out"; }

@test "an agent answers for a container and for exec, and is told of whom" {
    answer 2
    notify '["mkdir", "mkdirat"]'
    configure '.annotations.color = "red"'
    program 'mkdir /tmp/x; echo "$?"; sleep 1000'
    oci create -b "$BUNDLE" process-note < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    oci start process-note
    wait_until 30 grep -qx 1 "$BATS_TEST_TMPDIR/out"
    grep -q "No medium found" "$BATS_TEST_TMPDIR/out"
    state=$(head -1 "$BATS_TEST_TMPDIR/notifier.out")
    pid=$(oci state process-note | jq .pid)
    [ "$(echo "$state" | jq -c 'del(.state)')" = '{"ociVersion":"'"$(jq -r .ociVersion "$BUNDLE/config.json")"'","fds":["seccompFd"],"pid":'"$pid"',"metadata":"of the test"}' ]
    [ "$(echo "$state" | jq -r '.state | .id + " " + .status + " " + .bundle + " " + .annotations.color')" = "process-note creating $(realpath "$BUNDLE") red" ]
    [ "$(echo "$state" | jq .state.pid)" = "$pid" ]

    run -1 oci exec process-note mkdir /tmp/y
    expect_text "No medium found"
    state=$(grep '"status":"running"' "$BATS_TEST_TMPDIR/notifier.out")
    [ "$(echo "$state" | jq .state.pid)" = "$pid" ]
    [ "$(echo "$state" | jq .pid)" != "$pid" ]
}

@test "annotations of crun's name the agent, give the filter and refuse unknown calls" {
    local filter
    answer 2
    notify '["mkdir"]'
    configure --arg agent "$BATS_TEST_TMPDIR/agent" 'del(.linux.seccomp.listenerPath, .linux.seccomp.listenerMetadata) |
        .annotations = {"run.oci.seccomp.receiver": $agent, "run.oci.seccomp_fail_unknown_syscall": "1"}'
    program 'mkdir /tmp/x; exit 5'
    run -5 oci run -b "$BUNDLE" process-annotated
    expect_text "No medium found"

    configure '.linux.seccomp.syscalls[0].names += ["nosuchcall"]'
    run -1 oci run -b "$BUNDLE" process-annotated
    expect_text "linux.seccomp.syscalls[0].names[1]: unknown system call 'nosuchcall'"
    configure '.annotations["run.oci.seccomp_fail_unknown_syscall"] = "0"'
    run -5 oci run -b "$BUNDLE" process-annotated

    # Load the number of the call; that of mkdir fails with 7 (E2BIG), all else is allowed. In place of the profile.
    [ "$(uname -m)" = x86_64 ] || skip "the filter is of x86-64"
    filter=$(printf '\x20\0\0\0\0\0\0\0\x15\0\0\1\x53\0\0\0\6\0\0\0\7\0\5\0\6\0\0\0\0\0\xff\x7f' | base64 -w0)
    configure --arg filter "$filter" '.annotations = {"run.oci.seccomp_bpf_data": $filter}'
    program 'mkdir /dev/shm/x; exit 6'
    run -6 oci run -b "$BUNDLE" process-annotated
    expect_text "Argument list too long"
    # For exec, too, and where there is no profile.
    configure 'del(.linux.seccomp)'
    program 'sleep 1000'
    oci run -d -b "$BUNDLE" process-annotated < /dev/null > /dev/null 2>&1
    run -1 oci exec process-annotated mkdir /dev/shm/y
    expect_text "Argument list too long"
    configure '.annotations["run.oci.seccomp_bpf_data"] = "BwAAAAAAAAA="'
    run -1 oci run -b "$BUNDLE" process-wrong
    expect_text "load the seccomp filter: Invalid argument"
}

@test "an annotation of crun's sets a clock back or forward" {
    configure '.linux.namespaces += [{type: "time"}] | .annotations = {"run.oci.timens_offset": "boottime 100000000 0"}'
    program 'cat /proc/uptime'
    run -0 oci run -b "$BUNDLE" process-clock
    [ "${output%%.*}" -ge 100000000 ]
    configure '.linux.timeOffsets.boottime.secs = 5'
    run -1 oci run -b "$BUNDLE" process-clock
    expect_text "annotation run.oci.timens_offset: linux.timeOffsets.boottime is something else"
}

@test "nothing waits for an agent before the agent has the listener" {
    answer 2
    notify '["futex", "sendmsg", "sendto", "write", "read", "close", "sched_yield", "clone", "execve", "capset", "prctl", "exit_group", "mkdir"]'
    program 'mkdir /tmp/x; exit 5'
    run -5 timeout -k 1 60 berth-oci --root "$ROOT" run -b "$BUNDLE" process-all
    expect_text "No medium found"
    wait_until 20 agent_said "call execve"

    configure '.process.noNewPrivileges = false'
    run -5 timeout -k 1 60 berth-oci --root "$ROOT" run -b "$BUNDLE" process-all
    wait_until 20 agent_said "call capset"
}

@test "a real-time program with a listener starts on one CPU" {
    [ -e /sys/fs/cgroup/cpu/cpu.rt_runtime_us ] || skip "no real-time groups here"
    answer 1
    notify '["futex", "mkdir"]'
    configure '.process.scheduler = {policy: "SCHED_RR", priority: 5} | .linux.resources.cpu.cpus = "0" | .linux.resources.cpu.realtimeRuntime = 10000 | .linux.resources.cpu.realtimePeriod = 1000000'
    program 'mkdir /tmp/x; exit 5'
    run -5 timeout -k 1 60 berth-oci --root "$ROOT" run -b "$BUNDLE" process-rt
}

@test "one process more than the first is enough for a listener" {
    [ -d /sys/fs/cgroup/pids ] || skip "no pids controller here"
    answer 2
    notify '["mkdir"]'
    configure '.linux.resources.pids.limit = 1 | .process.args = ["mkdir", "/tmp/x"]'
    run -1 oci run -b "$BUNDLE" process-few
    expect_text "linux.resources.pids.limit"
    configure '.linux.resources.pids.limit = 2'
    run -1 oci run -b "$BUNDLE" process-few
    expect_text "No medium found"
}

@test "flags that go only with a listener, or not with one" {
    answer 1
    notify '["mkdir"]' '{flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]}'
    configure '.process.args = ["mkdir", "/tmp/x"]'
    run -1 oci run -b "$BUNDLE" process-flags
    expect_text "No medium found"
    configure '.linux.seccomp.syscalls = [] | .process.args = ["true"]'
    run -0 oci run -b "$BUNDLE" process-flags
}

@test "without an agent nothing starts, and the sentence says why" {
    notify '["mkdir"]'
    run -1 oci run -b "$BUNDLE" process-none
    expect_text "linux.seccomp.listenerPath: failed to connect with seccomp agent: connect to '$BATS_TEST_TMPDIR/agent'"
    [ -z "$(oci list -q)" ]
    oci create -b "$BUNDLE" process-none < /dev/null > /dev/null 2>&1
    run -1 oci start process-none
    expect_text "linux.seccomp.listenerPath"
    [ "$(oci_status process-none)" = created ]
    answer 1
    oci start process-none
    run -255 oci exec process-none true
    expect_text "linux.seccomp.listenerPath"
}

# --- exec -----------------------------------------------------------------------------------------

@test "exec runs in groups below the container's, by controller where asked for" {
    [ -d /sys/fs/cgroup/memory ] || skip "no v1 hierarchies here"
    start process-sub
    sub=/sys/fs/cgroup
    # Its hierarchy may be that of cpuacct, too.
    cpu=$(awk -F: '("," $2 ",") ~ /,cpu,/ { print $2 }' /proc/self/cgroup)
    for name in memory cpu; do mkdir "$sub/$name/process-sub/below"; done
    run -0 oci exec --cgroup cpu,memory:below process-sub cat /proc/self/cgroup
    expect_text ":memory:/process-sub/below"
    expect_text ":$cpu:/process-sub/below"
    [[ "$output" == *":pids:/process-sub"[^/]* ]]
    run -0 oci exec --cgroup memory:below --cgroup cpu:/ process-sub cat /proc/self/cgroup
    expect_text ":memory:/process-sub/below"
    [[ "$output" != *":$cpu:/process-sub/below"* ]]

    run -255 oci exec --cgroup .. process-sub true
    expect_text " .. is not a sub cgroup path"
    run -255 oci exec --cgroup nonexistent process-sub true
    [[ "$output" == *" adding pid "*"/nonexistent/cgroup.procs: no such file "* ]]
    run -255 oci exec --cgroup cpu:nonexistent process-sub true
    [[ "$output" == *" adding pid "*"/sys/fs/cgroup/cpu/process-sub/nonexistent/cgroup.procs: no such file "* ]]
    run -255 oci exec --cgroup whaaat:/ process-sub true
    expect_text "unknown controller whaaat"
    run -255 oci exec --cgroup cpu:a --cgroup b process-sub true
    expect_text "'b' lacks CONTROLLER:"
}

@test "exec goes where the first process went when the container's cgroup was removed" {
    start process-left
    pid=$(oci state process-left | jq .pid)
    groups=$(find /sys/fs/cgroup -type d -name process-left)
    for group in $groups; do
        mkdir "$(dirname "$group")/process-elsewhere"
        cat "$(dirname "$group")"/cpuset.cpus > "$(dirname "$group")/process-elsewhere/cpuset.cpus" 2> /dev/null || true
        cat "$(dirname "$group")"/cpuset.mems > "$(dirname "$group")/process-elsewhere/cpuset.mems" 2> /dev/null || true
        echo "$pid" > "$(dirname "$group")/process-elsewhere/cgroup.procs"
        rmdir "$group"
    done
    run -0 oci exec process-left cat /proc/self/cgroup
    [ "$(grep -c process-elsewhere <<< "$output")" = "$(wc -w <<< "$groups")" ]
    oci kill process-left KILL
    wait_until 20 is_status process-left stopped
    oci delete process-left
    for group in $groups; do rmdir "$(dirname "$group")/process-elsewhere"; done
}

@test "the environment has each name once, and a home" {
    echo 'joe:x:1234:1:Joe:/home/joe:/bin/sh' >> "$BUNDLE/rootfs/etc/passwd"
    configure '.process.env = ["PATH=/nowhere", "A=1", "PATH=/bin", "A=2"] | .process.args = ["env"]'
    run -0 oci run -b "$BUNDLE" process-env
    [ "$(sort <<< "$output" | tr '\n' ' ')" = "A=2 HOME=$(sed -n 's/^root:.*:\(.*\):.*/\1/p' "$BUNDLE/rootfs/etc/passwd") PATH=/bin " ]
    configure '.process.user.uid = 1234'
    run -0 oci run -b "$BUNDLE" process-env
    expect_text "HOME=/home/joe"
    configure '.process.env += ["HOME=/mine"]'
    run -0 oci run -b "$BUNDLE" process-env
    expect_text "HOME=/mine"
    configure '.process.env = ["PATH=/bin"] | .process.user.uid = 4000'
    for n in $(seq 1000); do echo "u$n:x:$((3000 + n)):1::/home/u$n:/bin/sh"; done >> "$BUNDLE/rootfs/etc/passwd"
    run -0 oci run -b "$BUNDLE" process-env
    expect_text "HOME=/home/u1000"
    # Links of procfs lead to what the runtime has open: here to the stream that is passed on.
    echo 'root:x:0:0::/of-the-host:/bin/sh' > "$BATS_TEST_TMPDIR/host"
    ln -sf /proc/self/fd/0 "$BUNDLE/rootfs/etc/passwd"
    configure '.process.env = ["PATH=/bin"] | .process.user.uid = 0'
    run -0 oci run -b "$BUNDLE" process-env < "$BATS_TEST_TMPDIR/host"
    [ "$(sort <<< "$output" | tr '\n' ' ')" = "HOME=/ PATH=/bin " ]
    rm "$BUNDLE/rootfs/etc/passwd"
    mkfifo "$BUNDLE/rootfs/etc/passwd"
    configure '.process.env = ["PATH=/bin"]'
    run -0 timeout -k 1 60 berth-oci --root "$ROOT" run -b "$BUNDLE" process-env
    expect_text "HOME=/"
    configure '.process.env = ["PATH=/bin", "lonely"]'
    run -1 oci run -b "$BUNDLE" process-env
    expect_text "process.env[1]: 'lonely' is not NAME=VALUE"
}

@test "a start that fails ends when its container has stopped" {
    printf 'nonsense' > "$BUNDLE/rootfs/nonsense"
    chmod +x "$BUNDLE/rootfs/nonsense"
    configure '.process.args = ["/nonsense"]'
    for _ in $(seq 20); do
        oci create -b "$BUNDLE" process-fails < /dev/null > /dev/null 2>&1
        run -1 oci start process-fails
        expect_text "exec /nonsense: exec format error"
        [ "$(oci state process-fails | jq -r .status)" = stopped ]
        oci delete process-fails
    done
}

@test "exec fails with status 255 and the words that callers look for" {
    start process-words
    printf '#!/no/such/interpreter\n' > "$BUNDLE/rootfs/run.sh"
    printf 'nonsense' > "$BUNDLE/rootfs/nonsense"
    chmod +x "$BUNDLE/rootfs/run.sh" "$BUNDLE/rootfs/nonsense"
    run -255 oci exec process-words /run.sh
    expect_text "exec /run.sh: no such file or directory"
    run -255 oci exec process-words /nonsense
    expect_text "exec /nonsense: exec format error"
    run -255 oci exec process-words /missing
    expect_text "exec /missing: no such file or directory"
    run -255 oci exec process-words /etc
    expect_text "exec /etc: permission denied"
    run -255 oci exec process-words missing
    expect_text 'exec failed: exec: '
    expect_text ': executable file not found in $PATH'
    oci pause process-words
    run -255 oci exec process-words true
    expect_text "cannot exec in a paused container"
    oci resume process-words
    oci kill process-words KILL
    wait_until 20 bash -c '[ "$(berth-oci --root "$ROOT" state process-words | jq -r .status)" = stopped ]'
    run -255 oci exec process-words true
    expect_text "cannot exec in a stopped container: container not running"
}

@test "a process description gets from the container what it leaves out" {
    configure '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 333, hard: 444}] | .process.ioPriority = {class: "IOPRIO_CLASS_IDLE", priority: 3} | .process.scheduler = {policy: "SCHED_BATCH", nice: 7} | .process.oomScoreAdj = 77'
    start process-desc
    echo '{"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "args": ["sh", "-c", "ulimit -n; ulimit -Hn; ionice -p $$; cut -d\" \" -f41,19 /proc/self/stat; cat /proc/self/oom_score_adj; grep CapEff /proc/self/status"]}' > "$BATS_TEST_TMPDIR/p.json"
    run -0 oci exec --process "$BATS_TEST_TMPDIR/p.json" process-desc
    [ "${lines[0]}" = 333 ]
    [ "${lines[1]}" = 444 ]
    [[ "${lines[2]}" == idle* ]]
    [ "${lines[3]}" = "7 3" ]
    [ "${lines[4]}" = 77 ]
    [[ "${lines[5]}" =~ 20000420$ ]]
    jq '.scheduler = {policy: "SCHED_IDLE"} | .args = ["cut", "-d ", "-f41", "/proc/self/stat"]' "$BATS_TEST_TMPDIR/p.json" > "$BATS_TEST_TMPDIR/q.json"
    run -0 oci exec --process "$BATS_TEST_TMPDIR/q.json" process-desc
    [ "$output" = 5 ]
}

@test "sockets that were passed on are the first descriptors, before those of --preserve-fds" {
    program 'echo "$LISTEN_FDS $LISTEN_PID $$"; readlink /proc/self/fd/3; cat <&4; ls /proc/self/fd | wc -w; sleep 1000'
    echo preserved > "$BATS_TEST_TMPDIR/file"
    cat > "$BATS_TEST_TMPDIR/listen" << 'SH'
exec 4< "$FILE"
LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"
SH
    export FILE="$BATS_TEST_TMPDIR/file"
    python3 -c 'import os, socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); os.dup2(s.fileno(), 3)
os.execvp("sh", ["sh"] + sys.argv[1:])' "$BATS_TEST_TMPDIR/listen" berth-oci --root "$ROOT" run -d --preserve-fds 1 -b "$BUNDLE" process-listen < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    wait_until 30 grep -q '^6$' "$BATS_TEST_TMPDIR/out"
    grep -qx "1 1 1" "$BATS_TEST_TMPDIR/out"
    grep -q "^socket:" "$BATS_TEST_TMPDIR/out"
    grep -qx preserved "$BATS_TEST_TMPDIR/out"

    echo 'exec 3< "$FILE"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' > "$BATS_TEST_TMPDIR/listen"
    run -0 sh "$BATS_TEST_TMPDIR/listen" berth-oci --root "$ROOT" exec process-listen sh -c '[ "$LISTEN_PID" = $$ ] && cat <&3'
    [ "$output" = preserved ]
    echo 'exec 3< "$FILE"; LISTEN_PID=1 LISTEN_FDS=1 exec "$@"' > "$BATS_TEST_TMPDIR/listen"
    run -0 sh "$BATS_TEST_TMPDIR/listen" berth-oci --root "$ROOT" exec process-listen sh -c 'echo "none: $LISTEN_FDS"'
    [ "$output" = "none: " ]
}

# --- sd_notify ------------------------------------------------------------------------------------

# Starts a stand-in for systemd, and puts a program into the root that reports: nc cannot.
notify_host() {
    agent host "$BATS_TEST_TMPDIR/host" < "$BATS_TEST_DIRNAME/notify_host.py"
    wait_until 20 test -S "$BATS_TEST_TMPDIR/host"
    export NOTIFY_SOCKET="$BATS_TEST_TMPDIR/host"
    cp "$BERTH_BUILD/tests/payload/payload" "$BUNDLE/rootfs/bin/payload"
}
host_heard() { grep -qx "$1" "$BATS_TEST_TMPDIR/host.out"; }

@test "run -d returns when the program has reported that it is ready" {
    notify_host
    program 'sleep 1; payload notify "MAINPID=1"; payload notify "STATUS=going on"; payload notify "READY=1"; echo "$NOTIFY_SOCKET"; sleep 1000'
    SECONDS=0
    start process-ready
    [ $SECONDS -ge 1 ]
    pid=$(oci state process-ready | jq .pid)
    wait_until 30 host_heard "READY=1 MAINPID=$pid"
    wait_until 30 host_heard "BARRIER=1"
    wait_until 20 host_heard "STATUS=going on"
    run -1 host_heard "MAINPID=1"
    wait_until 30 grep -qx /run/notify/notify.sock "$BATS_TEST_TMPDIR/out"
    run -0 oci exec process-ready sh -c 'echo "none: $NOTIFY_SOCKET"; touch /run/notify/x 2> /dev/null || echo readonly'
    [ "${lines[0]}" = "none: " ]
    [ "${lines[1]}" = readonly ]
}

@test "start waits for the report of what create prepared" {
    notify_host
    program 'payload notify "READY=1" && sleep 1000'
    oci create -b "$BUNDLE" process-split < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    run -1 grep . "$BATS_TEST_TMPDIR/host.out"
    oci start process-split
    wait_until 30 host_heard "READY=1 MAINPID=$(oci state process-split | jq .pid)"
}

@test "in the foreground the runtime is the main process, and a barrier of the program passes" {
    notify_host
    program 'payload notify "READY=1" && payload notify-barrier && payload notify "STOPPING=1" && sleep 1; exit 4'
    run -4 timeout -k 1 60 sh -c 'echo $$; exec berth-oci --root "$1" run -b "$2" process-front' sh "$ROOT" "$BUNDLE"
    wait_until 20 host_heard "READY=1 MAINPID=${lines[0]}"
    wait_until 20 host_heard "BARRIER=1"
    wait_until 20 host_heard "STOPPING=1"
}

@test "of a program's descriptors the host gets only a barrier's pipe" {
    notify_host
    program 'payload notify-file /etc/passwd && payload notify "READY=1" && sleep 1000'
    start process-file
    wait_until 30 host_heard "READY=1 MAINPID=$(oci state process-file | jq .pid)"
    # One barrier: the runtime's own, after READY.
    wait_until 20 host_heard BARRIER=1
    [ "$(grep -c BARRIER=1 "$BATS_TEST_TMPDIR/host.out")" = 1 ]
}

@test "a program that ends without a report, or a host that is gone, hold nobody up" {
    notify_host
    program 'exit 3'
    timeout -k 1 60 berth-oci --root "$ROOT" run -d -b "$BUNDLE" process-silent < /dev/null > /dev/null 2>&1
    export NOTIFY_SOCKET="$BATS_TEST_TMPDIR/nobody"
    run -3 timeout -k 1 60 berth-oci --root "$ROOT" run -b "$BUNDLE" process-alone
    expect_text "connect to NOTIFY_SOCKET '$BATS_TEST_TMPDIR/nobody'"
    expect_text "going on without"
}

@test "reports come out of a user namespace" {
    notify_host
    chown -R 100000:100000 "$BUNDLE/rootfs"
    configure '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
    program 'payload notify "READY=1" && sleep 1000'
    start process-user
    wait_until 30 host_heard "READY=1 MAINPID=$(oci state process-user | jq .pid)"
}

# --- confinement, scheduling ----------------------------------------------------------------------

@test "confinement that this machine does not have is refused, by create and by exec" {
    [ ! -e /sys/module/apparmor/parameters/enabled ] || skip "this machine has AppArmor"
    [ ! -e /sys/fs/selinux/enforce ] || skip "this machine has SELinux"
    start process-lsm
    run -255 oci exec --apparmor docker-default process-lsm true
    expect_text "process.apparmorProfile: this kernel has no AppArmor"
    run -255 oci exec --process-label system_u:system_r:container_t:s0 process-lsm true
    expect_text "process.selinuxLabel: SELinux is not enabled on this machine"
    configure '.process.apparmorProfile = "docker-default"'
    run -1 oci run -b "$BUNDLE" process-no
    expect_text "process.apparmorProfile: this kernel has no AppArmor"
}

@test "a policy that wants all CPUs says so when a cpuset leaves some out" {
    [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name 'cpuset.cpus*' -print -quit)" ] || skip "no cpuset controller here"
    [ "$(nproc)" -gt 1 ] || skip "this machine has one CPU"
    configure '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 1000000, deadline: 10000000, period: 10000000} | .linux.resources.cpu.cpus = "0" | .process.args = ["true"]'
    run -1 oci run -b "$BUNDLE" process-dl
    expect_text "process scheduler can't be used together with AllowedCPUs"
    expect_text "linux.resources.cpu.cpus"
}

@test "a terminal that others go on using does not hold up the end of exec" {
    configure '.process.args = ["sleep", "1000"]'
    start one
    # The kernel hangs the terminal up when its session's first process ends; who opens it again after
    # that writes as fast as it is read.
    # shellcheck disable=SC2016 # the container's shell expands it
    for command in 'while :; do echo noise > $t; done' 'exec sleep 1000 <> $t'; do
        status=0
        timeout -s KILL 20 berth-oci --root "$ROOT" exec -t one sh -c "trap '' HUP; t=\$(tty)
            (while stty < /dev/tty; do :; done > /dev/null 2>&1; $command) & echo last; exit 5" \
            < /dev/null > "$BATS_TEST_TMPDIR/out" || status=$?
        [ $status = 5 ]
        grep -q last "$BATS_TEST_TMPDIR/out"
    done
}
