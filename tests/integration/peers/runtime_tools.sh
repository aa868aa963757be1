#!/usr/bin/env bash
# Builds the validation suite of runtime-tools, once.
#
#   tests/integration/peers/runtime_tools.sh FOLDER
#
# FOLDER then has bin/ with the suite's programs, runtimetest and the root that they run it in. The
# packages that Debian builds of runtime-tools have its libraries only, so the suite comes from the
# source package: of this machine's release, else of the next, as mirrors do not keep the sources of
# all. What the source needs are Debian's packages of Go libraries; one that Debian does not have is
# tap.go, in our words. Ends with 77 when it cannot be had.
set -eu

here=$(dirname "$(realpath "$0")")
folder=$(realpath -m "$1")
[ ! -d "$folder/bin" ] || exit 0
lack() { echo "runtime-tools: $*" >&2; exit 77; }
command -v go > /dev/null || lack "needs Go: apt-get install golang-go"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial
# Where this machine's packages come from.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p)
for suite in "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" trixie; do
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > sources.list
    options=(-q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update > log 2>&1 || continue
    # The archive alone is enough, and its hash was compared when it has its name.
    apt-get "${options[@]}" source --download-only golang-github-opencontainers-runtime-tools >> log 2>&1 || true
    archive=$(find . -maxdepth 1 -name 'golang-github-opencontainers-runtime-tools_*.orig.tar.*' | head -1)
    [ -z "$archive" ] || break
done
[ -n "${archive:-}" ] || {
    tail -n 5 log >&2
    lack "its source package could not be downloaded"
}

source=src/github.com/opencontainers/runtime-tools
mkdir -p $source src/github.com/mndrix/tap-go "$folder.new/bin"
tar -xf "$archive" -C $source --strip-components 1
cp "$here/tap.go" src/github.com/mndrix/tap-go/
export GO111MODULE=off GOPROXY=off GOFLAGS='' GOPATH=$work:/usr/share/gocode GOCACHE=$work/cache
(
    cd $source
    go build -tags "netgo osusergo" -ldflags "-extldflags -static" -o "$folder.new/runtimetest" ./cmd/runtimetest
    go build -o "$folder.new/bin/" ./validation/...
    cp rootfs-amd64.tar.gz "$folder.new/"
)
rm -rf "$folder"
mv "$folder.new" "$folder"
