#ifndef CLI_APT_SOURCES_H
#define CLI_APT_SOURCES_H

#include "base/error.h"
#include "base/text.h"

/* The Debian archives in apt's sources (sources.list(5)), as one-line entries for mmdebstrap:
 * "deb [signed-by=/usr/share/keyrings/...] URI SUITE main". Other vendors' entries, and those of
 * other suites, are left out. Pure. */

/** @text  a .list file, one entry a line */
void apt_sources_parse_list(const char *text, const char *suite, struct strings *ret_lines);
/** @text  a .sources file, deb822 stanzas */
void apt_sources_parse_deb822(const char *text, const char *suite, struct strings *ret_lines);

/** Reads /etc/apt. None for the suite is fine: @ret_lines stays empty. Unreadable files are left
 * out. */
int apt_sources_read(const char *suite, struct strings *ret_lines, struct error *err);

#endif
