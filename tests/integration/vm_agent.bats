# What berth-vmm and the agent in its guest do together; and agents that break the rules. All by
# berth-oci, with the bundle's own root as a share, on whatever runs machines here.
load helper

setup() {
    needs_root "microVMs need root"
    [ -n "$(berth vm kernel ls --format "{{.Name}}")" ] || skip "no kernel could be fetched by apt"
    make_bundle sh cat echo true sleep stty tty kill head wc ps dd ls
    configure '.annotations = {"run.berth.isolation": "microvm", "run.berth.vm.memory": "192m"}
        | .root.readonly = false'
    ID=agent$BATS_TEST_NUMBER-$$
}

# A cgroup goes with the last of its processes: berth-vmm, berth-fs, an emulator.
nothing_is_left() {
    [ -z "$(find /sys/fs/cgroup -type d -name "$ID")" ] && [ -z "$(ls "$ROOT" 2> /dev/null)" ] &&
        ! grep "$BATS_TEST_TMPDIR" /proc/self/mountinfo
}

teardown() {
    [ -n "$ID" ] || return 0
    oci delete -f "$ID" > /dev/null 2>&1 || true
    wait_until 20 nothing_is_left
}

# The container's program has got so far: started FILE
started() { [ -e "$BUNDLE/rootfs/$1" ]; }

# A machine in the background, up to where its script makes the file "up": start_machine SCRIPT
start_machine() {
    runs "$1"
    oci run -b "$BUNDLE" -d "$ID" < /dev/null > "$BATS_TEST_TMPDIR/out" 2>&1
    wait_until 120 started up
}

@test "streams, exit status and files are those of a program in a guest" {
    runs 'cat; echo error >&2; uname -r 2> /dev/null; echo made > /made; exit 42'
    head -c 500000 /dev/urandom > "$BATS_TEST_TMPDIR/in"
    oci run -b "$BUNDLE" "$ID" < "$BATS_TEST_TMPDIR/in" > "$BATS_TEST_TMPDIR/out" 2> "$BATS_TEST_TMPDIR/err" || [ $? = 42 ]
    cmp -n 500000 "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
    grep -x error "$BATS_TEST_TMPDIR/err"
    [ "$(cat "$BUNDLE/rootfs/made")" = made ]
}

@test "exec runs further programs, many at once, and tells how they ended" {
    start_machine 'echo > /up; trap "exit 9" TERM; while :; do sleep 0.1; done'
    run -7 oci exec "$ID" sh -c 'cat; exit 7' <<< "into the guest"
    [ "$output" = "into the guest" ]
    run -127 oci exec "$ID" /no/such
    expect_text "no such file"
    pids=
    for i in 1 2 3 4; do
        oci exec "$ID" sh -c "sleep 1; echo $i" > "$BATS_TEST_TMPDIR/$i" &
        pids="$pids $!"
    done
    # shellcheck disable=SC2086
    wait $pids
    for i in 1 2 3 4; do [ "$(cat "$BATS_TEST_TMPDIR/$i")" = $i ]; done
    [ "$(oci exec "$ID" head -c 3000000 /dev/zero | wc -c)" = 3000000 ]
    oci kill "$ID" TERM
    wait_until 20 stopped
}

stopped() { [ "$(oci state "$ID" | jq -r .status)" = stopped ]; }

@test "a client that goes takes its program with it" {
    start_machine 'echo > /up; sleep 1000'
    berth-oci --root "$ROOT" exec "$ID" sh -c 'echo $$ > /pid; exec sleep 999' 3>&- &
    client=$!
    wait_until 120 started pid
    kill $client
    wait $client || true
    wait_until 30 eval '! oci exec "$ID" sh -c "kill -0 \$(cat /pid)"'
    oci kill "$ID" KILL
    wait_until 20 stopped
}

# --- agents that break the rules ------------------------------------------------------------------

# A kernel whose initramfs has the file "lie", and the agent that reads it: liar NAME
liar() {
    local kernel name
    name=$(ls -t "$BERTH_DATA/kernels" | head -1)
    export BERTH_LIBEXEC=$BATS_TEST_TMPDIR/libexec
    kernel=$BATS_TEST_TMPDIR/data/kernels/$name
    mkdir -p "$BERTH_LIBEXEC" "$kernel"
    cp "$BERTH_BUILD/berth-vmm" "$BERTH_BUILD/berth-fs" "$BERTH_LIBEXEC"
    cp "$BERTH_BUILD/tests/payload/agent_liar" "$BERTH_LIBEXEC/berth-agent"
    ln -sf "$BERTH_DATA/kernels/$name/vmlinux" "$kernel/vmlinux"
    cp "$BERTH_DATA/kernels/$name/kernel.json" "$kernel"
    printf %s "$1" > "$BATS_TEST_TMPDIR/lie"
    { cat "$BERTH_DATA/kernels/$name/modules.cpio"
      (cd "$BATS_TEST_TMPDIR" && echo lie | cpio -o -H newc 2> /dev/null); } > "$kernel/modules.cpio"
}

run_liar() {
    liar "$1"
    BERTH_DATA=$BATS_TEST_TMPDIR/data run timeout 120 berth-oci --root "$ROOT" run -b "$BUNDLE" "$ID" < /dev/null
}

@test "an agent that says hello twice, or a length of 4 GiB, ends its own machine" {
    run_liar twice
    expect_status 125
    expect_text "the guest's agent: hello comes twice"
    run_liar length
    expect_status 125
    expect_text "frame of type 2 with 4294967295 bytes, 32768 are allowed"
}

@test "a guest that reboots or panics is an end with a sentence" {
    run_liar reboot
    expect_status 125
    expect_text "the guest was reset before its process ended"
    run_liar panic
    expect_status 125
    expect_text "the guest's kernel gave up: "
}

# KiB of a process's memory without the guest's 192 MiB, which berth-vmm holds itself under KVM: own_memory PID
own_memory() { awk '/^Size:/ { size = $2 } /^Rss:/ && size != 192 * 1024 { sum += $2 } END { print sum }' "/proc/$1/smaps"; }

# Hundredths of a second that the thread has worked that listens to the agent: work PID
work() { awk '{ print $14 + $15 }' "/proc/$1/task/$1/stat"; }

@test "an agent that floods its channel costs berth-vmm no memory, and can be killed" {
    liar flood
    BERTH_DATA=$BATS_TEST_TMPDIR/data oci run -b "$BUNDLE" -d "$ID" < /dev/null > /dev/null 2>&1
    pid=$(oci state "$ID" | jq .pid)
    wait_until 120 eval '[ "$(work $pid)" -gt 200 ]'
    [ "$(own_memory "$pid")" -lt 30000 ]
    oci kill "$ID" KILL
    wait_until 20 stopped
}
