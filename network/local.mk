noinst_LIBRARIES += libnetwork.a
libnetwork_a_SOURCES = \
	network/addresses.c \
	network/links.c \
	network/netlink.c \
	network/netlink.h \
	network/network.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_netlink
tests_unit_test_netlink_SOURCES = tests/unit/test_netlink.c
tests_unit_test_netlink_LDADD = libnetwork.a libbase.a -ljansson -lcmocka
endif
