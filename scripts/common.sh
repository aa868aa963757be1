# Shared by the scripts: packages, root, messages. Sourced, not run.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs a command as root: directly, or by sudo or doas.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    elif command -v doas > /dev/null; then
        doas "$@"
    else
        fail "root is needed for '$*', and there is neither sudo nor doas"
    fi
}

BUILD_PACKAGES="autoconf automake make gcc libc6-dev pkg-config libjansson-dev libcap-dev
    libseccomp-dev libarchive-dev libssl-dev libzstd-dev libisal-dev libsystemd-dev
    libcurl4-openssl-dev"
IMAGE_PACKAGES="busybox-static mmdebstrap"
TEST_PACKAGES="bats libcmocka-dev python3 procps util-linux jq skopeo podman runc expect
    shellcheck clang-format strace uidmap umoci xz-utils zstd docker-registry iproute2
    erofs-utils slirp4netns fuse-overlayfs"
# What tests/testvm needs.
VM_PACKAGES="qemu-system-x86 busybox-static cpio kmod mmdebstrap e2fsprogs xz-utils"
# What scripts/check --integration-peers needs besides: engines that call berth-oci.
PEER_PACKAGES="podman conmon catatonit expect iproute2 containerd umoci docker.io tini
    slurm-wlm munge $VM_PACKAGES criu golang-go golang-github-google-uuid-dev
    golang-github-opencontainers-runtime-tools-dev"

# install_packages NAME...: those that are missing, with the distribution's package manager.
install_packages() {
    local missing=() name
    if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
        say "This is neither Debian nor Ubuntu: install these packages (or what they are called here) yourself: $*"
        return 0
    fi
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2> /dev/null | grep -q '^install ok installed$' ||
            missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return 0
    say "Installing packages: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        "${missing[@]}" > /dev/null 2>&1 || {
        as_root apt-get update -q > /dev/null ||
            fail "apt-get update failed: is the network there?"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
            --no-install-recommends "${missing[@]}" > /dev/null ||
            fail "these packages could not be installed: ${missing[*]}"
    }
}

# make_quietly DIR TARGET: the log goes into DIR/build.log; a terminal sees how far it is.
make_quietly() {
    local log="$1/build.log" pid
    make -C "$1" -j"$(nproc)" --no-print-directory "$2" > "$log" 2>&1 &
    pid=$!
    while [ -t 1 ] && kill -0 $pid 2> /dev/null; do
        printf '\r%s steps' "$(grep -c '^  ' "$log")"
        sleep 0.2
    done
    [ -t 1 ] && printf '\r%-20s\r' ''
    wait $pid && return
    grep -E -A8 'error:|undefined reference|\*\*\*' "$log" | head -60 >&2
    fail "the build failed: all that it said is in $log"
}

# build_in DIR CONFIGURE-OPTION...: configures once, then makes.
build_in() {
    local dir=$1
    shift
    [ -x configure ] && [ configure -nt configure.ac ] || autoreconf -fi > /dev/null 2>&1 ||
        { autoreconf -fi; fail "autoreconf failed"; }
    mkdir -p "$dir"
    if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.options" 2> /dev/null)" != "$*" ]; then
        (cd "$dir" && ../configure -q "$@") || fail "configure failed"
        printf '%s' "$*" > "$dir/.options"
    fi
    make_quietly "$dir" all
}
