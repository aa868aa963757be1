# The systemd cgroup manager, in test machines where systemd is PID 1: the tests are those of
# tests/testvm/guest/systemd.bats, for each layout of the cgroups. A machine takes some minutes.

load peers

BATS_TEST_TIMEOUT=1500

setup() {
    top=$(realpath "$BATS_TEST_DIRNAME/../../..")
    export BERTH_BUILD=${BERTH_BUILD:-$top/build-check}
    prepare_machine --systemd
}

in_machine() {
    # Outside of it nothing of the suite's is meant for the machine.
    cd "$top"
    env -u BATS_TEST_TIMEOUT -u BERTH_DATA -u BERTH_RUN -u BERTH_TEST_DATA \
        tests/testvm/testvm --systemd --timeout 1400 "$@" -- bats --tap tests/testvm/guest/systemd.bats
}

@test "systemd as cgroup manager on cgroup v2, as root" { in_machine; }
@test "systemd as cgroup manager on cgroup v2, as an ordinary user" { in_machine --user berthtest; }
@test "systemd as cgroup manager on hybrid cgroups, as root" { in_machine --cgroup hybrid; }
@test "systemd as cgroup manager on cgroup v1, as root" { in_machine --cgroup v1; }
