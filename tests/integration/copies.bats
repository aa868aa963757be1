load helper

# Containers on a file system that takes no overlay, as an overlay itself: each gets a copy of its
# image where fuse-overlayfs cannot be used either. Everything else works as ever.

setup() {
    needs_root "an overlay is mounted"
    cd "$BATS_TEST_TMPDIR" || return
    mkdir lower upper work place
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work place
    export PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1
    ordinary=$BERTH_DATA
    export BERTH_DATA=$PWD/place/data BERTH_RUN=$PWD/run BERTH_STORAGE_DRIVER=copies
}

teardown() {
    ! mountpoint -q place || remove_all
    ! mountpoint -q place || umount place
}

@test "where no overlay can be mounted, containers get copies, and info says why" {
    # shellcheck disable=SC2016 # the inner shell's arguments
    run -0 unshare -m env -u BERTH_STORAGE_DRIVER sh -c 'mount --bind /etc/passwd /usr/bin/fuse-overlayfs && berth info'
    expect_text "Storage Driver: copies"
    expect_text "as no overlay can be used: mount one above files of '$BERTH_DATA'"
    expect_text "; fuse-overlayfs is not installed"
    [ "$(berth info --format '{{.Driver}}')" = copies ]
    berth --data "$ordinary" save -o busybox.tar busybox
    berth load -q -i busybox.tar
    [ "$(berth run --rm -u root busybox sh -c 'echo ran; rm /bin/ls')" = ran ]
    berth run --rm busybox ls / > /dev/null
    berth run --name cc -v vol:/etc busybox sh -c 'echo x > /new; rm -r /usr/bin; mkdir /usr/bin; chmod 700 /home; rm /bin/cat'
    [ "$(cat "$BERTH_DATA/volumes/vol/_data/passwd")" = "$(berth run --rm busybox cat /etc/passwd)" ]
    [ "$(field cc .GraphDriver.Name)" = copies ]
    run -0 berth diff cc
    [ "$output" = "C /bin
D /bin/cat
C /home
A /new
C /usr
C /usr/bin
D /usr/bin/env" ]
    # Layers that hide what is below have marks of berth's own there.
    python3 -c "from oci_image import *
l = Layout()
l.image('two:1', [busybox(), tar([directory('d/'), file('d/one'), directory('e/'), file('e/two'), file('f')]),
    tar([directory('d/'), file('d/.wh.one', ''), directory('e/'), file('e/.wh..wh..opq', ''), file('e/new'), file('.wh.f', '')])])
l.write('two.tar')"
    berth load -q -i two.tar
    [ "$(berth run --rm two:1 sh -c 'echo /d/* /e/* /f*')" = "/d/* /e/new /f*" ]
    run -125 berth run --rm --userns auto busybox true
    expect_text "--userns: ids cannot be mapped where containers get copies"
    run -0 berth system check
    expect_text "defects: 0"
}

@test "an image of a copied root's changes is an ordinary one elsewhere" {
    berth --data "$ordinary" save -o busybox.tar busybox
    berth load -q -i busybox.tar
    berth run --name cc busybox sh -c 'echo x > /new; rm -r /usr/bin; mkdir /usr/bin; rm /bin/cat; ln /new /also'
    berth commit cc mine:1 > /dev/null
    berth commit cc mine:2 > /dev/null
    listing='cd /; find . -xdev ! -path "./etc*" ! -path "./[dps][ery][vos]*" | sort | xargs stat -c "%n %f %u %g %Y"'
    berth run --rm mine:2 sh -c "$listing" > here
    [ "$(berth run --rm mine:1 stat -c %h /also)" = 2 ]
    run -1 berth run --rm mine:1 test -e /bin/cat
    berth save -o mine.tar mine:1
    export BERTH_DATA=$PWD/other BERTH_RUN=$PWD/other-run
    unset BERTH_STORAGE_DRIVER
    berth load -q -i mine.tar
    [ "$(berth info --format '{{.Driver}}')" = overlayfs ]
    berth run --rm mine:1 sh -c "$listing" > there
    diff here there
    grep -q '^./also' here
    ! grep -q '^./bin/cat' here
}
