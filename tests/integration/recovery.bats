load helper

teardown() {
    # Of a test that failed halfway.
    for state in /sys/fs/cgroup/freezer/berth-frozen{/*,}/freezer.state; do
        [ ! -e "$state" ] || echo THAWED > "$state"
    done
    remove_all
}

# The next command has repaired everything. A monitor that was being born when its CLI was killed may
# still be at work, so this is asked again until the time is over.
is_repaired() {
    berth ps -a > /dev/null
    remove_all
    is_picture "$before"
}

@test "SIGKILL of the monitor: the container ends, the next command cleans up and says so" {
    berth run --rm busybox true
    before=$(picture)
    berth run -d --name lost busybox sleep 1000 > /dev/null
    pid=$(field lost .State.Pid)
    pkill -9 -f "berth-monitor $BERTH_DATA"
    wait_until 20 eval '! pgrep -r S,R,D -f "berth-monitor $BERTH_DATA"'
    berth ps > /dev/null
    [ ! -e "/proc/$pid/ns/pid" ] || ! readlink "/proc/$pid/ns/pid"
    [ "$(field lost .State.Status)" = exited ]
    [ "$(field lost .State.ExitCode)" = 137 ]
    berth start lost
    is_running lost
    berth rm -f lost
    expect_picture "$before"
}

@test "SIGKILL of a monitor whose container is frozen before it starts: the same" {
    # A frozen process of cgroup v1 does not die, and had what the monitor had open.
    local parent=/sys/fs/cgroup/freezer/berth-frozen pid client monitor
    [ -d "${parent%/*}" ] || skip "freezers of cgroup v2 let processes die"
    mkdir -p "$parent"
    echo FROZEN > "$parent/freezer.state"
    berth create --name cold --cgroup-parent /berth-frozen busybox true > /dev/null
    berth start -a cold > "$BATS_TEST_TMPDIR/out" 2>&1 &
    client=$!
    wait_until 20 eval 'cat '"$parent"'/*/tasks 2> /dev/null | grep -q .'
    pid=$(cat "$parent"/*/tasks)
    monitor=$(ps -o ppid= -p "$pid")
    # Only the container is frozen.
    echo FROZEN > "$(echo "$parent"/*/freezer.state)"
    echo THAWED > "$parent/freezer.state"
    # shellcheck disable=SC2086 # a number behind spaces
    kill -9 $monitor
    wait_until 20 eval '! kill -0 '"$client"' 2> /dev/null'
    run -0 berth inspect --format '{{.State.Status}} {{.State.ExitCode}}' cold
    [ "$output" = "created 0" ]
    [[ "$(ps -o stat= -p "$pid")" != [DRST]* ]]
    berth rm cold
    rmdir /sys/fs/cgroup/*/berth-frozen
}

@test "SIGKILL of the init: the monitor records 137 and cleans up" {
    berth run --rm busybox true
    before=$(picture)
    berth run -d --name shot busybox sleep 1000 > /dev/null
    kill -9 "$(field shot .State.Pid)"
    [ "$(berth wait shot)" = 137 ]
    berth rm shot
    expect_picture "$before"
}

@test "SIGKILL of the CLI in run at random moments: the next command repairs" {
    berth run --rm busybox true
    before=$(picture)
    for i in $(seq 40); do
        berth run --rm --name "victim$i" busybox true > /dev/null 2>&1 &
        pid=$!
        sleep "0.0$(printf '%02d' $((i % 25)))"
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
    done
    wait_until 30 is_repaired || diff <(echo "$before") <(picture)
    berth run --rm busybox true
}

@test "SIGKILL of CLI and monitor together at random moments" {
    berth run --rm busybox true
    before=$(picture)
    for i in $(seq 40); do
        berth run --rm --name "victim$i" busybox true > /dev/null 2>&1 &
        pid=$!
        sleep "0.0$(printf '%02d' $((i % 25)))"
        pkill -9 -f "berth-monitor $BERTH_DATA" || true
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
    done
    wait_until 30 is_repaired || diff <(echo "$before") <(picture)
    [ "$(berth run --rm busybox echo works)" = works ]
}

@test "SIGKILL during load: the image is whole or absent, nothing is left in staging" {
    make_layout "$BATS_TEST_TMPDIR/layout" killed
    layout="$BATS_TEST_TMPDIR/layout"
    for i in $(seq 10); do
        berth load -q -i "$layout" > /dev/null 2>&1 &
        pid=$!
        sleep "0.0$(printf '%02d' $((i * 3 % 30)))"
        pkill -9 -P $pid 2> /dev/null || true
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
        if berth image inspect killed > /dev/null 2>&1; then
            berth run --rm killed true
            berth rmi killed > /dev/null
        fi
    done
    berth load -q -i "$layout"
    berth run --rm killed true
    berth rmi killed
    [ -z "$(ls -A "$BERTH_DATA/staging")" ]
}

@test "standard streams that are closed or full do no harm" {
    run bash -c 'berth run --rm busybox echo x 0<&- 1>&- 2>&-'
    run bash -c 'berth run --rm busybox echo x > /dev/full'
    [ "$(berth run --rm busybox echo fine)" = fine ]
}

@test "a damaged record does not stop the others" {
    berth create --name good busybox true
    mkdir -p "$BERTH_DATA/containers/$(printf '%064d' 1)"
    echo '{' > "$BERTH_DATA/containers/$(printf '%064d' 1)/container.json"
    run -0 berth ps -a --format '{{.Names}}'
    expect_text good
    rm -r "$BERTH_DATA/containers/$(printf '%064d' 1)"
}

@test "a name is free again whose container is gone, or got another one" {
    berth create --name one busybox true > /dev/null
    ln -s "$(printf '%064d' 1)" "$BERTH_DATA/container-names/gone"
    ln -s "$(field one .Id)" "$BERTH_DATA/container-names/half" # of a rename that was killed
    ln -s "$(field one .Id)" "$BERTH_DATA/container-names/taken"
    berth create --name gone busybox true > /dev/null
    timeout 60 berth rename one half
    [ "$(field half .Name)" = /half ]
    berth create --name taken busybox true > /dev/null
    [ "$(berth ps -a --format '{{.Names}}' | sort | tr '\n' ' ')" = "gone half taken " ]
}
