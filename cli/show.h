#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stdint.h>

#include "base/text.h"
#include "engine/engine.h"

/* Single values as docker shows them to people. Callers free the texts. */

/** At most @width characters; what is longer ends with "…". NULL gives "". */
char *show_cut(const char *text, size_t width);
/** Text of others in a column: no byte means anything to a terminal, and it is one line without a
 * tab. NULL gives "". */
char *show_printable(const char *text);
/** In double quotes with escapes, as Go's strconv.Quote. */
char *show_quoted(const char *text);
/** "2026-01-02 15:04:05 +0000 UTC" */
char *show_date(int64_t seconds);
/** "5 minutes ago"; "N/A" when @then is 0 */
char *show_ago(int64_t now, int64_t then);
/** Sets the fields Repository and Tag from "repository:tag" or "repository@digest"; NULL is an
 * image without a name. */
void show_image_name(struct string_map *fields, const char *name);
/** "a=b,c=d", sorted */
char *show_labels(const struct string_map *labels);
/** "Up 5 minutes", "Up 2 seconds (Paused)", "Exited (0) 3 minutes ago", "Created" */
char *show_status(const struct container_view *view, int64_t now);

#endif
