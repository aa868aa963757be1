load helper

# berth-oci started by an ordinary user: an account of its own, with subordinate ids, whose folders
# nobody else may enter.

USER_NAME=berth-rootless

setup_file() {
    local id
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
    userdel "$USER_NAME"
    sed -i "/^$USER_NAME:/d" /etc/subuid /etc/subgid
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
    wait_until 5 no_process
    [ -z "$(find "$HOME_DIR/xdg/berth-oci" -mindepth 1 ! -path '*/.*')" ]
    rm -rf "$BUNDLE"
}

# What has ended and waits for the machine's first process does not count.
no_process() { [ -z "$(pgrep -r R,S,D,T -u "$USER_ID,2000000,2001000")" ]; }

# As a login of that user would, without privileges of any kind.
as_user() {
    (cd "$HOME_DIR" && exec setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --init-groups \
        --inh-caps=-all --reset-env env HOME="$HOME_DIR" XDG_RUNTIME_DIR="$HOME_DIR/xdg" \
        USER="$USER_NAME" PATH="$HOME_DIR/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@")
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
    program 'exec sleep 100'
    start one
    [ "$(stat -c '%U %a' "$HOME_DIR/xdg/berth-oci")" = "$USER_NAME 1700" ]
    [ -f "$HOME_DIR/xdg/berth-oci/one/state.json" ]
    run -0 oci list
    expect_text "#$USER_ID"
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
    program 'cat /proc/self/uid_map; exec sleep 100'
    as_user sh -c "berth-oci run -d -b bundle one < /dev/null > out 2>&1"
    wait_until 10 test -s "$HOME_DIR/out"
    [ "$(tr -s ' ' < "$HOME_DIR/out")" = " 0 $USER_ID 1
 1 2000000 65536" ]
    run -0 oci exec one id -u
    [ "$output" = 0 ]
    run -0 oci exec -u 65000 one id -u
    [ "$output" = 65000 ]
}

@test "create, start, exec, ps, kill and delete" {
    program 'exec sleep 100'
    many_ids
    oci create -b "$BUNDLE" two < /dev/null > /dev/null 2>&1
    [ "$(status_of two)" = created ]
    oci start two
    [ "$(status_of two)" = running ]
    run -0 oci exec two sh -c 'id -u; cat /proc/self/uid_map; ls -di /proc/self/ns/pid; ls /proc'
    [ "${lines[0]}" = 0 ]
    [ "$(echo "${lines[1]}" | tr -s ' ')" = " 0 2000000 1000" ]
    run -0 oci exec two ps
    expect_text "sleep 100"
    run -0 oci exec -u 1000:1000 -g 7 two id
    [ "$output" = "uid=1000 gid=1000 groups=7" ]
    run -7 oci exec two sh -c 'exit 7'
    run -255 oci exec two nosuchprogram
    run -0 as_user script -qec "berth-oci exec -t two tty" /dev/null
    expect_text /dev/pts/
    run -0 oci ps two
    expect_text "sleep 100"
    run -1 oci pause two
    expect_text "it has no cgroup"
    oci kill two KILL
    wait_until 10 test "$(status_of two)" = stopped
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
