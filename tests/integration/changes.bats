load helper

# What containers changed: diff, commit, export, cp. A store of its own for what commits make.
setup_file() {
    export BERTH_DATA=$BERTH_TEST_DATA/changes-data BERTH_RUN=$BERTH_TEST_DATA/changes-run
    mkdir -p "$BERTH_DATA/trash" "$BERTH_RUN"
    [ -z "${BERTH_ISOLATION:-}" ] || cp -a "$BERTH_TEST_DATA/data/kernels" "$BERTH_DATA"
    berth image make -q busybox > /dev/null
    berth ps -q
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    before=$(picture)
}

teardown() {
    remove_all
    # shellcheck disable=SC2046
    berth rmi -f $(berth images --no-trunc --format '{{.ID}} {{.Repository}}' | grep -v ' busybox$' | cut -d' ' -f1) \
        > /dev/null 2>&1 || true
    wait_trash # large images are deleted behind rmi
    expect_picture "$before"
}

# The files of a microVM are seen while it runs.
states=(running stopped)
[ -z "${BERTH_ISOLATION:-}" ] || states=(running)

# changed NAME IMAGE SCRIPT [OPTIONS]: a container in which the script has run; it has ended, where that may be.
changed() {
    berth run -d --name "$1" "$2" sh -c "$3; exec sleep 1000" > /dev/null
    wait_until 20 berth exec "$1" grep -q sleep /proc/1/comm
    [ ${#states[@]} = 1 ] || berth stop -t 0 "$1" > /dev/null
}

id_of() { berth image inspect --format '{{.Id}}' "$1"; }

# --- diff ---

@test "diff gives a terminal no control characters of names, and a program the names" {
    changed cc busybox 'touch "$(printf "/a\033]0;x\007\302\233b")"'
    run -0 script -qec "berth diff cc" /dev/null
    expect_text 'A /a\x1b]0;x\x07\u009bb'
    [[ "$output" != *$'\033'* ]]
    run -0 berth diff cc
    expect_text $'A /a\033]0;x\007\302\233b'
}

@test "diff tells what was added, changed and deleted, and nothing of the runtime's own" {
    changed cc busybox 'echo x > /new; mkdir -p /d/e; rm /bin/cat; chmod 600 /etc/passwd
        rm -r /usr/bin; mkdir /usr/bin; ln -s x /usr/bin/y; touch /usr-x'
    run -0 berth diff cc
    [ "$output" = "C /bin
D /bin/cat
A /d
A /d/e
C /etc
C /etc/passwd
A /new
C /usr
A /usr-x
C /usr/bin
D /usr/bin/env
A /usr/bin/y" ]
    changed none busybox true
    run -0 berth diff none
    [ "$output" = "" ]
}

@test "diff of a running container with a user namespace, volumes and tmpfs" {
    berth run -d --userns auto --name uu -v /vol --tmpfs /tmpfs busybox sh -c 'echo > /new; echo > /vol/x; echo > /tmpfs/x; rm /bin/ls; sleep 1000'
    wait_until 30 berth exec uu test ! -e /bin/ls
    run -0 berth diff uu
    [ "$output" = "C /bin
D /bin/ls
A /new
A /tmpfs
A /vol" ]
}

@test "diff of a container that is not there says so" {
    run -1 berth diff nowhere
    expect_text "No such container: nowhere"
}

# --- commit ---

# What a program in a container sees of all files but those whose times mounting changes.
listing='cd /; find . -xdev ! -path . ! -path ./etc ! -path "./etc/[hr]*" ! -path "./[dps][ery][vos]*" | sort | while read -r f; do
    stat -c "%n %f %u %g %h %Y %t %T $([ -d "$f" ] || stat -c %s "$f")" "$f"; [ ! -L "$f" ] || readlink "$f"
    [ ! -f "$f" ] || md5sum < "$f"; done'

# A microVM's image is one file system, which counts the links of directories, and no hidden ones.
[ ${#states[@]} = 2 ] || listing=${listing/ %h/}

# Changes of every kind.
changes='echo x > /new; ln /new /also; ln -s /nowhere /link; mkfifo -m 620 /fifo; mknod /null c 1 3; mknod /block b 7 5
    mkdir -p /deep/er; touch -d @1000 /deep/er; rm /bin/cat; rm -r /usr/bin; mkdir -m 1777 /usr/bin; echo y > /usr/bin/z
    rm -r /home; echo file > /home; rm /etc/os-release; mkdir /etc/os-release; cp /bin/busybox /bin/own; chmod 6755 /bin/own
    chown 12:34 /new; n=$(printf "%0150d" 1); mkdir -p /$n/$n; touch "/$n/$n/a b" "/$n/$n/$(printf "\303\244\377")"'

@test "an image of a container's changes shows what the container shows" {
    berth run -d --name cc busybox sh -c "$changes; exec sleep 1000"
    wait_until 20 berth exec cc grep -q sleep /proc/1/comm
    berth exec cc sh -c "$listing" > container
    run -0 berth commit cc mine:1
    [ "$output" = "$(id_of mine:1)" ]
    berth run --rm mine:1 sh -c "$listing" > image
    diff container image
    [ "$(grep -c . image)" -gt 300 ]
    [ "$(field cc .State.Status)" = running ]
    run -0 berth diff cc
    expect_text "D /bin/cat"
    # Its files were made beside its tar: unpacking the tar makes the same.
    berth system check --deep
}

@test "ids, capabilities and attributes of a container with a user namespace are the image's own" {
    berth run -d --userns auto --name uu -v "$(realpath "$(command -v setpriv)")":/setpriv busybox sh -c \
        'echo x > /f; chown 7:8 /f; rm -r /home; mkdir /home; chown 9 /home; exec sleep 1000'
    wait_until 30 berth exec uu grep -q sleep /proc/1/comm
    upper=$(echo "$BERTH_DATA"/containers/*/upper)
    base=$(stat -c %u "$upper")
    python3 - "$upper/f" "$base" << 'PY'
import os, struct, sys
path, base = sys.argv[1], int(sys.argv[2])
os.setxattr(path, "user.kept", b"1")
os.setxattr(path, "security.capability", struct.pack("<IIIIII", 0x03000001, 1 << 10, 0, 0, 0, base))
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in
    [(1, 6, 2**32 - 1), (2, 4, base + 5), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 4, 2**32 - 1)])
os.setxattr(path, "system.posix_acl_access", acl)
PY
    berth commit uu users > /dev/null
    layer=$(ls -td "$BERTH_DATA"/layers/*/ | head -1)
    run -0 python3 - "$layer/fs" << 'PY'
import os, struct, sys
f, home = os.stat(sys.argv[1] + "/f"), os.stat(sys.argv[1] + "/home")
print(f.st_uid, f.st_gid, home.st_uid)
x = lambda name: os.getxattr(sys.argv[1] + "/f", name)
print(sorted(os.listxattr(sys.argv[1] + "/f")))
print(struct.unpack("<IIIII", x("security.capability")), struct.unpack("<HHI", x("system.posix_acl_access")[12:20]))
PY
    echo "$output"
    [ "$output" = "7 8 9
['security.capability', 'system.posix_acl_access', 'user.kept']
(33554433, 1024, 0, 0, 0) (2, 4, 5)" ]
    berth system check --deep
}

@test "commit takes the container's settings, --change, --author and --message" {
    berth create --name cc -e A=1 -u 5 -w /tmp -l own=label --entrypoint /bin/echo busybox hello
    berth commit -a me -m why -c 'ENV B=2' -c 'EXPOSE 80' cc mine > /dev/null
    run -0 berth image inspect -f '{{.Author}} {{.Comment}} {{json .Config.Env}} {{.Config.User}} {{.Config.WorkingDir}} {{json .Config.Labels}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.ExposedPorts}}' mine
    [ "$output" = 'me why ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=1","B=2"] 5 /tmp {"own":"label"} ["/bin/echo"] ["hello"] {"80/tcp":{}}' ]
    [ "$(berth run --rm mine)" = hello ]
    run -1 berth commit -c 'RUN true' cc
    expect_text "commit: --change 'RUN true': 'RUN' is no instruction"
    run -1 berth commit cc Mine
    expect_text "commit: image name 'Mine'"
    run -1 berth commit nowhere
    expect_text "commit: No such container: nowhere"
}

@test "with SOURCE_DATE_EPOCH two commits of the same changes are the same image" {
    echo 3 1 2 > one
    echo 1 2 3 > two
    for name in one two; do
        changed $name busybox 'mkdir /d; for i in $(cat /order); do echo $i > /d/$i; done' -v "$PWD/$name:/order:ro"
        [ $name = two ] || sleep 1 # so that the times differ
    done
    export SOURCE_DATE_EPOCH=1000000
    [ "$(berth commit -c 'CMD x' one)" = "$(berth commit -c 'CMD x' two)" ]
    [ "$(berth image inspect -f '{{.Created}}' "$(berth commit one)")" = 1970-01-12T13:46:40Z ]
}

@test "a commit pauses its container, which goes on also when the commit is killed" {
    # A commit that cannot end before it is killed: of nearly as much as a layer may have.
    berth run -d --name cc busybox sh -c 'truncate -s 9G /big; exec sleep 1000'
    wait_until 20 berth exec cc grep -q sleep /proc/1/comm
    berth commit cc > /dev/null &
    wait_until 30 eval '[ "$(field cc .State.Status)" = paused ]'
    kill -KILL $!
    wait_until 30 eval '[ "$(field cc .State.Status)" = running ]'
    berth exec cc rm /big
    berth commit --pause=false cc > /dev/null &
    for _ in 1 2 3 4 5; do [ "$(field cc .State.Status)" = running ]; done
    wait $!
    # One that a person paused stays so.
    berth pause cc
    berth commit cc > /dev/null
    [ "$(field cc .State.Status)" = paused ]
    berth unpause cc
}

@test "a commit of a commit, and what cannot be a layer" {
    changed one busybox 'echo 1 > /f; echo > /.wh.odd; rm -r /var'
    run -0 berth commit one first
    expect_text "'/.wh.odd' has a name that means something else in a layer, and is left out"
    changed two first 'echo 2 >> /f; mkdir /var'
    berth commit two second > /dev/null
    [ "$(berth run --rm second sh -c 'cat /f; ls /var')" = $'1\n2' ]
    berth rmi -f first > /dev/null
    [ "$(berth run --rm second cat /f)" = $'1\n2' ]
}

@test "a container whose image was removed cannot be committed, and the error says why" {
    berth run --name one busybox true
    berth commit one gone > /dev/null
    berth create --name two gone true
    berth rmi -f gone > /dev/null
    run -1 berth commit two
    expect_text "its image 'gone' was removed, and with it the layers below; load it again"
}

# --- export ---

@test "export writes the whole root, the same bytes running and stopped, to a file or a pipe" {
    berth run -d --name cc -v /vol --tmpfs /tmpfs busybox sh -c "echo x > /vol/hidden; echo x > /tmpfs/hidden; $changes; exec sleep 1000"
    wait_until 20 berth exec cc grep -q sleep /proc/1/comm
    # Of link counts an overlay shows what is hidden as well.
    berth exec cc sh -c "${listing/ %h/}" | grep -a -v -e '^./vol' -e '^./tmpfs' > container
    berth export -o running.tar cc
    [ ${#states[@]} = 1 ] || berth stop -t 0 cc > /dev/null
    berth export cc | cmp - running.tar
    berth export -o /dev/stdout cc | cmp - running.tar
    run -0 bash -c 'berth export cc > stopped.tar; cmp stopped.tar running.tar'
    tar -tf running.tar > names
    [ "$(sort names | uniq -d)" = "" ]
    run -0 tar --warning=no-unknown-keyword -tvf running.tar --numeric-owner ./ bin/busybox bin/sh vol tmpfs dev also new link fifo null block deep/er home bin/own
    expect_text "bin/sh link to bin/["
    expect_text "new link to also"
    expect_text "-rwsr-sr-x 0/0"
    [[ $output =~ crw-r--r--\ 0/0\ +1,3 ]]
    run -1 grep -e hidden -e '^bin/cat' -e '\.wh\.' names
    # Other tools read it.
    mkdir root
    tar --warning=no-unknown-keyword -C root -xpf running.tar
    [ "$(readlink root/link)" = /nowhere ]
    [ "$(stat -c %h root/new)" = 2 ]
    berth import running.tar flat > /dev/null
    berth run --rm flat sh -c "${listing/ %h/}" | grep -a -v -e '^./vol' -e '^./tmpfs' > flat
    diff --text flat container > difference || {
        head difference
        false
    }
}

@test "export of a container with a user namespace has the container's ids" {
    berth run -d --userns auto --name uu busybox sh -c 'echo x > /f; chown 7:8 /f; exec sleep 1000'
    wait_until 30 berth exec uu grep -q sleep /proc/1/comm
    run -0 bash -c 'berth export uu > running.tar; tar -tvf running.tar --numeric-owner f bin/busybox var/spool/mail'
    expect_text " 7/8 "
    expect_text " 8/8 "
    run -1 grep -E '[0-9]{6}/' <<< "$output"
    berth stop -t 0 uu > /dev/null
    berth export uu | cmp - running.tar
}

@test "an export that fails leaves no file, and what was there before" {
    berth create --name cc busybox true
    echo before > out.tar
    run -1 berth export -o missing/out.tar cc
    expect_text "export: create 'missing/out.tar"
    run -1 bash -c 'ulimit -f 100; berth export -o out.tar cc'
    [ "$(cat out.tar)" = before ]
    [ "$(ls)" = out.tar ]
    run -1 berth export nowhere
    expect_text "export: No such container: nowhere"
}

# --- save, history ---

# Names, kinds, modes, owners, links, times and targets below a directory.
tree() { (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U %G %n %T@ %s %l\n' | sed 's/\(.* d .*\) [0-9]* $/\1/' | sort); }

@test "an archive is the same bytes each time, in another store too, and keeps all digests" {
    berth run --name one busybox sh -c "$changes"
    berth commit one mine:1 > /dev/null
    berth tag mine:1 mine:again
    berth save -o first.tar busybox mine:1 mine:again
    berth save mine:again mine:1 busybox | cmp - first.tar
    berth images --no-trunc --digests --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Digest}}' | sort > before
    other() { BERTH_DATA=$PWD/other BERTH_RUN=$PWD/other-run "$@"; }
    run -0 other berth load -q -i first.tar
    [ "$(sort <<< "$output")" = "$(printf 'Loaded image: %s\n' busybox:latest mine:1 mine:again)" ]
    other berth images --no-trunc --digests --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Digest}}' | sort | diff before -
    other berth save mine:1 busybox mine:again | cmp - first.tar
    for format in oci docker; do
        other berth save --format $format "$(other berth images -q mine:1)" > $format.tar
        run -0 other berth load -q -i $format.tar
        expect_text "Loaded image ID: $(other id_of mine:1)"
    done
}

@test "podman, skopeo and umoci read archives, and unpack the same trees" {
    command -v podman > /dev/null || skip "podman is not installed"
    command -v umoci > /dev/null || skip "umoci is not installed"
    podman() { command podman --root "$PWD/store" --runroot "$PWD/storerun" --storage-driver vfs "$@"; }
    berth run --name one busybox sh -c "$changes"
    berth commit one mine:1 > /dev/null
    berth create --name two mine:1 true
    mkdir ours
    berth export two | tar --warning=no-unknown-keyword -C ours -xpf -
    # Links within one layer only: podman's vfs copies.
    tree ours | sed 's/ [0-9]* \([0-9.]* [0-9]*\)/ \1/' > ours.tree
    for format in docker oci; do
        berth save --format $format -o $format.tar mine:1
        run -0 podman load -q -i $format.tar
        expect_text "Loaded image: docker.io/library/mine:1"
        [ "sha256:$(podman inspect --format '{{.Id}}' mine:1)" = "$(id_of mine:1)" ]
        theirs=$(podman image mount mine:1)
        tree "$theirs" | sed 's/ [0-9]* \([0-9.]* [0-9]*\)/ \1/' > theirs.tree
        podman image unmount -a > /dev/null
        diff --text ours.tree theirs.tree > difference || {
            head -20 difference
            false
        }
        podman rmi -af > /dev/null
    done
    [ "$(skopeo inspect --format '{{.Digest}}' oci-archive:oci.tar)" = "$(berth images --digests --format '{{.Digest}}' mine:1)" ]
    # A reader that knows gzip only, as older Docker and containerd.
    skopeo copy -q oci-archive:oci.tar oci:layout:mine
    umoci unpack --image layout:mine bundle 2> /dev/null
    diff --text ours.tree <(tree bundle/rootfs | sed 's/ [0-9]* \([0-9.]* [0-9]*\)/ \1/')
    skopeo copy -q docker-archive:docker.tar:mine:1 dir:copy
    skopeo copy -q oci-archive:oci.tar oci-archive:again.tar:localhost/mine:2
    run -0 berth load -q -i again.tar
    [ "$(berth run --rm localhost/mine:2 sh -c 'read x < /usr/bin/z; echo $x')" = y ]
}

@test "save verifies what it writes, and names what is wrong" {
    berth run --name one busybox sh -c 'echo x > /f'
    berth commit one mine:1 > /dev/null
    run -1 berth save nowhere
    expect_text "save: No such image: nowhere"
    run -1 berth save --format tar mine:1
    expect_text "save: --format 'tar': give docker or oci"
    blob=$(berth save mine:1 | tar -xO manifest.json | jq -r '.[0].Layers[1]')
    cp "$BERTH_DATA/$blob" kept
    truncate -s -1 "$BERTH_DATA/$blob"
    printf x >> "$BERTH_DATA/$blob"
    echo before > out.tar
    run -1 berth save -o out.tar mine:1
    expect_text "is damaged"
    [ "$(cat out.tar)" = before ]
    cp kept "$BERTH_DATA/$blob"
    berth save -o out.tar mine:1
    [ "$(ls)" = $'kept\nout.tar' ]
}

@test "history shows each layer with what made it, newest first" {
    berth run --name one busybox sh -c 'head -c 5000 /dev/zero > /f'
    berth commit -m 'a file' one mine:1 > /dev/null
    run -0 berth history mine:1
    [[ "${lines[0]}" =~ ^IMAGE\ +CREATED\ +CREATED\ BY\ +SIZE\ +COMMENT$ ]]
    [[ "${lines[1]}" =~ ^[0-9a-f]{12}\ .*ago\ +sh\ -c\ head\ -c\ 5000\ /dev/zero\ \>\ /f\ +5kB\ +a\ file$ ]]
    [[ "${lines[2]}" =~ ^\<missing\>\ .*berth\ image\ make\ busybox ]]
    [ ${#lines[@]} = 3 ]
    [ "$(berth history -q --no-trunc mine:1)" = "$(id_of mine:1)"$'\n<missing>' ]
    [ "$(berth history -H=false --format '{{.Size}}' mine:1 | head -1)" = 5000 ]
    berth commit -m $'a\t\e]0;title\a' one mine:2 > /dev/null
    run -0 berth history mine:2
    [[ "${lines[1]}" =~ 'a \x1b]0;title\x07'$ ]]
    run -1 berth history nowhere
    expect_text "No such image: nowhere"
}

# --- cp ---

@test "cp follows docker's rules for paths, into and out of running and stopped containers" {
    mkdir -p d/sub
    echo f > d/f
    echo s > d/sub/s
    ln -s f d/l
    echo t > t
    berth run -d --name running -v vol:/vol --tmpfs /tmpfs busybox sleep 1000
    berth run --name stopped -v vol2:/vol busybox true
    for name in "${states[@]}"; do
        berth cp t $name:/new-name
        berth cp t $name:/etc
        berth cp d $name:/copy                  # a new name
        berth cp d $name:/copy                  # now it is there: into it
        berth cp d/. $name:/copy/contents       # a new name
        berth cp d/. $name:/copy/contents       # over it
        berth cp t $name:vol/
        berth cp $name:/copy out-$name
        run -0 find out-$name -printf '%P %y %U %l\n'
        [ "$(sort <<< "$output" | tr -s ' \n' ' ')" = " d 0 contents d 0 contents/f f 0 contents/l l 0 f contents/sub d 0 contents/sub/s f 0 d d 0 d/f f 0 d/l l 0 f d/sub d 0 d/sub/s f 0 f f 0 l l 0 f sub d 0 sub/s f 0 " ]
        mkdir into-$name
        berth cp $name:/copy/d into-$name
        berth cp $name:/copy/d/. into-$name
        berth cp $name:/copy/l into-$name
        berth cp -L $name:/copy/l into-$name/followed
        [ "$(cd into-$name && find . | sort | tr '\n' ' ')" = ". ./d ./d/f ./d/l ./d/sub ./d/sub/s ./f ./followed ./l ./sub ./sub/s " ]
        [ "$(readlink into-$name/l) $(cat into-$name/followed)" = "f f" ]
        run -1 berth cp d $name:/new-name
        expect_text "cp: a directory cannot be copied over the file '/new-name'"
        run -1 berth cp t $name:/none/
        expect_text "cp: there is no directory '/none/'; without the slash it is a file's new name"
        run -1 berth cp t $name:/none/x
        expect_text "cp: open the directory '/none/': No such file or directory"
        run -1 berth cp t $name:/new-name/
        expect_text "cp: '/new-name/' is no directory"
        run -1 berth cp none $name:/
        expect_text "cp: there is no 'none' on the host"
        run -1 berth cp $name:/none .
        expect_text "cp: there is no '/none' in the container"
    done
    [ "$(cat "$BERTH_DATA"/volumes/vol*/_data/t | wc -l)" = ${#states[@]} ]
    berth cp t running:/tmpfs/t
    [ "$(berth exec running cat /tmpfs/t /copy/contents/sub/s)" = $'t\ns' ]
    berth cp running:/tmpfs/t - | tar -xO | grep -q t
    run -1 berth cp running:/a stopped:/b
    expect_text "copying between containers is not supported"
    run -1 berth cp t t
    expect_text "SOURCE or TARGET has to be in a container"
    berth rm -f running stopped > /dev/null
    rm -r "$BERTH_DATA/volumes/vol" "$BERTH_DATA/volumes/vol2"
}

@test "cp as a tar, with owners or without, and with a user namespace" {
    echo x > own
    chown 5:6 own
    chmod 6755 own
    mkfifo pipe
    mknod null c 1 3
    tar -c own pipe null > in.tar
    for options in "" "--userns auto"; do
        [ -z "$options" ] || [ -z "${BERTH_ISOLATION:-}" ] || continue
        # shellcheck disable=SC2086
        berth run -d --name cc $options busybox sleep 1000
        for _ in "${states[@]}"; do
            berth cp own cc:/plain
            berth cp -a own cc:/kept
            berth cp - cc:/tmp < in.tar
            berth cp cc:/plain - | tar -tv --numeric-owner > plain
            berth cp cc:/tmp/. - | tar -tv --numeric-owner > tmp
            grep -q -- '-rwsr-sr-x 0/0 .* plain' plain
            grep -q -- '-rwsr-sr-x 5/6 .* ./own' tmp
            grep -q -- 'prw-r--r-- 0/0 .* ./pipe' tmp
            [ -n "$options" ] || grep -q -- 'crw-r--r-- 0/0 .*1,3 .* ./null' tmp
            rm -rf out out-a
            run -0 berth cp cc:/kept out
            [ "$(stat -c '%a %u %g' out)" = "755 0 0" ]
            berth cp -a cc:/kept out-a
            [ "$(stat -c '%a %u %g' out-a)" = "6755 5 6" ]
            berth stop -t 0 cc > /dev/null
        done
        berth rm cc > /dev/null
        tar -c own pipe > in.tar # no device can be made in a user namespace
    done
}

# What is in a directory, as far as a tar tells of it; of holes, whether there are any.
tree_of() {
    python3 - "$1" << 'PY'
import hashlib, os, sys
top, links = os.fsencode(sys.argv[1]), {}
for at, folders, files in os.walk(top):
    folders.sort()
    for name in sorted(folders + files):
        path = os.path.join(at, name)
        s = os.lstat(path)
        row = [path[len(top):], oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns]
        if os.path.islink(path):
            row.append(os.readlink(path))
        elif os.path.isfile(path):
            row += [s.st_size, s.st_blocks * 512 < s.st_size, links.setdefault(s.st_ino, path[len(top):]),
                hashlib.sha256(open(path, "rb").read()).hexdigest(),
                [(x, os.getxattr(path, x)) for x in sorted(os.listxattr(path))]]
        print(row)
PY
}

@test "what a tar says arrives: owners, times, holes, attributes, links and names of each format" {
    long=$(printf 'n%.0s' {1..120})
    mkdir -p in/d "in/$long/$long" got
    echo text > in/f
    chown 3000000:4 in/f
    chmod 4711 in/f
    ln in/f in/d/hard
    ln -s "../$long/f" in/symbolic
    mkfifo in/fifo
    touch "in/$long/$long/f" $'in/\303\244' $'in/latin-\344'
    truncate -s 3M in/hole
    truncate -s 100K in/end
    echo end >> in/end
    head -c 3000000 /dev/urandom > in/large
    touch -d '1969-12-31 23:59:58 UTC' in/old
    # What files cannot have here they have not there either.
    python3 -c 'import os; os.setxattr("in/f", "user.bytes", bytes(range(256)) + b"=\n")' || true
    touch -h -d '2001-02-03 04:05:06.123456789' in/* in/d
    touch -d '2031-02-03 04:05:06.000000001' in/d
    berth run -d --name cc -v "$PWD/got:/v" busybox sleep 1000
    for options in "--format=pax --xattrs" "--format=pax --sparse" "--format=pax --sparse --sparse-version=0.1" \
        "--format=gnu --sparse" "--format=gnu" "--format=oldgnu --sparse"; do
        for state in "${states[@]}"; do
            [ "$state" = running ] || berth stop -t 0 cc > /dev/null
            rm -rf reference got/*
            mkdir reference
            # shellcheck disable=SC2086
            tar -C in $options -cf in.tar .
            tar -C reference --xattrs -xpf in.tar
            berth cp - cc:/v < in.tar
            diff <(tree_of reference) <(tree_of got)
            [ "$(tree_of got | wc -l)" = 14 ]
            [[ "$options" != *sparse* ]] || tree_of got | grep -q "/hole.* 3145728, True"
        done
        [ ${#states[@]} = 1 ] || berth start cc > /dev/null
    done
}

@test "a tar that is none, is damaged, compressed, cut or hostile: one sentence, and nothing outside" {
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    mkdir in host
    head -c 3000000 /dev/urandom > in/large
    tar -cf in.tar in
    gzip -k in.tar
    berth run -d --name cc -v "$PWD/host:/v" busybox sleep 1000
    # refused TEXT: a tar that comes in, in each state
    refused() {
        for state in "${states[@]}"; do
            [ "$state" = running ] || berth stop -t 0 cc > /dev/null
            run -1 --separate-stderr berth cp - cc:/v < given
            [ "${stderr_lines[*]}" = "berth: cp: $1" ] || { echo "${stderr_lines[*]}"; false; }
        done
        [ ${#states[@]} = 1 ] || berth start cc > /dev/null
    }
    berth cp - cc:/v < /dev/null
    head -c 10240 /dev/zero | berth cp - cc:/v
    [ -z "$(ls host)" ]
    echo "no tar" > given
    refused "not a good tar archive: Unrecognized archive format"
    mv in.tar.gz given
    refused "not a good tar archive: Unrecognized archive format"
    head -c 1000000 in.tar > given
    refused "'in/large': not a good tar archive: Truncated tar archive"
    (head -c 3001344 in.tar; head -c 2000 /dev/urandom) > given
    refused "not a good tar archive: Damaged tar archive"
    rm -r host/in
    hostile() { python3 -c "from oci_image import *; open('given', 'wb').write(tar([$1]))"; }
    hostile "file('../out')"
    refused "'../out': leads outside of the layer"
    hostile "hard('name', '../../etc/passwd')"
    refused "'name': leads outside of the layer"
    hostile "file('huge', 'xy', pax={'GNU.sparse.map': '0,1,5,1', 'GNU.sparse.size': '3'})"
    refused "'huge': its content is not as long as it says"
    hostile "file('x', pax={'uid': '4294967295'})"
    refused "'x': its owner 4294967295:0 is out of range"
    [ -z "$(ls -A host)" ]
    # What comes from another volume of a tar has no kind of its own.
    hostile "(lambda e: (setattr(e[0], 'type', b'M'), e)[1])(file('part\\x1b', '')), file('whole')"
    run -0 --separate-stderr berth cp - cc:/v < given
    [ "${stderr_lines[*]}" = "berth: warning: '/part\\x1b' is of a kind that cannot be made, and is left out" ] || { echo "${stderr_lines[*]}"; false; }
    [ "$(ls -A host)" = whole ]
    # Links lead within the container's root.
    hostile "symlink('up', '$PWD'), file('up/out')"
    berth cp - cc:/v < given
    [ "$(readlink host/up)" = "$PWD" ]
    [ ! -e out ]
}

# copying: begins a copy of a tar whose end does not come, and waits until some of it has arrived.
# Sets $copy, its $child and the $writer; what the copy says is in the file said.
copying() {
    rm -rf pipe host/*
    mkfifo pipe
    berth cp - cc:/v < pipe > said 2>&1 3>&- &
    copy=$!
    (head -c 2000000 in.tar; exec sleep 1000) > pipe 3>&- &
    writer=$!
    wait_until 30 eval '[ -n "$(find host -name large -size +500k)" ]'
    child=$(pgrep -P $copy -f "^$BERTH_BUILD/berth-unpack tar")
}

@test "berth-unpack, which parses the tar of a copy, has no rights: nobody's, without files, in a filter" {
    [ "$(id -u)" = 0 ] || skip "only root has rights to give up"
    mkdir in host
    head -c 3000000 /dev/urandom > in/large
    tar -cf in.tar in
    berth run -d --name cc -v "$PWD/host:/v" busybox sleep 1000
    copying 5< in.tar
    expect_no_rights "$child" berth-unpack
    # Two pipes.
    [[ "$(readlink "/proc/$child/fd/0") $(readlink "/proc/$child/fd/1")" == */pipe" pipe:"* ]]
    kill $writer
    ! wait $copy || false
    [ "$(cat said)" = "berth: cp: 'in/large': not a good tar archive: Truncated tar archive" ]
    [ ! -d "/proc/$child" ]
    # Nobody else reads a byte of the tar.
    mv in.tar traced.tar
    run -0 strace -ff -yy -qq -o trace -s 0 -e trace=read,readv,pread64,mmap,sendfile,splice,copy_file_range,execve berth cp - cc:/v < traced.tar
    child=$(grep -l 'execve.*/berth-unpack"' trace.*)
    [ "$(grep -l "/traced.tar>" trace.*)" = "$child" ]
    cmp in/large host/in/large
}

@test "SIGKILL of the process that parses the tar of a copy, or of the copy above it: nothing stays of either" {
    mkdir in host
    head -c 3000000 /dev/urandom > in/large
    tar -cf in.tar in
    berth run -d --name cc -v "$PWD/host:/v" busybox sleep 1000
    for victim in child copy; do
        copying
        kill -9 "${!victim}"
        wait $copy || true
        wait_until 30 eval '! pgrep -r S,R,D -f "^$BERTH_BUILD/berth-unpack"'
        wait_until 30 eval '! pgrep -r S,R,D -f "cp - cc:/v"'
        [ $victim != child ] || [ "$(cat said)" = "berth: cp: berth-unpack ended early, with status 137" ]
        kill $writer
        wait $writer 2> /dev/null || true
        berth cp - cc:/v < in.tar
        cmp in/large host/in/large
    done
}

@test "a container that swaps directories with links leads no copy out of it" {
    mkdir outside d
    # No word that a program has in it, of which a copy of the whole root is full.
    secret=secret-$RANDOM-$RANDOM
    echo $secret > outside/f
    echo copied > d/f
    # At the place of the swapped directory the container's root and the host's have a file f.
    berth run -d --name cc busybox sh -c "mkdir -p /a/real /other; echo inside > /a/real/f; echo inside > /f
        ln -s ../../../../../../../..$PWD/outside /a/link; ln -s / /a/root
        while :; do mv /a/real /a/x; mv /a/link /a/real; mv /a/real /a/link; mv /a/root /a/real; mv /a/real /a/root; mv /a/x /a/real; done"
    wait_until 30 berth exec cc test -e /a/root -o -e /a/x
    copied=0
    for _ in $(seq 40); do
        berth cp d/f cc:/a/real/f 2> /dev/null && copied=$((copied + 1))
        berth cp d/. cc:/a/real 2> /dev/null && copied=$((copied + 1))
        rm -rf got
        if berth cp cc:/a/real/f got 2> /dev/null; then
            copied=$((copied + 1))
            grep -q -e inside -e copied got
        fi
        rm -rf got
        berth cp -L cc:/a/real got 2> /dev/null || true
        ! grep -r -q "$secret" got 2> /dev/null || false
        [ "$(cat outside/f)" = "$secret" ]
        [ "$(ls outside)" = f ]
    done
    [ $copied -gt 5 ]
}

@test "cp respects what is read-only" {
    echo t > t
    mkdir host
    berth run -d --name cc --read-only -v "$PWD/host:/ro:ro" -v "$PWD/host:/rw" busybox sleep 1000
    for _ in "${states[@]}"; do
        run -1 berth cp t cc:/t
        expect_text "Read-only file system"
        run -1 berth cp t cc:/ro/t
        expect_text "Read-only file system"
        berth cp t cc:/rw/t
        [ "$(cat host/t)" = t ]
        rm host/t
        berth stop -t 0 cc > /dev/null
    done
}
