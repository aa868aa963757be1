#!/bin/bash
# Kills commands that change the store at random moments, and looks at what that leaves behind.
#
#   store_faults.sh DIRECTORY PORT
#
# PORT is free, for a registry.
# STORE_KILLS says how often (default 200), STORE_SEED where chance begins. The kills are spread over
# load, import, commit, pull, rmi, prune and flatten. After each kill a small load and its rmi take the rest
# away, as the next commands of a user would; then every visible image has to be whole, and nothing of
# the killed command may be left in staging or trash. Prints a line for each violation, then how many
# points were tried; the status tells whether there was a violation.

set -u
cd "$1" || exit 2
export PYTHONPATH=${PYTHONPATH:-$(dirname "$0")} PYTHONDONTWRITEBYTECODE=1
kills=${STORE_KILLS:-200} RANDOM=${STORE_SEED:-5} violations=0 survived=0
output=$(mktemp)
trap 'kill $registry 2> /dev/null; rm -f "$output"' EXIT

violation() {
    echo "$*"
    violations=$((violations + 1))
}

python3 -c "
from oci_image import *
import random
noise = random.Random(1).randbytes
large = [tar([file('d%d/f%d' % (i % 30, i), noise(200)) for i in range(3000)]), tar([file('noise', noise(20000000))])]
l = Layout(); l.image('victim:1', [busybox()] + large, form='gzip'); l.write('victim.tar')
l = Layout(); l.image('small:1', [busybox()]); l.write('small.tar')
open('root.tar', 'wb').write(large[0])"

port=${2:?}
cat > registry.yml << END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $PWD/registry}}
http: {addr: "127.0.0.1:$port", secret: tests}
END
docker-registry serve registry.yml > registry.log 2>&1 3>&- &
registry=$!
remote=localhost:$port/victim:1

berth load -qi victim.tar > /dev/null || exit 2
berth tag victim:1 "$remote"
for ((try = 0; try < 200; try++)); do # until the registry listens
    ! berth push -q "$remote" > /dev/null 2>&1 || break
    sleep 0.3
done
[ $try -lt 200 ] || exit 2
# shellcheck disable=SC2016
berth run --name changed victim:1 sh -c 'for n in 1 2 3 4 5 6 7 8 9; do cp -r /d$n /copy$n 2> /dev/null; done; true' || exit 2

# What has to be there, or not, before a command.
prepare() {
    case $1 in
    load | pull) berth rmi -f victim:1 "$remote" > /dev/null 2>&1 ;;
    rmi | prune) berth load -qi victim.tar > /dev/null || violation "$1: prepare: load failed" ;;
    import | commit) berth rmi -f made:1 > /dev/null 2>&1 ;;
    flatten) rm -rf "$BERTH_DATA/erofs" ;;
    esac
    [ "$1" != prune ] || berth import root.tar > /dev/null
    [ "$1" != commit ] || berth image inspect victim:1 > /dev/null 2>&1 || berth load -qi victim.tar > /dev/null
}

arguments() {
    case $1 in
    load) line=(load -qi victim.tar) ;;
    pull) line=(pull -q "$remote") ;;
    import) line=(import root.tar made:1) ;;
    commit) line=(commit changed made:1) ;;
    rmi) line=(rmi -f victim:1) ;;
    prune) line=(image prune -f) ;;
    flatten) mapfile -t line < <(jq -r '"flatten", (.layers[] | split("/")[-2])' "$BERTH_DATA"/containers/*/container.json) ;;
    esac
}

# What is visible of an EROFS file is whole, and so is what is made where nothing was visible.
look_at_root() {
    local sum
    sum=$(sha256sum < "$(berth-image "${line[@]}")")
    [ "${whole:=$sum}" = "$sum" ] || violation "flatten at $point us: the file is another"
}

declare -A took
verbs=(load pull import commit rmi prune flatten)
for ((i = 0; i < kills; i++)); do
    verb=${verbs[i % ${#verbs[@]}]}
    prepare "$verb"
    arguments "$verb"
    program=berth
    [ "$verb" != flatten ] || program=berth-image
    if [ -z "${took[$verb]:-}" ]; then # how long it takes when nothing happens
        start=$(date +%s%N)
        $program "${line[@]}" > "$output" 2>&1 || violation "$verb: $(cat "$output")"
        took[$verb]=$((($(date +%s%N) - start) / 1000))
        prepare "$verb"
    fi
    point=$((took[$verb] * (RANDOM % 1000) / 1000))
    setsid $program "${line[@]}" > /dev/null 2>&1 &
    victim=$!
    sleep "$((point / 1000000)).$(printf '%06d' $((point % 1000000)))"
    kill -KILL -- -$victim 2> /dev/null || survived=$((survived + 1))
    wait $victim 2> /dev/null
    # The next commands.
    berth load -qi small.tar > /dev/null || violation "$verb at $point us: the next load failed"
    berth rmi small:1 > /dev/null || violation "$verb at $point us: the next rmi failed"
    berth system check -q > "$output" || violation "$verb at $point us: $(cat "$output")"
    [ "$verb" != flatten ] || look_at_root
done

berth rm changed > /dev/null
berth system prune -af > /dev/null
berth system check --deep -q > "$output" || violation "in the end: $(cat "$output")"
[ -z "$(berth images -q)" ] || violation "images are left"
# Who empties the trash behind a command does so when nobody else wants the processor.
for ((try = 0; try < 600; try++)); do
    [ -e "$BERTH_DATA/staging/trash.lock" ] || break
    sleep 0.1
done
[ -z "$(find "$BERTH_DATA"/{layers,erofs,staging,trash,ingest,names,images} -mindepth 1 ! -name .unsynced)" ] ||
    violation "files are left: $(find "$BERTH_DATA"/{layers,erofs,staging,trash,ingest,names,images} -mindepth 1 | head -5)"
echo "$kills kills, $survived came too late, $violations violations"
[ $violations = 0 ]
