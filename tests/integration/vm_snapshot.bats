load helper

# MicroVMs that start from one that was saved: run --warm.

setup() {
    [ "$(berth info --format '{{.MicroVMBackend}}')" != none ] ||
        skip "neither KVM nor QEMU runs a microVM here"
    [ -n "$(berth vm kernel ls --format '{{.Name}}')" ] || skip "apt-get fetched no kernel here"
}
teardown() {
    remove_all
    rm -rf "$BERTH_DATA/warm"
    remove_network
}

saved() { find "$BERTH_DATA/warm" -name "$1" -size +0 | grep .; }
is_begun() { find "$BERTH_DATA/warm" -name 'state.*' | grep .; }

@test "--warm starts from a saved microVM, and nothing of the one before is in the next" {
    rm -rf "$BERTH_DATA/warm"
    before=$(picture)
    # What is killed while it saves, or just before, leaves nothing that is believed.
    berth run -d --rm --name early --isolation microvm --warm busybox true 2> "$BATS_TEST_TMPDIR/warnings"
    pid=$(field early .State.Pid)
    wait_until 60 is_begun
    kill -9 "$pid"
    wait_until 20 is_gone early
    run ! saved 'whole.*'

    # shellcheck disable=SC2016
    program='cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | od -An -tx1; hostname; date +%s; dmesg | grep " as init process"'
    for turn in 1 2 3; do
        start=$(date +%s)
        berth run --rm --isolation microvm --warm --cap-add SYSLOG busybox sh -c "$program" \
            > "$BATS_TEST_TMPDIR/$turn" 2> "$BATS_TEST_TMPDIR/$turn.warnings"
        run ! grep booting "$BATS_TEST_TMPDIR/$turn.warnings"
        saved 'whole.*'
        # The time goes on while a machine is saved; seconds may pass until this line.
        now=$(date +%s)
        then=$(sed -n 4p "$BATS_TEST_TMPDIR/$turn")
        [ "$then" -le $((now + 1)) ]
        [ "$then" -ge $((start - 1)) ]
    done
    for line in 1 2 3; do
        [ "$(sed -sn ${line}p "$BATS_TEST_TMPDIR"/[123] | sort -u | wc -l)" = 3 ]
    done
    # It booted once: the kernel's own time of that, in microseconds, is in all three.
    grep -q '^\[ *[0-9]*\.[0-9]*\] Run .* as init process$' "$BATS_TEST_TMPDIR/1"
    [ "$(sed -sn 5p "$BATS_TEST_TMPDIR"/[123] | sort -u | wc -l)" = 1 ]
    # Of an emulator that was taken over nothing reaches the snapshot.
    [ "$(stat -c '%a %U' "$BERTH_DATA"/warm/*)" = "700 nobody" ]
    [ "$(stat -c '%a %U' "$BERTH_DATA"/warm)" = "700 root" ]
    wait_trash
    expect_picture "$before"
}

@test "a warm start has its volume, its disk and its interface" {
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes half a minute: scripts/check --microvm runs it"
    rm -rf "$BERTH_DATA/warm"
    mkdir "$BATS_TEST_TMPDIR/share"
    echo shared > "$BATS_TEST_TMPDIR/share/file"
    id=$(berth create --isolation microvm --warm -v "$BATS_TEST_TMPDIR/share:/share" busybox true)
    BUNDLE=$BERTH_DATA/containers/$id/bundle
    make_network
    use_network
    runs 'cat /share/file; echo disk > /made; cat /made; ip -4 address show dev inside; ping -c 1 -W 5 10.77.8.1'
    for turn in cold warm; do
        run -0 --separate-stderr berth-oci --root "$BATS_TEST_TMPDIR/run" run -b "$BUNDLE" $turn < /dev/null
        for text in shared disk "inet 10.77.8.2/24" "1 packets received"; do expect_text "$text"; done
        saved whole.1
    done
    [[ "$stderr" != *booting* ]]
}
