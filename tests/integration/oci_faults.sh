#!/bin/bash
# Lets one system call after the other fail in berth-oci, and looks at what that leaves behind.
#
#   oci_faults.sh BUNDLE ROOT
#
# BUNDLE is a bundle whose program ends at once. Each line of the table is a command, a system call
# and the positions at which it fails. A failure may be survived, else it has to be told in one
# sentence, after a warning perhaps; nothing may crash or hang, and after `delete --force` nothing may be left. Prints a line
# for each violation, then how many points were tried; the status tells whether there was one.

set -u
bundle=$1 root=$2 points=0 violations=0
trace=$(mktemp)
output=$(mktemp)
trap 'rm -f "$trace" "$output"' EXIT
oci() { timeout 10 berth-oci --root "$root" "$@" < /dev/null > "$output" 2>&1; }

violation() {
    echo "$*"
    violations=$((violations + 1))
}

# inject CALL ERROR POSITION ARGUMENT...; says in $is_reached whether the call came that far.
inject() {
    local call=$1 error=$2 position=$3 children=-f status
    shift 3
    # A tracer of children would wait for the end of the container, too.
    case $1 in create | start) children= ;; esac
    # shellcheck disable=SC2086
    timeout -s KILL 10 strace $children -o "$trace" -e "trace=$call" \
        -e "inject=$call:error=$error:when=$position" \
        berth-oci --root "$root" "$@" < /dev/null > "$output" 2>&1
    status=$?
    is_reached=false
    grep -q INJECTED "$trace" || return
    is_reached=true
    points=$((points + 1))
    case $status in
    0) ;;
    124 | 137) violation "$1: $call $error at $position: hangs" ;;
    13[2-9]) violation "$1: $call $error at $position: status $status" ;;
    *) [ "$(grep -vc warning: "$output")" = 1 ] ||
        violation "$1: $call $error at $position: not one sentence: $(head -c 300 "$output")" ;;
    esac
    grep -q 'killed by SIG\(SEGV\|ABRT\|BUS\|ILL\|FPE\)' "$trace" &&
        violation "$1: $call $error at $position: crashed"
}

# Everything that a container of this id has: without it nothing is left.
clean() {
    oci delete --force "$1" || violation "$2: delete --force: $(cat "$output")"
    [ ! -e "$root/$1" ] || violation "$2: its run directory is left"
    [ -z "$(find /sys/fs/cgroup -type d -name "$1")" ] || violation "$2: a cgroup is left"
    ! grep -q "$bundle" /proc/self/mountinfo || violation "$2: a mount is left"
}

while read -r verb call error positions; do
    for position in $positions; do
        id="point-$verb"
        case $verb in
        start | delete) oci create -b "$bundle" "$id" ;;
        exec) oci create -b "$bundle" "$id" ;;
        esac
        case $verb in
        run | create) inject "$call" "$error" "$position" "$verb" -b "$bundle" "$id" ;;
        start) inject "$call" "$error" "$position" start "$id" ;;
        delete) inject "$call" "$error" "$position" delete --force "$id" ;;
        exec) inject "$call" "$error" "$position" exec "$id" true ;;
        esac
        $is_reached || violation "$verb: $call is not called $position times: correct the table"
        clean "$id" "$verb: $call $error at $position"
    done
done << 'TABLE'
run mkdirat ENOSPC 1 3
run openat EMFILE 6 24
run openat2 EMFILE 1 9
run write ENOSPC 1 4
run renameat EIO 1
run clone3 EAGAIN 1
run socketpair EMFILE 1
run fsopen EPERM 2
run fsmount EPERM 1
run move_mount EINVAL 5
run open_tree EPERM 2
run mount_setattr EINVAL 3
run pivot_root EINVAL 1
run umount2 EINVAL 1
run sendmsg EPIPE 1 2
run recvmsg EIO 1 2
run capset EPERM 1
run execve EIO 1
run close_range EINVAL 1
run unlinkat EBUSY 1 5
create bind EACCES 1
create sendmsg EPIPE 1
create renameat EIO 2
start connect ECONNREFUSED 1
start sendmsg EPIPE 1
start recvmsg EIO 1
delete pidfd_open EMFILE 1
delete openat2 EMFILE 1
delete unlinkat EBUSY 1
exec setns EPERM 1 2
exec clone3 EAGAIN 1
exec recvmsg EIO 1
exec capset EPERM 1
TABLE
echo "$points points, $violations violations"
[ "$violations" = 0 ]
