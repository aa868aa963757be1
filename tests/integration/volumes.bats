load helper

# Volumes, and what an image has at their place.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/volumes-data BERTH_RUN=$BERTH_TEST_DATA/volumes-run
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
    lend_kernels
    PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1 python3 -c "
from oci_image import *
l = Layout()
l.image('seeded', [busybox(), tar([
    directory('seed/', mode=0o751, uid=7, gid=8), file('seed/a', 'a', uid=7, mode=0o600), hard('seed/b', 'seed/a'),
    symlink('seed/l', 'a'), file('seed/x', 'x', pax={'SCHILY.xattr.user.k': 'v'}), entry('seed/p', 'fifo'),
    directory('seed/sub/'), file('seed/sub/f', 'f', mtime=77), file('plain', 'p')])])
l.image('volume', [busybox(), tar([directory('v/'), file('v/f', 'f')])], Volumes={'/v': {}})
l.write('$BATS_FILE_TMPDIR/images')"
    berth load -q -i "$BATS_FILE_TMPDIR/images" > /dev/null
}

teardown() {
    remove_all
    rm -rf "${BERTH_DATA:?}"/volumes/*
}

teardown_file() { berth rmi -f seeded volume > /dev/null; }

nothing_left() { [ -z "$(find "$BERTH_DATA/staging" "$BERTH_DATA/trash" -mindepth 1 2> /dev/null)" ]; }

volumes() { ls "$BERTH_DATA/volumes" 2> /dev/null || true; }

@test "an empty named volume takes the image's content, once" {
    run -0 berth run --rm -v vol:/seed seeded sh -c 'cd /seed; stat -c "%a %u %g" . a; stat -c %h b; readlink l; stat -c %Y sub/f; stat -c %F p; echo mine > a; rm x'
    [ "${lines[0]}" = "751 7 8" ]
    [ "${lines[1]}" = "600 7 0" ]
    [ "${lines[2]}" = 2 ]
    [ "${lines[3]}" = a ]
    [ "${lines[4]}" = 77 ]
    [ "${lines[5]}" = fifo ]
    run -0 berth run --rm -v vol:/seed seeded sh -c 'cat /seed/b; ls /seed'
    [ "${lines[*]}" = "mine a b l p sub" ]
    # Another image's content does not come on top.
    run -0 berth run --rm -v vol:/v volume ls /v
    [ "${lines[*]}" = "a b l p sub" ]
    # The image itself is as it was.
    [ "$(berth run --rm seeded cat /seed/a /seed/x)" = ax ]
    [ "$(volumes)" = vol ]
}

@test "extended attributes come along" {
    berth run --rm -v vol:/seed seeded true
    [ "$(python3 -c "import os; print(os.getxattr('$BERTH_DATA/volumes/vol/_data/x', 'user.k').decode())")" = v ]
}

@test "nocopy leaves a volume empty, ro cannot be written" {
    [ -z "$(berth run --rm -v none:/seed:nocopy seeded ls /seed)" ]
    [ -z "$(berth run --rm --mount type=volume,source=none2,target=/seed,volume-nocopy seeded ls /seed)" ]
    run -0 berth run --rm -v vol:/seed:ro seeded cat /seed/a
    [ "$output" = a ]
    run -1 berth run --rm -v vol:/seed:ro seeded sh -c 'echo x > /seed/a'
    expect_text "Read-only file system"
    run -1 berth run --rm --mount type=volume,source=vol,target=/seed,readonly seeded sh -c 'echo x > /seed/a'
}

@test "a volume over a file, over nothing, over a lower one" {
    [ -z "$(berth run --rm -v vol:/not/there seeded ls -A /not/there)" ]
    run -0 berth run --rm -v outer:/seed -v inner:/seed/sub seeded sh -c 'ls /seed; ls /seed/sub'
    [ "${lines[*]}" = "a b l p sub x f" ]
    run berth run --rm -v vol2:/plain seeded true
    [ "$status" = 125 ]
}

@test "anonymous volumes go with rm -v and --rm, named ones stay" {
    berth run --rm -v named:/n -v /anonymous volume sh -c 'touch /n/x /anonymous/x /v/x'
    [ "$(volumes)" = named ]
    one=$(berth create -v named:/n -v /anonymous volume true)
    [ "$(volumes | wc -l)" = 3 ]
    berth rm "$one"
    [ "$(volumes | wc -l)" = 3 ]
    two=$(berth create -v named:/n -v /anonymous volume true)
    [ "$(volumes | wc -l)" = 5 ]
    berth rm -v "$two"
    [ "$(volumes | wc -l)" = 3 ]
    volumes | grep -qx named
    [ -e "$BERTH_DATA/volumes/named/_data/x" ]
}

@test "VOLUME of the image: its own content, or the named volume that is given for it" {
    [ "$(berth run --rm volume cat /v/f)" = f ]
    berth run --rm -v mine:/v volume sh -c 'echo more > /v/g'
    [ "$(volumes)" = mine ]
    [ "$(berth run --rm -v mine:/v volume cat /v/f /v/g)" = fmore ]
    [ -z "$(berth run --rm --tmpfs /v volume ls /v)" ]
    [ "$(volumes)" = mine ]
}

@test "--volumes-from shares them, also read-only, and keeps an anonymous one alive" {
    berth create --name giver -v /shared volume true
    berth run --rm --volumes-from giver volume sh -c 'echo s > /shared/s; echo v > /v/new'
    [ "$(berth run --rm --volumes-from giver:ro volume cat /shared/s /v/f)" = "s"$'\n'"f" ]
    run -1 berth run --rm --volumes-from giver:ro volume sh -c "echo > /shared/t"
    berth create --name taker --volumes-from giver volume true
    berth rm -v giver
    berth run --rm --volumes-from taker volume cat /shared/s /v/new
    berth rm -v taker
    [ -z "$(volumes)" ]
}

@test "two containers that make one volume at once share it" {
    pids=()
    for i in 1 2 3 4; do
        berth run --rm -v same:/seed seeded sh -c "echo $i >> /seed/order; cat /seed/a" > "$BATS_TEST_TMPDIR/$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    for i in 1 2 3 4; do [ "$(cat "$BATS_TEST_TMPDIR/$i")" = a ]; done
    [ "$(wc -l < "$BERTH_DATA/volumes/same/_data/order")" = 4 ]
    [ -z "$(ls "$BERTH_DATA/staging")" ]
}

@test "inspect shows a volume, behind containers and images of its name" {
    berth run --rm -v mine:/v -v Other:/o volume true
    run -0 berth inspect --type volume mine
    [ "$(jq -c '.[0] | [.Name, .Mountpoint, .Driver, .Scope, .Labels, .Options]' <<< "$output")" = \
        "[\"mine\",\"$BERTH_DATA/volumes/mine/_data\",\"local\",\"local\",null,null]" ]
    [ "$(date -d "$(berth volume inspect -f '{{.CreatedAt}}' mine)" +%s)" -gt 0 ]
    [ "$(berth inspect -f '{{.Name}}' Other mine)" = $'Other\nmine' ]
    berth create --name mine volume true
    [ "$(berth inspect -f '{{.Name}}' mine)" = /mine ]
    berth rm mine
    for name in none ../volumes/mine; do
        run -1 berth inspect --type volume "$name"
        expect_text "No such volume: $name"
    done
    run -1 berth inspect --type network none
    expect_text "--type 'network': give container, image or volume, others are not there yet"
}

@test "volume create makes an empty one, with labels, that the first container fills" {
    [ "$(berth volume create --label stage=ci --label lonely mine)" = mine ]
    [ "$(berth volume inspect -f '{{json .Labels}} {{.Mountpoint}}' mine)" = \
        "{\"stage\":\"ci\",\"lonely\":\"\"} $BERTH_DATA/volumes/mine/_data" ]
    [ -z "$(ls -A "$BERTH_DATA/volumes/mine/_data")" ]
    nothing_left
    # One that is there stays as it is.
    run -0 --separate-stderr berth volume create mine
    [ "$output$stderr" = mine ]
    run -0 --separate-stderr berth volume create --driver local --label stage=live mine
    [ "$output" = mine ]
    [[ "$stderr" == *"volume 'mine' is there already: it keeps the labels it has"* ]]
    [ "$(berth volume inspect -f '{{.Labels.stage}}' mine)" = ci ]
    [ "$(berth run --rm -v mine:/v volume cat /v/f)" = f ]
    [ "$(berth volume inspect -f '{{.Labels.stage}}' mine)" = ci ]
    name=$(berth volume create)
    [[ "$name" =~ ^[0-9a-f]{64}$ ]]
    [ "$(volumes)" = "$(printf '%s\n' "$name" mine | sort)" ]
    run -1 berth volume create ../up
    expect_text "volume name '../up'"
    run -1 berth volume create --driver nfs other
    expect_text "--driver 'nfs': volumes are directories of this machine (local), others are not there yet"
    run -125 berth volume create --opt type=tmpfs other
    expect_text "option '--opt': a volume is a directory, without options"
    [ "$(volumes | wc -l)" = 2 ]
}

@test "a mount gives labels to the volume that is made for it, and to no other" {
    mount=source=vol,target=/seed,volume-label=stage=ci,volume-label=lonely
    [ "$(berth run --rm --mount "$mount" seeded cat /seed/a)" = a ]
    [ "$(berth volume inspect -f '{{json .Labels}}' vol)" = '{"stage":"ci","lonely":""}' ]
    [ "$(berth run --rm --mount source=vol,target=/seed,volume-label=stage=live seeded cat /seed/a)" = a ]
    [ "$(berth volume inspect -f '{{.Labels.stage}}' vol)" = ci ]
    # Also one without a name, and one that is made again as it is missing.
    berth create --name one --mount target=/v,volume-label=stage=new --mount source=other,target=/o,volume-label=a=b volume true > /dev/null
    anonymous=$(volumes | grep -E '^[0-9a-f]{64}$')
    [ "$(berth volume inspect -f '{{.Labels.stage}}' "$anonymous")" = new ]
    rm -r "$BERTH_DATA/volumes/other"
    berth start -a one
    [ "$(berth volume ls -q --filter label=a=b)" = other ]
    berth rm -v one
    nothing_left
}

@test "volume ls shows them, filtered by name, label and use" {
    [ "$(berth volume ls)" = "DRIVER    VOLUME NAME" ]
    berth volume create --label stage=ci shop-data
    berth volume create --label stage=live other
    berth create -v used:/u seeded true
    [ "$(berth volume ls --filter name=shop --filter name=used)" = \
        $'DRIVER    VOLUME NAME\nlocal     shop-data\nlocal     used' ]
    [ "$(berth volume list -q --filter dangling=true)" = $'other\nshop-data' ]
    [ "$(berth volume ls -q --filter dangling=false --filter name=used)" = used ]
    [ "$(berth volume ls -q --filter label=stage=ci --filter driver=local)" = shop-data ]
    [ "$(berth volume ls --filter label=stage --format '{{.Name}}:{{.Label "stage"}}')" = $'other:live\nshop-data:ci' ]
    [ "$(berth volume ls --filter name=shop --format json | jq -c .)" = \
        "{\"Driver\":\"local\",\"Labels\":\"stage=ci\",\"Mountpoint\":\"$BERTH_DATA/volumes/shop-data/_data\",\"Name\":\"shop-data\",\"Scope\":\"local\"}" ]
    run -1 berth volume ls --filter color=red
    expect_text "invalid filter 'color=red': give dangling=, driver=, label= or name="
    # What cannot be read is said, and the others are shown.
    echo '{' > "$BERTH_DATA/volumes/other/volume.json"
    run -0 --separate-stderr berth volume ls -q --filter label=stage
    [ "$output" = shop-data ]
    [[ "$stderr" == *"volume 'other': volumes/other/volume.json"* ]]
    run -0 berth volume prune -af --filter label=stage
    expect_text "volume 'other' stays: volume 'other'"
    [ "$(volumes)" = $'other\nused' ]
}

@test "volume rm removes what no container uses, and names who does" {
    berth volume create --label a=b mine
    berth create --name first -v mine:/v volume true
    berth create --name second -v mine:/v volume true
    run -1 berth volume rm -f mine
    expect_text "volume 'mine' is used by containers: "
    expect_text "first"
    expect_text "second"
    berth rm first second
    run -1 berth volume rm none mine ../volumes/x
    expect_text "No such volume: none"
    expect_text "No such volume: ../volumes/x"
    [ "${lines[1]}" = mine ]
    [ "$(volumes | grep -c mine)" = 0 ]
    nothing_left
    [ "$(berth volume rm -f none)" = none ]
    # Whose record cannot be read may use it.
    id=$(berth create volume true)
    berth volume create kept
    cp "$BERTH_DATA/containers/$id/container.json" "$BATS_TEST_TMPDIR/record"
    echo '{' > "$BERTH_DATA/containers/$id/container.json"
    run -1 berth volume rm kept
    expect_text "volume 'kept' is used by containers: ${id:0:12}"
    cp "$BATS_TEST_TMPDIR/record" "$BERTH_DATA/containers/$id/container.json"
    berth volume rm kept
}

@test "volume prune heeds labels, and system df agrees" {
    berth volume create --label stage=ci one
    berth volume create --label stage=live two
    berth volume create > /dev/null
    head -c 200000 /dev/urandom > "$BERTH_DATA/volumes/one/_data/x"
    [ "$(berth system df --format '{{.Type}} {{.TotalCount}} {{.Active}}' | grep Volumes)" = "Local Volumes 3 0" ]
    run -0 berth volume prune -f --filter label=stage
    [ "$output" = "Total reclaimed space: 0B" ]
    run -0 berth volume prune -af --filter label!=stage=live --filter label=stage
    [ "${lines[1]}" = one ]
    run -1 berth volume prune -af --filter until=1h
    expect_text "--filter until is not for volumes; give label= or label!="
    run -0 berth system prune -f --volumes --filter label=stage
    [ "$(volumes | wc -l)" = 2 ]
    run -0 berth system prune -f --volumes
    [ "$(volumes)" = two ]
}

@test "volumes that are made, used and removed at once are whole or away" {
    pids=()
    for i in 1 2 3 4 5 6; do
        (for k in 1 2 3 4; do berth volume create --label "by=$i" shared; done) > /dev/null 2>&1 &
        pids+=($!)
        (for k in 1 2 3 4; do berth volume rm shared || berth volume prune -af; done) > /dev/null 2>&1 &
        pids+=($!)
    done
    for i in 1 2 3; do
        berth run --rm -v shared:/seed seeded cat /seed/a > "$BATS_TEST_TMPDIR/$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || [ "$pid" != "${pids[-1]}" ]; done
    for i in 1 2 3; do [ "$(cat "$BATS_TEST_TMPDIR/$i")" = a ]; done
    nothing_left
    berth volume ls > /dev/null
}

@test "a volume create that is killed at any step leaves a whole volume or none" {
    for step in mkdirat renameat2 fdatasync; do
        for nth in 1 2 3; do
            strace -qqq -f -e trace="$step" -e signal=none -e inject="$step:signal=KILL:when=$nth" \
                berth volume create --label a=b mine > /dev/null 2>&1 || true
            run -0 --separate-stderr berth volume ls --format '{{.Name}} {{.Labels}}'
            [ -z "$output" ] || [ "$output" = "mine a=b" ]
            berth volume rm -f mine > /dev/null
        done
    done
    berth system prune -f > /dev/null
    nothing_left
}

@test "names of volumes are checked" {
    for name in ../up a/b .. 'sp ace'; do
        run -125 berth run --rm --mount "type=volume,source=$name,target=/v" volume true
    done
    [ -z "$(volumes)" ]
}
