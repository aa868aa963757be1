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

# The guest's side, and berth-vmm's part of it.
libmicrovm_a_SOURCES += \
	microvm/agent_message.h microvm/agent_message_fields.c \
	microvm/channel.c microvm/channel.h \
	microvm/control.c microvm/control.h \
	microvm/emulator.c microvm/emulator_plan.c microvm/emulator_plan.h \
	microvm/emulator_qmp.c microvm/emulator_qmp.h microvm/emulator_qmp_fields.c \
	microvm/warm_snapshot.c microvm/warm_snapshot.h \
	microvm/emulator_console.c microvm/emulator_console.h \
	microvm/files_work.h microvm/files_work_fields.c \
	microvm/pump.c microvm/pump.h \
	microvm/saved_session.c microvm/saved_session.h \
	microvm/session.c microvm/session.h microvm/session_clients.c microvm/session_private.h \
	microvm/session_save.c \
	microvm/terminal_mode.c microvm/terminal_mode.h \
	microvm/vm_config.h microvm/vm_config_fields.c microvm/vm_config_objects.h \
	microvm/vmm_network.c microvm/vmm_network.h microvm/vmm_shares.c microvm/vmm_shares.h

microvm_libs = libmicrovm.a libruntime.a libnetwork.a libcgroups.a libbase.a -lseccomp -lcap -ljansson

pkglibexec_PROGRAMS += berth-vmm
berth_vmm_SOURCES = microvm/vmm_main.c
berth_vmm_LDADD = $(microvm_libs)
berth_vmm_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)
# Nothing else is in the guest's initramfs, so it works only where programs are static. Each boot
# copies it twice, so its symbols stay in the build tree.
noinst_PROGRAMS += berth-agent-symbols
pkglibexec_SCRIPTS += berth-agent
CLEANFILES += berth-agent
berth-agent: berth-agent-symbols
	$(AM_V_GEN)$(STRIP) -o $@.tmp berth-agent-symbols && mv $@.tmp $@
berth_agent_symbols_SOURCES = microvm/agent.h microvm/agent_answer.c microvm/agent_boot.c microvm/agent_files.c \
	microvm/agent_main.c \
	microvm/agent_modules.c microvm/agent_network.c microvm/agent_process.c \
	microvm/agent_setup.c
berth_agent_symbols_LDADD = libunionfs.a $(microvm_libs)
berth_agent_symbols_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_channel tests/unit/test_control tests/unit/test_emulator_plan tests/unit/test_emulator_console tests/unit/test_session \
	tests/unit/test_vm_config
tests_unit_test_session_SOURCES = tests/unit/test_session.c
tests_unit_test_session_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_control_SOURCES = tests/unit/test_control.c
tests_unit_test_control_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c
tests_unit_test_channel_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_emulator_console_SOURCES = tests/unit/test_emulator_console.c
tests_unit_test_emulator_console_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_emulator_plan_SOURCES = tests/unit/test_emulator_plan.c
tests_unit_test_emulator_plan_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_vm_config_SOURCES = tests/unit/test_vm_config.c
tests_unit_test_vm_config_LDADD = $(MICROVM_TEST_LIBS)
endif

noinst_PROGRAMS += tests/payload/agent_liar
tests_payload_agent_liar_SOURCES = tests/payload/agent_liar.c microvm/agent.h microvm/agent_boot.c \
	microvm/agent_modules.c
tests_payload_agent_liar_LDADD = $(microvm_libs)
tests_payload_agent_liar_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

check_PROGRAMS += tests/fuzz/replay_channel tests/fuzz/replay_saved_session
tests_fuzz_replay_saved_session_SOURCES = tests/fuzz/fuzz_saved_session.c tests/fuzz/replay_main.c
tests_fuzz_replay_saved_session_LDADD = $(microvm_libs)
tests_fuzz_replay_channel_SOURCES = tests/fuzz/fuzz_channel.c tests/fuzz/replay_main.c
tests_fuzz_replay_channel_LDADD = $(microvm_libs)
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_channel tests/fuzz/fuzz_saved_session
tests_fuzz_fuzz_saved_session_SOURCES = tests/fuzz/fuzz_saved_session.c
tests_fuzz_fuzz_saved_session_LDADD = $(microvm_libs)
tests_fuzz_fuzz_saved_session_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_channel_SOURCES = tests/fuzz/fuzz_channel.c
tests_fuzz_fuzz_channel_LDADD = $(microvm_libs)
tests_fuzz_fuzz_channel_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

# Serves one directory to the guest, in a sandbox; and mounts it where there is no virtio-fs device.
libmicrovm_a_SOURCES += \
	microvm/fuse_attributes.c microvm/fuse_calls.h \
	microvm/fuse_directories.c \
	microvm/fuse_files.c \
	microvm/fuse_identity.c microvm/fuse_identity.h \
	microvm/fuse_inodes.c microvm/fuse_inodes.h \
	microvm/fuse_locks.c microvm/fuse_locks.h \
	microvm/fuse_message.c microvm/fuse_message.h \
	microvm/fuse_names.c \
	microvm/fuse_relay.c microvm/fuse_relay.h \
	microvm/fuse_sandbox.c microvm/fuse_sandbox.h \
	microvm/fuse_send.c microvm/fuse_send.h \
	microvm/fuse_server.c microvm/fuse_server.h \
	microvm/fuse_slots.c microvm/fuse_slots.h \
	microvm/fuse_state.c microvm/fuse_state.h \
	microvm/share_state.c microvm/share_state.h

pkglibexec_PROGRAMS += berth-fs
berth_fs_SOURCES = microvm/fs_main.c
berth_fs_LDADD = libmicrovm.a libbase.a -lseccomp -ljansson
berth_fs_CFLAGS = $(BERTH_CFLAGS) $(BERTH_PROGRAM_CFLAGS)
berth_fs_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)

# Mounts what berth-fs serves without a guest, for its tests.
noinst_PROGRAMS += tests/payload/fs_mount
tests_payload_fs_mount_SOURCES = tests/payload/fs_mount.c
tests_payload_fs_mount_LDADD = libmicrovm.a libbase.a -ljansson

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_fuse_message tests/unit/test_fuse_server tests/unit/test_fuse_state
tests_unit_test_fuse_message_SOURCES = tests/unit/test_fuse_message.c
tests_unit_test_fuse_message_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_fuse_server_SOURCES = tests/unit/test_fuse_server.c tests/unit/fuse_guest.h
tests_unit_test_fuse_server_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_fuse_state_SOURCES = tests/unit/test_fuse_state.c tests/unit/fuse_guest.h
tests_unit_test_fuse_state_LDADD = $(MICROVM_TEST_LIBS)
endif

check_PROGRAMS += tests/fuzz/replay_fuse_server
tests_fuzz_replay_fuse_server_SOURCES = tests/fuzz/fuzz_fuse_server.c tests/fuzz/replay_main.c
tests_fuzz_replay_fuse_server_LDADD = $(microvm_libs)
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_fuse_server
tests_fuzz_fuzz_fuse_server_SOURCES = tests/fuzz/fuzz_fuse_server.c
tests_fuzz_fuzz_fuse_server_LDADD = $(microvm_libs)
tests_fuzz_fuzz_fuse_server_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += tests/integration/fs_compare.py

# The isolation: linked into the programs that make containers.
libmicrovm_a_SOURCES += \
	microvm/backend.c \
	microvm/saved_disk.c microvm/saved_disk.h \
	microvm/warm_store.c microvm/warm_store.h \
	microvm/kernel_find.c \
	microvm/microvm.c microvm/microvm.h \
	microvm/split.c microvm/split.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_emulator_qmp tests/unit/test_saved_disk tests/unit/test_saved_session \
	tests/unit/test_split tests/unit/test_warm
tests_unit_test_saved_disk_SOURCES = tests/unit/test_saved_disk.c tests/unit/base_test.h
tests_unit_test_saved_disk_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_saved_session_SOURCES = tests/unit/test_saved_session.c
tests_unit_test_saved_session_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_emulator_qmp_SOURCES = tests/unit/test_emulator_qmp.c
tests_unit_test_emulator_qmp_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_warm_SOURCES = tests/unit/test_warm.c
tests_unit_test_warm_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_split_SOURCES = tests/unit/test_split.c
tests_unit_test_split_LDADD = $(MICROVM_TEST_LIBS)
endif

# The machine on KVM.
libmicrovm_a_SOURCES += \
	microvm/acpi.c microvm/acpi.h \
	microvm/boot.c microvm/boot.h \
	microvm/console_log.c microvm/console_log.h \
	microvm/cpu_plan.c microvm/cpu_plan.h \
	microvm/kernel_image.c microvm/kernel_image.h \
	microvm/kvm_cpu.c \
	microvm/kvm_devices.c microvm/kvm_devices.h \
	microvm/kvm_machine.c microvm/kvm_machine.h \
	microvm/kvm_state.c \
	microvm/layout.h \
	microvm/machine_state.c microvm/machine_state.h \
	microvm/platform.c microvm/platform.h \
	microvm/serial.c microvm/serial.h \
	microvm/vmm_probe.c microvm/vmm_probe.h \
	microvm/vmm_sandbox.c microvm/vmm_sandbox.h

# For tests: a machine without a container, and a guest without a kernel.
noinst_PROGRAMS += tests/payload/machine_run tests/payload/guest tests/payload/guest_init
tests_payload_machine_run_SOURCES = tests/payload/machine_run.c
tests_payload_machine_run_LDADD = $(microvm_libs)
tests_payload_machine_run_LDFLAGS = $(BERTH_PROGRAM_LDFLAGS)
tests_payload_guest_init_SOURCES = tests/payload/guest_init.c
tests_payload_guest_init_CFLAGS = -std=gnu17 -O1 -Wall -Wextra
tests_payload_guest_init_LDFLAGS = -static
tests_payload_guest_SOURCES = tests/payload/guest.c tests/payload/guest.h tests/payload/guest_virtio.c \
	tests/payload/guest_virtio.h tests/payload/guest_hostile.c tests/payload/guest_hostile_virtio.c
tests_payload_guest_CFLAGS = -std=gnu17 -O1 -Wall -Wextra -ffreestanding -fno-stack-protector \
	-fcf-protection=none -fno-pie -mno-red-zone -mgeneral-regs-only -fno-builtin
tests_payload_guest_LDFLAGS = -nostdlib -static -no-pie -Wl,-e,start -Wl,-Ttext-segment=0x200000 \
	-Wl,--build-id=none -Wl,-z,noexecstack

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_acpi tests/unit/test_boot tests/unit/test_cpu_plan \
	tests/unit/test_kernel_image tests/unit/test_machine_state tests/unit/test_platform \
	tests/unit/test_vmm_sandbox
tests_unit_test_acpi_SOURCES = tests/unit/test_acpi.c
tests_unit_test_acpi_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_boot_SOURCES = tests/unit/test_boot.c
tests_unit_test_boot_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_cpu_plan_SOURCES = tests/unit/test_cpu_plan.c
tests_unit_test_cpu_plan_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_kernel_image_SOURCES = tests/unit/test_kernel_image.c
tests_unit_test_kernel_image_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_machine_state_SOURCES = tests/unit/test_machine_state.c
tests_unit_test_machine_state_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_platform_SOURCES = tests/unit/test_platform.c
tests_unit_test_platform_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_vmm_sandbox_SOURCES = tests/unit/test_vmm_sandbox.c
tests_unit_test_vmm_sandbox_LDADD = $(MICROVM_TEST_LIBS)
endif

# The devices, driven by KVM, or by tests.
libmicrovm_a_SOURCES += \
	microvm/guest_bytes.c microvm/guest_bytes.h \
	microvm/virtio_balloon.c microvm/virtio_balloon.h \
	microvm/virtio_blk.c microvm/virtio_blk.h \
	microvm/virtio_console.c microvm/virtio_console.h \
	microvm/virtio_device.c microvm/virtio_device.h \
	microvm/virtio_fs.c microvm/virtio_fs.h \
	microvm/virtio_mmio.c microvm/virtio_mmio.h \
	microvm/virtio_net.c microvm/virtio_net.h \
	microvm/virtio_pmem.c microvm/virtio_pmem.h \
	microvm/virtio_rng.c microvm/virtio_rng.h \
	microvm/virtqueue.c microvm/virtqueue.h

if HAVE_CMOCKA
check_PROGRAMS += \
	tests/unit/test_virtio_balloon \
	tests/unit/test_virtio_blk \
	tests/unit/test_virtio_console \
	tests/unit/test_virtio_fs \
	tests/unit/test_virtio_mmio \
	tests/unit/test_virtio_net \
	tests/unit/test_virtio_pmem \
	tests/unit/test_virtio_state \
	tests/unit/test_virtqueue
tests_unit_test_virtio_balloon_SOURCES = tests/unit/test_virtio_balloon.c tests/unit/virtio_driver.h
tests_unit_test_virtio_balloon_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_blk_SOURCES = tests/unit/test_virtio_blk.c tests/unit/virtio_driver.h
tests_unit_test_virtio_blk_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_console_SOURCES = tests/unit/test_virtio_console.c tests/unit/virtio_driver.h
tests_unit_test_virtio_console_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_fs_SOURCES = tests/unit/test_virtio_fs.c tests/unit/virtio_driver.h
tests_unit_test_virtio_fs_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_mmio_SOURCES = tests/unit/test_virtio_mmio.c tests/unit/virtio_driver.h
tests_unit_test_virtio_mmio_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_net_SOURCES = tests/unit/test_virtio_net.c tests/unit/virtio_driver.h
tests_unit_test_virtio_net_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_net_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_unit_test_virtio_pmem_SOURCES = tests/unit/test_virtio_pmem.c tests/unit/virtio_driver.h
tests_unit_test_virtio_pmem_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_state_SOURCES = tests/unit/test_virtio_state.c tests/unit/virtio_driver.h
tests_unit_test_virtio_state_LDADD = $(MICROVM_TEST_LIBS)
tests_unit_test_virtio_state_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=ioctl -Wl,--wrap=poll -Wl,--wrap=clock_gettime
tests_unit_test_virtqueue_SOURCES = tests/unit/test_virtqueue.c
tests_unit_test_virtqueue_LDADD = $(MICROVM_TEST_LIBS)
endif

check_PROGRAMS += tests/fuzz/replay_machine_state tests/fuzz/replay_virtio
tests_fuzz_replay_machine_state_SOURCES = tests/fuzz/fuzz_machine_state.c tests/fuzz/replay_main.c \
	tests/fuzz/virtio_targets.h
tests_fuzz_replay_machine_state_LDADD = $(microvm_libs)
tests_fuzz_replay_machine_state_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_fuzz_replay_virtio_SOURCES = tests/fuzz/fuzz_virtio.c tests/fuzz/replay_main.c \
	tests/fuzz/virtio_targets.h
tests_fuzz_replay_virtio_LDADD = $(microvm_libs)
tests_fuzz_replay_virtio_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_machine_state tests/fuzz/fuzz_virtio
tests_fuzz_fuzz_machine_state_SOURCES = tests/fuzz/fuzz_machine_state.c
tests_fuzz_fuzz_machine_state_LDADD = $(microvm_libs)
tests_fuzz_fuzz_machine_state_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=ioctl
tests_fuzz_fuzz_virtio_SOURCES = tests/fuzz/fuzz_virtio.c
tests_fuzz_fuzz_virtio_LDADD = $(microvm_libs)
tests_fuzz_fuzz_virtio_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=ioctl
endif
endif
