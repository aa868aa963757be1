load helper

# state, list, ps, kill, pause, resume and the global options, beside what runc prints.

setup() {
    export THEIRS="$BATS_TEST_TMPDIR/theirs"
    ID="look$BATS_TEST_NUMBER"
    make_bundle
    configure '.process.args = ["sleep", "1000"]'
}

teardown() {
    local id
    delete_containers
    for id in $(runc --root "$THEIRS" list -q); do runc --root "$THEIRS" delete -f "$id"; done
    [ -z "$(find /sys/fs/cgroup -type d -name "$ID*")" ]
}

start() { oci run -d -b "$BUNDLE" "${1:-$ID}" < /dev/null > /dev/null 2>&1; }
oci_status() { oci state "${1:-$ID}" | jq -r .status; }
has_status() { [ "$(oci_status "$2")" = "$1" ]; }
stop() { oci kill "$ID" KILL && wait_until 20 has_status stopped "$ID"; }

@test "an empty list is what runc prints" {
    [ "$(oci list)" = "$(runc --root "$THEIRS" list)" ]
    [ "$(oci list --format json)" = "$(runc --root "$THEIRS" list --format json)" ]
    [ -z "$(oci list -q)" ]
}

@test "list has runc's columns and members, the owner by name, and no pid of a stopped one" {
    start
    (cd "$BUNDLE" && runc --root "$THEIRS" run -d "$ID" < /dev/null > /dev/null 2>&1) || true
    run -0 oci list
    [[ "${lines[0]}" =~ ^ID\ +PID\ +STATUS\ +BUNDLE\ +CREATED\ +OWNER$ ]]
    [[ "${lines[1]}" =~ ^"$ID"\ +[1-9][0-9]*\ +running\ +"$(realpath "$BUNDLE")"\ {3}20[0-9T:.-]+Z\ +"$(id -un)"$ ]]
    # Titles stand above their columns.
    [ "${lines[0]%%BUNDLE*}" = "$(printf '%*s' "$(expr "${lines[1]}" : '.*running *')" '' | sed 's/.*/ID          PID         STATUS      /')" ]
    [ "$(oci list -f json | jq -c '.[0] | [.id, .status, .bundle, .owner]')" = "[\"$ID\",\"running\",\"$(realpath "$BUNDLE")\",\"$(id -un)\"]" ]
    [ "$(oci list -f json | wc -l)" = 1 ]
    [ "$(oci list -f json | jq -r '.[0].pid')" = "$(oci state "$ID" | jq .pid)" ]
    stop
    [ "$(oci list -f json | jq -c '.[0] | [.pid, .status]')" = '[0,"stopped"]' ]
    run -1 oci list -f xml
    expect_text "invalid format option"
}

@test "state and list have the members of runc's, in their order" {
    start
    (cd "$BUNDLE" && runc --root "$THEIRS" run -d "$ID-theirs" < /dev/null > /dev/null 2>&1) || skip "runc does not run on this view of the cgroups"
    [ "$(oci state "$ID" | jq -c keys_unsorted)" = "$(runc --root "$THEIRS" state "$ID-theirs" | jq -c keys_unsorted)" ]
    [ "$(oci list -f json | jq -c '.[0] | keys_unsorted')" = "$(runc --root "$THEIRS" list -f json | jq -c '.[0] | keys_unsorted')" ]
}

@test "ps passes its arguments to ps(1) and shows the container's processes only" {
    start
    pid=$(oci state "$ID" | jq .pid)
    run -0 oci ps "$ID"
    [ ${#lines[@]} = 2 ]
    expect_text "UID"
    expect_text " $pid "
    run -0 oci ps "$ID" -o pid,comm
    [ "$(echo "${lines[1]}" | xargs)" = "$pid sleep" ]
    [ "$(oci ps -f json "$ID")" = "[$pid]" ]
    run -1 oci ps "$ID" -o comm
    expect_text "couldn't find PID field in ps output"
    run -1 oci ps "$ID" --no-such-option
    expect_text "ps(1) ended with status 1"
    stop
    [ "$(oci ps -f json "$ID")" = "[]" ]
    run -0 oci ps "$ID"
    [ ${#lines[@]} = 1 ]
}

@test "pause, resume and kill say what runc says" {
    start
    run -1 oci resume "$ID"
    expect_text "container not paused"
    oci pause "$ID"
    has_status paused "$ID"
    run -1 oci pause "$ID"
    expect_text "container not running"
    oci resume "$ID"
    run -1 oci kill "$ID" FOO
    expect_text FOO
    stop
    for command in pause "kill" "update --memory 1g"; do
        # shellcheck disable=SC2086
        run -1 oci $command "$ID"
        expect_text "container not running"
    done
    run -1 oci resume "$ID"
    expect_text "container not paused"
}

@test "kill takes names with and without SIG, numbers and real-time signals" {
    configure '.process.args = ["sh", "-c", "for s in TERM USR1 HUP 34 37 64; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.1; done"]'
    # Appended: what is written after the file was emptied begins at its begin.
    timeout -s KILL 60 berth-oci --root "$ROOT" run -d -b "$BUNDLE" "$ID" < /dev/null >> "$BATS_TEST_TMPDIR/out" 2>&1
    wait_until 30 grep -q ready "$BATS_TEST_TMPDIR/out"
    while read -r typed seen; do
        # shellcheck disable=SC2086
        oci kill "$ID" ${typed/-/}
        wait_until 30 grep -qx "$seen" "$BATS_TEST_TMPDIR/out"
        : > "$BATS_TEST_TMPDIR/out"
    done <<< $'- TERM\nusr1 USR1\nSIGHUP HUP\n10 USR1\nRTMIN 34\nSIGRTMIN+3 37\nRTMAX 64'
}

@test "a kill reaches what outlives the first process where it has no pid namespace" {
    configure '.linux.namespaces |= map(select(.type != "pid")) | .process.args = ["sh", "-c", "sleep 1000 & sleep 0.2"]'
    start
    wait_until 20 has_status stopped "$ID"
    survivor=$(oci ps -f json "$ID" | jq '.[0]')
    [ -d "/proc/$survivor" ]
    run -1 oci kill "$ID" TERM
    expect_text "container not running"
    oci kill "$ID" KILL
    wait_until 30 test ! -d "/proc/$survivor"
    run -1 oci kill "$ID" KILL
    expect_text "container not running"
}

@test "kill and delete take a regular expression" {
    start "$ID-a"
    start "$ID-b"
    start "$ID-other"
    oci kill --regex "^$ID-[ab]\$" KILL
    wait_until 20 has_status stopped "$ID-a"
    wait_until 20 has_status stopped "$ID-b"
    has_status running "$ID-other"
    oci delete --regex "^$ID-[ab]\$"
    [ "$(oci list -q)" = "$ID-other" ]
    run -1 oci delete --regex "$ID"
    expect_text "not stopped"
    run -1 oci delete --regex "("
    expect_text "is not a regular expression"
    oci delete -f --regex "$ID"
    [ -z "$(oci list -q)" ]
}

@test "a cgroup in use, or frozen, is refused in runc's words" {
    needs_root "the cgroup is outside of what is delegated"
    configure ".linux.cgroupsPath = \"/$ID-taken\""
    start
    run -1 oci create -b "$BUNDLE" "$ID-two" < /dev/null
    expect_text "container's cgroup is not empty"
    oci delete -f "$ID"
    freezer=/sys/fs/cgroup/freezer
    [ -d $freezer ] || freezer=/sys/fs/cgroup
    mkdir "$freezer/$ID-taken"
    if [ -e "$freezer/$ID-taken/freezer.state" ]; then
        echo FROZEN > "$freezer/$ID-taken/freezer.state"
    else
        echo 1 > "$freezer/$ID-taken/cgroup.freeze"
    fi
    run oci create -b "$BUNDLE" "$ID-two" < /dev/null
    rmdir "$freezer/$ID-taken"
    expect_status 1
    expect_text "container's cgroup unexpectedly frozen"
    [ -z "$(oci list -q)" ]
}

@test "another configuration than config.json, for create and run" {
    jq '.process.args = ["sh", "-c", "echo other"]' "$BUNDLE/config.json" > "$BUNDLE/other.json"
    run -0 oci run -b "$BUNDLE" --config other.json "$ID"
    [ "$output" = other ]
    rm "$BUNDLE/config.json"
    oci create -b "$BUNDLE" -f "$BUNDLE/other.json" "$ID" < /dev/null > /dev/null 2>&1
    [ "$(jq -r '.process.args[2]' "$ROOT/$ID/config.json")" = "echo other" ]
    run -1 oci create -b "$BUNDLE" -f none.json "$ID-two" < /dev/null
    expect_text none.json
}

@test "the log has levels, and goes to files and services" {
    run -1 oci --log "file:$BATS_TEST_TMPDIR/log" --log-format json state nobody
    [ "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" = "container 'nobody' does not exist" ]
    start
    run -0 oci --log-level error update --kernel-memory 1m "$ID"
    [ -z "$output" ]
    run -0 oci --log-level warning update --kernel-memory 1m "$ID"
    expect_text "level=warning"
    run -0 oci --log-level debug delete -f "$ID"
    expect_text "level=debug"
    run -1 oci --log-level loud list
    expect_text "--log-level 'loud'"
    run -1 oci --log /nowhere/log list
    expect_text "open the log '/nowhere/log'"
    [ -S /dev/log ] || {
        run -1 oci --log syslog:web list
        expect_text "open the log 'syslog:web': connect to /dev/log"
    }
}

@test "--version is what callers of runc parse" {
    run -0 berth-oci --version
    [[ "${lines[0]}" =~ ^berth-oci\ version\ [0-9] ]]
    [ "$(echo "$output" | grep '^spec: ')" = "spec: 1.3.0" ]
    [ "$(echo "$output" | grep '^libseccomp: ')" = "$(runc --version | grep '^libseccomp: ')" ]
    [ "$(berth-oci -v)" = "$output" ]
}
