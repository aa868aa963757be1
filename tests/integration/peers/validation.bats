load peers

# Cases of the runtime specification with berth-oci and with runc; the table is printed.

setup_file() {
    peer_begin
    make_root "$PEER/image"
}

teardown_file() { peer_end; }

@test "validation: berth-oci passes every case, among them those that runc passes" {
    local table=0
    python3 "$BATS_TEST_DIRNAME/validation.py" "$OCI" /usr/sbin/runc "$PEER/image" \
        "$BATS_TEST_DIRNAME/validation_skips.txt" > "$PEER/table" || table=$?
    sed 's/^/# /' "$PEER/table" >&3
    [ -z "$(find /sys/fs/cgroup -type d -name 'validation-*')" ]
    [ -z "$(ls -d /tmp/berth-validation-* 2> /dev/null)" ]
    return $table
}
