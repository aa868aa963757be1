include tests/fuzz/local.mk

# `make check` runs them; scripts/check builds them first, then runs each with a line per case.
build-tests: $(check_PROGRAMS)

# Ratios measured in one run; never a pass or a fail.
noinst_PROGRAMS += tests/bench/floor
tests_bench_floor_SOURCES = tests/bench/floor.c
tests_bench_floor_CFLAGS = -O2 -w
noinst_PROGRAMS += tests/bench/bench_cgroups
tests_bench_bench_cgroups_SOURCES = tests/bench/bench_cgroups.c
tests_bench_bench_cgroups_LDADD = libcgroups.a libbase.a -ljansson
tests_bench_bench_cgroups_CFLAGS = $(BERTH_CFLAGS) $(BERTH_PROGRAM_CFLAGS)
tests_bench_bench_cgroups_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

# What integration tests run inside containers; never instrumented.
noinst_PROGRAMS += tests/payload/payload
tests_payload_payload_SOURCES = tests/payload/payload.c
tests_payload_payload_CFLAGS = -std=gnu17 -O1 -Wall -Wextra
tests_payload_payload_LDFLAGS = -static

bench: all
	BERTH_BUILD=$(abs_top_builddir) $(top_srcdir)/tests/bench/bench.sh

bench-vm: all build-tests
	BERTH_BUILD=$(abs_top_builddir) $(top_srcdir)/tests/bench/bench_vm.sh

lint:
	cd $(top_srcdir) && for script in tests/lint/check_*.sh; do $$script || exit 1; done

format:
	cd $(top_srcdir) && clang-format -i $$(git ls-files '*.c' '*.h')

check-integration: all
	cd $(top_srcdir) && BERTH_BUILD=$(abs_top_builddir) bats tests/integration

.PHONY: build-tests bench bench-vm lint format check-integration
