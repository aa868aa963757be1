# With BERTH_ISOLATION=microvm `berth run` and `create` are given --isolation microvm, whoever calls
# them: by a program of that name that comes first in PATH. It leaves out the warning of an emulated
# processor, as tests compare what is printed.
prepare_isolation() {
    [ -n "${BERTH_ISOLATION:-}" ] || return 0
    mkdir -p "$BERTH_TEST_DATA/isolated"
    cat > "$BERTH_TEST_DATA/isolated/berth" << END
#!/bin/bash
case \$1 in
run | create) set -- "\$1" --isolation $BERTH_ISOLATION "\${@:2}" ;;
start) ;;
*) exec "$BERTH_BUILD/berth" "\$@" ;;
esac
exec "$BERTH_BUILD/berth" "\$@" 2> >(grep --line-buffered -v 'is emulated by QEMU' >&2)
END
    chmod +x "$BERTH_TEST_DATA/isolated/berth"
    export PATH=$BERTH_TEST_DATA/isolated:$PATH
}

# Once for the whole suite: the two images that the tests run, made without a registry.

setup_suite() {
    export BERTH_BUILD=${BERTH_BUILD:-$PWD/build}
    export BERTH_TEST_DATA=${BERTH_TEST_DATA:-$PWD/build-check/testdata}
    export BERTH_DATA=$BERTH_TEST_DATA/data BERTH_RUN=$BERTH_TEST_DATA/run
    export PATH=$BERTH_BUILD:$PATH
    # An ordinary user has no layers, and tests berth-oci alone.
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
    berth image inspect busybox > /dev/null 2>&1 || berth image make busybox > /dev/null
    berth image inspect debian > /dev/null 2>&1 ||
        berth image make debian --suite bookworm --include python3-minimal > /dev/null
    # Kept for the next run: fetching it takes longer than its tests. Without one they skip.
    [ "$(berth info --format '{{.MicroVMBackend}}')" = none ] ||
        [ -n "$(berth vm kernel ls --format '{{.Name}}')" ] ||
        berth vm kernel import --package linux-image-cloud-amd64 > /dev/null || true
    prepare_isolation
    # No test asks a registry on the network for an image that is missing.
    export https_proxy=http://localhost:1 no_proxy=localhost,127.0.0.1
}

teardown_suite() {
    local ids
    [ "$(id -u)" = 0 ] || return 0
    ids=$(berth ps -aq) || return 0
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rm -f $ids > /dev/null
}
