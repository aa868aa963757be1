load helper

# What limits do: the kernel's files are read back, and the effect is measured. CPU time is taken
# from the cgroup's counters, so that other load on the machine, or a slow one, changes nothing; a
# time on the clock only where a rate is what is measured. The cases are the same in every layout of
# the cgroups; where a limit exists in one of them only, the others must refuse it by a sentence.

huge_pages=/sys/kernel/mm/hugepages/hugepages-2048kB

setup() {
    ID="effect$BATS_TEST_NUMBER" GROUP="effect$BATS_TEST_NUMBER"
    LOOPS=() ZRAM='' HUGE_PAGES='' RDMA='' # what teardown takes back
    PAYLOAD=(-v "$BERTH_BUILD/tests/payload/payload:/payload:ro")
    make_bundle
    cp "$BERTH_BUILD/tests/payload/payload" "$BUNDLE/rootfs/payload"
}

teardown() {
    delete_containers
    remove_all
    if [ -n "$ZRAM" ]; then
        swapoff "/dev/zram$ZRAM" || true # it may not have come so far
        # Who looks at new devices may have it open.
        wait_until 20 eval 'echo "$ZRAM" > /sys/class/zram-control/hot_remove'
    fi
    # Its RDMA device goes with it.
    [ -z "$RDMA" ] || ip link delete "$RDMA" || true # it may not have come so far
    [ -z "$HUGE_PAGES" ] || echo "$HUGE_PAGES" > $huge_pages/nr_hugepages
    for loop in "${LOOPS[@]}"; do
        echo none > "/sys/block/${loop#/dev/}/queue/scheduler"
        losetup -d "$loop"
    done
    find /sys/fs/cgroup -depth -type d -path "*/harbour$BATS_TEST_NUMBER*" -exec rmdir {} +
    [ -z "$(find /sys/fs/cgroup -type d -name "$ID*")" ]
}

is_v2() { [ -f /sys/fs/cgroup/cgroup.controllers ]; }
# Whether one of the cgroup's files is here: has V1-NAME [V2-NAME]
has() { kernel_file "$@" > /dev/null; }
# A number out of a file of lines "KEY NUMBER"; 0 without: number KEY V1-NAME [V2-NAME]
number() { awk -v key="$1" '$1 == key { found = $2 } END { print found + 0 }' "$(kernel_file "${@:2}")"; }
is_above() { [ "$(number "${@:2}")" -gt "$1" ]; }
expect_between() {
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] || {
        echo "expected $2 to $3, found $1"
        return 1
    }
}

# --- containers ---------------------------------------------------------------------------------------

# Starts a container of berth-oci under limits, which are JSON of linux.resources, and makes it
# GROUP; its output is in OUT: begin ID LIMITS PROGRAM...
begin() {
    configure --argjson limits "$2" --argjson args "$(jq -cn '$ARGS.positional' --args -- "${@:3}")" '.process.args = $args |
        .linux.resources = {devices: .linux.resources.devices} + $limits'
    GROUP=$1 OUT="$BATS_TEST_TMPDIR/$1.out"
    oci run -d -b "$BUNDLE" "$1" < /dev/null > "$OUT" 2>&1 || {
        cat "$OUT"
        return 1
    }
}

# The same for one of berth, with its id in id: begin_berth OPTION... IMAGE PROGRAM...
begin_berth() {
    id=$(berth run -d "${PAYLOAD[@]}" "$@") GROUP="berth/$id"
}

hog=(sh -c 'while :; do :; done')
printed() { grep -qx "$1" "$OUT"; }
oci_status() { oci state "$1" | jq -r .status; }
is_stopped() { [ "$(oci_status "$1")" = stopped ]; }
first_pid() { oci state "$1" | jq .pid; }
# A member of what berth-oci tells of a container's use: told ID MEMBER
told() { oci events --stats "$1" | jq ".data.$2"; }

@test "every limit of the specification arrives in its file" {
    local rows v1 v1_value v2 v2_value
    begin "$ID" '{
        "memory": {"limit": 67108864, "swap": 67108864, "reservation": 33554432},
        "cpu": {"shares": 512, "quota": 30000, "period": 60000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 21}}' sleep 1000
    # v1 file, its value, v2 file, its value
    rows='memory.limit_in_bytes 67108864 memory.max 67108864
memory.memsw.limit_in_bytes 67108864 memory.swap.max 0
memory.soft_limit_in_bytes 33554432 memory.low 33554432
cpu.shares 512 cpu.weight 50
cpu.cfs_quota_us 30000 cpu.max 30000 60000
cpu.cfs_period_us 60000 cpu.max 30000 60000
cpuset.cpus 0 cpuset.cpus 0
cpuset.mems 0 cpuset.mems 0
pids.max 21 pids.max 21'
    while read -r v1 v1_value v2 v2_value; do
        if is_v2; then expect_value "$v2_value" "$v2"; else expect_value "$v1_value" "$v1"; fi
    done <<< "$rows"
}

# --- CPU time -----------------------------------------------------------------------------------------

# The CPU time that GROUP has used, in microseconds.
cpu_us() { awk '$1 == "usage_usec" { print $2 } NF == 1 { print int($1 / 1000) }' "$(kernel_file cpuacct.usage cpu.stat)"; }

# That of the time that two groups use together the second gets a percentage: expect_share FIRST
# SECOND LOW HIGH. A processor that this machine's own host takes away counts as used by who was on it,
# and is given back to the other later; so they are watched for longer when they were not even.
expect_share() {
    local first second used_first=0 used_second=0 all percent=-1 wanted=1000000 end=$((SECONDS + 240))
    first=$(GROUP=$1 cpu_us) second=$(GROUP=$2 cpu_us)
    while [ $wanted -le 16000000 ] && [ $SECONDS -lt $end ]; do
        sleep 0.2
        used_first=$(($(GROUP=$1 cpu_us) - first)) used_second=$(($(GROUP=$2 cpu_us) - second))
        all=$((used_first + used_second))
        [ $all -ge $wanted ] || continue
        percent=$((used_second * 100 / all)) wanted=$((wanted * 2))
        echo "$percent% of $all us"
        expect_between $percent "$3" "$4" && return
    done
    return 1
}

weight() { value cpu.shares cpu.weight; }
# The percentage that the weights of two groups promise to the second.
promised() { echo $(($(GROUP=$2 weight) * 100 / ($(GROUP=$1 weight) + $(GROUP=$2 weight)))); }

# That GROUP, a hog, gets a quota in each period and no more: expect_quota MICROSECONDS
# On one CPU: of what a hog that moves has got for a while on another, a part is lost. And so little
# that it comes to it while much else runs.
# A processor that is taken away counts as used here, too, and what is above the quota then is paid
# back in later periods, perhaps those after the look at it: so it is looked at again.
expect_quota() {
    local used periods throttled
    # What an earlier quota gave is used up when it was throttled again.
    throttled=$(number nr_throttled cpu.stat)
    wait_until 120 is_above $((throttled + 2)) nr_throttled cpu.stat
    used=$(cpu_us) periods=$(number nr_periods cpu.stat) throttled=$(number nr_throttled cpu.stat)
    for wanted in 15 30 60 120; do
        wait_until 120 is_above $((throttled + wanted)) nr_throttled cpu.stat
        quota_is_kept "$1" $(($(cpu_us) - used)) $(($(number nr_periods cpu.stat) - periods)) $(($(number nr_throttled cpu.stat) - throttled)) && return
    done
    return 1
}
quota_is_kept() {
    echo "quota $1 us: $2 us used in $3 periods, throttled in $4"
    # Under other load it may not come to its quota in a period, but then it is not throttled in it.
    expect_between "$2" $((($4 - 1) * $1 * 80 / 100)) $((($3 + 1) * $1 * 115 / 100))
}

@test "a CPU quota is what a hog gets in each period, also a changed one" {
    begin_berth --cpus 0.06 --cpuset-cpus 0 busybox "${hog[@]}"
    [ "$(value cpu.cfs_quota_us cpu.max)" = 6000 ] || expect_value "6000 100000" cpu.max
    expect_quota 6000
    berth update --cpus 0.03 "$id" > /dev/null
    expect_quota 3000
    berth rm -f "$id" > /dev/null
    begin "$ID" '{"cpu": {"cpus": "0", "quota": 6000, "period": 100000}}' "${hog[@]}"
    expect_quota 6000
    oci update --cpu-quota 3000 --cpu-period 50000 "$ID"
    [ "$(value cpu.cfs_quota_us cpu.max)" = 3000 ] || expect_value "3000 50000" cpu.max
    expect_quota 3000
}

@test "a burst lends a short peak what was left before" {
    begin "$ID" '{"cpu": {"quota": 20000, "period": 100000}}' sh -c '/payload burn 30 250 1000'
    wait_until 120 is_above 3 nr_throttled cpu.stat
    [ "$(number nr_bursts cpu.stat)" = 0 ]
    oci update --cpu-burst 20000 "$ID"
    expect_value 20000 cpu.cfs_burst_us cpu.max.burst
    wait_until 120 is_above 3 nr_bursts cpu.stat
}

@test "weights divide a CPU, 1 to 3, and 3 to 1 after an update" {
    begin_berth -c 1024 --cpuset-cpus 0 busybox "${hog[@]}"
    first=$GROUP
    begin_berth -c 3072 --cpuset-cpus 0 busybox "${hog[@]}"
    [[ "$(weight)" =~ ^(3072|300)$ ]]
    [ "$(promised "$first" "$GROUP")" = 75 ]
    expect_share "$first" "$GROUP" 67 83
    remove_all

    begin "$ID-a" '{"cpu": {"cpus": "0", "shares": 1024}}' "${hog[@]}"
    begin "$ID-b" '{"cpu": {"cpus": "0", "shares": 3072}}' "${hog[@]}"
    expect_share "$ID-a" "$ID-b" 67 83
    oci update --cpu-share 3072 "$ID-a"
    oci update --cpu-share 1024 "$ID-b"
    [ "$(promised "$ID-a" "$ID-b")" = 25 ]
    expect_share "$ID-a" "$ID-b" 17 33
}

@test "an idle group gets what another leaves" {
    begin "$ID-idle" '{"cpu": {"cpus": "0", "idle": 1}}' "${hog[@]}"
    expect_value 1 cpu.idle
    begin "$ID-busy" '{"cpu": {"cpus": "0"}}' "${hog[@]}"
    expect_value 0 cpu.idle
    expect_share "$ID-idle" "$ID-busy" 93 100
    oci update --cpu-idle 0 "$ID-idle"
    # Older kernels hold against it for some seconds what it got as an idle one.
    expect_share "$ID-idle" "$ID-busy" 40 60 || expect_share "$ID-idle" "$ID-busy" 40 60
}

@test "a cpuset is where a container runs, also a changed one" {
    last=$(($(nproc --all) - 1))
    runs_on() {
        for _n in 1 2 3 4 5 6; do
            [ "$(awk '{ print $39 }' "/proc/$1/stat")" = "$2" ] || return 1
            sleep 0.05
        done
    }
    begin_berth --cpuset-cpus $last busybox "${hog[@]}"
    expect_value $last cpuset.cpus
    [ "$(berth exec "$id" sh -c 'grep Cpus_allowed_list: /proc/self/status | cut -f2')" = $last ]
    runs_on "$(field "$id" .State.Pid)" $last
    begin "$ID" "{\"cpu\": {\"cpus\": \"$last\"}}" "${hog[@]}"
    runs_on "$(first_pid "$ID")" $last
    oci update --cpuset-cpus 0 "$ID"
    expect_value 0 cpuset.cpus
    wait_until 30 runs_on "$(first_pid "$ID")" 0
}

@test "real-time programs need real-time of their group, where the kernel has that" {
    configure '.process.capabilities |= map_values(. + ["CAP_SYS_NICE"])'
    begin "$ID" '{}' sleep 1000
    if has cpu.rt_runtime_us; then
        [ "$(oci exec "$ID" /payload realtime)" = EPERM ]
        oci update --cpu-rt-runtime 10000 "$ID"
        expect_value 10000 cpu.rt_runtime_us
        [ "$(oci exec "$ID" /payload realtime)" = ok ]
    else
        [ "$(oci exec "$ID" /payload realtime)" = ok ]
        run -1 oci update --cpu-rt-runtime 10000 "$ID"
        if is_v2; then expect_text "cpu.realtimeRuntime: exists on cgroup v1 only"; else expect_text "this kernel has no file cpu.rt_runtime_us"; fi
    fi
}

# --- memory -------------------------------------------------------------------------------------------

memory_used() { value memory.usage_in_bytes memory.current; }
kills() { number oom_kill memory.oom_control memory.events; }
was_killed() { [ "$(kills)" -ge 1 ]; }

@test "a program that takes more than its memory ends with 137, and berth knows why" {
    run -137 berth run --name glutton -m 64m "${PAYLOAD[@]}" busybox /payload hog 200
    [ "$(field glutton .State.OOMKilled)" = true ]
    [ "$(field glutton .State.ExitCode)" = 137 ]
    configure '.process.args = ["/payload", "hog", "200"] | .linux.resources.memory.limit = 67108864'
    run -137 oci run -b "$BUNDLE" "$ID"
    configure '.process.args = ["/payload", "hog", "20"]'
    run -0 oci run -b "$BUNDLE" "$ID"
    [ "$output" = full ]
}

@test "a killed program without want of memory is not OOMKilled" {
    berth run -d --name killed -m 64m busybox sleep 1000 > /dev/null
    berth kill killed
    [ "$(berth wait killed)" = 137 ]
    [ "$(field killed .State.OOMKilled)" = false ]
}

@test "a child that runs out of memory is killed and counted, the container goes on" {
    script='/payload hog 100; echo "ended with $?"; /payload hog 5; sleep 1000'
    begin_berth -m 32m --memory-swap 32m busybox sh -c "$script"
    wait_until 60 bash -c "berth logs $id 2>&1 | grep -qx full"
    berth logs "$id" 2>&1 | grep -qx "ended with 137"
    is_running "$id"
    [ "$(kills)" = 1 ]
    berth stop -t 0 "$id" > /dev/null
    [ "$(field "$id" .State.OOMKilled)" = true ]

    begin "$ID" '{"memory": {"limit": 33554432, "swap": 33554432}}' sh -c "$script"
    wait_until 60 printed full
    printed "ended with 137"
    [ "$(told "$ID" memory.event_count.oom_kill)" = 1 ]
    [ "$(oci_status "$ID")" = running ]
}

# That GROUP, which is to take 60 MiB, is kept near 20 MiB, and nothing of it is killed.
expect_slow() {
    expect_value 20971520 memory.high
    wait_until 60 is_above 3 high memory.events
    sleep 1
    # Each charge above it waits up to two seconds: it is on its way, and far from 60 MiB.
    expect_between "$(memory_used)" 20000000 $((45 << 20))
    [ "$(kills)" = 0 ]
}

@test "memory.high slows a program down and does not kill it" {
    limits='{"memory": {"limit": 104857600}, "unified": {"memory.high": "20971520"}}'
    if ! is_v2; then
        run ! begin "$ID" "$limits" true
        expect_text "unified: memory.high is a file of cgroup v2, "
        return
    fi
    begin "$ID" "$limits" /payload hold 60
    expect_slow
    [ "$(oci_status "$ID")" = running ]
    run ! printed full
    oci update -r - "$ID" <<< '{"unified": {"memory.high": "max"}}'
    wait_until 60 printed full

    begin_berth -m 100m --cgroup-conf memory.high=20M busybox /payload hold 60
    expect_slow
    is_running "$id"
    berth update --cgroup-conf memory.high=max "$id" > /dev/null
    wait_until 60 bash -c "berth logs $id | grep -qx full"
}

@test "a container without the killer waits for memory until its limit is raised" {
    if is_v2; then
        run -125 berth run -d --oom-kill-disable -m 32m busybox true
        expect_text "memory.disableOOMKiller: exists on cgroup v1 only"
        return
    fi
    begin "$ID" '{"memory": {"limit": 33554432, "swap": 33554432, "disableOOMKiller": true}}' /payload hold 48
    wait_until 60 is_above 0 under_oom memory.oom_control
    is_above 0 oom_kill_disable memory.oom_control
    run ! printed full
    oci update --memory 64M --memory-swap 64M "$ID"
    wait_until 60 printed full
    [ "$(kills)" = 0 ]
    # And it can be killed while it waits.
    begin_berth --oom-kill-disable -m 32m --memory-swap 32m busybox /payload hold 48
    wait_until 60 is_above 0 under_oom memory.oom_control
    berth kill "$id" > /dev/null
    [ "$(berth wait "$id")" = 137 ]
}

@test "swap is what the limit of memory and swap leaves" {
    # In memory: on v2 what a loop device writes would be charged to the container itself.
    modprobe zram 2> /dev/null || true
    ZRAM=$(cat /sys/class/zram-control/hot_add) || skip "there is no device for swap (zram)"
    echo 64M > "/sys/block/zram$ZRAM/disksize"
    mkswap "/dev/zram$ZRAM" > /dev/null 2>&1
    swapon "/dev/zram$ZRAM" || skip "swap cannot be switched on here"
    configure '.process.args = ["/payload", "hog", "40"] | .linux.resources.memory = {limit: 20971520, swap: 20971520}'
    run -137 oci run -b "$BUNDLE" "$ID"
    begin "$ID" '{"memory": {"limit": 20971520, "swap": 62914560}}' /payload hold 40
    expect_value 62914560 memory.memsw.limit_in_bytes || expect_value 41943040 memory.swap.max
    wait_until 60 printed full
    [ "$(memory_used)" -le 20971520 ]
    used=$(told "$ID" memory.usage.usage) both=$(told "$ID" memory.swap.usage)
    echo "memory $used, and swap $both"
    expect_between "$both" $((40 << 20)) $((48 << 20))
    expect_between "$used" $((10 << 20)) $((20 << 20))
}

@test "the use of memory and its peak are what a program held" {
    begin "$ID" '{"memory": {"limit": 67108864}}' sh -c '/payload hog 40; /payload hold 20'
    wait_until 60 bash -c "[ \$(grep -cx full $OUT) = 2 ]"
    used=$(told "$ID" memory.usage.usage) peak=$(told "$ID" memory.usage.max)
    echo "$used, peak $peak"
    expect_between "$used" $((20 << 20)) $((28 << 20))
    expect_between "$peak" $((40 << 20)) $((48 << 20))
    begin_berth -m 64m busybox /payload hold 40
    wait_until 60 bash -c "berth logs $id | grep -qx full"
    found=$(berth stats --no-stream --format '{{.MemUsage}}' "$id")
    [[ "$found" =~ ^4[0-7](\.[0-9]+)?MiB\ /\ 64MiB$ ]]
}

@test "a memory limit below what is in use is refused when it is to be checked first" {
    begin "$ID" '{"memory": {"limit": 67108864}}' /payload hold 40
    wait_until 60 printed full
    run -1 oci update -r - "$ID" <<< '{"memory": {"limit": 31457280, "checkBeforeUpdate": true}}'
    expect_text "rejecting memory limit 31457280 <= usage 4"
    expect_value 67108864 memory.limit_in_bytes memory.max
    [ "$(oci_status "$ID")" = running ]
    # Without that, v1 refuses it, and v2 kills.
    if is_v2; then
        oci update --memory 30M "$ID"
        wait_until 20 is_stopped "$ID"
    else
        run -1 oci update --memory 30M "$ID"
        expect_text "set memory.limit_in_bytes of cgroup /$ID to '31457280': more is in use"
        [ "$(oci_status "$ID")" = running ]
    fi
}

@test "events tells at once that memory ran out, and does not look meanwhile" {
    mkfifo "$BUNDLE/rootfs/go"
    begin "$ID" '{"memory": {"limit": 33554432, "swap": 33554432}}' sh -c 'read -r line < /go; /payload hog 60; echo "ended with $?"; sleep 1000'
    log="$BATS_TEST_TMPDIR/events"
    berth-oci --root "$ROOT" events --interval 1h "$ID" > "$log" &
    watcher=$!
    # It waits when a second passes in which it did not run once.
    switches() { awk '/ctxt_switches/ { sum += $2 } END { print sum }' /proc/$watcher/status; }
    waits() {
        local before
        before=$(switches)
        sleep 1
        [ "$before" -gt 0 ] && [ "$(switches)" = "$before" ]
    }
    wait_until 20 waits
    waits
    [ ! -s "$log" ]
    echo > "$BUNDLE/rootfs/go"
    wait_until 60 printed "ended with 137"
    wait_until 30 grep -qxF "{\"type\":\"oom\",\"id\":\"$ID\"}" "$log"
    oci delete -f "$ID"
    wait $watcher
}

# --- processes ----------------------------------------------------------------------------------------

has_processes() { [ "$(value pids.current)" = "$1" ]; }

@test "as many processes as the limit says, also a changed one" {
    [ "$(berth run --rm --pids-limit 8 "${PAYLOAD[@]}" busybox /payload forks 20)" = 7 ]
    begin "$ID" '{"pids": {"limit": 8}}' sh -c 'sleep 1000 & sleep 1000 & sleep 1000 & wait'
    expect_value 8 pids.max
    wait_until 20 has_processes 4
    [ "$(told "$ID" pids.current)" = 4 ]
    [ "$(oci exec "$ID" /payload forks 20)" = 3 ]
    oci update --pids-limit 6 "$ID"
    [ "$(oci exec "$ID" /payload forks 20)" = 1 ]
    # Fewer than there are: those live on, and nothing is added.
    oci update --pids-limit 2 "$ID"
    has_processes 4
    run oci exec "$ID" /payload forks 20
    [[ "$output" != [1-9]* ]]
}

@test "a fork bomb under --pids-limit 32 leaves the host responsive" {
    begin_berth --name bomb --pids-limit 32 busybox /payload bomb
    wait_until 60 has_processes 32
    run -0 timeout 60 berth run --rm busybox echo alive
    [ "$output" = alive ]
    # Not pids.current, in which for a moment also those are that the kernel then refuses.
    [ "$(wc -l < "$(kernel_file cgroup.procs)")" -le 32 ]
    run -0 timeout 60 berth rm -f bomb
    [ -z "$(find /sys/fs/cgroup -type d -name "$id")" ]
}

@test "a kill reaches every process, also those that fork meanwhile" {
    configure '.linux.namespaces |= map(select(.type != "pid"))'
    begin "$ID" '{"pids": {"limit": 30}}' sh -c '/payload bomb & sleep 1000'
    wait_until 60 has_processes 30
    oci kill --all "$ID" KILL
    wait_until 30 has_processes 0
}

@test "a paused container uses no CPU time until it goes on" {
    stands_still() {
        local used
        used=$(cpu_us)
        sleep 0.7
        [ "$(cpu_us)" = "$used" ]
    }
    goes_on() {
        local used
        used=$(cpu_us)
        sleep 0.1
        [ "$(cpu_us)" -gt "$used" ]
    }
    begin_berth busybox "${hog[@]}"
    berth pause "$id"
    stands_still
    berth unpause "$id"
    wait_until 20 goes_on
    berth rm -f "$id" > /dev/null
    # In every process of it.
    begin "$ID" '{"pids": {"limit": 30}}' sh -c '/payload burn 1000000 & /payload bomb & while :; do :; done'
    oci pause "$ID"
    stands_still
    oci resume "$ID"
    wait_until 20 goes_on
}

# --- block I/O: on a loop device over a file of ours --------------------------------------------------

# Makes one, LOOP, with its number's second half in MINOR.
make_loop() {
    local file
    file=$(mktemp "$BATS_TEST_TMPDIR/loop.XXXXXX")
    truncate -s 16M "$file"
    LOOP=$(losetup -f --show "$file")
    LOOPS+=("$LOOP")
    MINOR=$((16#$(stat -c %T "$LOOP")))
}

# Containers of berth-oci begin with all of them.
give_loops() {
    local loop list=()
    for loop in "${LOOPS[@]}"; do list+=("{\"path\": \"$loop\", \"type\": \"b\", \"major\": 7, \"minor\": $((16#$(stat -c %T "$loop")))}"); done
    configure --argjson devices "[$(IFS=,; echo "${list[*]}")]" '.linux.devices = $devices |
        .linux.resources.devices += ($devices | map(del(.path) + {allow: true, access: "rwm"}))'
}
limit_of() { echo "[{\"major\": 7, \"minor\": $1, \"rate\": $2}]"; }

# Fails unless the kernel throttles the device so: expect_throttle MINOR READ|WRITE BPS|IOPS RATE
expect_throttle() {
    local v2_key=${2:0:1}${3}
    if has blkio.throttle.read_bps_device; then
        grep -qx "7:$1 $4" "$(kernel_file "blkio.throttle.${2}_${3}_device")"
    else
        grep -q "^7:$1 .*$v2_key=$4\\( \\|\$\\)" "$(kernel_file io.max)"
    fi
}

# Four streams at once, each with its own limit; each goes on for more than a second.
streams() {
    echo "
        echo readbps \$((24 * 65536000 / \$(/payload direct read $1 65536 24))) &
        echo writebps \$((24 * 65536000 / \$(/payload direct write $1 65536 24))) &
        echo readiops \$((60 * 1000 / \$(/payload direct read $2 4096 60))) &
        echo writeiops \$((60 * 1000 / \$(/payload direct write $2 4096 60))) &
        wait"
}
are_rates() {
    local text word
    text=$("$@")
    echo "$text" >> "$BATS_TEST_TMPDIR/rates"
    for word in read write; do
        expect_between "$(sed -n "s/^${word}bps //p" <<< "$text")" $((1 << 19)) $((3 << 19)) || return
        expect_between "$(sed -n "s/^${word}iops //p" <<< "$text")" 20 60 || return
    done
}
# The machine may have been too busy for them, so they are asked for again: expect_rates COMMAND...
expect_rates() {
    wait_until 90 are_rates "$@" || {
        cat "$BATS_TEST_TMPDIR/rates"
        return 1
    }
}

@test "reads and writes of a device are as fast as their limits, also changed ones" {
    make_loop
    bytes=$LOOP bytes_minor=$MINOR
    make_loop
    calls=$LOOP calls_minor=$MINOR
    expect_rates berth run --rm --device "$bytes" --device "$calls" "${PAYLOAD[@]}" \
        --device-read-bps "$bytes:1mb" --device-write-bps "$bytes:1mb" --device-read-iops "$calls:40" --device-write-iops "$calls:40" \
        busybox sh -c "$(streams "$bytes" "$calls")"

    give_loops
    begin "$ID" "{\"blockIO\": {\"throttleReadBpsDevice\": $(limit_of "$bytes_minor" 1048576), \"throttleWriteBpsDevice\": $(limit_of "$bytes_minor" 1048576),
        \"throttleReadIOPSDevice\": $(limit_of "$calls_minor" 40), \"throttleWriteIOPSDevice\": $(limit_of "$calls_minor" 40)}}" sleep 1000
    for word in read write; do
        expect_throttle "$bytes_minor" $word bps 1048576
        expect_throttle "$calls_minor" $word iops 40
    done
    expect_rates oci exec "$ID" sh -c "$(streams "$bytes" "$calls")"
    # Four times as much, of which 1 MiB takes a fourth of a second; then without a limit.
    oci update -r - "$ID" <<< "{\"blockIO\": {\"throttleReadBpsDevice\": $(limit_of "$bytes_minor" 4194304)}}"
    expect_throttle "$bytes_minor" read bps 4194304
    reads_within() { expect_between "$(oci exec "$ID" /payload direct read "$bytes" 65536 64)" "$@"; }
    wait_until 60 reads_within 666 2000
    oci update -r - "$ID" <<< "{\"blockIO\": {\"throttleReadBpsDevice\": $(limit_of "$bytes_minor" 0)}}"
    wait_until 60 reads_within 0 600
}

# Bytes that a container read from LOOP.
read_bytes() { told "$1" "blkio.ioServiceBytesRecursive | map(select(.major == 7 and (.minor // 0) == $MINOR and .op == \"Read\").value) | add + 0"; }
# Of two that read as fast as they can the second gets at least three times as much; by their weights
# it is eight times. Not at once where other work keeps one of them from asking.
expect_second_ahead() { wait_until 60 is_second_ahead "$@"; }
is_second_ahead() {
    local first second
    first=$(read_bytes "$1") second=$(read_bytes "$2")
    sleep 2
    first=$(($(read_bytes "$1") - first)) second=$(($(read_bytes "$2") - second))
    [ $first -gt 0 ] && [ $second -ge $((first * 3)) ]
}

@test "weights divide a device between containers under the scheduler BFQ" {
    make_loop
    queue="/sys/block/${LOOP#/dev/}/queue"
    modprobe bfq 2> /dev/null || true
    echo none > "$queue/scheduler"
    run -125 berth run --rm --blkio-weight-device "$LOOP:300" busybox true
    expect_text "the device uses neither the scheduler BFQ"
    echo bfq > "$queue/scheduler" || skip "this kernel has no scheduler BFQ"
    # Else it gives up weights for more in total, and on a busy machine, where the next read may come late.
    echo 0 > "$queue/iosched/low_latency"
    echo 1 > "$queue/iosched/strict_guarantees"
    echo 100 > "$queue/iosched/slice_idle"
    give_loops
    begin "$ID-a" '{"blockIO": {"weight": 100}}' /payload direct read "$LOOP" 65536 1000000
    begin "$ID-b" '{"blockIO": {"weight": 800}}' /payload direct read "$LOOP" 65536 1000000
    [[ "$(value blkio.bfq.weight io.bfq.weight)" =~ ^(default )?800$ ]]
    expect_second_ahead "$ID-a" "$ID-b"
    oci update --blkio-weight 800 "$ID-a"
    oci update --blkio-weight 100 "$ID-b"
    expect_second_ahead "$ID-b" "$ID-a"
    begin_berth --blkio-weight-device "$LOOP:300" busybox sleep 1000
    weight_of_loop() { value blkio.bfq.weight_device io.bfq.weight | sed -n "s/^7:$MINOR //p"; }
    [ "$(weight_of_loop) $(field "$id" '(index .HostConfig.BlkioWeightDevice 0).Weight')" = "300 300" ]
    berth update --blkio-weight-device "$LOOP:0" --blkio-weight 200 "$id"
    [ "$(weight_of_loop)" = 200 ]
}

@test "what was written to a device is counted to the byte" {
    make_loop
    give_loops
    # On v1 new kernels count only what a limit is on.
    begin "$ID" "{\"blockIO\": {\"throttleReadBpsDevice\": $(limit_of "$MINOR" 1000000000), \"throttleWriteBpsDevice\": $(limit_of "$MINOR" 1000000000)}}" sleep 1000
    counted() { told "$ID" "blkio.$1 | map(select(.major == 7 and (.minor // 0) == $MINOR and .op == \"$2\").value) | add"; }
    [ "$(oci exec "$ID" /payload direct write "$LOOP" 65536 16 | wc -l)" = 1 ]
    oci exec "$ID" /payload direct read "$LOOP" 4096 3
    oci events --stats "$ID" | jq -c .data.blkio
    [ "$(counted ioServiceBytesRecursive Write)" = 1048576 ]
    [ "$(counted ioServicedRecursive Write)" = 16 ]
    [ "$(counted ioServiceBytesRecursive Read)" = 12288 ]
    [ "$(counted ioServicedRecursive Read)" = 3 ]
    begin_berth --device "$LOOP" --device-write-bps "$LOOP:1gb" busybox sh -c "/payload direct write $LOOP 65536 16; echo done; sleep 1000"
    wait_until 20 bash -c "berth logs $id | grep -qx done"
    found=$(berth stats --no-stream --format '{{.BlockIO}}' "$id")
    echo "$found"
    [[ "$found" == *" / 1.05MB" ]]
}

# --- use ----------------------------------------------------------------------------------------------

# CPU time of one process in nanoseconds, by the scheduler's own book: process_ns PID
process_ns() { cut -d ' ' -f 1 "/proc/$1/schedstat"; }
has_run() { [ "$(process_ns "$1")" -ge "$2" ]; }
is_halted() { grep -q '^State:.T' "/proc/$1/status"; }

@test "CPU time is told to within 5 percent, processes exactly" {
    begin "$ID" '{}' "${hog[@]}"
    pid=$(first_pid "$ID")
    # It stands still while both books are read.
    halt() { kill -STOP "$pid" && wait_until 20 is_halted "$pid"; }
    halt
    used=$(told "$ID" cpu.usage.total) due=$(process_ns "$pid")
    kill -CONT "$pid"
    wait_until 120 has_run "$pid" $((due + 1000000000))
    halt
    used=$(($(told "$ID" cpu.usage.total) - used)) due=$(($(process_ns "$pid") - due))
    echo "$used ns of $due ns"
    expect_between "$used" $((due * 95 / 100)) $((due * 105 / 100))
    [ "$(told "$ID" pids.current)" = 1 ]
    kill -CONT "$pid"

    begin_berth --cpus 0.3 busybox sh -c 'sleep 1000 & sleep 1000 & while :; do :; done'
    GROUP="berth/$id" wait_until 60 has_processes 3
    [ "$(berth stats --no-stream --format '{{.PIDs}}' "$id")" = 3 ]
    # It looks for a second in the middle of ours; what is taken away in just one of both, by other
    # load, is seen in that one only.
    stats_agree() {
        local used begin wall percent due
        used=$(cpu_us) begin=$(date +%s%N)
        percent=$(berth stats --no-stream --format '{{.CPUPerc}}' "$id")
        used=$(($(cpu_us) - used)) wall=$((($(date +%s%N) - begin) / 1000))
        percent=${percent%.*} due=$((used * 100 / wall))
        SEEN="$percent% told, $used us in $wall us"
        expect_between "$percent" $((due * 75 / 100 - 2)) $((due * 125 / 100 + 3)) && [ "$percent" -le 36 ]
    }
    wait_until 60 stats_agree || {
        echo "$SEEN"
        return 1
    }
}

# --- the rest of the controllers ----------------------------------------------------------------------

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

@test "--device-cgroup-rule allows devices whose nodes a container makes, and no others" {
    berth run -d --name maker --cap-add MKNOD --device-cgroup-rule 'c 1:7 rwm' busybox sleep 1000
    [ "$(berth exec maker sh -c 'mknod /full c 1 7 && head -c 4 /full | wc -c')" = 4 ]
    run berth exec maker sh -c 'mknod /port c 1 4 && head -c 1 /port'
    [ "$status" != 0 ]
    expect_text "Operation not permitted"
    berth restart -t 0 maker
    [ "$(berth exec maker sh -c 'head -c 4 /full | wc -c')" = 4 ]
    [ "$(field maker '(index .HostConfig.DeviceCgroupRules 0)')" = "c 1:7 rwm" ]
    run -125 berth run --rm --device-cgroup-rule 'c 1:7' busybox true
    expect_text "--device-cgroup-rule 'c 1:7': give TYPE MAJOR:MINOR ACCESS"
}

@test "devices can be opened, written and made as the rules say, also changed ones" {
    make_loop
    configure --argjson minor "$MINOR" '.process.capabilities |= map_values(. + ["CAP_MKNOD"]) |
        .linux.devices = [{path: "/dev/loopy", type: "b", major: 7, minor: $minor}] | .root.readonly = false |
        .linux.resources.devices = [{allow: false}, {allow: true, type: "b", major: 7, minor: $minor, access: "r"},
            {allow: true, type: "c", major: 10, minor: 229, access: "w"}]'
    begin "$ID" '{}' sleep 1000
    denied() {
        run ! oci exec "$ID" "$@"
        [[ "$output" == *"Operation not permitted"* ]]
    }
    oci exec "$ID" /payload direct read /dev/loopy 4096 1
    denied /payload direct write /dev/loopy 4096 1
    # Any device file may be made, as with runc; it can be used as the rules say.
    oci exec "$ID" mknod /made c 10 229
    oci exec "$ID" sh -c ': > /made'
    denied sh -c ': < /made'
    oci update -r - "$ID" <<< "{\"devices\": [{\"allow\": false}, {\"allow\": true, \"type\": \"b\", \"major\": 7, \"access\": \"w\"}]}"
    oci exec "$ID" /payload direct write /dev/loopy 4096 1
    denied /payload direct read /dev/loopy 4096 1
    denied sh -c ': > /made'
}

@test "huge pages are bounded, also by a changed limit" {
    local free
    free=$(cat $huge_pages/free_hugepages)
    HUGE_PAGES=$(cat $huge_pages/nr_hugepages)
    echo $((HUGE_PAGES + 6)) > $huge_pages/nr_hugepages
    [ "$(cat $huge_pages/free_hugepages)" -ge $((free + 6)) ] || skip "the kernel finds no six huge pages"
    begin "$ID" '{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}' sleep 1000
    expect_value 4194304 hugetlb.2MB.limit_in_bytes hugetlb.2MB.max
    expect_value 4194304 hugetlb.2MB.rsvd.limit_in_bytes hugetlb.2MB.rsvd.max
    [ "$(oci exec "$ID" /payload huge 5)" = "2 ENOMEM" ]
    oci update -r - "$ID" <<< '{"hugepageLimits": [{"pageSize": "2MB", "limit": 8388608}]}'
    [ "$(oci exec "$ID" /payload huge 5)" = "4 ENOMEM" ]
    # Without a bound on reservations the kernel kills: only the limit of pages in use is left.
    echo $((100 << 20)) > "$(kernel_file hugetlb.2MB.rsvd.limit_in_bytes hugetlb.2MB.rsvd.max)"
    [ "$(oci exec "$ID" /payload huge 5)" = "4 SIGBUS" ]
    told "$ID" 'hugetlb["2MB"]'
    [ "$(told "$ID" 'hugetlb["2MB"].failcnt')" -ge 1 ]
}

@test "what limits RDMA and other resources is refused by a sentence where there are none" {
    run ! begin "$ID" '{"rdma": {"mlx5_0": {"hcaHandles": 3}}}' true
    [[ "$output" == *"cannot limit RDMA: no rdma controller is mounted"* || "$output" == *"set rdma.max of cgroup /$ID to 'mlx5_0 hca_handle=3': No such device"* ]]
    run ! begin "$ID" '{"unified": {"misc.max": "sgx_epc 1"}}' true
    # No machine has it but with SGX, and then not everybody's: which words follow depends on the kernel.
    [[ "$output" =~ unified:\ misc.max\ is\ a\ file\ of\ cgroup\ v2|no\ misc\ controller|no\ file\ misc.max|\'sgx_epc\'\ is\ no\ resource ]]
    run ! begin "$ID" '{"hugepageLimits": [{"pageSize": "3MB", "limit": 4194304}]}' true
    expect_text "cannot limit huge pages: "
}

@test "handles and objects of an RDMA device are bounded, also by changed limits" {
    local numbers
    RDMA=berthrxe$BATS_TEST_NUMBER
    ip link add "$RDMA" type veth peer name "$RDMA-p" 2> /dev/null || skip "no device can be made"
    ip link set "$RDMA" up
    rdma link add "$RDMA" type rxe netdev "$RDMA" 2> /dev/null || skip "the kernel has no RDMA over Ethernet"
    IFS=: read -ra numbers < "$(dirname "$(grep -lx "$RDMA" /sys/class/infiniband_verbs/*/ibdev)")/dev"
    configure --argjson major "${numbers[0]}" --argjson minor "${numbers[1]}" '
        .linux.devices += [{path: "/dev/uverbs", type: "c", major: $major, minor: $minor, fileMode: 438}] |
        .linux.resources.devices += [{allow: true, type: "c", major: $major, minor: $minor, access: "rw"}]'
    begin "$ID" "{\"rdma\": {\"$RDMA\": {\"hcaHandles\": 2, \"hcaObjects\": 5}}}" sleep 1000
    expect_value "$RDMA hca_handle=2 hca_object=5 " rdma.max
    [ "$(oci exec "$ID" /payload rdma /dev/uverbs 2 5)" = "2 5 ok" ]
    [ "$(oci exec "$ID" /payload rdma /dev/uverbs 3 0)" = "2 0 EAGAIN" ]
    [ "$(oci exec "$ID" /payload rdma /dev/uverbs 1 9)" = "1 5 EAGAIN" ]
    oci update -r - "$ID" <<< "{\"rdma\": {\"$RDMA\": {\"hcaObjects\": 7}}}"
    expect_value "$RDMA hca_handle=2 hca_object=7 " rdma.max
    [ "$(oci exec "$ID" /payload rdma /dev/uverbs 1 9)" = "1 7 EAGAIN" ]
    if is_v2; then
        begin_berth --cgroup-conf "rdma.max=$RDMA hca_handle=5" busybox sleep 1000
        expect_value "$RDMA hca_handle=5 hca_object=max " rdma.max
    fi
}

@test "sockets have the class and packets the priority of the group" {
    configure '.linux.namespaces |= map(select(.type != "network"))'
    limits='{"network": {"classID": 1048577, "priorities": [{"name": "lo", "priority": 5}]}}'
    if ! mountpoint -q /sys/fs/cgroup/net_cls,net_prio; then
        run ! begin "$ID" "$limits" true
        expect_text "network.classID: needs the controller net_cls of cgroup v1, which is not mounted"
        return
    fi
    begin "$ID" "$limits" nc -l -p 18764 127.0.0.1
    expect_value 1048577 net_cls.classid
    grep -qx "lo 5" "$(kernel_file net_prio.ifpriomap)"
    wait_until 20 eval 'ss -H -tln --tos "sport = 18764" | grep class_id:0x100001'
}

# --- groups above and below ---------------------------------------------------------------------------

@test "what bounds a group bounds its containers together" {
    parent="harbour$BATS_TEST_NUMBER"
    set_limit() { echo "$1" > "$(GROUP=$parent kernel_file "${@:2}")"; }
    begin_berth --cgroup-parent "/$parent/pier" -m 200m busybox sh -c 'sleep 1000 & sleep 1000 & sleep 1000 & wait'
    [ -n "$(find /sys/fs/cgroup -type d -path "*/$parent/pier/$id")" ]
    first=$id
    GROUP=$parent wait_until 20 has_processes 4
    set_limit 7 pids.max
    begin_berth --cgroup-parent "/$parent/pier" -m 200m busybox /payload forks 20
    [ "$(berth wait "$id")" = 0 ]
    [ "$(berth logs "$id")" = 2 ]
    set_limit max pids.max
    berth rm -f "$first" "$id" > /dev/null

    set_limit $((64 << 20)) memory.limit_in_bytes memory.max
    # Nor may they go into swap, if there is any.
    if GROUP=$parent has memory.swap.max; then set_limit 0 memory.swap.max; elif GROUP=$parent has memory.memsw.limit_in_bytes; then set_limit $((64 << 20)) memory.memsw.limit_in_bytes; fi
    begin_berth --cgroup-parent "/$parent/pier" -m 200m busybox /payload hold 40
    first=$id
    begin_berth --cgroup-parent "/$parent/pier" -m 200m busybox /payload hold 40
    one_is_killed() { [ "$(is_running "$first" && echo yes)$(is_running "$id" && echo yes)" = yes ]; }
    wait_until 120 one_is_killed
    [ "$(field "$first" .State.OOMKilled)$(field "$id" .State.OOMKilled)" = truefalse ] ||
        [ "$(field "$first" .State.OOMKilled)$(field "$id" .State.OOMKilled)" = falsetrue ]
    # The other one may not have got so far yet.
    wait_until 60 eval 'expect_between "$(GROUP=$parent memory_used)" $((30 << 20)) $((64 << 20))'
    berth rm -f "$first" "$id" > /dev/null

    if is_v2; then set_limit "6000 100000" cpu.max; else set_limit 6000 cpu.cfs_quota_us; fi
    begin_berth --cgroup-parent "/$parent/pier" -m 200m --cpuset-cpus 0 busybox "${hog[@]}"
    begin_berth --cgroup-parent "/$parent/pier" -m 200m --cpuset-cpus 0 busybox "${hog[@]}"
    GROUP=$parent expect_quota 6000
}

@test "groups that a container makes itself are counted and killed with it" {
    configure '(.mounts[] | select(.destination == "/sys/fs/cgroup").options) |= map(select(. != "ro"))'
    begin "$ID" '{"memory": {"limit": 33554432, "swap": 33554432}, "pids": {"limit": 40}}' sh -c 'cd /sys/fs/cgroup
        if [ -f cgroup.controllers ]; then
            mkdir leaf && echo 1 > leaf/cgroup.procs && echo "+memory +pids" > cgroup.subtree_control
        else
            for name in memory pids freezer; do mkdir $name/leaf && echo 1 > $name/leaf/tasks; done
        fi
        /payload hog 60
        echo "ended with $?"
        sleep 1000 & sleep 1000 & wait'
    wait_until 60 printed "ended with 137"
    cat "$OUT"
    [ "$(told "$ID" memory.event_count.oom_kill)" = 1 ]
    wait_until 20 has_processes 3
    oci pause "$ID"
    [ "$(oci_status "$ID")" = paused ]
    oci resume "$ID"
    oci kill --all "$ID" KILL
    wait_until 30 has_processes 0
}
