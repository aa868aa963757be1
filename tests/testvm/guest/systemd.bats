#!/usr/bin/env bats
# The systemd cgroup manager, where systemd is PID 1: in the test machine, or on such a machine.
#
#   tests/testvm/testvm --systemd [--cgroup v1|hybrid] [--user NAME] -- bats tests/testvm/guest/systemd.bats
#
# As an ordinary user it goes by the user's own manager, and through a user namespace.

bats_require_minimum_version 1.5.0

setup_file() {
    export PATH=${BERTH_BUILD:-$PWD/build-check}:$PATH BUNDLE=$BATS_FILE_TMPDIR/bundle
    export ROOT=${XDG_RUNTIME_DIR:-/run}/berth-systemd-test MANAGER=--system
    local rootless='' program
    [ "$(id -u)" = 0 ] || { MANAGER=--user; rootless=--rootless; }
    mkdir -p "$BUNDLE/rootfs/bin"
    cp "$(command -v busybox)" "$BUNDLE/rootfs/bin/busybox"
    for program in sh cat sleep true echo; do ln -s busybox "$BUNDLE/rootfs/bin/$program"; done
    berth-oci spec $rootless -b "$BUNDLE"
    jq '.process.terminal = false | .process.args = ["sleep", "1000"]
        | .linux.namespaces |= map(select(.type != "cgroup"))' "$BUNDLE/config.json" > "$BUNDLE/base"
}

setup() { cp "$BUNDLE/base" "$BUNDLE/config.json"; }

teardown() {
    local id
    for id in $(oci list -q); do oci delete -f "$id"; done
    [ -z "$(scopes)" ]
}

configure() { jq "$1" "$BUNDLE/config.json" > "$BUNDLE/new" && mv "$BUNDLE/new" "$BUNDLE/config.json"; }
oci() { berth-oci --root "$ROOT" "$@"; }
systemd() { oci --systemd-cgroup "$@"; }
start() { systemd run -d -b "$BUNDLE" "$1" < /dev/null > /dev/null 2> "$BATS_TEST_TMPDIR/err" || { cat "$BATS_TEST_TMPDIR/err"; return 1; }; }
show() { systemctl $MANAGER show --value -p "$2" "$1"; }
scopes() { systemctl $MANAGER list-units --all --plain --no-legend 'runc-*' 'sysd-*'; }
cgroup_of() { jq -r .cgroup "$ROOT/$1/state.json"; }
is_v2() { [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; }
is_root() { [ "$(id -u)" = 0 ]; }
has_text() { [[ "$output" == *"$1"* ]] || { echo "expected '$1' in: $output"; return 1; }; }
# The value of a cgroup's file: value CONTROLLER-DIRECTORY FILE-V1 FILE-V2 ID
value() {
    if is_v2; then cat "/sys/fs/cgroup$(cgroup_of "$4")/$3"; else cat "/sys/fs/cgroup/$1$(cgroup_of "$4")/$2"; fi
}
# Slow machines take their time to see that a cgroup is empty.
wait_for() {
    local end=$((SECONDS + 20))
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not within the time: $*"; return 1; }
        sleep 0.1
    done
}
is_stopped() { [ "$(oci state "$1" | jq -r .status)" = stopped ]; }
# systemd removes its own some moments after the unit is gone.
has_no_cgroup() {
    local found
    found=$(find /sys/fs/cgroup -type d -name "$1" 2> /dev/null)
    [ -z "$found" ]
}
has_no_scope() { [ -z "$(scopes)" ]; }

@test "run: the process is in the scope, and nothing is left of it" {
    configure '.process.args = ["cat", "/proc/self/cgroup"]'
    run -0 systemd run -b "$BUNDLE" one
    has_text "/runc-one.scope"
    has_no_scope
    [ -z "$(oci list -q)" ]
    [ -z "$(find /sys/fs/cgroup -type d -name 'runc-one.scope')" ]
}

@test "create, start, exec, ps, pause, resume, kill, delete, without a further option" {
    systemd create -b "$BUNDLE" two < /dev/null > /dev/null 2>&1
    [ "$(show runc-two.scope ActiveState)" = active ]
    oci start two
    [ "$(jq -r .cgroupManager "$ROOT/two/state.json")" = systemd ]
    run -0 oci exec two cat /proc/self/cgroup
    has_text "/runc-two.scope"
    run -0 oci ps two
    has_text "sleep 1000"
    oci pause two
    [ "$(oci state two | jq -r .status)" = paused ]
    oci resume two
    oci kill two KILL
    wait_for is_stopped two
    oci delete two
    has_no_scope
}

@test "the scope has runc's properties" {
    start three
    [ "$(show runc-three.scope Delegate)" = yes ]
    [ "$(show runc-three.scope DefaultDependencies)" = no ]
    [ "$(show runc-three.scope MemoryAccounting)" = yes ]
    [ "$(show runc-three.scope TasksAccounting)" = yes ]
    [ "$(show runc-three.scope CollectMode)" = inactive-or-failed ]
    [[ "$(show runc-three.scope Description)" == "berth container three of "* ]]
    if is_root; then
        [ "$(show runc-three.scope Slice)" = system.slice ]
        [ "$(show runc-three.scope DevicePolicy)" = strict ]
        [[ "$(show runc-three.scope DeviceAllow)" == *"/dev/char/1:3 rwm"* ]]
    else
        [ "$(show runc-three.scope Slice)" = user.slice ]
    fi
}

@test "memory and pids limits are seen by systemd and in the files" {
    configure '.linux.resources.memory = {limit: 67108864} | .linux.resources.pids = {limit: 77}'
    start four
    if is_v2; then [ "$(show runc-four.scope MemoryMax)" = 67108864 ]; else [ "$(show runc-four.scope MemoryLimit)" = 67108864 ]; fi
    [ "$(show runc-four.scope TasksMax)" = 77 ]
    [ "$(value memory memory.limit_in_bytes memory.max four)" = 67108864 ]
    [ "$(value pids pids.max pids.max four)" = 77 ]
}

@test "CPU limits are seen by systemd and exactly in the files" {
    is_root || skip "a user is not given the controllers cpu and cpuset by default"
    configure '.linux.resources.cpu = {shares: 512, quota: 12345, period: 100000, cpus: "0"}'
    start five
    [ "$(show runc-five.scope CPUQuotaPerSecUSec)" = 130ms ]
    if is_v2; then
        [ "$(show runc-five.scope CPUWeight)" = 50 ]
        [ "$(show runc-five.scope AllowedCPUs)" = 0 ]
        [ "$(cat "/sys/fs/cgroup$(cgroup_of five)/cpu.max")" = "12345 100000" ]
    else
        [ "$(show runc-five.scope CPUShares)" = 512 ]
        [ "$(value cpu cpu.cfs_quota_us '' five)" = 12345 ]
    fi
    [ "$(value cpuset cpuset.cpus cpuset.cpus five)" = 0 ]
}

@test "update changes what systemd knows and the files, and a reload keeps it" {
    configure '.linux.resources.memory = {limit: 67108864}'
    start six
    oci update --memory 134217728 --pids-limit 55 six
    [ "$(show runc-six.scope TasksMax)" = 55 ]
    [ "$(value memory memory.limit_in_bytes memory.max six)" = 134217728 ]
    systemctl $MANAGER daemon-reload
    [ "$(value memory memory.limit_in_bytes memory.max six)" = 134217728 ]
    [ "$(value pids pids.max pids.max six)" = 55 ]
    oci exec six sh -c 'echo > /dev/null'
}

@test "cgroupsPath names slice, prefix and unit; slices nest by their names" {
    configure '.linux.cgroupsPath = "sysd-deep.slice:sysd:name"'
    start seven
    [[ "$(cgroup_of seven)" == */sysd.slice/sysd-deep.slice/sysd-name.scope ]]
    [ "$(show sysd-name.scope Slice)" = sysd-deep.slice ]
    oci delete -f seven
    systemctl $MANAGER stop sysd.slice
}

@test "annotations set properties; a wrong one is refused by name and leaves nothing" {
    configure '.annotations = {"org.systemd.property.TimeoutStopSec": "uint64 7", "org.systemd.property.CPUAccounting": "false"}'
    start eight
    [ "$(show runc-eight.scope TimeoutStopUSec)" = 7s ]
    oci delete -f eight
    configure '.annotations = {"org.systemd.property.NoSuchThing": "true"}'
    run -1 systemd run -b "$BUNDLE" eight
    has_text "make the unit runc-eight.scope: systemd: Cannot set property NoSuchThing"
    [ -z "$(oci list -q)" ]
}

@test "a unit of the same name is not taken over, nor stopped by the failed create" {
    systemd-run $MANAGER --quiet --scope --unit=runc-nine.scope sleep 1000 &
    wait_for systemctl $MANAGER is-active runc-nine.scope
    run -1 systemd run -b "$BUNDLE" nine
    has_text "make the unit runc-nine.scope: there is a unit of that name already"
    [ "$(show runc-nine.scope ActiveState)" = active ]
    systemctl $MANAGER stop runc-nine.scope
    wait
}

@test "run.oci.systemd.subgroup puts the process into a group below the scope" {
    configure '.annotations = {"run.oci.systemd.subgroup": "container"} | .linux.resources.pids = {limit: 33}'
    start ten
    [[ "$(cgroup_of ten)" == */runc-ten.scope/container ]]
    run -0 oci exec ten cat /proc/self/cgroup
    has_text "/runc-ten.scope/container"
    [ "$(value pids pids.max pids.max ten)" = 33 ]
    oci delete -f ten
    has_no_scope
}

@test "a scope whose cgroup is mounted for writing belongs to the user of its process" {
    is_root && is_v2 || skip "root gives cgroups away on v2"
    local group
    configure '.linux.namespaces += [{type: "user"}, {type: "cgroup"}] | .process.user.uid = 7
        | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings
        | (.mounts[] | select(.destination == "/sys/fs/cgroup") | .options) |= map(select(. != "ro"))
        | .process.args = ["sh", "-c", "mkdir /sys/fs/cgroup/leaf && echo 1 > /sys/fs/cgroup/leaf/cgroup.procs && exec sleep 1000"]'
    start fourteen
    group=/sys/fs/cgroup$(cgroup_of fourteen)
    wait_for grep -q '[0-9]' "$group/leaf/cgroup.procs"
    systemctl daemon-reload
    [ "$(stat -c %u "$group" "$group"/cgroup.{procs,threads,subtree_control} "$group/leaf" | sort -u)" = 100007 ]
    [ "$(stat -c %u "$group"/{memory.max,pids.max} | sort -u)" = 0 ]
    run -0 oci exec fourteen cat /proc/self/cgroup
    has_text "0::/"
    oci delete -f fourteen
    has_no_scope
}

@test "a creator that is killed at any moment leaves a container that delete --force removes whole" {
    local delay
    for delay in 0.02 0.04 0.06 0.08 0.1 0.12 0.14 0.17 0.2 0.3; do
        # Not by a function: its shell would be what is killed.
        berth-oci --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" killed < /dev/null > /dev/null 2>&1 &
        sleep $delay
        kill -KILL $! 2> /dev/null || true
        wait $! 2> /dev/null || true
        oci delete --force killed
        wait_for has_no_scope
        wait_for has_no_cgroup '*killed*'
        [ -z "$(oci list -q)" ]
    done
}

@test "delete --force while create is under way, and once more after it, leaves nothing" {
    local delay
    for delay in 0.03 0.06 0.09 0.12; do
        berth-oci --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" raced < /dev/null > /dev/null 2>&1 &
        sleep $delay
        timeout 25 berth-oci --root "$ROOT" delete --force raced || true
        wait $! || true
        oci delete --force raced
        wait_for has_no_scope
        wait_for has_no_cgroup '*raced*'
    done
}

@test "an id that is no unit name is refused" {
    run -1 systemd run -b "$BUNDLE" a+b
    has_text "is no name of a systemd unit"
    [ -z "$(oci list -q)" ]
}

@test "without D-Bus the refusal says so, and nothing is left" {
    run -1 env DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere \
        berth-oci --root "$ROOT" --systemd-cgroup run -b "$BUNDLE" eleven
    has_text "make the unit runc-eleven.scope: no D-Bus of"
    [ -z "$(oci list -q)" ]
}

@test "podman runs containers with the systemd manager" {
    command -v podman > /dev/null || skip "podman is not installed"
    is_root || skip "seen with cgroupfs elsewhere"
    local podman=(podman --root "$BATS_TEST_TMPDIR/podman" --runroot "$BATS_TEST_TMPDIR/podman-run"
        --storage-driver vfs --cgroup-manager systemd --runtime "$(command -v berth-oci)"
        --events-backend file)
    run -0 "${podman[@]}" run --rm --network none --log-driver k8s-file --memory 64m --rootfs "$BUNDLE/rootfs" cat /proc/self/cgroup
    run -0 "${podman[@]}" run -d --network none --log-driver k8s-file --memory 64m --name web --rootfs "$BUNDLE/rootfs" sleep 1000
    run -0 systemctl show --value -p ControlGroup "libpod-$output.scope"
    has_text /machine.slice/libpod-
    run -0 "${podman[@]}" exec web echo inside
    has_text inside
    "${podman[@]}" rm -f -t 0 web
    [ -z "$(systemctl list-units --plain --no-legend 'libpod-*.scope' | grep -v conmon)" ]
}

@test "a checkpoint is restored into a scope of its own" {
    is_root || skip "only root restores"
    local pid
    start twelve
    oci checkpoint --image-path "$BATS_TEST_TMPDIR/image" twelve
    wait_for has_no_scope
    systemd restore -d -b "$BUNDLE" --image-path "$BATS_TEST_TMPDIR/image" thirteen < /dev/null > /dev/null 2> "$BATS_TEST_TMPDIR/err" ||
        { cat "$BATS_TEST_TMPDIR/err"; return 1; }
    pid=$(oci state thirteen | jq .pid)
    [ "$(show runc-thirteen.scope ActiveState)" = active ]
    grep -q /runc-thirteen.scope "/proc/$pid/cgroup"
    [ "$(tr '\0' ' ' < "/proc/$pid/cmdline")" = "sleep 1000 " ]
    run -0 oci exec thirteen cat /proc/self/cgroup
    has_text /runc-thirteen.scope
    oci delete -f thirteen
    has_no_scope
}
