# Guests that want out. First a guest that is nothing but an attacker (tests/payload/guest_hostile*.c),
# on /dev/kvm wherever it opens; then an attacker in place of the agent, on whatever runs machines here.
# Each time nothing outside may change, and the machine goes on or ends with a sentence.
load helper

setup() {
    needs_root "/dev/kvm, tap devices and microVMs are root's"
    [ -x "$BERTH_BUILD/berth-vmm" ] || skip "this build has no microVMs"
    payload=$BERTH_BUILD/tests/payload pid=
    mkdir -p "$BATS_TEST_TMPDIR/share/folder"
    echo secret > "$BATS_TEST_TMPDIR/secret"
    echo plain > "$BATS_TEST_TMPDIR/share/plain"
    ln -s /etc "$BATS_TEST_TMPDIR/share/link"
    for name in image disk; do
        printf 'sector 0' > "$BATS_TEST_TMPDIR/$name"
        truncate -s 1M "$BATS_TEST_TMPDIR/$name"
    done
}

teardown() {
    [ -z "$pid" ] || kill -9 "$pid" 2> /dev/null || true
    [ -z "${ID:-}" ] || oci delete -f "$ID" > /dev/null 2>&1 || true
    wait_until 20 nothing_runs
}

# A cgroup goes with the last of its processes.
nothing_runs() { ! pgrep -f "$BATS_TEST_TMPDIR" && [ -z "$(find /sys/fs/cgroup -type d -name "${ID:-none}")" ]; }

# --- a guest without a kernel ---------------------------------------------------------------------

needs_kvm() { [ -c /dev/kvm ] || skip "this machine has no /dev/kvm"; }

# attack COMMAND [OPTION...]
attack() { timeout 100 unshare -n "$payload/machine_run" "$payload/guest" "${@:2}" "$1"; }

# With all devices: attack_devices COMMAND
attack_devices() {
    attack "$1" --echo --root "$BATS_TEST_TMPDIR/image" --disk "$BATS_TEST_TMPDIR/disk" --tap tap0 \
        --share "$BERTH_BUILD/berth-fs" "$BATS_TEST_TMPDIR/share"
}

# All that a guest could reach beside what it is given to write.
outside() {
    (cd "$BATS_TEST_TMPDIR" && find . ! -path './disk' ! -path './out*' ! -path './before' -printf '%p %y %m %U %s %l %T@\n' | sort)
    find /etc -maxdepth 1 -printf '%p %y %m %U %T@\n' | sort
    wc -l < /proc/self/mountinfo
    cat "$BATS_TEST_TMPDIR/secret"
}

@test "ports, addresses, registers and instructions that lead nowhere leave a machine as it was" {
    needs_kvm
    for what in ports addresses msrs strings; do
        run -0 attack "hostile-$what"
        expect_text "$what survived"
        expect_text "end: power-off"
    done
    run -0 attack hostile-code
    expect_text "end: failed: run CPU 0: KVM could not emulate an instruction"
}

@test "wrong rings, resets in the middle and requests that lie are answered, and nothing outside changes" {
    needs_kvm
    outside > "$BATS_TEST_TMPDIR/before"
    run -0 attack_devices devices-hostile
    expect_text "devices survived"
    expect_text "end: power-off"
    for text in WRONG "not broken" "not start" "net frame"; do [[ "$output" != *"$text"* ]]; done
    outside | diff "$BATS_TEST_TMPDIR/before" -
    wait_until 30 nothing_runs
}

@test "what a guest floods its console with is bounded by time" {
    needs_kvm
    start=$SECONDS
    attack hostile-console > "$BATS_TEST_TMPDIR/out"
    # What may come at once, so much in each second, and the guest's last words.
    limit=$((262144 + 16384 * (SECONDS - start + 2)))
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/out")" -lt $limit ]
    grep -q "end: power-off" "$BATS_TEST_TMPDIR/out"
}

@test "what a guest floods its agent's port with takes none of the host's memory" {
    needs_kvm
    "$payload/machine_run" "$payload/guest" --echo hostile-port > "$BATS_TEST_TMPDIR/out" &
    pid=$!
    wait_until 30 grep -q flooded "$BATS_TEST_TMPDIR/out"
    # The guest's memory and the overhead of split.h; the sanitizers' own comes on top.
    limit=$(((64 + 32) * 1024))
    ! grep -q __asan_init "$payload/machine_run" || limit=$((limit + 300000))
    [ "$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")" -lt $limit ]
}

# --- the jail -------------------------------------------------------------------------------------

# A microVM of this bundle, up to where its script has made the file "up".
start_machine() {
    [ -n "$(berth vm kernel ls --format "{{.Name}}")" ] || skip "no kernel could be fetched by apt"
    make_bundle sh sleep
    configure '.annotations = {"run.berth.isolation": "microvm", "run.berth.vm.memory": "192m"}
        | .root.readonly = false'
    runs "$1"
    ID=hostile$BATS_TEST_NUMBER-$$
    oci run -b "$BUNDLE" -d "$ID" < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1 || { cat "$BATS_TEST_TMPDIR/out" && false; }
    wait_until 120 test -e "$BUNDLE/rootfs/up"
}

# Rights of a process: rights PID
rights() { awk '/^(CapEff|CapPrm|CapAmb|NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$1/status"; }

# A descriptor of a directory, or of what nobody has said that it is needed: unneeded PID
unneeded() {
    local link
    for link in "/proc/$1/fd"/*; do
        case $(readlink "$link") in
        pipe:* | socket:* | /dev/null | /dev/kvm | /dev/net/tun | /vm/run/oom) ;;
        anon_inode:*event* | anon_inode:*timerfd* | anon_inode:*signalfd* | anon_inode:*pidfd* | anon_inode:kvm-*) ;;
        "/memfd:memory (deleted)") ;; # the guest's, which a checkpoint saves
        "$BATS_TEST_TMPDIR/out") ;;
        *) readlink "$link" ;;
        esac
    done
}

@test "around a machine that runs there is no capability, no file, no descriptor but those in use" {
    start_machine 'echo > /up; sleep 1000'
    pid=$(oci state "$ID" | jq .pid)
    # The sanitizers' programs have no filters.
    filter=2
    ! grep -q __asan_init "$BERTH_BUILD/berth-vmm" || filter=0
    for task in /proc/$pid/task/*; do
        [ "$(rights "$pid/task/$(basename "$task")")" = "0000000000000000 0000000000000000 0000000000000000 1 $filter " ]
    done
    [ -z "$(unneeded "$pid")" ]
    emulator='' server=''
    for child in $(pgrep -P "$pid"); do
        case $(tr '\0' ' ' < "/proc/$child/cmdline") in
        */berth-fs\ *) server=$child ;;
        */qemu-system-x86_64\ *) emulator=$child ;;
        *) false ;;
        esac
    done
    # Of root's rights the server of a share keeps those about files: no CAP_SYS_*, MKNOD, NET_*.
    read -r permitted effective ambient news seccomp <<< "$(rights "$server")"
    [ "$ambient $news $seccomp" = "0000000000000000 1 $filter" ]
    [ $(((0x$permitted | 0x$effective) & ~0x800000db)) = 0 ]
    [ -z "$emulator" ] || [ "$(rights "$emulator")" = "0000000000000000 0000000000000000 0000000000000000 1 2 " ]
    # The root is read-only, and not this machine's.
    grep -q "/$ID/vm/root / ro," "/proc/$pid/mountinfo"
    [ ! -e "/proc/$pid/root/etc" ]
    [ ! -e "/proc/$pid/root/sys" ]
    # The guest's memory, what the machine takes, and 16 MiB for the share.
    GROUP=$ID
    overhead=32
    [ -z "$emulator" ] || overhead=256
    expect_value $(((192 + overhead + 16) << 20)) memory.limit_in_bytes memory.max
    oci kill "$ID" KILL
}

# --- a kernel of a distribution that is hostile -----------------------------------------------------

# Builds tests/payload/hostile_module.c for a kernel, without its headers: what a kernel wants to see
# of a module, and the versions of what it uses, are taken from the kernel's modules, which are in the
# current folder. hostile_module MODULE
hostile_module() {
    local init size vermagic module
    init=$(readelf -rW "$1" | awk '/^Relocation/ { here = /this_module/ } here && / init_module / { print $1 }')
    size=$(readelf -SW "$1" | sed -n 's/.* \.gnu\.linkonce\.this_module *PROGBITS *[^ ]* *[^ ]* *\([^ ]*\).*/\1/p')
    objcopy --dump-section .modinfo=info "$1" copy.ko
    for module in *.ko; do
        objcopy --dump-section __versions=part "$module" copy.ko && cat part >> versions
    done
    vermagic=$(tr '\0' '\n' < info | grep ^vermagic=)
    cat > stub.S << END
.section .gnu.linkonce.this_module, "aw"
.org 24
.asciz "hostile"
.org 0x$init
.quad init_module
.org 0x$size
.section .modinfo, "a"
.asciz "license=GPL"
.asciz "name=hostile"
.asciz "depends="
.asciz "$vermagic"
.section __versions, "a"
.incbin "versions"
.section .note.GNU-stack, "", @progbits
END
    gcc -c -O1 -std=gnu17 -I "$BATS_TEST_DIRNAME/../.." -ffreestanding -fno-pic -mcmodel=kernel -mno-red-zone \
        -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=branch \
        "$BATS_TEST_DIRNAME/../payload/hostile_module.c" -o module.o
    gcc -c stub.S -o stub.o
    ld -r module.o stub.o -o hostile.ko
}

# The suite's newest kernel, with that module in place of the one that its agent loads last.
make_hostile_kernel() {
    local from to
    from=$(find "$BERTH_DATA/kernels" -mindepth 1 -maxdepth 1 -name '*cloud*' | sort -V | head -1)
    to=$BERTH_DATA/kernels/hostile
    cp -al "$from" "$to"
    rm "$to"/{modules.cpio,kernel.json}
    mkdir "$BATS_TEST_TMPDIR/modules"
    cd "$BATS_TEST_TMPDIR/modules"
    cpio -id --quiet < "$from/modules.cpio"
    hostile_module virtio_console.ko
    sed -i 's/^balloon:.*/balloon: hostile.ko/' modules.list
    { cat "$from/modules.cpio"; printf '%s\n' modules.list hostile.ko | cpio -o -H newc --quiet; } > "$to/modules.cpio"
    jq '.name = "hostile"' "$from/kernel.json" > "$to/kernel.json"
}

@test "a module in a distribution's kernel abuses all devices and floods, and nothing outside changes" {
    [ -n "$(berth vm kernel ls --format "{{.Name}}")" ] || skip "no kernel could be fetched by apt"
    export BERTH_DATA=$BATS_TEST_TMPDIR/data BERTH_RUN=$BATS_TEST_TMPDIR/run
    berth image make busybox > /dev/null
    lend_kernels
    make_hostile_kernel
    outside_share() { (cd "$BATS_TEST_TMPDIR" && find secret share -printf '%p %y %m %U %s %l %T@\n' | sort && cat secret share/plain); }
    before=$(outside_share) start=$SECONDS status=0
    berth run --rm --cidfile "$BATS_TEST_TMPDIR/id" --isolation microvm --kernel hostile --vm-console log -v "$BATS_TEST_TMPDIR/share:/share:ro" \
        busybox sh -c 'echo up; while :; do cat /share/plain > /file; done' > "$BATS_TEST_TMPDIR/out" 2>&1 < /dev/null || status=$?
    # It ran as always, then its kernel did all of it, and the machine ended with a sentence.
    for text in up "hostile: begins" "hostile: devices abused"; do grep -q "$text" "$BATS_TEST_TMPDIR/out"; done
    [ "$status" = 125 ]
    grep -E "before its process ended|the guest's agent: " "$BATS_TEST_TMPDIR/out"
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/out")" -lt $((262144 + 16384 * (SECONDS - start + 2))) ]
    [ "$(outside_share)" = "$before" ]
    ID=$(cat "$BATS_TEST_TMPDIR/id")
    wait_until 20 nothing_runs
    run -1 grep "$BATS_TEST_TMPDIR" /proc/self/mountinfo
    [ -z "$(berth ps -aq)" ]
}
