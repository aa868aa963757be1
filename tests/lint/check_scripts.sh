#!/bin/sh
# Every shell script passes shellcheck.
set -eu
cd "$(dirname "$0")/../.."
# Words of the shell that others source, and bats' own language, are not its business.
exec shellcheck -x -S warning -e SC2034 -e SC1091 \
    .ci/run scripts/check scripts/quickstart tests/bench/bench.sh tests/lint/*.sh \
    tests/testvm/testvm tests/testvm/guest.sh tests/testvm/suite
