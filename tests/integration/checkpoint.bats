load helper

# What checkpoint and restore refuse, and that failures leave nothing. That they work is shown in a
# machine whose kernel CRIU knows: tests/integration/peers/checkpoint.bats.

setup() {
    IMAGE="$BATS_TEST_TMPDIR/image"
    mkdir -p "$BATS_TEST_TMPDIR/bin" "$IMAGE"
    make_bundle sh sleep
    configure '.process.args = ["sh", "-c", "while :; do sleep 1; done"]'
    # The program protects itself by running again from a mount: PATH has to reach it as it is.
    cp "$BATS_TEST_DIRNAME/fake_criu.py" "$BATS_TEST_TMPDIR/bin/criu"
    PATH="$BATS_TEST_TMPDIR/bin:$PATH"
    export FAKE_CRIU=refuse FAKE_CRIU_LOG=$IMAGE
    before=$(oci_picture)
}

teardown() {
    [ "$(id -u)" != 0 ] || remove_all
    delete_containers
}

oci_status() { oci state "$1" | jq -r .status; }
start() { oci run -d -b "$BUNDLE" criubox < /dev/null > /dev/null 2>&1; }
oci_picture() {
    mounts
    find /sys/fs/cgroup -mindepth 1 -type d -name 'criubox*'
    ls "$ROOT" 2> /dev/null
    find "$BUNDLE" -maxdepth 1
}
is_as_before() { [ "$(oci_picture)" = "$before" ]; }
nothing_is_left() { wait_until 20 is_as_before > /dev/null || diff <(echo "$before") <(oci_picture); }

@test "a machine without CRIU is told what to install" {
    rm "$BATS_TEST_TMPDIR/bin/criu"
    start
    # In a mount namespace where a program that is installed cannot be started.
    run -1 unshare -m bash -c 'for d in /usr/local/sbin /usr/sbin /sbin /usr/local/bin /usr/bin /bin; do
        [ -e $d/criu ] && mount --bind /dev/null $d/criu; done
        berth-oci --root "$ROOT" checkpoint --image-path "$0" criubox' "$IMAGE"
    expect_text "a checkpoint of container 'criubox' needs the program criu, which is not in PATH: install the package 'criu'"
    [ "$(oci_status criubox)" = running ]
}

@test "a container that does not run cannot be checkpointed" {
    oci create -b "$BUNDLE" criubox < /dev/null > /dev/null 2>&1
    run -1 oci checkpoint --image-path "$IMAGE" criubox
    expect_text "container 'criubox' cannot be checkpointed in the created state"
    oci start criubox
    oci kill criubox KILL
    wait_until 30 eval '[ "$(oci_status criubox)" = stopped ]'
    run -1 oci checkpoint --image-path "$IMAGE" criubox
    expect_text "container 'criubox' cannot be checkpointed in the stopped state"
    run -1 oci checkpoint --image-path "$IMAGE" nobox
    expect_text "container 'nobox' does not exist"
}

@test "options that cannot be kept are refused, not passed over" {
    start
    while IFS='|' read -r options message; do
        # shellcheck disable=SC2086
        run -1 oci checkpoint --image-path "$IMAGE" $options criubox
        expect_text "$message"
    done << 'EOF'
--empty-ns pid|--empty-ns 'pid': only network can be left empty
--manage-cgroups-mode hard|--manage-cgroups-mode 'hard': is none of soft, full, strict, ignore
--network-lock none|--network-lock 'none': is none of iptables, nftables, skip
--page-server host|--page-server 'host': is not ADDRESS:PORT
--parent-path /absolute|--parent-path '/absolute': must be relative to the folder of --image-path
--status-fd 1|--status-fd: there is nothing to report without --lazy-pages
--lazy-pages --status-fd 99|--status-fd 99: is not open for writing
--network-lock skip|--network-lock needs CRIU 3.18, installed is 3.17.1
EOF
    while IFS='|' read -r options message; do
        # shellcheck disable=SC2086
        run -1 oci restore -b "$BUNDLE" --image-path "$IMAGE" $options other
        expect_text "$message"
    done << 'EOF'
--no-pivot|--no-pivot: CRIU enters a root by pivot_root only
--status-fd 1|--status-fd: a restore has nothing to report; give it to checkpoint
--tcp-close --tcp-established|--tcp-close and --tcp-established: connections are either closed or restored
EOF
}

@test "a missing earlier dump is refused" {
    start
    run -1 oci checkpoint --image-path "$IMAGE" --parent-path ../nothing criubox
    expect_text "--parent-path"
    [ "$(oci_status criubox)" = running ]
}

@test "an annotation cannot bring a configuration of CRIU" {
    configure '.annotations["org.criu.config"] = "/tmp/criu.conf"'
    start
    run -1 oci checkpoint --image-path "$IMAGE" criubox
    expect_text "annotation org.criu.config: '/tmp/criu.conf' is not a file in /etc/criu/"
}

@test "a checkpoint that CRIU refuses quotes its log and lets the container run" {
    start
    run -1 oci checkpoint --image-path "$IMAGE" criubox
    expect_text "a checkpoint of container 'criubox': criu failed: File exists: The moon is full"
    expect_text "(more in $IMAGE/dump.log)"
    [ "$(oci_status criubox)" = running ]
    FAKE_CRIU=die run -1 oci checkpoint --image-path "$IMAGE" criubox
    expect_text "criu ended without an answer"
    [ "$(oci_status criubox)" = running ]
}

@test "berth checkpoint that CRIU refuses lets the container run, and leaves nothing" {
    needs_root "an ordinary user's berth has a RUN of its own"
    berth run -d --name saved busybox sh -c 'while :; do sleep 1; done' > /dev/null
    dir=$BERTH_DATA/containers/$(berth ps -q --no-trunc)
    FAKE_CRIU_LOG=$dir/checkpoint.new run -1 berth checkpoint saved
    expect_text "criu failed: File exists: The moon is full"
    [ "$(field saved .State.Status) $(field saved .State.Checkpointed)" = "running false" ]
    [ ! -e "$dir/checkpoint.new" ]
    berth stop -t 0 saved
    run -1 berth restore saved
    expect_text "has no checkpoint: 'berth checkpoint' makes one"
    run -1 berth checkpoint saved
    expect_text "is not running"
    berth rm -f saved
    run -0 berth run -d --rm --name gone busybox sleep 100
    run -1 berth checkpoint gone
    expect_text "has --rm: it would be removed with its checkpoint"
    berth rm -f gone
    nothing_is_left
}

@test "a folder without a checkpoint is named" {
    rm -f "$IMAGE"/*
    run -1 oci restore -b "$BUNDLE" --image-path "$IMAGE" criubox
    expect_text "--image-path '$IMAGE': holds no checkpoint: there is no descriptors.json"
    run -1 oci restore -b "$BUNDLE" --image-path "$IMAGE/none" criubox
    expect_text "--image-path '$IMAGE/none': No such file or directory"
    for text in '[1]' '{}' '["a"], "b": []' '["a","b","c","d"]'; do
        echo "$text" > "$IMAGE/descriptors.json"
        run -1 oci restore -b "$BUNDLE" --image-path "$IMAGE" criubox
        expect_text "descriptors.json: "
    done
    nothing_is_left
}

@test "a restore that CRIU refuses leaves nothing" {
    echo '["/dev/null","/dev/null","/dev/null"]' > "$IMAGE/descriptors.json"
    for mode in refuse die; do
        FAKE_CRIU=$mode run -1 oci restore -d -b "$BUNDLE" --image-path "$IMAGE" --pid-file "$BATS_TEST_TMPDIR/pid" criubox
        expect_text "a restore of container 'criubox': criu "
        [ ! -e "$BATS_TEST_TMPDIR/pid" ]
        nothing_is_left
    done
    # What a create makes in the root has been made: the places of mounts.
    [ -d "$BUNDLE/rootfs/proc" ]
}

@test "a restore killed in the middle is removed by delete --force" {
    echo '[]' > "$IMAGE/descriptors.json"
    FAKE_CRIU=hang berth-oci --root "$ROOT" restore -d -b "$BUNDLE" --image-path "$IMAGE" criubox 3>&- &
    local pid=$!
    wait_until 20 pgrep -P $pid -f 'criu swrk'
    wait_until 20 test -e "$ROOT/criubox/state.json" -a -e "$BUNDLE/rootfs/proc"
    kill -KILL $pid
    wait $pid || true
    [ "$(oci_status criubox)" = creating ]
    oci delete -f criubox
    nothing_is_left
    wait_until 20 eval '! pgrep -f "$BATS_TEST_TMPDIR/bin/criu swrk"'
}
