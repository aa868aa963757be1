# Pull and push, with Debian's docker-registry and with a small server of our own that misbehaves.

load helper

# A store of its own, which is empty after each test, and a registry of the file's own.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/registry-data BERTH_RUN=$BERTH_TEST_DATA/registry-run
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    # Nobody's credentials and settings, whoever runs the tests.
    export HOME=$BATS_FILE_TMPDIR/home XDG_RUNTIME_DIR=$BATS_FILE_TMPDIR/runtime
    mkdir -p "$BERTH_DATA" "$BERTH_RUN" "$HOME" "$XDG_RUNTIME_DIR"
    chmod 755 "$BATS_FILE_TMPDIR"
    unset REGISTRY_AUTH_FILE DOCKER_CONFIG http_proxy https_proxy HTTPS_PROXY ALL_PROXY
    REGISTRY=localhost:$(free_port)
    export REGISTRY
    cat > "$BATS_FILE_TMPDIR/registry.yml" << END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $BATS_FILE_TMPDIR/registry}, delete: {enabled: true}}
http: {addr: "$REGISTRY", secret: tests}
END
    docker-registry serve "$BATS_FILE_TMPDIR/registry.yml" > "$BATS_FILE_TMPDIR/registry.log" 2>&1 3>&- &
    echo $! > "$BATS_FILE_TMPDIR/registry.pid"
    wait_until 10 python3 -c "import urllib.request; urllib.request.urlopen('http://$REGISTRY/v2/')"
}

teardown_file() { kill "$(cat "$BATS_FILE_TMPDIR/registry.pid")"; }

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    remove_all
    remove_images
    [ ! -f server.pid ] || kill "$(cat server.pid)"
    rm -rf "${BERTH_DATA:?}"/ingest/*
    [ -z "$(store)" ] || {
        echo "left in the store:"
        store
        false
    }
    ! pgrep -f "^[^ ]*berth-fetch" || false
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

remove_images() {
    local ids
    ids=$(berth images -q | sort -u)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rmi -f $ids > /dev/null
}

# What the store holds, but its locks.
store() {
    (cd "$BERTH_DATA" && find blobs layers images names staging volumes trash ingest -mindepth 1 \
        -maxdepth 2 ! -path blobs/lock ! -path 'blobs/sha*[0-9][0-9]' ! -path layers/.unsynced \
        2> /dev/null | grep -v '^layers/[^/]*/' | sort || true)
}

# An image in the registry, sent by skopeo: put NAME LAYERS [FORM]
put() {
    python3 -c "from oci_image import *; l = Layout(); l.image('image', $2, form='${3:-gzip}'); l.write('put.tar')"
    skopeo copy -q --insecure-policy --dest-tls-verify=false oci-archive:put.tar \
        "docker://$REGISTRY/$1" > /dev/null
    skopeo inspect --tls-verify=false "docker://$REGISTRY/$1" --format '{{.Digest}}'
}

# --- pull ---

@test "an image is pulled, unpacked and run; what pull prints is what docker prints" {
    digest=$(put first:1 "[busybox(), tar([file('a', 'content of a')])]")
    run -0 --separate-stderr berth pull "$REGISTRY/first:1"
    [ "$output" = "Digest: $digest
Status: Downloaded newer image for $REGISTRY/first:1
$REGISTRY/first:1" ]
    [ -z "$stderr" ]
    [ "$(berth run --rm "$REGISTRY/first:1" cat /a)" = "content of a" ]
    run -0 berth pull "$REGISTRY/first:1"
    expect_text "Status: Image is up to date for $REGISTRY/first:1"
    run -0 berth pull -q "$REGISTRY/first:1"
    [ "$output" = "$REGISTRY/first:1" ]
    # By its digest, too, under which it is known from now on.
    run -0 berth pull -q "$REGISTRY/first@$digest"
    run -0 berth image inspect --format '{{index .RepoDigests 0}}' "$REGISTRY/first@$digest"
    [ "$output" = "$REGISTRY/first@$digest" ]
    run -0 berth rmi "$REGISTRY/first:1"
    expect_text "Untagged: $REGISTRY/first@$digest"
    [ -z "$(store)" ]
}

@test "an image that is pulled by its digest alone has no tag" {
    digest=$(put bare:1 "[busybox()]")
    run -0 berth pull -q "$REGISTRY/bare@$digest"
    run -0 berth images --format '{{.Repository}} {{.Tag}}'
    [ "$output" = "$REGISTRY/bare <none>" ]
    run -0 berth run --rm "$REGISTRY/bare@$digest" sh -c 'echo ran'
    [ "$output" = ran ]
    run -0 berth rmi "$REGISTRY/bare@$digest"
    [ -z "$(store)" ]
}

@test "a pull says what is not there, and leaves nothing" {
    put there:1 "[busybox()]" > /dev/null
    run -1 berth pull "$REGISTRY/there:2"
    [ "$output" = "berth: pull: $REGISTRY/there:2: $REGISTRY answers 404: manifest unknown" ]
    run -1 berth pull "$REGISTRY/nowhere"
    expect_text "Using default tag: latest"
    expect_text "$REGISTRY answers 404"
    port=$(free_port)
    run -1 berth pull "localhost:$port/x:1"
    expect_text "berth: pull: localhost:$port/x:1: localhost:$port: Failed to connect to localhost port $port"
    run -1 berth pull "$REGISTRY/UPPER"
    expect_text "must be lower case"
    [ -z "$(store)" ]
}

@test "berth-fetch has no rights: nobody's, without files, in a filter" {
    [ "$(id -u)" = 0 ] || skip "only root has rights to give up"
    # A server that never answers holds it while it is looked at.
    python3 -c "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(60)" > port 3>&- &
    echo $! > server.pid
    wait_until 5 test -s port
    berth pull "localhost:$(cat port)/x:1" > /dev/null 2>&1 3>&- &
    pull=$!
    wait_until 5 pgrep -P "$pull" -f berth-fetch
    fetch=$(pgrep -P "$pull" -f berth-fetch)
    # Once it has entered its sandbox.
    wait_until 5 grep -q '^Uid:.65534' "/proc/$fetch/status"
    grep -q __asan_init "$BERTH_BUILD/berth-fetch" || wait_until 5 grep -q '^Seccomp:.2' "/proc/$fetch/status"
    grep -E '^(Uid|Gid):.65534.65534.65534.65534' "/proc/$fetch/status" | wc -l | grep -qx 2
    grep -Eq '^Groups:[[:space:]]*$' "/proc/$fetch/status"
    grep -q '^CapPrm:.0000000000000000' "/proc/$fetch/status"
    grep -q '^NoNewPrivs:.1' "/proc/$fetch/status"
    # No descriptor of the store, and no variable of the caller's.
    ! ls -l "/proc/$fetch/fd" | grep "$BERTH_DATA" || false
    ! tr '\0' '\n' < "/proc/$fetch/environ" | grep -q '^HOME=' || false
    kill "$pull"
    wait_until 5 test ! -d "/proc/$fetch"
}
