load helper

# Cgroup managers: what can be seen of them without systemd.

setup() {
    make_bundle
    configure '.process.args = ["sleep", "100"]'
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
    expect_text "sleep 100"
    expect_text "sleep 981"
    [ "$(oci ps -f json managers-life | jq length)" = 2 ]
    run -1 oci pause managers-life
    expect_text "pause 'managers-life': it has no cgroup"
    oci kill managers-life KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state managers-life | jq -r .status)\" = stopped ]"
    [ "$(processes)" = 0 ]
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
