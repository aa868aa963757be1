load helper

# Groups of containers, as the kernel and `berth` tell of them.

setup() { before=$(picture); }

teardown() {
    local name
    remove_all
    # Those below others first: "a+b.json", "a.json".
    for name in $(ls "$BERTH_DATA/cgroups" 2> /dev/null | LC_ALL=C sort); do
        berth cgroup rm "$(basename "$name" .json | tr + /)" > /dev/null
    done
    expect_picture "$before"
}

# A file of a group or container, by its path below berth's own cgroup: held PATH V1-FILE [V2-FILE]
held() { GROUP=berth/$1 value "${@:2}"; }
shares() { held "$1" cpu.shares cpu.weight; }
is_v2() { [ -f /sys/fs/cgroup/cgroup.controllers ]; }
# A group's folder in the hierarchy of a v1 controller, or on v2: folder PATH V1-CONTROLLER
folder() { if is_v2; then echo "/sys/fs/cgroup/berth/$1"; else echo "/sys/fs/cgroup/$2/berth/$1"; fi; }
groups_in_kernel() { find /sys/fs/cgroup -depth -type d -path '*/berth/production*'; }
# What the first process of a container says of its own cgroups.
has_path() { grep -q ":/berth/$2$" "/proc/$(field "$1" .State.Pid)/cgroup"; }

make_hierarchy() {
    berth cgroup create production -c 2048 -m 256m --cpus 1.5 --pids-limit 200
    berth cgroup create testing -c 1024
    berth cgroup create dev -c 512 -m 64m
    berth cgroup create production/web -c 512 --blkio-weight 300
}

@test "groups hold their limits, and containers run in them" {
    run -0 make_hierarchy
    [ "$output" = $'production\ntesting\ndev\nproduction/web' ]
    if is_v2; then
        [ "$(shares production) $(shares testing) $(shares dev)" = "200 100 50" ]
        [ "$(held production cpu.max)" = "150000 100000" ]
    else
        [ "$(shares production) $(shares testing) $(shares dev)" = "2048 1024 512" ]
        [ "$(held production cpu.cfs_quota_us)" = 150000 ]
    fi
    [ "$(held production memory.limit_in_bytes memory.max)" = 268435456 ]
    [ "$(held production pids.max pids.max)" = 200 ]
    # By the cost model, where the scheduler bfq is not there: 1 + (300 - 10) * 9999 / 990.
    weight=$(held production/web blkio.bfq.weight io.bfq.weight 2> /dev/null || held production/web io.weight)
    [[ "$weight" == *300 || "$weight" == "default 2930" ]]

    # Beside a group and in it: on v2 processes are in none that has others below it.
    shop=$(berth run -d --name shop --cgroup-parent production/web -m 32m busybox sleep 1000)
    clock=$(berth run -d --name clock --cgroup-parent production busybox sleep 1000)
    has_path shop "production/web/$shop"
    has_path clock "production/$clock"
    [ "$(held "production/web/$shop" memory.limit_in_bytes memory.max)" = 33554432 ]
    [ "$(held production pids.current pids.current)" = 2 ]
    [ "$(field shop .HostConfig.CgroupParent)" = production/web ]
    run -0 berth exec clock echo here
    [ "$output" = here ]
}

@test "a group's memory limit holds for its containers together" {
    berth cgroup create dev -m 48m --memory-swap 48m
    run -137 berth run --rm --cgroup-parent dev busybox sh -c 'exec tail -c 90m < /dev/zero'
    run -0 berth run --rm --cgroup-parent dev busybox echo alive
    [ "$output" = alive ]
}

@test "a group's pids limit holds for its containers together" {
    berth cgroup create dev --pids-limit 8
    berth run -d --name one --cgroup-parent dev busybox sh -c 'for i in 1 2 3 4 5; do sleep 60 & done; wait' > /dev/null
    wait_until 20 eval '[ "$(held dev pids.current pids.current)" = 6 ]'
    run berth run --rm --cgroup-parent dev busybox sh -c 'for i in 1 2 3 4 5; do sleep 60 & done; wait'
    [ "$status" != 0 ]
    expect_text "Resource temporarily unavailable"
}

@test "cgroup update changes limits, all or none; 0 takes one away" {
    berth cgroup create production -c 2048 -m 256m --cpus 1.5
    berth run -d --cgroup-parent production busybox sleep 1000 > /dev/null
    run -0 berth cgroup update production -m 128m --pids-limit 50
    [ "$(held production memory.limit_in_bytes memory.max)" = 134217728 ]
    [ "$(held production pids.max pids.max)" = 50 ]
    berth cgroup update production --cpus 0 --pids-limit -1 -c 0
    [ "$(held production pids.max pids.max)" = max ]
    if is_v2; then
        [ "$(held production cpu.max)" = "max 100000" ]
        [ "$(shares production)" = 100 ]
    else
        [ "$(held production cpu.cfs_quota_us)" = -1 ]
        [ "$(shares production)" = 1024 ]
    fi
    run -1 berth cgroup update production -m 64m --cpuset-cpus 4096
    expect_text "cgroup 'production': "
    [ "$(held production memory.limit_in_bytes memory.max)" = 134217728 ]
    run -1 berth cgroup update no-such -m 64m
    expect_text "\`berth cgroup create no-such\` makes it"
}

@test "what cannot be is refused by a sentence" {
    berth cgroup create production
    run -1 berth cgroup create production
    expect_text "cgroup 'production' exists already: \`berth cgroup update\` changes its limits"
    run -1 berth cgroup create dev/web
    expect_text "there is no cgroup 'dev': \`berth cgroup create dev\` makes it"
    run -1 berth cgroup create ../escape
    expect_text "give letters, digits, '_' and '-'"
    run -1 berth cgroup create small -m 1k
    expect_text "the smallest limit allowed is 6m"
    run -1 berth cgroup create odd --cpuset-cpus 4096
    expect_text "make cgroup 'odd'"
    run -125 berth run --rm --cgroup-parent nowhere busybox true
    expect_text "--cgroup-parent: there is no cgroup 'nowhere': \`berth cgroup create nowhere\` makes it"
    run -1 berth cgroup rm nowhere
    expect_text "there is no cgroup 'nowhere'"
    [ "$(ls "$BERTH_DATA/cgroups")" = production.json ]
}

@test "a group that somebody else made is not taken over" {
    mkdir -p "$(folder foreign pids)"
    run -1 berth cgroup create foreign
    expect_text "cgroup /berth/foreign is there already"
    rmdir "$(folder foreign pids)"
}

@test "cgroup rm refuses while containers or groups are in it" {
    berth cgroup create production
    berth cgroup create production/web
    berth create --name shop --cgroup-parent production/web busybox sleep 1000 > /dev/null
    run -1 berth cgroup rm production
    expect_text "cgroup 'production' is used by containers: shop; remove them first, running or not"
    berth rm shop
    run -1 berth cgroup rm production
    expect_text "cgroup 'production' has others below it: production/web; remove these first"
    sleep 1000 3>&- &
    echo $! > "$(folder production/web pids)/cgroup.procs"
    run -1 berth cgroup rm production/web
    expect_text "cgroup /berth/production/web has processes, the first is $!"
    kill $!
    wait $! || true
    run -0 berth cgroup rm production/web production
    [ "$output" = $'production/web\nproduction' ]
    [ -z "$(groups_in_kernel)" ]
    [ -z "$(ls "$BERTH_DATA/cgroups")" ]
}

@test "after a reboot a group is made anew when a container starts in it" {
    berth cgroup create production -m 256m
    berth cgroup create production/web --pids-limit 20
    berth create --name shop --cgroup-parent production/web busybox sleep 1000 > /dev/null
    # What a reboot does to them.
    groups_in_kernel | xargs rmdir
    [ -z "$(groups_in_kernel)" ]
    berth start shop
    [ "$(held production memory.limit_in_bytes memory.max)" = 268435456 ]
    [ "$(held production/web pids.max pids.max)" = 20 ]
    [ "$(held production/web pids.current pids.current)" = 1 ]
}

@test "a group that was left half made gets the rest" {
    berth cgroup create production -m 256m --pids-limit 20
    echo max > "$(folder production pids)/pids.max"
    is_v2 || rmdir "$(folder production memory)"
    berth run --rm --cgroup-parent production busybox true
    [ "$(held production memory.limit_in_bytes memory.max)" = 268435456 ]
    [ "$(held production pids.max pids.max)" = 20 ]
}

@test "--cgroup-conf writes files of the cgroup, and says which the other version has" {
    if is_v2; then
        other=memory.limit_in_bytes file=memory.high known=memory.max
    else
        other=memory.max file=memory.soft_limit_in_bytes known=memory.limit_in_bytes
    fi
    run -125 berth run --rm --cgroup-conf $other=64M busybox true
    expect_text "unified: $other is a file of cgroup v"
    expect_text $known
    run -125 berth run --rm --cgroup-conf memory.no_such=1 busybox true
    expect_text "this kernel has no file memory.no_such for cgroup /berth/"
    run -125 berth run --rm --cgroup-conf $file=many busybox true
    expect_text "set $file of cgroup /berth/"
    run -125 berth run --rm --cgroup-conf cgroup.freeze=1 busybox true
    expect_text "unified: cgroup.freeze freezes processes: pause the container instead"

    berth cgroup create production --cgroup-conf $file=64M
    [ "$(held production $file)" = 67108864 ]
    id=$(berth run -d --cgroup-conf $file=32M --cgroup-conf pids.max=30 busybox sleep 1000)
    [ "$(held "$id" $file)" = 33554432 ]
    [ "$(held "$id" pids.max)" = 30 ]
    # All or nothing.
    run -1 berth update --cgroup-conf pids.max=20 --cgroup-conf $file=many "$id"
    [ "$(held "$id" pids.max)" = 30 ]
    berth update --cgroup-conf $file=16M "$id" > /dev/null
    [ "$(held "$id" $file)" = 16777216 ]
    if ! is_v2; then
        berth update --cgroup-conf memory.swappiness=7 "$id" > /dev/null
        [ "$(held "$id" memory.swappiness)" = 7 ]
    fi
}

# Rows without the numbers that change.
tree() { berth cgroup ls --format '{{.Tree}};{{.CPUs}};{{.CPUShares}};{{.SharePerc}};{{.PIDs}}' "$@"; }

@test "cgroup ls draws the tree, with limits, use and the containers at their places" {
    make_hierarchy > /dev/null
    shop=$(berth run -d --name shop --cgroup-parent production/web -m 32m busybox sleep 1000)
    berth run -d --name clock --cgroup-parent production -c 512 busybox sleep 1000 > /dev/null
    berth create --name later --cgroup-parent production busybox true > /dev/null
    run -0 tree
    expected="dev/;-;512;14.3%;0 / -
production/;1.5;2048;57.1%;2 / 200
|- web/;-;512;50.0%;1 / -
|  \`- shop;-;1024;100.0%;1 / -
\`- clock;-;512;50.0%;1 / -
testing/;-;1024;28.6%;0 / -"
    [ "$output" = "$expected" ] || diff <(echo "$expected") <(echo "$output")

    run -0 berth cgroup ls
    [[ "${lines[0]}" == "CGROUP "*"CPUS "*"SHARES "*"SHARE "*"MEM USAGE / LIMIT "*"PIDS / LIMIT "*"IO WEIGHT "*"OOM KILLS" ]]
    [[ "${lines[4]}" == "|  \`- shop "*" / 32MiB "* ]]
    [[ "$output" != *later* ]]
    run -0 tree production/web
    [ "$output" = $'production/web/;-;512;50.0%;1 / -\n`- shop;-;1024;100.0%;1 / -' ]
    run -0 berth cgroup ls -q
    [ "$output" = $'dev\nproduction\nproduction/web\ntesting' ]
    [ "$(berth cgroup ls --format json --no-trunc | jq -r 'select(.Name == "shop") | .ID')" = "$shop" ]
    [ "$(berth cgroup ls --format json | jq -r 'select(.Name == "shop") | .Parent')" = production/web ]
    run -1 berth cgroup ls nowhere
    expect_text "there is no cgroup 'nowhere'"
}

@test "cgroup ls counts what the kernel killed, and shows groups that it has not" {
    berth cgroup create dev -m 32m --memory-swap 32m
    run -137 berth run --rm --cgroup-parent dev busybox sh -c 'exec tail -c 90m < /dev/zero'
    run -0 berth cgroup ls --format '{{.Name}} {{.OOMKills}}'
    # v1 counts them in the container's own cgroup alone, which is gone
    if is_v2; then [ "$output" = "dev 1" ]; else [ "$output" = "dev -" ]; fi
    rmdir $(find /sys/fs/cgroup -depth -type d -path '*/berth/dev')
    run -0 berth cgroup ls --format '{{.Name}} {{.MemUsage}} {{.PIDs}} {{.OOMKills}}'
    [ "$output" = "dev - / 32MiB - / - -" ]
    [ "$(berth cgroup inspect -f '{{.Made}}' dev)" = false ]
}

@test "on a terminal cgroup ls has lines of UTF-8 and colours, unless NO_COLOR is set" {
    berth cgroup create production
    berth cgroup create production/web
    run -0 env LC_ALL=C.UTF-8 TERM=xterm NO_COLOR= script -qec "berth cgroup ls" /dev/null
    expect_text "└─ "$'\033[1mweb/'
    run -0 env LC_ALL=C.UTF-8 TERM=xterm NO_COLOR=1 script -qec "berth cgroup ls" /dev/null
    expect_text "└─ web/ "
    run -0 env LC_ALL=C TERM=xterm NO_COLOR=1 script -qec "berth cgroup ls" /dev/null
    expect_text '`- web/ '
}

@test "cgroup inspect tells limits, usage and pressure" {
    make_hierarchy > /dev/null
    berth run -d --name clock --cgroup-parent production busybox sleep 1000 > /dev/null
    run -0 berth cgroup inspect production
    [ "$(jq -r '.[0] | .Name, .Path, .Made, .Limits.Memory, .Limits.CpuShares, .Limits.NanoCpus, .Usage.Pids' <<< "$output" | paste -sd' ')" = \
        "production /berth/production true 268435456 2048 1500000000 1" ]
    [ "$(jq -c '.[0] | .Groups, .Containers' <<< "$output" | paste -sd' ')" = '["production/web"] ["clock"]' ]
    [ "$(jq '.[0].Usage.MemoryBytes > 0 and .[0].Usage.CpuNs > 0' <<< "$output")" = true ]
    if GROUP=berth/production kernel_file cpu.pressure; then
        [ "$(jq '.[0].Pressure.Cpu.Some.Avg10Percent >= 0' <<< "$output")" = true ]
    fi
    [ "$(berth cgroup inspect -f '{{.Limits.PidsLimit}}' production)" = 200 ]
    run -1 berth cgroup inspect nowhere
    expect_text "there is no cgroup 'nowhere'"
}
