# Manual pages, printed by the programs from their own tables of commands and options.
nodist_man1_MANS = doc/berth.1 doc/berth-oci.1
CLEANFILES += $(nodist_man1_MANS)

doc/berth.1: berth
	$(AM_V_GEN)$(MKDIR_P) doc && ./berth help --man > $@
doc/berth-oci.1: berth-oci
	$(AM_V_GEN)$(MKDIR_P) doc && ./berth-oci help --man > $@
