load helper
OCI_SECONDS=60

# Hooks of berth-oci: their order, what they get, where their output goes, what a failure does.

setup() {
    export SEEN="$BATS_TEST_TMPDIR/seen"
    make_bundle sh sleep cat sed env true
    mkdir "$BUNDLE/rootfs/tmp"
    configure '.process.args = ["sh", "-c", "exit 3"] |
        .process.env = ["PATH=/bin", "INSIDE=1"] | .root.readonly = false'
    # hook KIND: a line of what it got; its output; and the failure asked for.
    cat > "$BATS_TEST_TMPDIR/hook" << 'HOOK'
#!/bin/sh
state=$(cat)
field() { echo "$state" | sed -n 's/^ *"'"$1"'": "*\([^",]*\).*/\1/p'; }
seen=@SEEN@
[ "$1" != startContainer ] || seen=/tmp/seen
echo "$1 $(field status) $(field id) in $PWD env ${INSIDE:-${HOSTSIDE:-none}}" >> "$seen"
echo "$1 says"
echo "$1 warns" >&2
[ "$1" != "$2" ]
HOOK
    sed -i "s|@SEEN@|$SEEN|" "$BATS_TEST_TMPDIR/hook"
    chmod 755 "$BATS_TEST_TMPDIR/hook"
    cp "$BATS_TEST_TMPDIR/hook" "$BUNDLE/rootfs/hook"
    export HOSTSIDE=2
}

teardown() {
    delete_containers
}

# all_hooks KIND_THAT_FAILS
all_hooks() {
    configure --arg hook "$BATS_TEST_TMPDIR/hook" --arg fails "$1" '
        def h($kind): [{path: (if $kind == "startContainer" then "/hook" else $hook end),
                        args: ["hook", $kind, $fails]}];
        .hooks = ([("prestart", "createRuntime", "createContainer", "startContainer", "poststart",
                    "poststop") | {key: ., value: h(.)}] | from_entries)'
}
seen() { cat "$SEEN" "$BUNDLE/rootfs/tmp/seen" 2> /dev/null | cut -d' ' -f1 | tr '\n' ' '; }
nothing_is_left() {
    [ ! -e "$ROOT/$1" ]
    [ -z "$(find /sys/fs/cgroup -type d -name "$1")" ]
}

@test "hooks of every kind get state, directory and environment; their output is nobody's" {
    all_hooks none
    run -3 oci run -b "$BUNDLE" hooked
    [ -z "$output" ]
    bundle=$(realpath "$BUNDLE")
    [ "$(cat "$SEEN")" = "prestart creating hooked in $bundle env 2
createRuntime creating hooked in $bundle env 2
createContainer creating hooked in $bundle/rootfs env 1
poststart running hooked in $bundle env 2
poststop stopped hooked in $bundle env 2" ]
    [ "$(cat "$BUNDLE/rootfs/tmp/seen")" = "startContainer created hooked in / env 1" ]
    nothing_is_left hooked
}

@test "a failing hook ends the operation, with its words; a failing poststop does not" {
    local kind
    for kind in prestart createRuntime createContainer startContainer poststart; do
        rm -f "$SEEN"
        all_hooks $kind
        run -1 oci run -b "$BUNDLE" failing
        expect_text "error running $kind hook #0:"
        expect_text "exit status 1, stdout: $kind says, stderr: $kind warns"
        nothing_is_left failing
    done
    all_hooks poststop
    run -3 oci run -b "$BUNDLE" failing
    expect_text "error running poststop hook #0:"
    nothing_is_left failing
}

@test "after a poststop hook that fails the next one runs" {
    configure --arg seen "$SEEN" '.hooks = {poststop: [{path: "/bin/false"},
        {path: "/bin/sh", args: ["sh", "-c", "echo second >> \($seen)"]}]}'
    run -3 oci run -b "$BUNDLE" failing
    expect_text "error running poststop hook #0: '/bin/false': exit status 1"
    [ "$(cat "$SEEN")" = second ]
    nothing_is_left failing
}

@test "a poststart hook that fails in start takes the container along" {
    configure '.process.args = ["sleep", "1000"]'
    all_hooks poststart
    oci create -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" late < /dev/null > /dev/null 2>&1
    run -1 oci start late
    expect_text "error running poststart hook #0:"
    nothing_is_left late
    # One that has ended may not have been waited for yet.
    wait_until 20 eval '! grep "^State:.[^Z]" "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/status"'
    [ "$(grep -c poststop "$SEEN")" = 1 ]
}

@test "a hook that runs into its timeout is killed with all that it started" {
    configure --arg script 'sleep 987 & sleep 987' '.hooks = {createRuntime:
        [{path: "/bin/sh", args: ["sh", "-c", $script], timeout: 1}]}'
    run -1 oci run -b "$BUNDLE" slow
    expect_text "error running createRuntime hook #0: '/bin/sh': did not end within 1 s and was killed"
    wait_until 20 eval '! pgrep -f "^sleep 987$"'
    nothing_is_left slow
}

@test "a hook's timeout holds also where no process can be opened by its pid" {
    command -v strace > /dev/null || skip "needs strace"
    configure '.hooks = {createRuntime: [{path: "/bin/sleep", args: ["sleep", "60"], timeout: 1}]}'
    run -1 timeout 50 strace -f -o /dev/null -e trace=pidfd_open -e inject=pidfd_open:error=EMFILE \
        berth-oci --root "$ROOT" run -b "$BUNDLE" slow
    expect_text "error running createRuntime hook #0: '/bin/sleep': did not end within 1 s and was killed"
    nothing_is_left slow
}

@test "annotations name files that hooks' output is appended to" {
    local kind
    all_hooks none
    echo first > "$BATS_TEST_TMPDIR/out"
    configure --arg out "$BATS_TEST_TMPDIR/out" --arg err "$BATS_TEST_TMPDIR/err" \
        '.annotations = {"run.oci.hooks.stdout": $out, "run.oci.hooks.stderr": $err}'
    run -3 oci run -b "$BUNDLE" written
    [ "$(head -1 "$BATS_TEST_TMPDIR/out")" = first ]
    for kind in prestart createRuntime createContainer startContainer poststart poststop; do
        grep -qx "$kind says" "$BATS_TEST_TMPDIR/out"
        grep -qx "$kind warns" "$BATS_TEST_TMPDIR/err"
    done
    [ ! -e "$BUNDLE/rootfs$BATS_TEST_TMPDIR/out" ]
    # An init that waits for its start closes what it does not need; it still needs these.
    rm "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/err"
    oci create -b "$BUNDLE" written < /dev/null > /dev/null 2>&1
    oci start written
    grep -qx "startContainer says" "$BATS_TEST_TMPDIR/out"
    grep -qx "startContainer warns" "$BATS_TEST_TMPDIR/err"
    oci delete -f written
    configure '.annotations = {"run.oci.hooks.stdout": "/nosuch/folder/file"}'
    run -1 oci run -b "$BUNDLE" written
    expect_text "annotation run.oci.hooks.stdout: open '/nosuch/folder/file'"
    nothing_is_left written
}

# start_hook SCRIPT: a startContainer hook of the image, without an environment of its own.
start_hook() {
    configure --arg script "$1" '.hooks = {startContainer: [{path: "/bin/sh", args: ["sh", "-c", $script]}]}'
}

@test "a startContainer hook may do what the container's program may" {
    local no_new_privileges
    start_hook 'while read -r name value; do case $name in
        CapInh:|CapPrm:|CapEff:|CapBnd:|CapAmb:|NoNewPrivs:|Seccomp:) echo "$name $value";; esac
        done < /proc/self/status > /tmp/seen'
    configure '.process.args = ["sh", "-c", "while read -r name value; do case $name in CapInh:|CapPrm:|CapEff:|CapBnd:|CapAmb:|NoNewPrivs:|Seccomp:) echo \"$name $value\";; esac; done < /proc/self/status"] |
        .process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
            permitted: ["CAP_CHOWN", "CAP_KILL"], inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"],
            effective: ["CAP_CHOWN"]} |
        .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO"}]}'
    for no_new_privileges in true false; do
        for uid in 0 1000; do
            configure ".process.noNewPrivileges = $no_new_privileges | .process.user = {uid: $uid, gid: 0}"
            chmod 777 "$BUNDLE/rootfs/tmp"
            rm -f "$BUNDLE/rootfs/tmp/seen"
            run -0 oci run -b "$BUNDLE" confined
            [ "$output" = "$(cat "$BUNDLE/rootfs/tmp/seen")" ]
            expect_text "CapBnd: 00000000000000a1"
            expect_text "Seccomp: 2"
            expect_text "NoNewPrivs: $([ $no_new_privileges = true ] && echo 1 || echo 0)"
        done
    done
    nothing_is_left confined
}

@test "the seccomp filter bars a startContainer hook, too, from create and start as from run" {
    local no_new_privileges
    ln -sf busybox "$BUNDLE/rootfs/bin/mkdir"
    configure '.process.args = ["true"]'
    start_hook 'exec mkdir /tmp/made'
    run -0 oci run -b "$BUNDLE" barred
    rmdir "$BUNDLE/rootfs/tmp/made"
    for no_new_privileges in true false; do
        configure ".process.noNewPrivileges = $no_new_privileges |"' .linux.seccomp =
            {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL"}]}'
        run -1 oci run -b "$BUNDLE" barred
        expect_text "error running startContainer hook #0: '/bin/sh': was ended by signal 31 (bad system call)"
        oci create -b "$BUNDLE" barred < /dev/null > /dev/null 2>&1
        run -1 oci start barred
        expect_text "error running startContainer hook #0: '/bin/sh': was ended by signal 31 (bad system call)"
        oci delete -f barred
        [ ! -e "$BUNDLE/rootfs/tmp/made" ]
    done
    nothing_is_left barred
}

@test "calls of a startContainer hook that a filter notifies fail, for no agent answers for it" {
    ln -sf busybox "$BUNDLE/rootfs/bin/mkdir"
    start_hook 'mkdir /tmp/made'
    # An agent that is there and never asked for anything: the program makes no such call.
    configure --arg agent "$BATS_TEST_TMPDIR/agent" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
        listenerPath: $agent, syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY"}]}'
    python3 -c '
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + ".new")
listener.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])
listener.settimeout(60)
listener.accept()[0].recv(1 << 16)' "$BATS_TEST_TMPDIR/agent" &
    local agent=$!
    wait_until 30 test -S "$BATS_TEST_TMPDIR/agent"
    run -1 oci run -b "$BUNDLE" unasked
    expect_text "error running startContainer hook #0: '/bin/sh': exit status 1, stderr: mkdir: can't create directory '/tmp/made': Function not implemented"
    wait "$agent" # not for bats' own clock, which is a child as well
    nothing_is_left unasked
}

@test "a startContainer hook without an environment has the one of the process, with its HOME" {
    start_hook 'env > /tmp/seen'
    configure '.process.args = ["env"] | .process.env = ["A=1", "PATH=/bin", "A=2"]'
    run -0 oci run -b "$BUNDLE" home
    expect_text "HOME=/"
    same() { [ "$(echo "$output" | grep -v '^SHLVL\|^PWD' | sort)" = "$(grep -v '^SHLVL\|^PWD' "$BUNDLE/rootfs/tmp/seen" | sort)" ]; }
    same
    configure '.process.env += ["HOME=/there"] | .hooks.startContainer[0].env = null'
    run -0 oci run -b "$BUNDLE" home
    expect_text "HOME=/there"
    same
    configure '.hooks.startContainer[0].env = ["PATH=/bin", "OWN=1"]'
    run -0 oci run -b "$BUNDLE" home
    [ "$(grep -v '^SHLVL\|^PWD' "$BUNDLE/rootfs/tmp/seen" | sort)" = "OWN=1
PATH=/bin" ]
}

@test "nothing enters a container that is being created: its root is still the host's" {
    mkfifo "$BATS_TEST_TMPDIR/go"
    cat > "$BATS_TEST_TMPDIR/waits" << HOOK
#!/bin/sh
touch "$SEEN"
cat "$BATS_TEST_TMPDIR/go"
HOOK
    chmod 755 "$BATS_TEST_TMPDIR/waits"
    configure --arg hook "$BATS_TEST_TMPDIR/waits" '.hooks = {createRuntime: [{path: $hook}]} |
        .process.args = ["sleep", "1000"]'
    start_detached early 3>&- &
    creator=$!
    wait_until 60 test -e "$SEEN"
    run oci exec early sh -c 'echo entered'
    [ "$status" != 0 ]
    expect_text "cannot exec in a creating container"
    [ "$(oci state early | jq -r .status)" = creating ]
    echo > "$BATS_TEST_TMPDIR/go"
    wait $creator
    [ "$(oci state early | jq -r .status)" = running ]
    [ "$(oci exec early sh -c 'echo entered')" = entered ]
}
