load helper

# The machine of a microVM, without a container around it: a guest without a kernel, which runs even where
# KVM works without hardware, and stock kernels where KVM can run them.

setup() {
    needs_root "opens /dev/kvm"
    [ -x "$BERTH_BUILD/berth-vmm" ] || skip "this build has no microVMs"
    [ -c /dev/kvm ] || skip "this machine has no /dev/kvm"
    payload=$BERTH_BUILD/tests/payload pid=
}

teardown() {
    [ -z "$pid" ] || kill -9 "$pid" 2> /dev/null || true
    ! pgrep -f "$BERTH_BUILD/tests/payload/machine_run"
}

# machine COMMAND [OPTION...]: what the guest is to do.
machine() { timeout 60 "$payload/machine_run" "$payload/guest" "${@:2}" "$1"; }

@test "a guest finds its tables, its memory and a seed" {
    run -0 machine arguments
    expect_text "rsdp sum 0x0"
    expect_text "seed type 0x9"
    expect_text "seeded"
    expect_text "ram 0x3f9fc00"
    expect_text "end: power-off"
    run -0 machine arguments --memory 4096
    # All but the hole below 1 MiB, also of what is above 4 GiB.
    expect_text "ram 0xfff9fc00"
}

@test "a guest drives the serial line and gets its interrupt" {
    run -0 machine serial
    expect_text "line status 0x60"
    expect_text "divisor 0x1234"
    expect_text "fifo 0xc1"
    expect_text "loop 0x90"
    [[ "$output" != *"not sent"* ]]
    run -0 machine interrupt
    expect_text "interrupted"
}

@test "what is not there reads as ones, and what is written there is lost" {
    run -0 machine nothing
    expect_text "port 0xffffffff"
    expect_text "memory 0xffffffff"
    expect_text "still here"
    expect_text "end: power-off"
}

@test "devices answer in their windows" {
    run -0 machine device
    expect_text "magic 0x74726976"
    expect_text "version 0x2"
    expect_text "id 0x3"
    expect_text "end: power-off"
}

@test "a machine ends as its guest ends it" {
    for how in keyboard register fault; do
        run -0 machine "reset-by-$how"
        expect_text "end: reset"
    done
    run -0 machine panic
    expect_text 'end: panic: the guest'\''s kernel gave up: no "init" found'
}

@test "bytes that one instruction writes all arrive" {
    run -0 machine string
    [ "$(grep -c '^0123456789abcdef0123456789abcde$' <<< "$output")" = 100 ]
    expect_text "end: power-off"
}

@test "paused CPUs stand still, and go on" {
    run -0 machine tick --pause 100
    expect_text "while paused: 0 exits"
    expect_text "afterwards: it goes on"
}

@test "a machine that was saved goes on where it stood, in other processes" {
    local saved="$BATS_TEST_TMPDIR/saved" last words
    mkdir "$saved"
    run -0 machine count --save "$saved" "count 0x40" --stop
    [ "$(stat -c %s "$saved/memory")" = $((64 << 20)) ]
    # Pages of zeros are holes.
    [ "$(stat -c %b "$saved/memory")" -lt 2048 ]
    cp "$saved/memory" "$BATS_TEST_TMPDIR/before"
    last=$(grep -a '^count 0x' <<< "$output" | tail -n 1)
    for i in 1 2; do
        run -0 machine - --restore "$saved" --stop
        mapfile -t words <<< "${output#*first words*$'\n'}"
        # It was in the middle of a line, whose beginning was not said.
        [[ "$(printf 'count 0x%x' $((${last#count } + 1)))" = *"${words[0]}" ]]
        [ "${words[1]}" = "$(printf 'count 0x%x' $((${last#count } + 2)))" ]
    done
    cmp "$saved/memory" "$BATS_TEST_TMPDIR/before"
}

@test "a saved machine that does not fit, or is damaged, is not started" {
    local saved="$BATS_TEST_TMPDIR/saved"
    mkdir "$saved"
    run -0 machine count --save "$saved" "count 0x4" --stop
    run -125 machine - --restore "$saved" --cpus 2
    expect_text "the saved machine had 1 CPUs and 64 MiB of memory"
    run -125 machine - --restore "$saved" --memory 128
    expect_text "the saved machine had 64 MiB of memory"
    run -125 machine - --restore "$saved" --disk "$saved/memory"
    expect_text "the saved machine had 3 devices, this one has 4"
    printf x | dd of="$saved/state" bs=1 seek=1000 conv=notrunc status=none
    run -125 machine - --restore "$saved"
    expect_text "the state of the saved machine is damaged"
    run -125 machine - --restore "$BATS_TEST_TMPDIR"
    expect_text "No such file or directory"
}

@test "a machine that runs has no rights, and each thread its filter" {
    "$payload/machine_run" "$payload/guest" --cpus 2 spin > "$BATS_TEST_TMPDIR/out" &
    pid=$!
    wait_until 20 grep -q spinning "$BATS_TEST_TMPDIR/out"
    # Under the sanitizers there are no filters. Newer kernels add a thread of their own.
    seccomp=2
    [ -z "$(nm "$payload/machine_run" | grep -m1 __asan_init)" ] || seccomp=0
    rights() { sed -n 's/^\(CapEff\|CapPrm\|CapAmb\|NoNewPrivs\|Seccomp\):\s*//p' /proc/$pid/task/*/status | paste -d ' ' - - - - -; }
    have_none() { [ "$(rights | wc -l)" -ge 4 ] && [ "$(rights | sort -u)" = "0000000000000000 0000000000000000 0000000000000000 1 $seccomp" ]; }
    wait_until 20 have_none || {
        rights
        return 1
    }
    kill -9 $pid
    wait $pid || pid=
}

@test "what is wrong with a machine is said in a sentence" {
    run -125 machine arguments --memory 8
    expect_text "a microVM needs 16 MiB of memory at least"
    run -125 machine arguments --cpus 65
    expect_text "a microVM has 1 to 64 CPUs, not 65"
    run -125 timeout 20 "$payload/machine_run" /etc/passwd x
    expect_text "the kernel is neither an ELF file nor a bzImage"
    run -125 timeout 20 "$payload/machine_run" "$payload/guest" "$(head -c 3000 /dev/zero | tr '\0' a)"
    expect_text "the kernel's command line is longer than 2047 bytes"
}

@test "the probe says whether KVM runs a stock kernel" {
    run timeout 20 berth-vmm probe
    [ "$status" = 0 ] || expect_text "/dev/kvm does not run a stock kernel: it "
}

# --- stock kernels --------------------------------------------------------------------------------

needs_kernels() {
    berth-vmm probe 2> /dev/null || skip "this machine's KVM does not run stock kernels"
    kernels=("$BERTH_DATA"/kernels/*/vmlinux)
    [ -f "${kernels[0]}" ] || skip "no kernel is imported"
}

# boot KERNEL [OPTION...] CMDLINE: once more when it hangs, as emulated processors do at times.
boot() {
    local options=(--memory 160 --agent "$payload/guest_init" --statistics)
    run timeout 120 "$payload/machine_run" "$1" "${options[@]}" "${@:2}"
    [ "$status" != 124 ] || run timeout 120 "$payload/machine_run" "$1" "${options[@]}" "${@:2}"
    echo "# $(basename "$(dirname "$1")")/$(basename "$1") ${*:2}: $(grep -a '^exits' <<< "$output")" >&3
}

@test "stock kernels boot with one CPU and with two, and turn the machine off" {
    needs_kernels
    for kernel in "${kernels[@]}"; do
        for cpus in 1 2; do
            boot "$kernel" --cpus $cpus "-- off"
            expect_text ", $cpus CPUs, "
            expect_text "end: power-off"
        done
    done
}

@test "a stock kernel with one CPU and with two is saved at work, and goes on, here and elsewhere" {
    needs_kernels
    local saved="$BATS_TEST_TMPDIR/saved"
    mkdir "$saved"
    for cpus in 1 2; do
        boot "$BERTH_DATA"/kernels/6.1.*-cloud-amd64/vmlinux --cpus $cpus --save "$saved" "step 3" "-- steps"
        expect_text "saved in "
        for run in saved restored; do
            for ((cpu = 0; cpu < cpus; cpu++)); do
                expect_text "CPU $cpu: step 19"
                expect_text "CPU $cpu: right"
            done
            expect_text "clock: ok"
            expect_text "end: power-off"
            [ $run = restored ] || boot /dev/null --cpus $cpus --restore "$saved"
        done
        [[ "$output" != *"step 0"* ]]
    done
}

@test "a bzImage boots without being unpacked" {
    needs_kernels
    # The smallest work for an emulated processor: neither XZ nor zstd.
    for kernel in "$BERTH_DATA"/kernels/*cloud*/bzimage; do
        boot "$kernel" "-- off"
        expect_text ", 1 CPUs, "
        expect_text "end: power-off"
    done
}

@test "a stock kernel's reset and panic end the machine" {
    needs_kernels
    boot "${kernels[0]}" "-- reset"
    expect_text "end: reset"
    boot "${kernels[0]}" "-- panic"
    expect_text "end: panic: the guest's kernel gave up: Attempted to kill init!"
}

@test "stock kernels take a container, with one CPU and with two, to its end" {
    needs_kernels
    for kernel in "${kernels[@]}"; do
        name=$(basename "$(dirname "$kernel")")
        for cpus in 1 2; do
            rm -f "$BATS_TEST_TMPDIR/told"
            # A volume, so that the agent writes all back and turns the machine off.
            container=(run --rm --isolation microvm --kernel "$name" --vm-cpus $cpus
                -v "$BATS_TEST_TMPDIR:/host" busybox sh -c 'echo "$(uname -r) $(nproc)" > /host/told; exit 3')
            run timeout 180 berth "${container[@]}"
            [ "$status" != 124 ] || run timeout 180 berth "${container[@]}"
            expect_status 3
            [ "$(cat "$BATS_TEST_TMPDIR/told")" = "$(jq -r .release "$(dirname "$kernel")/kernel.json") $cpus" ]
            echo "# $(cat "$BATS_TEST_TMPDIR/told") CPUs" >&3
        done
    done
}
