load peers

# The validation suite of runtime-tools with berth-oci and with runc; the table is printed.

# A minute for each runtime; several on a busy machine.
export BATS_TEST_TIMEOUT=1200

setup_file() { peer_begin; }

teardown_file() { peer_end; }

@test "runtime-tools: what passes with runc passes with berth-oci" {
    local table=0 folder=$BERTH_TEST_DATA/runtime-tools
    run "$BATS_TEST_DIRNAME/runtime_tools.sh" "$folder"
    # shellcheck disable=SC2154 # status, output: from run
    [ "$status" != 77 ] || skip "the suite's source cannot be had: ${output##*$'\n'}"
    [ "$status" = 0 ] || { echo "$output"; return 1; }
    python3 "$BATS_TEST_DIRNAME/runtime_tools.py" "$folder" "$OCI" /usr/sbin/runc \
        "$BATS_TEST_DIRNAME/runtime_tools_known.txt" > "$PEER/table" || table=$?
    sed 's/^/# /' "$PEER/table" >&3
    [ -z "$(ls -d /tmp/berth-runtime-tools-* 2> /dev/null)" ]
    return $table
}
