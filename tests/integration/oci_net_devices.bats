load helper
OCI_SECONDS=60

# What berth-oci takes from the host for one container: network interfaces (linux.netDevices) and
# classes of cache and bandwidth (linux.intelRdt).

setup() {
    make_bundle sh ip cat sleep
    configure '.process.args = ["ip", "address"]'
    ip link add bnd0 type veth peer name bnd1
    ip link set bnd0 mtu 1400 up
    ip link set bnd1 up
    ip address add 10.91.8.7/24 dev bnd0
    ip address add 10.91.8.8/24 dev bnd0
    ip address add 10.91.9.1 peer 10.91.9.2/32 dev bnd0
    ip -6 address add fd91::5/64 dev bnd0 nodad
    mac=$(cat /sys/class/net/bnd0/address)
}

teardown() {
    local id
    delete_containers
    for id in bnd0 bnd1 bnd2 bnd3; do ip link del $id 2> /dev/null || true; done
    ip netns del bndns 2> /dev/null || true
}


expect_addresses() {
    expect_text "mtu 1400"
    expect_text "link/ether $mac"
    expect_text "inet 10.91.8.7/24 scope global $1"
    expect_text "inet 10.91.8.8/24 scope global secondary $1"
    expect_text "inet 10.91.9.1 peer 10.91.9.2/32 scope global $1"
    expect_text "inet6 fd91::5/64 scope global"
    expect_text ",UP"
}

@test "an interface moves into the container, keeps its addresses and is up" {
    configure '.linux.netDevices = {bnd0: {}}'
    run -0 oci run -b "$BUNDLE" moved
    expect_addresses bnd0
    # A virtual one ends with its namespace.
    run -1 ip link show bnd0
}

@test "an interface gets a new name, also by a template" {
    configure '.linux.netDevices = {bnd0: {name: "wan0"}, bnd1: {name: "wan%d"}}'
    run -0 oci run -b "$BUNDLE" moved
    expect_addresses wan0
    expect_text " wan1@wan0:"
}

@test "an interface moves into a container with a user namespace" {
    configure '.linux.netDevices = {bnd0: {name: "eth0"}} | .linux.namespaces += [{type: "user"}] |
        .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] |
        .linux.gidMappings = .linux.uidMappings'
    chown -R 100000:100000 "$BUNDLE/rootfs"
    run -0 oci run -b "$BUNDLE" moved
    expect_addresses eth0
}

@test "an interface moves into a namespace that is joined, and stays there" {
    ip netns add bndns
    configure '(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/bndns" |
        .linux.netDevices = {bnd0: {name: "eth0"}}'
    run -0 oci run -b "$BUNDLE" moved
    expect_addresses eth0
    run -0 ip -n bndns address show eth0
    expect_addresses eth0
}

@test "what cannot be moved is told, and nothing else has moved" {
    local change words
    while IFS='|' read -r change words; do
        configure ".linux.netDevices = $change"
        run -1 oci run -b "$BUNDLE" refused
        expect_text "$words"
        [ "${#lines[@]}" = 1 ]
        ip link show bnd0 > /dev/null
        ip link show bnd1 > /dev/null
        [ ! -e "$ROOT/refused" ]
    done << 'CASES'
{bnd0: {}, nosuch: {}}|linux.netDevices.nosuch: there is no interface of that name
{bnd0: {name: "lo"}}|linux.netDevices.bnd0: in the container: there is an interface 'lo' already
{bnd0: {name: "a b"}}|linux.netDevices.bnd0.name: 'a b' is not the name of an interface
{bnd0: {name: "e%s"}}|linux.netDevices.bnd0.name: 'e%s' is not the name of an interface
{bnd0: {name: "x"}, bnd1: {name: "x"}}|'x' is given to another one too
CASES
    configure '.linux.netDevices = {bnd0: {}} | .linux.namespaces |= map(select(.type != "network"))'
    run -1 oci run -b "$BUNDLE" refused
    expect_text "linux.netDevices: needs a network namespace"
}

@test "when one cannot be moved, those before it come back as they were" {
    ip link add bnd2 type bridge
    ip link set bnd2 up
    configure '.linux.netDevices = {bnd0: {name: "eth0"}, bnd2: {}}'
    run -1 oci run -b "$BUNDLE" refused
    expect_text "linux.netDevices.bnd2: move it"
    run -0 ip address show bnd0
    expect_addresses bnd0
    run -0 ip link show bnd2
    expect_text ",UP"
    [ ! -e "$ROOT/refused" ]
}

@test "intelRdt is refused where there is no resctrl, before anything is made" {
    ! mountpoint -q /sys/fs/resctrl || skip "resctrl is mounted"
    configure '.linux.intelRdt = {closID: "gold", l3CacheSchema: "L3:0=f"}'
    run -1 oci run -b "$BUNDLE" refused
    expect_text "linux.intelRdt: no resctrl file system is mounted on /sys/fs/resctrl"
    [ ! -e "$ROOT/refused" ]
    configure '.linux.intelRdt = {closID: "../x"}'
    run -1 oci run -b "$BUNDLE" refused
    expect_text "linux.intelRdt.closID: '../x' is not the name of a class"
}
