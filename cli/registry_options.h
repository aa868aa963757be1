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

extern const struct option image_pull_options[], image_push_options[], image_login_options[],
    image_search_options[], image_inspect_options[], image_copy_options[],
    image_referrers_options[];

#define IMAGE_PULL_USAGE "[OPTIONS] NAME[:TAG|@DIGEST]"
#define IMAGE_PULL_HELP  "Download an image from a registry"
#define IMAGE_PULL_DESCRIPTION                                                                     \
    "Names are those of docker: alpine is docker.io/library/alpine:latest. Every byte is "         \
    "verified against its digest. A pull that was interrupted goes on where it was. What is "      \
    "here already is not read again: berth system check finds what the disk has damaged, and "     \
    "with --repair drops it, so that the next pull brings it anew."
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

#define IMAGE_COPY_USAGE "[OPTIONS] SOURCE DESTINATION"
#define IMAGE_COPY_HELP  "Copy an image between registries, archives and layouts"
#define IMAGE_COPY_DESCRIPTION                                                                     \
    "Byte by byte: the images of all platforms when SOURCE has several, and, from registry to "    \
    "registry, what refers to them, such as signatures. No image appears here. Prints the "        \
    "digest, which stays as it is. SOURCE and DESTINATION are as skopeo has them: NAME or "        \
    "docker://NAME at a registry, oci:DIRECTORY[:TAG] (a new one as DESTINATION), "                \
    "oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], which holds this machine's platform "     \
    "alone."
#define IMAGE_COPY_EXAMPLES                                                                        \
    "berth image copy alpine registry.example.org/mirror/alpine:latest\n"                          \
    "berth image copy oci-archive:app.tar localhost:5000/app:1\n"                                  \
    "berth image copy --tls-verify=false localhost:5000/app:1 localhost:5000/app:stable"

#define IMAGE_REFERRERS_USAGE "[OPTIONS] NAME[:TAG|@DIGEST]"
#define IMAGE_REFERRERS_HELP  "List what refers to an image at its registry"
#define IMAGE_REFERRERS_DESCRIPTION                                                                \
    "Signatures, attestations and the like: by the registry's referrers API, by the tag that "     \
    "stands in for it, and by the tags of cosign. Nothing of it is verified but its digests."
#define IMAGE_REFERRERS_EXAMPLES "berth image referrers registry.example.org/team/app:1.2"

#define IMAGE_LOGIN_USAGE "[OPTIONS] [SERVER]"
#define IMAGE_LOGIN_HELP  "Log in to a registry"
#define IMAGE_LOGIN_DESCRIPTION                                                                    \
    "Asks the registry, then keeps the login where docker and podman find it as well: in "         \
    "~/.docker/config.json, in the file that has one for the registry already, or with the "       \
    "credential helper that the file names. SERVER is docker.io when it is left out."
#define IMAGE_LOGIN_EXAMPLES "berth login -u alice --password-stdin registry.example.org < password"

#define IMAGE_LOGOUT_USAGE    "[SERVER]"
#define IMAGE_LOGOUT_HELP     "Forget the login to a registry"
#define IMAGE_LOGOUT_EXAMPLES "berth logout registry.example.org"

#define IMAGE_SEARCH_USAGE "[OPTIONS] TERM"
#define IMAGE_SEARCH_HELP  "Search a registry for images"
#define IMAGE_SEARCH_DESCRIPTION                                                                   \
    "Asks docker.io, or the registry that TERM begins with; one without a search is asked for "    \
    "its list of names."
#define IMAGE_SEARCH_EXAMPLES                                                                      \
    "berth search busybox\n"                                                                       \
    "berth search localhost:5000/app"

#define IMAGE_INSPECT_USAGE "[OPTIONS] IMAGE [IMAGE...]"
#define IMAGE_INSPECT_HELP  "Show everything about images"
#define IMAGE_INSPECT_DESCRIPTION                                                                  \
    "docker://NAME is looked at in its registry, without a pull; oci:DIRECTORY[:TAG], "            \
    "oci-archive:FILE[:TAG] and docker-archive:FILE[:NAME] are read and verified, without a "      \
    "load. "                                                                                       \
    "They are shown as skopeo shows them."
#define IMAGE_INSPECT_EXAMPLES                                                                     \
    "berth image inspect -f '{{json .Config.Env}}' debian\n"                                       \
    "berth image inspect -f '{{.Digest}}' docker://alpine\n"                                       \
    "berth image inspect oci-archive:app.tar\n"

#endif
