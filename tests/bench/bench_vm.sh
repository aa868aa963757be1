#!/usr/bin/env bash
# What a microVM costs, beside QEMU's microvm machine, both by KVM in the test machine: bench_vm.py.
#
#   make bench-vm        (or BERTH_BUILD=build tests/bench/bench_vm.sh [RUNS])
#
# The test machine counts instructions instead of time (tests/testvm --icount), so its figures hold on
# a busy machine too, and come out the same each time to 0.1 %. It takes ten to thirty minutes. What is
# fetched and made, an image and a kernel, is kept in the folder of the built programs.
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "${BERTH_BUILD:?folder of the built programs}")
data=$build/bench-vm
mkdir -p "$data/run"
export BERTH_DATA=$data/data BERTH_RUN=$data/run
"$build/berth" image inspect busybox > /dev/null 2>&1 || "$build/berth" image make busybox > /dev/null
[ -n "$("$build/berth" vm kernel ls --format '{{.Name}}')" ] ||
    "$build/berth" vm kernel import --package linux-image-cloud-amd64 > /dev/null
exec tests/testvm/testvm --icount --memory 3072 --copy "$data" --timeout 3000 -- \
    python3 tests/bench/bench_vm.py "$build" "$data" "${1:-2}"
