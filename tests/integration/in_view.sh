#!/bin/sh
# Runs a command as on another kind of machine, as far as one machine can show it: in a mount
# namespace of its own, with other cgroup hierarchies in sight, or with a system call denied.
#
#   in_view.sh VIEW COMMAND [ARGUMENT...]
#
#   here        as it is
#   v1          without the v2 hierarchy of a hybrid
#   v2          with nothing but the v2 hierarchy; controllers that are on v1 are not there
#   no-openat2  openat2(2) fails with ENOSYS, as in sandboxes that do not know it
#   no-openat2-eperm, no-open_tree_attr   the like
#
# Ends with status 77 where this machine cannot show the view.
set -eu
view=$1
shift
payload=${BERTH_BUILD:?folder of the built programs}/tests/payload/payload
openat2=437 open_tree_attr=467 # of x86-64, arm64 and all newer ports

case $view in
here) exec "$@" ;;
v1)
    mountpoint -q /sys/fs/cgroup/unified || exit 77
    # shellcheck disable=SC2016 # the inner shell's arguments
    exec unshare -m sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh "$@"
    ;;
v2)
    # shellcheck disable=SC2016
    exec unshare -m sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' sh "$@"
    ;;
no-openat2) exec "$payload" deny $openat2 38 "$@" ;;
no-openat2-eperm) exec "$payload" deny $openat2 1 "$@" ;;
no-open_tree_attr) exec "$payload" deny $open_tree_attr 38 "$@" ;;
*)
    echo "in_view.sh: unknown view '$view'" >&2
    exit 2
    ;;
esac
