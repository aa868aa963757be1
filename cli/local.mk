# Command lines: parsing, help, completion; and the programs berth and berth-oci.
# berth-image is in image/local.mk.

noinst_LIBRARIES += libcli.a
libcli_a_SOURCES = \
	cli/berth.h \
	cli/berth_commands.c cli/berth_commands.h \
	cli/berth_context.c \
	cli/commands_cgroup.c \
	cli/commands_df.c \
	cli/commands_files.c \
	cli/commands_history.c \
	cli/commands_image.c \
	cli/commands_life.c \
	cli/commands_look.c \
	cli/commands_port.c \
	cli/commands_prune.c \
	cli/commands_ps.c \
	cli/commands_run.c \
	cli/commands_stats.c \
	cli/commands_system.c \
	cli/commands_top.c \
	cli/commands_volume.c \
	cli/completion.c cli/completion.h \
	cli/group_row.c cli/group_row.h \
	cli/help.c cli/help.h \
	cli/image_filter.c cli/image_filter.h \
	cli/image_options.c cli/image_options.h \
	cli/limit_options.c cli/limit_options.h \
	cli/listing.c cli/listing.h \
	cli/manpage.c cli/manpage.h \
	cli/mount_option.c cli/mount_option.h \
	cli/options.c cli/options.h \
	cli/prune_option.c cli/prune_option.h \
	cli/ps_filter.c cli/ps_filter.h \
	cli/pull_missing.c cli/pull_missing.h \
	cli/refused_commands.c cli/refused_commands.h \
	cli/registry_options.c cli/registry_options.h \
	cli/run_options.c cli/run_options.h \
	cli/run_values.c cli/run_values.h \
	cli/show.c cli/show.h \
	cli/stats_row.c cli/stats_row.h \
	cli/table.c cli/table.h \
	cli/volume_filter.c cli/volume_filter.h \
	cli/template.c cli/template.h \
	cli/template_functions.c cli/template_functions.h \
	cli/template_members.c cli/template_members.h \
	cli/template_printf.c \
	cli/template_parse.c cli/template_parse.h \
	cli/time_option.c cli/time_option.h \
	cli/top_row.c cli/top_row.h

bin_PROGRAMS += berth berth-oci
berth_SOURCES = cli/berth_main.c \
	cli/berth_manual.c cli/berth_manual.h
# libprovision only for rmi, which needs neither archives nor digests.
berth_LDADD = libcli.a libprovision.a libengine.a libimage.a libunionfs.a $(isolation_lib) libruntime.a \
	libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson
berth_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

berth_oci_SOURCES = cli/oci_main.c \
	cli/oci_commands.c cli/oci_commands.h \
	cli/oci_events.c cli/oci_events.h \
	cli/oci_events_fields.c \
	cli/oci_checkpoint.c \
	cli/oci_exec.c \
	cli/oci_foreground.c \
	cli/oci_life.c \
	cli/oci_log.c \
	cli/oci_look.c \
	cli/oci_mounts.c \
	cli/oci_manual.c cli/oci_manual.h \
	cli/oci_root.c \
	cli/oci_update.c
berth_oci_LDADD = libcli.a $(isolation_lib) libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson
berth_oci_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

# What `berth-oci --version` says of the commit; nothing where there is no git.
cli/oci_main.$(OBJEXT): cli/build_commit.h
cli/build_commit.h: always
	$(AM_V_at)$(MKDIR_P) cli && commit=$$(git -C $(top_srcdir) describe --always --dirty --tags \
		2> /dev/null); echo "#define BERTH_COMMIT \"$$commit\"" > $@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
always:
.PHONY: always
CLEANFILES += cli/build_commit.h

# Completion scripts come from the programs' own tables.
bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = completions/berth completions/berth-oci
zshcompletiondir = $(datadir)/zsh/site-functions
nodist_zshcompletion_DATA = completions/_berth completions/_berth-oci
fishcompletiondir = $(datadir)/fish/vendor_completions.d
nodist_fishcompletion_DATA = completions/berth.fish completions/berth-oci.fish
CLEANFILES += $(nodist_bashcompletion_DATA) $(nodist_zshcompletion_DATA) \
	$(nodist_fishcompletion_DATA)

completions/berth: berth
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth completion bash > $@
completions/berth-oci: berth-oci
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth-oci completion bash > $@
completions/_berth: berth
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth completion zsh > $@
completions/_berth-oci: berth-oci
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth-oci completion zsh > $@
completions/berth.fish: berth
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth completion fish > $@
completions/berth-oci.fish: berth-oci
	$(AM_V_GEN)$(MKDIR_P) completions && ./berth-oci completion fish > $@

if HAVE_CMOCKA
cli_test_libs = libcli.a libprovision.a libengine.a libimage.a libunionfs.a libruntime.a \
	libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson -lcmocka

check_PROGRAMS += \
	tests/unit/test_completion \
	tests/unit/test_group_row \
	tests/unit/test_limit_options \
	tests/unit/test_options \
	tests/unit/test_run_options \
	tests/unit/test_show \
	tests/unit/test_table \
	tests/unit/test_template \
	tests/unit/test_volume_filter

tests_unit_test_completion_SOURCES = tests/unit/test_completion.c
tests_unit_test_completion_LDADD = $(cli_test_libs)

tests_unit_test_group_row_SOURCES = tests/unit/test_group_row.c
tests_unit_test_group_row_LDADD = $(cli_test_libs)

tests_unit_test_limit_options_SOURCES = tests/unit/test_limit_options.c
tests_unit_test_limit_options_LDADD = $(cli_test_libs)

tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_LDADD = libcli.a libbase.a -ljansson -lcmocka

tests_unit_test_run_options_SOURCES = tests/unit/test_run_options.c
tests_unit_test_run_options_LDADD = $(cli_test_libs)

tests_unit_test_volume_filter_SOURCES = tests/unit/test_volume_filter.c
tests_unit_test_volume_filter_LDADD = $(cli_test_libs)

tests_unit_test_show_SOURCES = tests/unit/test_show.c
tests_unit_test_show_LDADD = $(cli_test_libs)

tests_unit_test_table_SOURCES = tests/unit/test_table.c
tests_unit_test_table_LDADD = libcli.a libbase.a -lcmocka

tests_unit_test_template_SOURCES = tests/unit/test_template.c
tests_unit_test_template_LDADD = libcli.a libbase.a -ljansson -lcmocka
endif
