#!/bin/bash
# Runs in the test machine, as PID 1 or as a service of systemd: sets up what is asked for, runs the
# command, writes its status, and turns the machine off.
# shellcheck disable=SC2154 # cgroup, systemd, user, clone, share, directory, terminal, command: from settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
unset systemd
# shellcheck disable=SC1091
. /run/testvm/job/settings

turn_off() {
    # A change of settings waits until the output is out.
    stty -F /dev/ttyS1 onlcr
    dmesg -n 1
    echo "$1" > /run/testvm/job/status
    sync
    echo o > /proc/sysrq-trigger
    sleep 60 2> /dev/null
}

mount_v1() {
    local name
    mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
    for name in cpu,cpuacct cpuset memory devices freezer blkio pids net_cls,net_prio perf_event hugetlb rdma; do
        mkdir "/sys/fs/cgroup/$name"
        # Kernels are built without some: Debian's 6.12 has no cpuset and no memory on v1.
        mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name" 2> /dev/null || rmdir "/sys/fs/cgroup/$name"
    done
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
    ln -s cpu,cpuacct /sys/fs/cgroup/cpu
    ln -s cpu,cpuacct /sys/fs/cgroup/cpuacct
    ln -s net_cls,net_prio /sys/fs/cgroup/net_cls
    ln -s net_cls,net_prio /sys/fs/cgroup/net_prio
}

mount_cgroups() {
    case $cgroup in
    v2) mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup ;;
    v1) mount_v1 ;;
    hybrid)
        mount_v1
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
        ;;
    esac
}

set_up_without_systemd() {
    mkdir -p /dev/pts /dev/shm /dev/mqueue
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
    mount -t tmpfs -o mode=1777 shm /dev/shm
    mount -t mqueue mqueue /dev/mqueue
    ln -sfn /proc/self/fd /dev/fd
    ln -sf /proc/self/fd/0 /dev/stdin
    ln -sf /proc/self/fd/1 /dev/stdout
    ln -sf /proc/self/fd/2 /dev/stderr
    mount_cgroups
    ip link set lo up
    hostname testvm
}

# The user's own cgroup, with every controller, as a login manager would give it.
delegate() {
    local group=/sys/fs/cgroup/testvm-$user file
    [ "$cgroup" = v2 ] || return 0
    sed 's/\</+/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
    mkdir -p "$group/login"
    for file in "$group" "$group/login" "$group"/cgroup.{procs,threads,subtree_control} \
        "$group/login"/cgroup.{procs,threads,subtree_control}; do
        chown "$user" "$file"
    done
    echo $BASHPID > "$group/login/cgroup.procs"
    sed 's/\</+/g' "$group/cgroup.controllers" > "$group/cgroup.subtree_control"
}

as_user() {
    local id
    id -u "$user" > /dev/null 2>&1 || useradd -m -s /bin/bash "$user"
    id=$(id -u "$user")
    export HOME=/home/$user XDG_RUNTIME_DIR=/run/user/$id
    if [ "$systemd" = yes ]; then
        export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$id/bus
        loginctl enable-linger "$user" && systemctl start "user@$id.service"
        # shellcheck disable=SC2046
        runuser -u "$user" -- systemd-run --user --quiet --wait --pipe --collect \
            -p Delegate=yes --working-directory="$directory" \
            $(env | sed -n 's/^\(\(BERTH\|TESTVM\|BATS\|ASAN\)_[A-Z_]*\)=.*/--setenv=\1/p') \
            --setenv=PATH --setenv=HOME -- "${command[@]}"
    else
        mkdir -p "$XDG_RUNTIME_DIR"
        chown "$user" "$XDG_RUNTIME_DIR"
        delegate
        runuser -u "$user" -- "${command[@]}"
    fi
}

# Before a machine is ended from outside its processes are asked for: what they are, what they wait for
# in the kernel, and what they have open.
tell_when_asked() {
    local job=/run/testvm/job pid
    until [ -e $job/wanted ]; do sleep 3; done
    {
        ps --ppid 2 -p 2 --deselect -o pid,ppid,user,stat,wchan:24,args --forest --width 160
        for pid in $(ps --ppid 2 -p 2 --deselect -o pid=); do
            echo "$pid: $(readlink /proc/$pid/fd/* 2> /dev/null | sort | uniq -c | tr -s '\n ' ' ')"
            head -n 4 /proc/$pid/stack 2> /dev/null
        done
    } > $job/processes 2>&1
}

# KVM patches the scheduler when the first of its machines is made and when the last one goes. Where
# several processors are emulated, one may go on for ever with what it had translated before (QEMU 7.2):
# the kernel's handler finds no breakpoint any more, and tries again. So one machine stays.
hold_kvm() {
    if [ "$(nproc)" = 1 ] || [ ! -e /dev/kvm ]; then return; fi
    perl -e 'open(my $kvm, "+<", "/dev/kvm"); ioctl($kvm, 0xae01, 0) && sleep' # KVM_CREATE_VM
}

[ "$systemd" = yes ] || set_up_without_systemd
hold_kvm < /dev/null > /dev/null 2>&1 &
tell_when_asked < /dev/null > /dev/null 2>&1 &
if [ -n "$terminal" ]; then
    read -r TERM rows columns <<< "$terminal"
    export TERM
    stty -F /dev/ttyS1 sane rows "$rows" columns "$columns"
    command=(setsid -c -w "${command[@]}")
    exec < /dev/ttyS1
else
    stty -F /dev/ttyS1 -onlcr
    exec < /dev/null
fi
exec > /dev/ttyS1 2>&1
if [ -n "$share" ]; then mkdir -p "$share" && mount --bind /run/testvm/share "$share"; fi
cd "$directory" 2> /dev/null || cd "$clone" || turn_off 125
# In a child: PID 1 must outlive whatever the command does.
if [ -n "$user" ]; then (as_user); else ("${command[@]}"); fi
turn_off $?
