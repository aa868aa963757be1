# What the store takes on the disk, and giving it back: system df, prune, rmi, system check.

load helper

# A store of its own, which is empty after each test.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/store-data BERTH_RUN=$BERTH_TEST_DATA/store-run
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
}

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    remove_all
    ! mountpoint -q disk || umount -l disk
    rm -rf "$BERTH_DATA"/volumes/* "$BERTH_DATA"/ingest/*
    berth image prune -af > /dev/null
    [ -z "$(store)" ] || {
        echo "left in the store:"
        store
        false
    }
}

# What the store holds, but its locks.
store() {
    (cd "$BERTH_DATA" && find blobs/sha* layers images names staging volumes trash ingest -mindepth 1 \
        -maxdepth 1 ! -path layers/.unsynced 2> /dev/null | sort)
}

# Runs Python with the words of oci_image.py.
oci() { python3 -c "from oci_image import *; $1"; }

# Blocks of folders of the store, without the folders themselves, as du(1) counts them.
blocks() {
    (cd "$BERTH_DATA" && find "$@" -mindepth 1 -maxdepth 1 ! -name lock ! -name .unsynced -print0 |
        xargs -0 -r du -csk | tail -1 | cut -f1)
}

# A size as berth prints it, in KiB: kib 1.5MB
kib() { numfmt --from=si --to-unit=1024 --round=nearest "$(echo "${1%B}" | tr k K)"; }

# Fails unless two numbers of KiB are the same but for the digits that are not printed.
about() { [ $((${1} - ${2})) -le $((${2} / 50 + 4)) ] && [ $((${2} - ${1})) -le $((${2} / 50 + 4)) ]; }

row() { berth system df --format '{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}' | sed -n "s/^$1|//p"; }

two_images() {
    oci "l = Layout(); l.image('one:1', [busybox(), tar([file('a', b'a' * 200000)])])
l.image('two:1', [busybox(), tar([file('b', b'b' * 300000)])]); l.write('two.tar')"
    berth load -qi two.tar > /dev/null
}

@test "system df: images, containers and volumes as du counts them, what is shared once" {
    two_images
    [ "$(row Images | cut -d'|' -f1,2)" = "2|0" ]
    about "$(kib "$(row Images | cut -d'|' -f3)")" "$(blocks layers)"
    about "$(kib "$(row 'Kept Blobs' | cut -d'|' -f3)")" "$(blocks blobs/sha256)"
    [[ "$(row Images)" == *"(100%)" ]]

    berth run --name writer -v kept:/kept one:1 sh -c 'busybox head -c 1000000 /dev/urandom > /x; busybox head -c 500000 /dev/zero > /kept/y'
    [ "$(row Images | cut -d'|' -f1,2)" = "2|1" ]
    [[ "$(row Images)" != *"(100%)" ]]
    about "$(kib "$(row Containers | cut -d'|' -f3)")" "$(blocks containers)"
    about "$(kib "$(row 'Local Volumes' | cut -d'|' -f3)")" "$(blocks volumes)"
    [ "$(row Containers | cut -d'|' -f1,2)" = "1|0" ]
    [ "$(row 'Local Volumes' | cut -d'|' -f1,2,4)" = "1|1|0B (0%)" ]

    # What it says is reclaimable is what prune then gives back.
    reclaimable=$(row Images | sed 's/.*|\(.*\) (.*/\1/')
    before=$(blocks layers)
    berth image prune -af > /dev/null
    about "$(kib "$reclaimable")" $((before - $(blocks layers)))
    [ "$(row Images | cut -d'|' -f4)" = "0B (0%)" ]
}

@test "system df -v: each image with what it shares, containers and volumes; as JSON too" {
    two_images
    berth run --name writer -v kept:/kept one:1 true
    run -0 berth system df -v
    expect_text "Images space usage:"
    expect_text "SHARED SIZE   UNIQUE SIZE   BLOBS"
    expect_text "Containers space usage:"
    expect_text "Local Volumes space usage:"
    [[ "$(grep '^kept' <<< "$output")" =~ ^kept\ +1\ +[0-9.]+kB ]]
    run -0 berth system df -v --format json
    [ "$(jq -r '[.Images[].Containers] | sort | join(" ")' <<< "$output")" = "0 1" ]
    [ "$(jq -r '.Images[0].SharedSize == .Images[1].SharedSize' <<< "$output")" = true ]
    [ "$(jq -r '.Volumes[0].Name, .Containers[0].Names' <<< "$output")" = $'kept\nwriter' ]
    [ "$(berth system df -v --format '{{len .Images}} {{(index .Volumes 0).Links}}')" = "2 1" ]
}

@test "a container's checkpoint counts as the container's, and goes with it" {
    two_images
    id=$(berth create --name saved one:1 true)
    # What berth checkpoint keeps, and what it was writing when it was killed.
    mkdir "$BERTH_DATA/containers/$id/checkpoint" "$BERTH_DATA/containers/$id/checkpoint.new"
    head -c 2000000 /dev/urandom > "$BERTH_DATA/containers/$id/checkpoint/pages-1.img"
    head -c 1000000 /dev/urandom > "$BERTH_DATA/containers/$id/checkpoint.new/pages-1.img"
    sync "$BERTH_DATA/containers/$id"/checkpoint*/pages-1.img
    about "$(kib "$(row Containers | cut -d'|' -f3)")" "$(blocks containers)"
    [ "$(kib "$(berth system df -v --format '{{(index .Containers 0).Size}}')")" -ge 2900 ]
    [[ "$(row Containers)" == *"(100%)" ]]
    berth rm saved > /dev/null
    [ "$(row Containers)" = "0|0|0B|0B" ]
    [ ! -e "$BERTH_DATA/containers/$id" ]
}

@test "prune asks on a terminal, and does nothing unasked without one" {
    two_images
    for command in "image prune" "container prune" "volume prune" "system prune"; do
        # shellcheck disable=SC2086
        run -1 berth $command < /dev/null
        expect_text "use --force to remove without a question"
    done
    run -1 script -qec 'berth image prune -a' /dev/null <<< n
    expect_text "all images without at least one container"
    expect_text "[y/N]"
    [ "$(berth images -q | wc -l)" = 2 ]
    run -0 script -qec 'berth image prune -a' /dev/null <<< y
    expect_text "Total reclaimed space: "
    [ -z "$(berth images -q)" ]
}

@test "image prune: without a name, or all that no container uses; by age and label" {
    oci "l = Layout(); l.image('used:1', [busybox()]); l.image('named:1', [tar([file('n', b'n')])])
l.image('lab:1', [tar([file('l', b'l')])], Labels={'stage': 'ci'}); l.image('none', [tar([file('d', b'd')])])['annotations'].clear()
l.write('some.tar')"
    berth load -qi some.tar > /dev/null
    berth create --name user used:1 true > /dev/null
    run -0 berth image prune -f
    [[ "$output" == "Deleted Images:"$'\n'"deleted: sha256:"* ]]
    [ "$(grep -c deleted <<< "$output")" = 1 ]
    run -0 berth image prune -af --filter label=stage=live
    [ "$output" = "Total reclaimed space: 0B" ]
    run -0 berth image prune -af --filter label=stage
    expect_text "untagged: lab:1"
    run -0 berth image prune -af --filter until=1970-01-01
    [ "$output" = "Total reclaimed space: 0B" ]
    run -0 berth image prune -af --filter label!=stage --filter until=1s
    expect_text "untagged: named:1"
    [ "$(berth images --format '{{.Repository}}')" = used ]
    berth start -a user
    run -1 berth image prune -f --filter color=red
    expect_text "invalid filter 'color=red'"
}

@test "container and volume prune: what runs or is used stays" {
    two_images
    berth run -d --name runs -v used:/v one:1 sleep 100 > /dev/null
    berth run --name ended -v /anonymous -v named:/n --label stage=ci one:1 sh -c 'busybox head -c 300000 /dev/zero > /x'
    run -0 berth container prune -f --filter label!=stage
    [ "$output" = "Total reclaimed space: 0B" ]
    id=$(berth inspect --format '{{.Id}}' ended)
    run -0 berth container prune -f
    [[ "$output" == "Deleted Containers:"$'\n'"$id"$'\n\n'"Total reclaimed space: "* ]]
    [ "$(kib "${output##* }")" -gt 290 ]
    is_running runs
    [ "$(find "$BERTH_DATA/volumes" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ]
    run -0 berth volume prune -f
    [[ "$(sed -n 2p <<< "$output")" =~ ^[0-9a-f]{64}$ ]]
    [ "$(wc -l <<< "$output")" = 4 ]
    run -0 berth volume prune -af
    [[ "$output" == "Deleted Volumes:"$'\n'"named"$'\n\n'* ]]
    [ "$(ls "$BERTH_DATA/volumes")" = used ]
}

@test "system prune: stopped containers, images, anonymous volumes and leftovers" {
    two_images
    berth run --name ended -v /anonymous -v named:/n one:1 true
    mkdir -p "$BERTH_DATA/ingest" "$BERTH_DATA/trash/old"
    head -c 100000 /dev/urandom > "$BERTH_DATA/ingest/sha256-$(printf '%064d' 7)"
    head -c 100000 /dev/urandom > "$BERTH_DATA/trash/old/file"
    [ "$(row Leftovers | cut -d'|' -f1,2)" = "2|0" ]
    run -0 berth system prune -af --volumes
    expect_text "Deleted Containers:"
    expect_text "untagged: two:1"
    [ "$(kib "${output##* }")" -gt 2000 ]
    [ "$(store)" = volumes/named ]
    [ "$(berth system df --format '{{.Size}}' | sort -u | grep -v kB)" = 0B ]
}

@test "rmi of an image with 3,000 files answers at once, and the rest follows" {
    oci "l = Layout(); l.image('many:1', [tar([file('d%d/f%d' % (i % 100, i), b'x') for i in range(3000)])]); l.write('many.tar')"
    berth load -qi many.tar > /dev/null
    # It has ended before the last of them is deleted, and not by itself.
    strace -f --seccomp-bpf -qqq -o trace -e trace=unlinkat,exit_group -e signal=none sh -c 'echo $$ > pid && exec berth rmi many:1' > /dev/null
    command=$(cat pid)
    [ "$(grep -c "^$command .*unlinkat" trace)" -lt 100 ]
    [ "$(sed "1,/^$command .*exit_group/d" trace | grep -c unlinkat)" -gt 0 ]
    [ "$(grep -c unlinkat trace)" -gt 3000 ]
    [ -z "$(ls "$BERTH_DATA/layers")" ]
    wait_trash
}

# --- system check ---

# Fails unless the check finds nothing, with these options.
is_sound() {
    run -0 berth system check "$@"
    [[ "$output" == *"defects: 0" ]]
}

@test "system check: what is damaged is named, one line each, and repair mends it" {
    two_images
    is_sound
    is_sound --deep
    [[ "$output" == "images: 2, layers: 3, blobs: 7, of them not used: 0, defects: 0" ]]
    layer=$(dirname "$(find "$BERTH_DATA/layers" -name b -size +200k)")

    # A file of another length; only a deep look sees another content.
    echo more >> "$layer/b"
    run -1 berth system check
    expect_text "defect: layer "
    expect_text "bytes in files, not 300000"
    [ "$(wc -l <<< "$output")" = 2 ]
    run -0 berth system check --repair
    expect_text "unpacked anew"
    is_sound --deep
    printf X | dd of="$layer/b" bs=1 seek=7 conv=notrunc 2> /dev/null
    touch -d @1000 "$layer/b"
    is_sound
    run -1 berth system check --deep
    expect_text "'b' has another content"
    berth system check --deep --repair > /dev/null
    is_sound --deep

    # A layer that is gone comes back under the name by which containers know it.
    berth create --name user two:1 cat /b > /dev/null
    rm -r "$(dirname "$layer")"
    run -1 berth system check
    expect_text "is not unpacked"
    expect_text "defect: container $(berth inspect --format '{{.Id}}' user | head -c 12): its layer "
    run -0 berth system check --repair
    [ "$(grep -c ^repaired: <<< "$output")" = 1 ]
    is_sound
    [ "$(berth start -a user | wc -c)" = 300000 ]

    # A name that points nowhere, a record that is no JSON, leftovers.
    printf 'sha256:%064d\n' 5 > "$BERTH_DATA/names/docker.io+library+lost:1"
    record=$(find "$BERTH_DATA/images" -type f | head -1)
    echo '{' > "$record"
    mkdir -p "$BERTH_DATA/trash/old"
    run -1 berth system check
    expect_text "defect: name 'lost:1' points at no image"
    expect_text "defect: 1 leftovers of commands that were killed"
    [ "$(grep -c ^defect: <<< "$output")" = 3 ]
    run -0 berth system check --repair
    [ "$(grep -c ^repaired: <<< "$output")" = 3 ]
    is_sound
    [ "$(berth images --format '{{.Repository}}' | sort | xargs)" = "one two" ]
}

@test "system check: a damaged blob goes by repair, and the next load brings it" {
    two_images
    blob=$(find "$BERTH_DATA/blobs" -type f -size +290k -size -600k)
    printf X | dd of="$blob" bs=1 seek=700 conv=notrunc 2> /dev/null
    run -1 berth system check
    expect_text "is damaged: its content has the digest sha256:"
    [ "$(grep -c ^defect: <<< "$output")" = 1 ]
    # Its layer cannot be made of it, and is not: what runs goes on.
    run -1 berth system check --repair
    expect_text "repaired: blob sha256:$(basename "$blob") is damaged"
    expect_text "pull or load it again"
    [ "$(berth run --rm two:1 cat /b | wc -c)" = 300000 ]
    berth load -qi two.tar > /dev/null
    is_sound --deep
}

@test "system check --repair: no layer goes away from under a running container" {
    two_images
    berth run -d --name runs two:1 sleep 100 > /dev/null
    layer=$(dirname "$(find "$BERTH_DATA/layers" -name b -size +200k)")
    echo more >> "$layer/b"
    run -1 berth system check --repair
    expect_text "container $(berth inspect --format '{{.Id}}' runs | head -c 12) runs on it: stop it first"
    [ "$(tail -1 "$layer/b" | tail -c 5)" = more ]
    berth rm -f runs > /dev/null
    berth system check --repair > /dev/null
    is_sound --deep
}

@test "commands that are killed at any moment leave whole images, and the next one removes the rest" {
    STORE_KILLS=${STORE_KILLS:-24} run -0 "$BATS_TEST_DIRNAME/store_faults.sh" "$PWD" "$(free_port)"
    expect_text "0 violations"
}

# --- a full disk, two at once ---

# Fails unless a command fails with one sentence about the full disk: is_full COMMAND...
is_full() {
    run -1 --separate-stderr "$@"
    # shellcheck disable=SC2154
    echo "$* said: $stderr"
    [ "${#stderr_lines[@]}" = 1 ]
    [[ "$stderr" == *"No space left on device"* ]]
}

@test "a disk of 64 MiB runs full in load, pull, commit and create: one sentence, nothing breaks, rmi and prune work" {
    oci "
import random
l = Layout(); l.image('small:1', [busybox()]); l.write('small.tar')
l = Layout(); l.image('large:1', [busybox(), tar([file('noise', random.Random(3).randbytes(70000000))])]); l.write('large.tar')
l = Layout(); l.image('1', [busybox(), tar([file('noise', random.Random(4).randbytes(70000000))])]); l.write_directory('large')"
    export BERTH_DATA=$PWD/disk
    mkdir disk
    mount -t tmpfs -o size=64m tmpfs disk
    berth load -qi small.tar > /dev/null
    is_full berth load -qi large.tar
    is_sound
    python3 "$BATS_TEST_DIRNAME/registry_server.py" port large log 2> /dev/null 3>&- &
    server=$!
    wait_until 30 test -s port
    is_full berth pull -q "localhost:$(cat port)/large:1"
    kill $server
    is_sound
    [ -z "$(ls disk/ingest)" ]
    berth run --name writer small:1 sh -c 'busybox dd if=/dev/urandom of=/noise bs=1000000 count=40' 2> /dev/null
    is_full berth commit writer
    is_sound
    berth run --name filler small:1 sh -c 'busybox dd if=/dev/zero of=/zero bs=1000' > /dev/null 2>&1 || true
    is_full berth create small:1
    is_sound
    berth rm writer > /dev/null
    berth container prune -f > /dev/null
    berth rmi small:1 > /dev/null
    [ -z "$(berth images -q)" ]
    [ "$(berth image prune -af)" = "Total reclaimed space: 0B" ]
    [ "$(df --output=used -k disk | tail -1)" -lt 200 ]
    wait_until 20 umount disk
}

@test "two loads of one image at once unpack each layer once" {
    oci "l = Layout(); l.image('twice:1', [busybox(), tar([file('d%d/f%d' % (i % 9, i), b'x') for i in range(3000)])]); l.write('twice.tar')"
    for i in 1 2; do
        strace -ff -qq -e trace=execve -o trace.$i berth load -qi twice.tar > out.$i 3>&- &
        loads="$loads $!"
    done
    # shellcheck disable=SC2086
    wait $loads
    cat out.1 out.2
    [ "$(sort -u out.1 out.2)" = "Loaded image: twice:1" ]
    [ "$(cat trace.* | grep -c 'execve([^ ]*/berth-unpack".*= 0')" = 2 ]
    is_sound --deep
}
