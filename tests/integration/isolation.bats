load helper

teardown() { remove_all; }

@test "files written in one container are not in the image nor in the next container" {
    berth run --rm busybox sh -c 'echo x > /stain; rm /etc/group'
    run -0 berth run --rm busybox sh -c 'test ! -e /stain && test -e /etc/group && echo clean'
    [ "$output" = clean ]
}

@test "a container keeps its files over stop and start" {
    run -0 berth run --name keeper busybox sh -c 'echo x >> /kept; wc -l < /kept'
    [ "$output" = 1 ]
    run -0 berth start -a keeper
    [ "$output" = 2 ]
    [ -n "${BERTH_ISOLATION:-}" ] ||
        [ "$(wc -l < "$(field keeper .GraphDriver.Data.UpperDir)/kept")" = 2 ]
}

@test "capabilities are Docker's default set, and --cap-add, --cap-drop change it" {
    caps() { berth run --rm "$@" busybox sed -n 's/^CapEff:\t//p' /proc/self/status; }
    [ "$(caps)" = 00000000a80425fb ]
    [ "$(caps --cap-drop ALL)" = 0000000000000000 ]
    [ "$(caps --cap-drop ALL --cap-add NET_BIND_SERVICE)" = 0000000000000400 ]
    [ "$(caps --cap-add SYS_ADMIN)" = 00000000a82425fb ]
    [ "$(caps -u 1000)" = 0000000000000000 ]
    run -0 berth run --rm busybox sh -c 'grep -E "CapInh|CapAmb" /proc/self/status | cut -f2'
    [ "${lines[0]}" = 0000000000000000 ]
    [ "${lines[1]}" = 0000000000000000 ]
    run -125 berth run --rm --cap-add NO_SUCH_CAP busybox true
}

@test "a seccomp filter is there, and is gone with seccomp=unconfined" {
    run -0 berth run --rm busybox sed -n 's/^Seccomp:\t//p' /proc/self/status
    [ "$output" = 2 ]
    run -0 berth run --rm --security-opt seccomp=unconfined busybox sed -n 's/^Seccomp:\t//p' /proc/self/status
    [ "$output" = 0 ]
    run berth run --rm --cap-add SYS_ADMIN busybox unshare -m true
    expect_status 0
    run berth run --rm busybox unshare -m true
    [ "$status" != 0 ]
    expect_text "Operation not permitted"
}

@test "the default seccomp profile bars what Docker's bars" {
    call() { berth run --rm -v "$BERTH_BUILD/tests/payload/payload:/payload" busybox /payload syscall "$@"; }
    [ "$(call 250 0 0 0)" = EPERM ]   # keyctl
    [ "$(call 435 0 0)" = ENOSYS ]    # clone3: libc falls back
    [ "$(call 425 1 0)" = EPERM ]     # io_uring_setup
    [ "$(call 321 0 0 0)" = EPERM ]   # bpf
    [ "$(call 41 38 5 0)" = EPERM ]   # socket: AF_ALG
    [ "$(call 41 40 1 0)" = EPERM ]   # socket: AF_VSOCK
    [ "$(call 135 0x40000)" = EPERM ] # personality: ADDR_NO_RANDOMIZE
    [ "$(call 135 8)" = ok ]
    [ "$(call 39)" = ok ]             # getpid
}

@test "masked paths read as nothing, read-only ones cannot be written" {
    run -0 berth run --rm busybox sh -c 'for f in kcore keys timer_list interrupts; do test ! -e /proc/$f || wc -c < /proc/$f; done; ls /sys/firmware | wc -l'
    [ "${#lines[@]}" -ge 3 ]
    for line in "${lines[@]}"; do [ "$line" = 0 ]; done
    run berth run --rm busybox sh -c 'echo b > /proc/sysrq-trigger'
    [ "$status" != 0 ]
    run berth run --rm busybox sh -c 'echo 1 > /proc/sys/kernel/panic'
    [ "$status" != 0 ]
    run berth run --rm busybox sh -c 'mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x'
    [ "$status" != 0 ]
}

@test "/dev is Docker's: nodes, links, pts, shm, mqueue" {
    run -0 berth run --rm busybox sh -c 'cd /dev; ls -1 | sort | tr "\n" " "; echo; ls -l null zero full random urandom tty | cut -c1-10 | sort -u; readlink fd; readlink stdin; readlink ptmx'
    [ "${lines[0]}" = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero " ]
    [ "${lines[1]}" = crw-rw-rw- ]
    [ "${lines[2]}" = /proc/self/fd ]
    [ "${lines[4]}" = pts/ptmx ]
    run -0 berth run --rm --shm-size 8m busybox df -k /dev/shm
    expect_text 8192
}

@test "--privileged lifts the walls, --security-opt no-new-privileges raises one" {
    run -0 berth run --rm --privileged busybox sh -c 'sed -n "s/^Seccomp:\t//p" /proc/self/status; test -c /dev/kmsg && echo kmsg; mount -t tmpfs x /home && echo mounted'
    [ "${lines[0]}" = 0 ]
    [ "${lines[1]}" = kmsg ]
    [ "${lines[2]}" = mounted ]
    run -0 berth run --rm --security-opt no-new-privileges busybox sed -n 's/^NoNewPrivs:\t//p' /proc/self/status
    [ "$output" = 1 ]
    run -0 berth run --rm busybox sed -n 's/^NoNewPrivs:\t//p' /proc/self/status
    [ "$output" = 0 ]
}

@test "--read-only makes the root read-only, --tmpfs gives a place to write" {
    run berth run --rm --read-only busybox touch /x
    [ "$status" != 0 ]
    expect_text "Read-only"
    run -0 berth run --rm --read-only --tmpfs /scratch:size=1m busybox sh -c 'echo y > /scratch/x; cat /scratch/x; df -k /scratch | tail -1'
    [ "${lines[0]}" = y ]
    expect_text 1024
}

@test "volumes: bind, read-only bind, named, anonymous, --mount, --volumes-from" {
    echo host > "$BATS_TEST_TMPDIR/file"
    run -0 berth run --rm -v "$BATS_TEST_TMPDIR:/data" busybox sh -c 'cat /data/file; echo back > /data/new'
    [ "$output" = host ]
    [ "$(cat "$BATS_TEST_TMPDIR/new")" = back ]
    run berth run --rm -v "$BATS_TEST_TMPDIR:/data:ro" busybox touch /data/no
    [ "$status" != 0 ]
    run -0 berth run --rm --mount "type=bind,source=$BATS_TEST_TMPDIR/file,target=/one,readonly" busybox cat /one
    [ "$output" = host ]
    run -125 berth run --rm --mount "type=bind,source=$BATS_TEST_TMPDIR/none,target=/one" busybox true
    berth run --rm -v shared:/s busybox sh -c 'echo kept > /s/f'
    run -0 berth run --name owner -v shared:/s busybox cat /s/f
    [ "$output" = kept ]
    run -0 berth run --rm --volumes-from owner busybox cat /s/f
    [ "$output" = kept ]
    run -125 berth run --rm -v relative/path:/s busybox true
}

@test "a working directory that is a way to the host is refused" {
    for fd in 3 4 5 6 7 8 9; do
        run berth run --rm -w "/proc/self/fd/$fd" busybox ls
        [ "$status" != 0 ]
    done
}

@test "only the standard streams are open in the program" {
    exec 7< /etc/passwd
    run -0 berth run --rm busybox sh -c 'ls /proc/self/fd | wc -l'
    exec 7<&-
    # 0, 1, 2 and the directory that ls itself has open
    [ "$output" = 4 ]
}

@test "the runtime's own file cannot be opened for writing from inside" {
    before=$(sha256sum "$BERTH_BUILD/berth" "$BERTH_BUILD/berth-monitor" "$BERTH_BUILD/berth-oci")
    berth run --rm --privileged --pid host debian python3 -c '
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if "berth" in open(f"/proc/{pid}/comm").read():
            with open(f"/proc/{pid}/exe", "r+b") as f: f.write(b"X")
    except OSError as e:
        pass
' || true
    [ "$(sha256sum "$BERTH_BUILD/berth" "$BERTH_BUILD/berth-monitor" "$BERTH_BUILD/berth-oci")" = "$before" ]
    # It runs, or finds no loader; its file is on a read-only mount that is nowhere else.
    run ! berth run --rm --entrypoint /proc/self/exe busybox run
    [ "$(sha256sum "$BERTH_BUILD/berth" "$BERTH_BUILD/berth-monitor" "$BERTH_BUILD/berth-oci")" = "$before" ]
}

@test "--sysctl sets what is the container's own and refuses what is the host's" {
    run -0 berth run --rm --sysctl net.ipv4.ip_forward=1 busybox cat /proc/sys/net/ipv4/ip_forward
    [ "$output" = 1 ]
    run -125 berth run --rm --sysctl kernel.panic=5 busybox true
    expect_text kernel.panic
}

@test "mounts of a container never appear on the host" {
    before=$(mounts)
    id=$(berth run -d busybox sleep 600)
    wait_until 20 eval '[ "$(mounts)" = "$before" ]' || diff <(echo "$before") <(mounts)
    berth rm -f "$id"
}

@test "--oom-score-adj is set" {
    run -0 berth run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj
    [ "$output" = 500 ]
}

@test "--userns auto: root inside is an ordinary id outside, layers and volumes follow" {
    id=$(berth run -d --name mapped --userns auto -v mapped-volume:/data -v "$BATS_TEST_TMPDIR:/mine" busybox \
        sh -c 'touch /x /data/y; touch /mine/z || echo refused; sleep 600')
    wait_until 20 bash -c 'berth logs mapped 2>&1 | grep -q refused'
    pid=$(field mapped .State.Pid)
    outside=$(stat -c %u "/proc/$pid")
    [ "$outside" -ge 1000000 ]
    [ "$(berth exec mapped stat -c %u /etc/passwd /x /data/y | sort -u)" = 0 ]
    [ "$(stat -c %u "$BERTH_DATA/volumes/mapped-volume/_data/y")" = 0 ]
    [ "$(stat -c %u "$BERTH_DATA/containers/$id/upper/x")" = "$outside" ]
    run -0 berth exec mapped sh -c 'id -u; cat /proc/sys/kernel/hostname'
    [ "${lines[0]}" = 0 ]
    run -125 berth run --rm --userns nonsense busybox true
    berth rm -f mapped
    [ -z "$(berth_cgroups)" ]
}

@test "--pid and --ipc container:NAME join another container" {
    berth run -d --name first busybox sleep 600 > /dev/null
    run -0 berth run --rm --pid container:first --ipc container:first busybox sh -c 'ps | grep -c "[s]leep 60"; readlink /proc/self/ns/ipc'
    [ "${lines[0]}" = 1 ]
    [ "${lines[1]}" = "$(readlink "/proc/$(field first .State.Pid)/ns/ipc")" ]
}

@test "--network container:NAME: one loopback, the host name and the hosts of the other" {
    berth run -d --name front -h harbour --add-host db:10.1.2.3 busybox httpd -f -h /etc > /dev/null
    run -0 berth run --rm --network container:front busybox sh -c \
        'wget -qO- localhost/hostname; hostname; grep db /etc/hosts; readlink /proc/self/ns/net'
    [ "${lines[0]}" = harbour ]
    [ "${lines[1]}" = harbour ]
    [ "${lines[2]}" = "$(printf '10.1.2.3\tdb')" ]
    [ "${lines[3]}" = "$(readlink "/proc/$(field front .State.Pid)/ns/net")" ]

    # By its id, whatever it is called later; and of what runs when the other starts.
    berth run -d --name beside --network container:front busybox sleep 600 > /dev/null
    [ "$(field beside .HostConfig.NetworkMode)" = "container:$(field front .Id)" ]
    [ "$(berth inspect -f '{{json .NetworkSettings.Networks}}' beside)" = '{}' ]
    berth rename front back
    berth stop -t 0 back beside > /dev/null
    run -1 berth start beside
    expect_text "--network: container $(berth inspect -f '{{slice .Id 0 12}}' back) does not run"
    berth start back beside > /dev/null
    [ "$(berth exec beside wget -qO- localhost/hostname)" = harbour ]

    run -125 berth run --rm --network container:nowhere busybox true
    expect_text "--network: No such container: nowhere"
    run -125 berth run --rm --network container:back --userns auto busybox true
    expect_text "the network belongs to another user namespace"
    run -125 berth run --rm --network container:back -p 8080:80 busybox true
    expect_text "--publish"
}

@test "--network container:NAME shares hosts and resolv.conf, also when the other is gone" {
    berth run -d --name front busybox sleep 600 > /dev/null
    berth run -d --name beside --network container:front busybox sleep 600 > /dev/null
    berth run -d --name third --network container:beside busybox sleep 600 > /dev/null
    berth exec front sh -c 'echo 10.0.0.9 late >> /etc/hosts'
    berth exec third sh -c 'echo nameserver 10.0.0.9 > /etc/resolv.conf'
    for name in front beside third; do
        berth exec $name grep -q late /etc/hosts
        [ "$(berth exec $name cat /etc/resolv.conf)" = "nameserver 10.0.0.9" ]
    done
    berth stop -t 0 third front > /dev/null
    berth start front third > /dev/null
    berth exec third grep -q late /etc/hosts
    berth rm -f front > /dev/null
    berth exec third sh -c 'echo 10.0.0.9 later >> /etc/hosts'
    berth exec beside grep -q later /etc/hosts
    for option in --add-host=a:10.0.0.9 --dns=10.0.0.9 --dns-search=x --dns-option=y; do
        run -125 berth run --rm --network container:beside $option busybox true
        expect_text "${option%%=*}: with --network container:NAME a container shares the other's /etc/"
    done
}

@test "--security-opt: a seccomp profile from a file, unmasked paths, and rubbish is refused" {
    cat > "$BATS_TEST_TMPDIR/profile.json" << 'JSON'
{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}
JSON
    run berth run --rm --security-opt "seccomp=$BATS_TEST_TMPDIR/profile.json" busybox mkdir /tmp/x
    [ "$status" != 0 ]
    expect_text "not implemented"
    run -125 berth run --rm --security-opt seccomp=/no/such/file busybox true
    run -125 berth run --rm --security-opt nonsense=1 busybox true
    expect_text nonsense
}
