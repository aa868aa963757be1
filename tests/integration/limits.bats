load helper

teardown() { remove_all; }

# A file of the container's cgroup in whatever layout this machine has: cgroup_file ID V1-CONTROLLER V1-FILE V2-FILE
cgroup_file() {
    local dir
    for dir in "/sys/fs/cgroup/$2" "/sys/fs/cgroup/$2,$2acct"; do
        [ -f "$dir/berth/$1/$3" ] && cat "$dir/berth/$1/$3" && return
    done
    cat "/sys/fs/cgroup/berth/$1/$4"
}

@test "200 MiB under -m 64m end with 137 and OOMKilled" {
    run -137 berth run --name glutton -m 64m debian python3 -c 'b = bytearray(200 << 20)'
    [ "$(field glutton .State.OOMKilled)" = true ]
    [ "$(field glutton .State.ExitCode)" = 137 ]
}

@test "a killed program without want of memory is not OOMKilled" {
    berth run -d --name killed -m 64m busybox sleep 60 > /dev/null
    berth kill killed
    [ "$(berth wait killed)" = 137 ]
    [ "$(field killed .State.OOMKilled)" = false ]
}

@test "memory limits arrive in the kernel's files" {
    id=$(berth run -d -m 64m --memory-swap 64m --memory-reservation 32m busybox sleep 60)
    [ "$(cgroup_file "$id" memory memory.limit_in_bytes memory.max)" = 67108864 ]
    [ "$(cgroup_file "$id" memory memory.soft_limit_in_bytes memory.low)" = 33554432 ]
    [ "$(field "$id" .HostConfig.Memory)" = 67108864 ]
}

@test "a busy loop under --cpus 0.5 gets between 0.4 and 0.6 of a CPU" {
    id=$(berth run -d --cpus 0.5 busybox sh -c 'while :; do :; done')
    usage() { cgroup_file "$id" cpuacct cpuacct.usage cpu.stat | awk '/^[0-9]/ { print $1; exit } /usage_usec/ { print $2 * 1000; exit }'; }
    sleep 0.5
    a=$(usage) begin=$(date +%s%N)
    sleep 3
    b=$(usage) end=$(date +%s%N)
    share=$(((b - a) * 1000 / (end - begin)))
    echo "share: $share/1000"
    [ $share -ge 400 ]
    [ $share -le 600 ]
}

@test "cpu shares, cpuset and pids arrive in the kernel's files" {
    id=$(berth run -d -c 512 --cpuset-cpus 0 --pids-limit 20 busybox sleep 60)
    shares=$(cgroup_file "$id" cpu cpu.shares cpu.weight)
    [ "$shares" = 512 ] || [ "$shares" -lt 100 ]
    [ "$(cgroup_file "$id" cpuset cpuset.cpus cpuset.cpus)" = 0 ]
    [ "$(cgroup_file "$id" pids pids.max pids.max)" = 20 ]
    [ "$(berth exec "$id" grep Cpus_allowed_list /proc/1/status | tr -d '\t' | cut -d: -f2)" = 0 ]
}

@test "a fork bomb under --pids-limit 32 leaves the host responsive" {
    id=$(berth run -d --name bomb --pids-limit 32 -v "$BERTH_BUILD/tests/payload/payload:/payload" busybox /payload bomb)
    sleep 2
    [ "$(cgroup_file "$id" pids pids.current pids.current)" -le 32 ]
    run -0 timeout 20 berth run --rm busybox echo alive
    [ "$output" = alive ]
    run -0 timeout 20 berth rm -f bomb
    [ -z "$(berth_cgroups)" ]
}

@test "only the default devices may be used, --device adds one" {
    run berth run --rm --cap-add MKNOD busybox sh -c 'mknod /dev/loopy b 7 0 && head -c 1 /dev/loopy'
    [ "$status" != 0 ]
    expect_text "Operation not permitted"
    run -0 berth run --rm busybox sh -c 'head -c 4 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c'
    [ "${lines[0]}" = 4 ]
    run -0 berth run --rm --device /dev/fuse:/dev/fusible:r busybox sh -c 'test -c /dev/fusible && : < /dev/fusible && echo readable'
    [ "$output" = readable ]
    run berth run --rm --device /dev/fuse:/dev/fusible:r busybox sh -c ': > /dev/fusible'
    [ "$status" != 0 ]
    expect_text "Operation not permitted"
    run -125 berth run --rm --device /dev/no-such-device busybox true
    expect_text no-such-device
}

@test "--cgroup-parent nests groups" {
    id=$(berth run -d --cgroup-parent /harbour/pier -m 32m busybox sleep 60)
    found=$(find /sys/fs/cgroup -type d -path "*/harbour/pier/$id" | head -1)
    [ -n "$found" ]
    berth rm -f "$id"
    [ -z "$(find /sys/fs/cgroup -type d -path "*/harbour/pier/$id")" ]
    find /sys/fs/cgroup -depth -type d -path '*/harbour*' -exec rmdir {} +
}

# On v2 a cgroup that gives controllers to others holds no processes itself.
@test "exec finds a container that gave controllers to groups of its own" {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "needs pure cgroup v2, which this machine does not have"
    berth run -d --name system --privileged busybox sh -c 'cd /sys/fs/cgroup && mkdir leaf && echo 1 > leaf/cgroup.procs &&
        echo +memory +pids > cgroup.subtree_control; echo up; sleep 60' > /dev/null
    wait_until 20 bash -c 'berth logs system | grep -q up'
    run -0 berth exec system cat /proc/self/cgroup
    [ "$output" = 0::/leaf ]
    berth rm -f system
    [ -z "$(berth_cgroups)" ]
}

@test "a cgroup parent with processes passes no controllers on" {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "needs pure cgroup v2, which this machine does not have"
    mkdir /sys/fs/cgroup/harbour
    sleep 60 &
    echo $! > /sys/fs/cgroup/harbour/cgroup.procs
    run -0 berth run --rm --cgroup-parent /harbour busybox true
    run -125 berth run --rm --cgroup-parent /harbour -m 64m busybox true
    expect_text "does not pass the controller on"
    kill $!
    wait_until 20 rmdir /sys/fs/cgroup/harbour
}

@test "a limit that cannot be kept is refused, and nothing is left" {
    before=$(picture)
    run -125 berth run --rm -m 64m --memory-swap 32m busybox true
    run -125 berth run --rm --cpuset-cpus 4096 busybox true
    run -125 berth run --rm -m 1 busybox true
    [ "$(picture)" = "$before" ]
}

@test "--ulimit lowers limits; one that may not be raised is lowered, and berth says so" {
    run -0 berth run --rm --ulimit nofile=64:128 busybox sh -c 'ulimit -Sn; ulimit -Hn'
    [ "${lines[0]}" = 64 ]
    [ "${lines[1]}" = 128 ]
    if ! (ulimit -n $(($(ulimit -Hn) + 1))) 2> /dev/null; then
        run -0 berth run --rm --ulimit nofile=100000000:100000000 busybox sh -c 'ulimit -Hn'
        expect_text "nofile: lowered to $(ulimit -Hn)"
    fi
}

@test "stats shows memory, CPU and processes" {
    berth run -d --name busy -m 64m busybox sh -c 'while :; do :; done' > /dev/null
    run -0 berth stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}} {{.CPUPerc}}' busy
    expect_text "busy "
    expect_text "64MiB"
    run -0 berth stats --no-stream
    expect_text "MEM USAGE / LIMIT"
}

# The disk that holds the images: its name and its MAJOR:MINOR.
disk_name() { basename "$(findmnt -no SOURCE -T "$BERTH_DATA")"; }
disk() { lsblk -dno MAJ:MIN "/dev/$(disk_name)" | tr -d ' '; }

@test "block I/O weight and throttles arrive in the kernel's files" {
    path="/dev/$(disk_name)"
    id=$(berth run -d --blkio-weight 300 --device-read-bps "$path:1mb" --device-write-bps "$path:2mb" busybox sleep 60)
    # By the cost model, where the scheduler bfq is not there: 1 + (300 - 10) * 9999 / 990.
    weight=$(cgroup_file "$id" blkio blkio.bfq.weight io.bfq.weight ||
        cgroup_file "$id" blkio blkio.bfq.weight io.weight)
    [[ "$weight" == *300* || "$weight" == "default 2930" ]]
    if [ -d "/sys/fs/cgroup/blkio/berth/$id" ]; then
        grep -q "^$(disk) 1048576$" "/sys/fs/cgroup/blkio/berth/$id/blkio.throttle.read_bps_device"
        grep -q "^$(disk) 2097152$" "/sys/fs/cgroup/blkio/berth/$id/blkio.throttle.write_bps_device"
    else
        grep -q "^$(disk) rbps=1048576 wbps=2097152" "/sys/fs/cgroup/berth/$id/io.max"
    fi
    run -125 berth run --rm --device-read-bps /dev/null:1mb busybox true
    expect_text /dev/null
}

@test "a throttled read takes the time that its rate says" {
    # Past the page cache: on v1 only what the process itself submits is throttled.
    run -0 berth run --rm --device-read-bps "/dev/$(disk_name):2mb" -v "$BERTH_BUILD/tests/payload/payload:/payload" \
        debian /payload direct /usr/bin/python3
    echo "KiB/s: $output"
    [ "$output" -ge 1000 ]
    [ "$output" -le 3500 ]
}

@test "--memory-swap, --oom-kill-disable and --cpuset-mems are kept or refused with a reason" {
    id=$(berth run -d --cpuset-mems 0 -m 32m busybox sleep 60)
    [ "$(cgroup_file "$id" cpuset cpuset.mems cpuset.mems)" = 0 ]
    if [ -d /sys/fs/cgroup/memory ]; then
        id=$(berth run -d -m 32m --oom-kill-disable busybox sleep 60)
        grep -q '^oom_kill_disable 1' "/sys/fs/cgroup/memory/berth/$id/memory.oom_control"
    fi
    run -125 berth run --rm --cpuset-mems 77 busybox true
    expect_text cpuset
    run -125 berth run --rm --pids-limit nonsense busybox true
    expect_text pids-limit
}
