load helper

teardown() { remove_all; }

@test "run prints what the program prints and ends with its status" {
    run -0 berth run --rm busybox echo hello
    [ "$output" = hello ]
    run -7 berth run --rm busybox sh -c 'exit 7'
}

@test "stdout and stderr are kept apart" {
    run -0 --separate-stderr berth run --rm busybox sh -c 'echo out; echo err >&2'
    [ "$output" = out ]
    [ "$stderr" = err ]
}

@test "stdin reaches the program with -i, and its end too" {
    run -0 bash -c 'printf "a\nb\n" | berth run --rm -i busybox wc -l'
    [ "$output" = 2 ]
}

@test "without -i the program reads nothing" {
    run -0 bash -c 'echo x | berth run --rm busybox wc -c'
    [ "$output" = 0 ]
}

@test "a megabyte of output arrives whole, and a slow reader loses nothing" {
    run -0 bash -c 'berth run --rm busybox sh -c "yes 0123456789abcde | head -n 65536" | { sleep 1; md5sum; }'
    [ "${output%% *}" = "$(yes 0123456789abcde | head -n 65536 | md5sum | cut -d' ' -f1)" ]
}

# Runs COMMAND... with a standard output that does not block, as programs of an event loop leave it to
# others, and counts late what arrives.
unblocked() {
    python3 -c '
import os, subprocess, sys, time
read, write = os.pipe()
os.set_blocking(write, False)
command = subprocess.Popen(sys.argv[1:], stdout=write)
os.close(write)
time.sleep(0.5)
print(len(os.fdopen(read, "rb").read()))
sys.exit(command.wait())' "$@"
}

@test "an output that does not block loses nothing" {
    local megabyte="head -c 1000000 /dev/zero"
    # shellcheck disable=SC2086
    [ "$(unblocked berth run --name writer busybox $megabyte)" = 1000000 ]
    [ "$(unblocked berth logs writer)" = 1000000 ]
    berth run -d --name sleeper busybox sleep 1000
    # shellcheck disable=SC2086
    [ "$(unblocked berth exec sleeper $megabyte)" = 1000000 ]
    [ "$(unblocked berth export sleeper)" -gt 1000000 ]
}

@test "a program that is missing gives 127, one that is no program 126, berth's own failure 125" {
    run -127 berth run --rm busybox no-such-program
    expect_text no-such-program
    run -126 berth run --rm busybox /etc
    run -125 berth run --rm no-such-image
    [ "${lines[0]}" = "Unable to find image 'no-such-image' locally" ]
    expect_text "berth: pull: no-such-image:"
    [ "$(grep -c ^berth: <<< "$output")" = 1 ]
    run -125 berth run --rm --pull never no-such-image
    [ "$output" = "berth: No such image: no-such-image; \`berth images\` lists those that are here" ]
    run -125 berth run --no-such-option busybox
    expect_text "no-such-option"
    [ -z "$(berth ps -aq)" ]
}

@test "a signal ends the program with 128 + n" {
    run -137 berth run --rm busybox sh -c 'kill -9 $$; sleep 5 & kill -9 $!; exit 137'
    run -143 berth run --rm --init busybox sh -c 'kill -15 $$; sleep 1'
}

@test "an unknown option or command names the nearest" {
    run berth run --membory 1g busybox true
    expect_status 125
    expect_text "--memory"
    run berth rnu
    expect_text "run"
}

@test "the program is PID 1 in its own namespaces" {
    run -0 berth run --rm busybox sh -c 'echo $$; ls -d /proc/[0-9]* | wc -l'
    [ "${lines[0]}" = 1 ]
    [ "${lines[1]}" -le 3 ]
    for kind in pid mnt net uts ipc cgroup; do
        inside=$(berth run --rm busybox readlink /proc/self/ns/$kind)
        [ -n "$inside" ]
        [ "$inside" != "$(readlink /proc/self/ns/$kind)" ]
    done
    [ "$(berth run --rm busybox readlink /proc/self/ns/user)" = "$(readlink /proc/self/ns/user)" ]
}

@test "--pid --ipc --uts --network host share the host's namespaces" {
    run -0 berth run --rm --pid host --ipc host --uts host --network host busybox \
        sh -c 'for k in pid ipc uts net; do readlink /proc/self/ns/$k; done'
    [ "${lines[0]}" = "$(readlink /proc/self/ns/pid)" ]
    [ "${lines[1]}" = "$(readlink /proc/self/ns/ipc)" ]
    [ "${lines[2]}" = "$(readlink /proc/self/ns/uts)" ]
    [ "${lines[3]}" = "$(readlink /proc/self/ns/net)" ]
}

@test "networks that are not there yet are refused by name" {
    run -125 berth run --rm --network bridge busybox true
    expect_text "not there yet"
    run -125 berth run --rm -p 80:80 busybox true
    expect_text "--publish: takes --network slirp4netns"
    run -125 berth run --rm -P busybox true
    expect_text "--publish: takes --network slirp4netns"
}

@test "an image of another platform than --platform says is not run" {
    own=$(berth image inspect -f '{{.Architecture}}' busybox)
    other=s390x
    [ "$own" != s390x ] || other=amd64
    run -125 berth run --rm --platform linux/$other busybox true
    [ "$output" = "berth: image 'busybox' is here, but it is for linux/$own, not for linux/$other; --pull always gets another one" ]
    run -1 berth create --platform linux//x busybox true
    expect_text "--platform: platform 'linux//x': give OS/ARCHITECTURE[/VARIANT]"
    run -0 berth run --rm --platform "linux/$own" busybox true
    run -0 berth run --rm --platform "$own" busybox true
}

@test "commands of docker that are not there are refused by name" {
    run -125 berth build .
    [ "$output" = "berth: command 'build': building images is not there yet; see 'berth --help'" ]
    run -125 berth network ls
    expect_text "command 'network': networks other than none, host and slirp4netns are not there yet"
    run -125 berth system events --since 1h
    expect_text "command 'system events': events are not there yet"
    run -125 berth -H tcp://there:2375 ps
    expect_text "option '-H': there is no service to connect to, berth works on this machine"
    run -125 berth start --checkpoint one job
    expect_text "option '--checkpoint': 'berth restore' lets a container go on from its checkpoint"
}

@test "options and filters of docker that are not there are refused by name" {
    while IFS='|' read -r line expected; do
        # shellcheck disable=SC2086
        run -125 berth $line
        expect_text "$expected"
    done << END
run --cpu-count 2 busybox|option '--cpu-count': it is for Windows only
run --ip 10.0.0.1 busybox|option '--ip': networks other than none, host and slirp4netns are not there yet
update --kernel-memory 5m x|option '--kernel-memory': the kernel does not limit it any more
push --platform linux/arm64 x|option '--platform': one platform of several is not picked out
load --platform linux/arm64|option '--platform': this machine's platform is taken
rmi --platform linux/arm64 x|option '--platform': images of several platforms are not there yet
search --filter stars=3 x|option '--filter': what the registry answers is not filtered
volume create --scope multi x|option '--scope': there are no clusters
volume ls --cluster|option '--cluster': there are no clusters
END
    run -1 berth ps --filter health=healthy
    expect_text "filter 'health=healthy': health checks are not there yet"
}

@test "version answers by the names of docker's templates and of its document" {
    [ "$(berth version -f '{{.Server.APIVersion}} {{.Client.ApiVersion}}')" = "1.44 1.44" ]
    [ "$(berth version -f json | jq -c '.Client | keys')" = '["ApiVersion","Arch","KernelVersion","Os","Version"]' ]
}

@test "port: of a container that publishes none" {
    id=$(berth run -d busybox sleep 1000)
    [ -z "$(berth port "$id")" ]
    run -1 berth port "$id" 80
    [ "$output" = "berth: container ${id:0:12}: no port of the machine leads to its port 80/tcp" ]
    run -1 berth container port "$id" http
    expect_text "'http' is no port: give PORT[/tcp|/udp]"
    run -1 berth port none
    expect_text "No such container: none"
}

@test "the loopback interface of a new network is up" {
    run -0 berth run --rm busybox ip addr show lo
    expect_text 127.0.0.1
}

@test "--hostname, --add-host, -e, -w, -u, --entrypoint, -l do as they say" {
    run -0 berth run --rm --hostname harbour --add-host quay:10.1.2.3 -e A=1 -e B -w /tmp -u 1000:1001 \
        --entrypoint sh busybox -c 'hostname; grep quay /etc/hosts; echo $A$B; pwd; id -u; id -g'
    [ "${lines[0]}" = harbour ]
    [[ "${lines[1]}" == "10.1.2.3"*quay ]]
    [ "${lines[2]}" = 1 ]
    [ "${lines[3]}" = /tmp ]
    [ "${lines[4]}" = 1000 ]
    [ "${lines[5]}" = 1001 ]
}

@test "-e NAME takes the value of the caller, --env-file a file of them" {
    printf '# comment\nFROM_FILE=yes\n' > "$BATS_TEST_TMPDIR/env"
    COLOUR=green run -0 berth run --rm -e COLOUR --env-file "$BATS_TEST_TMPDIR/env" busybox sh -c 'echo $COLOUR $FROM_FILE'
    [ "$output" = "green yes" ]
}

@test "users are found by name in the image, digits are always ids" {
    run -0 berth run --rm -u nobody busybox id -un
    [ "$output" = nobody ]
    run -0 berth run --rm -u 4242 busybox id -u
    [ "$output" = 4242 ]
    run -125 berth run --rm -u nosuchuser busybox true
    expect_text nosuchuser
    run -125 berth run --rm -u 4294967296 busybox true
}

@test "--group-add adds groups by name and number" {
    run -0 berth run --rm -u 1000 --group-add 77 --group-add nogroup debian id -G
    [[ " $output " == *" 77 "* ]]
    [[ " $output " == *" 65534 "* ]]
}

@test "--init puts a small init before the program, which reaps" {
    run -0 berth run --rm --init busybox sh -c 'tr "\0" " " < /proc/1/cmdline; echo $$'
    [[ "${lines[0]}" == *init* ]]
    [ "${lines[1]}" != 1 ]
    run -5 berth run --rm --init busybox sh -c 'exit 5'
}

@test "--cidfile holds the id and is not overwritten" {
    run -0 berth run --rm --cidfile "$BATS_TEST_TMPDIR/cid" busybox true
    [ "$(wc -c < "$BATS_TEST_TMPDIR/cid")" = 64 ]
    run -125 berth run --rm --cidfile "$BATS_TEST_TMPDIR/cid" busybox true
}

@test "a name can be used once at a time, and is free again after rm" {
    berth create --name one busybox true
    run -1 berth create --name one busybox true
    expect_text one
    berth rm one
    berth create --name one busybox true
    berth rm one
}

@test "create, start, restart, wait, rename and rm go through a life" {
    id=$(berth create --name life busybox sh -c 'echo ran; exit 3')
    [ ${#id} = 64 ]
    [ "$(field life .State.Status)" = created ]
    [ "$(berth start life)" = life ]
    [ "$(berth wait life)" = 3 ]
    [ "$(field life .State.ExitCode)" = 3 ]
    [ "$(berth logs life)" = ran ]
    berth restart life
    [ "$(berth wait life)" = 3 ]
    berth rename life lives
    [ "$(berth ps -a --filter name=lives --format '{{.Names}}')" = lives ]
    [ "$(berth rm lives)" = lives ]
    run -1 berth inspect lives
}

@test "start -a of one that runs attaches to it" {
    id=$(berth run -d busybox sh -c 'while [ ! -e /go ]; do echo waits; sleep 0.1; done; echo went; exit 3')
    berth start -a "$id" > "$BATS_TEST_TMPDIR/attached" 2>&1 &
    wait_until 20 grep -q waits "$BATS_TEST_TMPDIR/attached"
    berth exec "$id" touch /go
    status=0
    wait $! || status=$?
    [ "$status" = 3 ]
    [ "$(uniq "$BATS_TEST_TMPDIR/attached")" = $'waits\nwent' ]
    id=$(berth run -d busybox sleep 1000)
    berth pause "$id"
    run -1 berth start -a "$id"
    expect_text "cannot attach to a paused container, unpause it first"
    berth unpause "$id"
}

# A container that never restarts and has ended: ended NAME
ended() {
    berth run --name "$1" busybox sh -c 'exit 3' || [ $? = 3 ]
    ended_claim=$BERTH_RUN/@monitors/$(field "$1" .Id).lock
}

@test "a command that works on a container for a moment is waited for, and nobody takes it for a run" {
    ended done
    hold_lock "$ended_claim"
    [ "$(field done .State.Status) $(field done .State.ExitCode)" = "exited 3" ]
    berth start done > "$BATS_TEST_TMPDIR/started" 2>&1 3>&- &
    starter=$!
    wait_until 20 has_open $starter "$ended_claim"
    release_lock
    wait $starter
    [ "$(cat "$BATS_TEST_TMPDIR/started")" = done ]
    berth wait done
    [ "$(field done .RestartCount) $(berth logs done | wc -l)" = "0 0" ]

    hold_lock "$ended_claim"
    berth rm done > "$BATS_TEST_TMPDIR/removed" 2>&1 3>&- &
    remover=$!
    wait_until 20 has_open $remover "$ended_claim"
    release_lock
    wait $remover
    [ "$(cat "$BATS_TEST_TMPDIR/removed")" = done ]
}

@test "rm -f finds the monitor of a container that another command is just starting" {
    ended begun
    # The start has the claim; its monitor listens a little later, and asks for nothing more here.
    hold_lock "$ended_claim"
    berth rm -f begun > "$BATS_TEST_TMPDIR/removed" 2>&1 3>&- &
    remover=$!
    wait_until 20 has_open $remover "$ended_claim"
    timeout 60 python3 -c '
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
name = os.path.basename(sys.argv[1])
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(name)
server.listen()
server.accept()
os.unlink(name)' "${ended_claim%.lock}.sock"
    release_lock
    wait $remover
    [ "$(cat "$BATS_TEST_TMPDIR/removed")" = begun ]
}

@test "a run whose start is not recorded yet is not told by the one before it" {
    berth run -d --name young busybox sleep 1000
    life=$BERTH_DATA/containers/$(field young .Id)/life.json
    started=$(date -d "$(field young .Created)" +%s)
    for life_before in '' '{"started": 10, "finished": 20, "exitStatus": 3}'; do
        rm -f "$life"
        [ -z "$life_before" ] || echo "$life_before" > "$life"
        [ "$(field young .State.Status) $(field young .State.ExitCode)" = "running 0" ]
        [ "$(date -d "$(field young .State.StartedAt)" +%s)" -ge "$started" ]
        run -0 berth ps --filter name=young --format '{{.Status}}'
        [[ "$output" == Up* && "$output" != *years* ]]
    done
}

# again OUTPUT COMMAND...: over and over until the file "stop" is there, with what it says.
again() {
    local file=$1
    shift
    while [ ! -e "$BATS_TEST_TMPDIR/stop" ]; do
        timeout 60 "$@" >> "$file" 2>&1 || echo "status $?" >> "$file"
    done
}

@test "commands at once on a container that comes and goes: each is told what a person would see" {
    cd "$BATS_TEST_TMPDIR"
    echo text > text
    jobs=''
    while read -r number command; do
        # shellcheck disable=SC2086
        again "said.$number" berth $command 3>&- < /dev/null &
        jobs="$jobs $!"
    done << 'END'
1 run -d --name busy busybox sleep 1000
2 start busy
3 rm -f busy
4 restart -t 0 busy
5 kill busy
6 pause busy
7 unpause busy
8 exec busy true
9 cp text busy:/text
10 export -o exported busy
11 rename busy other
12 rename other busy
13 update --pids-limit 50 busy
14 logs busy
15 commit busy
16 top busy
17 diff busy
18 inspect --format {{.State.Status}} busy
END
    sleep 8
    touch stop
    # shellcheck disable=SC2086
    wait $jobs
    # No paths of the store, no whole ids, nothing that waits for ever; and never the host's files.
    run -1 grep -E 'No such file|containers/|container.json|No such process|Broken pipe|status 124' said.*
    run -1 grep -E '^berth.*[0-9a-f]{64}' said.*
    run -1 grep restarting said.18
    [ ! -e exported ] || [ -z "$(tar -tf exported | grep -E '^(proc/[0-9]|root/.)' | head -3)" ]
    berth rm -f busy other
}

@test "pause of a paused container and unpause of another say so in a sentence" {
    id=$(berth run -d busybox sleep 1000)
    run -1 berth unpause "$id"
    [ "$output" = "berth: container ${id:0:12} is not paused" ]
    berth pause "$id"
    run -1 berth pause "$id"
    [ "$output" = "berth: container ${id:0:12} is paused already" ]
    berth unpause "$id"
    berth kill "$id"
    berth wait "$id"
    for command in pause unpause; do
        run -1 berth $command "$id"
        [ "$output" = "berth: container ${id:0:12} is not running" ]
    done
}

@test "--network slirp4netns leads out, and a published port in, over a restart" {
    local port
    [ -c /dev/net/tun ] || skip "without /dev/net/tun there is no interface for slirp4netns"
    port=$(free_port)
    berth run -d --name served --network slirp4netns -p "127.0.0.1:$port:80" busybox \
        sh -c 'while true; do echo served | nc -l -p 80; done' > /dev/null
    wait_until 90 eval '[ "$(read_port '"$port"')" = served ]'
    run -0 berth exec served sh -c 'ip -o -4 addr show dev tap0; ip route; cat /etc/resolv.conf; ping -c 1 10.0.2.2'
    expect_text "inet 10.0.2.100/24"
    expect_text "default via 10.0.2.2 dev tap0"
    expect_text "nameserver 10.0.2.3"
    expect_text " 0% packet loss"
    [ "$(berth port served)" = "80/tcp -> 127.0.0.1:$port" ]
    berth restart -t 0 served
    wait_until 90 eval '[ "$(read_port '"$port"')" = served ]'
    berth kill served
    # With the container its network goes, and the port is free for another.
    wait_until 20 eval '! read_port '"$port"
    run -1 pgrep -f "slirp4netns.*$BERTH_RUN/"
}

@test "no more free ports than there are: publish says so instead of looking for ever" {
    [ -c /dev/net/tun ] || skip "without /dev/net/tun there is no interface for slirp4netns"
    # shellcheck disable=SC2016 # the inner shell's arguments
    few() { timeout 60 unshare -n sh -c 'echo 60000 60001 > /proc/sys/net/ipv4/ip_local_port_range; exec "$@"' sh berth create --network slirp4netns "$@"; }
    few --name two -p 80 -p 81 busybox true
    [ "$(berth inspect -f '{{json .HostConfig.PortBindings}}' two | jq -r '.[][].HostPort' | sort | xargs)" = "60000 60001" ]
    run -1 few -p 80 -p 81 -p 82 busybox true
    expect_text "--publish: find a free port of 0.0.0.0: Address already in use"
}

@test "start -a prints the output and gives the status" {
    berth create --name again busybox sh -c 'echo once more; exit 4'
    run -4 berth start -a again
    [ "$output" = "once more" ]
}

@test "stop sends the stop signal, then kills" {
    berth run -d --name polite busybox sh -c 'trap "echo bye; exit 9" USR1; echo up; while :; do sleep 0.1; done' > /dev/null
    wait_until 20 bash -c 'berth logs polite | grep -q up'
    berth kill -s USR1 polite
    [ "$(berth wait polite)" = 9 ]
    berth run -d --name signalled --stop-signal USR2 busybox sh -c 'trap "exit 8" USR2; echo up; while :; do sleep 0.1; done' > /dev/null
    wait_until 20 bash -c 'berth logs signalled | grep -q up'
    [ "$(berth stop signalled)" = signalled ]
    [ "$(field signalled .State.ExitCode)" = 8 ]
    berth run -d --name stubborn busybox sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done' > /dev/null
    wait_until 20 bash -c 'berth logs stubborn | grep -q up'
    begin=$(date +%s%N)
    berth stop -t 1 stubborn
    took=$((($(date +%s%N) - begin) / 1000000))
    [ "$(field stubborn .State.ExitCode)" = 137 ]
    [ $took -ge 900 ]
    [ $took -lt 9000 ] # without -t it is 10 s
}

@test "stop and rm -f do not wait for ever for a monitor that missed the end" {
    command -v strace > /dev/null || skip "needs strace"
    id=$(berth run -d busybox sleep 1000)
    monitor=$(ps -o ppid= -p "$(field "$id" .State.Pid)" | xargs)
    strace -qq -p "$monitor" -e trace=wait4 -e inject=wait4:error=ECHILD -o /dev/null 3>&- &
    tracer=$!
    wait_until 20 grep -q "^TracerPid:.*$tracer$" "/proc/$monitor/status"
    begin=$(date +%s)
    run -1 timeout 100 berth stop -t 0 "$id"
    [ $(($(date +%s) - begin)) -ge 19 ] # it may just take long
    expect_text "container ${id:0:12} has ended, but its monitor, process $monitor, did not notice within 20 seconds: \`kill -9 $monitor\`, and the next command cleans up"
    run -1 timeout 100 berth rm -f "$id"
    expect_text "its monitor, process $monitor, did not notice"
    kill -9 "$monitor"
    wait $tracer || true
    [ "$(berth ps -a --format '{{.State}}' --filter "id=$id")" = exited ]
    [ "$(field "$id" .State.ExitCode)" = 137 ]
}

@test "stop, kill and rm -f do not wait for ever for a monitor that is stopped" {
    id=$(berth run -d busybox sleep 1000)
    monitor=$(ps -o ppid= -p "$(field "$id" .State.Pid)" | xargs)
    kill -STOP "$monitor"
    for command in "stop -t 0" kill "rm -f"; do
        # shellcheck disable=SC2086
        timeout 100 berth $command "$id" 2> "$BATS_TEST_TMPDIR/${command%% *}" 3>&- &
        waiting+=($!)
    done
    for pid in "${waiting[@]}"; do
        ended=0
        wait "$pid" || ended=$?
        [ "$ended" = 1 ]
    done
    for command in stop kill rm; do
        run -0 cat "$BATS_TEST_TMPDIR/$command"
        expect_text "monitor, process $monitor, is stopped by a signal or a debugger, and did not go on within 20 seconds: \`kill -CONT $monitor\` lets it"
    done
    # Nothing happened to the container, and with the monitor all works again.
    [ "$(field "$id" .State.Status)" = running ]
    kill -CONT "$monitor"
    run -0 berth rm -f "$id"
}

@test "signals to the CLI reach the program" {
    berth run --name proxied busybox sh -c 'trap "exit 21" TERM; echo ready; while :; do sleep 0.1; done' > "$BATS_TEST_TMPDIR/out" &
    pid=$!
    wait_until 20 grep -q ready "$BATS_TEST_TMPDIR/out"
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ $status = 21 ]
}

@test "pause freezes, unpause thaws" {
    berth run -d --name frozen busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i >> /tmp/i; done' > /dev/null
    wait_until 20 berth exec frozen test -s /tmp/i
    berth pause frozen
    [ "$(field frozen .State.Status)" = paused ]
    [[ "$(berth ps --format '{{.Status}}')" == *"(Paused)"* ]]
    run berth exec frozen true
    [ "$status" != 0 ]
    expect_text paused
    berth unpause frozen
    [ "$(field frozen .State.Status)" = running ]
    berth exec frozen true
    berth pause frozen
    berth rm -f frozen
}

@test "exec sees the same PID 1, its environment and status" {
    berth run -d --name host1 -e X=inherited busybox sleep 1000 > /dev/null
    run -0 berth exec host1 sh -c 'tr "\0" " " < /proc/1/cmdline; echo; echo $X; readlink /proc/self/ns/pid'
    [[ "${lines[0]}" == "sleep 1000"* ]]
    [ "${lines[1]}" = inherited ]
    # The guest's kernel has other numbers.
    [ -n "${BERTH_ISOLATION:-}" ] || [ "${lines[2]}" = "$(readlink /proc/"$(field host1 .State.Pid)"/ns/pid)" ]
    run -3 berth exec host1 sh -c 'exit 3'
    run -127 berth exec host1 no-such-program
    run -126 berth exec host1 /etc
    run -0 bash -c 'echo fed | berth exec -i host1 cat'
    [ "$output" = fed ]
    run -0 berth exec -u nobody -w /tmp -e Y=2 host1 sh -c 'id -un; pwd; echo $Y'
    [ "${lines[0]}" = nobody ]
    [ "${lines[1]}" = /tmp ]
    [ "${lines[2]}" = 2 ]
    berth exec -d host1 touch /tmp/made
    wait_until 20 berth exec host1 test -e /tmp/made
}

# Reads slower than anybody writes, and never ends by itself.
read_slowly() { python3 -c 'import os, time
while os.read(0, 4096): time.sleep(0.02)'; }

@test "exec ends with its program, though another one goes on writing" {
    berth run -d --name noisy busybox sleep 1000
    export -f read_slowly
    run -0 bash -c 'timeout 60 berth exec noisy sh -c "yes & sleep 0.2" | read_slowly; exit ${PIPESTATUS[0]}'
}

@test "a container ends though another one, to which it gave its output, goes on writing" {
    local script='
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("/share/socket")
listener.listen()
_, fds, _, _ = socket.recv_fds(listener.accept()[0], 1, 1)
while True: os.write(fds[0], b"y\n" * 30000)'
    mkdir "$BATS_TEST_TMPDIR/share"
    berth run -d --name taker -v "$BATS_TEST_TMPDIR/share:/share" debian python3 -c "$script"
    wait_until 20 test -S "$BATS_TEST_TMPDIR/share/socket"
    berth run -d --name giver -v "$BATS_TEST_TMPDIR/share:/share" debian python3 -c '
import socket, time
peer = socket.socket(socket.AF_UNIX)
peer.connect("/share/socket")
socket.send_fds(peer, [b"x"], [1])
time.sleep(3)'
    # The writer is always faster.
    timeout 60 strace -qq -e trace=read -e inject=read:delay_exit=5000 -o /dev/null \
        -p "$(pgrep -f "berth-monitor $BERTH_DATA .* $(field giver .Id)")" &
    run -0 timeout 30 berth wait giver
    wait $! || true
    [ "$output" = 0 ]
}

@test "exec and a stopped container: one sentence" {
    berth create --name idle busybox true
    run -1 berth exec idle true
    expect_text "not running"
}

@test "restart policies: on-failure restarts so often, a stop ends it" {
    berth run -d --name tries --restart on-failure:2 busybox sh -c 'echo try; exit 1' > /dev/null
    wait_until 30 bash -c '[ "$(berth inspect --format "{{.State.Status}} {{.RestartCount}}" tries)" = "exited 2" ]'
    [ "$(berth logs tries | grep -c try)" = 3 ]
    berth run -d --name always --restart always busybox sh -c 'echo go; sleep 0.1' > /dev/null
    wait_until 30 bash -c '[ "$(berth logs always | grep -c go)" -ge 3 ]'
    berth stop always
    [ "$(field always .State.Status)" = exited ]
    sleep 1
    [ "$(field always .State.Running)" = false ]
}

@test "--rm removes the container, its files and anonymous volumes" {
    before=$(picture)
    berth run --rm -v /data busybox sh -c 'echo x > /data/x'
    expect_picture "$before"
}

@test "fifty containers in a row leave nothing behind" {
    berth run --rm busybox true
    before=$(picture)
    for _ in $(seq 50); do berth run --rm busybox true; done
    expect_picture "$before"
}

@test "twelve containers at once all run, again and again" {
    before=$(picture)
    for _ in 1 2 3 4 5 6; do
        pids=()
        for i in $(seq 12); do
            berth run --rm busybox echo "n$i" > "$BATS_TEST_TMPDIR/out$i" &
            pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid"; done
        for i in $(seq 12); do [ "$(cat "$BATS_TEST_TMPDIR/out$i")" = "n$i" ]; done
    done
    expect_picture "$before"
}

@test "--label-file, --stop-timeout, -a and ps filters do as docker's" {
    printf '# comment\ncolour=green\n' > "$BATS_TEST_TMPDIR/labels"
    berth run -d --name labelled --label-file "$BATS_TEST_TMPDIR/labels" -l size=big --stop-timeout 1 busybox \
        sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done' > /dev/null
    berth create --name other busybox true > /dev/null
    [ "$(berth ps -q --no-trunc --filter label=colour=green)" = "$(field labelled .Id)" ]
    [ "$(berth ps -a --filter status=created --format '{{.Names}}')" = other ]
    [ "$(berth ps -a --filter name=lab --format '{{.Names}}: {{.Label "size"}}')" = "labelled: big" ]
    wait_until 20 bash -c 'berth logs labelled | grep -q up'
    begin=$(date +%s%N)
    berth stop labelled > /dev/null
    [ $((($(date +%s%N) - begin) / 1000000)) -lt 9000 ] # without --stop-timeout it is 10 s
    run -0 berth run --rm -a stderr busybox sh -c 'echo out; echo err >&2'
    [ "$output" = err ]
}

@test "--annotation reaches the runtime, and berth's own are set by options only" {
    id=$(berth run -d --name noted --annotation org.example.a=1 --annotation b busybox sleep 1000)
    [ "$(field noted '(index .HostConfig.Annotations "org.example.a")')" = 1 ]
    # Those of berth's own say what a microVM is.
    annotations() {
        berth-oci --root "$BERTH_RUN" state "$id" |
            jq -cS '.annotations | with_entries(select(.key | startswith("run.berth.") | not))'
    }
    [ "$(annotations)" = '{"b":"","org.example.a":"1"}' ]
    berth update -c 512 noted
    berth restart -t 0 noted
    [ "$(annotations)" = '{"b":"","org.example.a":"1"}' ]
    # What the runtime does not do by an annotation is said, as for any bundle.
    run -125 berth run --rm --annotation run.oci.handler=krun busybox true
    expect_text "annotation run.oci.handler: is not supported"
    run -125 berth run --rm --annotation run.berth.isolation=microvm busybox true
    expect_text "--annotation 'run.berth.isolation': those that begin with run.berth. are set by options"
}

@test "inspect: fields where scripts look for them, several objects, a template over maps" {
    berth create --name seen -e A=1 -l k=v -m 64m --restart on-failure:3 busybox echo hi > /dev/null
    [ "$(field seen .Name)" = /seen ]
    [ "$(field seen .Config.Image)" = busybox ]
    [ "$(field seen .HostConfig.RestartPolicy.Name)" = on-failure ]
    [ "$(berth inspect -f '{{index .Config.Labels "k"}}' seen)" = v ]
    [ "$(berth inspect -f '{{json .Config.Cmd}}' seen)" = '["echo","hi"]' ]
    [ "$(berth inspect seen busybox | jq length)" = 2 ]
    run -1 berth inspect no-such-thing
    expect_text "[]"
    [ "$(berth inspect -f '{{range .Config.Env}}{{println .}}{{end}}' seen | grep -c '^A=1$')" = 1 ]
}

@test "inspect tells volumes and mounts as docker does, and what is not there as empty" {
    berth create --name full -v made:/data:ro -v /anonymous -v /tmp:/host \
        --mount type=bind,src=.,dst=/here --tmpfs /scratch:size=1m --mount type=tmpfs,dst=/other \
        --mount type=volume,dst=/unnamed busybox > /dev/null
    [ "$(berth inspect -f '{{json .HostConfig.Binds}}' full)" = '["made:/data:ro","/tmp:/host"]' ]
    run -0 berth inspect -f '{{range .Mounts}}{{.Type}}={{.Name}};{{end}}' full
    [[ $output =~ ^"volume=made;volume="[0-9a-f]{64}";bind=;bind=;tmpfs=;volume="[0-9a-f]{64}";"$ ]]
    [ "$(berth inspect -f '{{json .HostConfig.Tmpfs}}' full)" = '{"/scratch":"size=1m"}' ]
    [ "$(berth inspect -f '{{json .Config.Volumes}}' full)" = '{"/anonymous":{}}' ]
    [ "$(berth inspect -f '{{(index .Mounts 3).Source}}' full)" = "$PWD" ]
    run -0 berth inspect -f '{{.Config.ExposedPorts}} {{.HostConfig.CapAdd}} {{.Config.StopTimeout}}' full
    [ "$output" = "map[] [] <nil>" ]
    run -1 berth inspect -f '{{.Config.Mistake}}' full
    expect_text 'map has no entry for key "Mistake"'
    berth rm -v full > /dev/null
    berth volume rm made > /dev/null
}

@test "--dns, --dns-search and --dns-option are in resolv.conf, --expose in inspect" {
    berth run --name asks --dns 192.0.2.1 --dns 2001:db8::1 --dns-search a.example --dns-opt ndots:2 \
        --expose 80-81 --expose 53/udp --cgroupns private busybox \
        sh -c 'grep -E "^(nameserver|search|options)" /etc/resolv.conf' > "$BATS_TEST_TMPDIR/file"
    printf 'nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example\noptions ndots:2\n' |
        cmp - "$BATS_TEST_TMPDIR/file"
    [ "$(berth inspect -f '{{.HostConfig.Dns}} {{json .Config.ExposedPorts}}' asks)" = \
        '[192.0.2.1 2001:db8::1] {"80/tcp":{},"81/tcp":{},"53/udp":{}}' ]
    run -125 berth run --rm --dns one.example busybox true
    [ "$output" = "berth: --dns 'one.example': give an IPv4 or IPv6 address" ]
    run -125 berth run --rm --cgroupns host busybox true
    expect_text "the cgroup namespace is always private"
}

@test "info answers what tools of docker's users ask" {
    run -0 berth info --format '{{.DefaultRuntime}} {{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.LiveRestoreEnabled}} {{.ExperimentalBuild}} {{.IndexServerAddress}}'
    [ "$output" = "berth inactive false true false https://index.docker.io/v1/" ]
    [ "$(berth info --format '{{range $name, $runtime := .Runtimes}}{{$name}} {{$runtime.Path}}{{end}}')" = "berth berth-oci" ]
    [ "$(berth info --format '{{index .SecurityOptions 0}} {{json .Labels}}')" = 'name=seccomp,profile=builtin []' ]
    [ "$(berth info --format '{{json .}}' | jq -r '.Swarm.LocalNodeState + .Runtimes.berth.path')" = inactiveberth-oci ]
}

@test "top and wait take several forms" {
    berth run -d --name many busybox sh -c 'sleep 50 & sleep 51' > /dev/null
    wait_until 20 bash -c '[ "$(berth top many | wc -l)" -ge 3 ]'
    run -0 berth top many -o pid,args
    expect_text "sleep 51"
    run -0 berth top many axf -o pid,args # f, which ps does not take beside a list of processes
    expect_text "sleep 51"
    berth run -dt --name shown busybox sleep 52 > /dev/null
    run -0 berth top shown -o pid,args # another terminal, or none, than the caller's
    expect_text "sleep 52"
    berth kill many > /dev/null
    berth create --name quick busybox sh -c 'exit 4' > /dev/null
    berth start quick > /dev/null
    run -0 berth wait many quick
    [ "${lines[0]}" = 137 ]
    [ "${lines[1]}" = 4 ]
}
