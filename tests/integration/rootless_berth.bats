load helper

# berth started by an ordinary user: an account of its own, with subordinate ids.

export USER_NAME=berth-ordinary

no_process_of() { [ -z "$(pgrep -r R,S,D,T -u "$1")" ]; }

# Removes the account with all that it has running; a run that was killed may have left one.
remove_account() {
    local id
    id=$(id -u "$USER_NAME" 2> /dev/null) || return 0
    pkill -KILL -u "$id" || true
    wait_until 30 no_process_of "$id"
    userdel "$USER_NAME"
    sed -i "/^$USER_NAME:/d" /etc/subuid /etc/subgid
}

give_subordinate_ids() {
    echo "$USER_NAME:2200000:65536" >> /etc/subuid
    echo "$USER_NAME:3200000:65536" >> /etc/subgid
}

setup_file() {
    remove_account
    export HOME_DIR
    HOME_DIR=$(mktemp -d /tmp/berth-ordinary.XXXXXX)
    useradd --system --no-create-home --home-dir "$HOME_DIR" --shell /bin/sh "$USER_NAME"
    give_subordinate_ids
    mkdir -m 700 "$HOME_DIR/xdg"
    mkdir "$HOME_DIR/bin"
    cp "$BERTH_BUILD"/berth{,-monitor,-init,-image,-archive,-unpack,-fetch} "$HOME_DIR/bin/"
    make_layout "$HOME_DIR/layout" one > /dev/null
    rm "$HOME_DIR/layout.root/bin/true"
    for name in cat echo grep id ip ls mkdir nc ping rm sleep stat touch true; do
        ln -s busybox "$HOME_DIR/layout.root/bin/$name"
    done
    mkdir -p "$HOME_DIR/layout.root"/{etc/old,tmp,home/dan}
    echo 'root:x:0:0::/root:/bin/sh' > "$HOME_DIR/layout.root/etc/passwd"
    echo 'wheel:x:10:root' > "$HOME_DIR/layout.root/etc/group"
    echo 'dan:x:1000:1000::/home/dan:/bin/sh' >> "$HOME_DIR/layout.root/etc/passwd"
    touch "$HOME_DIR/layout.root/etc/old/file"
    chown 1000:1000 "$HOME_DIR/layout.root/home/dan"
    mknod "$HOME_DIR/layout.root/etc/device" c 1 3
    tar -C "$HOME_DIR/layout.root" -cf "$HOME_DIR/root.tar" .
    rm -rf "$HOME_DIR/layout" "$HOME_DIR/layout.root"
    chown -R "$USER_NAME:" "$HOME_DIR"
    user import -c 'CMD ["sh"]' root.tar small
}

teardown_file() {
    user rm -f -v $(user ps -aq) 2> /dev/null || true
    remove_account
    rm -rf "$HOME_DIR"
}

teardown() {
    local ids
    ids=$(user ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || user rm -f -v $ids
    wait_until 30 no_process_of "$USER_NAME"
    [ -z "$(ls "$HOME_DIR/.local/share/berth/containers")" ]
    [ -z "$(find "$HOME_DIR/xdg/berth" -mindepth 1 -type d ! -path '*/[@.]*')" ]
}

# As a login of that user would, without privileges of any kind.
as_user() {
    (cd "$HOME_DIR" && exec setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --init-groups \
        --inh-caps=-all --reset-env env HOME="$HOME_DIR" XDG_RUNTIME_DIR="$HOME_DIR/xdg" \
        USER="$USER_NAME" ASAN_OPTIONS="${ASAN_OPTIONS:-}" BERTH_STORAGE_DRIVER="${BERTH_STORAGE_DRIVER:-}" \
        PATH="$HOME_DIR/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@")
}
user() { as_user berth "$@"; }

namespace_of() { readlink "/proc/$(user inspect --format '{{.State.Pid}}' "$1")/ns/user"; }

@test "an ordinary user runs containers, with his subordinate ids" {
    run -3 user run --rm small sh -c 'id -u; cat /proc/self/uid_map; stat -c %u /home/dan; exit 3'
    [ "${lines[0]}" = 0 ]
    [ "$(echo "${lines[1]}" | tr -s ' ')" = " 0 $(id -u "$USER_NAME") 1" ]
    [ "$(echo "${lines[2]}" | tr -s ' ')" = " 1 2200000 65536" ]
    [ "${lines[3]}" = 1000 ]
    run -0 user run --rm -u dan small sh -c 'touch /home/dan/own && id -u'
    [ "$output" = 1000 ]
    run -0 user info --format '{{.Driver}} {{.DockerRootDir}} {{.RunDir}}'
    [[ "$output" == *" $HOME_DIR/.local/share/berth $HOME_DIR/xdg/berth" ]]
    [ "$(user info --format '{{json .SecurityOptions}}')" = '["name=seccomp,profile=builtin","name=rootless"]' ]
    [ "$(stat -c '%a %U' "$HOME_DIR/.local/share/berth")" = "700 $USER_NAME" ]
}

@test "each command of a user finds what the others started" {
    user run -d --name one small sh -c 'echo begun; exec sleep 100'
    user run -d --name two small sleep 100
    [ "$(namespace_of one)" = "$(namespace_of two)" ]
    [ "$(namespace_of one)" != "$(readlink /proc/self/ns/user)" ]
    run -0 user ps --format '{{.Names}}'
    [ "$(echo "$output" | sort)" = "one
two" ]
    run -0 user exec -u dan one id -u
    [ "$output" = 1000 ]
    run -0 user exec two grep -c . /proc/self/uid_map
    [ "$output" = 2 ]
    wait_until 20 eval '[ "$(user logs one)" = begun ]'
    # Also without a cgroup their processes are known.
    run -0 user top one
    expect_text "sleep 100"
    run -0 user stats --no-stream --format '{{.PIDs}}' one
    [ "$output" = 1 ]
    # The second container's monitor keeps the namespace when the first one's is gone.
    user rm -f one
    run -0 user exec two echo there
    [ "$output" = there ]
    user stop -t 0 two
    wait_until 30 no_process_of "$USER_NAME"
    user start two
    run -0 user exec two echo again
    [ "$output" = again ]
}

@test "first commands that start at once make one user namespace" {
    local names=(a1 a2 a3 a4) name pids=()
    for name in "${names[@]}"; do
        user run -d --name "$name" small sleep 100 &
        pids+=($!)
    done
    wait "${pids[@]}"
    [ "$(for name in "${names[@]}"; do namespace_of "$name"; done | sort -u | wc -l)" = 1 ]
    for name in "${names[@]}"; do user exec "$name" true; done
    # Files of commands that ended are removed by those that come later.
    [ "$(ls "$HOME_DIR/xdg/berth/@members" | wc -l)" -lt 40 ]
}

@test "what a container deleted and replaced is deleted in its image too" {
    user run --name one small sh -c 'rm -r /etc/old && mkdir /etc/old && touch /etc/old/new && rm /etc/passwd'
    run -0 user diff one
    [ "$output" = "C /etc
C /etc/old
D /etc/old/file
A /etc/old/new
D /etc/passwd" ]
    user commit one changed
    user save -o changed.tar changed
    user rmi changed
    user load -i changed.tar
    run -0 user run --rm changed sh -c 'ls /etc/old; ls /etc'
    [[ "$output" == "new
"* ]]
    [[ "$output" != *passwd* ]]
    run -0 user cp one:/etc/old/new -
    user cp - one:/tmp < <(tar -c --owner=7 --group=8 -C "$BATS_TEST_DIRNAME" helper.bash)
    [[ "$(user cp one:/tmp/helper.bash - | tar -tv --numeric-owner)" == "-rw"*" 7/8 "*" helper.bash" ]]
    run -0 user rmi changed
    run -0 user system check
}

@test "a volume is kept, and a folder of the user is his in the container" {
    mkdir "$HOME_DIR/folder"
    chown "$USER_NAME:" "$HOME_DIR/folder"
    user run --rm -v kept:/data -v "$HOME_DIR/folder:/folder" small sh -c 'echo kept > /data/f; touch /folder/f'
    [ "$(stat -c %U "$HOME_DIR/folder/f")" = "$USER_NAME" ]
    run -0 user run --rm -v kept:/data small cat /data/f
    [ "$output" = kept ]
    user system df
    user system prune -a -f --volumes
    # Images in use by nothing are gone; the next tests need one.
    user import root.tar small 2> "$HOME_DIR/warnings"
    grep -q "without its 1 devices, which only root may make" "$HOME_DIR/warnings"
}

@test "what an ordinary user cannot have is said in a sentence" {
    [ -e /sys/fs/cgroup/cgroup.procs ] || {
        run -0 --separate-stderr user run --rm -m 64m --pids-limit 5 small true
        [[ "$stderr" == *"not enforced, as this user may use no cgroup"*": memory.limit"*"pids.limit"* ]]
    }
    run -125 user run --rm --cgroup-parent /not/mine small true
    expect_text "this user may not make the cgroup"
    # A device by another name is the host's device; a score above zero stays without a word.
    run -0 --separate-stderr as_user sh -c 'echo 300 > /proc/self/oom_score_adj
        exec berth run --rm --device /dev/zero:/dev/nothing small \
            sh -c "cat /proc/self/oom_score_adj; stat -c %F,%t:%T /dev/nothing"'
    [ "$output" = "300
character special file,1:5" ]
    [ -z "$stderr" ]
    run -125 user run --rm --userns auto small true
    expect_text "--userns auto: an ordinary user's containers are in his user namespace already"
    run -1 as_user env XDG_RUNTIME_DIR=/run berth ps
    expect_text "'/run' is not yours, but of user 0: let XDG_RUNTIME_DIR name a folder of your own"
    chmod 777 "$HOME_DIR/xdg"
    run -1 user ps
    chmod 700 "$HOME_DIR/xdg"
    expect_text "can be written by others"
    run -1 as_user env -u HOME berth ps
    expect_text "neither HOME nor XDG_DATA_HOME is set"
}

# What follows in a mount namespace in which the user may use /dev/net/tun, as on most machines.
with_tun() {
    [ -c /dev/net/tun ] || skip "without /dev/net/tun there is no interface for slirp4netns"
    [ -e "$HOME_DIR/tun" ] || mknod -m 666 "$HOME_DIR/tun" c 10 200
    export -f as_user user
    # shellcheck disable=SC2016
    unshare -m bash -c 'mount --bind "$HOME_DIR/tun" /dev/net/tun && eval "$1"' bash "$1"
}

@test "slirp4netns is an ordinary user's network, and ends with the container" {
    run -0 with_tun "user run --rm small sh -c 'ip -o -4 addr; cat /etc/resolv.conf; ping -c 1 10.0.2.2'"
    expect_text "tap0    inet 10.0.2.100/24"
    expect_text "nameserver 10.0.2.3"
    expect_text "0% packet loss"
    run -0 with_tun "user run --rm --network none small ip -o -4 addr"
    [ "${#lines[@]}" = 1 ]
    with_tun "user run -d --name one small sleep 100"
    [ "$(user inspect --format '{{.HostConfig.NetworkMode}}' one)" = slirp4netns ]
    wait_until 20 pgrep -r S,R,D -u "$USER_NAME" slirp4netns
    pid=$(pgrep -r S,R,D -u "$USER_NAME" slirp4netns)
    # Its sandbox: a root without the user's files, and a seccomp filter.
    grep -q '^Seccomp:.2$' "/proc/$pid/status"
    [ ! -e "/proc/$pid/root$HOME_DIR" ]
    user kill one
    wait_until 30 no_process_of "$USER_NAME"
}

@test "slirp4netns is the network of an ordinary user's microVM too" {
    # Another one than this machine's, which may be among them.
    kernel=$(find "$BERTH_TEST_DATA/data/kernels" -mindepth 1 -maxdepth 1 ! -name "$(uname -r)" 2> /dev/null | head -1)
    [ -n "$kernel" ] || skip "no kernel for microVMs was imported"
    [ -x /usr/bin/qemu-system-x86_64 ] || skip "without QEMU it takes a KVM that he may use"
    cp "$BERTH_BUILD"/berth-{vmm,fs,agent} "$HOME_DIR/bin/"
    data=$(user info --format '{{.DockerRootDir}}')
    mkdir -p "$data/kernels"
    cp -r "$kernel" "$data/kernels/"
    chown -R "$USER_NAME:" "$data/kernels"
    run -0 with_tun "user run --rm --isolation microvm small sh -c 'ip -o -4 addr; ping -c 1 10.0.2.2'"
    expect_text "tap0    inet 10.0.2.100/24"
    expect_text " 0% packet loss"
}

@test "a published port leads into the container" {
    local port
    port=$(free_port)
    with_tun "user run -d --name one -p 127.0.0.1:$port:80 small sh -c 'while true; do echo served | nc -l -p 80; done'"
    wait_until 30 eval '[ "$(read_port '"$port"')" = served ]'
    [ "$(user ps --format '{{.Ports}}')" = "127.0.0.1:$port->80/tcp" ]
    run -0 user inspect --format '{{json .HostConfig.PortBindings}}' one
    [ "$output" = '{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"'"$port"'"}]}' ]
    [ "$(user port one)" = "80/tcp -> 127.0.0.1:$port" ]
    [ "$(user port one 80/tcp)" = "127.0.0.1:$port" ]
    run -125 with_tun "user run --rm -p 127.0.0.1:$port:80 small true"
    expect_text "--publish: port $port of 127.0.0.1 cannot be had"
    with_tun "user restart -t 0 one"
    wait_until 30 eval '[ "$(read_port '"$port"')" = served ]'
    user stop -t 0 one
    [ -z "$(user port one)" ]
    user rm -f one
    wait_until 20 eval '! read_port '"$port"
    run -125 user run --rm --network none -p "$port:80" small true
    expect_text "--publish: takes --network slirp4netns"
    # Without one of the machine's a free one, which it keeps.
    with_tun "user run -d --name two -p 127.0.0.1::80 -P --expose 79-80 small sh -c 'while true; do echo free | nc -l -p 80; done'"
    port=$(user port two 80)
    [[ $port == 127.0.0.1:* ]]
    [[ $(user port two 79) == 0.0.0.0:* ]]
    [ "$(user port two | wc -l)" = 2 ]
    wait_until 30 eval '[ "$(read_port '"${port#*:}"')" = free ]'
    user rm -f two
}

# What follows where the user may use /dev/fuse, as on most machines.
with_fuse() {
    [ -c /dev/fuse ] || skip "without /dev/fuse there is no fuse-overlayfs"
    [ -e "$HOME_DIR/fuse" ] || mknod -m 666 "$HOME_DIR/fuse" c 10 229
    export -f as_user user
    # shellcheck disable=SC2016
    BERTH_STORAGE_DRIVER=fuse-overlayfs unshare -m bash -c 'mount --bind "$HOME_DIR/fuse" /dev/fuse && eval "$1"' bash "$1"
}

@test "fuse-overlayfs is there for an ordinary user, with his ids" {
    run -0 with_fuse "user info --format '{{.Driver}}'"
    [ "$output" = fuse-overlayfs ]
    with_fuse "user run -d --name one -u dan small sh -c 'echo x > /home/dan/new; exec sleep 100'"
    wait_until 20 eval '[ -n "$(user exec one ls /home/dan)" ]'
    run -0 user exec -u 0 one sh -c 'stat -c "%u %n" /home/dan/new; rm -r /etc/old; mkdir /etc/old; rm /tmp/gone 2> /dev/null; id -u'
    [ "$output" = "1000 /home/dan/new
0" ]
    pgrep -r R,S -u "$USER_NAME" fuse-overlayfs
    run -0 user diff one
    [ "$output" = "C /etc
C /etc/old
D /etc/old/file
C /home
C /home/dan
A /home/dan/new" ]
    user kill one
    wait_until 30 no_process_of "$USER_NAME"
    echo put > "$HOME_DIR/put"
    chmod 644 "$HOME_DIR/put"
    with_fuse "user cp put one:/put"
    [ "$(with_fuse 'user cp one:/put -' | tar -xO)" = put ]
    user commit one changed
    run -0 user run --rm changed sh -c 'ls /etc/old; cat /put /home/dan/new'
    [ "$output" = "put
x" ]
    with_fuse "user start one"
    run -0 user exec one cat /put
    user rm -f one
    user rmi changed
    if ! as_user test -w /dev/fuse; then
        run -125 as_user env BERTH_STORAGE_DRIVER=fuse-overlayfs berth run --rm small true
        expect_text "BERTH_STORAGE_DRIVER: fuse-overlayfs needs /dev/fuse: Permission denied"
    fi
}

@test "a network that cannot be had is refused when it is asked for, and told by info" {
    as_user test ! -w /dev/net/tun || skip "everybody may use /dev/net/tun here"
    run -125 user run --rm --network slirp4netns small true
    expect_text "--network: slirp4netns needs /dev/net/tun: Permission denied"
    run -0 user run --rm small ip -o -4 addr
    [ "${#lines[@]}" = 1 ]
    run -0 user info
    expect_text "Network: none but loopback, as slirp4netns needs /dev/net/tun: Permission denied"
}

@test "without subordinate ids files of others are refused with what to do" {
    sed -i "/^$USER_NAME:/d" /etc/subuid /etc/subgid
    run -0 user run --rm small id -u
    [ "$output" = 0 ]
    run -1 user import root.tar other
    give_subordinate_ids
    expect_text "set the owner 1000:1000: no such ids in this user namespace"
    expect_text "/etc/subuid"
}
