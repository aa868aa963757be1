load helper

# What is special about microVMs. That all else is as in a container is tested by the containers' own
# tests: scripts/check --microvm.

setup() {
    [ "$(berth info --format '{{.MicroVMBackend}}')" != none ] ||
        skip "neither KVM nor QEMU runs a microVM here"
}
teardown() {
    [ -z "${NETWORK:-}" ] || ip netns delete "$NETWORK"
    remove_all
}

needs_kernel() {
    [ -n "$(berth vm kernel ls --format '{{.Name}}')" ] || skip "apt-get fetched no kernel here"
}

# Of the cgroup around a process, whichever version it has: memory_limit PID
memory_limit() {
    cat "/sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' "/proc/$1/cgroup")/memory.limit_in_bytes" 2> /dev/null ||
        cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")/memory.max"
}

# KiB that a microVM has in this machine's memory: resident PID
resident() {
    local pid total=0
    for pid in "$1" $(pgrep -P "$1"); do
        total=$((total + $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")))
    done
    echo $total
}

@test "a microVM has a kernel of its own, and is a container from outside" {
    needs_kernel
    before=$(picture)
    run -0 berth run -d --isolation microvm --name guest -m 64m --vm-cpus 2 busybox \
        sh -c 'trap "exit 7" TERM; echo up; while :; do sleep 0.1; done'
    expect_text "$(berth ps -q)"
    # It waits until the guest is there.
    run -0 berth exec guest sh -c 'uname -r; nproc; cat /sys/fs/cgroup/memory.max'
    [ "${lines[0]}" != "$(uname -r)" ]
    [ "${lines[1]}" = 2 ]
    [[ "${lines[2]}" =~ ^(67108864|max)$ ]]
    run -3 berth exec guest sh -c 'exit 3'
    run -127 berth exec guest no-such-program
    [ "$(field guest .HostConfig.Isolation)" = microvm ]
    run -0 berth top guest
    expect_text "sleep 0.1"
    # Beside its jail there is nothing of this machine: no network but its own, an empty root.
    pid=$(field guest .State.Pid)
    [ "$(ls "/proc/$pid/root")" = "$(printf 'bin\ndev\nlib\nlib64\nproc\nusr\nvm')" ] ||
        [ "$(ls "/proc/$pid/root")" = "$(printf 'dev\nproc\nvm')" ]
    [ "$(wc -l < "/proc/$pid/net/dev")" = 3 ]
    # Limits change in the guest; the machine never gets larger than it was started.
    jail=$(memory_limit "$pid")
    berth update --cpus 0.5 -m 32m --pids-limit 55 guest
    run -0 berth exec guest cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
    [ "$output" = $'33554432\n55' ]
    [ "$(memory_limit "$pid")" = $((jail - (32 << 20))) ]
    berth update -m 64m guest
    [ "$(memory_limit "$pid")" = "$jail" ]
    run -1 berth update -m 100m guest
    expect_text "is too much for the microVM, which was started with 160 MiB"
    [ "$(field guest .HostConfig.Memory)" = $((64 << 20)) ]
    [ "$(berth logs guest)" = up ]
    berth stop -t 60 guest
    [ "$(field guest .State.ExitCode)" = 7 ]
    berth rm guest
    wait_trash
    expect_picture "$before"
}

@test "a microVM has files for tracing where its program may mount them" {
    needs_kernel
    run -0 berth run --rm --isolation microvm --privileged busybox \
        sh -c 'mkdir /t && mount -t tracefs none /t && ls /t/events/sched && cat /proc/cmdline'
    expect_text sched_switch
    [[ "$output" != *tracer_init_tracefs* ]]
    run -0 berth run --rm --isolation microvm busybox cat /proc/cmdline
    expect_text tracer_init_tracefs
}

@test "memory that a microVM has freed goes back to this machine" {
    needs_kernel
    berth run -d --isolation microvm --name guest -m 200m --tmpfs /full:size=100m busybox \
        sh -c 'while :; do sleep 1; done' > /dev/null
    berth exec guest dd if=/dev/zero of=/full/file bs=1M count=80
    pid=$(field guest .State.Pid)
    full=$(resident "$pid")
    berth exec guest rm /full/file
    gone() { [ "$(resident "$pid")" -lt $((full - 60000)) ]; }
    wait_until 60 gone
}

@test "the files of a microVM are seen by its own kernel, so only while that runs" {
    needs_kernel
    before=$(picture)
    cd "$BATS_TEST_TMPDIR"
    berth create --isolation microvm --name guest busybox sh -c \
        'echo x > /new; while :; do echo >> /count; sleep 0.1; done' > /dev/null
    commands=("diff guest" "cp guest:/new out" "commit guest made" "export -o out.tar guest")
    for command in "${commands[@]}"; do
        # shellcheck disable=SC2086
        run -1 berth $command
        expect_text "does not run: start it first"
    done
    berth start guest > /dev/null
    wait_until 60 berth exec guest test -e /count
    berth pause guest
    for command in "${commands[@]}"; do
        # shellcheck disable=SC2086
        run -1 berth $command
        expect_text "is paused, and with it the kernel that sees its files"
    done
    berth unpause guest
    [ "$(ls)" = "" ]
    run -0 berth diff guest
    [ "$output" = $'A /count\nA /new' ]
    berth commit guest made > /dev/null
    # A tar of whomever's is made one of ours on its way in; what is none is told.
    mkdir -p d
    truncate -s 3M d/hole
    echo end >> d/hole
    tar -c --sparse d | berth cp - guest:/
    berth cp guest:/d/hole - | tar -xO | cmp - d/hole
    run -1 berth cp - guest:/ <<< "no tar"
    expect_text "cp: not a good tar archive"
    # The program has gone on after the commit, also after one that is killed.
    berth exec guest sh -c 'head -c 30000000 /dev/zero > /big'
    berth commit guest > /dev/null &
    sleep 0.5
    kill -KILL $! 2> /dev/null || true
    count() { berth exec guest stat -c %s /count; }
    wait_until 60 count
    lines=$(count)
    wait_until 60 eval '[ "$(count)" -gt "$lines" ]'
    berth rm -f guest > /dev/null
    berth rmi -f made > /dev/null
    berth image prune -f > /dev/null
    wait_trash
    expect_picture "$before"
}

@test "a microVM keeps its files over stop and start, on a disk of its own" {
    needs_kernel
    berth create --isolation microvm --name keeper busybox \
        sh -c 'cat /kept 2> /dev/null || echo written | tee /kept'
    run -0 berth start -a keeper
    expect_text written
    [ "$(berth logs keeper)" = written ]
    run -0 berth start -a keeper
    [ "$(berth logs keeper | wc -l)" = 2 ]
    # Sparse: what was not written takes no room.
    disk=$BERTH_DATA/containers/$(field keeper .Id)/disk.img
    [ "$(stat -c %s "$disk")" -gt $((1 << 30)) ]
    [ "$(du -k "$disk" | cut -f1)" -lt 200000 ]
}

@test "out of memory in a microVM is seen from outside" {
    needs_kernel
    run berth run --name full --isolation microvm -m 32m busybox tail /dev/zero
    expect_status 137
    [ "$(field full .State.OOMKilled)" = true ]
}

@test "what ties to this machine's kernel is refused by the option's name" {
    needs_kernel
    for option in "--network host" "--pid host" "--ipc host" "--uts host" "--userns auto" "--device /dev/null"; do
        # shellcheck disable=SC2086
        run -125 berth run --rm --isolation microvm $option busybox true
        expect_text "${option%% *}"
        expect_text microVM
    done
    run -125 berth run --rm --isolation vm busybox true
    expect_text "give none or microvm"
    run -125 berth run --rm --vm-memory 1g busybox true
    expect_text "are for --isolation microvm"
    run -125 berth run --rm --isolation microvm --kernel no-such busybox true
    expect_text "berth vm kernel ls"
    [ -z "$(berth ps -aq)" ]
}

# A network of two interfaces, one of which the guest is to take over: network_bundle
network_bundle() {
    NETWORK=berth-vm-$$
    ip netns add "$NETWORK"
    ip -n "$NETWORK" link add inside type veth peer name outside
    ip -n "$NETWORK" address add 10.77.0.2/24 dev inside
    ip -n "$NETWORK" link set inside up
    ip -n "$NETWORK" link set outside up
    mkdir -p "$BATS_TEST_TMPDIR/bundle/rootfs/bin"
    cp /bin/busybox "$BATS_TEST_TMPDIR/bundle/rootfs/bin/sh"
    cd "$BATS_TEST_TMPDIR/bundle"
    berth-oci spec
    join_network "/run/netns/$NETWORK"
}

join_network() {
    jq --arg path "$1" '.process.terminal = false | .annotations = {"run.berth.isolation": "microvm"}
        | .process.args = ["sh", "-c", "ip -4 address show dev inside"]
        | (.linux.namespaces[] | select(.type == "network")).path = $path' config.json > new
    mv new config.json
}

@test "a guest takes over a network, again and again, but never this machine's" {
    needs_kernel
    network_bundle
    for _ in 1 2; do
        run -0 --separate-stderr berth-oci --root "$BATS_TEST_TMPDIR/run" run vm < /dev/null
        expect_text "inet 10.77.0.2/24"
        [ "$(ip netns exec "$NETWORK" tc filter show dev inside parent ffff: | grep -c mirred)" = 1 ]
    done
    join_network /proc/self/ns/net
    run -1 berth-oci --root "$BATS_TEST_TMPDIR/run" run vm < /dev/null
    expect_text "is this machine's own, which a microVM would take away from it"
    # By hand, without a jail, its monitor does nothing at all.
    run -125 "$BERTH_BUILD/berth-vmm"
    expect_text "the first process of a microVM's jail"
}

# Whom the bridge "wire", on which the guest's interface hangs, has heard.
heard() { bridge -n "$NETWORK" fdb show br wire dynamic; }

@test "a guest is heard from its own hardware address only, whatever rights its program has" {
    needs_kernel
    network_bundle
    ip -n "$NETWORK" link add wire type bridge
    ip -n "$NETWORK" link set wire up
    ip -n "$NETWORK" link set outside master wire
    own=$(ip -n "$NETWORK" -j link show inside | jq -r '.[].address')
    jq '.process.capabilities |= with_entries(.value += ["CAP_NET_ADMIN", "CAP_NET_RAW"])
        | .process.args[2] = "sent() { cat /sys/class/net/inside/statistics/tx_packets; }
            ask() { ping -c 2 -W 1 10.77.0.1; }
            ask; before=$(sent)
            ip link set inside down; ip link set inside address 02:00:00:00:77:77; ip link set inside up
            ask; echo sent $(($(sent) - before))"' config.json > new
    mv new config.json
    run -0 --separate-stderr berth-oci --root "$BATS_TEST_TMPDIR/run" run vm < /dev/null
    [[ "$output" =~ sent\ [1-9] ]]
    run -0 heard
    expect_text "$own dev outside"
    [[ "$output" != *77:77* ]]
}

@test "berth-oci runs a bundle with the annotation, and features names it" {
    needs_kernel
    [ "$(berth-oci features | jq -r '.annotations["run.berth.isolation"]')" = microvm ]
    mkdir -p "$BATS_TEST_TMPDIR/bundle/rootfs/bin"
    cp /bin/busybox "$BATS_TEST_TMPDIR/bundle/rootfs/bin/sh"
    cd "$BATS_TEST_TMPDIR/bundle"
    berth-oci spec
    jq '.process.terminal = false | .process.args = ["sh", "-c", "read -r a b c d < /proc/version; echo $c; echo x > /made; exit 5"]
        | .root.readonly = false | .annotations = {"run.berth.isolation": "microvm"}' config.json > new
    mv new config.json
    run -5 --separate-stderr berth-oci --root "$BATS_TEST_TMPDIR/run" run vm < /dev/null
    [ "$output" != "$(uname -r)" ]
    [[ "$output" == [0-9]* ]]
    # The bundle's own root is shared with the guest.
    [ "$(cat rootfs/made)" = x ]
    jq '.linux.devices = [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3}]' config.json > new
    mv new config.json
    run -1 berth-oci --root "$BATS_TEST_TMPDIR/run" run vm < /dev/null
    expect_text "linux.devices[0]: '/dev/x' is a device of this machine"
    [ -z "$(berth-oci --root "$BATS_TEST_TMPDIR/run" list -q)" ]
}
