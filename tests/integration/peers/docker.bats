load peers

# Docker's daemon with a containerd of its own; every folder and the socket are in PEER. Neither a
# bridge nor packet filter rules are made.

setup_file() {
    peer_begin
    export SHIMS="containerd-shim-runc-v2 .*-address $PEER/"
    cat > "$PEER/daemon.json" <<EOF
{
    "data-root": "$PEER/root", "exec-root": "$PEER/exec", "pidfile": "$PEER/docker.pid",
    "hosts": ["unix://$PEER/docker.sock"],
$(readme_lines '"(runtimes|default-runtime|exec-opts)": ' | sed 's/]$/],/')
    "cgroup-parent": "/$NAME",
    "iptables": false, "ip6tables": false, "bridge": "none"
}
EOF
    peer_server dockerd --config-file "$PEER/daemon.json"
    wait_until 60 docker version
    make_root "$PEER/image"
    tar -C "$PEER/image" -c . | docker import - box > /dev/null
}

teardown_file() {
    local has_ended=yes
    remove_containers
    # The daemon ends its shims one after the other, and not any more when it is stopped.
    wait_until 60 has_no_shims || { has_ended='' && tell_of_shims && pkill -KILL -f "$SHIMS"; }
    peer_server_stop
    umount "$PEER/exec/netns/default" || true # the network of the host, which it keeps
    remove_cgroups "$NAME"
    peer_end && [ -n "$has_ended" ]
}

# For each shim that is still there: whether its container is known to berth-oci, and what the daemon
# and its containerd said of it.
tell_of_shims() {
    local id
    for id in $(pgrep -af "$SHIMS" | sed 's/.* -id \([^ ]*\) .*/\1/'); do
        find "$PEER/exec" -path "*berth*/$id" -type d
        grep -F "${id::12}" "$PEER/server.log" | tail -n 12
    done
}

docker() { BERTH_PEER_SERVER=$PEER command docker -H "unix://$PEER/docker.sock" "$@"; }

remove_containers() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -f $ids > /dev/null
}

teardown() { remove_containers; }

has_no_shims() { ! pgrep -f "$SHIMS"; }
quick() { docker run --rm --network none "$@"; }
state() { docker inspect -f "{{.State.$2}}" "$1"; }
is_healthy() { [ "$(state "$1" Health.Status)" = healthy ]; }
is_exited() { [ "$(state "$1" Status)" = exited ]; }
has_logged() { docker logs "$1" 2>&1 | grep -q "$2"; }

@test "docker: the runtime is known, and the default" {
    run -0 docker info --format '{{.DefaultRuntime}} {{json .Runtimes}}'
    expect_text "berth {"
    expect_text "$OCI"
}

@test "docker: run passes output, input and the exit status" {
    run -7 quick -i box sh -c 'cat; echo err >&2; exit 7' <<< in
    expect_text in
    expect_text err
}

@test "docker: 125, 126 and 127 tell who failed" {
    run -125 quick --runtime none box true
    run -126 quick box /bin/not-executable
    expect_text "permission denied"
    run -127 quick box does-not-exist
    expect_text 'executable file not found in $PATH'
    run ! quick box /bin/not-a-program
    expect_text "xec format error"
}

@test "docker: -it gives a terminal with the caller's size" {
    run -3 on_terminal hello docker -H "unix://$PEER/docker.sock" run --rm -it --network none box \
        sh -c 'tty; until stty size 2> /dev/null | grep "^[1-9]"; do :; done
               echo ready; read x; echo "got-$x"; exit 3'
    expect_text /dev/pts/0
    expect_text "33 77"
    expect_text got-hello
}

@test "docker: exec with user, directory, environment, terminal, and detached" {
    docker run -d --name up --network none box sleep 100
    run -3 docker exec -u 1000 -w /tmp -e A=b up sh -c 'id -u; pwd; echo "A=$A"; exit 3'
    [ "$output" = $'1000\n/tmp\nA=b' ]
    run ! docker exec up does-not-exist
    expect_text 'executable file not found in $PATH'
    run -5 on_terminal hello docker -H "unix://$PEER/docker.sock" exec -it up \
        sh -c 'tty; echo ready; read x; exit 5'
    expect_text /dev/pts/0
    docker exec -d up touch /tmp/made
    wait_until 30 docker exec up test -f /tmp/made
}

@test "docker: limits, and update of a running container" {
    docker run -d --name up --network none -m 64m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 box \
        sleep 100
    limits() {
        docker exec up sh -c 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max \
            cpu/cpu.cfs_quota_us memory.max pids.max cpu.max 2> /dev/null' | cut -d' ' -f1 | xargs
    }
    [ "$(limits)" = "67108864 50 50000" ]
    docker update -m 32m --memory-swap 64m --cpus 0.25 --pids-limit 20 up
    [ "$(limits)" = "33554432 20 25000" ]
}

@test "docker: a container that exceeds its memory is ended and told to be" {
    run -137 docker run --name big --network none -m 16m box tail /dev/zero
    [ "$(state big OOMKilled)" = true ]
}

@test "docker: stats, top, pause and unpause" {
    docker run -d --name up --network none box sleep 100
    run -0 docker stats --no-stream --format '{{.Name}} {{.PIDs}}'
    [ "$output" = "up 1" ]
    run -0 docker top up
    expect_text "sleep 100"
    docker pause up
    [ "$(state up Status)" = paused ]
    docker unpause up
    [ "$(state up Status)" = running ]
}

@test "docker: logs, kill, stop, restart, rm -f" {
    docker run -d --name up --network none box sh -c 'trap "echo usr1" USR1
        trap "echo term; exit 4" TERM; echo begin; while :; do sleep 0.1; done'
    wait_until 30 has_logged up begin
    docker kill -s USR1 up
    wait_until 30 has_logged up usr1
    docker stop -t 20 up
    [ "$(docker wait up)" = 4 ]
    [ "$(docker logs up)" = $'begin\nusr1\nterm' ]
    docker restart -t 0 up
    [ "$(state up Running)" = true ]
    docker rm -f up
}

@test "docker: --init, --restart, health checks" {
    run -0 quick --init box cat /proc/1/comm
    [ "$output" = docker-init ]
    docker run -d --name again --network none --restart on-failure:2 box sh -c 'exit 1'
    wait_until 30 is_exited again
    [ "$(docker inspect -f '{{.RestartCount}}' again)" = 2 ]
    docker run -d --name up --network none --health-cmd true --health-interval 1s box sleep 100
    wait_until 30 is_healthy up
}

@test "docker: seccomp, capabilities, devices, read-only, tmpfs, ulimits, sysctl" {
    run -0 quick box grep -E 'Seccomp:|CapEff' /proc/self/status
    expect_text $'Seccomp:\t2'
    expect_text 00000000a80425fb
    run -0 quick --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status
    expect_text $'Seccomp:\t0'
    run -0 quick --cap-drop ALL --cap-add NET_RAW box grep CapEff /proc/self/status
    expect_text 0000000000002000
    run -0 quick --device /dev/loop-control:/dev/control:r box sh -c \
        '(: < /dev/control) && ! (: > /dev/control)'
    expect_text "Operation not permitted"
    run -0 quick --read-only --tmpfs /t box sh -c '! touch /x 2> /dev/null; touch /t/x; ls /t'
    [ "$output" = x ]
    run -0 quick --ulimit nofile=100:200 --sysctl kernel.msgmax=1234 --hostname harbour box sh -c \
        'ulimit -Sn; ulimit -Hn; cat /proc/sys/kernel/msgmax; hostname'
    [ "$output" = $'100\n200\n1234\nharbour' ]
}

@test "docker: namespaces of the host and of another container, cgroup parents" {
    run -0 quick --pid host --ipc host --uts host box hostname
    [ "$output" = "$(hostname)" ]
    run -0 docker run --rm --network host box ls /sys/class/net
    [ "$output" = "$(ls /sys/class/net)" ]
    docker run -d --name up --network none --ipc shareable box sleep 100
    run -0 docker run --rm --pid container:up --ipc container:up --network container:up box ps
    expect_text "sleep 100"
    run -0 quick --cgroup-parent /$NAME/sub box cat /proc/1/cgroup
    expect_text ":/$NAME/sub/"
}

@test "docker: volumes and copies" {
    docker run --rm --network none -v kept:/v box sh -c 'echo kept > /v/f'
    run -0 quick -v kept:/v:ro box cat /v/f
    [ "$output" = kept ]
    docker volume rm kept
    docker run -d --name up --network none box sleep 100
    docker cp up:/etc/passwd "$PEER/passwd"
    grep -q user "$PEER/passwd"
    docker cp "$PEER/passwd" up:/tmp/copied
    docker exec up grep -q user /tmp/copied
}
