noinst_LIBRARIES += libnetwork.a
libnetwork_a_SOURCES = \
	network/addresses.c \
	network/links.c \
	network/netlink.c \
	network/netlink.h \
	network/network.h \
	network/redirect.c \
	network/routes.c \
	network/tap.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_netlink tests/unit/test_addresses
tests_unit_test_addresses_SOURCES = tests/unit/test_addresses.c
tests_unit_test_addresses_LDADD = libnetwork.a libbase.a -ljansson -lcmocka
tests_unit_test_netlink_SOURCES = tests/unit/test_netlink.c
tests_unit_test_netlink_LDADD = libnetwork.a libbase.a -ljansson -lcmocka
endif
