# What all integration tests share. Each file begins with `load helper`.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

# Fails with what a command printed when its output lacks a text.
expect_text() {
    [[ "$output" == *"$1"* ]] || {
        echo "expected '$1' in:"
        echo "$output"
        return 1
    }
}

expect_status() {
    [ "$status" = "$1" ] || {
        echo "expected status $1, got $status:"
        echo "$output"
        return 1
    }
}

# Every berth cgroup below the hierarchies, but the parent that containers share.
berth_cgroups() { find /sys/fs/cgroup -mindepth 2 -type d -path '*/berth/*' 2> /dev/null; }

# A picture of everything that a container could leave behind, to be compared.
picture() {
    echo "mounts $(wc -l < /proc/self/mountinfo)"
    echo "links $(ls /sys/class/net | wc -l)"
    berth_cgroups
    find "$BERTH_RUN" -mindepth 1 ! -path '*/.*' | sort
    (cd "$BERTH_DATA" && ls -A containers container-names staging trash volumes 2> /dev/null)
    pgrep -r S,R,D -f "berth-monitor $BERTH_DATA" | sort || true
    lsns -t net -n -o NS 2> /dev/null | sort -u | wc -l
}

# Waits until a condition holds: wait_until SECONDS COMMAND...
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || {
            echo "not within the time: $*"
            return 1
        }
        sleep 0.05
    done
}

# Removes containers that a failed test left, so that the next one begins clean.
remove_all() {
    local ids
    ids=$(berth ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rm -f -v $ids > /dev/null
}

is_running() { [ "$(berth inspect --format '{{.State.Running}}' "$1")" = true ]; }
is_gone() { ! berth inspect "$1" > /dev/null 2>&1; }
field() { berth inspect --format "{{$2}}" "$1"; }

# An OCI layout with one image of twenty files, made by other people's tool: make_layout DIR TAG
make_layout() {
    umoci init --layout "$1" 2> /dev/null
    umoci new --image "$1:$2" 2> /dev/null
    mkdir -p "$1.root/bin" "$1.root/data"
    cp /bin/busybox "$1.root/bin/busybox"
    ln -s busybox "$1.root/bin/sh"
    ln -s busybox "$1.root/bin/true"
    for _n in 1 2 3 4 5 6 7 8 9; do head -c 300000 /dev/urandom > "$1.root/data/$_n"; done
    umoci insert --image "$1:$2" "$1.root" / 2> /dev/null
    umoci config --image "$1:$2" --config.cmd sh 2> /dev/null
}
