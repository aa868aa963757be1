#ifndef CLI_MOUNT_OPTION_H
#define CLI_MOUNT_OPTION_H

#include "base/error.h"
#include "engine/engine.h"

/* What -v, --mount and --tmpfs say, as docker reads it. Each adds one mount to the settings. */

/** "/data", "name:/data", "/host:/data:ro,rslave", "./here:/data". */
int mount_option_volume(struct settings *settings, const char *text, struct error *err);

/** "type=bind,source=/host,target=/data,readonly"; fields with commas may be quoted as in CSV. */
int mount_option_mount(struct settings *settings, const char *text, struct error *err);

/** "/run" or "/run:size=64m,mode=1777". */
int mount_option_tmpfs(struct settings *settings, const char *text, struct error *err);

#endif
