load helper

# Limits as berth's options ask for them, in the kernel's files; what they do is in effects.bats.

teardown() { remove_all; }

# A file of a container's cgroup: value_of ID V1-NAME [V2-NAME]
value_of() { GROUP="berth/$1" value "${@:2}"; }

@test "memory limits arrive in the kernel's files" {
    id=$(berth run -d -m 64m --memory-swap 64m --memory-reservation 32m busybox sleep 1000)
    [ "$(value_of "$id" memory.limit_in_bytes memory.max)" = 67108864 ]
    [ "$(value_of "$id" memory.soft_limit_in_bytes memory.low)" = 33554432 ]
    [ "$(field "$id" .HostConfig.Memory)" = 67108864 ]
}

@test "cpu shares, cpuset and pids arrive in the kernel's files" {
    id=$(berth run -d -c 512 --cpuset-cpus 0 --pids-limit 20 busybox sleep 1000)
    shares=$(value_of "$id" cpu.shares cpu.weight)
    [ "$shares" = 512 ] || [ "$shares" -lt 100 ]
    [ "$(value_of "$id" cpuset.cpus)" = 0 ]
    [ "$(value_of "$id" pids.max)" = 20 ]
    [ "$(berth exec "$id" grep Cpus_allowed_list /proc/1/status | tr -d '\t' | cut -d: -f2)" = 0 ]
}

@test "--cgroup-parent nests groups" {
    id=$(berth run -d --cgroup-parent /harbour/pier -m 32m busybox sleep 1000)
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
        echo +memory +pids > cgroup.subtree_control; echo up; sleep 1000' > /dev/null
    wait_until 20 bash -c 'berth logs system | grep -q up'
    run -0 berth exec system cat /proc/self/cgroup
    [ "$output" = 0::/leaf ]
    berth rm -f system
    [ -z "$(berth_cgroups)" ]
}

@test "a cgroup parent with processes passes no controllers on" {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "needs pure cgroup v2, which this machine does not have"
    mkdir /sys/fs/cgroup/harbour
    sleep 1000 3>&- &
    echo $! > /sys/fs/cgroup/harbour/cgroup.procs
    run -0 berth run --rm --cgroup-parent /harbour busybox true
    run -125 berth run --rm --cgroup-parent /harbour -m 64m busybox true
    expect_text "does not pass the controller on"
    kill $!
    wait_until 20 rmdir /sys/fs/cgroup/harbour
}

# Groups of threads take no processes, nor do those beside and below them (cgroup-v2.rst, "Threads").
@test "a place of threads is refused with what to do, and nothing is left" {
    [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "needs pure cgroup v2, which this machine does not have"
    local rows parent words
    mkdir -p /sys/fs/cgroup/harbour/fibre /sys/fs/cgroup/wharf
    echo threaded > /sys/fs/cgroup/harbour/fibre/cgroup.type
    # It passes on what works on threads, and has processes: so it is a domain of threads from then on.
    echo +pids > /sys/fs/cgroup/cgroup.subtree_control
    sleep 1000 &
    sleeper=$!
    echo $sleeper > /sys/fs/cgroup/wharf/cgroup.procs
    echo +pids > /sys/fs/cgroup/wharf/cgroup.subtree_control
    before=$(picture)
    rows="/harbour|because /harbour above it is 'domain threaded': choose another parent
/harbour/fibre|because /harbour/fibre above it is 'threaded': choose another parent
/wharf|because /wharf above it is 'domain threaded': move the processes of that one into a cgroup below it"
    while IFS='|' read -r parent words; do
        run -125 berth run --rm --cgroup-parent "$parent" busybox true
        expect_text "it takes no process (its cgroup.type is 'domain invalid')"
        expect_text "$words"
    done <<< "$rows"
    expect_picture "$before"
    make_bundle
    configure '.linux.cgroupsPath = "/harbour/fibre"'
    run ! oci run -b "$BUNDLE" threads
    expect_text "it takes single threads only (its cgroup.type is 'threaded'): choose a cgroup that is not among threads"
    kill $sleeper
    wait_until 20 rmdir /sys/fs/cgroup/wharf
    rmdir /sys/fs/cgroup/harbour/fibre /sys/fs/cgroup/harbour
}

@test "a limit that cannot be kept is refused, and nothing is left" {
    before=$(picture)
    run -125 berth run --rm -m 64m --memory-swap 32m busybox true
    run -125 berth run --rm --cpuset-cpus 4096 busybox true
    run -125 berth run --rm -m 1 busybox true
    many=$(($(getconf _NPROCESSORS_ONLN) + 1))
    run -125 berth run --rm --cpus $many busybox true
    expect_text "berth: --cpus '$many': range of CPUs is from 0.01 to $((many - 1)), as this machine has no more"
    run -1 berth create --cpus $many busybox true
    expect_text "range of CPUs"
    run -125 berth run --rm --cpus 0.001 busybox true
    expect_text "--cpus: the smallest share allowed is 0.01"
    expect_picture "$before"
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

@test "stats counts what goes over a container's interfaces" {
    berth run -d --name quiet busybox sleep 1000 > /dev/null
    run -0 berth stats --no-stream --format '{{.NetIO}}' quiet
    [ "$output" = "0B / 0B" ]
    pid=$(berth inspect -f '{{.State.Pid}}' quiet)
    # Two ends of one cable, so that what one sends the other receives.
    nsenter -t "$pid" -n sh -ec 'ip link add one type veth peer name two
        ip link set one up; ip link set two up
        ip address add 192.0.2.1/24 dev one
        ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:01 dev one
        bash -c "head -c 1400 /dev/zero > /dev/udp/192.0.2.2/9"'
    net_io() { berth stats --no-stream --format '{{.NetIO}}' quiet; }
    wait_until 20 eval '[[ "$(net_io)" =~ ^[0-9.]+kB\ /\ [0-9.]+kB$ ]]'
    # What the host's interfaces have is not the container's.
    berth run -d --name host --network host busybox sleep 1000 > /dev/null
    run -0 berth stats --no-stream --format '{{.NetIO}}' host
    [ "$output" = "0B / 0B" ]
}

@test "stats --format tells what the table does not show" {
    berth run -d --name busy -m 64m --cpus 0.05 --pids-limit 50 busybox sh -c 'while :; do :; done' > /dev/null
    # It has run and was throttled when it is asked for.
    id=$(field busy .Id)
    wait_until 120 eval '[ "$(value_of "$id" cpu.stat | sed -n "s/^nr_throttled //p")" -ge 3 ]'
    run -0 berth stats --no-stream --format '{{.CPUUser}} {{.ThrottledTime}} {{.MemAnon}} {{.MemPeak}} {{.PIDsLimit}} {{.OOMKills}}' busy
    [[ "$output" =~ ^[0-9.]+s\ [0-9.]+s\ [0-9.]+[KM]?i?B\ ([0-9.]+[KM]iB|-)\ 50\ 0$ ]]
    [[ "$output" != *" 0.00s "* ]]
    run -0 berth stats --no-stream --format json busy
    [ "$(jq -r '.ThrottledPeriods | split(" / ") | map(tonumber) | .[0] > 0 and .[0] <= .[1]' <<< "$output")" = true ]
    [[ "$(jq -r .PressureCPU <<< "$output")" =~ ^([0-9.]+%\ /\ [0-9.]+%|-)$ ]]
}

# The disk that holds the images: its name and its MAJOR:MINOR.
disk_name() { basename "$(findmnt -no SOURCE -T "$BERTH_DATA")"; }
disk() { lsblk -dno MAJ:MIN "/dev/$(disk_name)" | tr -d ' '; }

@test "block I/O weight and throttles arrive in the kernel's files" {
    path="/dev/$(disk_name)"
    id=$(berth run -d --blkio-weight 300 --device-read-bps "$path:1mb" --device-write-bps "$path:2mb" busybox sleep 1000)
    # By the cost model, where the scheduler bfq is not there: 1 + (300 - 10) * 9999 / 990.
    weight=$(value_of "$id" blkio.bfq.weight io.bfq.weight || value_of "$id" io.weight)
    [[ "$weight" == *300* || "$weight" == "default 2930" ]]
    if [ -d "/sys/fs/cgroup/blkio/berth/$id" ]; then
        grep -q "^$(disk) 1048576$" "/sys/fs/cgroup/blkio/berth/$id/blkio.throttle.read_bps_device"
        grep -q "^$(disk) 2097152$" "/sys/fs/cgroup/blkio/berth/$id/blkio.throttle.write_bps_device"
    else
        grep -q "^$(disk) rbps=1048576 wbps=2097152" "/sys/fs/cgroup/berth/$id/io.max"
    fi
    # Taken back, each file has what the kernel gave it, also after the next start.
    berth update --blkio-weight 0 "$id" > /dev/null
    for turn in now later; do
        [[ "$(value_of "$id" blkio.bfq.weight io.bfq.weight || echo 100)" =~ ^(default )?100$ ]]
        [ "$(value_of "$id" io.weight || echo default 100)" = "default 100" ]
        [ $turn = later ] || berth restart -t 0 "$id" > /dev/null
    done
    run -125 berth run --rm --device-read-bps /dev/null:1mb busybox true
    expect_text /dev/null
}

@test "--memory-swap, --oom-kill-disable and --cpuset-mems are kept or refused with a reason" {
    id=$(berth run -d --cpuset-mems 0 -m 32m busybox sleep 1000)
    [ "$(value_of "$id" cpuset.mems)" = 0 ]
    if [ -d /sys/fs/cgroup/memory ]; then
        id=$(berth run -d -m 32m --oom-kill-disable busybox sleep 1000)
        grep -q '^oom_kill_disable 1' "/sys/fs/cgroup/memory/berth/$id/memory.oom_control"
    fi
    run -125 berth run --rm --cpuset-mems 77 busybox true
    expect_text cpuset
    run -125 berth run --rm --pids-limit nonsense busybox true
    expect_text pids-limit
}
