load peers

# Slurm on one machine: a controller and two nodes, "one" and "two", told apart by their ports on
# loopback. Each node runs the bundle of a job by the lines of oci.conf.

setup_file() {
    local host
    peer_begin
    mkdir -p "$PEER"/{etc,spool,state,log,bundle}
    host=$(hostname -s)
    cat > "$PEER/etc/slurm.conf" <<EOF
ClusterName=berth
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$PEER/munge.sock
StateSaveLocation=$PEER/state
SlurmdSpoolDir=$PEER/spool/%n
SlurmctldPidFile=$PEER/controller.pid
SlurmdPidFile=$PEER/%n.pid
SlurmctldLogFile=$PEER/log/controller
SlurmdLogFile=$PEER/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
KillWait=2
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=26818 CPUs=2 RealMemory=500
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=26819 CPUs=2 RealMemory=500
PartitionName=all Nodes=one,two Default=YES MaxTime=10 State=UP
EOF
    readme_lines '^RunTime' > "$PEER/etc/oci.conf"
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' > "$PEER/etc/cgroup.conf"
    make_root "$PEER/bundle/rootfs"
    "$OCI" spec -b "$PEER/bundle"
    mkdir "$PEER/share"
    jq --arg share "$PEER/share" '.process.terminal = false | .hostname = "inside" |
        .mounts += [{ destination: "/share", type: "bind", source: $share, options: ["bind"] }]' \
        "$PEER/bundle/config.json" > "$PEER/config.json"
    mv "$PEER/config.json" "$PEER/bundle/config.json"

    export SLURM_CONF=$PEER/etc/slurm.conf
    head -c 1024 /dev/urandom > "$PEER/munge.key"
    chmod 400 "$PEER/munge.key"
    export BERTH_PEER_SERVER=$PEER
    munged --force --key-file="$PEER/munge.key" --socket="$PEER/munge.sock" \
        --pid-file="$PEER/munge.pid" --log-file="$PEER/munge.log" --seed-file="$PEER/munge.seed" 3>&-
    slurmctld -i 3>&-
    slurmd -N one 3>&-
    slurmd -N two 3>&-
    unset BERTH_PEER_SERVER
    wait_until 60 are_idle
}

teardown_file() {
    local file
    for file in one two controller munge; do
        kill "$(cat "$PEER/$file.pid")" || true
    done
    peer_end
}

are_idle() { [ "$(sinfo -h -N -o '%N=%t')" = $'one=idle\ntwo=idle' ]; }
is_running() { squeue -h -t R -n "$1" -o %N | grep -q .; }
has_no_containers() { [ -z "$("$OCI" --root "$PEER/run" list -q)" ]; }
on_two_nodes() { timeout 60 srun -l -N2 --container="$PEER/bundle" "$@"; }

teardown() {
    wait_until 30 are_idle
    wait_until 30 has_no_containers
}

@test "slurm: the same bundle runs on two nodes, with the output of both" {
    run -0 on_two_nodes sh -c 'echo "on $(hostname) pid $$"'
    [[ "$output" == *"0: on inside pid 1"* ]]
    [[ "$output" == *"1: on inside pid 1"* ]]
}

@test "slurm: the exit status is that of the program" {
    run -7 on_two_nodes sh -c 'exit 7'
    run ! on_two_nodes does-not-exist
    expect_text 'executable file not found in $PATH'
}

@test "slurm: standard input reaches the program" {
    run -0 on_two_nodes cat <<< typed
    expect_text "0: typed"
    expect_text "1: typed"
}

@test "slurm: a batch job runs its script in the bundle" {
    printf '#!/bin/sh\necho "batch in $(hostname)"\n' > "$PEER/job.sh"
    sbatch --wait -N2 --container="$PEER/bundle" -o "$PEER/out" "$PEER/job.sh"
    grep -x "batch in inside" "$PEER/out"
}

@test "slurm: a cancelled job ends on both nodes, after it was asked to" {
    on_two_nodes -J endless sh -c 'trap "touch /share/$(cat /proc/sys/kernel/random/uuid); exit" TERM
        echo up; while :; do sleep 0.1; done' > "$PEER/endless" 2>&1 3>&- &
    wait_until 30 bash -c "[ \"\$(grep -c up $PEER/endless)\" = 2 ]"
    scancel -n endless
    wait_until 30 bash -c "[ \"\$(ls $PEER/share | wc -l)\" = 2 ]"
    wait_until 30 has_no_containers
}
