load helper

# What containers changed: diff, commit, export, cp. A store of its own for what commits make.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/changes-data BERTH_RUN=$BERTH_TEST_DATA/changes-run
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
    berth image make -q busybox > /dev/null
    berth ps -q
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    before=$(picture)
}

teardown() {
    remove_all
    # shellcheck disable=SC2046
    berth rmi -f $(berth images --no-trunc --format '{{.ID}} {{.Repository}}' | grep -v ' busybox$' | cut -d' ' -f1) \
        > /dev/null 2>&1 || true
    after=$(picture)
    [ "$before" = "$after" ] || {
        diff <(echo "$before") <(echo "$after")
        false
    }
}

# --- diff ---

@test "diff tells what was added, changed and deleted, and nothing of the runtime's own" {
    berth run --name cc busybox sh -c 'echo x > /new; mkdir -p /d/e; rm /bin/cat; chmod 600 /etc/passwd
        rm -r /usr/bin; mkdir /usr/bin; ln -s x /usr/bin/y; touch /usr-x'
    run -0 berth diff cc
    [ "$output" = "C /bin
D /bin/cat
A /d
A /d/e
C /etc
C /etc/passwd
A /new
C /usr
A /usr-x
C /usr/bin
D /usr/bin/env
A /usr/bin/y" ]
    berth run --name none busybox true
    run -0 berth diff none
    [ "$output" = "" ]
}

@test "diff of a running container with a user namespace, volumes and tmpfs" {
    berth run -d --userns auto --name uu -v /vol --tmpfs /tmpfs busybox sh -c 'echo > /new; echo > /vol/x; echo > /tmpfs/x; rm /bin/ls; sleep 100'
    wait_until 5 berth exec uu test ! -e /bin/ls
    run -0 berth diff uu
    [ "$output" = "C /bin
D /bin/ls
A /new
A /tmpfs
A /vol" ]
}

@test "diff of a container that is not there says so" {
    run -1 berth diff nowhere
    expect_text "No such container: nowhere"
}
