# Layers, snapshots, and the helper that unpacks layers.

noinst_LIBRARIES += libunionfs.a
libunionfs_a_SOURCES = \
	unionfs/archive_source.c unionfs/archive_source.h \
	unionfs/blob_input.c unionfs/blob_input.h \
	unionfs/changes.c \
	unionfs/copy_end.c unionfs/copy_plan.c unionfs/copy_plan.h \
	unionfs/copied_changes.c unionfs/copied_root.c \
	unionfs/directory_table.c unionfs/directory_table.h \
	unionfs/erofs_file.c unionfs/erofs_file.h \
	unionfs/erofs_make.c \
	unionfs/erofs_plan.c unionfs/erofs_image.h \
	unionfs/erofs_store.c unionfs/erofs_store.h \
	unionfs/erofs_tree.c unionfs/erofs_tree.h \
	unionfs/extract.c unionfs/extract_archive.c unionfs/extract_input.h unionfs/extract_tar.c \
	unionfs/inflate.c unionfs/inflate.h \
	unionfs/layer.c unionfs/layer_job.h unionfs/unionfs.h \
	unionfs/layer_entries.c unionfs/layer_entries.h \
	unionfs/layer_fds.c \
	unionfs/layer_follow.c unionfs/layer_follow.h \
	unionfs/layer_inherit.c unionfs/layer_inherit.h \
	unionfs/layer_maker.c \
	unionfs/layer_mark.c unionfs/layer_mark.h \
	unionfs/layer_path.c unionfs/layer_path.h \
	unionfs/layer_store.c unionfs/layer_store.h \
	unionfs/layer_view.c unionfs/layer_view.h \
	unionfs/pack.c \
	unionfs/snapshot.c unionfs/snapshot_root.h \
	unionfs/tree.c unionfs/tree.h \
	unionfs/tree_compare.c unionfs/tree_compare.h \
	unionfs/unpack.c \
	unionfs/unpack_attributes.c \
	unionfs/unpack_child.c \
	unionfs/unpack_fields.c unionfs/unpack_report.h \
	unionfs/whiteout.c unionfs/whiteout.h

# Reads what anyone may have written: a program of its own, linked dynamically, in a sandbox.
pkglibexec_PROGRAMS += berth-unpack
berth_unpack_SOURCES = unionfs/unpack_main.c \
	unionfs/unpack_sandbox.c unionfs/unpack_sandbox.h
berth_unpack_LDADD = libunionfs.a libbase.a -larchive -lzstd -lisal -lcrypto -lseccomp -ljansson

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_changes tests/unit/test_copy_end tests/unit/test_copy_plan tests/unit/test_extract tests/unit/test_pack tests/unit/test_whiteout tests/unit/test_layer_path tests/unit/test_inflate \
	tests/unit/test_unpack tests/unit/test_snapshot
tests_unit_test_changes_SOURCES = tests/unit/test_changes.c
tests_unit_test_changes_LDADD = libunionfs.a libbase.a -lcmocka
tests_unit_test_copy_end_SOURCES = tests/unit/test_copy_end.c
tests_unit_test_copy_end_LDADD = libunionfs.a libbase.a -lcmocka
tests_unit_test_copy_plan_SOURCES = tests/unit/test_copy_plan.c
tests_unit_test_copy_plan_LDADD = libunionfs.a libbase.a -lcmocka
tests_unit_test_extract_SOURCES = tests/unit/test_extract.c
tests_unit_test_extract_LDADD = libunionfs.a libbase.a -larchive -lcmocka
tests_unit_test_pack_SOURCES = tests/unit/test_pack.c
tests_unit_test_pack_LDADD = libunionfs.a libbase.a -larchive -lcmocka
tests_unit_test_whiteout_SOURCES = tests/unit/test_whiteout.c
tests_unit_test_whiteout_LDADD = libunionfs.a libbase.a -lcmocka
tests_unit_test_layer_path_SOURCES = tests/unit/test_layer_path.c
tests_unit_test_layer_path_LDADD = libunionfs.a libbase.a -lcmocka
tests_unit_test_inflate_SOURCES = tests/unit/test_inflate.c
tests_unit_test_inflate_LDADD = libunionfs.a libbase.a -lisal -lzstd -lcrypto -lcmocka
tests_unit_test_unpack_SOURCES = tests/unit/test_unpack.c
tests_unit_test_unpack_LDADD = libunionfs.a libbase.a -larchive -lisal -lzstd -lcrypto -ljansson \
	-lcmocka
check_PROGRAMS += tests/unit/test_layer_maker
tests_unit_test_layer_maker_SOURCES = tests/unit/test_layer_maker.c tests/unit/base_test.h
tests_unit_test_layer_maker_LDADD = libunionfs.a libbase.a -larchive -lisal -lzstd -lcrypto \
	-ljansson -lcmocka
check_PROGRAMS += tests/unit/test_tree_compare
tests_unit_test_tree_compare_SOURCES = tests/unit/test_tree_compare.c tests/unit/base_test.h
tests_unit_test_tree_compare_LDADD = libunionfs.a libbase.a -lcmocka
check_PROGRAMS += tests/unit/test_copied_root
tests_unit_test_copied_root_SOURCES = tests/unit/test_copied_root.c tests/unit/base_test.h
tests_unit_test_copied_root_LDADD = libunionfs.a libbase.a -ljansson -lcmocka
tests_unit_test_copied_root_LDFLAGS = -Wl,--wrap=mknodat
check_PROGRAMS += tests/unit/test_erofs
tests_unit_test_erofs_SOURCES = tests/unit/test_erofs.c tests/unit/base_test.h
tests_unit_test_erofs_LDADD = libunionfs.a libbase.a -ljansson -lcmocka
tests_unit_test_snapshot_SOURCES = tests/unit/test_snapshot.c
tests_unit_test_snapshot_LDADD = libunionfs.a libbase.a -lcmocka
endif

EXTRA_DIST += tests/integration/hostile_layers.py tests/integration/oci_image.py \
	tests/integration/tree_list.py
