load peers

# CRIU has to know the kernel, and does not know every one: a virtual machine has Debian's own.

setup_file() { export BATS_TEST_TIMEOUT=1500; }

setup() { prepare_machine; }

@test "checkpoint and restore by CRIU, in a machine with a kernel that it knows" {
    cd "$BATS_TEST_DIRNAME/../../.."
    export BERTH_BUILD=${BERTH_BUILD:-$PWD/build-check}
    run -0 tests/testvm/testvm --timeout 1400 -- \
        bats --tap tests/integration/peers/guest/checkpoint.bats
}
