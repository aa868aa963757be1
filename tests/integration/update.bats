load helper

# `berth update`: other limits and restart policies for containers that are there.

setup() { before=$(picture); }
teardown() {
    remove_all
    expect_picture "$before"
}

is_v2() { [ -f /sys/fs/cgroup/cgroup.controllers ]; }
# held ID V1-FILE V2-FILE: a file of a container's cgroup
held() { GROUP=berth/$1 value "${@:2}"; }
memory() { held "$1" memory.limit_in_bytes memory.max; }
pids() { held "$1" pids.max pids.max; }

@test "update changes a running container, and a restart keeps it" {
    id=$(berth run -d --name one -m 64m --pids-limit 20 --cpus 1 busybox sleep 1000)
    run -0 berth update -m 128m --pids-limit 40 one
    [ "$output" = one ]
    [ "$(memory "$id") $(pids "$id")" = "134217728 40" ]
    [ "$(field one .HostConfig.Memory) $(field one .HostConfig.PidsLimit)" = "134217728 40" ]
    [ "$(field one .HostConfig.NanoCpus)" = 1000000000 ]
    berth restart -t 0 one > /dev/null
    [ "$(memory "$id") $(pids "$id")" = "134217728 40" ]
    if is_v2; then
        [ "$(held "$id" cpu.max)" = "100000 100000" ]
    else
        [ "$(held "$id" cpu.cfs_quota_us)" = 100000 ]
    fi
}

@test "0 takes a limit away, also over a restart" {
    id=$(berth run -d --name one -m 64m --pids-limit 20 --cpus 1 -c 512 busybox sleep 1000)
    free() {
        [ "$(pids "$id")" = max ]
        if is_v2; then
            [ "$(memory "$id") $(held "$id" cpu.weight)" = "max 100" ]
            [[ "$(held "$id" cpu.max)" == "max "* ]]
        else
            [ "$(memory "$id")" -gt 9000000000000000000 ]
            [ "$(held "$id" cpu.cfs_quota_us) $(held "$id" cpu.shares)" = "-1 1024" ]
        fi
    }
    berth update -m 0 --pids-limit -1 --cpus 0 -c 0 one
    free
    berth restart -t 0 one > /dev/null
    free
}

@test "update of a container that does not run shows when it starts" {
    id=$(berth create --name one busybox sleep 1000)
    run -0 berth update -m 64m -c 256 one
    berth start one
    [ "$(memory "$id")" = 67108864 ]
    [ "$(field one .HostConfig.CpuShares)" = 256 ]
}

@test "what cannot be leaves all as it was" {
    id=$(berth run -d --name one -m 64m --pids-limit 20 busybox sleep 1000)
    run -1 berth update --pids-limit 30 --cpuset-cpus 4096 one
    expect_text "update container ${id:0:12}: "
    run -1 berth update -m 1k one
    expect_text "the smallest limit allowed is 6m"
    run -1 berth update -m 64m --memory-swap 32m one
    expect_text "it cannot be smaller than --memory"
    run -1 berth update --pids-limit 30 --cpus 100000 one
    expect_text "update container ${id:0:12}: --cpus '100000': range of CPUs is from 0.01 to "
    run -1 berth update one
    expect_text "nothing to update: give a limit, see 'berth update --help'"
    run -1 berth update -m 64m nobody
    expect_text "No such container: nobody"
    [ "$(memory "$id") $(pids "$id")" = "67108864 20" ]
    [ "$(field one .HostConfig.PidsLimit)" = 20 ]
    berth restart -t 0 one > /dev/null
    [ "$(pids "$id")" = 20 ]
}

@test "update of memory alone says what an earlier --memory-swap has to do with it" {
    berth create --name one -m 64m --memory-swap 96m busybox sleep 1000
    run -1 berth update -m 128m one
    expect_text "--memory 128MiB is more than memory and swap together may be (96MiB, by an earlier --memory-swap)"
    run -1 berth update -m 0 one
    expect_text "give --memory-swap 0 as well"
    [ "$(field one .HostConfig.Memory)" = 67108864 ]
    berth update -m 128m --memory-swap -1 one
    berth update -m 0 --memory-swap 0 one
    [ "$(field one .HostConfig.Memory) $(field one .HostConfig.MemorySwap)" = "0 0" ]
}

@test "update --restart tells the monitor" {
    berth run -d --name one -v "$BATS_TEST_TMPDIR:/host" busybox sh -c 'until [ -e /host/told ]; do sleep 0.05; done; exit 3' > /dev/null
    berth update --restart on-failure:2 one
    touch "$BATS_TEST_TMPDIR/told"
    [ "$(field one .HostConfig.RestartPolicy.Name)" = on-failure ]
    [ "$(berth wait one)" = 3 ]
    [ "$(field one .RestartCount)" = 2 ]
    berth run -d --name two --restart always busybox sleep 1000 > /dev/null
    berth update --restart no two
    kill -9 "$(field two .State.Pid)"
    [ "$(berth wait two)" = 137 ]
    [ "$(field two .RestartCount)" = 0 ]
    berth run -d --name three --rm busybox sleep 1000 > /dev/null
    run -1 berth update --restart always three
    expect_text "it was made with --rm"
}

@test "update and rename at once lose nothing" {
    berth run -d --name one busybox sleep 1000 > /dev/null
    id=$(berth ps -q --no-trunc)
    for n in 1 2 3 4 5 6 7 8; do
        berth update --pids-limit $((100 + n)) "$id" > /dev/null &
        update=$!
        berth rename "$id" "name$n"
        wait $update
        [ "$(field "$id" .Name) $(field "$id" .HostConfig.PidsLimit)" = "/name$n $((100 + n))" ]
    done
}

@test "real-time CPU time is divided by options, where the kernel does that" {
    local parent=/sys/fs/cgroup/cpu/harbour-$$
    if is_v2; then
        run -125 berth run --rm --cpu-rt-runtime 10000 busybox true
        expect_text "exists on cgroup v1 only"
        return 0
    elif [ ! -e /sys/fs/cgroup/cpu/cpu.rt_runtime_us ]; then
        run -125 berth run --rm --cpu-rt-runtime 10000 busybox true
        expect_text "this kernel has no file cpu.rt_runtime_us"
        return 0
    fi
    mkdir "$parent"
    run -125 berth run --rm --cgroup-parent "/${parent##*/}" --cpu-rt-runtime 10000 busybox true
    expect_text "the cgroup above, /${parent##*/}, has 0 us for all below it: write more into its cpu.rt_runtime_us first"
    echo 100000 > "$parent/cpu.rt_runtime_us"
    id=$(berth run -d --name one --cgroup-parent "/${parent##*/}" --cap-add SYS_NICE --cpu-rt-period 500000 --cpu-rt-runtime 4000 \
        -v "$BERTH_BUILD/tests/payload/payload:/payload:ro" busybox sleep 1000)
    [ "$(cat "$parent/$id/cpu.rt_period_us" "$parent/$id/cpu.rt_runtime_us" | paste -sd ' ')" = "500000 4000" ]
    [ "$(berth exec one /payload realtime)" = ok ]
    berth update --cpu-rt-runtime 8000 one > /dev/null
    berth restart -t 0 one > /dev/null
    [ "$(cat "$parent/$id/cpu.rt_runtime_us") $(field one .HostConfig.CpuRealtimeRuntime)" = "8000 8000" ]
    berth update --cpu-rt-runtime 0 --cpu-rt-period 0 one > /dev/null
    [ "$(cat "$parent/$id/cpu.rt_period_us" "$parent/$id/cpu.rt_runtime_us" | paste -sd ' ')" = "1000000 0" ]
    [ "$(berth exec one /payload realtime)" = EPERM ]
    berth rm -f one > /dev/null
    find /sys/fs/cgroup -depth -type d -name "${parent##*/}" -exec rmdir {} +
}
