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
    unset REGISTRY_AUTH_FILE DOCKER_CONFIG
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
    wait_until 30 python3 -c "import urllib.request; urllib.request.urlopen('http://$REGISTRY/v2/')"
}

teardown_file() { kill "$(cat "$BATS_FILE_TMPDIR/registry.pid")"; }

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    remove_all
    remove_images
    # shellcheck disable=SC2046
    [ ! -f server.pids ] || kill $(cat server.pids) 2> /dev/null || true
    rm -rf "$HOME/.docker" "$HOME/.config" "$XDG_RUNTIME_DIR/containers"
    rm -rf "${BERTH_DATA:?}"/ingest/*
    [ -z "$(store)" ] || {
        echo "left in the store:"
        store
        false
    }
    wait_until 20 eval '! pgrep -f "^$BERTH_BUILD/berth-fetch"'
}

remove_images() {
    local ids
    ids=$(berth images -q | sort -u)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || berth rmi -f $ids > /dev/null
    wait_trash # large images are deleted behind rmi
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

# Our own server, with an image in it as tag "1": serve LAYERS [BEHAVIOUR=VALUE...]; sets $SERVER
serve() {
    local layers=$1 name=server$((++SERVERS))
    shift
    python3 -c "from oci_image import *; l = Layout(); l.image('1', $layers, form='gzip'); l.write_directory('$name')"
    start_server $name $name "$@"
}

# start_server NAME LAYOUT [BEHAVIOUR=VALUE...]
start_server() {
    local name=$1 layout=$2
    shift 2
    python3 "$BATS_TEST_DIRNAME/registry_server.py" $name.port "$layout" $name.log "$@" 2> $name.err 3>&- &
    echo $! >> server.pids
    wait_until 30 test -s $name.port
    SERVER=localhost:$(cat $name.port)
    SERVER_LOG=$name.log
}

# Layers of a few hundred KiB that do not compress.
NOISE="tar([file('noise', __import__('random').Random(1).randbytes(300000))])"

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
    wait_trash
    [ -z "$(store)" ]
}

# Requests to our own server since the last call.
requests() {
    cut -d ' ' -f 1,2 "$SERVER_LOG" | sed 's/sha256:[0-9a-f]*/DIGEST/'
    : > "$SERVER_LOG"
}

@test "a pull of what is here already costs one HEAD, which registries do not count" {
    python3 -c "from oci_image import *; l = Layout(); l.image('1', [busybox()], form='gzip'); \
        l.image('2', [busybox(), tar([file('new', 'yes')])], form='gzip'); l.write_directory('two')"
    start_server moving two move=moved
    run -0 berth pull -q "$SERVER/a:1"
    requests > first
    ! grep '^HEAD' first || false
    run -0 berth pull "$SERVER/a:1"
    expect_text "Status: Image is up to date"
    [ "$(requests)" = "HEAD /v2/a/manifests/1" ]
    # Under another name it is asked for in full: what is here tells that name nothing.
    run -0 berth pull -q "$SERVER/b:1"
    [ "$(requests)" = "GET /v2/b/manifests/1" ]
    touch moved
    run -0 berth pull "$SERVER/a:1"
    expect_text "Status: Downloaded newer image"
    requests > moving
    [ "$(head -n 2 moving)" = "HEAD /v2/a/manifests/1
GET /v2/a/manifests/1" ]
    [ "$(berth run --rm "$SERVER/a:1" cat /new)" = yes ]
}

@test "a registry that knows no HEAD of manifests is asked for them" {
    serve "[busybox()]" nohead=1
    run -0 berth pull -q "$SERVER/a:1"
    requests > first
    run -0 berth pull "$SERVER/a:1"
    expect_text "Status: Image is up to date"
    [ "$(requests)" = "HEAD /v2/a/manifests/1
GET /v2/a/manifests/1" ]
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

@test "run and create pull what is missing, always or never" {
    digest=$(put ran:1 "[busybox(), tar([file('v', 'one')])]")
    run -125 berth run --rm --pull never "$REGISTRY/ran:1" cat /v
    [ "$output" = "berth: No such image: $REGISTRY/ran:1; \`berth images\` lists those that are here" ]
    run -0 --separate-stderr berth run --rm "$REGISTRY/ran:1" cat /v
    [ "$output" = one ]
    [ "$stderr" = "Unable to find image '$REGISTRY/ran:1' locally
Digest: $digest
Status: Downloaded newer image for $REGISTRY/ran:1" ]
    put ran:1 "[busybox(), tar([file('v', 'two')])]"
    run -0 --separate-stderr berth run --rm "$REGISTRY/ran:1" cat /v
    [ "$output$stderr" = one ]
    run -0 --separate-stderr berth run --rm --pull always -q "$REGISTRY/ran:1" cat /v
    [ "$output$stderr" = two ]
    # One notice and one error, which tells what may have been meant.
    run -1 berth create "$REGISTRY/another-name-with-nothing-alike:none" true
    [ "$output" = "Unable to find image '$REGISTRY/another-name-with-nothing-alike:none' locally
berth: pull: $REGISTRY/another-name-with-nothing-alike:none: $REGISTRY answers 404: manifest unknown" ]
    run -125 berth run --rm -q "$REGISTRY/ran:2" true
    [ "$output" = "berth: pull: $REGISTRY/ran:2: $REGISTRY answers 404: manifest unknown; did you mean '$REGISTRY/ran:1'? \`berth images\` lists them" ]
    run -125 berth run --rm --pull always "$REGISTRY/ran:2" true
    [ "$output" = "berth: pull: $REGISTRY/ran:2: $REGISTRY answers 404: manifest unknown; did you mean '$REGISTRY/ran:1'? \`berth images\` lists them" ]
    run -125 berth run --rm UPPER true
    [ "${#lines[@]}" = 1 ]
    run -0 berth pull -q --policy missing "$REGISTRY/ran:1"
    [ "$output" = "$REGISTRY/ran:1" ]
    remove_images
}

# --- several platforms ---

# An OCI layout "many" with an index "1" of this machine's image, one for s390x and an artifact, and
# the same as many.tar.
make_index() {
    python3 -c "
from oci_image import *
l = Layout()
mine = l.image('', [busybox(), tar([file('who', 'mine')])], form='gzip')
other = l.image('', [tar([file('who', 'other')])], form='zstd')
mine['platform'] = {'os': 'linux', 'architecture': MACHINE}
other['platform'] = {'os': 'linux', 'architecture': 's390x'}
for d in mine, other: del d['annotations']
artifact = l.document({'schemaVersion': 2, 'mediaType': KIND + 'manifest.v1+json', 'artifactType': 'text/x-note',
    'config': l.blob(b'{}', 'application/vnd.oci.empty.v1+json'), 'layers': [l.blob(b'a note', 'text/plain')]}, 'manifest.v1+json')
artifact['platform'] = {'os': 'unknown', 'architecture': 'unknown'}
index = l.document({'schemaVersion': 2, 'mediaType': KIND + 'index.v1+json', 'manifests': [other, mine, artifact]}, 'index.v1+json')
index['annotations'] = {'org.opencontainers.image.ref.name': '${1:-1}'}
l.entries = [index]
l.write_directory('many')
l.write('many.tar')
print(index['digest'])"
}

@test "all platforms: an index is pulled, pushed, saved and loaded as it is" {
    index=$(make_index)
    start_server many many
    run -0 berth pull --all-platforms "$SERVER/many:1"
    expect_text "Digest: $index"
    [ "$(berth run --rm "$SERVER/many:1" cat /who)" = mine ]
    [ "$(berth images -q | wc -l)" = 1 ]
    [ "$(find "$BERTH_DATA"/blobs/sha256 -type f | wc -l)" = 11 ] # as in the layout
    run -0 berth image prune -f # all of it is needed
    [ "$(find "$BERTH_DATA"/blobs/sha256 -type f | wc -l)" = 11 ]
    berth system check --deep
    berth tag "$SERVER/many:1" "$REGISTRY/moved:2"
    run -0 berth push --all-platforms "$REGISTRY/moved:2"
    expect_text "2: digest: $index size: "
    [ "$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/moved:2" | sha256sum)" = "${index#sha256:}  -" ]
    skopeo copy -q --all --insecure-policy --src-tls-verify=false "docker://$REGISTRY/moved:2" oci:read:1
    diff <(ls many/blobs/sha256) <(ls read/blobs/sha256)
    berth save --all-platforms -o saved.tar "$REGISTRY/moved:2"
    remove_images
    [ -z "$(store)" ]
    run -0 berth load --all-platforms -i saved.tar
    expect_text "Loaded image: $REGISTRY/moved:2"
    run -0 berth push --all-platforms "$REGISTRY/moved:2" "$REGISTRY/moved:2"
    expect_text "2: digest: $index size: "
    berth save --all-platforms -o again.tar "$REGISTRY/moved:2"
    cmp saved.tar again.tar
    remove_images
    [ -z "$(store)" ]
}

@test "all platforms: what is not here is said, and an ordinary pull takes one platform" {
    index=$(make_index many:1)
    sed -i 's/"many:1"/"1"/' many/index.json # many.tar has the whole name
    start_server many many
    berth pull -q "$SERVER/many:1"
    [ "$(find "$BERTH_DATA"/blobs/sha256 -type f | wc -l)" = 5 ] # index, manifest, config, two layers
    run -1 berth push --all-platforms "$SERVER/many:1"
    expect_text "not all that index $index names is here; pull it with --all-platforms"
    run -1 berth save --all-platforms -o no.tar "$SERVER/many:1"
    expect_text "not all that index $index names is here"
    berth push -q "$SERVER/many:1" "$SERVER/many:single"
    put lone:1 "[busybox()]" > /dev/null
    berth pull -q "$REGISTRY/lone:1"
    run -1 berth push --all-platforms "$REGISTRY/lone:1"
    expect_text "it did not come with an index of several platforms"
    # What was pulled of one platform becomes whole.
    berth pull -q --all-platforms "$SERVER/many:1"
    berth push -q --all-platforms "$SERVER/many:1"
    remove_images
    berth load -q --all-platforms -i many.tar
    [ "$(berth run --rm many:1 cat /who)" = mine ]
    [ "$(find "$BERTH_DATA"/blobs/sha256 -type f | wc -l)" = 11 ]
}

# add_artifact TEXT SUBJECT-DIGEST: to the layout "many"; prints its descriptor
add_artifact() {
    python3 - "$@" << 'END'
import hashlib, json, os, sys
from oci_image import KIND
text, subject = sys.argv[1:3]
def blob(data, kind):
    name = hashlib.sha256(data).hexdigest()
    with open("many/blobs/sha256/" + name, "wb") as file:
        file.write(data)
    return {"mediaType": kind, "digest": "sha256:" + name, "size": len(data)}
size = os.path.getsize("many/blobs/" + subject.replace(":", "/"))
manifest = {"schemaVersion": 2, "mediaType": KIND + "manifest.v1+json", "artifactType": "text/x-signature",
            "config": blob(b"{}", "application/vnd.oci.empty.v1+json"), "layers": [blob(text.encode(), "text/plain")],
            "subject": {"mediaType": KIND + "index.v1+json", "digest": subject, "size": size}}
print(json.dumps(dict(blob(json.dumps(manifest).encode(), KIND + "manifest.v1+json"), artifactType="text/x-signature")))
END
}

digest_in() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])["digest"])' "$1"; }

@test "image copy: all platforms and what refers to them, and nothing of it stays here" {
    index=$(make_index)
    first=$(digest_in "$(add_artifact one "$index")")
    second=$(digest_in "$(add_artifact two "$index")")
    third=$(digest_in "$(add_artifact three "$first")") # a signature of a signature
    start_server many many referrers=1
    run -0 berth image referrers "$SERVER/many:1"
    expect_text "ARTIFACT TYPE "
    expect_text "text/x-signature "
    expect_text "$first"
    expect_text "$second"
    [ ${#lines[@]} = 3 ]
    # To a registry without the API: a tag stands in for it.
    run -0 berth image copy "$SERVER/many:1" "$REGISTRY/copied:3"
    [ "$output" = "Copied 7 manifests, of them 3 that refer to others, and 10 blobs
$index" ]
    [ "$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/copied:3" | sha256sum)" = "${index#sha256:}  -" ]
    run -0 berth image referrers --format '{{.Digest}}' "$REGISTRY/copied:3"
    [ "$(sort <<< "$output")" = "$(printf '%s\n' "$first" "$second" | sort)" ]
    run -0 berth image referrers --format '{{.Digest}}' "$REGISTRY/copied@$first"
    [ "$output" = "$third" ]
    run -0 berth images -q
    [ -z "$output" ]
    wait_trash
    [ -z "$(store)" ]
    # Within a registry nothing is fetched but documents; the tag is merged, not replaced.
    run -0 berth image copy -q "$REGISTRY/copied:3" "$REGISTRY/copied:4"
    [ "$output" = "$index" ]
    run -0 berth image referrers --format '{{.Digest}}' "$REGISTRY/copied:4"
    [ ${#lines[@]} = 2 ]
    # Back to one with the API, which needs no such tag.
    mkdir empty && cp -r many/oci-layout empty/ && mkdir -p empty/blobs && echo '{"schemaVersion": 2, "manifests": []}' > empty/index.json
    start_server empty empty referrers=1
    run -0 berth image copy -q "$REGISTRY/copied:3" "$SERVER/back:1"
    run ! grep 'PUT /v2/back/manifests/sha256-' "$SERVER_LOG"
    run -0 berth image referrers --format '{{.Digest}}' "$SERVER/back:1"
    [ ${#lines[@]} = 2 ]
    berth pull -q --all-platforms "$SERVER/back:1"
    [ "$(berth run --rm "$SERVER/back:1" cat /who)" = mine ]
}

@test "image copy: signatures under cosign's tags are listed and copied along" {
    digest=$(put signed:1 "[busybox()]")
    tag=sha256-${digest#sha256:}
    for end in sig att; do
        put "signed:$tag.$end" "[tar([file('$end', 'of cosign')])]" > $end.digest
    done
    run -0 berth image referrers --format '{{.ArtifactType}} {{.Digest}}' "$REGISTRY/signed:1"
    [ "$output" = "cosign sig $(cat sig.digest)
cosign att $(cat att.digest)" ]
    # One of docker's type, for a registry that takes no other.
    skopeo copy -q --insecure-policy --src-tls-verify=false --dest-tls-verify=false --format v2s2 \
        "docker://$REGISTRY/signed:$tag.att" "docker://$REGISTRY/signed:$tag.sbom"
    skopeo inspect --tls-verify=false "docker://$REGISTRY/signed:$tag.sbom" --format '{{.Digest}}' > sbom.digest
    run -0 berth image referrers --format '{{.MediaType}}' "$REGISTRY/signed:1"
    [ "${lines[2]}" = application/vnd.docker.distribution.manifest.v2+json ]
    run -0 berth image copy "$REGISTRY/signed:1" "$REGISTRY/elsewhere:1"
    expect_text "Copied 4 manifests, of them 3 that refer to others"
    for end in sig att sbom; do
        run -0 skopeo inspect --tls-verify=false "docker://$REGISTRY/elsewhere:$tag.$end" --format '{{.Digest}}'
        [ "$output" = "$(cat $end.digest)" ]
    done
    # They are no referrers of the other kind: no tag stands in for them.
    run -1 berth image inspect "docker://$REGISTRY/elsewhere:$tag"
}

@test "image copy: what refers to an image without end is not copied" {
    serve "[busybox()]" referrers=many
    run -1 timeout 60 berth image referrers "$SERVER/a:1"
    expect_text "more than 2000 documents refer to it"
    serve "[busybox()]" referrers=deep
    run -1 timeout 60 berth image copy "$SERVER/a:1" "$REGISTRY/deep:1"
    expect_text "documents refer to others more than 8 deep"
    berth image prune -f > /dev/null # the documents that came: no image has them
}

@test "image copy: from and to layouts and archives, as skopeo has them" {
    index=$(make_index)
    # All platforms go to a registry and come back as they were.
    run -0 berth image copy oci:many:1 "$REGISTRY/from-layout:1"
    [ "$output" = "$index" ]
    [ "$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/from-layout:1" | sha256sum)" = "${index#sha256:}  -" ]
    run -0 berth image copy "docker://$REGISTRY/from-layout:1" oci-archive:back.tar:v1
    [ "$output" = "$index" ]
    run -0 berth image copy oci-archive:back.tar:v1 oci:back
    diff -r --exclude index.json many back
    [ "$(skopeo inspect --raw oci:back | sha256sum)" = "${index#sha256:}  -" ]
    [ "$(skopeo inspect --raw oci-archive:back.tar:v1 | sha256sum)" = "${index#sha256:}  -" ]
    # docker's form has one platform and a name; skopeo and berth read it.
    run -0 berth image copy "$REGISTRY/from-layout:1" docker-archive:docker.tar:team/app:7
    [ "$(skopeo inspect docker-archive:docker.tar:team/app:7 --format '{{.Architecture}}')" = "$(skopeo inspect oci:back --format '{{.Architecture}}')" ]
    run -0 berth image copy docker-archive:docker.tar "$REGISTRY/from-docker:1"
    run -0 berth images -q
    [ -z "$output" ]
    wait_trash
    [ -z "$(store)" ]
    run -0 berth load -q -i docker.tar
    [ "$(berth run --rm team/app:7 cat /who)" = mine ]
    # What skopeo has written.
    skopeo copy -q --insecure-policy "docker-archive:docker.tar" oci:theirs:x
    run -0 berth image copy oci:theirs:x oci-archive:ours.tar
}

@test "image inspect looks into layouts and archives without a load" {
    python3 -c "from oci_image import *; l = Layout(); l.image('app:1', [busybox(), $NOISE], form='gzip'); l.write('app.tar'); l.write_directory('app')"
    skopeo copy -q --insecure-policy oci-archive:app.tar docker-archive:docker.tar:name:2 > /dev/null
    skopeo inspect oci-archive:app.tar > theirs.json
    for place in oci:app oci:app:app:1 oci-archive:app.tar; do
        run -0 berth image inspect "$place"
        for member in Digest Layers Architecture Os; do
            [ "$(jq -c ".[0].$member" <<< "$output")" = "$(jq -c ".$member" theirs.json)" ]
        done
        [ "$(jq -c '.[0].RepoTags' <<< "$output")" = '["app:1"]' ]
    done
    run -0 berth image inspect -f '{{.RepoTags}} {{len .Layers}}' docker-archive:docker.tar
    [ "$output" = "[name:2] 2" ]
    run -1 berth image inspect oci:app:other
    expect_text "berth: image inspect: oci:app:other: there is no image 'other' in it; there are app:1"
    run -1 berth image inspect oci-archive:none.tar
    expect_text "open 'none.tar': No such file or directory"
    run -1 berth image inspect --platform linux/arm64 oci:app
    expect_text "--platform is for docker://NAME alone"
    # The name of an image that is here is not a place.
    python3 -c "from oci_image import *; l = Layout(); l.image('oci:1', [busybox()]); l.write('oci.tar')"
    berth load -q -i oci.tar
    run -0 berth image inspect -f '{{index .RepoTags 0}}' oci:1
    [ "$output" = oci:1 ]
}

@test "image copy: damaged layouts, lost names and failed writes leave nothing behind" {
    python3 -c "from oci_image import *; l = Layout()
for name in '1', '2': l.image(name, [tar([file(name, 'x')])], form='gzip')
l.write_directory('two')"
    run -1 berth image copy oci:two oci:new
    [ "$output" = "berth: image copy: there are 2 images in it: add ':' and one of 1, 2" ]
    [ ! -e new ]
    run -1 berth image copy oci:two:3 oci-archive:new.tar
    [ "$output" = "berth: image copy: there is no image '3' in it; there are 1, 2" ]
    run -1 berth image copy oci:two:1 oci:two
    [ "$output" = "berth: image copy: 'two' is there already; name a new one" ]
    run -1 berth image copy oci:two:1 oci-archive:/dev/full
    expect_text "No space left on device"
    run -1 berth image copy oci:two:1 docker-archive:new.tar:Not/A/Name
    [ "$output" = "berth: image copy: 'Not/A/Name' is no image name" ]
    run -1 berth image copy oci-archive:two oci:new
    [ "$output" = "berth: image copy: 'oci-archive:two': 'two' is a directory" ]
    # Another content than the digest says, in each of its blobs.
    for blob in two/blobs/sha256/*; do
        cp "$blob" whole
        python3 -c "import sys; b = bytearray(open(sys.argv[1], 'rb').read()); b[-3] ^= 1; open(sys.argv[1], 'wb').write(b)" "$blob"
        berth image copy -q oci:two:1 oci:new > out 2>&1 && berth image copy -q oci:two:2 oci:other >> out 2>&1 && false
        grep -q "$(basename "$blob")" out
        rm -rf new other
        cp whole "$blob"
    done
    ln -sf /etc/passwd two/index.json
    run -1 berth image copy oci:two:1 oci:new
    [ -z "$(ls -d new* 2> /dev/null)" ]
    wait_trash
}

@test "image copy: what it cannot do is said" {
    put there:1 "[busybox()]" > /dev/null
    run -1 berth image copy "$REGISTRY/there:2" "$REGISTRY/there:3"
    expect_text "berth: image copy: $REGISTRY answers 404: manifest unknown"
    run -1 berth image copy "dir:dir" "$REGISTRY/there:3"
    expect_text "'dir:dir': give docker://NAME, oci:DIRECTORY[:TAG]"
    run -0 berth image referrers "$REGISTRY/there:1"
    [ "$output" = "ARTIFACT TYPE   DIGEST    SIZE" ]
}

@test "a blob that the disk has damaged is dropped by check --repair and pulled anew" {
    serve "[busybox(), $NOISE]"
    berth pull -q "$SERVER/a:1"
    blob=$(find "$BERTH_DATA/blobs/sha256" -type f -size +500 | head -1)
    printf XX | dd of="$blob" bs=1 seek=200 conv=notrunc status=none
    run -1 berth system check --repair -q
    expect_text "is damaged: its content has the digest"
    berth pull -q "$SERVER/a:1"
    berth system check -q --deep
}

@test "a pull mends what the disk has damaged, and says so" {
    serve "[busybox(), $NOISE]"
    berth pull -q "$SERVER/a:1"
    digest=$(berth image inspect --format '{{index .RepoDigests 0}}' "$SERVER/a:1")
    blobs=$BERTH_DATA/blobs/sha256
    config=$blobs/$(berth image inspect --format '{{.Id}}' "$SERVER/a:1" | cut -d : -f 2)
    manifest=$blobs/${digest##*:}
    for blob in "$manifest" "$config"; do
        printf XX | dd of="$blob" bs=1 seek=20 conv=notrunc status=none
        run -0 --separate-stderr berth pull "$SERVER/a:1"
        [[ $stderr == "berth: warning: blob sha256:${blob##*/} is damaged: its content has the digest sha256:"*"; it is fetched anew" ]]
        expect_text "Status: Image is up to date"
        run -0 --separate-stderr berth pull -q "$SERVER/a:1"
        [ -z "$stderr" ]
        berth run --rm "$SERVER/a:1" true
    done
    truncate -s 30 "$manifest"
    run -0 berth pull "$SERVER/a:1"
    expect_text "it is fetched anew"
    # A layer is read when it is not unpacked yet.
    cp -a "$blobs" kept
    remove_images
    mkdir -p "$blobs"
    cp -a kept/. "$blobs"
    for blob in $(find "$blobs" -type f -size +100k); do
        printf XX | dd of="$blob" bs=1 seek=20000 conv=notrunc status=none
    done
    run -0 berth pull "$SERVER/a:1"
    [ "$(grep -c 'it is fetched anew' <<< "$output")" = 2 ]
    berth system check -q --deep
}

@test "layers with sha512 digests are pulled and verified by them" {
    python3 -c "
from oci_image import *
def change(manifest):
    for layer in manifest['layers']:
        data = l.files.pop('blobs/' + layer['digest'].replace(':', '/'))
        layer['digest'] = 'sha512:' + hashlib.sha512(data).hexdigest()
        l.files['blobs/' + layer['digest'].replace(':', '/')] = data
l = Layout()
l.image('1', [busybox(), tar([file('a', b'content')])], form='gzip', change=change)
l.write_directory('strong')"
    start_server strong strong
    berth pull -q "$SERVER/strong:1"
    [ "$(berth run --rm "$SERVER/strong:1" cat /a)" = content ]
    [ "$(find "$BERTH_DATA/blobs/sha512" -type f | wc -l)" = 2 ]
    berth system check --deep
    remove_images
    blob=$(find strong/blobs/sha512 -type f -size -2)
    printf x | dd of="$blob" bs=1 seek=20 conv=notrunc status=none
    start_server weak strong
    run -1 berth pull -q "$SERVER/strong:1"
    expect_text "content of sha512:$(basename "$blob") has the digest sha512:"
    rm -rf "${BERTH_DATA:?}"/ingest/*
    make_image_and_remove_it
}

# --- what goes wrong on the way ---

@test "a connection that is cut is gone on with, from the byte where it was" {
    serve "[busybox(), $NOISE]" cut=100000 cuts=4
    run -0 berth pull -q "$SERVER/a:1"
    [ "$output" = "$SERVER/a:1" ]
    grep -q ' bytes=100000- ' "$SERVER_LOG"
    grep -q ' bytes=200000- ' "$SERVER_LOG"
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "300000 /noise" ]
}

# When nothing else is under way either, nothing but the wait for the next attempt ends the wait.
@test "the last layer that is left is asked for again after half a second" {
    serve "[busybox(), tar([file('noise', __import__('random').Random(1).randbytes(12000000))])]" cut=3000000 cuts=3
    run -0 timeout 30 berth pull -q "$SERVER/a:1"
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "12000000 /noise" ]
}

@test "a server without ranges sends all of it once more" {
    serve "[busybox(), $NOISE]" cut=100000 cuts=1 norange=1
    run -0 berth pull -q "$SERVER/a:1"
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "300000 /noise" ]
}

@test "a part that was not asked for, wrong bytes, too few and too many are refused" {
    serve "[busybox(), $NOISE]" cut=100000 cuts=1 badrange=1
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "sends bytes from 99995 on, not from 100000"
    rm -rf "$BERTH_DATA"/ingest/*
    serve "[busybox(), $NOISE]" wrong=1
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "content of sha256:"
    expect_text " has the digest sha256:"
    serve "[busybox(), $NOISE]" long=1
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "$SERVER sends more than the "
    rm -rf "$BERTH_DATA"/ingest/*
    serve "[busybox(), $NOISE]" short=1
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "$SERVER answers 416: range invalid"
    run -0 berth images -q
    [ -z "$output" ]
    # What was whole is kept for the next pull, until something else is removed.
    make_image_and_remove_it
    [ -z "$(store | grep -v '^ingest/')" ]
}

make_image_and_remove_it() {
    python3 -c "from oci_image import *; l = Layout(); l.image('sweep:1', [busybox()]); l.write('sweep.tar')"
    berth load -q -i sweep.tar
    berth rmi sweep:1
}

# The server does not send the end of a layer before there is a file "go".
@test "a layer is unpacked while it arrives, and not to be seen before it is verified" {
    serve "[busybox(), tar([file('first', b'begin'), file('noise', __import__('random').Random(1).randbytes(3000000))])]" stall=2000000
    berth pull -q "$SERVER/a:1" > pull.out 2>&1 3>&- &
    pull=$!
    wait_until 20 sh -c 'cat "$BERTH_DATA"/staging/*/layer/fs/first && test -s "$BERTH_DATA"/staging/*/layer/fs/noise'
    [ "$(find "$BERTH_DATA/layers" -mindepth 1 -maxdepth 1 -name '[0-9a-f]*' | wc -l)" -le 1 ] # busybox
    touch go
    wait $pull
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "3000000 /noise" ]
    [ "$(berth run --rm "$SERVER/a:1" cat /first)" = begin ]
    remove_images
    # Killed meanwhile, it leaves nothing but what came of the blob.
    rm go
    berth pull -q "$SERVER/a:1" > pull.out 2>&1 3>&- &
    pull=$!
    wait_until 20 sh -c 'cat "$BERTH_DATA"/staging/*/layer/fs/first'
    kill -KILL $pull
    wait $pull || true
    touch go
    wait_until 30 sh -c '! pgrep -f "^$BERTH_BUILD/berth-unpack"'
    run -0 berth pull -q "$SERVER/a:1"
    grep -q ' bytes=[0-9]*- ' "$SERVER_LOG"
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "3000000 /noise" ]
}

@test "at a terminal each layer has a line, with rate and time left; in a pipe there is none" {
    serve "[busybox(), tar([file('noise', __import__('random').Random(1).randbytes(3000000))])]" stall=2000000
    cat > lines.exp << END
set timeout 60
set env(TERM) xterm
spawn sh -c "stty cols 100; exec berth pull $SERVER/a:1"
expect -re {[0-9a-f]+: Downloading \[=+> +\]  66%  2MB/3MB}
system touch go
expect eof
END
    run -0 env NO_COLOR=1 expect lines.exp
    [[ "$output" =~ [0-9a-f]{12}:\ Pull\ complete ]]
    [[ "$output" != *$'\033[1m'* ]]
    remove_images
    run -0 --separate-stderr berth pull "$SERVER/a:1"
    [ -z "$stderr" ]
    expect_text "Status: Downloaded newer image"
    [[ "$output" != *Downloading* ]]
}

@test "a layer that came with a wrong byte is fetched and unpacked once more" {
    serve "[busybox(), $NOISE]" spoilt=1
    run -0 berth pull -q "$SERVER/a:1"
    [ "$(berth run --rm "$SERVER/a:1" wc -c /noise)" = "300000 /noise" ]
    berth system check --deep
}

@test "a server that is busy is asked again when it says, and not for ever" {
    serve "[busybox()]" busy=2
    begin=$SECONDS
    run -0 berth pull -q "$SERVER/a:1"
    [ $((SECONDS - begin)) -ge 2 ]
    [ "$(grep -c 'GET /v2/a/blobs/' "$SERVER_LOG")" = 4 ] # the config, and three times the layer
    berth rmi "$SERVER/a:1"
    serve "[busybox()]" busy=2 busystatus=503
    run -0 berth pull -q "$SERVER/a:1"
}

@test "a pull that is killed goes on where it was" {
    serve "[busybox(), tar([file('noise', __import__('random').Random(1).randbytes(20000000))])]" cut=9000000 cuts=2 stall=5000000
    # Each layer's first request is cut off, the next one stays on the way until it is killed.
    berth pull -q "$SERVER/a:1" > /dev/null 2>&1 3>&- &
    pull=$!
    wait_until 30 grep -q 'bytes=[0-9]*000000-' "$SERVER_LOG"
    kill -KILL $pull
    wait $pull || true
    wait_until 30 bash -c '! pgrep -f "^$BERTH_BUILD/berth-fetch"'
    kept=$(stat -c %s "$BERTH_DATA"/ingest/* | sort -n | tail -1)
    [ "$kept" -ge 9000000 ]
    server2=$SERVER
    start_server again server$SERVERS
    # Another name for the same blobs, which are known by their digest.
    run -0 berth pull -q "$SERVER/b:1"
    grep -q "blobs/.* bytes=$kept- " "$SERVER_LOG"
    [ "$(berth run --rm "$SERVER/b:1" wc -c /noise)" = "20000000 /noise" ]
}

@test "two pulls at once fetch each layer once" {
    serve "[busybox(), $NOISE, tar([file('b', 'b' * 100000)])]"
    for i in 1 2 3 4; do berth pull -q "$SERVER/p$i:1" > out$i 2>&1 3>&- & pulls="$pulls $!"; done
    for pull in $pulls; do wait "$pull"; done
    [ "$(cat out1 out2 out3 out4 | grep -c "^$SERVER/p[1-4]:1$")" = 4 ]
    layers=$(grep -o 'blobs/sha256:[0-9a-f]*' "$SERVER_LOG" | sort | uniq -c | sort -n | awk '{ print $1 }' | head -3 | tr '\n' ' ')
    [ "$layers" = "1 1 1 " ]
}

# --- who it is ---

# log_in HOST [MEMBERS]: into docker's file
log_in() {
    mkdir -p "$HOME/.docker"
    echo "{\"auths\": {\"$1\": ${2:-{\"auth\": \"$(printf alice:secret | base64)\"\}}}}" > "$HOME/.docker/config.json"
}

@test "tokens: for anybody, for a login, by a refresh token; one for each scope" {
    serve "[busybox(), $NOISE]" auth=token token=anonymous
    run -0 berth pull -q "$SERVER/a:1"
    [ "$(grep -c 'GET /token' "$SERVER_LOG")" = 1 ]
    berth rmi "$SERVER/a:1"
    serve "[busybox()]" auth=token
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "/token answers 401: denied"
    log_in "$SERVER"
    run -0 berth pull -q "$SERVER/a:1"
    grep -q 'GET /token?service=tests&scope=repository%3Aa%3Apull&account=alice - Basic' "$SERVER_LOG"
    berth rmi "$SERVER/a:1"
    serve "[busybox()]" auth=token identity=1
    log_in "$SERVER" '{"auth": "'"$(printf 'alice:' | base64)"'", "identitytoken": "refresh"}'
    run -0 berth pull -q "$SERVER/a:1"
    grep -q 'POST /token - - ' "$SERVER_LOG"
}

@test "Basic, and logins by podman's file, for a namespace, by a helper" {
    serve "[busybox()]" auth=basic
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "$SERVER wants a login, or there is no such thing there: unauthorized"
    mkdir -p "$XDG_RUNTIME_DIR/containers"
    echo "{\"auths\": {\"$SERVER\": {\"auth\": \"$(printf alice:wrong | base64)\"}, \"$SERVER/team\": {\"auth\": \"$(printf alice:secret | base64)\"}}}" > "$XDG_RUNTIME_DIR/containers/auth.json"
    run -0 berth pull -q "$SERVER/team/a:1"
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "$SERVER does not let 'alice' do that"
    rm "$XDG_RUNTIME_DIR/containers/auth.json"
    mkdir -p bin "$HOME/.docker"
    cat > bin/docker-credential-tests << END
#!/bin/sh
[ "\$1" = get ] && [ "\$(cat)" = "$SERVER" ] && echo '{"ServerURL": "", "Username": "alice", "Secret": "secret"}'
END
    chmod +x bin/docker-credential-tests
    echo "{\"credHelpers\": {\"$SERVER\": \"tests\"}}" > "$HOME/.docker/config.json"
    PATH=$PWD/bin:$PATH run -0 berth pull -q "$SERVER/a:1"
    ! grep -q 'GET /v2/a/manifests/1 - Bearer' "$SERVER_LOG" || false
}

@test "no login goes to another host: redirects, token servers without TLS" {
    serve "[busybox()]"
    other=$SERVER other_log=$SERVER_LOG
    start_server main server$SERVERS auth=basic redirect="127.0.0.1:${other#localhost:}"
    log_in "$SERVER"
    run -0 berth pull -q "$SERVER/a:1"
    grep -q "GET /elsewhere/sha256:" "$other_log"
    ! grep -v ' - - 127.0.0.1' "$other_log" || false
    grep -q 'GET /v2/a/blobs/.* Basic ' "$SERVER_LOG"
    # berth does not take "insecure" for this host: it is the registry that wants it so.
    serve "[busybox()]" auth=token realm=ftp://localhost/token
    log_in "$SERVER"
    run -1 berth pull -q "$SERVER/b:1"
    expect_text "names a token server without TLS: 'ftp://localhost/token'"
}

@test "a token server that redirects to another host: that one is not given the login's token" {
    serve "[busybox()]" auth=token identity=1
    other=$SERVER other_log=$SERVER_LOG
    start_server main server$SERVERS auth=token tokenredirect="127.0.0.1:${other#localhost:}"
    log_in "$SERVER" '{"auth": "'"$(printf 'alice:' | base64)"'", "identitytoken": "refresh"}'
    run -1 berth pull -q "$SERVER/a:1"
    expect_text "http://$SERVER/token redirects to another host, which is not given the login's token"
    grep -q '^POST /token' "$SERVER_LOG"
    [ ! -s "$other_log" ]
}

@test "an answer without end is not waited for" {
    for kind in body head continue; do
        serve "[busybox()]" endless=$kind
        run -1 timeout 60 berth pull -q "$SERVER/a:1"
        [ $kind = body ] || expect_text "$SERVER answers with a head of more than 262144 bytes"
        [ $kind != body ] || expect_text "$SERVER answers 404 with more than 262144 bytes"
    done
}

@test "fields of control characters are none, however many there are" {
    serve "[busybox()]" controls=1
    run -0 timeout 60 berth pull -q "$SERVER/a:1"
}

# --- push ---

# An image in the store: here NAME LAYERS
here() {
    python3 -c "from oci_image import *; l = Layout(); l.image('$1', $2, form='gzip'); l.write('here.tar')"
    berth load -q -i here.tar > /dev/null
}

@test "an image is pushed, byte by byte as it is, and read by others" {
    here "$REGISTRY/sent:1" "[busybox(), $NOISE]"
    run -0 --separate-stderr berth push "$REGISTRY/sent:1"
    [ "${lines[0]}" = "The push refers to repository [$REGISTRY/sent]" ]
    [[ "${lines[1]} ${lines[2]}" =~ ^[0-9a-f]{12}:\ Pushed\ [0-9a-f]{12}:\ Pushed$ ]]
    digest=$(berth images --digests --format '{{.Digest}}' "$REGISTRY/sent")
    [[ "${lines[3]}" =~ ^1:\ digest:\ $digest\ size:\ [0-9]+$ ]]
    [ -z "$stderr" ]
    [ "$(skopeo inspect --tls-verify=false "docker://$REGISTRY/sent:1" --format '{{.Digest}}')" = "$digest" ]
    skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REGISTRY/sent:1" dir:copied
    # Once more: all of it is there. Under another name: mounted, without a byte.
    run -0 berth push "$REGISTRY/sent:1"
    [ "$(grep -c ': Layer already exists$' <<< "$output")" = 2 ]
    berth pull -q "$REGISTRY/sent:1"
    run -0 berth push "$REGISTRY/sent:1" "$REGISTRY/team/other:2"
    [ "$(grep -c ': Mounted from sent$' <<< "$output")" = 2 ]
    run -0 berth push -q "$REGISTRY/sent:1" "docker://$REGISTRY/quiet"
    [ "$output" = "$REGISTRY/quiet:latest" ]
    berth tag "$REGISTRY/sent:1" "$REGISTRY/sent:2"
    run -0 berth push -q -a "$REGISTRY/sent"
    [ "$(sort <<< "$output" | tr '\n' ' ')" = "$REGISTRY/sent:1 $REGISTRY/sent:2 " ]
    run -1 berth push "$REGISTRY/nothing:1"
    expect_text "No such image: $REGISTRY/nothing:1"
}

@test "a large layer goes in pieces, and goes on where it was cut off" {
    serve "[busybox()]" chunkmin=20000000 uploadcut=5000000
    here large:1 "[busybox(), tar([file('noise', __import__('random').Random(1).randbytes(30000000))])]"
    run -0 berth push large:1 "$SERVER/large:1"
    # What the cut piece brought, then a whole one of the size that the server wants, then the rest.
    grep -q "^GET /v2/large/blobs/uploads/upload-[0-9]*?state=kept" "$SERVER_LOG"
    [ "$(grep -c '^piece 20000000$' "$SERVER_LOG")" = 1 ]
    [ "$(grep -c '^piece ' "$SERVER_LOG")" = 2 ]
    berth rmi large:1
    run -0 berth pull -q "$SERVER/large:1"
    # The large one goes to Debian's registry as well.
    run -0 berth push -q "$SERVER/large:1" "$REGISTRY/large:1"
    run -0 skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REGISTRY/large:1" dir:copied
}

@test "a large layer outlasts any number of tokens" {
    serve "[busybox()]" auth=token tokenuses=2
    log_in "$SERVER"
    here large:1 "[tar([file('noise', __import__('random').Random(1).randbytes(100000000))])]"
    run -0 berth push -q large:1 "$SERVER/large:1"
    [ "$(grep -c '^piece ' "$SERVER_LOG")" = 6 ]
    [ "$(grep -c 'GET /token' "$SERVER_LOG")" -gt 4 ]
}

@test "a registry that keeps nothing of a large layer is not sent it without end" {
    serve "[busybox()]" keepnothing=1
    here large:1 "[busybox(), tar([file('noise', __import__('random').Random(1).randbytes(20000000))])]"
    run -1 timeout 60 berth push -q large:1 "$SERVER/large:1"
    expect_text "layer 2 of 2: $SERVER takes a piece of a blob and keeps nothing of it"
}

@test "a push asks for the right to push, and a mount that is refused becomes an upload" {
    serve "[busybox()]" auth=token nomount=1 hide=copy
    log_in "$SERVER"
    berth pull -q "$SERVER/base:1"
    run -0 berth push "$SERVER/base:1" "$SERVER/copy:1"
    expect_text ": Pushed"
    grep -q 'GET /token?.*scope=repository%3Acopy%3Apull%2Cpush&scope=repository%3Abase%3Apull' "$SERVER_LOG"
    grep -q 'POST /v2/copy/blobs/uploads/?mount=sha256%3A.*&from=base' "$SERVER_LOG"
    rm "$HOME/.docker/config.json"
    run -1 berth push "$SERVER/base:1" "$SERVER/copy:2"
    expect_text "/token answers 401: denied"
}

# --- login, search, inspect ---

# With a store of its own: that of a machine may lie where podman's driver cannot be used.
own_podman() { podman --root "$PWD/store" --runroot "$PWD/storerun" --storage-driver vfs "$@"; }

@test "login asks the registry and writes what docker and podman read; logout forgets it" {
    serve "[busybox()]" auth=token
    run -1 bash -c "echo wrong | berth login -u alice --password-stdin $SERVER"
    expect_text "berth: login: http://$SERVER/token answers 401: denied"
    [ ! -e "$HOME/.docker" ]
    run -0 bash -c "echo secret | berth login -u alice --password-stdin $SERVER"
    [ "$output" = "Login Succeeded" ]
    [ "$(stat -c %a "$HOME/.docker/config.json")" = 600 ]
    [ "$(jq -r ".auths[\"$SERVER\"].auth" "$HOME/.docker/config.json" | base64 -d)" = alice:secret ]
    [ "$(REGISTRY_AUTH_FILE=$HOME/.docker/config.json own_podman login --get-login "$SERVER")" = alice ]
    run -0 berth pull -q "$SERVER/a:1"
    run -0 berth logout "$SERVER"
    [ "$output" = "Removing login credentials for $SERVER" ]
    [ "$(jq -c .auths "$HOME/.docker/config.json")" = "{}" ]
    run -0 berth logout "$SERVER"
    [ "$output" = "Not logged in to $SERVER" ]
    # Into the file that has one already, and with what else is in it.
    mkdir -p "$XDG_RUNTIME_DIR/containers"
    REGISTRY_AUTH_FILE=$XDG_RUNTIME_DIR/containers/auth.json own_podman login --tls-verify=false -u alice -p secret "$SERVER"
    run -0 bash -c "echo secret | berth login -u alice --password-stdin http://$SERVER/v2/"
    [ "$(jq -c .auths "$HOME/.docker/config.json")" = "{}" ]
    run -1 bash -c "setsid berth login -u alice $SERVER < /dev/null"
    expect_text "there is no terminal to ask at; give --username and --password-stdin"
    run -0 berth login -u alice -p secret "$SERVER"
    expect_text "a password on the command line can be seen by others; use --password-stdin"
}

@test "a password that is asked for is not shown" {
    serve "[busybox()]" auth=basic
    cat > ask.exp << END
set timeout 60
spawn berth login $SERVER
expect "Username: "; send "alice\r"
expect "Password: "; send "secret\r"
expect "Login Succeeded"
expect eof
END
    run -0 expect ask.exp
    expect_text "Login Succeeded"
    [[ "$output" != *secret* ]]
    grep -q ' Basic ' "$SERVER_LOG"
}

@test "search asks the registry, or looks through its list" {
    serve "[busybox()]"
    run -0 berth search "$SERVER/busy"
    [[ "${lines[0]}" =~ ^NAME\ +DESCRIPTION\ +STARS\ +OFFICIAL$ ]]
    # A sequence for the terminal is shown, not sent.
    [[ "${lines[1]}" =~ ^busybox\ +small\ tools\ \\u009b2J\ +7\ +\[OK\]$ ]]
    put listed/one:1 "[busybox()]"
    run -0 berth search --format '{{.Name}}' "$REGISTRY/listed"
    [ "$output" = listed/one ]
}

@test "image inspect looks at a registry without a pull, and all tags are pulled" {
    digest=$(put looked:1 "[busybox(), $NOISE]")
    put looked:2 "[busybox()]" > /dev/null
    run -0 berth image inspect "docker://$REGISTRY/looked:1"
    [ "$(jq -r '.[0].Digest' <<< "$output")" = "$digest" ]
    [ "$(jq -c '.[0].RepoTags | sort' <<< "$output")" = '["1","2"]' ]
    [ "$(jq '.[0].Layers | length' <<< "$output")" = 2 ]
    run -0 berth image inspect -f '{{.Os}} {{.Architecture}}' "docker://$REGISTRY/looked:1"
    [ "${output% *}" = linux ]
    run -0 berth images -q
    [ -z "$output" ]
    run -0 berth pull -q -a "$REGISTRY/looked"
    [ "$(sort <<< "$output")" = "$REGISTRY/looked:1
$REGISTRY/looked:2" ]
    # A list in several pages.
    serve "[busybox()]"
    python3 - << END
import json
index = json.load(open("server$SERVERS/index.json"))
entry = index["manifests"][0]
index["manifests"] = [dict(entry, annotations={"org.opencontainers.image.ref.name": tag}) for tag in "abcde"]
json.dump(index, open("server$SERVERS/index.json", "w"))
END
    start_server pages server$SERVERS
    run -0 berth pull -q -a "$SERVER/many"
    [ "$(wc -l <<< "$output")" = 5 ]
}

# --- certificates ---

# A registry with TLS, the same files, whose certificate is signed by an authority of ours: secure_registry
# [LINES OF ITS CONFIGURATION]; sets $SERVER
secure_registry() {
    SERVER=localhost:$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=authority 2> /dev/null
    for name in server client; do
        openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=localhost 2> /dev/null
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $name.crt \
            -extfile <(echo subjectAltName=DNS:localhost) 2> /dev/null
    done
    cat > secure.yml << END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $BATS_FILE_TMPDIR/registry}}
http:
  addr: "$SERVER"
  secret: tests
  tls: {certificate: $PWD/server.crt, key: $PWD/server.key$1}
END
    docker-registry serve secure.yml > secure.log 2>&1 3>&- &
    echo $! >> server.pids
    # Not by openssl: it fails where a certificate is asked of it, or not, by what it reads in time.
    wait_until 30 bash -c ": < /dev/tcp/localhost/${SERVER#*:}"
    CERTS=$HOME/.config/containers/certs.d/$SERVER
    mkdir -p "$CERTS"
}

@test "certificates: of an unknown authority, of one in certs.d, of none that matters" {
    put secret/image:1 "[busybox(), $NOISE]" > /dev/null
    secure_registry
    run -1 berth pull -q "$SERVER/secret/image:1"
    expect_text "the certificate of $SERVER is not trusted"
    expect_text "/etc/docker/certs.d/$SERVER/ca.crt"
    run -1 berth pull -q --tls-verify=true "$SERVER/secret/image:1"
    expect_text "is not trusted"
    run -0 berth pull -q --tls-verify=false "$SERVER/secret/image:1"
    berth rmi "$SERVER/secret/image:1"
    cp ca.crt "$CERTS/ca.crt"
    run -0 berth pull -q "$SERVER/secret/image:1"
    run -0 berth push -q "$SERVER/secret/image:1" "$SERVER/secret/other:1"
}

# Without the files of the package ca-certificates: without_authorities COMMAND...
without_authorities() {
    unshare -m --propagation private sh -ec 'mount -t tmpfs none /etc/ssl; exec "$@"' sh "$@"
}

@test "a machine without ca-certificates pulls without TLS, and says what TLS lacks" {
    put plain/image:1 "[busybox(), $NOISE]" > /dev/null
    put secret/image:1 "[busybox(), $NOISE]" > /dev/null
    run -0 without_authorities berth pull -q "$REGISTRY/plain/image:1"
    run -0 without_authorities berth push -q "$REGISTRY/plain/image:1" "$REGISTRY/plain/other:1"
    secure_registry
    run -1 without_authorities berth pull -q "$SERVER/secret/image:1"
    expect_text "the certificate of $SERVER cannot be checked: this machine has no certificate authorities (/etc/ssl/certs/ca-certificates.crt); install the package ca-certificates"
    expect_text "/etc/docker/certs.d/$SERVER/ca.crt"
    run -0 without_authorities berth pull -q --tls-verify=false "$SERVER/secret/image:1"
    berth rmi "$SERVER/secret/image:1"
    cp ca.crt "$CERTS/ca.crt"
    run -0 without_authorities berth pull -q "$SERVER/secret/image:1"
    # One that holds nothing is as none.
    rm "$CERTS/ca.crt"
    run -1 unshare -m --propagation private sh -ec 'mount -t tmpfs none /etc/ssl; mkdir /etc/ssl/certs
        echo nothing > /etc/ssl/certs/ca-certificates.crt; exec "$@"' sh berth pull -q "$SERVER/secret/image:1"
    expect_text "install the package ca-certificates"
}

# A layout whose second layer is not in it, but at URL: foreign_layout URL
foreign_layout() {
    python3 - "$1" << 'END'
import json, os, shutil, sys
shutil.rmtree("foreign", ignore_errors=True)
shutil.copytree("server1", "foreign")
def path(name): return "foreign/blobs/" + name.replace(":", "/")
index = json.load(open("foreign/index.json"))
manifest = json.load(open(path(index["manifests"][0]["digest"])))
layer = manifest["layers"][1]
layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
if "oci" in manifest["mediaType"]:
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
layer["urls"] = ["https://localhost:1/nothing" if len(sys.argv) < 2 else sys.argv[1].replace("LAYER", layer["digest"])]
os.unlink(path(layer["digest"]))
data = json.dumps(manifest).encode()
import hashlib
name = "sha256:" + hashlib.sha256(data).hexdigest()
open(path(name), "wb").write(data)
index["manifests"][0].update(digest=name, size=len(data))
json.dump(index, open("foreign/index.json", "w"))
END
}

@test "a layer that no registry may keep comes from its url, by TLS alone and without a login" {
    serve "[busybox(), $NOISE]" # makes the layout "server1"
    put secret/image:1 "[busybox(), $NOISE]" > /dev/null
    secure_registry
    cp ca.crt "$CERTS/ca.crt"
    secure=$SERVER
    foreign_layout "https://$secure/v2/secret/image/blobs/LAYER"
    start_server first foreign
    run -0 berth pull -q "$SERVER/app:1"
    [ "$(berth run --rm "$SERVER/app:1" wc -c /noise)" = "300000 /noise" ]
    # Neither a push nor a copy sends it on, or asks for it.
    first=$SERVER
    layer=$(python3 -c "import json, glob; print(*[l['digest'] for f in glob.glob('foreign/blobs/*/*') for l in (json.load(open(f)).get('layers', []) if open(f, 'rb').read(1) == b'{' else []) if 'urls' in l])")
    start_server second foreign
    run -0 berth push "$first/app:1" "$SERVER/pushed:1"
    run -0 berth image copy -q "$first/app:1" "$SERVER/copied:1"
    grep -q '^PUT /v2/pushed/manifests/1' "$SERVER_LOG"
    grep -q '^PUT /v2/copied/manifests/1' "$SERVER_LOG"
    ! grep "^POST\|$layer" "$SERVER_LOG" || false
    remove_images
    # Not over plain http, with a name in it, or under another type.
    for url in "http://$secure/x" "https://alice:secret@$secure/x" "https://$secure" "file:///etc/passwd"; do
        foreign_layout "$url"
        start_server third foreign
        run -1 berth pull -q "$SERVER/app:1"
        expect_text "its url '$url' is not of the form https://HOST/PATH"
        rm third.port
    done
    # Other bytes than the digest says.
    other=$(skopeo inspect --tls-verify=false "docker://$REGISTRY/secret/image:1" --format '{{index .Layers 0}}')
    foreign_layout "https://$secure/v2/secret/image/blobs/$other"
    start_server fourth foreign
    run -1 berth pull -q "$SERVER/app:1"
    foreign_layout "https://$secure/v2/secret/image/blobs/sha256:$(printf '%064d' 1)"
    start_server fifth foreign
    run -1 berth pull -q "$SERVER/app:1"
    expect_text "answers 404"
}

@test "a registry that wants a client's certificate gets the one in certs.d" {
    put secret/image:1 "[busybox()]" > /dev/null
    secure_registry ", clientcas: [$PWD/ca.crt]"
    cp ca.crt "$CERTS/ca.crt"
    run -1 berth pull -q "$SERVER/secret/image:1"
    expect_text "alert"
    cp client.crt "$CERTS/client.cert"
    run -1 berth pull -q "$SERVER/secret/image:1"
    expect_text "client.cert' and its key"
    cp client.key "$CERTS/client.key"
    run -0 berth pull -q "$SERVER/secret/image:1"
}

# --- registries.conf ---

configure_registries() {
    mkdir -p "$HOME/.config/containers"
    cat > "$HOME/.config/containers/registries.conf"
}

@test "mirrors are asked first, then the registry; what is blocked is not asked" {
    serve "[busybox()]"
    main=$SERVER main_log=$SERVER_LOG
    start_server mirror server$SERVERS
    mirror=$SERVER mirror_log=$SERVER_LOG
    configure_registries << END
[[registry]]
prefix = "registry.test/app"
location = "$main/moved"
[[registry.mirror]]
location = "localhost:1/nobody"
[[registry.mirror]]
location = "$mirror/copy"
pull-from-mirror = "tag-only"
[[registry]]
location = "blocked.test"
blocked = true
END
    run -0 berth pull -q registry.test/app/one:1
    [ "$output" = registry.test/app/one:1 ]
    grep -q 'GET /v2/copy/one/manifests/1' "$mirror_log"
    [ ! -e "$main_log" ]
    digest=$(berth image inspect --format '{{index .RepoDigests 0}}' registry.test/app/one:1)
    run -0 berth pull -q "$digest"
    grep -q "HEAD /v2/moved/one/manifests/sha256:" "$main_log"
    run -1 berth pull blocked.test/x
    expect_text "registries.conf blocks 'blocked.test'"
    echo 'unqualified-search-registries = [1]' | configure_registries
    run -1 berth pull x
    expect_text "registries.conf': line 1: an array may hold strings only"
}

@test "short names: by an alias, by the registries that are searched" {
    serve "[busybox()]"
    configure_registries << END
unqualified-search-registries = ["localhost:1", "$SERVER"]
[aliases]
"tools" = "$SERVER/team/tools"
END
    run -0 berth pull -q tools:1
    [ "$output" = "$SERVER/team/tools:1" ]
    run -0 berth pull -q found:1
    [ "$output" = "$SERVER/found:1" ]
}

@test "berth-fetch has no rights: nobody's, without files, in a filter" {
    [ "$(id -u)" = 0 ] || skip "only root has rights to give up"
    # A server that never answers holds it while it is looked at.
    python3 -c "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(60)" > port 3>&- &
    echo $! > server.pids
    wait_until 30 test -s port
    berth pull "localhost:$(cat port)/x:1" > /dev/null 2>&1 3>&- &
    pull=$!
    wait_until 30 pgrep -P "$pull" -f berth-fetch
    fetch=$(pgrep -P "$pull" -f berth-fetch)
    # Once it has entered its sandbox, which with the sanitizers has no filter.
    seccomp=2
    ! grep -q __asan_init "$BERTH_BUILD/berth-fetch" || seccomp=0
    expected="Uid: 65534 65534 65534 65534
Gid: 65534 65534 65534 65534
Groups:
CapPrm: 0000000000000000
NoNewPrivs: 1
Seccomp: $seccomp"
    rights() { grep -E '^(Uid|Gid|Groups|CapPrm|NoNewPrivs|Seccomp):' "/proc/$fetch/status" | tr -s '\t ' ' ' | sed 's/ $//'; }
    wait_until 30 eval '[ "$(rights)" = "$expected" ]' || diff <(echo "$expected") <(rights)
    # No descriptor of the store, and no variable of the caller's.
    ! ls -l "/proc/$fetch/fd" | grep "$BERTH_DATA" || false
    ! tr '\0' '\n' < "/proc/$fetch/environ" | grep -q '^HOME=' || false
    kill "$pull"
    wait_until 30 test ! -d "/proc/$fetch"
}
