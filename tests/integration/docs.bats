load helper

setup() { ROOT=$BATS_TEST_DIRNAME/../..; }
teardown() { remove_all; }

@test "every example of README.md prints what README.md says" {
    # setup_suite made this image already, by the same command.
    debian='berth image make debian --suite bookworm --include python3-minimal'
    grep -qF "$debian" "$BATS_TEST_DIRNAME/setup_suite.bash"
    run -0 python3 "$BATS_TEST_DIRNAME/readme.py" "$ROOT/README.md" "$BATS_TEST_TMPDIR" "$debian"
}

@test "what README.md links to is there" {
    for name in $(sed -n 's/.*](\([A-Za-z.]*\)).*/\1/p' "$ROOT/README.md"); do
        [ -f "$ROOT/$name" ]
    done
}

@test "the manual pages have all their sections and no error" {
    for program in berth berth-oci; do
        "$program" help --man > "$BATS_TEST_TMPDIR/$program.1"
        for section in NAME SYNOPSIS DESCRIPTION OPTIONS COMMANDS 'EXIT STATUS' FILES EXAMPLES; do
            grep -qx "\.SH $section" "$BATS_TEST_TMPDIR/$program.1"
        done
    done
}
