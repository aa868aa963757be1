# Fuzzing: each parser of untrusted bytes has a target tests/fuzz/fuzz_NAME.c and a corpus
# tests/fuzz/corpus/NAME/.
#
# `make check` runs tests/fuzz/replay_NAME: the corpus, and inputs that are mutated from it (see
# replay_main.c). By hand, from the top of the tree:
#
#     srcdir=. build/tests/fuzz/replay_NAME
#
# A search for new inputs needs clang and its libFuzzer (Debian: libclang-rt-dev), in a build
# directory of its own:
#
#     ../configure --enable-fuzz --enable-sanitizers CC=clang CFLAGS='-g -O1 -fsanitize=fuzzer-no-link'
#     make tests/fuzz/fuzz_NAME
#     mkdir -p found
#     tests/fuzz/fuzz_NAME -max_total_time=60 -handle_xfsz=0 found ../tests/fuzz/corpus/NAME
#
# It adds inputs that reach new code to found/, and writes one that fails to crash-*. That one goes
# into the corpus, with the fix and under a name that says what it shows.

fuzz_runtime_libs = libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson
# The targets are the child that these would start.
fuzz_archive_wraps = -Wl,--wrap=archive_child_start,--wrap=archive_child_end
fuzz_engine_libs = libengine.a libimage.a libunionfs.a $(fuzz_runtime_libs)

check_PROGRAMS += \
	tests/fuzz/replay_archive \
	tests/fuzz/replay_archive_stream \
	tests/fuzz/replay_cgroup \
	tests/fuzz/replay_criu_message \
	tests/fuzz/replay_decode \
	tests/fuzz/replay_documents_fields \
	tests/fuzz/replay_extract_archive \
	tests/fuzz/replay_guest_changes \
	tests/fuzz/replay_http \
	tests/fuzz/replay_limits \
	tests/fuzz/replay_log_line \
	tests/fuzz/replay_mount_plan \
	tests/fuzz/replay_reference \
	tests/fuzz/replay_registries \
	tests/fuzz/replay_scope \
	tests/fuzz/replay_seccomp \
	tests/fuzz/replay_spec_fields \
	tests/fuzz/replay_tar_reader \
	tests/fuzz/replay_template \
	tests/fuzz/replay_unpack \
	tests/fuzz/replay_user

tests_fuzz_replay_archive_SOURCES = tests/fuzz/fuzz_archive.c tests/fuzz/replay_main.c
tests_fuzz_replay_archive_LDADD = libimage.a libbase.a -larchive -lzstd -lcrypto -ljansson
tests_fuzz_replay_archive_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps)

tests_fuzz_replay_archive_stream_SOURCES = tests/fuzz/fuzz_archive_stream.c tests/fuzz/replay_main.c
tests_fuzz_replay_archive_stream_LDADD = libimage.a libbase.a -lcrypto -ljansson
tests_fuzz_replay_archive_stream_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps)

tests_fuzz_replay_cgroup_SOURCES = tests/fuzz/fuzz_cgroup.c tests/fuzz/replay_main.c
tests_fuzz_replay_cgroup_LDADD = libnetwork.a libcgroups.a libbase.a -ljansson

tests_fuzz_replay_criu_message_SOURCES = tests/fuzz/fuzz_criu_message.c tests/fuzz/replay_main.c
tests_fuzz_replay_criu_message_LDADD = $(fuzz_runtime_libs)

tests_fuzz_replay_decode_SOURCES = tests/fuzz/fuzz_decode.c tests/fuzz/replay_main.c
tests_fuzz_replay_decode_LDADD = libbase.a -ljansson

tests_fuzz_replay_documents_fields_SOURCES = tests/fuzz/fuzz_documents_fields.c tests/fuzz/replay_main.c
tests_fuzz_replay_documents_fields_LDADD = libimage.a libbase.a -ljansson

tests_fuzz_replay_extract_archive_SOURCES = tests/fuzz/fuzz_extract_archive.c tests/fuzz/replay_main.c
tests_fuzz_replay_extract_archive_LDADD = libunionfs.a libbase.a -larchive

tests_fuzz_replay_guest_changes_SOURCES = tests/fuzz/fuzz_guest_changes.c tests/fuzz/replay_main.c
tests_fuzz_replay_guest_changes_LDADD = $(fuzz_engine_libs)

tests_fuzz_replay_http_SOURCES = tests/fuzz/fuzz_http.c tests/fuzz/replay_main.c
tests_fuzz_replay_http_LDADD = libimage.a libbase.a -ljansson

tests_fuzz_replay_limits_SOURCES = tests/fuzz/fuzz_limits.c tests/fuzz/replay_main.c
tests_fuzz_replay_limits_LDADD = libnetwork.a libcgroups.a libbase.a -ljansson

tests_fuzz_replay_log_line_SOURCES = tests/fuzz/fuzz_log_line.c tests/fuzz/replay_main.c
tests_fuzz_replay_log_line_LDADD = $(fuzz_engine_libs)

tests_fuzz_replay_mount_plan_SOURCES = tests/fuzz/fuzz_mount_plan.c tests/fuzz/replay_main.c
tests_fuzz_replay_mount_plan_LDADD = $(fuzz_runtime_libs)

tests_fuzz_replay_reference_SOURCES = tests/fuzz/fuzz_reference.c tests/fuzz/replay_main.c
tests_fuzz_replay_reference_LDADD = libimage.a libbase.a -ljansson

tests_fuzz_replay_registries_SOURCES = tests/fuzz/fuzz_registries.c tests/fuzz/replay_main.c
tests_fuzz_replay_registries_LDADD = libimage.a libbase.a -lcrypto -ljansson

tests_fuzz_replay_scope_SOURCES = tests/fuzz/fuzz_scope.c tests/fuzz/replay_main.c
tests_fuzz_replay_scope_LDADD = libcgroups.a libbase.a -ljansson

tests_fuzz_replay_seccomp_SOURCES = tests/fuzz/fuzz_seccomp.c tests/fuzz/replay_main.c
tests_fuzz_replay_seccomp_LDADD = $(fuzz_engine_libs)

tests_fuzz_replay_spec_fields_SOURCES = tests/fuzz/fuzz_spec_fields.c tests/fuzz/replay_main.c
tests_fuzz_replay_spec_fields_LDADD = $(fuzz_runtime_libs)

tests_fuzz_replay_tar_reader_SOURCES = tests/fuzz/fuzz_tar_reader.c tests/fuzz/replay_main.c
tests_fuzz_replay_tar_reader_LDADD = libbase.a

tests_fuzz_replay_template_SOURCES = tests/fuzz/fuzz_template.c tests/fuzz/replay_main.c
tests_fuzz_replay_template_LDADD = libcli.a libbase.a -ljansson

tests_fuzz_replay_unpack_SOURCES = tests/fuzz/fuzz_unpack.c tests/fuzz/replay_main.c
tests_fuzz_replay_unpack_LDADD = libunionfs.a libbase.a -larchive -lisal -lzstd -lcrypto -ljansson

tests_fuzz_replay_user_SOURCES = tests/fuzz/fuzz_user.c tests/fuzz/replay_main.c
tests_fuzz_replay_user_LDADD = $(fuzz_runtime_libs)

if FUZZ
noinst_PROGRAMS += \
	tests/fuzz/fuzz_archive \
	tests/fuzz/fuzz_archive_stream \
	tests/fuzz/fuzz_cgroup \
	tests/fuzz/fuzz_criu_message \
	tests/fuzz/fuzz_decode \
	tests/fuzz/fuzz_documents_fields \
	tests/fuzz/fuzz_extract_archive \
	tests/fuzz/fuzz_guest_changes \
	tests/fuzz/fuzz_http \
	tests/fuzz/fuzz_limits \
	tests/fuzz/fuzz_log_line \
	tests/fuzz/fuzz_mount_plan \
	tests/fuzz/fuzz_reference \
	tests/fuzz/fuzz_registries \
	tests/fuzz/fuzz_scope \
	tests/fuzz/fuzz_seccomp \
	tests/fuzz/fuzz_spec_fields \
	tests/fuzz/fuzz_tar_reader \
	tests/fuzz/fuzz_template \
	tests/fuzz/fuzz_unpack \
	tests/fuzz/fuzz_user

tests_fuzz_fuzz_archive_SOURCES = tests/fuzz/fuzz_archive.c
tests_fuzz_fuzz_archive_LDADD = libimage.a libbase.a -larchive -lzstd -lcrypto -ljansson
tests_fuzz_fuzz_archive_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps) -fsanitize=fuzzer

tests_fuzz_fuzz_archive_stream_SOURCES = tests/fuzz/fuzz_archive_stream.c
tests_fuzz_fuzz_archive_stream_LDADD = libimage.a libbase.a -lcrypto -ljansson
tests_fuzz_fuzz_archive_stream_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps) -fsanitize=fuzzer

tests_fuzz_fuzz_cgroup_SOURCES = tests/fuzz/fuzz_cgroup.c
tests_fuzz_fuzz_cgroup_LDADD = libnetwork.a libcgroups.a libbase.a -ljansson
tests_fuzz_fuzz_cgroup_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_criu_message_SOURCES = tests/fuzz/fuzz_criu_message.c
tests_fuzz_fuzz_criu_message_LDADD = $(fuzz_runtime_libs)
tests_fuzz_fuzz_criu_message_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_decode_SOURCES = tests/fuzz/fuzz_decode.c
tests_fuzz_fuzz_decode_LDADD = libbase.a -ljansson
tests_fuzz_fuzz_decode_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_documents_fields_SOURCES = tests/fuzz/fuzz_documents_fields.c
tests_fuzz_fuzz_documents_fields_LDADD = libimage.a libbase.a -ljansson
tests_fuzz_fuzz_documents_fields_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_extract_archive_SOURCES = tests/fuzz/fuzz_extract_archive.c
tests_fuzz_fuzz_extract_archive_LDADD = libunionfs.a libbase.a -larchive
tests_fuzz_fuzz_extract_archive_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_guest_changes_SOURCES = tests/fuzz/fuzz_guest_changes.c
tests_fuzz_fuzz_guest_changes_LDADD = $(fuzz_engine_libs)
tests_fuzz_fuzz_guest_changes_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c
tests_fuzz_fuzz_http_LDADD = libimage.a libbase.a -ljansson
tests_fuzz_fuzz_http_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_limits_SOURCES = tests/fuzz/fuzz_limits.c
tests_fuzz_fuzz_limits_LDADD = libnetwork.a libcgroups.a libbase.a -ljansson
tests_fuzz_fuzz_limits_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_log_line_SOURCES = tests/fuzz/fuzz_log_line.c
tests_fuzz_fuzz_log_line_LDADD = $(fuzz_engine_libs)
tests_fuzz_fuzz_log_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_mount_plan_SOURCES = tests/fuzz/fuzz_mount_plan.c
tests_fuzz_fuzz_mount_plan_LDADD = $(fuzz_runtime_libs)
tests_fuzz_fuzz_mount_plan_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_reference_SOURCES = tests/fuzz/fuzz_reference.c
tests_fuzz_fuzz_reference_LDADD = libimage.a libbase.a -ljansson
tests_fuzz_fuzz_reference_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_registries_SOURCES = tests/fuzz/fuzz_registries.c
tests_fuzz_fuzz_registries_LDADD = libimage.a libbase.a -lcrypto -ljansson
tests_fuzz_fuzz_registries_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_scope_SOURCES = tests/fuzz/fuzz_scope.c
tests_fuzz_fuzz_scope_LDADD = libcgroups.a libbase.a -ljansson
tests_fuzz_fuzz_scope_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_seccomp_SOURCES = tests/fuzz/fuzz_seccomp.c
tests_fuzz_fuzz_seccomp_LDADD = $(fuzz_engine_libs)
tests_fuzz_fuzz_seccomp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_spec_fields_SOURCES = tests/fuzz/fuzz_spec_fields.c
tests_fuzz_fuzz_spec_fields_LDADD = $(fuzz_runtime_libs)
tests_fuzz_fuzz_spec_fields_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_tar_reader_SOURCES = tests/fuzz/fuzz_tar_reader.c
tests_fuzz_fuzz_tar_reader_LDADD = libbase.a
tests_fuzz_fuzz_tar_reader_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_template_SOURCES = tests/fuzz/fuzz_template.c
tests_fuzz_fuzz_template_LDADD = libcli.a libbase.a -ljansson
tests_fuzz_fuzz_template_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_unpack_SOURCES = tests/fuzz/fuzz_unpack.c
tests_fuzz_fuzz_unpack_LDADD = libunionfs.a libbase.a -larchive -lisal -lzstd -lcrypto -ljansson
tests_fuzz_fuzz_unpack_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_user_SOURCES = tests/fuzz/fuzz_user.c
tests_fuzz_fuzz_user_LDADD = $(fuzz_runtime_libs)
tests_fuzz_fuzz_user_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += tests/fuzz/corpus

if MICROVM
check_PROGRAMS += tests/fuzz/replay_acpi tests/fuzz/replay_kernel_image tests/fuzz/replay_kernel_import \
	tests/fuzz/replay_kernel_package \
	tests/fuzz/replay_kernel_stream \
	tests/fuzz/replay_platform
tests_fuzz_replay_acpi_SOURCES = tests/fuzz/fuzz_acpi.c tests/fuzz/replay_main.c
tests_fuzz_replay_acpi_LDADD = libmicrovm.a libbase.a -ljansson
tests_fuzz_replay_kernel_image_SOURCES = tests/fuzz/fuzz_kernel_image.c tests/fuzz/replay_main.c
tests_fuzz_replay_kernel_image_LDADD = libmicrovm.a libbase.a -ljansson
tests_fuzz_replay_kernel_import_SOURCES = tests/fuzz/fuzz_kernel_import.c tests/fuzz/replay_main.c
tests_fuzz_replay_kernel_import_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_replay_kernel_package_SOURCES = tests/fuzz/fuzz_kernel_package.c tests/fuzz/replay_main.c
tests_fuzz_replay_kernel_package_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_replay_kernel_package_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps)
tests_fuzz_replay_kernel_stream_SOURCES = tests/fuzz/fuzz_kernel_stream.c tests/fuzz/replay_main.c
tests_fuzz_replay_kernel_stream_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_replay_kernel_stream_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps)
tests_fuzz_replay_platform_SOURCES = tests/fuzz/fuzz_platform.c tests/fuzz/replay_main.c
tests_fuzz_replay_platform_LDADD = libmicrovm.a libbase.a -ljansson
fuzz_kernel_import_libs = libimage.a libbase.a -larchive -lcrypto -ljansson
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_acpi tests/fuzz/fuzz_kernel_image tests/fuzz/fuzz_kernel_import \
	tests/fuzz/fuzz_kernel_package \
	tests/fuzz/fuzz_kernel_stream \
	tests/fuzz/fuzz_platform
tests_fuzz_fuzz_acpi_SOURCES = tests/fuzz/fuzz_acpi.c
tests_fuzz_fuzz_acpi_LDADD = libmicrovm.a libbase.a -ljansson
tests_fuzz_fuzz_acpi_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_kernel_image_SOURCES = tests/fuzz/fuzz_kernel_image.c
tests_fuzz_fuzz_kernel_image_LDADD = libmicrovm.a libbase.a -ljansson
tests_fuzz_fuzz_kernel_image_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_kernel_import_SOURCES = tests/fuzz/fuzz_kernel_import.c
tests_fuzz_fuzz_kernel_import_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_fuzz_kernel_import_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_kernel_package_SOURCES = tests/fuzz/fuzz_kernel_package.c
tests_fuzz_fuzz_kernel_package_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_fuzz_kernel_package_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps) -fsanitize=fuzzer
tests_fuzz_fuzz_kernel_stream_SOURCES = tests/fuzz/fuzz_kernel_stream.c
tests_fuzz_fuzz_kernel_stream_LDADD = $(fuzz_kernel_import_libs)
tests_fuzz_fuzz_kernel_stream_LDFLAGS = $(AM_LDFLAGS) $(fuzz_archive_wraps) -fsanitize=fuzzer
tests_fuzz_fuzz_platform_SOURCES = tests/fuzz/fuzz_platform.c
tests_fuzz_fuzz_platform_LDADD = libmicrovm.a libbase.a -ljansson
tests_fuzz_fuzz_platform_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
endif
