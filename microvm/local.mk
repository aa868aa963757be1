# The microVM mode: the VMM with its devices, and the agent in the guest. ./configure --disable-microvm
# leaves it out.

if MICROVM
noinst_LIBRARIES += libmicrovm.a
libmicrovm_a_SOURCES = \
	microvm/guest_bytes.c microvm/guest_bytes.h \
	microvm/guest_memory.c microvm/guest_memory.h \
	microvm/initrd.c microvm/initrd.h \
	microvm/machine.c microvm/machine.h \
	microvm/virtio_balloon.c microvm/virtio_balloon.h \
	microvm/virtio_blk.c microvm/virtio_blk.h \
	microvm/virtio_device.c microvm/virtio_device.h \
	microvm/virtio_mmio.c microvm/virtio_mmio.h \
	microvm/virtio_pmem.c microvm/virtio_pmem.h \
	microvm/virtio_rng.c microvm/virtio_rng.h \
	microvm/virtqueue.c microvm/virtqueue.h

if HAVE_CMOCKA
MICROVM_TEST_LIBS = libmicrovm.a libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap \
	-ljansson -lcmocka
check_PROGRAMS += tests/unit/test_guest_memory tests/unit/test_initrd tests/unit/test_virtio_mmio \
	tests/unit/test_virtqueue
tests_unit_test_guest_memory_SOURCES = tests/unit/test_guest_memory.c
tests_unit_test_guest_memory_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_initrd_SOURCES = tests/unit/test_initrd.c
tests_unit_test_initrd_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_mmio_SOURCES = tests/unit/test_virtio_mmio.c tests/unit/virtio_driver.h
tests_unit_test_virtio_mmio_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtqueue_SOURCES = tests/unit/test_virtqueue.c
tests_unit_test_virtqueue_LDADD = $(MICROVM_TEST_LIBS)
endif
endif
