#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/apt_sources.h"

#define KEY "/usr/share/keyrings/debian-archive-keyring.gpg"

static const char debian_sources[] = "Types: deb\n"
                                     "# a comment\n"
                                     "URIs: http://mirror.example/debian\n"
                                     "Suites: bookworm bookworm-updates\n"
                                     "Components: main contrib\n"
                                     "Signed-By: " KEY "\n"
                                     "\n"
                                     "types: deb deb-src\n"
                                     "URIs: http://mirror.example/debian-security/\n"
                                     "Suites: bookworm-security trixie-security\n"
                                     "Components:\n main\n"
                                     "Check-Valid-Until: no\n";

static const char vendor_sources[] =
    "Types: deb\nURIs: https://vendor.example/linux/debian\nSuites: bookworm\nComponents: main\n"
    "Signed-By: /usr/share/keyrings/vendor.gpg\n\n"
    "Types: deb\nURIs: https://vendor.example/apt\nSuites: bookworm\nComponents: main\n\n"
    "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    "Enabled: no\n\n"
    "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n";

static void stanzas_of_the_suite_become_lines(void **state)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    (void)state;
    apt_sources_parse_deb822(debian_sources, "bookworm", &lines);
    assert_int_equal(lines.count, 3);
    assert_string_equal(lines.items[0], "deb [signed-by=" KEY
                                        "] http://mirror.example/debian bookworm main contrib");
    assert_string_equal(lines.items[1], "deb [signed-by=" KEY "] http://mirror.example/debian "
                                        "bookworm-updates main contrib");
    assert_string_equal(lines.items[2], "deb [check-valid-until=no] "
                                        "http://mirror.example/debian-security/ bookworm-security "
                                        "main");
}

static void another_suite_finds_only_its_own(void **state)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    (void)state;
    apt_sources_parse_deb822(debian_sources, "trixie", &lines);
    assert_int_equal(lines.count, 1);
    apt_sources_parse_deb822(debian_sources, "book", &lines);
    assert_int_equal(lines.count, 1);
}

static void other_vendors_and_disabled_stanzas_are_left_out(void **state)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    (void)state;
    apt_sources_parse_deb822(vendor_sources, "bookworm", &lines);
    assert_int_equal(lines.count, 0);
}

static void one_line_entries_are_read(void **state)
{
    static const char text[] =
        "# deb http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm main # main only\n"
        "deb [ arch=amd64 signed-by=" KEY " ] http://other.example/x bookworm main\n"
        "deb [signed-by=/vendor.gpg] http://v.example/debian bookworm main\n"
        "deb [broken http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm\n"
        "deb-src http://mirror.example/debian bookworm main\n";
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    (void)state;
    apt_sources_parse_list(text, "bookworm", &lines);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.items[0], "deb http://mirror.example/debian bookworm main");
    assert_string_equal(lines.items[1],
                        "deb [signed-by=" KEY "] http://other.example/x bookworm main");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stanzas_of_the_suite_become_lines),
        cmocka_unit_test(another_suite_finds_only_its_own),
        cmocka_unit_test(other_vendors_and_disabled_stanzas_are_left_out),
        cmocka_unit_test(one_line_entries_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
