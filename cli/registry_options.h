#ifndef CLI_REGISTRY_OPTIONS_H
#define CLI_REGISTRY_OPTIONS_H

#include "cli/options.h"
#include "image/registry.h"

/* Options that all commands about registries have, and the tables of these commands: berth-image
 * does their work. */

#define TLS_VERIFY_OPTION                                                                          \
    {                                                                                              \
        "tls-verify", 0, OPTION_FLAG, NULL,                                                        \
            "Check certificates; false: any will do, and no TLS either", NULL                      \
    }

/** What --tls-verify says, or does not. */
struct registry_options registry_options(const struct arguments *arguments);

extern const struct option image_pull_options[], image_push_options[];

#define IMAGE_PULL_USAGE "[OPTIONS] NAME[:TAG|@DIGEST]"
#define IMAGE_PULL_HELP  "Download an image from a registry"
#define IMAGE_PULL_DESCRIPTION                                                                     \
    "Names are those of docker: alpine is docker.io/library/alpine:latest. Every byte is "         \
    "verified "                                                                                    \
    "against its digest. A pull that was interrupted goes on where it was."
#define IMAGE_PULL_EXAMPLES                                                                        \
    "berth pull alpine\n"                                                                          \
    "berth pull registry.example.org/team/app:1.2\n"                                               \
    "berth pull --tls-verify=false 192.168.1.5:5000/app"

#define IMAGE_PUSH_USAGE "[OPTIONS] NAME[:TAG] [DESTINATION]"
#define IMAGE_PUSH_HELP  "Upload an image to a registry"
#define IMAGE_PUSH_DESCRIPTION                                                                     \
    "Sends the layers that the registry has not got, or has it mount them from another "           \
    "repository; then the manifest, as it is. DESTINATION is where to, when it is not NAME."
#define IMAGE_PUSH_EXAMPLES                                                                        \
    "berth push registry.example.org/team/app:1.2\n"                                               \
    "berth push app registry.example.org/team/app:1.3"

#endif
