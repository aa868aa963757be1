load helper

teardown() { remove_all; }

@test "log lines survive the CLI's death" {
    berth run --name orphan -v "$BATS_TEST_TMPDIR:/host" busybox sh -c 'for i in 0 1 2 3; do echo line$i; done
        until [ -e /host/killed ]; do sleep 0.05; done
        while [ $i -lt 19 ]; do i=$((i+1)); echo line$i; done' > /dev/null &
    pid=$!
    wait_until 20 bash -c 'berth logs orphan 2> /dev/null | grep -q line3'
    kill -9 $pid
    wait $pid || true
    touch "$BATS_TEST_TMPDIR/killed"
    berth wait orphan > /dev/null
    [ "$(berth logs orphan | wc -l)" = 20 ]
    [ "$(berth logs -n 1 orphan)" = line19 ]
}

@test "logs keeps stdout and stderr apart and knows --tail, --timestamps, --since" {
    berth run --name talker busybox sh -c 'echo out1; echo err1 >&2; echo out2' > /dev/null 2>&1
    run -0 --separate-stderr berth logs talker
    [ "$output" = "out1
out2" ]
    [ "$stderr" = err1 ]
    run -0 bash -c 'berth logs --tail 1 talker 2>&1'
    [ "${#lines[@]}" = 1 ]
    run -0 berth logs -t talker
    [[ "${lines[0]}" =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*Z\ out1$ ]]
    run -0 berth logs --since 2999-01-01T00:00:00Z talker
    [ -z "$output" ]
}

@test "logs -f follows until the container ends" {
    berth run -d --name teller busybox sh -c 'for i in 1 2 3; do echo n$i; sleep 0.3; done' > /dev/null
    run -0 timeout 60 berth logs -f teller
    [ "${#lines[@]}" = 3 ]
    [ "${lines[2]}" = n3 ]
}

@test "the log rotates at max-size and keeps max-file files" {
    berth run --name chatty --log-opt max-size=20k --log-opt max-file=2 busybox sh -c 'i=0; while [ $i -lt 2000 ]; do echo "line $i 0123456789"; i=$((i+1)); done' > /dev/null
    path=$(field chatty .LogPath)
    total=$(cat "$path" "$path.1" | wc -c)
    [ "$total" -le 45000 ]
    [ ! -e "$path.2" ]
    [ "$(berth logs -n 1 chatty)" = "line 1999 0123456789" ]
}

@test "binary bytes and long lines come back as they were" {
    berth run --name binary busybox sh -c 'head -c 100000 /dev/zero | tr "\0" "x"; echo; printf "\303\244\n"' > /dev/null
    [ "$(berth logs binary | head -c 100000 | tr -d x | wc -c)" = 0 ]
    [ "$(berth logs binary | tail -1)" = "ä" ]
}

@test "attach sees further output; detaching leaves the program running" {
    berth run -d --name ticker busybox sh -c 'while :; do echo tick; sleep 0.1; done' > /dev/null
    wait_until 20 bash -c 'berth logs ticker | grep -q tick'
    berth attach --no-stdin --sig-proxy=false ticker > "$BATS_TEST_TMPDIR/out" &
    attached=$!
    wait_until 20 grep -q tick "$BATS_TEST_TMPDIR/out"
    kill $attached
    wait $attached || true
    is_running ticker
}

@test "a reader that stops does not lose lines, one that dies does not block" {
    berth run --name pipe busybox sh -c 'i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done' | head -1 > /dev/null || true
    wait_until 20 bash -c '[ "$(berth inspect --format "{{.State.Running}}" pipe)" = false ]'
    [ "$(berth logs -n 1 pipe)" = 19999 ]
}
