load helper

# A store of its own, which is empty after each test.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/images-data BERTH_RUN=$BERTH_TEST_DATA/images-run
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
}

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    [ -z "${writer:-}" ] || kill "$writer" 2> /dev/null || true
    remove_all
    remove_images
    ! mountpoint -q small || umount small
    [ -z "$(store)" ] || {
        echo "left in the store:"
        store
        false
    }
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
    (cd "$BERTH_DATA" && find blobs layers images names staging volumes trash -mindepth 1 -maxdepth 2 \
        ! -path blobs/lock ! -path 'blobs/sha*[0-9][0-9]' ! -path layers/.unsynced 2> /dev/null |
        grep -v '^layers/[^/]*/' | sort || true)
}

# Runs Python with the words of oci_image.py.
oci() { python3 -c "from oci_image import *; $1"; }

# One image: oci_image FILE NAME LAYERS [MEMBERS OF THE CONFIG]
oci_image() { oci "l = Layout(); l.image('$2', $3${4:+, $4}); l.write('$1')"; }

id_of() { berth image inspect --format '{{.Id}}' "$1"; }

# --- load ---

@test "an OCI layout is loaded from a directory, from tars and from pipes" {
    oci "l = Layout(); l.image('forms:1', [busybox()]); l.write('a.tar'); l.write_directory('a')"
    gzip -k a.tar
    zstd -q a.tar
    for form in a a.tar a.tar.gz a.tar.zst; do
        run -0 berth load -i $form
        [ "$output" = "Loaded image: forms:1" ]
        ids="$ids $(id_of forms:1)"
        [ "$(berth run --rm forms:1 sh -c 'echo ran')" = ran ]
        berth rmi forms:1 > /dev/null
        [ -z "$(store)" ]
    done
    for form in a.tar a.tar.gz a.tar.zst; do
        run -0 bash -c "cat $form | berth load"
        [ "$output" = "Loaded image: forms:1" ]
        ids="$ids $(id_of forms:1)"
        run -0 berth load < $form
        [ "$output" = "Loaded image: forms:1" ]
        berth rmi forms:1 > /dev/null
    done
    [ "$(tr ' ' '\n' <<< "$ids" | grep -c .)" = 7 ]
    [ "$(tr ' ' '\n' <<< "$ids" | grep . | sort -u | wc -l)" = 1 ]
}

@test "plain, gzip and zstd layers of one content are one layer, unpacked once" {
    oci "
base, top = busybox(), tar([file('top', 'top')])
for form in 'tar', 'gzip', 'zstd':
    l = Layout(); l.image(f'layers:{form}', [base, top], form=form); l.write(form)"
    for form in tar gzip zstd; do
        berth load -q -i $form
        [ "$(berth run --rm layers:$form cat /top)" = top ]
        inodes="$inodes $(stat -c %i "$BERTH_DATA"/layers/*/fs/bin/busybox)"
    done
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 2 ]
    [ "$(tr ' ' '\n' <<< "$inodes" | grep . | sort -u | wc -l)" = 1 ]
    # Containers of all three share its pages: the file is the same one.
    for form in tar gzip zstd; do
        berth run -d --name $form layers:$form sleep 50 > /dev/null
        seen="$seen $(stat -L -c %i "/proc/$(field $form .State.Pid)/root/bin/busybox")"
    done
    [ "$(tr ' ' '\n' <<< "$seen" | grep . | sort -u | wc -l)" = 1 ]
}

@test "archives of podman save: several images and tags, docker's form and OCI's" {
    command -v podman > /dev/null || skip "podman is not installed"
    oci "
l = Layout(); base = busybox()
l.image('localhost/one:1', [base, tar([file('who', 'one')])])
l.image('localhost/two:2', [base, tar([file('who', 'two')])])
l.write_directory('both')"
    podman() { command podman --root "$PWD/store" --runroot "$PWD/storerun" --storage-driver vfs "$@"; }
    for name in one:1 two:2; do
        podman tag "$(podman pull -q oci:both:localhost/$name)" localhost/$name
    done
    podman tag localhost/one:1 localhost/one:again
    podman save -q -m --format docker-archive -o both.tar localhost/one:1 localhost/one:again localhost/two:2
    podman save -q --format oci-archive -o oci.tar localhost/two:2
    podman save -q --format oci-dir -o oci-dir localhost/two:2
    id=$(podman inspect --format '{{.Id}}' localhost/two:2)

    run -0 berth load -i both.tar
    [ "$(sort <<< "$output")" = "$(printf 'Loaded image: localhost/%s\n' one:1 one:again two:2)" ]
    [ "$(berth run --rm localhost/one:again cat /who)" = one ]
    [ "$(berth run --rm localhost/two:2 cat /who)" = two ]
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 3 ]
    remove_images
    for form in oci.tar oci-dir; do
        berth load -i $form
        [ "$(id_of localhost/two:2)" = "sha256:$id" ]
        [ "$(berth run --rm localhost/two:2 cat /who)" = two ]
        remove_images
    done
}

@test "an old docker archive: layer folders, layers that are links, names without a digest" {
    oci "
base, top = busybox(), tar([file('top', 'top')])
def config(layers):
    return json.dumps({'architecture': MACHINE, 'os': 'linux', 'config': {'Cmd': ['cat', '/top']},
                       'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(l).hexdigest() for l in layers]}}).encode()
one, two = config([base, top]), config([base, top, tar([file('two', '2')])])
digest = hashlib.sha256(one).hexdigest()
manifest = [{'Config': digest + '.json', 'RepoTags': ['old:1', 'old:latest'], 'Layers': ['aaa/layer.tar', 'bbb/layer.tar']},
            {'Config': 'two.json', 'RepoTags': ['old:2'], 'Layers': ['ccc/layer.tar', 'bbb/layer.tar', 'ddd/layer.tar']}]
def write(path, manifest):
    with open(path, 'wb') as out:
        out.write(tar([
            file(digest + '.json', one), file('two.json', two),
            directory('aaa/'), file('aaa/VERSION', '1.0'), file('aaa/layer.tar', base),
            directory('bbb/'), file('bbb/layer.tar', top),
            directory('ccc/'), symlink('ccc/layer.tar', '../aaa/layer.tar'),
            file('ddd/layer.tar', tar([file('two', '2')])),
            file('manifest.json', json.dumps(manifest)), file('repositories', '{}')]))
write('old.tar', manifest)
for m in manifest: m['RepoTags'] = None
write('nameless.tar', manifest[:1])"
    run -0 berth load -i old.tar
    [ "$(sort <<< "$output")" = "$(printf 'Loaded image: old:%s\n' 1 2 latest)" ]
    [ "$(berth run --rm old)" = top ]
    [ "$(berth run --rm old:2 cat /two)" = 2 ]
    id=$(id_of old:1)
    [ "$(id_of old)" = "$id" ]
    remove_images
    run -0 berth load -i nameless.tar
    [ "$output" = "Loaded image ID: $id" ]
    [ "$(berth run --rm "${id:7:12}")" = top ]
    [ "$(berth images --format '{{.Repository}}:{{.Tag}}')" = '<none>:<none>' ]
}

@test "what skopeo copies is loaded, with the id that it had" {
    command -v skopeo > /dev/null || skip "skopeo is not installed"
    oci "l = Layout(); l.image('copied:1', [busybox(), tar([file('a', 'a')])], form='gzip'); l.write_directory('from')"
    berth load -q -i from
    id=$(id_of copied:1)
    remove_images
    for to in oci:oci-dir:copied:2 oci-archive:oci.tar:copied:2 docker-archive:docker.tar:copied:2; do
        skopeo copy -q oci:from:copied:1 $to
        path=${to#*:}
        run -0 berth load -i "${path%%:*}"
        [[ "$output" == "Loaded image: "*copied:2 ]]
        name=${output#Loaded image: }
        [ "$(id_of "$name")" = "$id" ]
        [ "$(berth run --rm "$name" cat /a)" = a ]
        remove_images
    done
}

@test "what umoci makes is loaded" {
    command -v umoci > /dev/null || skip "umoci is not installed"
    make_layout layout sewn
    umoci config --image layout:sewn --config.env A=1 --config.label l=x --config.workingdir /data 2> /dev/null
    run -0 berth load -i layout
    [ "$output" = "Loaded image: sewn:latest" ]
    run -0 berth run --rm sewn sh -c 'echo $A; pwd; ls | wc -l'
    [ "${lines[*]}" = "1 /data 9" ]
}

@test "an index of several platforms gives this machine's image" {
    oci "
l = Layout()
mine = l.image('', [busybox(), tar([file('who', 'mine')])])
other = l.image('', [tar([file('who', 'other')])])
mine['platform'] = {'os': 'linux', 'architecture': MACHINE}
other['platform'] = {'os': 'linux', 'architecture': 's390x'}
for d in mine, other: del d['annotations']
index = l.document({'schemaVersion': 2, 'mediaType': KIND + 'index.v1+json', 'manifests': [other, mine]}, 'index.v1+json')
index['annotations'] = {'org.opencontainers.image.ref.name': 'many:1'}
l.entries = [index]
l.write('many.tar')
l = Layout()
l.entries = [dict(l.image('foreign:1', [busybox()]), platform={'os': 'linux', 'architecture': a}) for a in ('s390x', 'ppc64le')]
l.write('foreign.tar')"
    berth load -q -i many.tar
    [ "$(berth run --rm many:1 cat /who)" = mine ]
    run -1 berth load -i foreign.tar
    expect_text s390x
    expect_text ppc64le
}

@test "the archive of a newer docker save: full names, an attestation, both forms in one" {
    oci "
l = Layout()
image = l.image('', [busybox(), tar([file('who', 'docker')])])
image['annotations'] = {'io.containerd.image.name': 'docker.io/library/new:1', 'org.opencontainers.image.ref.name': '1'}
attest = l.image('', [tar([file('attestation', 'a')])])
attest['annotations'] = {'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': image['digest']}
attest['platform'] = {'os': 'unknown', 'architecture': 'unknown'}
index = l.document({'schemaVersion': 2, 'mediaType': KIND + 'index.v1+json', 'manifests': [dict(image, platform={'os': 'linux', 'architecture': MACHINE}), attest]}, 'index.v1+json')
index['annotations'] = image['annotations']
again = dict(index, annotations={'io.containerd.image.name': 'quay.example/team/new:2', 'org.opencontainers.image.ref.name': '2'})
l.entries = [index, again]
manifest = json.loads(l.files['blobs/' + image['digest'].replace(':', '/')])
path = lambda d: 'blobs/' + d['digest'].replace(':', '/')
l.files['manifest.json'] = json.dumps([{'Config': path(manifest['config']), 'RepoTags': ['new:1', 'quay.example/team/new:2'], 'Layers': [path(d) for d in manifest['layers']]}]).encode()
l.write('new.tar')
l.files['index.json'] = b''; del l.files['index.json'], l.files['oci-layout']
with tarfile.open('only.tar', 'w') as out:
    for name, data in l.files.items():
        info = tarfile.TarInfo(name); info.size = len(data); out.addfile(info, io.BytesIO(data))"
    for form in new.tar only.tar; do
        run -0 berth load -i $form
        [ "$(sort <<< "$output")" = "$(printf 'Loaded image: %s\n' new:1 quay.example/team/new:2)" ]
        [ "$(berth run --rm new:1 cat /who)" = docker ]
        [ "$(berth images -q | sort -u | wc -l)" = 1 ]
        remove_images
    done
}

@test "a name that is loaded again points to the new image, the old one stays without a name" {
    oci "
for n in '1', '2':
    l = Layout(); l.image('moved:x', [busybox(), tar([file('n', n)])]); l.write(n)"
    berth load -q -i 1
    old=$(id_of moved:x)
    berth load -q -i 2
    [ "$(berth run --rm moved:x cat /n)" = 2 ]
    [ "$(berth images -q --no-trunc --filter dangling=true)" = "$old" ]
    [ "$(berth run --rm "$old" cat /n)" = 1 ]
}

@test "-q prints only the result, what is no archive is refused in one sentence" {
    echo "this is no archive" > text
    mkdir empty
    : > nothing
    head -c 100000 /dev/urandom > noise
    for what in text empty nothing noise missing /dev/null; do
        run -1 --separate-stderr berth load -i $what
        [ "${#stderr_lines[@]}" = 1 ]
        [ -z "$output" ]
    done
    run -1 --separate-stderr bash -c 'berth load < text'
    [ "${#stderr_lines[@]}" = 1 ]
}

# --- images, inspect, tag, rmi, import ---

@test "images: columns, -q, --no-trunc, --digests, --format, filters" {
    oci "
base = busybox()
l = Layout(); l.image('fleet/brig:1', [base], Labels={'sails': '2'}); l.image('fleet/sloop:1', [base, tar([file('s')])], Labels={'sails': '1'})
l.write('fleet')"
    berth load -q -i fleet
    berth tag fleet/brig:1 registry.example:5000/yard/brig
    run -0 berth images
    [[ "${lines[0]}" =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
    [ "${#lines[@]}" = 4 ]
    id=$(id_of fleet/brig:1)
    expect_text "${id:7:12}"
    run -0 berth images --digests
    [[ "${lines[0]}" =~ ^REPOSITORY\ +TAG\ +DIGEST\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
    run -0 berth images -q fleet/brig
    [ "$output" = "${id:7:12}" ]
    run -0 berth images -q --no-trunc fleet/brig:1
    [ "$output" = "$id" ]
    run -0 berth images --format '{{.Repository}} {{.Tag}} {{.ID}}' --filter 'reference=*/*/brig'
    [ "$output" = "registry.example:5000/yard/brig latest ${id:7:12}" ]
    run -0 berth images --filter label=sails=1 --format '{{.Repository}}'
    [ "$output" = fleet/sloop ]
    [ "$(berth images -q --filter label=sails | sort -u | wc -l)" = 2 ]
    [ -z "$(berth images -q --filter label=oars)" ]
    [ -z "$(berth images -q --filter dangling=true)" ]
    [ "$(berth images --format json | jq -r .Repository | sort -u | wc -l)" = 3 ]
    run -1 berth images --filter colour=red
    expect_text colour
    run -1 berth images --format '{{.NoSuch}}'
    expect_text NoSuch
}

@test "image inspect says what the config says, as skopeo reads it" {
    command -v skopeo > /dev/null || skip "skopeo is not installed"
    oci "
l = Layout()
l.image('said:1', [busybox(), tar([file('x')])], form='gzip', Env=['PATH=/bin', 'A=b c'], Cmd=['one', 'two'],
        Entrypoint=['/bin/sh', '-c'], WorkingDir='/work', User='7:8', Labels={'l': 'v', 'é': 'ü'},
        ExposedPorts={'80/tcp': {}}, Volumes={'/v': {}}, StopSignal='SIGINT')
l.write_directory('said')"
    berth load -q -i said
    skopeo inspect --config --raw oci:said:said:1 > config.json
    berth image inspect said:1 > ours.json
    for field in Env Cmd Entrypoint WorkingDir User Labels ExposedPorts Volumes StopSignal; do
        [ "$(jq -cS ".[0].Config.$field" ours.json)" = "$(jq -cS ".config.$field" config.json)" ]
    done
    [ "$(jq -c '.[0].RootFS.Layers' ours.json)" = "$(jq -c .rootfs.diff_ids config.json)" ]
    [ "$(jq -r '.[0].Architecture + .[0].Os' ours.json)" = "$(jq -r '.architecture + .os' config.json)" ]
    [ "$(jq -r '.[0].Id' ours.json)" = "sha256:$(sha256sum < config.json | cut -d' ' -f1)" ]
    [ "$(jq -r '.[0].RepoTags[0]' ours.json)" = said:1 ]
    digest=$(skopeo inspect --format '{{.Digest}}' oci:said:said:1)
    [ "$(jq -r '.[0].RepoDigests[0]' ours.json)" = "said@$digest" ]
    [ "$(id_of "said@$digest")" = "$(id_of said:1)" ]
    [ "$(berth image inspect --format '{{json .Config.Cmd}}' said:1)" = '["one","two"]' ]
    run -1 berth image inspect siad
    expect_text "No such image: siad"
}

@test "tag and rmi: a name, an id, several names, an unknown name" {
    oci_image one.tar ship:1 "[busybox()]"
    berth load -q -i one.tar
    id=$(id_of ship:1)
    berth tag ship:1 ship:2
    berth tag "${id:7:8}" vessel
    run -1 berth tag ship:9 x
    expect_text "ship:9"
    run -1 berth tag ship:1 Upper/Case
    expect_text "lower"
    run -0 berth rmi ship:2
    [ "$output" = "Untagged: ship:2" ]
    run -1 berth rmi "${id:7:12}"
    expect_text "2 names"
    run -0 berth rmi ship:1
    [ "$output" = "Untagged: ship:1" ]
    run -0 berth rmi "${id:7:12}"
    [ "${lines[0]}" = "Untagged: vessel:latest" ]
    [ "${lines[1]}" = "Deleted: $id" ]
    [ -z "$(store)" ]
    run -1 berth rmi ship:1
    expect_text "No such image: ship:1"
    run -0 berth rmi -f ship:1
    berth load -q -i one.tar
    berth tag ship:1 ship:2
    run -0 berth rmi -f "$id"
    [ "${#lines[@]}" = 3 ]
}

@test "an image that a container uses is kept, and the container named" {
    oci_image used.tar used:1 "[busybox()]"
    berth load -q -i used.tar
    id=$(id_of used:1)
    user=$(berth run -d used:1 sleep 50)
    run -1 berth rmi used:1
    expect_text "${user:0:12}"
    run -1 berth rmi -f "$id"
    expect_text "${user:0:12}"
    [ "$(berth exec "$user" cat /proc/1/comm)" = sleep ]
    # A name can be taken away from it; the layers stay as long as the container does.
    berth rmi -f used:1
    berth exec "$user" ls /bin/busybox
    berth kill "$user"
    berth wait "$user" > /dev/null
    berth start "$user"
    berth exec "$user" ls /bin/busybox
    berth rm -f "$user"
    berth load -q -i used.tar
    user=$(berth create used:1 true)
    run -1 berth rmi used:1
    expect_text "${user:0:12}"
    berth rm "$user"
    berth rmi used:1
}

@test "layers that images share stay until the last of them goes" {
    oci "
base = busybox()
for n in 'a', 'b':
    l = Layout(); l.image('share:' + n, [base, tar([file(n)])]); l.write(n)"
    berth load -q -i a
    inode=$(stat -c %i "$BERTH_DATA"/layers/*/fs/bin/busybox)
    berth load -q -i b
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 3 ]
    [ "$(stat -c %i "$BERTH_DATA"/layers/*/fs/bin/busybox)" = "$inode" ]
    berth rmi share:a
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 2 ]
    run -0 berth run --rm share:b ls /
    [[ " ${lines[*]} " == *" b "* ]]
    [[ " ${lines[*]} " != *" a "* ]]
    berth rmi share:b
    [ -z "$(store)" ]
}

@test "import makes an image of a tar, with changes" {
    oci "
t = busybox()[:-1024] + tar([file('etc/who', 'imported')])
open('root.tar', 'wb').write(t); open('root.tar.gz', 'wb').write(gzip.compress(t))"
    xz -k root.tar
    zstd -q root.tar
    run -0 berth import -c 'CMD ["cat", "/etc/who"]' -c 'ENV A=1 B="two words"' -c 'WORKDIR /bin' \
        -c 'LABEL k=v' -c 'USER 5:6' -c 'STOPSIGNAL SIGQUIT' -c 'EXPOSE 80' -c 'VOLUME /vol' -m 'from a tar' root.tar port:1
    [[ "$output" =~ ^sha256:[0-9a-f]{64}$ ]]
    [ "$(id_of port:1)" = "$output" ]
    [ "$(berth run --rm port:1)" = imported ]
    run -0 berth run --rm port:1 sh -c 'echo $A $B; pwd; id -u; id -g'
    [ "${lines[*]}" = "1 two words /bin 5 6" ]
    run -0 berth image inspect --format '{{json .Config.Labels}} {{.Config.StopSignal}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{.Comment}}' port:1
    [ "$output" = '{"k":"v"} SIGQUIT {"80/tcp":{}} {"/vol":{}} from a tar' ]
    for form in root.tar.gz root.tar.xz root.tar.zst; do
        berth import $form port:$form > /dev/null
        [ "$(berth run --rm port:$form cat /etc/who)" = imported ]
    done
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 1 ]
    id=$(berth import - < root.tar)
    [ "$(berth run --rm "$id" cat /etc/who)" = imported ]
    run -0 bash -c 'cat root.tar.gz | berth import - piped:1'
    [ "$(berth run --rm piped:1 cat /etc/who)" = imported ]
}

@test "import refuses what it cannot do before it reads" {
    oci "open('root.tar', 'wb').write(busybox())"
    run -1 berth import -c 'RUN true' root.tar x
    expect_text RUN
    run -1 berth import -c 'CMD ["open' root.tar x
    run -1 berth import root.tar 'Bad Name'
    run -1 berth import no-such-file x
    expect_text no-such-file
    echo garbage > garbage
    run -1 --separate-stderr berth import garbage x
    [ "${#stderr_lines[@]}" = 1 ]
    head -c 700000 root.tar > cut.tar
    run -1 --separate-stderr berth import cut.tar x
    [ "${#stderr_lines[@]}" = 1 ]
    gzip -c root.tar | head -c 500000 > cut.tar.gz
    run -1 --separate-stderr berth import cut.tar.gz x
    [ "${#stderr_lines[@]}" = 1 ]
    xz -c root.tar | head -c 400000 > cut.tar.xz
    run -1 --separate-stderr berth import cut.tar.xz x
    [ "${#stderr_lines[@]}" = 1 ]
    [ -z "$(store)" ]
}

# --- damaged and hostile archives ---

# Each is refused in one sentence that has a text; nothing stays, not even its good blobs.
refused() {
    for form in "$1" "$1.dir"; do
        [ -e "$form" ] || continue
        run -1 --separate-stderr berth load -i "$form"
        [ "${#stderr_lines[@]}" = 1 ] && [[ "$stderr" == *"$2"* ]] && [ -z "$output" ] && [ -z "$(store)" ] || {
            echo "$form: $stderr"
            store
            return 1
        }
    done
}

@test "wrong digests, sizes, diff ids and documents are refused and leave nothing" {
    oci "
top = tar([file('top', 'top')])
def case(name, spoil, **options):
    l = Layout(); d = l.image('bad:1', [top], **options); l.finish(); spoil(l, d)
    l.write(name); l.write_directory(name + '.dir')
def layer_of(l, d): return json.loads(l.files[name_of(d['digest'])])['layers'][0]
def name_of(digest): return 'blobs/' + digest.replace(':', '/')
def content(l, d): l.files[name_of(layer_of(l, d)['digest'])] = top.replace(b'top', b'pot')
case('layer-content', content)
def config(l, d):
    name = name_of(json.loads(l.files[name_of(d['digest'])])['config']['digest']); l.files[name] = l.files[name].replace(b'linux', b'linus')
case('config-content', config)
def manifest(l, d): l.files[name_of(d['digest'])] = l.files[name_of(d['digest'])].replace(b'2', b'3', 1)
case('manifest-content', manifest)
def missing(l, d): del l.files[name_of(layer_of(l, d)['digest'])]
case('layer-missing', missing)
nothing = lambda l, d: None
def size(by):
    def change(m): m['layers'][0]['size'] = by(m['layers'][0]['size'])
    return change
case('layer-longer', nothing, change=size(lambda s: s - 1))
case('layer-shorter', nothing, change=size(lambda s: s + 1))
case('layer-huge', nothing, change=size(lambda s: 1 << 62))
case('layer-beyond', nothing, change=size(lambda s: 1 << 64))
case('layer-negative', nothing, change=size(lambda s: -1))
case('diff-id', nothing, diff_ids=['sha256:' + '0' * 64])
case('diff-id-gzip', nothing, diff_ids=['sha256:' + '0' * 64], form='gzip')
case('diff-id-zstd', nothing, diff_ids=['sha256:' + '0' * 64], form='zstd')
case('diff-id-missing', nothing, diff_ids=['sha256:' + '0' * 64] * 2)
case('diff-id-path', nothing, diff_ids=['sha256:../../../etc/passwd'])
def both(m): m['manifests'] = []
case('manifest-and-index', nothing, change=both)
def path(m): m['layers'][0]['digest'] = 'sha256:../../../../../etc/passwd'
case('digest-path', nothing, change=path)
def kind(m): m['layers'][0]['mediaType'] = 'application/x-unknown'
case('unknown-layer', nothing, change=kind)
def config_size(m): m['config']['size'] = 1 << 40
case('config-huge', nothing, change=config_size)
def index(text):
    def spoil(l, d): l.files['index.json'] = text
    return spoil
case('index-garbage', index(b'{\"schemaVersion\": 2, \"manifests\": [{]}'))
case('index-deep', index(b'[' * 100000))
case('index-empty', index(json.dumps({'schemaVersion': 2, 'manifests': []}).encode()))
case('index-null', index(b'null'))
"
    refused layer-content ""
    refused config-content ""
    refused manifest-content ""
    refused layer-missing ""
    refused layer-longer bytes
    refused layer-shorter bytes
    refused layer-huge bytes
    refused layer-beyond size
    refused layer-negative size
    refused diff-id 00000
    refused diff-id-gzip 00000
    refused diff-id-zstd 00000
    refused diff-id-missing "diff ids"
    refused diff-id-path digest
    refused manifest-and-index ""
    refused digest-path digest
    refused unknown-layer x-unknown
    refused config-huge ""
    refused index-garbage index.json
    refused index-deep index.json
    refused index-empty index
    refused index-null index.json
}

@test "an archive that is cut short anywhere is refused and leaves nothing" {
    oci_image whole.tar cut:1 "[busybox(), tar([file('a', 'a' * 5000)])], form='gzip'"
    gzip -k whole.tar
    size=$(stat -c %s whole.tar) packed=$(stat -c %s whole.tar.gz)
    for part in 1 3 5 7 9; do
        head -c $((size * part / 10)) whole.tar > cut.tar
        refused cut.tar ""
        head -c $((packed * part / 10)) whole.tar.gz > cut.tar.gz
        refused cut.tar.gz ""
    done
    run -1 --separate-stderr bash -c "head -c $((size / 2)) whole.tar | berth load"
    [ "${#stderr_lines[@]}" = 1 ]
}

@test "a small archive that grows without end is stopped" {
    head -c 300000000 /dev/zero | gzip -1 > bomb.gz
    run -1 --separate-stderr berth load -i bomb.gz
    [ "${#stderr_lines[@]}" = 1 ]
    [ -z "$(store)" ]
}

# loading: begins a load of an archive whose end does not come, and waits until some of it was read.
# Sets $load, its $child and the $writer; what the load says is in the file said.
loading() {
    rm -f pipe
    mkfifo pipe
    berth load < pipe > said 2>&1 3>&- &
    load=$!
    (head -c 2000000 slow.tar; exec sleep 1000) > pipe 3>&- &
    writer=$!
    wait_until 30 pgrep -P $load -f "^$BERTH_BUILD/berth-archive"
    child=$(pgrep -P $load -f "^$BERTH_BUILD/berth-archive")
    wait_until 30 eval '[ -n "$(find "$BERTH_DATA/staging" -type f -size +100k)" ]'
}

slow_archive() { oci_image slow.tar slow:1 "[tar([file('noise', 'n' * 9000000)])]"; }

@test "berth-archive, which parses archives, has no rights: nobody's, without files, in a filter" {
    [ "$(id -u)" = 0 ] || skip "only root has rights to give up"
    slow_archive
    loading 5< slow.tar
    expect_no_rights "$child" berth-archive
    # Two pipes.
    [[ "$(readlink "/proc/$child/fd/0") $(readlink "/proc/$child/fd/1")" == */pipe" pipe:"* ]]
    kill $writer
    ! wait $load || false
    [ "$(wc -l < said)" = 1 ]
    [ ! -d "/proc/$child" ]
}

@test "berth-archive reads all of the archive, berth-image none of it, and opens nothing" {
    oci_image traced.tar traced:1 "[tar([file('noise', 'n' * 3000000)])]"
    for archive in traced.tar traced.tar.gz; do
        [ -e $archive ] || gzip -k traced.tar
        run -0 strace -ff -yy -qq -o trace -s 0 -e trace=read,readv,pread64,mmap,sendfile,splice,copy_file_range,openat,openat2,open,execve berth load -q -i $archive
        child=$(grep -l 'execve.*/berth-archive"' trace.*)
        [ "$(grep -l "^read([0-9]*<.*/$archive>" trace.*)" = "$child" ]
        ! grep "$archive>" $(ls trace.* | grep -vxF "$child") | grep -v 'openat(' || false
        # Its libraries and its locale come before the first byte of the archive.
        ! sed -n "/^read.*$archive>/,\$ p" "$child" | grep '^open.* = [0-9]' || false
        rm trace.*
        berth rmi traced:1 > /dev/null
    done
}

@test "SIGKILL of berth-archive, or of load above it: nothing stays of either" {
    slow_archive
    for victim in child load; do
        loading
        kill -9 "${!victim}"
        wait $load || true
        wait_until 30 eval '! pgrep -r S,R,D -f "^$BERTH_BUILD/berth-archive"'
        [ $victim != child ] || [ "$(cat said)" = "berth: load: standard input: read the archive: berth-archive ended early, with status 137" ]
        kill $writer
        wait $writer 2> /dev/null || true
        berth load -q -i slow.tar > /dev/null
        berth rmi slow:1 > /dev/null
        [ -z "$(ls "$BERTH_DATA/staging")" ]
    done
}

@test "damaged docker archives are refused and leave nothing" {
    oci "
top = tar([file('top', 'top')])
config = json.dumps({'architecture': MACHINE, 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(top).hexdigest()]}}).encode()
digest = hashlib.sha256(config).hexdigest()
def write(path, *more, name='c.json', content=config, config='c.json', layers=['l.tar'], layer=top, manifest=None):
    with open(path, 'wb') as out:
        out.write(tar([file(name, content), file('l.tar', layer)] + list(more) + [file('manifest.json', manifest or json.dumps([{'Config': config, 'RepoTags': ['bad:1'], 'Layers': layers}]))]))
write('good')
write('layer-content', layer=top.replace(b'top', b'pot'))
write('layer-missing', layers=['m.tar'])
write('layer-up', layers=['../../../../etc/passwd'])
write('layer-absolute', layers=['/etc/passwd'])
write('layer-count', layers=['l.tar', 'l.tar'])
write('config-missing', config='d.json')
write('config-up', config='../../../../../etc/passwd')
write('config-name', name=digest + '.json', config=digest + '.json', content=config.replace(b'linux', b'linus'))
write('config-garbage', content=b'{]')
write('link-loop', symlink('x.tar', 'y.tar'), symlink('y.tar', 'x.tar'), layers=['x.tar'])
write('link-outside', symlink('x.tar', '/etc/passwd'), layers=['x.tar'])
write('manifest-garbage', manifest='[[[')
write('manifest-empty', manifest='[]')
write('manifest-object', manifest='{}')"
    berth load -q -i good
    berth rmi bad:1
    for case in layer-content layer-missing layer-up layer-absolute layer-count config-missing config-up config-name \
        config-garbage link-loop link-outside manifest-garbage manifest-empty manifest-object; do
        refused $case ""
    done
}

@test "files of the store that are missing or damaged: said so, and rmi or load repairs" {
    oci_image one.tar whole:1 "[busybox()]"
    oci_image two.tar broken:1 "[busybox(), tar([file('b')])]"
    berth load -q -i one.tar
    berth load -q -i two.tar
    id=$(id_of broken:1)
    rm "$BERTH_DATA/blobs/sha256/${id#sha256:}"
    run -125 berth run --rm broken:1 true
    expect_text "'broken:1' is damaged"
    berth run --rm whole:1 true
    berth images | grep -q broken
    berth load -q -i two.tar
    berth run --rm broken:1 true
    rm "$BERTH_DATA/blobs/sha256/${id#sha256:}"
    berth rmi broken:1
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 1 ]
    berth load -q -i two.tar
    for record in "$BERTH_DATA"/images/*; do grep -q "${id#sha256:}" "$record" && echo '{' > "$record"; done
    run -0 berth images
    expect_text "whole"
    expect_text "left out"
    berth rmi broken:1
    run -0 --separate-stderr berth images
    [ -z "$stderr" ]
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 1 ]
}

# --- what layers carry ---

@test "owners, modes, times, links, attributes, devices and fifos survive into the container" {
    oci "
x = 'SCHILY.xattr.'
l = Layout()
l.image('carry:1', [busybox(), tar([
    file('owned', uid=1234, gid=70000, mode=0o640),
    file('setuid', mode=0o4755), file('setgid', mode=0o2755, gid=5), directory('sticky/', mode=0o1777, mtime=77),
    file('exact', pax={'mtime': '1234567890.123456789'}),
    file('first', 'one file'), hard('second', 'first'), symlink('link', '/first'),
    file('noted', pax={x + 'user.note': 'kept'}),
    entry('null', 'char', device=(1, 3), mode=0o666), entry('pipe', 'fifo', mode=0o600), entry('disk', 'block', device=(7, 99)),
    file('größe', 'ü'), file('new\nline', 'n'), directory('far/'),
    file('far/' + 'long' * 60, 'l')])])
l.write('carry')"
    berth load -q -i carry
    run -0 berth run --rm carry:1 stat -c '%n %a %u %g' /owned /setuid /setgid /sticky
    [ "${lines[0]}" = "/owned 640 1234 70000" ]
    [ "${lines[1]}" = "/setuid 4755 0 0" ]
    [ "${lines[2]}" = "/setgid 2755 0 5" ]
    [ "${lines[3]}" = "/sticky 1777 0 0" ]
    run -0 berth run --rm carry:1 stat -c '%F %i %h' /first /second
    [ "${lines[0]}" = "${lines[1]}" ]
    [[ "${lines[0]}" == *" 2" ]]
    run -0 berth run --rm carry:1 stat -c '%Y %F %t %T' /sticky /null /pipe /disk
    [ "${lines[0]}" = "77 directory 0 0" ]
    [ "${lines[1]}" = "1000 character special file 1 3" ]
    [ "${lines[2]}" = "1000 fifo 0 0" ]
    [ "${lines[3]}" = "1000 block special file 7 63" ]
    [ "$(berth run --rm carry:1 cat /link "/new"$'\n'"line" /größe "/far/$(printf 'long%.0s' $(seq 60))")" = "one filenül" ]
    [ "$(berth run --rm carry:1 sh -c 'echo x > /null && wc -c < /null')" = 0 ]
    [ "$(berth run --rm carry:1 readlink /link)" = /first ]
    # What busybox cannot show: seen from outside, through the container's root.
    berth run -d --name seen carry:1 sleep 50 > /dev/null
    root=/proc/$(field seen .State.Pid)/root
    [ "$(stat -c %.9Y "$root/exact")" = 1234567890.123456789 ]
    [ "$(python3 -c "import os; print(os.getxattr('$root/noted', 'user.note').decode())")" = kept ]
}

@test "a setuid file works, and a file's capability; no_new_privs stops both" {
    oci "
data = open('/bin/busybox', 'rb').read()
caps = b'\x01\x00\x00\x02' + b'\x00\x20\x00\x00' + b'\x00' * 12  # cap_net_raw=ep, as the kernel keeps it
l = Layout()
l.image('raise:1', [busybox(), tar([
    directory('s/'), file('s/payload', open('$BERTH_BUILD/tests/payload/payload', 'rb').read(), mode=0o4755), directory('c/'),
    file('c/cat', data, mode=0o755, pax={'SCHILY.xattr.security.capability': caps.decode('utf-8', 'surrogateescape')})])])
l.write('raise')"
    berth load -q -i raise
    [ "$(berth run --rm -u 1000 raise:1 /s/payload users)" = "1000 0" ]
    [ "$(berth run --rm -u 1000 --security-opt no-new-privileges raise:1 /s/payload users)" = "1000 1000" ]
    run -0 berth run --rm -u 1000 raise:1 /c/cat /proc/self/status
    expect_text "CapEff:	0000000000002000"
    run -0 berth run --rm -u 1000 --security-opt no-new-privileges raise:1 /c/cat /proc/self/status
    expect_text "CapEff:	0000000000000000"
}

@test "whiteouts and opaque directories over several layers" {
    oci "
l = Layout()
l.image('white:1', [busybox(), 
    tar([directory('d/'), file('d/a', '1'), file('d/b', '1'), directory('e/'), file('e/x', '1'), file('f', '1'), directory('g/'), file('g/y', '1'), file('h', '1')]),
    tar([directory('d/'), file('d/.wh.a', ''), directory('e/'), file('e/.wh..wh..opq', ''), file('e/z', '2'), file('.wh.f', ''), file('.wh.g', ''), file('g', '2'), file('.wh.h', ''), directory('h/'), file('h/i', '2')]),
    tar([directory('d/'), file('d/c', '3'), directory('e/'), file('e/w', '3'), file('f', '3')]),
    tar([directory('d/'), file('d/.wh.c', ''), file('.wh.h', '')])])
l.write('white')"
    berth load -q -i white
    run -0 berth run --rm white:1 sh -c 'cd /; echo $(ls -A d) , $(ls -A e) , $(cat f) , $(cat g) , $(ls -d h 2>&1)'
    [ "$output" = "b , w z , 3 , 2 , ls: h: No such file or directory" ]
    # What is deleted in a container is so there only, and stays deleted when it starts again.
    berth run --name deletes white:1 sh -c 'rm -r /d /f; mkdir /d; echo new > /d/n'
    berth start -a deletes || true
    run -0 berth run --rm --volumes-from deletes white:1 ls /d
    [ "$output" = b ]
}

@test "the root is the one that umoci unpacks of the same image" {
    command -v umoci > /dev/null || skip "umoci is not installed"
    oci "
l = Layout()
l.image('same', [busybox(),
    tar([directory('a/', mode=0o700, uid=3, mtime=11), file('a/f', 'f', mode=0o604, gid=4, mtime=12), hard('a/h', 'a/f'), symlink('a/l', '../a/f', uid=5),
         directory('b/'), file('b/1', '1'), file('b/2', '2'), directory('c/'), directory('c/d/'), file('c/d/e', 'e'), entry('n', 'char', device=(1, 5)), entry('q', 'fifo')]),
    tar([directory('a/', mode=0o711, uid=6, mtime=13), file('a/g', 'g'), directory('b/'), file('b/.wh.1', ''), directory('c/'), file('c/.wh..wh..opq', ''), file('c/z', 'z'), file('n', 'n now'), file('.wh.q', '')]),
    tar([file('b/3', '3'), directory('a/', mode=0o755, mtime=14), file('.wh.n', ''), directory('n/'), file('n/n', 'n')])], form='gzip')
l.write_directory('same')"
    umoci unpack --image same:same bundle 2> /dev/null
    berth load -q -i same
    berth run -d --name same -v /bin/busybox:/bin/busybox:ro same sleep 50 > /dev/null
    tree() {
        (cd "$1" && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./etc \) -prune -o \
            -printf '%p %y %m %U %G %l %n %T@\n' | grep -v -e '^\. ' -e '^./bin/busybox ' -e '^./bin ' | sort)
        (cd "$1" && find a b c n -type f -exec md5sum {} + | sort)
    }
    [ "$(tree bundle/rootfs | wc -l)" -gt 20 ]
    # Overlayfs counts the links of a directory otherwise.
    diff <(tree bundle/rootfs | sed -E 's/^([^ ]+ d .*) [0-9]+ ([0-9.]+)$/\1 \2/') \
        <(tree "/proc/$(field same .State.Pid)/root" | sed -E 's/^([^ ]+ d .*) [0-9]+ ([0-9.]+)$/\1 \2/')
}

@test "an image that has a layer several times" {
    oci "
one = tar([directory('d/'), file('d/one', '1'), file('both', '1')])
two = tar([directory('d/'), file('d/.wh.one', ''), file('d/two', '2'), file('both', '2')])
empty = tar([])
l = Layout()
l.image('again:1', [busybox(), empty, one, empty, two, one, empty, empty])
l.image('again:2', [busybox(), one, two, one, two])
l.write('again')"
    berth load -q -i again
    run -0 berth run --rm again:1 sh -c 'ls /d; cat /both'
    [ "${lines[*]}" = "one two 1" ]
    run -0 berth run --rm again:2 sh -c 'ls /d; cat /both'
    [ "${lines[*]}" = "two 2" ]
    [ "$(berth image inspect --format '{{len .RootFS.Layers}}' again:1)" = 8 ]
}

@test "150 layers are an image like any other, and nothing is mounted on the host" {
    oci "
l = Layout()
l.image('deep:1', [busybox()] + [tar([file('top', str(n)), file(f'n{n}', str(n))]) for n in range(149)])
l.write('deep')"
    before=$(mounts)
    berth load -q -i deep
    run -0 berth run --rm deep:1 sh -c 'cat /top /n0 /n148; echo; ls -d /n* | wc -l'
    [ "${lines[*]}" = "1480148 149" ]
    berth run -d --name deep deep:1 sleep 50 > /dev/null
    wait_until 20 eval '[ "$(mounts)" = "$before" ]' || diff <(echo "$before") <(mounts)
    run -1 grep "$BERTH_DATA" /proc/self/mountinfo
}

# --- at once, killed, out of space ---

@test "images are listed and found where the store is on a read-only file system" {
    oci_image fixed.tar fixed:1 "[busybox()]"
    berth load -q -i fixed.tar
    run unshare -m sh -c 'mount --bind "$BERTH_DATA" "$BERTH_DATA" && mount -o remount,bind,ro "$BERTH_DATA" &&
        berth images --format "{{.Repository}}:{{.Tag}}"; berth image inspect --format "{{.RepoTags}}" fixed:1; berth image inspect fixed:2'
    [[ "$output" == "fixed:1
[fixed:1]
"*"No such image: fixed:2; did you mean 'fixed:1'?"* ]]
}

@test "two loads of one image at once do the work once, and both succeed" {
    oci "
import random
noise = random.Random(1).randbytes(6000000)
l = Layout(); l.image('twice:1', [busybox(), tar([file('noise', noise)])], form='gzip'); l.write('twice')"
    for i in 1 2 3 4; do
        berth load -q -i twice > out$i 2>&1 &
        pids[i]=$!
    done
    for i in 1 2 3 4; do
        wait ${pids[i]}
        [ "$(cat out$i)" = "Loaded image: twice:1" ]
    done
    [ "$(ls "$BERTH_DATA/layers" | wc -l)" = 2 ]
    [ -z "$(ls "$BERTH_DATA/staging")" ]
    [ "$(berth run --rm twice:1 sh -c 'wc -c < /noise')" = 6000000 ]
}

@test "load, rmi and run at once never leave a broken image" {
    oci_image race.tar race:1 "[busybox(), tar([file('r', 'r')])]"
    for i in $(seq 12); do berth load -q -i race.tar; done > loads 2>&1 &
    loads=$!
    for i in $(seq 25); do berth rmi race:1; done > removals 2>&1 &
    removals=$!
    for i in $(seq 30); do
        run berth run --rm --pull never race:1 cat /r
        [ "$status $output" = "0 r" ] || [[ "$output" == *"No such image: race:1"* ]] || {
            echo "run: $status $output"
            false
        }
    done
    wait $loads || { cat loads; false; }
    wait $removals || true
    run -1 grep -v -e "No such image" -e "^Untagged: race:1" -e "^Deleted: sha256" -e "is using" removals
    berth load -q -i race.tar
    [ "$(berth run --rm race:1 cat /r)" = r ]
}

# Starts a command that waits for who holds the names of images: waiting OUTPUT COMMAND...
waiting() {
    local file=$1
    shift
    "$@" > "$file" 2>&1 3>&- &
    waiter=$!
    wait_until 20 has_open $waiter "$BERTH_DATA/locks/images"
}

@test "an image that comes or goes just now is there as a whole, or it is not there" {
    oci_image late.tar late:1 "[busybox()]"
    berth load -q -i late.tar
    name=$BERTH_DATA/names/docker.io+library+late:1
    manifest=$BERTH_DATA/blobs/sha256/$(cut -d : -f 2 "$name")

    # As load between an image's record and its name.
    hold_lock "$BERTH_DATA/locks/images"
    mv "$name" name
    waiting listed berth images --format '{{.Repository}}:{{.Tag}}'
    lister=$waiter
    waiting found berth image inspect --format '{{.RepoTags}}' late:1
    mv name "$name"
    release_lock
    wait $lister
    wait $waiter
    [ "$(cat listed)" = late:1 ]
    [ "$(cat found)" = "[late:1]" ]

    # As rmi, whose sweep may be faster than who has read the name.
    hold_lock "$BERTH_DATA/locks/images"
    mv "$manifest" manifest
    waiting gone berth image inspect late:1
    mv "$name" name
    release_lock
    wait $waiter && false
    [ "$(tail -1 gone)" = "berth: No such image: late:1; \`berth images\` lists those that are here" ]
    mv name "$name"
    mv manifest "$manifest"

    # What is to have a further name goes before that.
    hold_lock "$BERTH_DATA/locks/images"
    waiting tagged berth tag late:1 late:2
    rm "$name" "$BERTH_DATA/images/"*
    release_lock
    wait $waiter && false
    [ "$(cat tagged)" = "berth: No such image: late:1; \`berth images\` lists those that are here" ]
    berth load -q -i late.tar # whose removal sweeps
}

@test "SIGKILL of load at random moments: the image is whole or absent, the next load works" {
    oci "
import random
l = Layout(); l.image('shot:1', [busybox(), tar([file('noise', random.Random(2).randbytes(3000000)), file('end', 'end')])]); l.write('shot')"
    for i in $(seq 25); do
        berth load -q -i shot > /dev/null 2>&1 &
        pid=$!
        sleep "0.0$(printf '%02d' $((i * 3)))"
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
        if berth image inspect shot:1 > /dev/null 2>&1; then
            [ "$(berth run --rm shot:1 cat /end)" = end ]
            berth rmi shot:1 > /dev/null
        fi
    done
    berth load -q -i shot
    [ "$(berth run --rm shot:1 sh -c 'cat /end; wc -c < /noise')" = "end3000000" ]
    [ -z "$(ls "$BERTH_DATA/staging")" ]
}

@test "a full disk: one clear sentence, nothing stays, and it works once there is space" {
    oci "
import random
l = Layout(); l.image('big:1', [busybox(), tar([file('noise', random.Random(3).randbytes(12000000))])], form='gzip'); l.write('big')"
    export BERTH_DATA=$PWD/small
    mkdir small
    mount -t tmpfs -o size=16m tmpfs small # teardown unmounts it
    for i in 1 2; do
        run -1 --separate-stderr berth load -q -i big
        echo "$stderr"
        [ "${#stderr_lines[@]}" = 1 ]
        [[ "$stderr" == *"No space left on device"* ]]
        [ -z "$(store)" ]
    done
    mount -o remount,size=8m small # the blobs do not fit either
    run -1 --separate-stderr bash -c 'berth load -q < big'
    echo "$stderr"
    [ "${#stderr_lines[@]}" = 1 ]
    [[ "$stderr" == *"No space left on device"* ]]
    [ -z "$(store)" ]
    run -1 --separate-stderr berth import big
    [ "${#stderr_lines[@]}" = 1 ]
    [ -z "$(store)" ]
    mount -o remount,size=64m small
    berth load -q -i big
    [ "$(berth run --rm big:1 sh -c 'wc -c < /noise')" = 12000000 ]
    # What is full can be emptied.
    dd if=/dev/zero of=small/fill bs=1M 2> /dev/null || true
    berth rmi big:1
    [ -z "$(store)" ]
}

@test "image make busybox gives the same id each time, and says what it made" {
    export SOURCE_DATE_EPOCH=1700000000
    run -0 berth image make busybox -t made:1 -t made:2
    [ "$output" = "$(printf 'Made image: made:%s\n' 1 2)" ]
    id=$(id_of made:1)
    remove_images
    [ "$(berth image make busybox -q)" = "$id" ]
    [ "$(berth image inspect --format '{{.Created}}' busybox)" = "2023-11-14T22:13:20Z" ]
    [ "$(berth run --rm busybox stat -c %Y /bin/busybox)" = 1700000000 ]
    run -1 berth image make fedora
    expect_text fedora
    run -1 berth image make busybox --suite bookworm
    expect_text suite
}

# --- what an image's config means for its containers ---

@test "ENTRYPOINT and CMD, words of the user, --entrypoint" {
    oci "
l = Layout()
l.image('both:1', [busybox()], Entrypoint=['/bin/busybox', 'echo', 'e'], Cmd=['c', 'd'])
l.image('cmd:1', [busybox()], Cmd=['/bin/busybox', 'echo', 'only'])
l.image('entry:1', [busybox()], Entrypoint=['/bin/busybox', 'echo', 'e'], Cmd=None)
l.image('none:1', [busybox()], Cmd=None)
l.write('programs')"
    berth load -q -i programs
    [ "$(berth run --rm both:1)" = "e c d" ]
    [ "$(berth run --rm both:1 w)" = "e w" ]
    [ "$(berth run --rm cmd:1)" = only ]
    [ "$(berth run --rm entry:1)" = e ]
    [ "$(berth run --rm entry:1 w)" = "e w" ]
    # With another entrypoint the image's CMD does not count.
    [ -z "$(berth run --rm --entrypoint /bin/true both:1)" ]
    [ "$(berth run --rm --entrypoint /bin/busybox both:1 echo mine)" = mine ]
    run -125 berth run --rm none:1
    expect_text "no program to run"
    [ "$(berth run --rm none:1 /bin/busybox echo yes)" = yes ]
}

@test "WORKDIR is made, USER by name, ENV, and options that override them" {
    oci "
l = Layout()
l.image('conf:1', [busybox(), tar([directory('etc/'), file('etc/passwd', 'root:x:0:0::/root:/bin/sh\nann:x:51:52::/home/ann:/bin/sh\n'),
                                   file('etc/group', 'root:x:0:\nann:x:52:\ncrew:x:99:ann\n')])],
        WorkingDir='/deep/work/dir', User='ann', Env=['A=image', 'B=image', 'EMPTY='])
l.image('crew:1', [busybox(), tar([directory('etc/'), file('etc/group', 'crew:x:99:\n')])], User='7:crew')
l.image('nobody:1', [busybox()], User='missing')
l.write('conf')"
    berth load -q -i conf
    run -0 berth run --rm -e B=mine -e C=mine conf:1 sh -c 'pwd; id -u; id -g; id -G; echo $A $B $C $HOME; env | grep -c ^EMPTY=; stat -c "%u %a" .'
    [ "${lines[0]}" = /deep/work/dir ]
    [ "${lines[1]} ${lines[2]}" = "51 52" ]
    [ "${lines[3]}" = "52 99" ]
    [ "${lines[4]}" = "image mine mine /home/ann" ]
    [ "${lines[5]}" = 1 ]
    [ "${lines[6]}" = "0 755" ]
    run -0 berth run --rm -u 0 -w /tmp/other conf:1 sh -c 'pwd; id -u'
    [ "${lines[*]}" = "/tmp/other 0" ]
    [ "$(berth run --rm crew:1 sh -c 'id -u; id -g' | tr '\n' ' ')" = "7 99 " ]
    run -125 berth run --rm nobody:1 true
    expect_text missing
}

@test "VOLUME, STOPSIGNAL, labels, EXPOSE, ONBUILD, HEALTHCHECK" {
    oci "
l = Layout()
l.image('rich:1', [busybox(), tar([directory('data/', mode=0o750, uid=9), file('data/seed', 's', uid=9, mode=0o600), directory('data/sub/'), symlink('data/sub/l', '../seed')])],
        Volumes={'/data': {}, '/fresh': {}}, StopSignal='SIGUSR1', Labels={'from': 'image', 'kept': 'yes', 'io.berth.name': 'hijack'},
        ExposedPorts={'80/tcp': {}}, OnBuild=['RUN rm -rf /'], Healthcheck={'Test': ['CMD', 'false'], 'Interval': 1000000000})
l.write('rich')"
    berth load -q -i rich
    berth run -d --name rich -l from=user rich:1 sh -c 'trap "exit 33" USR1; echo x > /data/more; echo up; while :; do sleep 0.1; done' > /dev/null
    wait_until 20 bash -c 'berth logs rich | grep -q up'
    run -0 berth exec rich sh -c 'stat -c "%a %u" /data /data/seed; cat /data/sub/l; ls -A /fresh'
    [ "${lines[*]}" = "750 9 600 9 s" ]
    [ "$(field rich .Config.Labels.from) $(field rich .Config.Labels.kept) $(field rich .Name)" = "user yes /rich" ]
    [ "$(berth ps -q --filter label=kept=yes | wc -l)" = 1 ]
    [ "$(ls "$BERTH_DATA/volumes" | wc -l)" = 2 ]
    berth stop -t 60 rich
    [ "$(field rich .State.ExitCode)" = 33 ]
    # The layer still has what it had.
    [ "$(berth run --rm rich:1 ls -A /data | tr '\n' ' ')" = "seed sub " ]
    berth rm rich
    [ "$(ls "$BERTH_DATA/volumes" | wc -l)" = 2 ]
    rm -r "${BERTH_DATA:?}"/volumes/*
}
