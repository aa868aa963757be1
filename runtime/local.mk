noinst_LIBRARIES += libruntime.a
libruntime_a_SOURCES = \
	runtime/annotations.c \
	runtime/capabilities.c \
	runtime/cgroup_mount.c \
	runtime/cgroup_owner.c \
	runtime/checkpoint.c \
	runtime/checkpoint_folders.c \
	runtime/checkpoint_plan.c \
	runtime/container.c \
	runtime/creator.c \
	runtime/criu.c \
	runtime/criu_message.c \
	runtime/default_devices.c \
	runtime/devices.c \
	runtime/environment.c \
	runtime/exec.c \
	runtime/features.c \
	runtime/handover.c \
	runtime/hooks.c \
	runtime/host_setup.c \
	runtime/idmap.c \
	runtime/idmap_option.c \
	runtime/init.c \
	runtime/container_root.c \
	runtime/isolation.c runtime/isolation_checkpoint.c \
	runtime/launch.c \
	runtime/live_mounts.c \
	runtime/lsm.c \
	runtime/masked_paths.c \
	runtime/mount_api.c \
	runtime/mount_apply.c \
	runtime/mount_idmap.c \
	runtime/mount_label.c \
	runtime/mount_namespace.c \
	runtime/mount_options.c \
	runtime/mount_plan.c \
	runtime/namespaces.c \
	runtime/net_devices.c \
	runtime/notify.c \
	runtime/overlay_root.c \
	runtime/process_tree.c \
	runtime/procfs.c \
	runtime/rdt.c \
	runtime/restore.c \
	runtime/rlimits.c \
	runtime/root_move.c \
	runtime/rootfs.c \
	runtime/rootfs_sources.c \
	runtime/rootless.c \
	runtime/rootfs_terminal.c \
	runtime/runtime.c \
	runtime/scheduling.c \
	runtime/seccomp_answer.c \
	runtime/scope_unit.c \
	runtime/seccomp_cache.c \
	runtime/seccomp_default.c \
	runtime/seccomp_filter.c \
	runtime/seccomp_listener.c \
	runtime/seccomp_profile.c \
	runtime/seccomp_stub.c \
	runtime/sibling.c \
	runtime/spec_build.c \
	runtime/spec_check.c \
	runtime/spec_default.c \
	runtime/spec_fields.c \
	runtime/starter.c \
	runtime/state_fields.c \
	runtime/sync.c \
	runtime/sysctls.c \
	runtime/terminal.c \
	runtime/tmpfs_copy_up.c \
	runtime/update.c \
	runtime/user.c \
	runtime/user_namespace.c \
	runtime/cgroup_mount.h \
	runtime/cgroup_owner.h \
	runtime/checkpoint_folders.h \
	runtime/checkpoint_plan.h \
	runtime/container.h \
	runtime/creation.h \
	runtime/criu.h \
	runtime/criu_message.h \
	runtime/devices.h \
	runtime/hooks.h \
	runtime/environment.h \
	runtime/idmap.h \
	runtime/idmap_option.h \
	runtime/isolation.h \
	runtime/lsm.h \
	runtime/masked_paths.h \
	runtime/mount_api.h \
	runtime/mount_apply.h \
	runtime/mount_idmap.h \
	runtime/user_namespace.h \
	runtime/mount_label.h \
	runtime/mount_namespace.h \
	runtime/mount_options.h \
	runtime/mount_plan.h \
	runtime/net_devices.h \
	runtime/notify.h \
	runtime/overlay_root.h \
	runtime/process_setup.h \
	runtime/procfs.h \
	runtime/rdt.h \
	runtime/rootfs.h \
	runtime/root_move.h \
	runtime/rootfs_state.h \
	runtime/runtime.h \
	runtime/seccomp_profile.h \
	runtime/spec.h \
	runtime/sysctls.h \
	runtime/tmpfs_copy_up.h \
	runtime/user.h

if HAVE_CMOCKA
check_PROGRAMS += \
	tests/unit/test_annotations \
	tests/unit/test_cgroup_owner \
	tests/unit/test_checkpoint_plan \
	tests/unit/test_container \
	tests/unit/test_criu_message \
	tests/unit/test_spec_fields \
	tests/unit/test_spec_check \
	tests/unit/test_spec_default \
	tests/unit/test_seccomp_filter \
	tests/unit/test_seccomp_default \
	tests/unit/test_capabilities \
	tests/unit/test_scheduling \
	tests/unit/test_environment \
	tests/unit/test_lsm \
	tests/unit/test_notify \
	tests/unit/test_user \
	tests/unit/test_features \
	tests/unit/test_idmap \
	tests/unit/test_mount_options \
	tests/unit/test_idmap_option \
	tests/unit/test_mount_plan \
	tests/unit/test_rdt \
	tests/unit/test_root_move \
	tests/unit/test_update
runtime_test_libs = libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson -lcmocka

tests_unit_test_annotations_SOURCES = tests/unit/test_annotations.c
tests_unit_test_annotations_LDADD = $(runtime_test_libs)
tests_unit_test_cgroup_owner_SOURCES = tests/unit/test_cgroup_owner.c
tests_unit_test_cgroup_owner_LDADD = $(runtime_test_libs)
tests_unit_test_checkpoint_plan_SOURCES = tests/unit/test_checkpoint_plan.c
tests_unit_test_checkpoint_plan_LDADD = $(runtime_test_libs)
tests_unit_test_criu_message_SOURCES = tests/unit/test_criu_message.c
tests_unit_test_criu_message_LDADD = $(runtime_test_libs)
tests_unit_test_container_SOURCES = tests/unit/test_container.c
tests_unit_test_container_LDADD = $(runtime_test_libs)
tests_unit_test_spec_fields_SOURCES = tests/unit/test_spec_fields.c
tests_unit_test_spec_fields_LDADD = $(runtime_test_libs)
tests_unit_test_spec_check_SOURCES = tests/unit/test_spec_check.c
tests_unit_test_spec_check_LDADD = $(runtime_test_libs)
tests_unit_test_spec_default_SOURCES = tests/unit/test_spec_default.c
tests_unit_test_spec_default_LDADD = $(runtime_test_libs)
tests_unit_test_seccomp_filter_SOURCES = tests/unit/test_seccomp_filter.c
tests_unit_test_seccomp_filter_LDADD = $(runtime_test_libs)
tests_unit_test_seccomp_default_SOURCES = tests/unit/test_seccomp_default.c
tests_unit_test_seccomp_default_LDADD = $(runtime_test_libs)
tests_unit_test_capabilities_SOURCES = tests/unit/test_capabilities.c
tests_unit_test_capabilities_LDADD = $(runtime_test_libs)
tests_unit_test_scheduling_SOURCES = tests/unit/test_scheduling.c
tests_unit_test_scheduling_LDADD = $(runtime_test_libs)
tests_unit_test_notify_SOURCES = tests/unit/test_notify.c
tests_unit_test_notify_LDADD = $(runtime_test_libs)
tests_unit_test_lsm_SOURCES = tests/unit/test_lsm.c
tests_unit_test_lsm_LDADD = $(runtime_test_libs)
tests_unit_test_environment_SOURCES = tests/unit/test_environment.c
tests_unit_test_environment_LDADD = $(runtime_test_libs)
tests_unit_test_user_SOURCES = tests/unit/test_user.c
tests_unit_test_user_LDADD = $(runtime_test_libs)
tests_unit_test_idmap_SOURCES = tests/unit/test_idmap.c
tests_unit_test_idmap_LDADD = $(runtime_test_libs)
tests_unit_test_features_SOURCES = tests/unit/test_features.c
tests_unit_test_features_LDADD = $(runtime_test_libs)
tests_unit_test_mount_options_SOURCES = tests/unit/test_mount_options.c
tests_unit_test_mount_options_LDADD = $(runtime_test_libs)
tests_unit_test_mount_plan_SOURCES = tests/unit/test_mount_plan.c
tests_unit_test_mount_plan_LDADD = $(runtime_test_libs)
tests_unit_test_idmap_option_SOURCES = tests/unit/test_idmap_option.c
tests_unit_test_idmap_option_LDADD = $(runtime_test_libs)
tests_unit_test_root_move_SOURCES = tests/unit/test_root_move.c
tests_unit_test_root_move_LDADD = $(runtime_test_libs)
tests_unit_test_rdt_SOURCES = tests/unit/test_rdt.c
tests_unit_test_rdt_LDADD = $(runtime_test_libs)
tests_unit_test_rdt_LDFLAGS = -Wl,--wrap=mkdirat
tests_unit_test_update_SOURCES = tests/unit/test_update.c
tests_unit_test_update_LDADD = $(runtime_test_libs)
endif
