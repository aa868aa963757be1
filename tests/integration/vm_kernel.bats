# Kernels of microVMs: what `berth vm kernel` refuses, who reads a kernel, and what an import that is
# killed leaves.
load helper

setup() {
    KERNEL=$(find "$BERTH_TEST_DATA/data/kernels" -name bzimage 2> /dev/null | head -1)
    [ -n "$KERNEL" ] || skip "apt-get fetched no kernel here"
    export BERTH_DATA=$BATS_TEST_TMPDIR/data BERTH_RUN=$BATS_TEST_TMPDIR/run
    mkdir -p "$BERTH_DATA" "$BERTH_RUN" "$BATS_TEST_TMPDIR/modules"
    # A kernel that says that all is in it needs no modules.
    touch "$BATS_TEST_TMPDIR/modules/modules.builtin"
}

import() { berth vm kernel import --modules "$BATS_TEST_TMPDIR/modules" "$@" "$KERNEL"; }

@test "vm kernel: what cannot be imported is refused, with what to do" {
    head -c 100000 /dev/urandom > "$BATS_TEST_TMPDIR/junk"
    run -1 berth vm kernel import "$BATS_TEST_TMPDIR/junk"
    expect_text "is no bzImage"
    run -1 berth vm kernel import /no/such
    expect_text "open '/no/such': No such file"
    run -1 berth vm kernel import "$KERNEL" --modules /no/such
    expect_text "the kernel's modules are not in '/no/such' (No such file or directory): name their directory with --modules"
    run -1 berth vm kernel import "$KERNEL" --modules /etc
    expect_text "no modules of the kernel are in '/etc'"
    run -1 import --name ../x
    expect_text "kernel '../x' is not valid"
    run -1 berth vm kernel import --package Nonsense
    expect_text "'Nonsense' is not the name of a package"
    run -1 berth vm kernel rm none
    expect_text "there is no kernel 'none'"
    run -1 berth vm kernel frobnicate
    expect_text "is not import, ls or rm"
    [ -z "$(berth vm kernel ls --format '{{.Name}}')" ]
}

@test "vm kernel: a package with more modules than any kernel has is refused" {
    cd "$BATS_TEST_TMPDIR"
    # An ELF file of one section, in which nothing is said.
    python3 - << 'END' | xz -0 > data.tar.xz
import io, struct, sys, tarfile
module = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 1, 0)
module += bytes(64)
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    for number in range(16385):
        info = tarfile.TarInfo(f"./lib/modules/x/m{number}.ko")
        info.size = len(module)
        tar.addfile(info, io.BytesIO(module))
END
    echo 2.0 > debian-binary
    ar qc many.deb debian-binary data.tar.xz
    run -1 berth vm kernel import many.deb
    expect_text "'many.deb': has more than 16384 modules"
}

# --- berth-archive --------------------------------------------------------------------------------

# make_package: x.deb, with the kernel and a module, which is an ELF file without sections.
make_package() {
    mkdir -p tree/boot tree/lib/modules/x
    cp "$KERNEL" tree/boot/vmlinuz-x
    python3 - << 'END' | xz -0 > tree/lib/modules/x/erofs.ko.xz
import struct, sys
sys.stdout.buffer.write(b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 1, 0) + bytes(64))
END
    tar -c -C tree . | xz -0 > data.tar.xz
    echo 2.0 > debian-binary
    ar qc x.deb debian-binary data.tar.xz
}

# import_stopped: begins an import of x.deb in which each berth-archive stops when it first writes.
import_stopped() {
    rm -f stops
    strace -f -qq -o stops -e trace=writev -e inject=writev:signal=SIGSTOP:when=1 \
        berth vm kernel import --name new x.deb > said 2>&1 3>&- 5< debian-binary &
    tracer=$!
}

# has_stopped FORM: whether the last one that stopped is of this form; sets $child.
has_stopped() {
    child=$(awk '/ stopped by SIGSTOP / { child = $1 } END { print child }' stops)
    [ -n "$child" ] && grep -qz "^$1\$" "/proc/$child/cmdline"
}

# await_stopped FORM: sets $child to the berth-archive that has stopped, and $import to its parent.
await_stopped() {
    wait_until 30 has_stopped "$1"
    import=$(ps -o ppid= -p "$child" | tr -d ' ')
}

@test "vm kernel: berth-archive, which parses packages and compressed bytes, has no rights" {
    [ "$(id -u)" = 0 ] || skip "only root has rights to give up"
    cd "$BATS_TEST_TMPDIR"
    make_package
    import_stopped
    # Once for what each module needs, for vmlinux, and for the modules that are kept.
    for form in package streams package; do
        await_stopped kernel-$form
        expect_no_rights "$child" berth-archive
        # What it reads, and a pipe.
        [[ "$(readlink "/proc/$child/fd/1") $form $(readlink "/proc/$child/fd/0")" =~ ^pipe:.*\ (package .*/x.deb|streams pipe:.*)$ ]]
        kill -CONT "$child"
    done
    wait $tracer
    [ "$(cat said)" = new ]
    cmp "$KERNEL" "$BERTH_DATA/kernels/new/bzimage"
    grep -aq erofs.ko "$BERTH_DATA/kernels/new/modules.cpio"
}

@test "vm kernel: berth-archive reads all of a package, berth-image none of it, and opens nothing" {
    cd "$BATS_TEST_TMPDIR"
    make_package
    run -0 strace -ff -yy -qq -o trace -s 0 -e trace=read,readv,pread64,mmap,sendfile,splice,copy_file_range,openat,openat2,open,execve berth vm kernel import --name new x.deb
    readers=$(grep -l '^read([0-9]*<.*/x.deb>' trace.*)
    [ "$(wc -w <<< "$readers")" = 2 ]
    for reader in $readers; do
        grep -q 'execve.*/berth-archive"' "$reader"
        # Its libraries and its locale come before the first byte of the package.
        ! sed -n '/^read.*x.deb>/,$ p' "$reader" | grep '^open.* = [0-9]' || false
    done
    # Its first 8 bytes tell a package from an image.
    ! grep 'x.deb>' $(ls trace.* | grep -vxF "$readers") | grep -vE 'openat\(|pread64\(.*, 8, 0\) = 8' || false
}

@test "vm kernel: SIGKILL of berth-archive, or of the import above it: nothing stays of either" {
    cd "$BATS_TEST_TMPDIR"
    make_package
    for form in package streams; do
        for victim in child import; do
            import_stopped
            [ $form = package ] || { await_stopped kernel-package && kill -CONT "$child"; }
            await_stopped kernel-$form
            kill -9 "${!victim}"
            ! wait $tracer || false
            wait_until 30 eval '! pgrep -r S,R,D,T,t -f "^$BERTH_BUILD/berth-archive"'
            [ $victim != child ] || [ "$(cat said)" = "berth: vm kernel: 'x.deb': berth-archive ended early, with status 137" ]
            [ -z "$(berth vm kernel ls --format '{{.Name}}')" ]
        done
    done
    berth vm kernel import --name new x.deb
    wait_trash
    [ -z "$(ls "$BERTH_DATA/staging")" ]
}

@test "vm kernel: the zeros of an unpacked kernel take no room, and are there" {
    import --name sparse > /dev/null
    file=$BERTH_DATA/kernels/sparse/vmlinux
    [ "$(stat -c %b "$file")" -lt $(($(stat -c %s "$file") / 512 - 4096)) ]
    # The file's end is where its own headers say: what is behind the last hole is there.
    readelf -S "$file" > /dev/null 2> "$BATS_TEST_TMPDIR/complaints"
    [ ! -s "$BATS_TEST_TMPDIR/complaints" ]
}

# --- what an import leaves ------------------------------------------------------------------------

# The kernel is there whole, or not at all: expect_whole NAME
expect_whole() {
    [ -z "$(berth vm kernel ls --format '{{.Name}}' | grep -x "$1")" ] || {
        cmp "$KERNEL" "$BERTH_DATA/kernels/$1/bzimage"
        jq -e .release "$BERTH_DATA/kernels/$1/kernel.json" > /dev/null
        [ -s "$BERTH_DATA/kernels/$1/vmlinux" ] && [ -s "$BERTH_DATA/kernels/$1/modules.cpio" ]
    }
}

@test "vm kernel: an import that is killed leaves a whole kernel or none, and nothing beside it" {
    import --name kept > /dev/null
    # It is killed when a file of its staging directory has appeared.
    for file in kernel kernel/vmlinux kernel/bzimage kernel/modules.cpio kernel/kernel.json; do
        for name in new kept; do
            import --name $name > /dev/null 2>&1 3>&- &
            pid=$!
            until compgen -G "$BERTH_DATA/staging/*/$file" > /dev/null || ! kill -0 $pid 2> /dev/null; do :; done
            pkill -KILL -P $pid 2> /dev/null || true
            kill -KILL $pid 2> /dev/null || true
            wait $pid || true
            expect_whole new
            expect_whole kept
            berth vm kernel ls --format '{{.Name}}' | grep -x kept
        done
    done
    # The next import removes what they left.
    import --name new > /dev/null
    expect_whole new
    wait_trash
    [ -z "$(ls "$BERTH_DATA/staging")" ]
    [ "$(ls "$BERTH_DATA/kernels")" = $'kept\nnew' ]
}

@test "completion offers the kernels in bash" {
    import --name first > /dev/null
    import --name second > /dev/null
    complete_words() {
        bash -c 'source <(berth completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _berth; echo "${COMPREPLY[*]}"' \
            bash "$@"
    }
    run -0 complete_words berth run --isolation microvm --kernel ''
    [ "$output" = "first second" ]
    run -0 complete_words berth run --kernel s
    [ "$output" = second ]
}
