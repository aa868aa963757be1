load helper

# berth-oci started by an ordinary user: an account of its own, with subordinate ids, whose folders
# nobody else may enter.

USER_NAME=berth-rootless

# Removes the account with all that it has running; a run that was killed may have left one.
remove_account() {
    id -u "$USER_NAME" > /dev/null 2>&1 || return 0
    pkill -KILL -u "$(id -u "$USER_NAME")" || true
    wait_until 30 no_process_of "$USER_NAME"
    userdel "$USER_NAME"
    sed -i "/^$USER_NAME:/d" /etc/subuid /etc/subgid
}
no_process_of() { [ -z "$(pgrep -r R,S,D,T -u "$1")" ]; }

setup_file() {
    local id
    remove_account
    export HOME_DIR
    HOME_DIR=$(mktemp -d /tmp/berth-rootless.XXXXXX)
    useradd --system --no-create-home --home-dir "$HOME_DIR" --shell /bin/sh "$USER_NAME"
    echo "$USER_NAME:2000000:65536" >> /etc/subuid
    echo "$USER_NAME:3000000:65536" >> /etc/subgid
    id=$(id -u "$USER_NAME")
    export USER_ID=$id
    mkdir "$HOME_DIR/xdg" "$HOME_DIR/bin"
    cp "$BERTH_BUILD/berth-oci" "$HOME_DIR/bin/"
    chmod 755 "$HOME_DIR/bin"
    chown "$USER_NAME:" "$HOME_DIR" "$HOME_DIR/xdg"
    chmod 700 "$HOME_DIR/xdg"
}

teardown_file() {
    remove_account
    rm -rf "$HOME_DIR"
}

setup() {
    export BUNDLE="$HOME_DIR/bundle"
    rm -rf "$BUNDLE"
    mkdir -p "$BUNDLE/rootfs"
    (cd "$BUNDLE/rootfs" && mkdir -p bin proc sys dev etc tmp)
    cp /bin/busybox "$BUNDLE/rootfs/bin/busybox"
    for name in sh true cat id sleep ls mount ps echo touch tty grep stat mkdir; do
        ln -s busybox "$BUNDLE/rootfs/bin/$name"
    done
    chown -R "$USER_NAME:" "$BUNDLE"
    as_user berth-oci spec --rootless -b "$BUNDLE"
    program 'echo inside; exit 3'
}

teardown() {
    local id
    for id in $(oci list -q); do oci delete -f "$id"; done
    wait_until 30 no_process
    [ -z "$(find "$HOME_DIR/xdg/berth-oci" -mindepth 1 ! -path '*/.*')" ]
    rm -rf "$BUNDLE"
}

# What has ended and waits for the machine's first process does not count.
no_process() { [ -z "$(pgrep -r R,S,D,T -u "$USER_ID,2000000,2001000")" ]; }

# As a login of that user would, without privileges of any kind.
as_user() {
    (cd "$HOME_DIR" && exec setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --init-groups \
        --inh-caps=-all --reset-env env HOME="$HOME_DIR" XDG_RUNTIME_DIR="$HOME_DIR/xdg" \
        USER="$USER_NAME" ASAN_OPTIONS="${ASAN_OPTIONS:-}" \
        PATH="$HOME_DIR/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@")
}
oci() { as_user berth-oci "$@"; }
status_of() { oci state "$1" | jq -r .status; }
configure() { jq "$1" "$BUNDLE/config.json" > "$BUNDLE/new" && mv "$BUNDLE/new" "$BUNDLE/config.json"; }
# The shell command that the container runs, without a terminal.
program() { configure ".process.terminal = false | .process.args = [\"sh\", \"-c\", \"$1\"]"; }
start() { oci run -d -b "$BUNDLE" "$1" < /dev/null > /dev/null 2>&1; }

# Root is the first subordinate id, the user is user 1000: more than one's own id.
MAPS='
.linux.uidMappings = [{containerID: 0, hostID: 2000000, size: 1000},
                      {containerID: 1000, hostID: '"\$(id -u $USER_NAME)"', size: 1}]
| .linux.gidMappings = [{containerID: 0, hostID: 3000000, size: 1000},
                        {containerID: 1000, hostID: '"\$(id -g $USER_NAME)"', size: 1}]'
many_ids() { configure "$(eval "echo \"$MAPS\"")"; }

@test "spec --rootless is what runc writes for this user" {
    mkdir "$HOME_DIR/theirs"
    chown "$USER_NAME:" "$HOME_DIR/theirs"
    as_user runc spec --rootless -b "$HOME_DIR/theirs"
    rm "$BUNDLE/config.json"
    oci spec --rootless -b "$BUNDLE"
    [ "$(jq -S . "$BUNDLE/config.json")" = "$(jq -S . "$HOME_DIR/theirs/config.json")" ]
}

@test "an ordinary user runs a bundle with his own id" {
    run -3 oci run -b "$BUNDLE" one
    [ "$output" = inside ]
    program 'id -u; cat /proc/self/setgroups; cat /proc/self/uid_map'
    run -0 oci run -b "$BUNDLE" one
    [ "${lines[0]}" = 0 ]
    [ "${lines[1]}" = deny ]
    [ "$(echo "${lines[2]}" | tr -s ' ')" = " 0 $USER_ID 1" ]
}

@test "the run state is in a folder of the user" {
    program 'exec sleep 1000'
    start one
    [ "$(stat -c '%U %a' "$HOME_DIR/xdg/berth-oci")" = "$USER_NAME 1700" ]
    [ -f "$HOME_DIR/xdg/berth-oci/one/state.json" ]
    run -0 oci list
    expect_text " $USER_NAME"
    run -1 berth-oci state one
    expect_text "does not exist"
}

@test "a runtime folder of somebody else is refused" {
    run -1 as_user env XDG_RUNTIME_DIR=/run berth-oci list
    expect_text "XDG_RUNTIME_DIR '/run' is not yours, but of user 0"
    run -1 as_user env XDG_RUNTIME_DIR=relative berth-oci list
    expect_text "XDG_RUNTIME_DIR 'relative': must be absolute"
    chmod 777 "$HOME_DIR/xdg"
    run -1 oci list
    chmod 700 "$HOME_DIR/xdg"
    expect_text "can be written by others"
    mkdir "/tmp/berth-oci-$USER_ID"
    run -1 as_user env -u XDG_RUNTIME_DIR berth-oci list
    rmdir "/tmp/berth-oci-$USER_ID"
    expect_text "the folder of run state '/tmp/berth-oci-$USER_ID' is not yours"
    run -0 as_user env -u XDG_RUNTIME_DIR berth-oci list
    [ "$(stat -c '%U %a' "/tmp/berth-oci-$USER_ID")" = "$USER_NAME 1700" ]
    rmdir "/tmp/berth-oci-$USER_ID"
}

@test "--rootless takes true, false and auto" {
    run -3 oci --rootless true run -b "$BUNDLE" one
    run -3 oci --rootless auto run -b "$BUNDLE" one
    run -1 oci --rootless maybe run -b "$BUNDLE" one
    expect_text "--rootless 'maybe'"
    run -1 oci --rootless false run -b "$BUNDLE" one
    expect_text "Permission denied"
}

@test "more ids are mapped by newuidmap, and the user's folders are reached without rights to them" {
    mkdir "$HOME_DIR/volume"
    echo kept > "$HOME_DIR/volume/file"
    chown -R "$USER_NAME:" "$HOME_DIR/volume"
    chmod 700 "$HOME_DIR" "$HOME_DIR/volume" "$BUNDLE"
    many_ids
    configure '.mounts += [{destination: "/volume", type: "bind", source: "../volume", options: ["rbind"]}]
        | .root.readonly = false
        | .process.capabilities[] += ["CAP_DAC_OVERRIDE"]'
    program 'cat /proc/self/uid_map; cat /volume/file; stat -c %u /volume /proc/self/fd/1; cat /proc/self/setgroups; touch /made'
    run -0 oci run -b "$BUNDLE" one
    [ "$(echo "${lines[0]}" | tr -s ' ')" = " 0 2000000 1000" ]
    [ "$(echo "${lines[1]}" | tr -s ' ')" = " 1000 $USER_ID 1" ]
    [ "${lines[2]}" = kept ]
    [ "${lines[3]}" = 1000 ]
    [ "${lines[5]}" = allow ]
    [ "$(stat -c %u:%g "$BUNDLE/rootfs/made")" = 2000000:3000000 ]
    configure '.process.user = {uid: 1000, gid: 1000, additionalGids: [7]}'
    program 'id'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = "uid=1000 gid=1000 groups=7" ]
    configure '.process.user = {uid: 1001, gid: 1000}'
    run -1 oci run -b "$BUNDLE" one
    expect_text "become user 1001: it is not mapped in the user namespace"
}

@test "ids that are not the user's are refused in newuidmap's words" {
    configure '.linux.uidMappings = [{containerID: 0, hostID: 5000000, size: 10}]'
    run -1 oci run -b "$BUNDLE" one
    [ "${#lines[@]}" = 1 ]
    expect_text "linux.uidMappings: newuidmap: uid range [0-10) -> [5000000-5000010) not allowed"
    expect_text "/etc/subuid"
}

@test "a bundle without a user namespace gets one with the user's ids" {
    rm "$BUNDLE/config.json"
    oci spec -b "$BUNDLE"
    program 'cat /proc/self/uid_map; exec sleep 1000'
    as_user sh -c "berth-oci run -d -b bundle one < /dev/null > out 2>&1"
    wait_until 30 test -s "$HOME_DIR/out"
    [ "$(tr -s ' ' < "$HOME_DIR/out")" = " 0 $USER_ID 1
 1 2000000 65536" ]
    run -0 oci exec one id -u
    [ "$output" = 0 ]
    run -0 oci exec -u 65000 one id -u
    [ "$output" = 65000 ]
}

@test "create, start, exec, ps, kill and delete" {
    program 'exec sleep 1000'
    many_ids
    oci create -b "$BUNDLE" two < /dev/null > /dev/null 2>&1
    [ "$(status_of two)" = created ]
    oci start two
    [ "$(status_of two)" = running ]
    run -0 oci exec two sh -c 'id -u; cat /proc/self/uid_map; ls -di /proc/self/ns/pid; ls /proc'
    [ "${lines[0]}" = 0 ]
    [ "$(echo "${lines[1]}" | tr -s ' ')" = " 0 2000000 1000" ]
    run -0 oci exec two ps
    expect_text "sleep 1000"
    run -0 oci exec -u 1000:1000 -g 7 two id
    [ "$output" = "uid=1000 gid=1000 groups=7" ]
    run -7 oci exec two sh -c 'exit 7'
    run -255 oci exec two nosuchprogram
    run -0 as_user script -qec "berth-oci exec -t two tty" /dev/null
    expect_text /dev/pts/
    run -0 oci ps two
    expect_text "sleep 1000"
    run -1 oci pause two
    expect_text "it has no cgroup"
    oci kill two KILL
    wait_until 30 eval '[ "$(status_of two)" = stopped ]'
    oci delete two
    run -1 oci state two
    expect_text "does not exist"
}

@test "without rights over cgroups the limits that are not enforced are named" {
    configure '.linux.resources = {memory: {limit: 33554432}, pids: {limit: 20}, cpu: {shares: 512}}'
    run -3 oci run -b "$BUNDLE" one
    [ "${#lines[@]}" = 2 ]
    [ "${lines[1]}" = inside ]
    [[ "${lines[0]}" == *warn*"linux.resources: not enforced"*": memory.limit, cpu.shares, pids.limit"* ]]
    configure '.linux.resources = {pids: {limit: -1}, devices: [{allow: false, access: "rwm"}]}'
    run -3 oci run -b "$BUNDLE" one
    [ "$output" = inside ]
    configure '.linux.cgroupsPath = "/berth-rootless/mine"'
    run -1 oci run -b "$BUNDLE" one
    expect_text "linux.cgroupsPath: this user may not make the cgroup '/berth-rootless/mine'"
}

# Gives the user the cgroup "berth-rootless" in the hierarchies mounted at these folders, and puts
# what follows "--" into it as that user.
in_delegated() {
    local folders=() folder file
    while [ "$1" != -- ]; do
        folders+=("$1/berth-rootless")
        shift
    done
    shift
    for folder in "${folders[@]}"; do
        mkdir -p "$folder"
        for file in cpus mems; do
            [ ! -f "$folder/cpuset.$file" ] || [ -s "$folder/cpuset.$file" ] &&
                [ ! -f "$folder/cpuset.cpu_exclusive" ] ||
                cat "$folder/../cpuset.$file" > "$folder/cpuset.$file"
        done
        for file in . cgroup.procs tasks cgroup.subtree_control; do
            [ ! -e "$folder/$file" ] || chown "$USER_NAME:" "$folder/$file"
        done
    done
    (
        for folder in "${folders[@]}"; do echo "$BASHPID" > "$folder/cgroup.procs"; done
        as_user "$@"
    )
}
hierarchies() {
    local folder
    # On pure v2 the folders in it are groups.
    [ ! -f /sys/fs/cgroup/cgroup.procs ] || { echo /sys/fs/cgroup && return; }
    for folder in /sys/fs/cgroup/*; do
        [ ! -f "$folder/cgroup.procs" ] || echo "$folder"
    done
}
no_cgroup() { [ -z "$(find /sys/fs/cgroup -type d -path '*/berth-rootless/*')" ]; }
remove_delegated() {
    wait_until 30 no_cgroup
    find /sys/fs/cgroup -maxdepth 2 -type d -name berth-rootless -exec rmdir {} +
}

@test "in a delegated cgroup limits are enforced, and pause works" {
    [ "$(hierarchies)" != /sys/fs/cgroup ] || skip "this is about v1 hierarchies"
    configure '.linux.resources = {memory: {limit: 33554432}, pids: {limit: 20}, devices: [{allow: false, access: "rwm"}]}'
    program 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /proc/self/cgroup; echo done; exec sleep 1000'
    # shellcheck disable=SC2046
    run -0 in_delegated $(hierarchies) -- sh -c 'berth-oci run -d -b bundle one < /dev/null > out 2>&1
        until grep -qx done out; do sleep 0.1; done
        berth-oci pause one && berth-oci state one && berth-oci resume one
        berth-oci exec one cat /proc/self/cgroup && berth-oci ps one
        berth-oci kill --all one KILL'
    expect_text '"status": "paused"'
    expect_text ":memory:/berth-rootless/one"
    expect_text "sleep 1000"
    [ "$(sed -n 1,2p "$HOME_DIR/out")" = "33554432
20" ]
    ! grep -v /berth-rootless/one "$HOME_DIR/out" | grep : || false
    wait_until 30 eval '[ "$(status_of one)" = stopped ]'
    oci delete one
    remove_delegated
}

@test "a cgroup may be delegated in one hierarchy only" {
    [ -f /sys/fs/cgroup/pids/cgroup.procs ] || skip "this is about v1 hierarchies"
    configure '.linux.resources = {memory: {limit: 33554432}, pids: {limit: 20}}'
    program 'exec sleep 1000'
    run -0 in_delegated /sys/fs/cgroup/pids -- sh -c 'berth-oci run -d -b bundle one < /dev/null > out 2>&1; cat out'
    expect_text "not enforced"
    expect_text ": memory.limit"
    [ "$(cat /sys/fs/cgroup/pids/berth-rootless/one/pids.max)" = 20 ]
    [ "$(status_of one)" = running ]
    run -1 oci pause one
    expect_text "no right to it in the hierarchy of the freezer"
    run -0 oci exec one cat /proc/self/cgroup
    expect_text ":pids:/berth-rootless/one"
    oci delete -f one
    configure '.linux.cgroupsPath = "/berth-rootless/two"'
    run -1 oci run -b "$BUNDLE" one
    expect_text "linux.resources: memory.limit: cannot limit memory: this user has no right to cgroup /berth-rootless/two"
    configure 'del(.linux.resources.memory)'
    oci run -d -b "$BUNDLE" one < /dev/null > /dev/null 2>&1
    [ "$(cat /sys/fs/cgroup/pids/berth-rootless/two/pids.max)" = 20 ]
    oci delete -f one
    remove_delegated
}

@test "on cgroup v2 the delegated cgroup is used, with the controllers that come with it" {
    configure '.linux.resources = {memory: {limit: 33554432}, unified: {"cgroup.max.descendants": "5"}}'
    # On pure v2 it is there already.
    configure '.linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
    program 'cat /sys/fs/cgroup/cgroup.max.descendants /proc/self/cgroup; echo done; exec sleep 1000'
    # shellcheck disable=SC2016
    view='mount --make-rprivate /
        [ -f /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 none /sys/fs/cgroup
        mkdir /sys/fs/cgroup/berth-rootless /sys/fs/cgroup/berth-rootless/session
        chown -R "$1:" /sys/fs/cgroup/berth-rootless
        echo $$ > /sys/fs/cgroup/berth-rootless/session/cgroup.procs
        cd "$2" && setpriv --reuid "$1" --regid "$1" --init-groups env XDG_RUNTIME_DIR="$2/xdg" \
            PATH="$2/bin:$PATH" sh -c "berth-oci run -d -b bundle one < /dev/null > out 2> warning
                until grep -qx done out; do sleep 0.1; done
                berth-oci pause one && berth-oci state one && berth-oci resume one
                berth-oci exec one true && berth-oci delete -f one || { cat out warning; exit 1; }" || exit
        echo $$ > /sys/fs/cgroup/cgroup.procs
        rmdir /sys/fs/cgroup/berth-rootless/session /sys/fs/cgroup/berth-rootless'
    run -0 unshare -m sh -c "$view" sh "$USER_NAME" "$HOME_DIR"
    expect_text '"status": "paused"'
    [ "$(head -1 "$HOME_DIR/out")" = 5 ]
    grep -q '^0::/$' "$HOME_DIR/out"
    grep -q "memory.limit" "$HOME_DIR/warning" || grep -q memory /sys/fs/cgroup/cgroup.controllers
}

@test "a bind keeps what is locked in its source" {
    mkdir "$HOME_DIR/locked"
    mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime none "$HOME_DIR/locked"
    program 'grep tmp.ro, /proc/self/mountinfo'
    configure '.mounts += [{destination: "/tmp", type: "bind", source: "../locked", options: ["rbind", "nosymfollow"]}]'
    run -0 oci run -b "$BUNDLE" one
    expect_text " ro,nosuid,nodev,noexec,noatime,nosymfollow "
    configure '.mounts[-1].options = ["rbind", "rw"]'
    run -1 oci run -b "$BUNDLE" one
    umount "$HOME_DIR/locked"
    expect_text "'rw': the source is mounted with 'ro', which is locked in the user namespace"
}

@test "a mount is not bound without those below it" {
    mkdir "$HOME_DIR/outer"
    mount -t tmpfs none "$HOME_DIR/outer"
    mkdir "$HOME_DIR/outer/inner"
    mount -t tmpfs none "$HOME_DIR/outer/inner"
    configure '.mounts += [{destination: "/tmp", type: "bind", source: "../outer", options: ["bind"]}]'
    run -1 oci run -b "$BUNDLE" one
    expect_text "use 'rbind'"
    configure '.mounts[-1].options = ["rbind"]'
    run -3 oci run -b "$BUNDLE" one
    umount "$HOME_DIR/outer/inner" "$HOME_DIR/outer"
}

@test "an overlay as root can be changed as anybody else's" {
    as_user mkdir "$BUNDLE/upper" "$BUNDLE/work" "$BUNDLE/empty"
    as_user mkdir "$BUNDLE/rootfs/layer"
    as_user touch "$BUNDLE/rootfs/layer/old"
    configure '.mounts = [{destination: "/", type: "overlay", source: "overlay", options:
            ["lowerdir='"$BUNDLE"'/rootfs", "upperdir='"$BUNDLE"'/upper", "workdir='"$BUNDLE"'/work"]}] + .mounts
        | .root = {path: "empty"}'
    program 'busybox rm -r /layer && mkdir /layer && touch /layer/new && ls /layer'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = new ]
    program 'ls /layer'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = new ]
    [ -f "$BUNDLE/rootfs/layer/old" ]
}

@test "host namespaces, sysctls, devices, a terminal, no pivot" {
    configure '.linux.namespaces |= map(select(.type != "pid"))
        | .linux.devices = [{path: "/dev/pipe", type: "p"}]'
    program 'stat -c %F /dev/pipe; touch /sys/x || cat /proc/self/cmdline | grep -c cat'
    run -0 oci run --no-pivot -b "$BUNDLE" one
    [ "${lines[0]}" = fifo ]
    configure '.linux.namespaces += [{type: "network"}] | .linux.sysctl = {"net.ipv4.ip_forward": "1"}'
    program 'cat /proc/sys/net/ipv4/ip_forward'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = 1 ]
    program 'tty; stat -c %F /dev/console'
    configure '.process.terminal = true'
    run -0 as_user script -qec "berth-oci run -b bundle one" /dev/null
    expect_text /dev/pts/0
    expect_text "character special"
}

@test "root of a user namespace that somebody else made" {
    program 'cat /proc/self/uid_map'
    configure 'del(.linux.uidMappings, .linux.gidMappings)
        | .linux.namespaces |= map(select(.type != "user"))
        | .linux.resources = {pids: {limit: 20}, devices: [{allow: false, access: "rwm"}]}'
    run -0 as_user unshare -Ur berth-oci run -b bundle one
    [[ "${lines[0]}" == *"not enforced"*": pids.limit"* ]]
    [ "$(echo "${lines[1]}" | tr -s ' ')" = " 0 $USER_ID 1" ]
    program 'exec sleep 1000'
    # shellcheck disable=SC2016
    run -0 as_user unshare -Ur sh -c 'berth-oci run -d -b bundle one < /dev/null > /dev/null 2>&1
        berth-oci exec one id -u && berth-oci list -q && berth-oci delete -f one'
    [ "$output" = "0
one" ]
}

@test "rootless podman runs containers by berth-oci" {
    mkdir -p "$HOME_DIR/.config/containers"
    printf '[storage]\ndriver = "vfs"\n' > "$HOME_DIR/.config/containers/storage.conf"
    tar -C "$BUNDLE/rootfs" --owner 0 --group 0 -cf "$HOME_DIR/image.tar" .
    chmod 644 "$HOME_DIR/image.tar"
    chown -R "$USER_NAME:" "$HOME_DIR/.config"
    # podman starts its runtime with an environment of its own.
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nASAN_OPTIONS="%s" exec "%s" "$@"\n' "${ASAN_OPTIONS:-}" \
        "$HOME_DIR/bin/berth-oci" > "$HOME_DIR/bin/runtime"
    chmod 755 "$HOME_DIR/bin/runtime"
    podman() { as_user podman --runtime "$HOME_DIR/bin/runtime" --cgroup-manager cgroupfs --events-backend file "$@" 2> "$HOME_DIR/podman.log"; }
    run -0 podman import "$HOME_DIR/image.tar" small
    run -3 podman run --rm --network none small sh -c 'id -u; exit 3'
    [ "$output" = 0 ]
    run -0 podman run --rm --network none --userns keep-id small id -u
    [ "$output" = "$USER_ID" ]
    run -0 podman run --rm --network none --uidmap 0:1:100 --gidmap 0:1:100 small cat /proc/self/uid_map
    [ "$(echo "$output" | tr -s ' ')" = " 0 1 100" ]
    run -0 podman run -d --name one --network none small sleep 1000
    run -0 podman exec -u 5 one id -u
    [ "$output" = 5 ]
    run -0 podman top one
    expect_text "sleep 1000"
    run -0 podman stop -t 0 one
    run -0 podman start one
    run -0 podman rm -f -t 0 one
    run -0 podman ps -aq
    [ -z "$output" ]
    podman rmi small
    podman system reset -f || true
    pkill -u "$USER_ID" -x catatonit || true
}

@test "a badness score that only root may lower stays as it is" {
    program 'cat /proc/self/oom_score_adj'
    configure '.process.oomScoreAdj = 300'
    run -0 oci run -b "$BUNDLE" one
    [ "$output" = 300 ]
    configure '.process.oomScoreAdj = -300'
    run -0 oci run -b "$BUNDLE" one
    [[ "${lines[0]}" == *warn*"process.oomScoreAdj: only root may lower it to -300"* ]]
    [ "${lines[1]}" = "$(cat /proc/self/oom_score_adj)" ]
}

# The bundle becomes that of a microVM, which runs a shell command: microvm COMMAND
microvm() {
    rm "$BUNDLE/config.json"
    oci spec -b "$BUNDLE"
    program "$1"
    configure '.root.readonly = false | .annotations = {"run.berth.isolation": "microvm"}'
}

@test "an ordinary user's microVM is in his user namespace" {
    # Another one than this machine's, which may be among them.
    kernel=$(find "$BERTH_TEST_DATA/data/kernels" -mindepth 1 -maxdepth 1 ! -name "$(uname -r)" 2> /dev/null | head -1)
    [ -n "$kernel" ] || skip "no kernel for microVMs was imported"
    [ -x /usr/bin/qemu-system-x86_64 ] || skip "without QEMU it takes a KVM that he may use"
    cp "$BERTH_BUILD"/berth-{vmm,fs,agent} "$HOME_DIR/bin/"
    mkdir -p "$HOME_DIR/data/kernels"
    cp -r "$kernel" "$HOME_DIR/data/kernels/"
    microvm 'read -r a b c d < /proc/version; echo $c; id; touch /made; exec sleep 1000'
    as_user env BERTH_DATA="$HOME_DIR/data" berth-oci run -d -b "$BUNDLE" one < /dev/null > "$HOME_DIR/out" 2>&1
    # A boot in QEMU takes long; in a test machine the processor that emulates is emulated itself.
    BERTH_TEST_PATIENCE=$((6 * ${BERTH_TEST_PATIENCE:-1})) wait_until 30 test -e "$BUNDLE/rootfs/made"
    run -5 --separate-stderr oci exec one sh -c 'test -e /made; echo $?; exit 5'
    [ "$output" = 0 ]
    run ! grep -q "$(uname -r)" "$HOME_DIR/out"
    grep -q "uid=0" "$HOME_DIR/out"
    [ "$(stat -c %U "$BUNDLE/rootfs/made")" = "$USER_NAME" ]
    [ "$(stat -c %u "/proc/$(oci state one | jq .pid)")" = "$USER_ID" ]
    # What a program has open there is this machine's: the machine cannot be saved with it.
    run -1 oci checkpoint --image-path "$HOME_DIR/image" one
    expect_text "the microVM uses directories of this machine (1), whose open files cannot be saved with it"
    [ ! -e "$HOME_DIR/image/isolation" ]
    run -0 oci exec one true
    oci kill one KILL
    wait_until 20 no_process
    oci delete one
    configure '.annotations["run.berth.vm.warm"] = "true"'
    run -1 as_user env BERTH_DATA="$HOME_DIR/data" berth-oci run -b "$BUNDLE" two
    expect_text "only root can give them away: start it without"
    [ -z "$(oci list -q)" ]
}

@test "an ordinary user's microVM without a kernel that he may read is refused" {
    [ -x /usr/bin/qemu-system-x86_64 ] || skip "without QEMU it takes a KVM that he may use"
    cp "$BERTH_BUILD"/berth-{vmm,fs,agent} "$HOME_DIR/bin/"
    mkdir -p -m 700 "$HOME_DIR/roots/kernels"
    microvm 'exit 3'
    run -1 as_user env BERTH_DATA="$HOME_DIR/roots" berth-oci run -b "$BUNDLE" one
    expect_text "may not be read by this user: set BERTH_DATA to a folder of his own"
    run -1 as_user env BERTH_DATA="$HOME_DIR/none" berth-oci run -b "$BUNDLE" one
    expect_text "no kernel for microVMs was imported yet"
    [ -z "$(oci list -q)" ]
}
