# The devices of a microVM, driven by a guest that is nothing but their drivers (tests/payload/
# guest_virtio.c). It needs so little of a processor that it runs wherever /dev/kvm can be opened.
load helper

setup() {
    needs_root "/dev/kvm and tap devices are root's"
    [ -x "$BERTH_BUILD/berth-vmm" ] || skip "this build has no microVMs"
    [ -c /dev/kvm ] || skip "this machine has no /dev/kvm"
    mkdir "$BATS_TEST_TMPDIR/share"
    for name in root disk; do
        printf 'sector 0' > "$BATS_TEST_TMPDIR/$name"
        truncate -s 1M "$BATS_TEST_TMPDIR/$name"
    done
}

# All devices, with a network of its own for the cable: run_guest COMMAND
run_guest() {
    run -0 timeout 120 unshare -n "$BERTH_BUILD/tests/payload/machine_run" \
        "$BERTH_BUILD/tests/payload/guest" --echo --root "$BATS_TEST_TMPDIR/root" \
        --disk "$BATS_TEST_TMPDIR/disk" --tap tap0 \
        --share "$BERTH_BUILD/berth-fs" "$BATS_TEST_TMPDIR/share" "$1"
    [[ "$output" != *WRONG* ]]
    expect_text "end: power-off"
}

no_server() { ! pgrep -f "$BATS_TEST_TMPDIR/share"; }

WHAT_DEVICES_DO="console send
console echo
pmem bytes
pmem flush
blk id
blk read
blk write
blk flush
blk end
blk type
net send
net answer
fs init
fs length
rng
balloon report"

# How often each device said that it did what it should: expect_each COUNT
expect_each() {
    while IFS= read -r what; do
        [ "$(grep -cx "$what: ok" <<< "$output")" = "$1" ] || {
            echo "not $1 times: $what"
            echo "$output"
            return 1
        }
    done <<< "$WHAT_DEVICES_DO"
}

@test "each device of a microVM serves its driver" {
    run_guest devices-use
    expect_each 1
    expect_text "blk serial disk"
    [ "$(head -c 526 "$BATS_TEST_TMPDIR/disk" | tail -c 14)" = "from the guest" ]
    [ "$(head -c 8 "$BATS_TEST_TMPDIR/root")" = "sector 0" ]
    wait_until 30 no_server
}

# After each wrong ring the driver begins anew; at last the device works as before.
@test "a hostile driver breaks only its own device, until it resets it" {
    run_guest devices-abuse
    expect_each 2
    wait_until 30 no_server
}

WHAT_A_KERNEL_DOES="port echo
root mount
root file
disk write
disk read
disk discard
disk zeroes
net up
net answer
share mount
share file
share write
share unmount
share again
balloon"

# What the kernel of most containers is told (microvm/machine.h).
UNTRACED=initcall_blacklist=trace_eval_init,tracer_init_tracefs

# boot KERNEL CPUS [WORD [OPTION...]]: all devices for a stock kernel, which is told WORD, once more when
# it hangs, as emulated processors do at times.
boot() {
    local command=(timeout 120 unshare -n "$BERTH_BUILD/tests/payload/machine_run" "$1/vmlinux"
        --modules "$1/modules.cpio" --agent "$BERTH_BUILD/tests/payload/guest_init" --echo
        --root "$BATS_TEST_TMPDIR/image" --disk "$BATS_TEST_TMPDIR/disk" --tap tap0
        --share "$BERTH_BUILD/berth-fs" "$BATS_TEST_TMPDIR/share" --memory 256 --cpus "$2"
        --statistics "${@:4}" "quiet $UNTRACED -- ${3:-devices}")
    rm -f "$BATS_TEST_TMPDIR/share/made"
    run "${command[@]}"
    [ "$status" != 124 ] || run "${command[@]}"
    output=${output//$'\r'/}
    echo "# $(basename "$1"), $2 CPUs${4:+, $4}: $(grep -aE '^(exits|saved|first)' <<< "$output" | tr '\n' ' ')" >&3
}

needs_kernels() {
    berth-vmm probe 2> /dev/null || skip "this machine's KVM does not run stock kernels"
    compgen -G "$BERTH_DATA/kernels/*/vmlinux" > /dev/null || skip "no kernel is imported"
    mkdir "$BATS_TEST_TMPDIR/tree"
    printf 'from the image' > "$BATS_TEST_TMPDIR/tree/file"
    mkfs.erofs "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/tree" > /dev/null
    printf 'from the host' > "$BATS_TEST_TMPDIR/share/file"
    truncate -s 64M "$BATS_TEST_TMPDIR/disk"
}

all_devices_were_used() {
    [[ "$output" != *WRONG* ]]
    WHAT_DEVICES_DO=$WHAT_A_KERNEL_DOES expect_each 1
    expect_text "end: power-off"
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/share/made")" = 1048576 ]
}

@test "stock kernels use all devices of a microVM" {
    needs_kernels
    for kernel in "$BERTH_DATA"/kernels/*/; do
        for cpus in 1 2; do
            boot "$kernel" $cpus
            all_devices_were_used
        done
    done
}

# Found by their drivers in one process, used in another.
@test "stock kernels use the devices that they get when they are restored" {
    needs_kernels
    mkdir "$BATS_TEST_TMPDIR/saved"
    for kernel in "$BERTH_DATA"/kernels/*/; do
        for cpus in 1 2; do
            boot "$kernel" $cpus devices-later --save "$BATS_TEST_TMPDIR/saved" "devices found" --stop
            expect_text "saved in "
            truncate -s 0 "$BATS_TEST_TMPDIR/disk"
            truncate -s 64M "$BATS_TEST_TMPDIR/disk"
            boot "$kernel" $cpus - --restore "$BATS_TEST_TMPDIR/saved"
            [[ "$output" != *"devices found"* ]]
            all_devices_were_used
        done
    done
}
