load helper

# Cgroup managers: what can be seen of them without systemd.

setup() {
    make_bundle
    configure '.process.args = ["sleep", "1000"]'
}

teardown() {
    delete_containers
}

start_disabled() {
    oci --cgroup-manager disabled run -d -b "$BUNDLE" "$1" < /dev/null > /dev/null 2>&1
}
processes() { pgrep -f '^sleep 98[0-9]$' | wc -l; }

@test "an unknown cgroup manager and two that contradict each other are refused" {
    run -1 oci --cgroup-manager elogind run -b "$BUNDLE" managers-no
    expect_text "unknown cgroup manager 'elogind': there are cgroupfs, systemd and disabled"
    run -1 oci --systemd-cgroup --cgroup-manager cgroupfs run -b "$BUNDLE" managers-no
    expect_text "--systemd-cgroup contradicts --cgroup-manager cgroupfs"
    [ -z "$(oci list -q)" ]
}

@test "disabled makes no cgroup: the container stays in its caller's" {
    configure '.process.args = ["cat", "/proc/self/cgroup"] | .linux.namespaces |= map(select(.type != "cgroup"))'
    run -0 oci --cgroup-manager disabled run -b "$BUNDLE" managers-none
    [ "$output" = "$(cat /proc/self/cgroup)" ]
    [ -z "$(find /sys/fs/cgroup -type d -name managers-none)" ]
}

@test "disabled warns about limits that nobody keeps, and runs" {
    configure '.process.args = ["true"] | .linux.resources.memory.limit = 67108864'
    run -0 oci --cgroup-manager disabled run -b "$BUNDLE" managers-limit
    expect_text "linux.resources: cgroups are disabled, so no limit is kept"
}

@test "without a cgroup, later commands need no option: state, ps, exec, pause, kill, delete" {
    start_disabled managers-life
    [ "$(jq -r .cgroupManager "$ROOT/managers-life/state.json")" = disabled ]
    [ "$(jq -r .cgroup "$ROOT/managers-life/state.json")" = null ]
    oci exec -d managers-life sleep 981
    run -0 oci ps managers-life
    expect_text "sleep 1000"
    expect_text "sleep 981"
    [ "$(oci ps -f json managers-life | jq length)" = 2 ]
    run -1 oci pause managers-life
    expect_text "pause 'managers-life': it has no cgroup"
    oci kill managers-life KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state managers-life | jq -r .status)\" = stopped ]"
    wait_until 20 eval '[ "$(processes)" = 0 ]'
    oci delete managers-life
    [ -z "$(oci list -q)" ]
}

@test "without a cgroup and without a pid namespace, kill --all and delete take the whole tree" {
    configure '.process.args = ["sh", "-c", "sh -c \"sleep 982 & sleep 983; :\" & sleep 984; :"]
        | .linux.namespaces |= map(select(.type != "pid"))'
    start_disabled managers-tree
    wait_until 20 bash -c '[ "$(pgrep -f "^sleep 98[0-9]$" | wc -l)" = 3 ]'
    [ "$(oci ps -f json managers-tree | jq length)" = 5 ]
    oci kill --all managers-tree KILL
    wait_until 20 bash -c '! pgrep -f "^sleep 98[0-9]$"'
    oci delete managers-tree

    start_disabled managers-tree
    wait_until 20 bash -c '[ "$(pgrep -f "^sleep 98[0-9]$" | wc -l)" = 3 ]'
    oci delete --force managers-tree
    wait_until 20 bash -c '! pgrep -f "^sleep 98[0-9]$"'
}

# --- whose cgroup it is ---------------------------------------------------------------------------

needs_v2() { [ -f /sys/fs/cgroup/cgroup.controllers ] || skip "needs pure cgroup v2, which this machine does not have"; }

# Files of the container's cgroup that belong to a user, "." for its directory: files_of USER ID
files_of() { (cd "/sys/fs/cgroup/$2" && find . -maxdepth 1 ! -name leaf -user "$1" | sed 's,^\./,,' | sort | xargs); }

# Those that the kernel names and that are in the container's cgroup: delegable_files ID
delegable_files() { (cd "/sys/fs/cgroup/$1" && ls -d . $(cat /sys/kernel/cgroup/delegate) 2> /dev/null | sort | xargs); }

# Those files, and no others, belong to a user: expect_given USER ID
expect_given() {
    local found known
    found=$(files_of "$1" "$2")
    known=$(delegable_files "$2")
    [ "$found" = "$known" ] || {
        echo "user $1 has '$found', not '$known', of cgroup $2 with $(cat "/sys/fs/cgroup/$2/cgroup.controllers")"
        return 1
    }
}

# The container's process may write to its own cgroup.
writable_cgroup() {
    map_root
    configure '(.mounts[] | select(.destination == "/sys/fs/cgroup") | .options) |= map(select(. != "ro"))
        | .root.readonly = false'
}

@test "a writable cgroup belongs to the user of its process, whose groups hold its processes" {
    needs_v2
    writable_cgroup
    runs 'cd /sys/fs/cgroup && mkdir leaf && echo 1 > leaf/cgroup.procs && echo in > /done
        (echo 5 > cgroup.max.descendants) 2> /dev/null || echo bounded >> /done; sleep 1000'
    start_detached managers-own
    wait_until 20 grep -q bounded "$BUNDLE/rootfs/done"
    expect_given 100000 managers-own
    [[ "$(files_of 100000 managers-own)" == ". cgroup.procs "* ]]
    [ "$(stat -c %g /sys/fs/cgroup/managers-own)" = 0 ]
    run -0 oci exec managers-own cat /proc/self/cgroup
    expect_text "0::/"
    oci delete -f managers-own
    [ ! -e /sys/fs/cgroup/managers-own ]

    configure '.process.args = ["sleep", "1000"] | .process.user.uid = 7'
    start_detached managers-own
    expect_given 100007 managers-own
}

@test "a cgroup that is read-only, shared or seen from outside stays root's" {
    needs_v2
    writable_cgroup
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/writable"
    for change in '(.mounts[] | select(.destination == "/sys/fs/cgroup") | .options) += ["ro"]' \
        '.linux.namespaces |= map(select(.type != "cgroup"))' \
        'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))'; do
        jq "$change" "$BATS_TEST_TMPDIR/writable" > "$BUNDLE/config.json"
        start_detached managers-not
        [ "$(files_of 0 managers-not | wc -w)" = "$(find /sys/fs/cgroup/managers-not -maxdepth 1 | wc -l)" ]
        oci delete -f managers-not
    done
}
