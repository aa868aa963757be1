noinst_LIBRARIES += libcgroups.a
libcgroups_a_SOURCES = \
	cgroups/cgroup.c cgroups/cgroup.h \
	cgroups/cgroup_files.c \
	cgroups/cgroup_kill.c \
	cgroups/cgroup_manager.c \
	cgroups/cgroup_system.c cgroups/cgroup_system.h \
	cgroups/cgroup_tree.c \
	cgroups/cgroups.h \
	cgroups/delegation.c \
	cgroups/device_filter.c cgroups/device_filter.h \
	cgroups/device_filter_apply.c \
	cgroups/domain.c cgroups/domain.h \
	cgroups/freezer.c \
	cgroups/limits.c cgroups/limits.h \
	cgroups/limits_apply.c \
	cgroups/limits_explain.c \
	cgroups/limits_rare.c \
	cgroups/limits_unified.c \
	cgroups/limits_update.c \
	cgroups/oom.c \
	cgroups/ownership.c \
	cgroups/resources_fields.c \
	cgroups/resources_merge.c \
	cgroups/sub_cgroup.c \
	cgroups/scope.c cgroups/scope.h \
	cgroups/scope_annotations.c \
	cgroups/scope_fields.c \
	cgroups/scope_name.c \
	cgroups/scope_properties.c \
	cgroups/usage.c cgroups/usage.h \
	cgroups/usage_details.c \
	cgroups/usage_fields.c \
	cgroups/usage_parse.c

# Dynamic, and the only one that loads libsystemd.
pkglibexec_PROGRAMS += berth-scope
berth_scope_SOURCES = cgroups/scope_main.c
berth_scope_LDADD = libcgroups.a libbase.a -lsystemd -ljansson

if HAVE_CMOCKA
check_PROGRAMS += \
	tests/unit/test_cgroup \
	tests/unit/test_cgroup_manager \
	tests/unit/test_cgroup_system \
	tests/unit/test_cgroup_trees \
	tests/unit/test_delegation \
	tests/unit/test_device_filter \
	tests/unit/test_domain \
	tests/unit/test_limits \
	tests/unit/test_limits_update \
	tests/unit/test_ownership \
	tests/unit/test_resources_fields \
	tests/unit/test_resources_merge \
	tests/unit/test_scope \
	tests/unit/test_usage
cgroups_test_libs = libcgroups.a libbase.a -ljansson -lcmocka

tests_unit_test_cgroup_SOURCES = tests/unit/test_cgroup.c
tests_unit_test_cgroup_LDADD = $(cgroups_test_libs)

tests_unit_test_cgroup_manager_SOURCES = tests/unit/test_cgroup_manager.c
tests_unit_test_cgroup_manager_LDADD = $(cgroups_test_libs)

tests_unit_test_cgroup_system_SOURCES = tests/unit/test_cgroup_system.c tests/unit/cgroup_tree.h
tests_unit_test_cgroup_system_LDADD = $(cgroups_test_libs)
tests_unit_test_cgroup_system_LDFLAGS = -Wl,--wrap=fstatfs

tests_unit_test_cgroup_trees_SOURCES = tests/unit/test_cgroup_trees.c tests/unit/cgroup_tree.h
tests_unit_test_cgroup_trees_LDADD = $(cgroups_test_libs)
tests_unit_test_cgroup_trees_LDFLAGS = -Wl,--wrap=fstatfs
EXTRA_DIST += tests/unit/cgroup_trees

tests_unit_test_delegation_SOURCES = tests/unit/test_delegation.c
tests_unit_test_delegation_LDADD = $(cgroups_test_libs)
tests_unit_test_delegation_LDFLAGS = -Wl,--wrap=fstatfs,--wrap=faccessat

tests_unit_test_device_filter_SOURCES = tests/unit/test_device_filter.c
tests_unit_test_device_filter_LDADD = $(cgroups_test_libs)

tests_unit_test_domain_SOURCES = tests/unit/test_domain.c tests/unit/cgroup_tree.h
tests_unit_test_domain_LDADD = $(cgroups_test_libs)
tests_unit_test_domain_LDFLAGS = -Wl,--wrap=fstatfs

tests_unit_test_limits_SOURCES = tests/unit/test_limits.c
tests_unit_test_limits_LDADD = $(cgroups_test_libs)

tests_unit_test_limits_update_SOURCES = tests/unit/test_limits_update.c
tests_unit_test_limits_update_LDADD = $(cgroups_test_libs)

tests_unit_test_ownership_SOURCES = tests/unit/test_ownership.c tests/unit/cgroup_tree.h
tests_unit_test_ownership_LDADD = $(cgroups_test_libs)
tests_unit_test_ownership_LDFLAGS = -Wl,--wrap=fstatfs,--wrap=fchown,--wrap=fchownat

tests_unit_test_resources_merge_SOURCES = tests/unit/test_resources_merge.c
tests_unit_test_resources_merge_LDADD = $(cgroups_test_libs)

tests_unit_test_resources_fields_SOURCES = tests/unit/test_resources_fields.c
tests_unit_test_resources_fields_LDADD = $(cgroups_test_libs)

tests_unit_test_scope_SOURCES = tests/unit/test_scope.c
tests_unit_test_scope_LDADD = $(cgroups_test_libs)

tests_unit_test_usage_SOURCES = tests/unit/test_usage.c
tests_unit_test_usage_LDADD = $(cgroups_test_libs)
endif
