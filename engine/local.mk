noinst_LIBRARIES += libengine.a
libengine_a_SOURCES = \
	engine/engine.h engine/engine_private.h engine/bundle.h engine/claim.h \
	engine/container_names.h engine/container_tree.h engine/detach_keys.h engine/group.h \
	engine/group_name.h engine/host_facts.h engine/image_root.h \
	engine/local_terminal.h engine/log_line.h engine/monitor.h engine/monitor_client.h \
	engine/monitor_link.h engine/monitor_log.h engine/monitor_private.h engine/monitor_wire.h \
	engine/query.h engine/record.h engine/restart_policy.h engine/tree_copy.h engine/volumes.h \
	engine/attach.c engine/bundle.c engine/bundle_fields.c engine/bundle_limits.c \
	engine/bundle_mounts.c engine/bundle_security.c engine/claim.c engine/container_names.c \
	engine/container_tree.c \
	engine/create.c engine/detach_keys.c engine/engine.c engine/exec_session.c \
	engine/flatten.c \
	engine/group.c engine/group_change.c engine/group_fields.c engine/group_name.c engine/group_tree.c \
	engine/host_facts.c engine/image_root.c engine/inspect_fields.c engine/local_terminal.c \
	engine/log_line.c engine/logs.c engine/monitor.c engine/monitor_client.c \
	engine/monitor_io.c engine/monitor_link.c engine/monitor_log.c engine/monitor_start.c \
	engine/query.c engine/record.c engine/record_fields.c engine/remove.c engine/repair.c \
	engine/rootless_session.c engine/rootless_session.h engine/slirp.c engine/slirp.h \
	engine/complaints.c engine/complaints.h engine/fuse_root.c engine/fuse_root.h \
	engine/device_rule.c engine/device_rule.h \
	engine/publish_option.c engine/publish_option.h \
	engine/published_port.c engine/published_port.h \
	engine/resolv_conf.c engine/resolv_conf.h \
	engine/restart_policy.c engine/root_driver.c engine/root_driver.h engine/settings_limits.c engine/settings_limits.h \
	engine/settings_update.c \
	engine/joined.c engine/joined.h \
	engine/guest_changes.c engine/guest_files.c engine/guest_files.h \
	engine/bundle_vm.c engine/vm_disk.c engine/vm_disk.h \
	engine/checkpoints.c engine/checkpoints.h \
	engine/start.c engine/stop.c engine/traffic.c engine/tree_copy.c engine/volume_fields.c engine/volume_life.c \
	engine/volumes.c

# The engine's part that unpacks and digests: only berth-image links it, and libarchive and libcrypto.
noinst_LIBRARIES += libprovision.a
libprovision_a_SOURCES = engine/provision.c engine/provision.h \
	engine/check.c \
	engine/commit.c \
	engine/child_warnings.c engine/child_warnings.h \
	engine/container_visit.c engine/container_visit.h \
	engine/copy.c \
	engine/export.c \
	engine/flatten_here.c \
	engine/image_removal.c \
	engine/layer_queue.c engine/layer_queue.h \
	engine/prune.c \
	engine/pull_image.c \
	engine/store_sweep.c engine/store_sweep.h \
	engine/store_usage.c \
	engine/import.c \
	engine/import_changes.c engine/import_changes.h engine/import_fields.c \
	engine/pause_guard.c engine/pause_guard.h

pkglibexec_PROGRAMS += berth-monitor berth-init
berth_monitor_SOURCES = engine/monitor_main.c
berth_monitor_LDADD = libengine.a libimage.a libunionfs.a $(isolation_lib) libruntime.a libnetwork.a libcgroups.a libbase.a \
	-lseccomp -lcap -ljansson
berth_monitor_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)
# Always static: it runs inside of images that may have no libraries at all.
berth_init_SOURCES = engine/init_main.c
berth_init_CFLAGS = -std=gnu17 -Wall -Wextra -Os -fno-pie -ffunction-sections
berth_init_LDFLAGS = -static -no-pie -Wl,--gc-sections -s

EXTRA_DIST += tests/fuzz/corpus/log_line

if HAVE_CMOCKA
ENGINE_TEST_LIBS = libengine.a libimage.a libunionfs.a libruntime.a libnetwork.a libcgroups.a libbase.a \
	-lseccomp -lcap -ljansson -lcmocka
check_PROGRAMS += tests/unit/test_bundle tests/unit/test_bundle_limits \
	tests/unit/test_bundle_security tests/unit/test_detach_keys tests/unit/test_group \
	tests/unit/test_guest_changes \
	tests/unit/test_log_line \
	tests/unit/test_monitor_log tests/unit/test_record_fields tests/unit/test_restart_policy tests/unit/test_rootless_session tests/unit/test_fuse_root tests/unit/test_slirp tests/unit/test_published_port tests/unit/test_publish_option tests/unit/test_resolv_conf \
	tests/unit/test_device_rule \
	tests/unit/test_query tests/unit/test_settings_limits tests/unit/test_traffic
tests_unit_test_traffic_SOURCES = tests/unit/test_traffic.c
tests_unit_test_traffic_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_bundle_SOURCES = tests/unit/test_bundle.c
tests_unit_test_bundle_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_bundle_limits_SOURCES = tests/unit/test_bundle_limits.c
tests_unit_test_bundle_limits_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_bundle_security_SOURCES = tests/unit/test_bundle_security.c
tests_unit_test_bundle_security_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_detach_keys_SOURCES = tests/unit/test_detach_keys.c
tests_unit_test_detach_keys_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_group_SOURCES = tests/unit/test_group.c
tests_unit_test_group_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_guest_changes_SOURCES = tests/unit/test_guest_changes.c
tests_unit_test_guest_changes_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_log_line_SOURCES = tests/unit/test_log_line.c
tests_unit_test_log_line_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_monitor_log_SOURCES = tests/unit/test_monitor_log.c
tests_unit_test_monitor_log_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_record_fields_SOURCES = tests/unit/test_record_fields.c
tests_unit_test_record_fields_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_restart_policy_SOURCES = tests/unit/test_restart_policy.c
tests_unit_test_restart_policy_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_rootless_session_SOURCES = tests/unit/test_rootless_session.c
tests_unit_test_rootless_session_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_fuse_root_SOURCES = tests/unit/test_fuse_root.c
tests_unit_test_fuse_root_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_slirp_SOURCES = tests/unit/test_slirp.c
tests_unit_test_slirp_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_device_rule_SOURCES = tests/unit/test_device_rule.c
tests_unit_test_device_rule_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_publish_option_SOURCES = tests/unit/test_publish_option.c
tests_unit_test_publish_option_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_resolv_conf_SOURCES = tests/unit/test_resolv_conf.c
tests_unit_test_resolv_conf_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_published_port_SOURCES = tests/unit/test_published_port.c
tests_unit_test_published_port_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_settings_limits_SOURCES = tests/unit/test_settings_limits.c
tests_unit_test_settings_limits_LDADD = $(ENGINE_TEST_LIBS)
tests_unit_test_query_SOURCES = tests/unit/test_query.c
tests_unit_test_query_LDADD = $(ENGINE_TEST_LIBS)
check_PROGRAMS += tests/unit/test_import_changes
tests_unit_test_import_changes_SOURCES = tests/unit/test_import_changes.c
check_PROGRAMS += tests/unit/test_prune
tests_unit_test_prune_SOURCES = tests/unit/test_prune.c
tests_unit_test_prune_LDADD = libprovision.a $(ENGINE_TEST_LIBS)
tests_unit_test_import_changes_LDADD = libprovision.a libbase.a -ljansson -lcmocka
endif
