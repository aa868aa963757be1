#!/bin/bash
# Lets one system call after the other fail in berth-oci, and looks at what that leaves behind.
#
#   oci_faults.sh BUNDLE ROOT
#
# BUNDLE is a bundle whose program ends at once. Each line of the table is a command, a system call,
# an error and at how many of the calls it fails, spread over all that a command without a failure
# makes. A failure may be survived, else it has to be told in one sentence, after a warning perhaps;
# nothing may crash or hang, and after `delete --force` nothing may be left. Prints a line for each
# violation, then how many points were tried; the status tells whether there was a violation, or
# fewer than a hundred points. Where BERTH_TEST_PATIENCE says that all is slower by a factor only every
# so many are tried.

set -u
bundle=$1 root=$2 number=0 points=0 violations=0 every=${BERTH_TEST_PATIENCE:-1}
trace=$(mktemp)
output=$(mktemp)
trap 'rm -f "$trace" "$output"' EXIT
oci() { timeout 60 berth-oci --root "$root" "$@" < /dev/null > "$output" 2>&1; }

violation() {
    echo "$*"
    violations=$((violations + 1))
}

# inject CALL ERROR POSITION ARGUMENT...
inject() {
    local call=$1 error=$2 position=$3 children=-f status
    shift 3
    # A tracer of children would wait for the end of the container, too.
    case $1 in create | start) children= ;; esac
    # shellcheck disable=SC2086
    timeout -s KILL 60 strace $children -o "$trace" -e "trace=$call" \
        -e "inject=$call:error=$error:when=$position" \
        berth-oci --root "$root" "$@" < /dev/null > "$output" 2>&1
    status=$?
    grep -q INJECTED "$trace" || return
    points=$((points + 1))
    case $status in
    0) ;;
    124 | 137) violation "$1: $call $error at $position: hangs" ;;
    13[2-9]) violation "$1: $call $error at $position: status $status" ;;
    *) [ "$(grep -vc level=warning "$output")" = 1 ] ||
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

# arguments VERB ID: says in $line what is run.
arguments() {
    case $1 in
    run | create) line=("$1" -b "$bundle" "$2") ;;
    exec) line=(exec "$2" true) ;;
    delete) line=(delete --force "$2") ;;
    *) line=("$1" "$2") ;;
    esac
}

# What has to be there before VERB.
prepare() {
    case $1 in start | delete | exec) oci create -b "$bundle" "$2" ;; esac
}

# The calls that a command makes when nothing fails: VERB -> a file with one call a line.
calls=$(mktemp -d)
trap 'rm -rf "$trace" "$output" "$calls"' EXIT
for verb in run create start exec delete; do
    children=-f
    case $verb in create | start) children= ;; esac
    prepare $verb counted
    arguments $verb counted
    # shellcheck disable=SC2086
    timeout -s KILL 60 strace $children -o "$trace" \
        berth-oci --root "$root" "${line[@]}" < /dev/null > /dev/null 2>&1
    sed -n 's/^\([0-9]* *\)\{0,1\}\([a-z0-9_]*\)(.*/\2/p' "$trace" > "$calls/$verb"
    oci delete --force counted
done

while read -r verb call error wanted; do
    count=$(grep -cx "$call" "$calls/$verb")
    [ "$count" != 0 ] || continue # another layout of cgroups, another kernel
    [ "$wanted" -lt "$count" ] || wanted=$count
    for ((i = 0; i < wanted; i++)); do
        number=$((number + 1))
        [ $((number % every)) = 0 ] || continue
        position=$((1 + i * count / wanted))
        id="point-$verb"
        prepare "$verb" "$id"
        arguments "$verb" "$id"
        inject "$call" "$error" "$position" "${line[@]}"
        clean "$id" "$verb: $call $error at $position"
    done
done << 'TABLE'
run mkdirat ENOSPC 4
run openat EMFILE 8
run openat2 EMFILE 6
run write ENOSPC 6
run read EIO 3
run renameat EIO 2
run clone3 EAGAIN 1
run socketpair EMFILE 1
run fsopen EPERM 2
run fsconfig EINVAL 3
run fsmount EPERM 2
run mount EPERM 2
run move_mount EINVAL 5
run open_tree EPERM 3
run open_tree_attr ENOMEM 2
run mount_setattr EINVAL 3
run mknodat EPERM 2
run symlinkat ENOSPC 2
run pivot_root EINVAL 1
run umount2 EINVAL 1
run sethostname EPERM 1
run setgroups EPERM 1
run setresgid EPERM 1
run chdir EACCES 2
run prlimit64 EPERM 1
run prctl EPERM 4
run sendmsg EPIPE 3
run recvmsg EIO 3
run signalfd4 EMFILE 1
run capset EPERM 1
run execve EIO 1
run close_range EINVAL 2
run unlinkat EBUSY 5
run poll EINTR 1
create bind EACCES 1
create listen EADDRINUSE 1
create mkdirat ENOSPC 3
create openat EMFILE 4
create write ENOSPC 3
create renameat EIO 2
create clone3 ENOMEM 1
create sendmsg EPIPE 1
create recvmsg EIO 1
start connect ECONNREFUSED 1
start openat EMFILE 2
start sendmsg EPIPE 1
start recvmsg EIO 2
start unlinkat EBUSY 1
delete pidfd_open EMFILE 1
delete openat EMFILE 3
delete openat2 EMFILE 2
delete unlinkat EBUSY 4
delete pidfd_send_signal EPERM 1
exec setns EPERM 2
exec clone3 EAGAIN 1
exec openat EMFILE 4
exec sendmsg EPIPE 1
exec recvmsg EIO 2
exec prctl EPERM 2
exec capset EPERM 1
exec execve ENOMEM 1
TABLE
echo "$points points, $violations violations"
[ "$violations" = 0 ] && [ "$points" -ge $((100 / every)) ]
