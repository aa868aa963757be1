#ifndef CLI_RUN_VALUES_H
#define CLI_RUN_VALUES_H

#include "base/error.h"
#include "cli/options.h"
#include "engine/engine.h"

/* Values of single options of `run` that are more than a text or a number. Each adds one to the
 * settings. @option is how the user called it: "--device-read-bps". */

/** "/dev/sda", "/dev/sda:/dev/xvda", "/dev/sda:rw", "/dev/sda:/dev/xvda:rwm" */
int run_value_device(struct settings *settings, const char *text, struct error *err);

/** Value of --@option, a size as "64m"; what is not given stays. */
int run_value_bytes(const struct arguments *arguments, const char *option, uint64_t *bytes,
                    struct error *err);

/** Value of --@option, a number from @min to @max; what is not given stays. */
int run_value_number(const struct arguments *arguments, const char *option, int64_t min,
                     int64_t max, int64_t *value, struct error *err);

/** "/dev/sda:1mb" (bytes), "/dev/sda:100" (operations); the last for a device wins. */
int run_value_rate(struct settings_rates *rates, const char *option, const char *text,
                   bool is_bytes, struct error *err);

/** "/dev/sda:300", a weight of 10 to 1000, or 0; the last for a device wins. */
int run_value_weight(struct settings_rates *weights, const char *text, struct error *err);

/** "80", "53/udp", "8000-8010/tcp": each of them once. -E2BIG: more than 1024. */
int run_value_exposed(struct settings *settings, const char *text, struct error *err);

/** "nofile=1024", "nofile=1024:2048", -1 is unlimited */
int run_value_ulimit(struct settings *settings, const char *text, struct error *err);

/** "no", "on-failure", "on-failure:3", "always", "unless-stopped" */
int run_value_restart(struct settings *settings, const char *text, struct error *err);

/** "key=value"; with @needs_value "key" alone is an error, otherwise its value is "" */
int run_value_pair(struct string_map *map, const char *option, const char *text, bool needs_value,
                   struct error *err);

/** "stdin", "stdout", "stderr" */
int run_value_attach(struct settings *settings, const char *text, struct error *err);

/** Lines of a file of variables or labels, without comments and empty lines. */
int run_value_lines(const char *path, const char *option, struct strings *lines, struct error *err);

#endif
