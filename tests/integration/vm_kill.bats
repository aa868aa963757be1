# What a microVM is made of, killed or out of space: its end is told as it was, and nothing stays.
load helper

setup() {
    [ -n "${BERTH_ISOLATION:-}" ] || skip "takes a minute: scripts/check --microvm runs it"
    [ "$(berth info --format '{{.MicroVMBackend}}')" != none ] ||
        skip "neither KVM nor QEMU runs a microVM here"
    [ -n "$(berth vm kernel ls --format '{{.Name}}')" ] || skip "apt-get fetched no kernel here"
}
teardown() {
    remove_all
    if [ -n "${FULL:-}" ]; then umount -l "$FULL"; fi
}

is_left_nothing() {
    berth ps -a > /dev/null
    remove_all
    [ "$(picture)" = "$before" ]
}
has_ended() { [ "$(field "$1" .State.Status)" = exited ]; }

@test "SIGKILL of a machine, its emulator and its server of files is told, and nothing stays" {
    mkdir "$BATS_TEST_TMPDIR/share"
    before=$(picture)
    for victim in berth-vmm qemu berth-fs; do
        berth run -d --name "$victim" --isolation microvm -v "$BATS_TEST_TMPDIR/share:/share" busybox \
            sh -c 'while :; do sleep 0.2; done' > /dev/null
        berth exec "$victim" true
        pid=$(field "$victim" .State.Pid)
        [ $victim = berth-vmm ] || pid=$(pgrep -P "$pid" $victim) || continue # KVM has no emulator
        kill -9 "$pid"
        case $victim in
        berth-vmm)
            wait_until 20 has_ended $victim
            [ "$(field $victim .State.ExitCode)" = 137 ]
            ;;
        qemu)
            wait_until 20 has_ended $victim
            [ "$(field $victim .State.ExitCode)" = 125 ]
            [[ "$(berth logs $victim 2>&1)" == *"the machine failed: QEMU was ended by signal 9"* ]]
            ;;
        berth-fs) # its share is gone, the machine is not
            run -1 berth exec $victim ls /share
            # A device that is there without a server; under emulation the agent ends the connection.
            if [ "$(berth info --format '{{.MicroVMBackend}}')" = kvm ]; then
                expect_text "Input/output error"
            else
                expect_text "not connected"
            fi
            ;;
        esac
        berth rm -f $victim > /dev/null
    done
    wait_until 20 is_left_nothing || expect_picture "$before"
}

@test "SIGKILL of run, monitor or machine while a microVM starts leaves nothing" {
    before=$(picture)
    for i in 0 1 2 3 4 5; do
        rm -rf "$BERTH_DATA"/erofs/* "$BERTH_DATA/warm"
        berth run --rm --name victim --isolation microvm --warm busybox true > /dev/null 2>&1 &
        cli=$!
        sleep "$((i / 2)).$((i * 7 % 10))"
        pid=$(field victim .State.Pid 2> /dev/null) || pid=0
        [ $((i % 3)) != 1 ] || pkill -9 -f "berth-monitor $BERTH_DATA" || true
        [ $((i % 3)) != 2 ] || [ "${pid:-0}" = 0 ] || kill -9 "$pid" 2> /dev/null || true
        kill -9 $cli 2> /dev/null || true
        wait $cli 2> /dev/null || true
        wait_until 30 is_left_nothing || expect_picture "$before"
    done
    run --separate-stderr berth run --rm --isolation microvm --warm busybox echo works
    [ "$output" = works ] || { echo "status $status: $output $stderr" >&2 && false; }
    rm -rf "$BERTH_DATA/warm"
}

@test "a disk that is full is an error of the guest's program, or no snapshot, and no more" {
    FULL=$BATS_TEST_TMPDIR/data kernels=$BERTH_DATA/kernels
    mkdir "$FULL"
    mount -t tmpfs -o size=40m full "$FULL"
    export BERTH_DATA=$FULL
    ln -s "$kernels" "$FULL/kernels"
    berth image make busybox > /dev/null
    before=$(picture)
    run -0 berth run --rm --isolation microvm --warm busybox echo works
    expect_text works
    expect_text "No space left"
    run -0 berth run --name guest --isolation microvm busybox \
        sh -c 'dd if=/dev/urandom of=/big bs=1M count=60 conv=fsync && echo all; echo over'
    expect_text over
    [[ "$output" != *all* ]]
    wait_until 20 is_left_nothing || expect_picture "$before"
}

@test "SIGKILL of a machine that is saved or restored, or of the command, loses no checkpoint" {
    berth run -d --name saved --isolation microvm busybox \
        sh -c 'n=0; while :; do n=$((n + 1)); echo n $n; sleep 0.5; done' > /dev/null 2>&1
    counted() { berth logs saved 2>&1 | tail -n 1 | tr -dc 0-9; }
    counts_beyond() { [ "$(counted)" -gt "$1" ]; }
    dir=$(echo "$BERTH_DATA"/containers/????????*) run=$BERTH_RUN/$(basename "$dir")
    wait_until 30 counts_beyond 2
    berth checkpoint --leave-running saved
    at=$(counted)
    for victim in command berth-vmm; do
        touch "$BATS_TEST_TMPDIR/begun" # the killed command has left its folder to the next one
        berth checkpoint saved > "$BATS_TEST_TMPDIR/said" 2>&1 &
        command=$!
        wait_until 20 test "$dir/checkpoint.new/state" -nt "$BATS_TEST_TMPDIR/begun"
        if [ $victim = command ]; then kill -9 $command; else kill -9 "$(field saved .State.Pid)"; fi
        result=0
        wait $command || result=$?
        [ $result != 0 ]
        [ -s "$dir/checkpoint/isolation" ]
        [ $victim = berth-vmm ] || wait_until 30 counts_beyond $(($(counted) + 1))
    done
    # The second when it was saved just before it was killed.
    grep -e "a checkpoint of container" -e "ended by itself" "$BATS_TEST_TMPDIR/said"
    [ ! -e "$dir/checkpoint.new" ]
    wait_until 20 has_ended saved
    # Its process is known before the machine goes on.
    berth restore --keep saved > "$BATS_TEST_TMPDIR/said" 2>&1 &
    command=$!
    wait_until 20 eval '[ "$(jq .pid "$run/state.json")" -gt 0 ]'
    kill -9 "$(jq .pid "$run/state.json")" # it may go on just before
    wait $command || grep "does not go on" "$BATS_TEST_TMPDIR/said"
    wait_until 20 has_ended saved
    berth restore saved
    wait_until 30 counts_beyond "$at"
    [ ! -e "$dir/checkpoint" ]
}
