noinst_LIBRARIES += libbase.a

libbase_a_SOURCES = \
	base/auto.c base/auto.h \
	base/base64.c base/base64.h \
	base/decode.c base/decode.h \
	base/decode_fields.c base/decode_fields.h \
	base/decode_scan.c base/decode_scan.h \
	base/digest.c base/digest.h \
	base/disk_usage.c base/disk_usage.h \
	base/encode.c \
	base/error.c base/error.h \
	base/event.c base/event.h \
	base/fd.c base/fd.h \
	base/file.c base/file.h \
	base/hash.c base/hash.h \
	base/inode_table.c base/inode_table.h \
	base/log.c base/log.h \
	base/path.c base/path.h \
	base/path_remove.c \
	base/path_walk.c base/path_walk.h \
	base/process.c base/process.h \
	base/process_protect.c \
	base/process_signal.c \
	base/process_child.c \
	base/process_spawn.c \
	base/sandbox.c base/sandbox.h \
	base/sandbox_filter.c \
	base/sandbox_pipe.c \
	base/staging.c base/staging.h \
	base/strings.c \
	base/tar_reader.c base/tar_reader.h \
	base/tar_ustar.h \
	base/tar_writer.c base/tar_writer.h \
	base/text.c base/text.h \
	base/text_format.c \
	base/text_parse.c \
	base/text_utf8.c \
	base/wire.c base/wire.h

if HAVE_CMOCKA
base_test_libs = libbase.a -ljansson -lcmocka

check_PROGRAMS += \
	tests/unit/test_base64 \
	tests/unit/test_decode \
	tests/unit/test_digest \
	tests/unit/test_disk_usage \
	tests/unit/test_encode \
	tests/unit/test_error \
	tests/unit/test_event \
	tests/unit/test_fd \
	tests/unit/test_file \
	tests/unit/test_hash \
	tests/unit/test_inode_table \
	tests/unit/test_log \
	tests/unit/test_path \
	tests/unit/test_process \
	tests/unit/test_sandbox \
	tests/unit/test_sandbox_pipe \
	tests/unit/test_staging \
	tests/unit/test_strings \
	tests/unit/test_tar_reader \
	tests/unit/test_tar_writer \
	tests/unit/test_text \
	tests/unit/test_text_format \
	tests/unit/test_text_parse \
	tests/unit/test_wire

tests_unit_test_disk_usage_SOURCES = tests/unit/test_disk_usage.c tests/unit/base_test.h
tests_unit_test_disk_usage_LDADD = $(base_test_libs)

tests_unit_test_tar_reader_SOURCES = tests/unit/test_tar_reader.c
tests_unit_test_tar_reader_LDADD = libbase.a -lcmocka
tests_unit_test_tar_writer_SOURCES = tests/unit/test_tar_writer.c
tests_unit_test_tar_writer_LDADD = libbase.a -larchive -lcmocka

tests_unit_test_base64_SOURCES = tests/unit/test_base64.c tests/unit/base_test.h
tests_unit_test_base64_LDADD = $(base_test_libs)

tests_unit_test_decode_SOURCES = tests/unit/test_decode.c tests/unit/base_test.h
tests_unit_test_decode_LDADD = $(base_test_libs)

tests_unit_test_digest_SOURCES = tests/unit/test_digest.c tests/unit/base_test.h
tests_unit_test_digest_LDADD = $(base_test_libs)

tests_unit_test_encode_SOURCES = tests/unit/test_encode.c tests/unit/base_test.h
tests_unit_test_encode_LDADD = $(base_test_libs)

tests_unit_test_error_SOURCES = tests/unit/test_error.c tests/unit/base_test.h
tests_unit_test_error_LDADD = $(base_test_libs)

tests_unit_test_event_SOURCES = tests/unit/test_event.c tests/unit/base_test.h
tests_unit_test_event_LDADD = $(base_test_libs)

tests_unit_test_fd_SOURCES = tests/unit/test_fd.c tests/unit/base_test.h
tests_unit_test_fd_LDADD = $(base_test_libs)

tests_unit_test_file_SOURCES = tests/unit/test_file.c tests/unit/base_test.h
tests_unit_test_file_LDADD = $(base_test_libs)

tests_unit_test_hash_SOURCES = tests/unit/test_hash.c tests/unit/base_test.h
tests_unit_test_hash_LDADD = $(base_test_libs) -lcrypto

tests_unit_test_inode_table_SOURCES = tests/unit/test_inode_table.c tests/unit/base_test.h
tests_unit_test_inode_table_LDADD = $(base_test_libs)

tests_unit_test_log_SOURCES = tests/unit/test_log.c tests/unit/base_test.h
tests_unit_test_log_LDADD = $(base_test_libs)

tests_unit_test_path_SOURCES = tests/unit/test_path.c tests/unit/base_test.h
tests_unit_test_path_LDADD = $(base_test_libs)

tests_unit_test_process_SOURCES = tests/unit/test_process.c tests/unit/base_test.h
tests_unit_test_process_LDADD = $(base_test_libs)

tests_unit_test_sandbox_SOURCES = tests/unit/test_sandbox.c tests/unit/base_test.h
tests_unit_test_sandbox_LDADD = $(base_test_libs) -lseccomp
tests_unit_test_sandbox_pipe_SOURCES = tests/unit/test_sandbox_pipe.c tests/unit/base_test.h
tests_unit_test_sandbox_pipe_LDADD = libbase.a -lseccomp -lcmocka

tests_unit_test_staging_SOURCES = tests/unit/test_staging.c tests/unit/base_test.h
tests_unit_test_staging_LDADD = $(base_test_libs)

tests_unit_test_strings_SOURCES = tests/unit/test_strings.c tests/unit/base_test.h
tests_unit_test_strings_LDADD = $(base_test_libs)

tests_unit_test_text_SOURCES = tests/unit/test_text.c tests/unit/base_test.h
tests_unit_test_text_LDADD = $(base_test_libs)

tests_unit_test_text_format_SOURCES = tests/unit/test_text_format.c tests/unit/base_test.h
tests_unit_test_text_format_LDADD = $(base_test_libs)

tests_unit_test_text_parse_SOURCES = tests/unit/test_text_parse.c tests/unit/base_test.h
tests_unit_test_text_parse_LDADD = $(base_test_libs)

tests_unit_test_wire_SOURCES = tests/unit/test_wire.c tests/unit/base_test.h
tests_unit_test_wire_LDADD = $(base_test_libs)
endif

EXTRA_DIST += tests/lint/layers.txt tests/lint/check_layers.sh tests/lint/check_style.sh
