load peers

# podman starts no server: conmon stays with each container, and calls the runtime.

setup_file() {
    PEER_CGROUPS=/libpod_parent
    export PEER_CGROUPS
    remove_cgroups libpod_parent # podman's own, of somebody's earlier containers
    peer_begin
    configure_podman "$(readme_lines '^(runtime|cgroup_manager) = ')
runtime_supports_json = [\"berth\", \"berth-oci\"]
stop_timeout = 1
$(readme_lines '^(\[engine.runtimes\]|berth = )')"
    make_root "$PEER/image"
    tar -C "$PEER/image" -c . | podman import - box > /dev/null
}

teardown_file() {
    podman rm -a -f -t 0 > /dev/null
    remove_podman
    peer_end
}

on_podman_terminal() {
    CONTAINERS_CONF=$PEER/containers.conf on_terminal "$1" podman --root "$PEER/store" \
        --runroot "$PEER/run" --tmpdir "$PEER/tmp" --storage-driver vfs "${@:2}"
}

# podman sends the size when the program already runs.
SIZE='until stty size 2> /dev/null | grep "^[1-9]"; do :; done'

# conmon writes its files into the current folder.
setup() { cd "$PEER" || return; }

teardown() {
    # A conmon that has not yet ended is in the way of the pod's cgroup.
    wait_until 20 podman pod rm -a -f
    podman rm -a -f -t 0 > /dev/null
}

@test "podman: info knows the runtime and its version" {
    run -0 podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}'
    expect_text "berth berth-oci version"
}

@test "podman: the example in README.md" {
    run -0 podman $(readme_lines '^podman --runtime' | sed 's/^podman//; s/ busybox / box /')
}

@test "podman: run passes output, input and the exit status" {
    run -7 podman run --rm -i box sh -c 'cat; echo err >&2; exit 7' <<< in
    expect_text in
    expect_text err
    run -137 podman run --rm box sh -c 'kill -9 $$; exec sleep 10 & kill -9 -1; exit 137'
}

@test "podman: 125, 126 and 127 tell who failed" {
    run -125 podman run --rm -v /does-not-exist:/x box true
    run -126 podman run --rm box /bin/not-executable
    expect_text "permission denied"
    run -126 podman run --rm box /etc
    run -127 podman run --rm box does-not-exist
    expect_text "executable file not found"
    run -127 podman run --rm box /bin/does-not-exist
    run -126 podman run --rm box /bin/not-a-program
    podman run -d --name up box sleep 100
    run -127 podman exec up does-not-exist
    run -126 podman exec up /bin/not-executable
    run -9 podman exec up sh -c 'exit 9'
}

@test "podman: -it gives a terminal with the caller's size" {
    run -3 on_podman_terminal hello run --rm -it box \
        sh -c "tty; $SIZE; echo ready; read x; echo \"got-\$x\"; exit 3"
    expect_text /dev/pts/0
    expect_text "33 77"
    expect_text got-hello
}

@test "podman: exec with user, directory, environment, terminal, and detached" {
    podman run -d --name up box sleep 100
    run -0 podman exec -u 1000 -w /tmp -e A=b up sh -c 'id; pwd; echo "A=$A"'
    expect_text "uid=1000(user) gid=1000(user)"
    expect_text /tmp
    expect_text A=b
    run -0 podman exec -u user up id -u
    [ "$output" = 1000 ]
    run -5 on_podman_terminal hello exec -it up sh -c "$SIZE; echo ready; read x; exit 5"
    expect_text "33 77"
    podman exec -d up touch /tmp/made
    wait_until 30 podman exec up test -f /tmp/made
    run -0 podman exec --privileged up grep CapEff /proc/self/status
    expect_text 000001ff
}

@test "podman: limits are in the cgroup" {
    run -0 podman run --rm -m 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 200 \
        --cpuset-cpus 0 --pids-limit 50 --blkio-weight 300 box sh -c 'cd /sys/fs/cgroup
            for file in memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes \
                cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus pids/pids.max \
                memory.max memory.low cpu.max cpuset.cpus pids.max; do
                [ ! -f $file ] || echo "$(basename $file)=$(cat $file)"
            done'
    expect_text "=67108864"
    expect_text "=33554432"
    [[ "$output" == *=50000* ]]
    expect_text "pids.max=50"
    expect_text "cpuset.cpus=0"
}

@test "podman: a container that exceeds its memory is ended, and told of as with runc" {
    run -137 podman run --name big -m 16m box tail /dev/zero
    run -137 podman --runtime /usr/sbin/runc run --name theirs -m 16m box tail /dev/zero
    run -0 podman inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' big theirs
    [ "${lines[0]}" = "${lines[1]}" ]
}

@test "podman: stats, top, pause and unpause" {
    podman run -d --name up box sh -c 'while :; do date > /tmp/now; sleep 0.1; done'
    run -0 podman stats --no-stream --format '{{.Name}} {{.PIDs}}' up
    [[ "$output" == "up "[1-9]* ]]
    run -0 podman top up user pid comm
    expect_text "sh"
    podman pause up
    [ "$(podman inspect --format '{{.State.Status}}' up)" = paused ]
    run ! podman exec up true
    podman unpause up
    podman exec up true
}

@test "podman: logs, kill, stop, restart, wait, rm -f" {
    podman run -d --name up box sh -c 'trap "echo usr1" USR1; trap "echo term; exit 4" TERM
        echo begin; while :; do sleep 0.1; done'
    wait_until 30 bash -c "$(declare -f podman); podman logs up | grep -q begin"
    podman kill -s USR1 up
    wait_until 30 bash -c "$(declare -f podman); podman logs up | grep -q usr1"
    podman stop -t 20 up
    [ "$(podman wait up)" = 4 ]
    run -0 podman logs up
    [ "$output" = $'begin\nusr1\nterm' ]
    podman restart up
    [ "$(podman inspect --format '{{.State.Status}}' up)" = running ]
    podman rm -f -t 0 up
    run -1 podman container exists up
}

@test "podman: devices, capabilities, privileged, seccomp" {
    run -0 podman run --rm --device /dev/zero:/dev/nought:r box sh -c \
        'head -c 3 /dev/nought | od -An -tx1; ls -l /dev/nought; echo > /dev/nought'
    run -0 podman run --rm --cap-drop all --cap-add NET_RAW box grep CapEff /proc/self/status
    expect_text 0000000000002000
    run -0 podman run --rm --privileged box sh -c 'grep CapEff /proc/self/status; readlink /dev/ptmx'
    expect_text 000001ff
    expect_text pts/ptmx
    run -0 podman run --rm box grep Seccomp: /proc/self/status
    expect_text 2
    run -0 podman run --rm --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status
    expect_text 0
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":
        [{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' > "$PEER/seccomp.json"
    run -1 podman run --rm --security-opt "seccomp=$PEER/seccomp.json" box mkdir /tmp/a
    expect_text "Operation not permitted"
    run -0 podman run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status
    expect_text 1
}

@test "podman: read-only, tmpfs, volumes, propagation" {
    run -1 podman run --rm --read-only box touch /x
    run -0 podman run --rm --read-only box touch /tmp/x /dev/shm/x
    run -0 podman run --rm --tmpfs /x:size=1m,mode=1770 box sh -c 'grep " /x " /proc/mounts; stat -c %a /x'
    expect_text "size=1024k"
    expect_text 1770
    podman run --rm -v kept:/v box touch /v/made
    run -0 podman run --rm -v kept:/v:ro box ls /v
    [ "$output" = made ]
    run -1 podman run --rm -v kept:/v:ro box touch /v/more
    podman volume rm kept
    run -0 podman run --rm --mount type=bind,src=/etc,dst=/e,ro,bind-propagation=shared box \
        grep ' /e ' /proc/self/mountinfo
    expect_text "shared:"
}

@test "podman: user namespaces with mapped ids" {
    run -0 podman run --rm --uidmap 0:100000:65536 --gidmap 0:200000:65536 box sh -c \
        'id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /root/x && stat -c %u:%g /root/x'
    expect_text "100000      65536"
    expect_text "200000      65536"
    expect_text 0:0
}

@test "podman: --init, user, groups, umask, ulimits, sysctl, oom score, host name" {
    run -0 podman run --rm --init box cat /proc/1/comm
    expect_text podman-init
    run -0 podman run --rm -u 5:6 --group-add 7 box id
    expect_text "uid=5(5) gid=6(6) groups=6(6),7"
    run -0 podman run --rm --umask 077 --ulimit nofile=100:200 --ulimit nproc=99:99 --sysctl kernel.msgmax=1234 \
        --oom-score-adj 500 --hostname harbour box sh -c 'umask; ulimit -Sn; ulimit -Hn
            cat /proc/sys/kernel/msgmax /proc/self/oom_score_adj; hostname'
    [ "$output" = $'0077\n100\n200\n1234\n500\nharbour' ]
}

@test "podman: namespaces of the host and by path" {
    run -0 podman run --rm --pid host --ipc host --uts host box sh -c \
        'hostname; readlink /proc/self/ns/ipc; test -d /proc/'$$
    [ "$output" = "$(hostname)"$'\n'"$(readlink /proc/self/ns/ipc)" ]
    unshare --net sleep 100 3>&- &
    run -0 podman run --rm --network "ns:/proc/$!/ns/net" box ls /sys/class/net
    kill $!
    [ "$output" = lo ]
    run -0 podman run --rm --network host box ls /sys/class/net
    [ "$output" = "$(ls /sys/class/net)" ]
    run -0 podman run --rm --cgroup-parent /libpod_parent/berth-peer box cat /proc/1/cgroup
    expect_text /libpod_parent/berth-peer/libpod-
}

@test "podman: the containers of a pod share namespaces and an infra container" {
    podman pod create --name crew --network none --hostname crew > /dev/null
    podman run -d --pod crew --name first box sh -c 'touch /dev/shm/x; sleep 100'
    run -0 podman run --rm --pod crew box sh -c 'hostname; ls /dev/shm'
    [ "$output" = $'crew\nx' ]
    run -0 podman pod stats --no-stream crew
    expect_text first
    podman pod pause crew
    podman pod unpause crew
    podman pod stop -t 0 crew
    [ "$(podman pod inspect crew --format '{{.State}}')" = Exited ]
    podman pod start crew
    podman pod create --name bare --infra=false > /dev/null
    podman run --rm --pod bare box true
}

@test "podman: health checks" {
    podman run -d --name up --health-cmd 'test -f /tmp/ok' --health-interval disable box sleep 100
    run -1 podman healthcheck run up
    expect_text unhealthy
    podman exec up touch /tmp/ok
    podman healthcheck run up
    run -0 podman inspect --format '{{.State.Health.Status}}' up
    expect_text healthy
}

@test "podman: readiness is passed to the caller's notify socket" {
    python3 - "$PEER/notify" > "$PEER/notified" 3>&- <<'EOF' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(60)
seen = b""
while b"READY=1" not in seen:
    seen += s.recv(4096)
print(seen.decode())
EOF
    wait_until 30 test -S "$PEER/notify"
    NOTIFY_SOCKET=$PEER/notify podman run -d --sdnotify conmon box sleep 100
    wait_until 30 grep READY=1 "$PEER/notified"
}

@test "podman: logs in the format of Kubernetes, copies, changes" {
    podman run --name up --log-driver k8s-file --log-opt "path=$PEER/k8s.log" box \
        sh -c 'echo one; echo two >&2'
    grep -q ' stdout F one$' "$PEER/k8s.log"
    grep -q ' stderr F two$' "$PEER/k8s.log"
    podman cp up:/etc/passwd "$PEER/passwd"
    grep -q user "$PEER/passwd"
}

@test "podman: extra descriptors and the working directory" {
    echo passed > "$PEER/file"
    run -0 podman run --rm --preserve-fds 1 -w /tmp box sh -c 'pwd; cat <&3' 3< "$PEER/file"
    [ "$output" = $'/tmp\npassed' ]
}
