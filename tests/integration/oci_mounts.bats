load helper
OCI_SECONDS=60

# Mounts of berth-oci: options, odd destinations, and changes to a running container.

setup() {
    make_bundle sh true sleep cat ls id grep stat touch readlink mount ln rm mkdir mv
    mkdir -p "$BUNDLE/rootfs/etc" "$BUNDLE/rootfs/tmp" "$BUNDLE/rootfs/data" "$BUNDLE/source/below"
    echo inside > "$BUNDLE/source/file"
    configure '.root.readonly = false'
}

teardown() {
    local id
    delete_containers
    for id in "$BUNDLE/source/below" "$BUNDLE/ro/below" "$BUNDLE/ro" "$BUNDLE/rootfs"; do
        while mountpoint -q "$id"; do umount "$id" || break; done
    done
}

adds() { configure ".mounts += [$1]"; }
list() { echo "$1" > "$BATS_TEST_TMPDIR/mounts.json"; }

@test "mounts add and remove change a running container" {
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/new/here", "type": "bind", "source": "source", "options": ["rbind", "ro"]},
        {"destination": "/data", "type": "tmpfs", "options": ["ro", "size=64k"]},
        {"destination": "/etc/one", "source": "source/file", "options": ["bind"]}]'
    oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live cat /new/here/file /etc/one
    [ "$output" = "inside
inside" ]
    run oci exec live touch /new/here/x
    expect_text "Read-only"
    run oci exec live touch /data/x
    expect_text "Read-only"
    run -1 grep /new/here /proc/self/mountinfo
    list '{"mounts": [{"destination": "/new/here"}, {"destination": "/data"}, {"destination": "/etc/one"}]}'
    oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'ls /new/here; cat /etc/one; touch /data/x'
    [ -z "$output" ]
    run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[0] on '/new/here': nothing is mounted there"
    oci kill live KILL
}

@test "mounts add makes all or none, and so does remove" {
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/data", "type": "tmpfs"}, {"destination": "/etc/one", "source": "source/file",
        "options": ["bind"]}, {"destination": "/tmp", "source": "source/file", "options": ["bind"]}]'
    run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[2] on '/tmp'"
    run -0 oci exec live sh -c 'grep -e " /data " -e " /etc/one " -e " /tmp " /proc/self/mountinfo; ls /etc/one'
    [ "$output" = /etc/one ]
    list '[{"destination": "/dev/shm"}, {"destination": "/data"}]'
    run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[1] on '/data': nothing is mounted there"
    run -0 oci exec live grep -c " /dev/shm " /proc/self/mountinfo
}

@test "mounts add and remove in a container with a user namespace" {
    map_root
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/data", "type": "tmpfs", "options": ["mode=700"]},
        {"destination": "/bound", "source": "source", "options": ["bind", "idmap"]}]'
    oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'touch /data/x /bound/y; stat -c "%u %g" /data /data/x /bound/file'
    [ "$output" = "0 0
0 0
0 0" ]
    [ "$(stat -c %u "$BUNDLE/source/y")" = 0 ]
    oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c 'ls /data /bound'
}

@test "what cannot be changed in a running container is told" {
    local file words
    runs 'sleep 1000'
    start_detached live
    while IFS='|' read -r file words; do
        list "$file"
        run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
        expect_text "$words"
        [ "${#lines[@]}" = 1 ]
    done << 'CASES'
[{"destination": "/p", "type": "proc"}]|mounts[0]: 'proc' on '/p' cannot be added to a running container
[{"destination": "/sys/fs/cgroup", "type": "cgroup"}]|cannot be added to a running container
[{"destination": "/dev", "type": "tmpfs"}]|mounts[0]: 'tmpfs' on '/dev' cannot be added
[{"destination": "/", "type": "overlay"}]|mounts[0].destination: is the root
[{"destination": "/x", "source": "nosuch", "options": ["bind"]}]|mounts[0] on '/x': bind of
[{"destination": "/proc/self/x", "source": "source", "options": ["bind"]}]|inside /proc
[{"type": "tmpfs"}]|mounts[0].destination: is missing
{}|mounts: is missing
[|
CASES
    for file in / /data/../..; do
        list "[{\"destination\": \"$file\"}]"
        run -1 oci mounts remove live "$BATS_TEST_TMPDIR/mounts.json"
        expect_text "the root cannot be removed"
    done
    oci kill live KILL
    wait_until 20 bash -c "[ \"\$(berth-oci --root $ROOT state live | jq -r .status)\" = stopped ]"
    list '[{"destination": "/data", "type": "tmpfs"}]'
    run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "container not running"
    run -1 oci mounts add nobody "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "does not exist"
}

@test "a container that swaps links meanwhile gets no mount outside of its root" {
    mkdir -p "$BATS_TEST_TMPDIR/outside"
    configure --arg script "mkdir /swap /real; while :; do ln -s /../../../../$BATS_TEST_TMPDIR/outside /swap/l;
        mv /swap/l /swap/d; rm -f /swap/d; mkdir /swap/d; rm -r /swap/d; done" \
        '.process.args = ["sh", "-c", $script]'
    local done_count=0
    start_detached swapper
    list '[{"destination": "/swap/d/new", "type": "tmpfs"}]'
    for _ in $(seq 40); do
        oci mounts add swapper "$BATS_TEST_TMPDIR/mounts.json" 2> /dev/null && done_count=$((done_count + 1))
    done
    [ "$done_count" -gt 0 ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/outside")" ]
    run grep -c "$BATS_TEST_TMPDIR/outside" /proc/self/mountinfo
    [ "$output" = 0 ]
}

@test "links: copy-symlink, src-nofollow, dest-nofollow" {
    ln -s nowhere/at/all "$BUNDLE/source/link"
    ln -s nowhere "$BUNDLE/rootfs/etc/link"
    ln -s nowhere "$BUNDLE/rootfs/etc/other"
    runs 'for f in /copied/a /bound /etc/other; do readlink $f; done; cat /etc/link /followed'
    adds '{destination: "/copied/a", type: "bind", source: "source/link", options: ["copy-symlink"]},
        {destination: "/bound", type: "bind", source: "source/link", options: ["bind", "src-nofollow"]},
        {destination: "/etc/other", type: "bind", source: "source/link", options: ["bind", "src-nofollow", "dest-nofollow"]},
        {destination: "/etc/link", type: "bind", source: "source/file", options: ["bind", "dest-nofollow"]},
        {destination: "/followed", type: "bind", source: "source/file", options: ["bind", "copy-symlink"]}'
    run -0 oci run -b "$BUNDLE" linked
    [ "$output" = "nowhere/at/all
nowhere/at/all
nowhere/at/all
inside
inside" ]
    # Again: the link that is there is the one that is wanted. Another is not.
    run -0 oci run -b "$BUNDLE" linked
    rm "$BUNDLE/rootfs/copied/a"
    ln -s elsewhere "$BUNDLE/rootfs/copied/a"
    run -1 oci run -b "$BUNDLE" linked
    expect_text "there is something else than a link to 'nowhere/at/all'"
    [ "$(readlink "$BUNDLE/rootfs/etc/link")" = nowhere ]
}

@test "links are copied for a user namespace, too" {
    ln -s nowhere/at/all "$BUNDLE/source/link"
    adds '{destination: "/copied/a", type: "bind", source: "source/link", options: ["copy-symlink"]}'
    map_root
    runs 'readlink /copied/a'
    run -0 oci run -b "$BUNDLE" linked
    [ "$output" = nowhere/at/all ]
}

@test "id maps of an option, of a mount and of the container" {
    chown 1000:1000 "$BUNDLE/source/file"
    runs 'stat -c %u:%g /a /c'
    adds '{destination: "/a", source: "source/file", options: ["bind", "idmap=uids=1000-5000-10;gids=1000-6000-1"]},
        {destination: "/c", source: "source/file", options: ["bind"],
         uidMappings: [{containerID: 1000, hostID: 11, size: 1}], gidMappings: [{containerID: 1000, hostID: 12, size: 1}]}'
    run -0 oci run -b "$BUNDLE" mapped
    [ "$output" = "5000:6000
11:12" ]
    map_root
    configure '.mounts |= .[:-2]'
    runs 'stat -c %u:%g /a /c'
    adds '{destination: "/a", source: "source/file", options: ["bind", "idmap=uids=@1000-5000-10;gids=@1000-6000-1"]},
        {destination: "/c", source: "source/file", options: ["bind", "idmap"]}'
    run -0 oci run -b "$BUNDLE" mapped
    [ "$output" = "5000:6000
1000:1000" ]
    configure '.mounts[-1].options = ["bind", "idmap=uids=@70000-70000-1"]'
    run -1 oci run -b "$BUNDLE" mapped
    expect_text "mapping '@70000-70000-1': no mapping of the user namespace has the ids 70000 to 70000"
}

@test "id maps of a file system in memory" {
    runs 'stat -c %u:%g /b'
    adds '{destination: "/b", type: "tmpfs", options: ["mode=755", "idmap=uids=0-7-1;gids=0-8-1"]}'
    run oci run -b "$BUNDLE" mapped
    if [[ "$output" = *"on '/b': tmpfs: set the id map (not every file system can)"* ]]; then
        # That one can since Linux 6.3.
        [ "$status" = 1 ]
        skip "this kernel has no id maps for tmpfs"
    fi
    expect_status 0
    [ "$output" = 7:8 ]
    map_root
    configure '.mounts[-1].options = ["mode=755", "idmap"]'
    runs 'stat -c %u:%g /b; touch /b/x; stat -c %u:%g /b/x'
    run -0 oci run -b "$BUNDLE" mapped
    [ "$output" = "0:0
0:0" ]
}

@test "every attribute reaches its mount, recursive ones those below" {
    mount -t tmpfs tmpfs "$BUNDLE/source/below"
    runs 'grep " /m[0-9]" /proc/self/mountinfo | cut -d" " -f5,6'
    adds '{destination: "/m1", source: "source", options: ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rnosymfollow"]},
        {destination: "/m2", source: "source", options: ["rbind", "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"]},
        {destination: "/m3", source: "source", options: ["bind", "strictatime", "silent", "loud", "remount", "defaults"]},
        {destination: "/m4", type: "tmpfs", options: ["sync", "dirsync", "lazytime", "ro", "rw"]}'
    run -0 oci run -b "$BUNDLE" flags
    echo "$output"
    [ "$output" = "/m1 ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow
/m1/below ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow
/m2 ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow
/m2/below rw,relatime
/m3 rw
/m4 rw,relatime" ]
    umount "$BUNDLE/source/below"
}

@test "a flag that the host has locked stays in a user namespace" {
    mkdir "$BUNDLE/ro"
    mount -t tmpfs -o ro,nosuid,nodev tmpfs "$BUNDLE/ro"
    map_root
    runs 'grep " /m " /proc/self/mountinfo | cut -d" " -f6'
    adds '{destination: "/m", source: "ro", options: ["bind"]}'
    run -0 oci run -b "$BUNDLE" locked
    [ "$output" = ro,nosuid,nodev,relatime ]
    configure '.mounts[-1].options = ["bind", "noexec"]'
    run -0 oci run -b "$BUNDLE" locked
    [ "$output" = ro,nosuid,nodev,noexec,relatime ]
    local words
    for words in rw:ro suid:nosuid dev:nodev noatime:relatime; do
        configure --arg word "${words%:*}" '.mounts[-1].options = ["bind", $word]'
        run -1 oci run -b "$BUNDLE" locked
        expect_text "mounts[$(jq '.mounts | length - 1' "$BUNDLE/config.json")] on '/m'"
        expect_text "'${words%:*}': the source is mounted with '${words#*:}', which is locked in the user namespace"
    done
    umount "$BUNDLE/ro"
}

# A mount of the host's, with one below, that may neither be written to nor hold devices. Their file
# system is one that takes id maps also before Linux 6.3.
make_read_only_mount() {
    mkdir -p "$BUNDLE/ro/below" "$BUNDLE/lower"
    mount -o bind,nosuid,nodev "$BUNDLE/ro" "$BUNDLE/ro"
    mount -o bind,ro,nosuid,nodev "$BUNDLE/lower" "$BUNDLE/ro/below"
    mount -o remount,bind,ro,nosuid,nodev "$BUNDLE/ro"
}
# What a container with all rights over its own mounts can change about those given to it.
UNDO='undo() { mount -o remount,bind,$2 none $1 2> /dev/null && echo "$1 became $2"; }
    for place in $PLACES; do
        undo $place rw,nosuid,nodev; undo $place ro,suid,nodev; undo $place ro,nosuid,dev
    done
    mount -t tmpfs -o ro none /data && undo /data rw && echo tried'

@test "root of a user namespace cannot undo the flags of the host's mounts" {
    local pid
    make_read_only_mount
    map_root
    configure '.process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN"])'
    mkdir "$BUNDLE/rootfs/"{one,all,mapped,linked,proc,sys,dev}
    adds '{destination: "/one", source: "ro/below", options: ["bind"]},
        {destination: "/all", source: "ro", options: ["rbind", "rslave"]},
        {destination: "/mapped", source: "ro/below", options: ["bind", "idmap"]},
        {destination: "/linked", source: "ro/below", options: ["bind", "src-nofollow", "noexec"]}'
    mount --bind "$BUNDLE/rootfs" "$BUNDLE/rootfs"
    mount -o remount,bind,ro,nosuid,nodev "$BUNDLE/rootfs"
    runs "PLACES='/ /one /all /all/below /mapped /linked'; $UNDO"
    run -0 oci run -b "$BUNDLE" locked
    [ "$output" = "/data became rw
tried" ]
    # The same where the user namespace is another container's.
    cp "$BUNDLE/config.json" "$BUNDLE/mine"
    runs 'sleep 1000'
    start_detached owner
    pid=$(oci state owner | jq .pid)
    mv "$BUNDLE/mine" "$BUNDLE/config.json"
    configure --arg path "/proc/$pid/ns/user" 'del(.linux.uidMappings, .linux.gidMappings) |
        (.linux.namespaces[] | select(.type == "user")).path = $path | .mounts |= map(select(.destination != "/mapped"))'
    runs "PLACES='/ /one /all /all/below /linked'; $UNDO"
    run -0 oci run -b "$BUNDLE" locked
    [ "$output" = "/data became rw
tried" ]
}

@test "nor of those that are added later" {
    make_read_only_mount
    map_root
    configure '.process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN"])'
    runs 'sleep 1000'
    start_detached live
    list '[{"destination": "/one", "source": "ro/below", "options": ["bind"]},
        {"destination": "/all", "source": "ro", "options": ["rbind"]},
        {"destination": "/mapped", "source": "ro/below", "options": ["bind", "idmap"]}]'
    oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    run -0 oci exec live sh -c "PLACES='/one /all /all/below /mapped'; $UNDO"
    [ "$output" = "/data became rw
tried" ]
    # A mount below would be uncovered.
    list '[{"destination": "/uncovered", "source": "ro", "options": ["bind"]}]'
    run -1 oci mounts add live "$BATS_TEST_TMPDIR/mounts.json"
    expect_text "mounts[0] on '/uncovered': bind of '$(realpath "$BUNDLE")/ro': it cannot be copied alone"
}

@test "what root of a user namespace mounts in a shared mount stays inside" {
    make_read_only_mount
    mount --make-rshared "$BUNDLE/ro"
    map_root
    configure '.linux.rootfsPropagation = "shared" | .process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN"])'
    adds '{destination: "/all", source: "ro", options: ["rbind"]}'
    runs 'sleep 1000'
    start_detached sharing
    oci exec sharing mount -t tmpfs none /all
    run -0 grep -c "$BUNDLE/ro " /proc/self/mountinfo
    [ "$output" = 1 ]
    # The other way it goes.
    mount -t tmpfs -o size=64k tmpfs "$BUNDLE/ro/below"
    run -0 oci exec sharing grep -c " /all/below .*size=64k" /proc/self/mountinfo
    [ "$output" = 1 ]
    umount "$BUNDLE/ro/below"
}

@test "a bind without flags has those of its source, one with flags only those" {
    mkdir "$BUNDLE/ro"
    mount -t tmpfs -o noatime tmpfs "$BUNDLE/ro"
    mount -o remount,bind,ro,nosuid,noexec,nodiratime,noatime "$BUNDLE/ro"
    runs 'grep " /m[0-9] " /proc/self/mountinfo | cut -d" " -f6'
    adds '{destination: "/m1", source: "ro", options: ["bind", "rprivate"]},
        {destination: "/m2", source: "ro", options: ["bind", "nodev"]},
        {destination: "/m3", source: "ro", options: ["bind", "rw", "relatime"]}'
    run -0 oci run -b "$BUNDLE" flags
    umount "$BUNDLE/ro"
    [ "$output" = "ro,nosuid,noexec,noatime,nodiratime
rw,nodev,noatime,nodiratime
rw,relatime" ]
}

@test "odd destinations: relative, missing, of another kind, inside of /proc" {
    runs 'cat /here/there/file /proc/uptime; ls /made'
    adds '{destination: "here/./there/", source: "source", options: ["bind"]},
        {destination: "/proc/uptime", source: "source/file", options: ["bind"]},
        {destination: "/made", source: "source/below", options: ["bind"]}'
    run -0 oci run -b "$BUNDLE" odd
    [ "$output" = "inside
inside" ]
    local mount words
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
    while IFS='|' read -r mount words; do
        cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
        adds "$mount"
        run -1 oci run -b "$BUNDLE" odd
        expect_text "$words"
        [ "${#lines[@]}" = 1 ]
        [ ! -e "$ROOT/odd" ]
    done << 'CASES'
{destination: "/tmp", source: "source/file", options: ["bind"]}|the source is a file, the destination is not
{destination: "/proc/version", source: "source/file", options: ["bind"]}|cannot be mounted because it is inside /proc
{destination: "/x", source: "source", options: ["bind", "rwx"]}|bind mounts cannot have any filesystem-specific options applied
{destination: "/x", source: "nosuch", options: ["bind"]}|bind of
{destination: "/x", type: "tmpfs", options: ["src-nofollow"]}|'copy-symlink' and 'src-nofollow' are for binds only
{destination: "/x", source: "source", options: ["bind", "copy-symlink", "src-nofollow"]}|'copy-symlink' excludes 'src-nofollow'
{destination: "/x", type: "tmpfs", options: ["size=banana"]}|Bad value
{destination: "/x", type: "sysfs", options: ["idmap=uids=0-1-1;gids=0-1-1"]}|'sysfs' cannot be id-mapped
CASES
    cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
    rmdir "$BUNDLE/rootfs/proc"
    ln -s /tmp "$BUNDLE/rootfs/proc"
    run -1 oci run -b "$BUNDLE" odd
    expect_text 'must be mounted on ordinary directory'
}

@test "options of a file system have no effect on a bind, which is told" {
    runs 'cat /x/file; touch /x/new'
    adds '{destination: "/x", source: "source", options: ["bind", "mode=755", "ro"]}'
    run -1 oci run -b "$BUNDLE" odd
    expect_text "mounts[7].options: 'mode=755' has no effect on a bind mount, going on without"
    expect_text inside
    expect_text 'Read-only'
}

@test "without a mount namespace all mounts are there, and nothing of them is on the host" {
    local own all='["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"]'
    own=$(readlink /proc/self/ns/mnt)
    before=$(cat /proc/self/mountinfo)
    configure --argjson all "$all" '.linux.namespaces |= map(select(.type != "mount")) |
        .process.capabilities |= map_values($all)'
    adds '{destination: "/x", source: "source", options: ["rbind", "ro"]}'
    cp "$BERTH_BUILD/tests/payload/payload" "$BUNDLE/rootfs/bin/payload"
    # In mounts that are attached nowhere nothing can be mounted.
    runs 'cat /x/file; touch /x/new; ls /dev/null /dev/pts/ptmx /proc/self/stat
        [ -s /proc/timer_list ] || echo masked; cat /proc/self/mountinfo; mount -t tmpfs x /tmp 2> /dev/null || echo refused
        payload climb /data usr; payload climb /data x/file'
    run -0 oci run -b "$BUNDLE" hosts
    [ "$output" = "inside
touch: /x/new: Read-only file system
/dev/null
/dev/pts/ptmx
/proc/self/stat
masked
refused
no
yes" ]
    runs 'sleep 1000'
    start_detached hosts
    [ "$(readlink "/proc/$(oci state hosts | jq .pid)/ns/mnt")" = "$own" ]
    run -0 oci exec hosts sh -c 'readlink /proc/self/ns/mnt; cat /x/file; ls -d /usr; payload climb /data usr'
    [ "$output" = "$own
inside
ls: /usr: No such file or directory
no" ]
    list '[{"destination": "/data", "type": "tmpfs"}]'
    run -1 oci mounts add hosts "$BATS_TEST_TMPDIR/mounts.json"
    expect_text 'changing mounts cannot be done without a mount namespace of the container'
    oci delete -f hosts
    wait_until 20 eval '[ "$(cat /proc/self/mountinfo)" = "$before" ]' || diff <(echo "$before") /proc/self/mountinfo
    map_root
    run -1 oci run -b "$BUNDLE" hosts
    expect_text "linux.namespaces: 'mount' is missing, and root of a user namespace"
}

@test "a bound /dev is taken as it is" {
    configure '.mounts |= map(select(.destination | startswith("/dev") | not)) |
        .mounts += [{destination: "/dev", type: "bind", source: "/dev", options: ["rbind", "rslave"]}]'
    before=$(ls -A /dev)
    runs 'echo x > /dev/null && test -c /dev/zero && echo fine'
    run -0 oci run -b "$BUNDLE" hostdev
    [ "$output" = fine ]
    [ "$(ls -A /dev)" = "$before" ]
}

@test "cgroups are seen in every combination of namespaces, read-only or not" {
    local namespace user options
    for user in no yes; do
        for namespace in no yes; do
            for options in ro rw; do
                cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
                [ $user = no ] || map_root
                # On pure v2 the default configuration has one already.
                configure '.linux.namespaces |= map(select(.type != "cgroup"))'
                [ $namespace = no ] || configure '.linux.namespaces += [{type: "cgroup"}]'
                configure ".mounts |= map(if .type == \"cgroup\" then
                    .options = [\"nosuid\", \"noexec\", \"nodev\", \"$options\"] else . end)"
                runs 'cd /sys/fs/cgroup && for d in . *; do
                    ls $d/cgroup.procs $d/tasks 2> /dev/null; done | grep -c . ; id -u'
                echo "user namespace: $user, cgroup namespace: $namespace, $options"
                run -0 oci run -b "$BUNDLE" cgrouped
                [ "${lines[0]}" -ge 1 ]
                cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
            done
        done
    done
}

@test "devpts works in a user namespace that has no group 5" {
    configure '.linux.namespaces += [{type: "user"}] |
        .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1}] |
        .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs"
    runs 'test -e /dev/pts/ptmx && echo fine'
    run -0 oci run -b "$BUNDLE" pts
    [ "$output" = fine ]
}

@test "a mount label without SELinux is warned about" {
    [ ! -e /sys/fs/selinux/enforce ] || skip "SELinux is enabled"
    configure '.linux.mountLabel = "system_u:object_r:container_file_t:s0"'
    runs 'echo fine'
    run -0 oci run -b "$BUNDLE" labelled
    expect_text "linux.mountLabel: SELinux is not enabled on this machine"
    expect_text fine
    configure '.annotations["run.oci.mount_context_type"] = "moon"'
    run -1 oci run -b "$BUNDLE" labelled
    expect_text "annotation run.oci.mount_context_type: 'moon' is not one of"
}

@test "the root's propagation is as configured" {
    local word expected
    runs 'sed -n "s|^[^ ]* [^ ]* [^ ]* [^ ]* / [^ ]* \(.*\)- .*|:\1|p" /proc/self/mountinfo'
    ln -s busybox "$BUNDLE/rootfs/bin/sed"
    while IFS='|' read -r word expected; do
        configure ".linux.rootfsPropagation = \"$word\""
        run -0 oci run -b "$BUNDLE" propagated
        [[ "$output" =~ ^$expected$ ]] || {
            echo "$word: '$output', expected '$expected'"
            return 1
        }
    done << 'CASES'
private|:
rprivate|:
slave|:
rslave|:
shared|:shared:[0-9]+ 
rshared|:shared:[0-9]+ 
unbindable|:unbindable 
runbindable|:unbindable 
CASES
}

@test "devices of every type, with mode and owner; a wrong file in their place is told" {
    configure '.linux.devices = [
        {path: "/dev/one", type: "c", major: 10, minor: 229, fileMode: 432, uid: 3, gid: 4},
        {path: "/dev/below/two", type: "b", major: 7, minor: 9},
        {path: "/dev/three", type: "p", fileMode: 384},
        {path: "/outside/four", type: "u", major: 1, minor: 3}]'
    runs 'stat -c "%A %u %g %t:%T" /dev/one /dev/below/two /dev/three /outside/four'
    run -0 oci run -b "$BUNDLE" noded
    [ "$output" = "crw-rw---- 3 4 a:e5
brw-rw-rw- 0 0 7:9
prw------- 0 0 0:0
crw-rw-rw- 0 0 1:3" ]
    rm "$BUNDLE/rootfs/outside/four"
    touch "$BUNDLE/rootfs/outside/four"
    run -1 oci run -b "$BUNDLE" noded
    expect_text "linux.devices[3] '/outside/four': there is something else of that name"
    [ -z "$(find "$BUNDLE/rootfs/outside" -type c)" ]
}

@test "in a user namespace devices are the host's nodes, verified" {
    map_root
    configure '.linux.devices = [{path: "/dev/full", type: "c", major: 1, minor: 7}]'
    runs 'stat -c "%t:%T" /dev/null /dev/full'
    run -0 oci run -b "$BUNDLE" noded
    [ "$output" = "1:3
1:7" ]
    configure '.linux.devices[0].minor = 5'
    run -1 oci run -b "$BUNDLE" noded
    expect_text "'/dev/full' of the host is another device"
}

@test "sysctls of the container's namespaces are set, others are refused" {
    configure '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel/msgmax": "12345"}'
    runs 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax'
    run -0 oci run -b "$BUNDLE" tuned
    [ "$output" = "1
12345" ]
    local name words
    while IFS='|' read -r name words; do
        configure --arg name "$name" '.linux.sysctl = {($name): "1"}'
        run -1 oci run -b "$BUNDLE" tuned
        expect_text "linux.sysctl: '$name' $words"
    done << 'CASES'
kernel.pid_max|belongs to no namespace, it would change the host
vm/swappiness|belongs to no namespace, it would change the host
kernel.hostname|is set by the member 'hostname'
net/../kernel/x|is not the name of a setting
user.max_user_namespaces|needs the container's own user namespace
CASES
}

@test "masked paths share one read-only directory; what is missing is left out" {
    mkdir -p "$BUNDLE/rootfs/hidden/below" "$BUNDLE/rootfs/other"
    echo secret > "$BUNDLE/rootfs/hidden/file"
    configure '.linux.maskedPaths = ["/hidden", "/other", "/etc/secret", "/nosuch"] |
        .linux.readonlyPaths = ["/data", "/nosuch"]'
    echo secret > "$BUNDLE/rootfs/etc/secret"
    runs 'ls /hidden; cat /etc/secret; stat -c %d /hidden /other; touch /data/x; touch /hidden/x'
    run oci run -b "$BUNDLE" masked
    [ "${lines[0]}" = "${lines[1]}" ]
    expect_text "touch: /data/x: Read-only file system"
    expect_text "touch: /hidden/x: Read-only file system"
    [[ "$output" != *secret* ]]
}

@test "a bind from inside of the root has the mounts that earlier entries made there" {
    local who
    mkdir -p "$BUNDLE/source/below" "$BUNDLE/other" "$BUNDLE/hidden/secret" "$BUNDLE/rootfs/from" "$BUNDLE/rootfs/copy"
    echo other > "$BUNDLE/other/name"
    # A link of the image cannot lead out of it.
    ln -s "$BUNDLE/hidden" "$BUNDLE/rootfs/way-out"
    bundle=$(realpath "$BUNDLE")
    adds '{destination: "/from", type: "bind", source: "source", options: ["rbind"]},
        {destination: "/from/below", type: "bind", source: "other", options: ["rbind"]},
        {destination: "'"$bundle"'/rootfs/copy", type: "bind", source: "rootfs/from", options: ["rbind", "rprivate"]},
        {destination: "/again", type: "bind", source: "'"$bundle"'/rootfs/copy/below", options: ["bind", "ro"]}'
    runs 'cat /copy/file /copy/below/name /again/name; ls -d /way-out/secret'
    for who in root user; do
        [ $who = root ] || { map_root; chmod 755 "$BATS_TEST_TMPDIR" "$BUNDLE"; chmod 700 "$BUNDLE/source" "$BUNDLE/other"; chown 100000 "$BUNDLE/source" "$BUNDLE/other"; }
        run -1 oci run -b "$BUNDLE" inside
        [ "$(echo "$output" | head -3)" = "inside
other
other" ]
    done
    adds '{destination: "/out", type: "bind", source: "rootfs/way-out/secret", options: ["bind"]}'
    run -1 oci run -b "$BUNDLE" inside
    expect_text "on '/out': bind of '$bundle/rootfs/way-out/secret'"
    expect_text "No such file or directory"
    [ ! -e "$BUNDLE/source/below/name" ]
}
