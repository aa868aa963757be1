# Images as one EROFS file, the root of a microVM: berth-image flatten, and the store around it.

load helper

# A store of its own, which is empty after each test.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/erofs-data BERTH_RUN=$BERTH_TEST_DATA/erofs-run
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    mkdir -p "$BERTH_DATA" "$BERTH_RUN"
}

setup() { cd "$BATS_TEST_TMPDIR" || return; }

teardown() {
    for folder in mnt disk; do
        ! mountpoint -q $folder || umount -l $folder
    done
    remove_all
    wait_trash
    berth image prune -af > /dev/null
    left=$(cd "$BERTH_DATA" && find erofs layers staging trash locks -mindepth 1 -maxdepth 1 ! -path layers/.unsynced \
        ! -path locks/layers ! -path locks/images 2> /dev/null)
    [ -z "$left" ] || {
        echo "left in the store: $left"
        false
    }
}

needs_erofs() {
    modprobe -q erofs 2> /dev/null || true
    grep -qw erofs /proc/filesystems || skip "no EROFS in this kernel"
}

oci() { python3 -c "from oci_image import *; $1"; }

# flatten CONTAINER: the file made of its layers
flatten() {
    local layers
    mapfile -t layers < <(jq -r '.layers[] | split("/")[-2]' "$BERTH_DATA/containers/$(field "$1" .Id)/container.json")
    berth-image flatten -- "${layers[@]}"
}

tree() { python3 "$BATS_TEST_DIRNAME/tree_list.py" "$@"; }

odd_image() {
    oci "
import random
noise = random.Random(7).randbytes
caps = bytes.fromhex('0100000200040000' + '00' * 12).decode()
l = Layout()
l.image('odd:1', [busybox(),
    tar([directory('a/', mode=0o1777, uid=3, gid=70000, mtime=11), file('a/f', 'f', mode=0o6755, gid=4, pax={'mtime': '12.123456789'}),
         hard('a/h', 'a/f'), hard('a/i', 'a/f'), symlink('a/l', '../a/f', uid=4000000000, mtime=2**32 + 7), directory('b/'), file('b/1', '1'), file('b/2', '2'),
         directory('c/'), directory('c/d/'), file('c/d/e', 'e'), entry('n', 'char', device=(1, 5)), entry('q', 'fifo', mode=0o600),
         entry('blk', 'block', device=(259, 70000)), file('zero', b''), file('page', noise(4096)), file('page1', noise(4097)), file('big', noise(3000001)),
         symlink('long', 'x/' * 2040), file('caps', 'c', mode=0o755, pax={'SCHILY.xattr.security.capability': caps}),
         file('attributes', 'a', pax={'SCHILY.xattr.user.k%d' % i: 'v' * i for i in range(40)}), directory('dattr/', pax={'SCHILY.xattr.user.d': 'd'}),
         file('large_attribute', 'a', pax={'SCHILY.xattr.user.k': 'v' * 3000}), directory('empty/'), file('old', 'o', mtime=0),
         directory('many/')] + [file('many/%s%d' % ('n' * (i % 200), i), '') for i in range(3000)] +
        [directory('deep/' * i) for i in range(1, 40)] + [file('deep/' * 39 + 'f', 'f'), file('with space\n\x01', 'w')]),
    tar([directory('a/', mode=0o711, uid=6, mtime=13), file('a/g', 'g'), directory('b/'), file('b/.wh.1', ''), directory('c/'), file('c/.wh..wh..opq', ''),
         file('c/z', 'z'), file('n', 'n now'), file('.wh.q', '')]),
    tar([file('b/3', '3'), directory('a/', mode=0o755, mtime=14), file('.wh.n', ''), directory('n/'), file('n/n', 'n'), file('.wh.big', ''),
         directory('./', mode=0o751, uid=9, mtime=77)])])
l.write('odd.tar')"
    berth load -qi odd.tar > /dev/null
}

@test "the file's tree is the container's own: mode, owner, time, names, device, attributes, content" {
    needs_erofs
    odd_image
    berth run -d --name odd odd:1 sleep 100 > /dev/null
    file=$(flatten odd)
    [ $(($(stat -c %s "$file") % 16777216)) = 0 ]
    run -0 fsck.erofs "$file"
    mkdir mnt
    mount -t erofs -o ro "$file" mnt
    mounted="dev proc sys etc/hosts etc/hostname etc/resolv.conf etc"
    # shellcheck disable=SC2086
    tree mnt $mounted > found
    # shellcheck disable=SC2086
    tree "/proc/$(field odd .State.Pid)/root/" $mounted > expected
    [ "$(wc -l < found)" -gt 3070 ]
    sed -i '1s/ [0-9]* [0-9a-f]*$//' found expected
    diff expected found | cut -c 1-200 | head -20
    cmp -s expected found
    [ "$(find mnt -name q -o -name big -o -name 1 -o -name e)" = "" ]
    [ "$(stat -c %h mnt/deep)" = 3 ]
}

@test "the same layers give the same bytes, whenever and wherever they were unpacked" {
    odd_image
    berth create --name odd odd:1 > /dev/null
    file=$(flatten odd)
    sum=$(sha256sum < "$file")
    [ "$(flatten odd)" = "$file" ]
    berth rm odd > /dev/null
    berth rmi odd:1 > /dev/null
    [ ! -e "$file" ]
    odd_image
    berth create --name odd odd:1 > /dev/null
    again=$(flatten odd) # by another name: its layers were unpacked for their places once more
    [ "$(sha256sum < "$again")" = "$sum" ]
}

@test "random trees are what fsck.erofs and the kernel take, and are found again" {
    needs_erofs
    for seed in 1 2 3 4; do
        oci "
import random
r = random.Random($seed)
def name(): return ''.join(r.choice('abcdefghijklmnopqrstuvwxyz!-._~') for _ in range(r.choice([1, 3, 9, 60, 240]))).strip('.').replace('.wh.', 'w') or 'x'
def layer():
    folders, entries = [''], []
    for i in range(r.choice([5, 50, 600])):
        path = r.choice(folders) + '%d' % i + name()
        if len(path) > 900: continue
        common = dict(mtime=r.randrange(2**33), uid=r.randrange(2**32 - 1), gid=r.randrange(70000), mode=r.randrange(0o10000))
        if r.random() < 0.2: common['pax'] = {'SCHILY.xattr.user.' + name().replace('=', 'e'): 'v' * r.randrange(900)}
        kind = r.random()
        if kind < 0.2: entries.append(directory(path + '/', **common)); folders.append(path + '/')
        elif kind < 0.6: entries.append(file(path, r.randbytes(r.choice([0, 1, 4095, 4096, 4097, 70000, 300000])), **common))
        elif kind < 0.8: common.pop('pax', None); entries.append(symlink(path, name() * r.randrange(1, 16), **common))
        elif entries: entries.append(hard(path, r.choice([e for e in entries if e[0].isfile() or e[0].issym()] or [file('f')])[0].name)) if any(e[0].isfile() for e in entries) else None
    return tar([e for e in entries if e])
l = Layout(); l.image('random:$seed', [busybox()] + [layer() for _ in range(r.randrange(1, 5))]); l.write('random.tar')"
        berth load -qi random.tar > /dev/null
        berth create --name "random$seed" "random:$seed" > /dev/null
        file=$(flatten "random$seed")
        run -0 fsck.erofs "$file"
        mkdir -p mnt lower
        mount -t erofs -o ro "$file" mnt
        layers=$(jq -r '.layers | join(":")' "$BERTH_DATA/containers/$(field "random$seed" .Id)/container.json")
        unshare -m --propagation private sh -ec 'mount -t overlay -o "lowerdir=$1" overlay lower 2> /dev/null ||
            mount --bind "$1" lower; exec python3 "$2/tree_list.py" lower' - "$layers" "$BATS_TEST_DIRNAME" | tail -n +2 > expected
        tree mnt | tail -n +2 > found
        umount mnt
        [ -s found ]
        diff expected found | cut -c 1-200 | head -20
        cmp -s expected found
    done
}

@test "attributes of files beyond any use are not all taken into memory" {
    oci "l = Layout(); many = tar([file('f%d' % i, '', pax={'SCHILY.xattr.user.k': 'v' * 3900}) for i in range(17500)])
l.image('heavy:1', [busybox(), many], form='gzip'); l.write('heavy.tar')"
    berth load -qi heavy.tar > /dev/null
    berth create --name heavy heavy:1 > /dev/null
    run -1 flatten heavy
    expect_text "the image's files have more than 64 MiB of extended attributes"
}

@test "a file with holes takes no more than it has" {
    needs_erofs
    oci "l = Layout(); l.image('holes:1', [busybox()]); l.write('holes.tar')"
    berth load -qi holes.tar > /dev/null
    berth run --name writer holes:1 sh -c 'busybox truncate -s 200M /hole; echo end >> /hole'
    berth commit writer holes:2 > /dev/null
    berth create --name holes holes:2 > /dev/null
    file=$(flatten holes)
    layer=$(jq -r '.layers[0]' "$BERTH_DATA/containers/$(field holes .Id)/container.json")
    # How the layer came to have its blocks is not ours to say.
    [ "$(du -k "$file" | cut -f1)" -lt $(($(du -sk "$layer" | cut -f1) + 8000)) ]
    mkdir mnt
    mount -t erofs -o ro "$file" mnt
    cmp mnt/hole "$layer/hole"
}

@test "two at once do the work once" {
    odd_image
    berth create --name odd odd:1 > /dev/null
    jq -r '.layers[] | split("/")[-2]' "$BERTH_DATA"/containers/*/container.json > keys
    for i in 1 2; do
        # shellcheck disable=SC2046
        strace -qq -e trace=rename,renameat,renameat2 -o trace.$i berth-image flatten -- $(cat keys) > out.$i 3>&- &
        both="$both $!"
    done
    # shellcheck disable=SC2086
    wait $both
    [ "$(sort -u out.1 out.2 | wc -l)" = 1 ]
    [ "$(cat trace.* | grep -c '"root".*= 0')" = 1 ]
    [ -s "$(cat out.1)" ]
}

row() { berth system df --format '{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}' | sed -n "s/^MicroVM Roots|//p"; }

@test "it is counted, goes with the last of image and containers, and not before" {
    odd_image
    [ "$(row)" = "0|0|0B|0B" ]
    berth create --name odd odd:1 > /dev/null
    file=$(flatten odd)
    [[ "$(row)" =~ ^1\|1\|[0-9.]+MB\|0B ]]
    berth rmi -f odd:1 > /dev/null
    berth image prune -af > /dev/null
    [ -e "$file" ]
    berth rm odd > /dev/null
    berth image prune -af > /dev/null
    [ ! -e "$file" ]
    odd_image
    berth create --name odd odd:1 > /dev/null
    file=$(flatten odd)
    berth rm odd > /dev/null
    [[ "$(row)" =~ ^1\|0\|.*\(100%\)$ ]]
    berth image prune -f > /dev/null
    [ -e "$file" ]
    berth rmi odd:1 > /dev/null
    [ ! -e "$file" ]
}

@test "system check finds what is damaged, and with repair it goes" {
    odd_image
    berth create --name odd odd:1 > /dev/null
    file=$(flatten odd)
    sum=$(sha256sum < "$file")
    berth system check --deep
    printf x | dd of="$file" bs=1 seek=1300 conv=notrunc status=none
    run -1 berth system check
    expect_text "names or what it says of files"
    run -0 berth system check --repair
    expect_text "makes it anew"
    [ ! -e "$file" ]
    flatten odd > /dev/null
    [ "$(sha256sum < "$file")" = "$sum" ]
    blocks=$(od -An -tu4 -j1060 -N4 "$file") # the last one is a file's
    printf x | dd of="$file" bs=1 seek=$((blocks * 4096 - 4096)) conv=notrunc status=none
    berth system check > /dev/null
    run -1 berth system check --deep
    expect_text "has another content in it"
    truncate -s 4096 "$file"
    run -1 berth system check
    expect_text "another length"
    berth system check --repair > /dev/null
    berth system check --deep
}

@test "a full disk: one sentence, and nothing stays" {
    oci "
import random
l = Layout(); l.image('half:1', [busybox(), tar([file('noise', random.Random(3).randbytes(20000000))])]); l.write('half.tar')"
    export BERTH_DATA=$PWD/disk
    mkdir disk
    mount -t tmpfs -o size=64m tmpfs disk
    berth load -qi half.tar > /dev/null
    berth create --name half half:1 > /dev/null
    dd if=/dev/zero of=disk/filler bs=1M count=$(($(df --output=avail -m disk | tail -1) - 8)) status=none
    before=$(df --output=used -k disk | tail -1)
    run -1 --separate-stderr flatten half
    # shellcheck disable=SC2154
    [[ "$stderr" == *"No space left on device"* ]]
    [ "${#stderr_lines[@]}" = 1 ]
    [ "$(df --output=used -k disk | tail -1)" -le $((before + 40)) ]
    [ -z "$(ls disk/staging disk/erofs 2> /dev/null | grep -v :)" ]
    rm disk/filler
    [ -s "$(flatten half)" ]
    berth rm half > /dev/null
    berth rmi half:1 > /dev/null
    wait_trash
    umount disk
}
