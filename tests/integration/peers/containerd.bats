load peers

# containerd starts a shim for each container, which calls the runtime with --log-format json, kill
# --all, delete --force, exec --process, and reads the cgroup by itself.

setup_file() {
    peer_begin
    start_containerd
    make_root "$PEER/image"
    make_oci_archive "$PEER/image" "$PEER/box.tar"
    ctr image import --base-name box "$PEER/box.tar" > /dev/null
}

teardown_file() {
    remove_tasks
    ctr image rm box:box > /dev/null
    peer_server_stop
    remove_cgroups "$NAME"
    peer_end
}

IMAGE=box:box
CTR_OPTIONS=(--runc-binary "$OCI")

teardown() { remove_tasks; }

@test "containerd: the example in README.md" {
    run -0 ctr $(readme_lines '^ctr run' | sed 's/^ctr//; s/ docker.io[^ ]* / box:box /')
    remove_cgroups default
}

@test "containerd: run passes output and the exit status" {
    run -4 ctr_run --rm one sh -c 'id -u; echo err >&2; exit 4'
    expect_text 0
    expect_text err
}

@test "containerd: a program that is not there is named" {
    run -1 ctr_run --rm one does-not-exist
    expect_text 'OCI runtime create failed: '
    expect_text 'exec: "does-not-exist": executable file not found in $PATH'
    run -1 ctr_run --rm two /bin/not-executable
    expect_text "permission denied"
    [ -z "$(ls "$PEER/runc/default")" ]
}

@test "containerd: -t gives a terminal with the caller's size" {
    run -3 on_terminal hello ctr -a "$PEER/containerd.sock" run --runc-binary "$OCI" \
        --runc-root "$PEER/runc" --cgroup /$NAME/tty --rm -t box:box tty sh -c \
        'tty; until stty size 2> /dev/null | grep "^[1-9]"; do :; done
         echo ready; read x; echo "got-$x"; exit 3'
    expect_text /dev/pts/0
    expect_text "33 77"
    expect_text got-hello
}

@test "containerd: detached: exec, ps, metrics, pause, resume, kill, delete" {
    ctr_run -d up sleep 1000
    [ "$(task_status up)" = RUNNING ]
    run -5 ctr task exec --exec-id e1 up sh -c 'echo from-exec; exit 5'
    [ "$output" = from-exec ]
    run -1 ctr task exec --exec-id e2 up does-not-exist
    expect_text 'executable file not found'
    run -6 on_terminal hello ctr -a "$PEER/containerd.sock" task exec -t --exec-id e3 up \
        sh -c 'tty; echo ready; read x; exit 6'
    expect_text /dev/pts/0
    run -0 ctr task exec --exec-id e4 --user 1000 --cwd /tmp up sh -c 'id -u; pwd'
    [ "$output" = $'1000\n/tmp' ]
    ctr task exec -d --exec-id e5 up sleep 900
    run -0 ctr task ps up
    expect_text e5
    [ "${#lines[@]}" = 3 ]
    run -0 ctr task metrics up
    expect_text "pids.current"
    expect_text "memory.usage_in_bytes"
    ctr task pause up
    [ "$(task_status up)" = PAUSED ]
    ctr task resume up
    [ "$(task_status up)" = RUNNING ]
    run -1 ctr task delete up
    ctr task kill -a -s KILL up
    wait_until 30 is_stopped up
    run -0 ctr task delete up
    expect_text "exit code 137"
    ctr container rm up
    [ -z "$(find /sys/fs/cgroup -type d -path "*/$NAME/up")" ]
}

@test "containerd: kill reaches the program, whose status is kept" {
    ctr_run -d up sh -c 'trap "exit 9" USR1; touch /tmp/ready; while :; do sleep 0.1; done'
    wait_until 30 ctr task exec --exec-id "e$RANDOM" up test -f /tmp/ready
    ctr task kill -s USR1 up
    wait_until 30 is_stopped up
    run -0 ctr task delete up
    expect_text "exit code 9"
}

@test "containerd: limits; more memory than allowed ends the program" {
    run -0 ctr_run --rm --memory-limit=8388608 --cpus=0.5 \
        --mount=type=bind,src=/sys/fs/cgroup,dst=/sys/fs/cgroup,options=rbind:ro one sh -c \
        "cd /sys/fs/cgroup; cat memory/$NAME/one/memory.limit_in_bytes \
            cpu/$NAME/one/cpu.cfs_quota_us $NAME/one/memory.max 2> /dev/null || true"
    expect_text 8388608
    run -137 ctr_run --rm --memory-limit=8388608 two tail /dev/zero
}

@test "containerd: capabilities, seccomp, read-only, privileged, devices, environment, networks" {
    run -0 ctr_run --rm --seccomp --cap-add=CAP_SYS_TIME --read-only one sh -c \
        'touch /x || echo refused; grep -E "Seccomp:|CapEff" /proc/self/status'
    expect_text refused
    expect_text $'Seccomp:\t2'
    expect_text 00000000aa0425fb
    run -0 ctr_run --rm --privileged two grep CapEff /proc/self/status
    expect_text 000001ff
    run -0 ctr_run --rm --device=/dev/full --env=A=b three sh -c 'echo > /dev/full || echo "A=$A"'
    expect_text A=b
    run -0 ctr_run --rm --net-host four ls /sys/class/net
    [ "$output" = "$(ls /sys/class/net)" ]
}

@test "containerd: SIGKILL of the shim, then the task is gone and nothing is left" {
    ctr_run -d up sleep 1000
    pkill -KILL -f "containerd-shim-runc-v2 .*-address $PEER/containerd.sock"
    wait_until 20 bash -c "[ -z \"\$(ctr -a $PEER/containerd.sock task ls -q)\" ]"
    wait_until 20 bash -c "[ -z \"\$(ls $PEER/runc/default)\" ]"
    wait_until 20 bash -c "[ -z \"\$(find /sys/fs/cgroup -type d -path '*/$NAME/up')\" ]"
}
