load helper

# update, events and what else looks at running containers; effects are measured in the kernel's
# files and in what processes can do.

setup() {
    ID="upd$BATS_TEST_NUMBER" GROUP="upd$BATS_TEST_NUMBER"
    make_bundle
    configure '.process.args = ["sleep", "1000"]'
}

teardown() {
    delete_containers
    [ -z "$(find /sys/fs/cgroup -type d -name "$ID")" ]
}

start() { oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1; }

@test "update changes memory, pids, CPU time and CPUs, and remembers them" {
    start
    needs memory.limit_in_bytes memory.max
    oci update "$ID" --memory 64M --pids-limit 10 --cpu-quota 50000 --cpu-period 200000 --cpu-share 200 --cpuset-cpus 0
    expect_value 67108864 memory.limit_in_bytes memory.max
    expect_value 10 pids.max
    expect_value 0 cpuset.cpus
    [ "$(value cpu.cfs_quota_us cpu.max)" = 50000 ] || expect_value "50000 200000" cpu.max
    [ "$(jq -c '.linux.resources | [.memory.limit, .pids.limit, .cpu.period]' "$ROOT/$ID/config.json")" = '[67108864,10,200000]' ]
    # A quota alone keeps the period.
    oci update --cpu-quota 60000 "$ID"
    [ "$(value cpu.cfs_quota_us cpu.max)" = 60000 ] || expect_value "60000 200000" cpu.max
    [ "$(value cpu.cfs_period_us cpu.max | tail -c 7)" = 200000 ]
    oci update --pids-limit -1 "$ID"
    expect_value max pids.max
}

@test "update orders memory and swap, whichever way they change" {
    start
    needs memory.memsw.limit_in_bytes memory.swap.max
    total() { if kernel_file memory.swap.max > /dev/null; then echo $(($(value memory.swap.max) + $(value memory.max))); else value memory.memsw.limit_in_bytes; fi; }
    oci update "$ID" --memory 30M --memory-swap 50M
    [ "$(total)" = $((50 << 20)) ]
    oci update "$ID" --memory 60M --memory-swap 80M
    expect_value $((60 << 20)) memory.limit_in_bytes memory.max
    [ "$(total)" = $((80 << 20)) ]
    oci update "$ID" --memory 20M --memory-swap 20M
    [ "$(total)" = $((20 << 20)) ]
    run -1 oci update "$ID" --memory 90M
    expect_text "memory.swap: 20971520 is smaller than the limit 94371840"
    expect_value $((20 << 20)) memory.limit_in_bytes memory.max
    oci update "$ID" --memory -1
    [[ "$(value memory.memsw.limit_in_bytes memory.swap.max)" =~ ^(max|9223372036854771712)$ ]]
}

@test "a limit on pids holds for the processes that are there" {
    start
    needs pids.max
    oci exec "$ID" sh -c 'sleep 0 & wait'
    oci update "$ID" --pids-limit 2
    run oci exec "$ID" sh -c 'sleep 5 & echo "second $!"'
    [[ "$output" != *"second "[0-9]* ]]
}

@test "what is refused leaves every limit as it was" {
    start
    needs cpuset.cpus
    needs pids.max
    oci update "$ID" --pids-limit 50 --cpu-quota 40000
    before=$(md5sum < "$ROOT/$ID/config.json")
    run -1 oci update "$ID" --pids-limit 33 --cpu-quota 20000 --cpuset-cpus 1000
    expect_text "cpuset.cpus"
    expect_value 50 pids.max
    [[ "$(value cpu.cfs_quota_us cpu.max)" = 40000* ]]
    [ "$(jq -c '.linux.resources | [.pids.limit, .cpu.quota, .cpu.cpus]' "$ROOT/$ID/config.json")" = '[50,40000,null]' ]
    [ "$(md5sum < "$ROOT/$ID/config.json")" = "$before" ]
}

@test "update reads JSON from a file and from standard input" {
    start
    needs pids.max
    echo '{"pids": {"limit": 21}}' > "$BATS_TEST_TMPDIR/limits"
    oci update -r "$BATS_TEST_TMPDIR/limits" "$ID"
    expect_value 21 pids.max
    oci update --resources - "$ID" <<< '{"pids": {"limit": 22}, "cpu": {"shares": 512}}'
    expect_value 22 pids.max
    [[ "$(value cpu.shares cpu.weight)" =~ ^(512|50)$ ]]
    run -1 oci update -r - "$ID" <<< '{"pids": {"limit": "many"}}'
    expect_text "--resources: pids.limit: must be a number"
    run -1 oci update -r /nowhere "$ID"
    expect_text "/nowhere"
    expect_value 22 pids.max
}

@test "checkBeforeUpdate refuses what is in use" {
    start
    needs memory.limit_in_bytes memory.max
    limit=$(value memory.limit_in_bytes memory.max)
    run -1 oci update -r - "$ID" <<< '{"memory": {"limit": 1024, "checkBeforeUpdate": true}}'
    expect_text "rejecting memory limit 1024"
    run -1 oci update -r - "$ID" <<< '{"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}}'
    expect_text "rejecting memory+swap limit 2048"
    expect_value "$limit" memory.limit_in_bytes memory.max
    [ "$(oci state "$ID" | jq -r .status)" = running ]
}

@test "device rules are replaced, with the default devices behind them; without any they stay" {
    needs_root "an ordinary user may load no device program"
    configure '.linux.resources.devices = [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]
        | .linux.devices = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}, {"path": "/dev/loop", "type": "c", "major": 10, "minor": 237}]'
    start
    opens() { oci exec "$ID" sh -c "exec 3< $1"; }
    opens /dev/fuse
    run opens /dev/loop
    expect_text "Operation not permitted"
    oci update -r - "$ID" <<< "{}"
    opens /dev/fuse
    oci update -r - "$ID" <<< '{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 237, "access": "rw"}]}'
    opens /dev/loop
    opens /dev/null
    run opens /dev/fuse
    expect_text "Operation not permitted"
}

@test "while device rules are replaced, what stays allowed never fails, also with groups below" {
    needs_root "an ordinary user may load no device program"
    configure '.linux.resources.devices = [{"allow": false}]
        | .process.args = ["sh", "-c", "while :; do : <> /dev/zero || echo refused; done"]'
    oci run -d -b "$BUNDLE" "$ID" < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    ! list=$(kernel_file devices.list) || mkdir "${list%/*}/below"
    for _ in $(seq 20); do
        oci update -r - "$ID" <<< '{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 237}]}'
        oci update -r - "$ID" <<< '{"devices": [{"allow": false}]}'
    done
    [ ! -s "$BATS_TEST_TMPDIR/out" ]
}

@test "update of CPU idle and burst" {
    start
    needs cpu.idle
    oci update "$ID" --cpu-share 300
    oci update "$ID" --cpu-idle 1
    expect_value 1 cpu.idle
    oci update "$ID" --cpu-idle 0
    expect_value 0 cpu.idle
    [[ "$(value cpu.shares cpu.weight)" =~ ^(300|29)$ ]]
    oci update "$ID" --cpu-quota 50000 --cpu-burst 10000
    expect_value 10000 cpu.cfs_burst_us cpu.max.burst
    run -1 oci update "$ID" --cpu-idle 2
    expect_text "cpu.idle: 2 is neither 0 nor 1"
}

@test "update refuses by a sentence what it cannot do" {
    run -1 oci update nobody --memory 1g
    expect_text "does not exist"
    start
    run -1 oci update "$ID" --memory 10x
    expect_text "invalid value for memory"
    run -1 oci update "$ID" --l3-cache-schema "L3:0=f"
    expect_text "Intel RDT/CAT: l3 cache schema is not enabled"
    run -0 oci update "$ID" --kernel-memory 10m
    expect_text "ignored"
    oci kill "$ID" KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state $ID | jq -r .status)\" = stopped ]"
    run -1 oci update "$ID" --memory 1g
    expect_text "container not running"
}

@test "events --stats has the members of runc's" {
    start
    needs pids.max # without a controller runc prints zeros, berth-oci nothing
    run -0 oci events --stats "$ID"
    [[ "$output" == '{"type":"stats","id":"'"$ID"'","data":{"cpu":{"usage":{"total":'* ]]
    echo "$output" | jq -c '.data | [paths(scalars) | map(tostring) | join(".")]
        | map(select(test("raw|psi|percpu|hugetlb|event_count|cpus|mems") | not))' > "$BATS_TEST_TMPDIR/ours"
    (cd "$BUNDLE" && runc --root "$ROOT.runc" run -d "$ID-theirs" < /dev/null > /dev/null 2>&1) ||
        skip "runc does not run this bundle for an ordinary user"
    theirs=$(runc --root "$ROOT.runc" events --stats "$ID-theirs" || echo '{}')
    runc --root "$ROOT.runc" delete -f "$ID-theirs"
    # Whatever runc tells, berth-oci tells, by the same name.
    echo "$theirs" | jq -r '.data | paths(scalars) | select(.[1] != "raw") | map(tostring) | join(".")' |
        grep -v 'percpu\|cpus\|mems\|hugetlb\|cache\|throttling' > "$BATS_TEST_TMPDIR/theirs" || skip "runc tells nothing on this view of the cgroups"
    while read -r path; do
        grep -qF "\"$path\"" "$BATS_TEST_TMPDIR/ours" || {
            echo "$path is missing"
            return 1
        }
    done < "$BATS_TEST_TMPDIR/theirs"
}

@test "events prints at each interval and ends with the container" {
    start
    oci events --interval 100ms "$ID" > "$BATS_TEST_TMPDIR/log" &
    watcher=$!
    wait_until 30 bash -c "[ \$(grep -c '^{\"type\":\"stats\",\"id\":\"$ID\",' $BATS_TEST_TMPDIR/log) -ge 3 ]"
    oci delete -f "$ID"
    wait $watcher
    jq -es 'all(.type == "stats")' "$BATS_TEST_TMPDIR/log"
}

# Has `events` watch in the background, as $watcher, and waits until it does: it has what tells of
# memory, and sleeps.
watch_oom() {
    berth-oci --root "$ROOT" events --interval 1h "$ID" > "$BATS_TEST_TMPDIR/log" &
    watcher=$!
    wait_until 30 eval 'grep -q "^inotify\|^eventfd-count" /proc/$watcher/fdinfo/* && grep -q "^State:.S" /proc/$watcher/status'
}

@test "events tells when memory runs out, also of the first process" {
    cp "$BERTH_BUILD/tests/payload/payload" "$BUNDLE/rootfs/payload"
    start
    needs memory.memsw.limit_in_bytes memory.swap.max
    oci update "$ID" --memory 30M --memory-swap 30M
    watch_oom
    run ! oci exec "$ID" /payload hog 60
    wait_until 30 grep -qxF "{\"type\":\"oom\",\"id\":\"$ID\"}" "$BATS_TEST_TMPDIR/log"
    [ "$(oci events --stats "$ID" | jq .data.memory.event_count.oom_kill)" = 1 ]
    oci delete -f "$ID"
    wait $watcher
    [ "$(sort -u "$BATS_TEST_TMPDIR/log")" = "{\"type\":\"oom\",\"id\":\"$ID\"}" ]

    configure '.process.args = ["/payload", "hog", "60"] | .linux.resources.memory = {"limit": 31457280, "swap": 31457280}'
    oci create -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
    watch_oom
    oci start "$ID"
    wait $watcher
    [ "$(sort -u "$BATS_TEST_TMPDIR/log")" = "{\"type\":\"oom\",\"id\":\"$ID\"}" ]
}

@test "events refuses what it cannot watch" {
    run -1 oci events nobody
    expect_text "does not exist"
    oci create -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
    run -1 oci events --interval 0 "$ID"
    expect_text "duration interval must be greater than 0"
    run -1 oci events --interval soon "$ID"
    expect_text "--interval 'soon'"
    oci kill "$ID" KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state $ID | jq -r .status)\" = stopped ]"
    run -1 oci events "$ID"
    expect_text "container with id $ID is not running"
}
