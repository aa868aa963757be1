load helper

# Each case of hostile_layers.py is loaded as the top layer of an image and imported alone.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/hostile-data BERTH_RUN=$BERTH_TEST_DATA/hostile-run
    export CASES=$BATS_FILE_TMPDIR/cases
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
    "$BATS_TEST_DIRNAME/hostile_layers.py" "$CASES" > /dev/null
    md5sum /etc/shadow /etc/passwd /bin/busybox > "$BATS_FILE_TMPDIR/sums"
    stat -c '%n %a %u %g %h %Y' / /etc /tmp /etc/shadow /etc/passwd > "$BATS_FILE_TMPDIR/stats"
}

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    remove_all
    local ids
    ids=$(berth images -q | sort -u)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rmi -f $ids > /dev/null
    wait_trash
}

store() {
    (cd "$BERTH_DATA" && find blobs/sha256 layers images names staging trash -mindepth 1 -maxdepth 1 \
        ! -name .unsynced 2> /dev/null || true)
}

# Nothing outside of the store was written, linked or changed.
untouched() {
    local found
    found=$(find / /tmp /etc /usr /bin "$BERTH_TEST_DATA" "$BERTH_DATA" "$BERTH_DATA"/{blobs,layers,staging} \
        -maxdepth 1 -name berth-hostile-escape)
    [ -z "$found" ] || {
        echo "outside of the layer: $found"
        return 1
    }
    md5sum --quiet -c "$BATS_FILE_TMPDIR/sums"
    # /tmp's own time changes all the time.
    diff <(grep -v '^/tmp ' "$BATS_FILE_TMPDIR/stats") \
        <(stat -c '%n %a %u %g %h %Y' / /etc /etc/shadow /etc/passwd)
}

# The image's root, merged from its layers alone, in a mount namespace of ours.
in_root() {
    local lowers= diff_id
    for diff_id in $(berth image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' "$1"); do
        lowers=$(echo "$BERTH_DATA/layers/${diff_id#sha256:}"*)/fs${lowers:+:$lowers}
    done
    unshare -m sh -c 'mkdir -p root && mount -t overlay -o "ro,lowerdir=$0" overlay root && cd root && . "$1"' \
        "$lowers" "$2"
}

# One line of what is expected, as a line of shell.
check_of() {
    local word=$1 path="./$2"
    shift 2
    case $word in
    absent) echo "[ ! -e '$path' ] && [ ! -L '$path' ]" ;;
    file) echo "[ ! -L '$path' ] && [ -f '$path' ] && [ \"\$(cat '$path')\" = '$*' ]" ;;
    dir) echo "[ ! -L '$path' ] && [ \"\$(stat -c '%F %a %u %g' '$path')\" = 'directory $*' ]" ;;
    link) echo "[ \"\$(readlink '$path')\" = '$*' ]" ;;
    same) echo "[ \"\$(stat -c %i '$path')\" = \"\$(stat -c %i './$1')\" ]" ;;
    mtime) echo "[ \"\$(stat -c %Y '$path')\" = '$1' ]" ;;
    list) echo "[ \"\$(ls -A '$path' | LC_ALL=C sort | tr '\\n' ' ')\" = '${*#-}${1:+ }' ] || [ '$1' = - -a -z \"\$(ls -A '$path')\" ]" ;;
    *) echo "false" ;;
    esac
    echo "[ \$? = 0 ] || { echo 'not so: $word $path'; exit 1; }"
}

refused() {
    expect_status 1
    expect_text "$1"
    [ "$(wc -l <<< "$output")" = 1 ]
    [ -z "$(store)" ]
}

run_case() {
    local name=$1 line
    read -r line < "$CASES/$name.expect"
    run berth load -q -i "$CASES/$name.tar"
    if [[ $line == refuse* ]]; then
        refused "${line#* }"
        run berth import "$CASES/$name.layer.tar" "hostile/$name"
        if [[ $line == refuse-above* ]]; then
            expect_status 0
            berth rmi "hostile/$name" > /dev/null
        else
            refused ""
        fi
    else
        expect_status 0
        sed 1d "$CASES/$name.expect" | while read -r line; do
            # shellcheck disable=SC2086
            check_of $line
        done > "$name.sh"
        in_root "hostile/$name" "$PWD/$name.sh"
        # It can be a container's root as well.
        berth run --rm --network none -v /bin/busybox:/.bin/busybox:ro --entrypoint /.bin/busybox "hostile/$name" true
        berth rmi "hostile/$name" > /dev/null
        run berth import "$CASES/$name.layer.tar" "hostile/$name"
        [ "$status" != 0 ] || berth rmi "hostile/$name" > /dev/null
        [ -z "$(store)" ]
    fi
    untouched
}

group() {
    local name path
    for path in "$CASES"/*.expect; do
        name=$(basename "$path" .expect)
        # shellcheck disable=SC2254
        case $name in
        $1)
            echo "case $name" # the last one printed is the one that failed
            run_case "$name"
            ;;
        esac
    done
}

@test "names that lead outside of the layer" {
    group 'dotdot*'
    group 'absolute'
    group 'many-slashes'
}

@test "symbolic links that lead outside, and names below them" {
    group 'link-*'
    group 'root-*'
    group 'below-file'
}

@test "hard links" { group 'hard-*'; }

@test "whiteouts and opaque directories" {
    group 'whiteout*'
    group '*whiteout'
    group 'opaque-*'
    group '*-then-whiteout'
}

@test "directories without an entry, repeated entries" {
    group 'orphan*'
    group 'repeated-*'
    group '*-over-*'
    group 'times'
    group 'set-group-id'
}

@test "numbers, attributes, lengths" {
    group 'uid-*'
    group 'gid-*'
    group 'attribute-*'
    group 'component-*'
    group 'path-*'
    group 'sparse-*'
    group 'unknown-type'
}

@test "the ends of archives" {
    group 'end-*'
    group 'truncated'
    group 'damaged'
    group 'no-tar'
}

@test "no case is forgotten" {
    for path in "$CASES"/*.expect; do
        name=$(basename "$path" .expect)
        case $name in
        dotdot* | absolute | many-slashes | link-* | root-* | below-file | hard-* | whiteout* | *whiteout | \
            opaque-* | *-then-whiteout | orphan* | repeated-* | *-over-* | times | set-group-id | uid-* | gid-* | \
            attribute-* | component-* | path-* | sparse-* | unknown-type | end-* | truncated | damaged | no-tar) ;;
        *)
            echo "no group has the case $name"
            false
            ;;
        esac
    done
}
