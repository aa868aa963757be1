load helper

# Hooks of berth-oci: their order, what they get, where their output goes, what a failure does.

setup() {
    export ROOT="$BATS_TEST_TMPDIR/root" BUNDLE="$BATS_TEST_TMPDIR/bundle" SEEN="$BATS_TEST_TMPDIR/seen"
    local name
    mkdir -p "$BUNDLE/rootfs/bin" "$BUNDLE/rootfs/tmp"
    cp "$(command -v busybox)" "$BUNDLE/rootfs/bin/busybox"
    for name in sh sleep cat sed env true; do ln -s busybox "$BUNDLE/rootfs/bin/$name"; done
    berth-oci spec -b "$BUNDLE"
    configure '.process.terminal = false | .process.args = ["sh", "-c", "exit 3"] |
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
    local id
    for id in $(berth-oci --root "$ROOT" list -q); do berth-oci --root "$ROOT" delete -f "$id"; done
}

configure() { jq "$@" "$BUNDLE/config.json" > "$BUNDLE/new" && mv "$BUNDLE/new" "$BUNDLE/config.json"; }
oci() { timeout -s KILL 20 berth-oci --root "$ROOT" "$@"; }
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
    ! kill -0 "$(cat "$BATS_TEST_TMPDIR/pid")" 2> /dev/null
    [ "$(grep -c poststop "$SEEN")" = 1 ]
}

@test "a hook that runs into its timeout is killed with all that it started" {
    configure --arg script 'sleep 987 & sleep 987' '.hooks = {createRuntime:
        [{path: "/bin/sh", args: ["sh", "-c", $script], timeout: 1}]}'
    run -1 oci run -b "$BUNDLE" slow
    expect_text "error running createRuntime hook #0: '/bin/sh': did not end within 1 s and was killed"
    ! pgrep -f "sleep 987" > /dev/null
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
