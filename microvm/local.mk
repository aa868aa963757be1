# The microVM mode: the VMM with its devices, and the agent in the guest. ./configure --disable-microvm
# leaves it out.

if MICROVM
noinst_LIBRARIES += libmicrovm.a
libmicrovm_a_SOURCES = \
	microvm/guest_memory.c microvm/guest_memory.h \
	microvm/initrd.c microvm/initrd.h \
	microvm/machine.c microvm/machine.h

if HAVE_CMOCKA
MICROVM_TEST_LIBS = libmicrovm.a libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap \
	-ljansson -lcmocka
check_PROGRAMS += tests/unit/test_guest_memory tests/unit/test_initrd
tests_unit_test_guest_memory_SOURCES = tests/unit/test_guest_memory.c
tests_unit_test_guest_memory_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_initrd_SOURCES = tests/unit/test_initrd.c
tests_unit_test_initrd_LDADD = $(MICROVM_TEST_LIBS)
endif
endif
