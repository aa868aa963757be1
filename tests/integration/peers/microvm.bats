load peers

# Existing engines with the annotation of a microVM: what they do with a container they do with it.

setup_file() {
    PEER_CGROUPS=/libpod_parent
    export PEER_CGROUPS
    # Where microVMs are emulated and the machine is busy a boot takes long.
    export BERTH_TEST_PATIENCE=6
    find_kernel || return 0
    remove_cgroups libpod_parent
    peer_begin
    make_root "$PEER/image"
    # podman empties the environment of a runtime.
    printf '#!/bin/sh\nBERTH_DATA=%s exec %s "$@"\n' "$KERNELS" "$OCI" > "$PEER/berth-oci"
    chmod +x "$PEER/berth-oci"
    configure_podman "runtime = \"berth\"
cgroup_manager = \"cgroupfs\"
[engine.runtimes]
berth = [\"$PEER/berth-oci\"]"
    export BERTH_DATA=$KERNELS
    start_containerd
    make_image
}

# The kernel of the other tests, imported unless they have done it: KERNELS is their DATA.
find_kernel() {
    local berth=${BERTH_BUILD:-$PWD/build-check}/berth
    KERNELS=${BERTH_TEST_DATA:-$PWD/build-check/testdata}/data
    export KERNELS
    [ "$("$berth" info --format '{{.MicroVMBackend}}')" != none ] || return 1
    compgen -G "$KERNELS/kernels/*/kernel.json" > /dev/null ||
        "$berth" --data "$KERNELS" vm kernel import --package linux-image-cloud-amd64 > /dev/null
}

# The image asks for what it must not get: more memory than the limit allows.
make_image() {
    umoci init --layout "$PEER/layout" 2> /dev/null
    umoci new --image "$PEER/layout:greedy" 2> /dev/null
    umoci insert --image "$PEER/layout:greedy" "$PEER/image" / 2> /dev/null
    umoci config --image "$PEER/layout:greedy" --config.cmd sh --config.label run.berth.isolation=microvm \
        --manifest.annotation run.berth.isolation=microvm --manifest.annotation run.berth.vm.memory=1t 2> /dev/null
    tar -C "$PEER/layout" -cf "$PEER/greedy.tar" .
    ctr image import --base-name greedy "$PEER/greedy.tar" > /dev/null
    podman load -q -i "$PEER/greedy.tar" > /dev/null
    podman tag "$(podman images -q)" greedy
    tar -C "$PEER/image" -c . | podman import - box > /dev/null
}

teardown_file() {
    [ -n "${PEER:-}" ] || return 0
    teardown
    ctr image rm greedy:greedy > /dev/null
    peer_server_stop
    remove_podman
    remove_cgroups "$NAME"
    peer_end
}

setup() {
    [ -n "${PEER:-}" ] || skip "nothing runs microVMs here, or there is no kernel for them"
    # conmon writes its files into the current folder.
    cd "$PEER" || return
}

teardown() {
    [ -n "${PEER:-}" ] || return 0
    podman rm -a -f -t 0 > /dev/null
    remove_tasks
}

# podman run, as a microVM: podman_run [OPTION...] IMAGE COMMAND...
podman_run() { podman run --annotation run.berth.isolation=microvm "$@"; }

IMAGE=greedy:greedy
CTR_OPTIONS=(--runc-binary "$PEER/berth-oci" --annotation run.berth.isolation=microvm)

# A kernel's release that is not this machine's: expect_other_kernel RELEASE
expect_other_kernel() { [[ "$1" == [0-9]* ]] && [ "$1" != "$(uname -r)" ]; }

@test "podman, microVM: run, input, output, statuses, and what cannot be" {
    run -7 --separate-stderr podman_run --rm -i box sh -c 'uname -r; cat; echo err >&2; exit 7' <<< in
    expect_other_kernel "${lines[0]}"
    [ "${lines[1]}" = in ]
    [[ "$stderr" == *err* ]]
    run -127 podman_run --rm box does-not-exist
    expect_text "executable file not found"
    run -126 podman_run --rm --device /dev/full box true
    expect_text "linux.devices[0]: '/dev/full' is a device of this machine"
    run -126 podman_run --rm --network host box true
    expect_text "--network host"
}

@test "podman, microVM: exec, logs, stats, pause, kill, stop, wait, a volume" {
    mkdir "$PEER/volume"
    podman_run -d --name up -m 64m -v "$PEER/volume:/data" box sh -c 'trap "echo usr1" USR1
        trap "echo term; exit 4" TERM; echo begin; while :; do sleep 0.1; done'
    run -5 podman exec -u 1000 -w /tmp -e A=b up sh -c 'id -u; pwd; echo $A; exit 5'
    [ "$output" = $'1000\n/tmp\nb' ]
    podman exec up touch /data/made
    [ -e "$PEER/volume/made" ]
    run -127 podman exec up does-not-exist
    run -0 podman stats --no-stream --format '{{.Name}} {{.PIDs}}' up
    [[ "$output" == "up "[1-9]* ]]
    podman pause up
    [ "$(podman inspect --format '{{.State.Status}}' up)" = paused ]
    podman unpause up
    podman kill -s USR1 up
    wait_until 30 bash -c "$(declare -f podman); podman logs up | grep -q usr1"
    podman stop -t 60 up
    [ "$(podman wait up)" = 4 ]
    [ "$(podman logs up)" = $'begin\nusr1\nterm' ]
    podman start up
    podman exec up true
    podman rm -f -t 0 up
}

@test "podman, microVM: checkpoint, restore, and where it went on" {
    counts_to() { [ "$(podman logs saved | tail -n 1)" -ge "$1" ]; }
    podman_run -d --name saved box sh -c 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.2; done'
    wait_until 30 counts_to 2
    if [ "$("${OCI%-oci}" info --format '{{.MicroVMBackend}}')" = qemu ]; then
        # What podman gives is a directory, which an emulated machine cannot be saved with.
        run -125 podman container checkpoint saved
        expect_text "cannot be saved with it where it is emulated"
        wait_until 30 counts_to $(($(podman logs saved | tail -n 1) + 3))
        podman rm -f -t 0 saved
        return
    fi
    podman container checkpoint saved
    [ "$(podman inspect --format '{{.State.Status}}' saved)" = exited ]
    last=$(podman logs saved | tail -n 1)
    podman container restore saved
    wait_until 30 counts_to $((last + 3))
    # Each number once: it went on, and did not begin again.
    [ "$(podman logs saved | sort -n | uniq -d)" = "" ]
    podman rm -f -t 0 saved
}

@test "podman, microVM: -it gives a terminal with the caller's size" {
    run -3 env CONTAINERS_CONF="$PEER/containers.conf" bash -c "$(declare -f on_terminal); on_terminal hello \
        podman --root '$PEER/store' --runroot '$PEER/run' --tmpdir '$PEER/tmp' --storage-driver vfs \
        run --annotation run.berth.isolation=microvm --rm -it box sh -c \
        'tty; until stty size 2> /dev/null | grep \"^[1-9]\"; do :; done; echo ready; read x; echo got-\$x; exit 3'"
    expect_text /dev/pts/0
    expect_text "33 77"
    expect_text got-hello
}

@test "podman, microVM: out of memory ends the program, and no image raises the limit" {
    run -137 podman_run --rm -m 32m box tail /dev/zero
    # podman hands the annotations of the image on.
    run -126 podman run --rm -m 64m greedy true
    expect_text "'1t' is more than linux.resources.memory.limit"
    [ "$(podman ps -aq | wc -l)" = 0 ]
}

# What the last try says is kept.
runs_again() { ctr task exec --exec-id "e$RANDOM" up test -f /tmp/ready > "$PEER/exec.out" 2>&1; }

@test "containerd, microVM: run, exec, metrics, pause, kill, delete" {
    run -4 --separate-stderr ctr_run --rm one sh -c 'uname -r; echo err >&2; exit 4'
    expect_other_kernel "${lines[0]}"
    [[ "$stderr" == *err* ]]
    ctr_run -d --memory-limit=67108864 up sh -c 'trap "exit 9" USR1; touch /tmp/ready; while :; do sleep 0.1; done'
    run -5 ctr task exec --exec-id e1 up sh -c 'echo from-exec; exit 5'
    [ "$output" = from-exec ]
    run -0 ctr task exec --exec-id e2 --user 1000 --cwd /tmp up sh -c 'id -u; pwd'
    [ "$output" = $'1000\n/tmp' ]
    run -6 on_terminal hello ctr -a "$PEER/containerd.sock" task exec -t --exec-id e3 up \
        sh -c 'tty; echo ready; read x; exit 6'
    expect_text /dev/pts/0
    run -0 ctr task metrics up
    expect_text "memory.usage_in_bytes"
    ctr task pause up
    [ "$(task_status up)" = PAUSED ]
    ctr task resume up
    wait_until 30 ctr task exec --exec-id "e$RANDOM" up test -f /tmp/ready
    ctr task kill -s USR1 up
    wait_until 20 is_stopped up
    run -0 ctr task delete up
    expect_text "exit code 9"
    ctr container rm up
    [ -z "$(find /sys/fs/cgroup -type d -path "*/$NAME/up")" ]
}

@test "containerd, microVM: a terminal, a missing program, a label of the image, SIGKILL of the shim" {
    run -3 on_terminal hello ctr -a "$PEER/containerd.sock" run --runc-binary "$PEER/berth-oci" \
        --runc-root "$PEER/runc" --cgroup "/$NAME/tty" --annotation run.berth.isolation=microvm \
        --rm -t greedy:greedy tty sh -c \
        'tty; until stty size 2> /dev/null | grep "^[1-9]"; do :; done
         echo ready; read x; echo "got-$x"; exit 3'
    expect_text "33 77"
    expect_text got-hello
    run -127 ctr_run --rm two does-not-exist
    expect_text 'executable file not found'
    # Without the annotation the image's label and annotation ask for nothing.
    run -0 ctr run --runc-binary "$PEER/berth-oci" --runc-root "$PEER/runc" --cgroup "/$NAME/three" \
        --rm greedy:greedy three uname -r
    [ "$output" = "$(uname -r)" ]
    ctr_run -d up sleep 1000
    ctr task exec --exec-id e1 up true
    pkill -KILL -f "containerd-shim-runc-v2 .*-address $PEER/containerd.sock"
    wait_until 20 bash -c "[ -z \"\$(ctr -a $PEER/containerd.sock task ls -q)\" ]"
    wait_until 20 bash -c "[ -z \"\$(ls $PEER/runc/default)\" ]"
    wait_until 20 bash -c "[ -z \"\$(find /sys/fs/cgroup -type d -path '*/$NAME/up')\" ]"
}
