load helper

# MicroVMs that are saved while their container runs, and go on in another one: checkpoint and restore
# of berth-oci and berth, without CRIU.

setup() {
    [ "$(berth info --format '{{.MicroVMBackend}}')" != none ] ||
        skip "neither KVM nor QEMU runs a microVM here"
    [ -n "$(berth vm kernel ls --format '{{.Name}}')" ] || skip "apt-get fetched no kernel here"
    mkdir -p "$BERTH_DATA/trash" # as the first removal makes it
    before=$(picture)
    ROOT=$BATS_TEST_TMPDIR/run
    # Mostly on another file system than the disk.
    IMAGE=/dev/shm/berth-image-$$
}
teardown() {
    [ -n "$BATS_TEST_COMPLETED" ] || cat "$BATS_TEST_TMPDIR"/*.err
    oci list -q | while read -r id; do oci delete -f "$id"; done
    remove_all
    rm -rf "$IMAGE"
    remove_network
}

# Counts; a line each half second, and the time of each boot of its kernel.
COUNTER='n=0; trap "echo got TERM; exit 7" TERM; while :; do n=$((n + 1)); echo $n > /tmp/n; echo n $n; sleep 0.5; done'
counted() { tail -n 1 "$1" | tr -dc 0-9; }
counts_beyond() { [ "$(counted "$1")" -gt "$2" ]; }
is_saving() { [ ! -e "$IMAGE/isolation" ] && [ -s "$IMAGE/state" ]; }
is_stopped() { [ "$(oci state "$1" | jq -r .status)" = stopped ]; }

# make_counter [OPTIONS of create...]: BUNDLE of a container of an image, as berth makes it.
make_counter() {
    id=$(berth create --isolation microvm --network none "$@" busybox sh -c "$COUNTER" 2> /dev/null)
    BUNDLE=$BERTH_DATA/containers/$id/bundle
}

# The same bundle with another disk and another cgroup.
own_disk() {
    local old

    cp -r "$BUNDLE" "$BATS_TEST_TMPDIR/bundle"
    BUNDLE=$BATS_TEST_TMPDIR/bundle
    old=$(jq -r '.mounts[].options[]? | select(startswith("disk="))' "$BUNDLE/config.json")
    truncate -s "$(stat -c %s "${old#disk=}")" "$BATS_TEST_TMPDIR/disk.img"
    configure --arg old "$old" --arg new "disk=$BATS_TEST_TMPDIR/disk.img" \
        'del(.linux.cgroupsPath) | (.mounts[].options | arrays) |= map(if . == $old then $new else . end)'
}

start_counter() { oci run -d -b "$BUNDLE" "$1" < /dev/null > "$BATS_TEST_TMPDIR/$1.out" 2> "$BATS_TEST_TMPDIR/$1.err"; }
restore() { oci restore -d -b "$BUNDLE" --image-path "$IMAGE" "$1" < /dev/null > "$BATS_TEST_TMPDIR/$1.out" 2> "$BATS_TEST_TMPDIR/$1.err"; }

@test "a microVM goes on at its number, once and twice, and is a container like any other" {
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes half a minute: scripts/check --microvm runs it"
    make_counter
    start_counter first
    wait_until 90 counts_beyond "$BATS_TEST_TMPDIR/first.out" 2
    oci checkpoint --leave-running --image-path "$IMAGE" first
    at=$(counted "$BATS_TEST_TMPDIR/first.out")
    wait_until 30 counts_beyond "$BATS_TEST_TMPDIR/first.out" "$at"
    # A checkpoint that is killed lets the container go on, and is none.
    berth-oci --root "$ROOT" checkpoint --image-path "$IMAGE" first &
    command=$!
    until is_saving || ! kill -0 "$command"; do :; done # it does not take long
    kill -9 "$command"
    at=$(counted "$BATS_TEST_TMPDIR/first.out")
    wait_until 30 counts_beyond "$BATS_TEST_TMPDIR/first.out" "$at"
    run ! oci restore -d -b "$BUNDLE" --image-path "$IMAGE" nothing
    expect_text "or one that was interrupted"
    # It ends with a checkpoint that does not leave it running.
    oci checkpoint --image-path "$IMAGE" first
    at=$(counted "$BATS_TEST_TMPDIR/first.out")
    run ! oci state first

    for name in second third; do
        [ $name = second ] || {
            # Two containers do not write on one disk.
            run -1 oci restore -d -b "$BUNDLE" --image-path "$IMAGE" third
            expect_text "is in use: a restored container needs a bundle with a disk of its own"
            own_disk
        }
        restore $name
        wait_until 30 counts_beyond "$BATS_TEST_TMPDIR/$name.out" "$at"
        # The line at which it was saved is the first, or the one behind it.
        [ "$(head -n 1 "$BATS_TEST_TMPDIR/$name.out" | tr -dc 0-9)" -le $((at + 2)) ]
    done
    run -0 oci exec second cat /proc/sys/kernel/random/uuid
    second=$output
    run -0 oci exec third cat /proc/sys/kernel/random/uuid
    [ "$second" != "$output" ]
    # The time went on while it was saved.
    start=$(date +%s)
    run -0 oci exec third date +%s
    [ "$output" -ge $((start - 5)) ]
    [ "$output" -le $(($(date +%s) + 1)) ]
    oci kill second TERM
    wait_until 30 is_stopped second
    [ "$(tail -n 1 "$BATS_TEST_TMPDIR/second.out")" = "got TERM" ]
    oci delete second
    # What does not fit is said by the command.
    cp -r "$IMAGE" "$BATS_TEST_TMPDIR/damaged"
    truncate -s 1000 "$BATS_TEST_TMPDIR/damaged/session"
    run -1 oci restore -d -b "$BERTH_DATA/containers/$id/bundle" --image-path "$BATS_TEST_TMPDIR/damaged" second
    expect_text "the saved microVM does not go on"
    run ! oci state second
    # What was restored can be saved again.
    oci checkpoint --image-path "$IMAGE" third
    at=$(counted "$BATS_TEST_TMPDIR/third.out")
    restore fourth
    wait_until 30 counts_beyond "$BATS_TEST_TMPDIR/fourth.out" "$at"
    oci delete -f fourth
    berth ps -aq | xargs berth rm -f
    wait_trash
    expect_picture "$before"
}

# The same of the log of one of berth's containers.
logged() { berth logs "$1" 2>&1 | tail -n 1 | tr -dc 0-9; }
logs_beyond() { [ "$(logged "$1")" -gt "$2" ]; }

@test "exec in a microVM that has not been started is refused at once" {
    make_counter
    oci create -b "$BUNDLE" waits < /dev/null > "$BATS_TEST_TMPDIR/waits.out" 2> "$BATS_TEST_TMPDIR/waits.err"
    run ! oci exec waits true
    expect_text "cannot exec in a created container: container not running: 'waits'"
}

@test "berth checkpoint ends a microVM, and restore lets it go on, with its log" {
    berth run -d -t --name web --isolation microvm --vm-cpus 2 busybox sh -c "$COUNTER" > /dev/null
    wait_until 90 logs_beyond web 2
    berth checkpoint web
    [ "$(field web .State.Status) $(field web .State.Checkpointed)" = "exited true" ]
    at=$(logged web)
    berth restore --keep web
    run -1 berth restore web
    expect_text "is running already"
    wait_until 30 logs_beyond web "$at"
    # No number is missing, and at most the last one comes twice.
    berth logs web | tr -dc '0-9\n' | uniq > "$BATS_TEST_TMPDIR/numbers"
    diff "$BATS_TEST_TMPDIR/numbers" <(seq "$(wc -l < "$BATS_TEST_TMPDIR/numbers")")
    [ "$(berth exec web cat /tmp/n)" -gt "$at" ]
    [ "$(berth exec web nproc)" = 2 ]
    berth kill web
    wait_until 20 eval '[ "$(field web .State.Status)" = exited ]'
    berth restore web
    wait_until 30 logs_beyond web "$at"
    berth stop web
    [ "$(field web .State.ExitCode)" = 7 ]
    run -1 berth restore web
    expect_text "has no checkpoint: 'berth checkpoint' makes one"
    run -1 berth checkpoint web
    expect_text "is not running"
    berth rm web
    wait_trash
    expect_picture "$before"
}

@test "a microVM that is restored has its network again" {
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes half a minute: scripts/check --microvm runs it"
    make_network
    make_counter
    use_network
    runs 'while :; do ping -c 1 -W 1 10.77.8.1; sleep 0.5; done'
    for turn in 1 2; do
        if [ $turn = 1 ]; then start_counter net; else restore net; fi
        # One of them may have been received before.
        wait_until 90 eval '[ "$(grep -c "1 packets received" "$BATS_TEST_TMPDIR/net.out")" -ge 3 ]'
        oci checkpoint --image-path "$IMAGE" net
    done
}

@test "a microVM that is restored has slirp4netns and its port again" {
    local port turn
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes half a minute: scripts/check --microvm runs it"
    [ -c /dev/net/tun ] || skip "without /dev/net/tun there is no interface for slirp4netns"
    port=$(free_port)
    berth run -d --name web --isolation microvm --network slirp4netns -p "127.0.0.1:$port:80" busybox \
        sh -c 'n=0; while true; do n=$((n + 1)); echo served $n | nc -l -p 80; done' > /dev/null
    for turn in 1 2; do
        wait_until 90 eval '[[ "$(read_port '"$port"')" == served* ]]'
        berth checkpoint web
        wait_until 20 eval '! read_port '"$port"
        berth restore web
    done
    wait_until 90 eval '[[ "$(read_port '"$port"')" == served\ [3-9]* ]]'
    run -0 berth exec web ping -c 1 10.0.2.2
    expect_text " 0% packet loss"
    berth rm -f web
}

# A bundle with its own root, a volume and a single file, all of this machine. The program has a file of
# each open, and another one locked, and counts until there is a file "go": make_shared
make_shared() {
    make_bundle sh cat sleep
    cp "$BERTH_BUILD/tests/payload/payload" "$BUNDLE/rootfs/bin/payload"
    mkdir -p "$BUNDLE/rootfs/etc" "$BUNDLE/volume/logs"
    printf 'one\ntwo\nthree\n' | tee "$BUNDLE/rootfs/etc/data" "$BUNDLE/other" > "$BUNDLE/single"
    configure --arg volume "$BUNDLE/volume" --arg single "$BUNDLE/single" --arg other "$BUNDLE/other" \
        '.annotations = {"run.berth.isolation": "microvm"} | .root.readonly = false
        | .mounts += [{destination: "/volume", type: "bind", source: $volume, options: ["rbind"]},
            {destination: "/etc/single", type: "bind", source: $single, options: ["bind", "ro"]},
            {destination: "/etc/other", type: "bind", source: $other, options: ["bind"]}]'
    runs 'exec 5>> /volume/logs/log 6< /etc/data 7< /etc/single 8> /volume/lock; cd /volume/logs
        payload syscall 73 8 2 # flock(8, LOCK_EX)
        read -r line <&6; read -r line <&7; n=0
        until [ -e go ]; do n=$((n + 1)); echo $n >&5; sleep 0.5; done
        echo $(cat <&6) $(cat <&7) > rest'
}

@test "a microVM goes on with the open files of its root and volumes, in another place too" {
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes half a minute: scripts/check --microvm runs it"
    make_shared
    log=$BUNDLE/volume/logs/log
    start_counter shared
    wait_until 90 counts_beyond "$log" 2
    [ "$(berth info --format '{{.MicroVMBackend}}')" = kvm ] || {
        run -1 oci checkpoint --image-path "$IMAGE" shared
        expect_text "the microVM uses directories of this machine (3), whose open files cannot be saved with it where it is emulated"
        at=$(counted "$log")
        wait_until 90 counts_beyond "$log" "$at"
        return
    }
    # What has no name any more would not be found again; the program goes on.
    mv "$log" "$log.1"
    run -1 oci checkpoint --image-path "$IMAGE" shared
    expect_text "the guest has file 'logs/log' open, which was removed or has another name now"
    mv "$log.1" "$log"
    at=$(counted "$log")
    wait_until 30 counts_beyond "$log" "$at"
    oci checkpoint --leave-running --image-path "$IMAGE" shared
    at=$(counted "$log")
    wait_until 30 counts_beyond "$log" "$at"
    oci checkpoint --image-path "$IMAGE" shared
    at=$(counted "$log")

    # A copy that kept the times, at another place.
    first=$BUNDLE
    cp -a "$BUNDLE" "$BATS_TEST_TMPDIR/moved"
    BUNDLE=$BATS_TEST_TMPDIR/moved
    configure --arg old "$first" --arg new "$BUNDLE" '(.mounts[].source | strings) |= sub($old; $new)'
    mv "$first" "$first.away"
    log=$BUNDLE/volume/logs/log
    # A bound file is what the bundle binds now.
    rm "$BUNDLE/other"
    echo new > "$BUNDLE/other"
    restore second
    wait_until 30 counts_beyond "$log" "$((at + 1))"
    # No line is missing, and none is written twice.
    diff "$log" <(seq "$(counted "$log")") ||
        diff <(head -n -1 "$log") <(seq "$(($(wc -l < "$log") - 1))") # one may be half there
    run -1 flock -n "$BUNDLE/volume/lock" true
    oci exec second sh -c 'echo x > /made; [ "$(cat /etc/single)" = "$(cat /etc/data)" ] && [ "$(cat /etc/other)" = new ] && echo y > /etc/other'
    [ "$(cat "$BUNDLE/other")" = y ]
    [ "$(cat "$BUNDLE/rootfs/made")" = x ]
    touch "$BUNDLE/volume/logs/go"
    wait_until 30 is_stopped second
    [ "$(cat "$BUNDLE/volume/logs/rest")" = "two three two three" ]
    flock -n "$BUNDLE/volume/lock" true
    oci delete second

    # Another file where one was open.
    rm "$BUNDLE/volume/logs/go"
    cp -a "$first.away/volume/logs/log" "$log"
    echo other > "$BUNDLE/rootfs/etc/new"
    mv "$BUNDLE/rootfs/etc/new" "$BUNDLE/rootfs/etc/data"
    run -1 oci restore -d -b "$BUNDLE" --image-path "$IMAGE" third
    expect_text "file 'etc/data', which the saved guest has open, is not there any more, or is another one"
    run ! oci state third
    expect_picture "$before"

    # A container of berth's, with its volume.
    berth run -d --name web --isolation microvm -v "$BUNDLE/volume:/volume" busybox \
        sh -c 'exec 5> /volume/web; n=0; while :; do n=$((n + 1)); echo $n >&5; sleep 0.5; done' > /dev/null
    wait_until 90 counts_beyond "$BUNDLE/volume/web" 2
    berth checkpoint web
    at=$(counted "$BUNDLE/volume/web")
    berth restore web
    wait_until 30 counts_beyond "$BUNDLE/volume/web" "$((at + 1))"
    berth rm -f web
    wait_trash
    expect_picture "$before"
}
