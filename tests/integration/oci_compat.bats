load helper

# What callers of runc rely on beyond the specification: forms of options, of the log and of errors.

setup() {
    make_bundle
    configure '.process.args = ["sleep", "1000"]'
}

teardown() {
    delete_containers
}

create() { oci create -b "$BUNDLE" "$@" < /dev/null > /dev/null 2>&1; }

@test "the version has the lines that engines parse" {
    run -0 berth-oci --version
    [[ "${lines[0]}" =~ ^berth-oci\ version\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    [[ "${lines[1]}" =~ ^commit:\ . ]]
    [[ "${lines[2]}" =~ ^spec:\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    run -0 berth-oci -v
    [[ "${lines[0]}" =~ ^berth-oci\ version ]]
}

@test "options are read as Go's flag package reads them" {
    berth-oci -root "$ROOT" create -bundle="$BUNDLE" -pid-file "$BATS_TEST_TMPDIR/pid" one < /dev/null > /dev/null 2>&1
    [ "$(oci state one | jq .pid)" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    [ "$(oci list --q=true)" = one ]
    [ "$(oci list -quiet)" = one ]
    [ "$(oci list -q=t)" = one ]
    [ "$(oci list --quiet=false -format json | jq -r '.[].id')" = one ]
    run -0 oci create -help
    expect_text --bundle
    oci delete -force=true one
    run -1 oci state one
}

@test "wrong usage is told with status 1, also in the log that was asked for" {
    run -1 berth-oci --root "$ROOT" create
    expect_text "requires exactly 1 argument"
    run -1 berth-oci --log-format=json --log "$BATS_TEST_TMPDIR/log" create --nonsense one
    expect_text "unknown option '--nonsense'"
    [ "$(jq -r .level "$BATS_TEST_TMPDIR/log")" = error ]
    [[ "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" == "unknown option '--nonsense'"* ]]
    run -3 berth-oci -log "$BATS_TEST_TMPDIR/text" nonsense
    grep -q "^time=\"[-0-9T:Z]*\" level=error msg=\"No help topic for 'nonsense'" "$BATS_TEST_TMPDIR/text"
    run -3 berth-oci help nonsense
    run -1 berth-oci --log-format xml list
    expect_text "neither text nor json"
}

@test "errors and debug lines have logrus' forms, on standard error and in a file" {
    local line='^time="[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z" level'

    run -1 oci state one
    [[ "$output" =~ ${line}=error\ msg=\"container\ \'one\'\ does\ not\ exist\"$ ]]
    run -1 script -qec "berth-oci --root $ROOT state one" /dev/null < /dev/null
    [[ "$output" =~ ERRO\[000[0-9]\]\ container\ \'one\'\ does\ not\ exist ]]
    run -1 oci --log /dev/stderr state one
    [[ "${lines[0]}" =~ ${line}=error ]]
    configure '.process.args = ["true"]'
    run -0 oci --debug run -b "$BUNDLE" one
    [[ "${lines[0]}" =~ ${line}=debug ]]
    run -0 oci --debug --log "$BATS_TEST_TMPDIR/log" --log-format json run -b "$BUNDLE" one
    [ -z "$output" ]
    [ "$(jq -r .level "$BATS_TEST_TMPDIR/log" | sort -u)" = debug ]
    jq -e .time "$BATS_TEST_TMPDIR/log" > /dev/null
}

@test "a user without ids in the configuration is root" {
    configure '.process.user = {} | .process.args = ["id", "-u"]'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = 0 ]
    configure '.process.user = {"uid": 5} | .process.args = ["sh", "-c", "id -u; id -g"]'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = $'5\n0' ]
}

@test "a process that waits for its start has nothing of the host open" {
    local pid

    exec 7< "$BUNDLE"
    oci --debug --log "$BATS_TEST_TMPDIR/log" create --pid-file "$BATS_TEST_TMPDIR/pid" -b "$BUNDLE" one < /dev/null > /dev/null 2>&1
    [ -s "$BATS_TEST_TMPDIR/log" ]
    pid=$(cat "$BATS_TEST_TMPDIR/pid")
    run -0 find "/proc/$pid/fd" -mindepth 1 -printf '%l\n'
    [ -n "$output" ]
    run -1 grep -v -e '^/dev/null$' -e '^socket:' -e '^pipe:' <<< "$output"
    exec 7<&-
    oci start one
    oci exec one true
}

@test "descriptors that are to be preserved survive the wait" {
    configure '.process.args = ["sh", "-c", "cat <&3; cat <&4"]'
    echo three > "$BATS_TEST_TMPDIR/three"
    echo four > "$BATS_TEST_TMPDIR/four"
    oci create -b "$BUNDLE" --preserve-fds 2 one < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1 \
        3< "$BATS_TEST_TMPDIR/three" 4< "$BATS_TEST_TMPDIR/four"
    oci start one
    wait_until 30 grep -q four "$BATS_TEST_TMPDIR/output"
    [ "$(cat "$BATS_TEST_TMPDIR/output")" = $'three\nfour' ]
}

@test "exec reads its process from a descriptor of the shell" {
    create one
    oci start one
    run -0 oci exec --process <(jq '.process | .args = ["echo", "from-pipe"]' "$BUNDLE/config.json") one
    [ "$output" = from-pipe ]
}

@test "TERM ends a container that was never started" {
    create one
    oci kill one TERM
    wait_until 30 bash -c "berth-oci --root $ROOT state one | grep -q stopped"
}

# No signal is handled, and none of those that ignoring ignores is ignored: expect_default_signals STATUS
expect_default_signals() {
    grep -q '^SigCgt:\s0000000000000000$' <<< "$1"
    [ $((0x$(sed -n 's/^SigIgn:\s*//p' <<< "$1") & 0x1015a07)) = 0 ]
}

# What a caller below nohup(1), a shell's background or Python ignores: ignoring PROGRAM...
ignoring() { env --ignore-signal=HUP,INT,QUIT,USR1,USR2,PIPE,TERM,CHLD,XFSZ "$@"; }

@test "what the caller ignores is not ignored in the container" {
    ignoring berth-oci --root "$ROOT" create -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" one < /dev/null > /dev/null 2>&1
    ignoring berth-oci --root "$ROOT" start one
    wait_until 30 grep -qx sleep "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/comm"
    expect_default_signals "$(cat "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/status")"
    expect_default_signals "$(ignoring berth-oci --root "$ROOT" exec one cat /proc/self/status)"
    configure '.process.args = ["cat", "/proc/self/status"]'
    expect_default_signals "$(ignoring berth-oci --root "$ROOT" run -b "$BUNDLE" two)"
}

@test "exec refuses what a process of config.json may not have, and a console socket without a terminal" {
    create one
    oci start one
    run -255 oci exec --cwd tmp one true
    expect_text "process.cwd: 'tmp' must be absolute"
    run -255 oci exec --env =value one true
    expect_text "--env '=value': is not NAME=VALUE"
    run -255 oci exec --console-socket "$BATS_TEST_TMPDIR/socket" one true
    expect_text "a console socket is given, but no terminal is asked for"
}

@test "options of crun and of older runc: create --no-subreaper, spec --file, --criu" {
    oci create --no-subreaper -b "$BUNDLE" one < /dev/null > /dev/null 2>&1
    berth-oci spec -b "$BUNDLE" --file other.json
    jq -e .process "$BUNDLE/other.json"
    run -1 berth-oci spec -b "$BUNDLE" -f other.json
    expect_text "write other.json: remove the one that is there first"
    run -0 --separate-stderr berth-oci --criu /opt/criu --root "$ROOT" list -q
    [ "$output" = one ]
    # shellcheck disable=SC2154 # stderr: from run
    [[ "$stderr" == *"--criu /opt/criu is ignored: criu is looked for in PATH"* ]]
    run -0 --separate-stderr berth-oci --criu criu --root "$ROOT" list -q
    [ -z "$stderr" ]
}

@test "exec tells its steps with --debug" {
    create one
    oci start one
    run -0 oci --debug exec one true
    expect_text "level=debug msg=\"exec in one: the program runs\""
}

@test "without pivot_root no procfs of the host helps to mount a new one" {
    configure '.process.args = ["unshare", "-mrpf", "sh", "-euc", "mount -t proc none /proc && echo mounted"]
        | .process.capabilities.bounding += ["CAP_SETFCAP"] | .process.capabilities.permitted += ["CAP_SETFCAP"]'
    run -1 oci run --no-pivot -b "$BUNDLE" one
    expect_text "ermission denied"
    [[ "$output" != *mounted* ]]
    configure '.process.args = ["sh", "-c", "ls /proc/self/status /sys/kernel && echo inside"]'
    run -0 oci run --no-pivot -b "$BUNDLE" one
    expect_text inside
    [ -e /proc/self/status ] && [ -e /sys/kernel ]
}

@test "exec --cap is ambient where the container lets it be inherited" {
    configure '.process.capabilities.inheritable = ["CAP_CHOWN", "CAP_SYSLOG"] | .process.capabilities.ambient = ["CAP_CHOWN"]
        | .process.capabilities.permitted += ["CAP_CHOWN"] | .process.capabilities.bounding += ["CAP_CHOWN", "CAP_SYSLOG"]'
    create one
    oci start one
    run -0 oci exec --cap CAP_SYSLOG one grep CapAmb /proc/self/status
    expect_text 0000000400000001
    run -0 oci exec one grep CapAmb /proc/self/status
    expect_text 0000000000000001
}

@test "an ambient capability that cannot be raised is warned about" {
    configure '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_CHOWN", "CAP_KILL"],
        inheritable: ["CAP_KILL"], ambient: ["CAP_KILL", "CAP_CHOWN"]} | .process.args = ["grep", "CapAmb", "/proc/self/status"]'
    run -0 oci run -b "$BUNDLE" one
    expect_text "level=warning"
    expect_text "can't raise ambient capability CAP_CHOWN: it is not both permitted and inheritable"
    [[ "$output" != *"capability CAP_KILL"* ]]
    expect_text 0000000000000020
    configure '.process.capabilities.inheritable = []'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = "CapAmb:	0000000000000000" ]
}

@test "kill with signal 0 asks whether a container runs" {
    create one
    oci start one
    oci kill one 0
    oci kill --all one 0
    oci exec one true
    oci kill one KILL
    wait_until 30 bash -c "berth-oci --root $ROOT state one | grep -q stopped"
    run -1 oci kill one 0
    expect_text "container not running"
    run -0 oci kill --all one 0
    [ -z "$output" ]
}

@test "annotations of crun's that are not done here are refused by name, others are passed over" {
    local name

    for name in delegate-cgroup handler seccomp.plugins systemd.force_cgroup_v1; do
        configure --arg name "run.oci.$name" '.annotations = {($name): "1"}'
        run -1 oci create -b "$BUNDLE" one
        expect_text "annotation run.oci.$name: is not supported: "
        [ ! -e "$ROOT/one" ]
    done
    configure '.annotations = {"run.oci.delegate-cgroup": "0", "run.oci.nonsense": "1", "color": "run.oci.handler"}'
    create one
    oci start one
    [ "$(oci state one | jq -r .annotations.color)" = run.oci.handler ]
}

@test "a low limit of open files is the program's, not that of the steps before it" {
    local limits

    for limits in "6 6" "10 20" "10 4000"; do
        rm -f "$BATS_TEST_TMPDIR/hook"
        configure --argjson soft "${limits% *}" --argjson hard "${limits#* }" --arg file "$BATS_TEST_TMPDIR/hook" '.process.args = ["sh", "-c", "ulimit -n; ulimit -Hn"]
            | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: $soft, hard: $hard}]
            | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "ulimit -n"]}]
            | .annotations = {"run.oci.hooks.stdout": $file}'
        run oci run -b "$BUNDLE" one
        expect_status 0
        [ "$output" = "${limits% *}"$'\n'"${limits#* }" ]
        [ "$(cat "$BATS_TEST_TMPDIR/hook")" = "${limits% *}" ]
        oci create -b "$BUNDLE" one < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1
        oci start one
        wait_until 30 grep -q "^${limits#* }$" "$BATS_TEST_TMPDIR/output"
        oci delete -f one
    done
}
