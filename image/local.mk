# Images: references, blobs, documents, names, archives; and the program that reads and makes them.

noinst_LIBRARIES += libimage.a
libimage_a_SOURCES = \
	image/archive.c image/archive_private.h image/image.h \
	image/archive_child.c image/archive_child.h \
	image/archive_decode.c image/archive_decode.h \
	image/archive_input.c image/archive_input.h \
	image/archive_name.c image/archive_name.h \
	image/archive_send.c \
	image/archive_stream.c image/archive_stream.h \
	image/blob_write.c \
	image/blobs.c image/store_private.h \
	image/copy_archive.c \
	image/credentials.c image/credentials.h \
	image/credentials_fields.c image/credentials_json.h \
	image/docker_archive.c \
	image/fetch.c image/fetch.h \
	image/fetch_wire_fields.c image/fetch_wire.h \
	image/http_challenge.c image/http_challenge.h \
	image/http_headers.c image/http_headers.h \
	image/partial_blob.c image/partial_blob.h \
	image/pull.c image/registry.h \
	image/push.c \
	image/registry_copy.c image/registry_copy.h \
	image/registry_files.c image/registry_files.h \
	image/registry_plan.c image/registry_plan.h \
	image/registry_resolve.c \
	image/registry_session.c image/registry_session.h \
	image/registries.c image/registries.h \
	image/registry_ask.c \
	image/registry_answers_fields.c image/registry_answers.h \
	image/document_tree.c image/document_tree.h \
	image/documents_fields.c image/documents.h \
	image/garbage.c \
	image/image_build.c \
	image/image_place.c \
	image/image_inspect_fields.c \
	image/image_store.c \
	image/kernel.c image/kernel.h image/kernel_private.h \
	image/kernel_decode.c image/kernel_decode.h \
	image/kernel_fields.c image/kernel_fields.h \
	image/kernel_files.c image/kernel_image.c image/kernel_modules.c image/kernel_name.c \
	image/layer_writer.c \
	image/layout.c \
	image/names.c \
	image/platform.c image/platform.h \
	image/reference.c \
	image/save.c \
	image/spool.c image/spool.h \
	image/store_check.c \
	image/toml.c image/toml.h

# Links what `berth` itself must not: archives, digests, compressors.
pkglibexec_PROGRAMS += berth-image
berth_image_SOURCES = cli/image_main.c cli/image_program.h \
	cli/apt_sources.c cli/apt_sources.h \
	cli/image_cp.c \
	cli/image_check.c \
	cli/image_flatten.c \
	cli/image_files.c \
	cli/image_kernel.c \
	cli/image_make.c cli/image_make.h \
	cli/image_make_busybox.c \
	cli/image_make_debian.c \
	cli/image_options.c cli/image_options.h \
	cli/image_output.c cli/image_output.h \
	cli/image_copy.c \
	cli/image_pull.c \
	cli/image_login.c \
	cli/image_push.c \
	cli/image_search.c \
	cli/image_source.c cli/image_source.h \
	cli/layer_table.c cli/layer_table.h \
	cli/progress.c cli/progress.h
berth_image_LDADD = libcli.a libprovision.a libengine.a libimage.a libunionfs.a $(isolation_lib) libruntime.a libnetwork.a libcgroups.a \
	libbase.a -larchive -lzstd -lisal -lcrypto -lseccomp -lcap -ljansson

# Parses image archives and kernels' packages, which anyone may have written: a program of its own,
# in a sandbox.
pkglibexec_PROGRAMS += berth-archive
berth_archive_SOURCES = image/archive_main.c
berth_archive_LDADD = libimage.a libbase.a -larchive -lseccomp

# Speaks to registries: reads what anyone may send, so a program of its own, in a sandbox. The only
# one that links libcurl.
pkglibexec_PROGRAMS += berth-fetch
berth_fetch_SOURCES = image/fetch_main.c image/fetcher.h \
	image/fetcher.c \
	image/fetcher_body.c \
	image/fetcher_job.c \
	image/fetcher_sandbox.c image/fetcher_sandbox.h \
	image/fetcher_token.c \
	image/fetcher_upload.c
berth_fetch_LDADD = libimage.a libbase.a -lcurl -lseccomp -ljansson

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_document_tree
tests_unit_test_document_tree_SOURCES = tests/unit/test_document_tree.c
tests_unit_test_document_tree_LDADD = libimage.a libbase.a -lcrypto -ljansson -lcmocka
check_PROGRAMS += tests/unit/test_reference tests/unit/test_documents_fields \
	tests/unit/test_archive tests/unit/test_image_store tests/unit/test_progress \
	tests/unit/test_apt_sources tests/unit/test_busybox_root \
	tests/unit/test_credentials tests/unit/test_http_challenge tests/unit/test_http_headers \
	tests/unit/test_kernel tests/unit/test_registries
tests_unit_test_kernel_SOURCES = tests/unit/test_kernel.c
tests_unit_test_kernel_LDADD = libimage.a libbase.a -larchive -lcrypto -ljansson -lcmocka
check_PROGRAMS += tests/unit/test_kernel_files
tests_unit_test_kernel_files_SOURCES = tests/unit/test_kernel_files.c tests/unit/base_test.h
tests_unit_test_kernel_files_LDADD = libimage.a libbase.a -larchive -lcmocka
check_PROGRAMS += tests/unit/test_archive_stream
tests_unit_test_archive_stream_SOURCES = tests/unit/test_archive_stream.c tests/unit/base_test.h
tests_unit_test_archive_stream_LDADD = libimage.a libbase.a -lcmocka
check_PROGRAMS += tests/unit/test_image_place tests/unit/test_image_platform
tests_unit_test_image_place_SOURCES = tests/unit/test_image_place.c
tests_unit_test_image_place_LDADD = libimage.a libbase.a -ljansson -lcmocka
tests_unit_test_image_platform_SOURCES = tests/unit/test_image_platform.c
tests_unit_test_image_platform_LDADD = libimage.a libbase.a -ljansson -lcmocka
tests_unit_test_reference_SOURCES = tests/unit/test_reference.c
tests_unit_test_reference_LDADD = libimage.a libbase.a -ljansson -lcmocka
tests_unit_test_documents_fields_SOURCES = tests/unit/test_documents_fields.c
tests_unit_test_documents_fields_LDADD = libimage.a libbase.a -ljansson -lcmocka
tests_unit_test_archive_SOURCES = tests/unit/test_archive.c
tests_unit_test_archive_LDADD = libimage.a libbase.a -larchive -lisal -lcrypto -ljansson -lcmocka
tests_unit_test_image_store_SOURCES = tests/unit/test_image_store.c
tests_unit_test_image_store_LDADD = libimage.a libbase.a -lisal -lcrypto -ljansson -lcmocka
tests_unit_test_credentials_SOURCES = tests/unit/test_credentials.c
tests_unit_test_credentials_LDADD = libimage.a libbase.a -lcrypto -ljansson -lcmocka
tests_unit_test_registries_SOURCES = tests/unit/test_registries.c
tests_unit_test_registries_LDADD = libimage.a libbase.a -ljansson -lcmocka
tests_unit_test_http_challenge_SOURCES = tests/unit/test_http_challenge.c
tests_unit_test_http_challenge_LDADD = libimage.a libbase.a -lcmocka
tests_unit_test_http_headers_SOURCES = tests/unit/test_http_headers.c
tests_unit_test_http_headers_LDADD = libimage.a libbase.a -lcmocka
tests_unit_test_progress_SOURCES = tests/unit/test_progress.c cli/layer_table.c cli/progress.c
tests_unit_test_progress_LDADD = libbase.a -lcmocka
tests_unit_test_apt_sources_SOURCES = tests/unit/test_apt_sources.c cli/apt_sources.c
tests_unit_test_apt_sources_LDADD = libbase.a -lcmocka
tests_unit_test_busybox_root_SOURCES = tests/unit/test_busybox_root.c cli/image_make_busybox.c \
	cli/progress.c
tests_unit_test_busybox_root_LDADD = libimage.a libbase.a -larchive -lisal -lcrypto -ljansson \
	-lcmocka
endif

EXTRA_DIST += tests/unit/image_fixture.h tests/integration/registry_server.py
