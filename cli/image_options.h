#ifndef CLI_IMAGE_OPTIONS_H
#define CLI_IMAGE_OPTIONS_H

#include "cli/options.h"

/* Commands whose work berth-image does: `berth` shows them in its help and completes them, then
 * runs that program with the same words. So both read these tables. */

extern const struct option image_commit_options[];
extern const struct option image_cp_options[];
extern const struct option image_export_options[];
extern const struct option image_load_options[];
extern const struct option image_import_options[];
extern const struct option image_save_options[];
extern const struct option image_make_options[];
extern const struct option system_check_options[];
extern const struct option vm_kernel_options[];

#define IMAGE_COMMIT_USAGE "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"
#define IMAGE_COMMIT_HELP  "Make an image of a container's changes"
#define IMAGE_COMMIT_DESCRIPTION                                                                   \
    "The changes become a layer upon the container's image; volumes and other mounts are left "    \
    "out. --change takes Dockerfile instructions: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "           \
    "STOPSIGNAL, USER, VOLUME, WORKDIR. With SOURCE_DATE_EPOCH no time in the image is later."
#define IMAGE_COMMIT_EXAMPLES                                                                      \
    "berth commit web web:tried                  # pauses it meanwhile\n"                          \
    "berth commit -m 'with vim' -c 'CMD [\"vim\"]' editor mine:2"

#define IMAGE_CP_USAGE "[OPTIONS] CONTAINER:SOURCE TARGET|- | SOURCE|- CONTAINER:TARGET"
#define IMAGE_CP_HELP  "Copy files between a container and the host"
#define IMAGE_CP_DESCRIPTION                                                                       \
    "A directory that is there receives SOURCE under its name, or with SOURCE/. what is in it; "   \
    "else TARGET is the new name. - is a tar. The container may run or not (a microVM has to "     \
    "run); its volumes are included. Files belong to the container's root, or on the host to "     \
    "you, unless --archive "                                                                       \
    "keeps their owners; a tar keeps what it says. Without --archive, devices stay behind and "    \
    "set-id bits are dropped on the way to the host."
#define IMAGE_CP_EXAMPLES                                                                          \
    "berth cp web:/etc/passwd .\n"                                                                 \
    "berth cp ./site/. web:/srv                # what is in it\n"                                  \
    "berth cp web:/var/log - | tar -t"

#define IMAGE_EXPORT_USAGE "[OPTIONS] CONTAINER"
#define IMAGE_EXPORT_HELP  "Write the files of a container as a tar"
#define IMAGE_EXPORT_DESCRIPTION                                                                   \
    "The whole root, image and changes together; volumes and other mounts are left out. A file "   \
    "that --output names is replaced when the archive is complete."
#define IMAGE_EXPORT_EXAMPLES                                                                      \
    "berth export -o root.tar web\n"                                                               \
    "berth export web | berth import - web:flat"

#define IMAGE_LOAD_USAGE "[OPTIONS]"
#define IMAGE_LOAD_HELP  "Load images from an archive or an OCI layout directory"
#define IMAGE_LOAD_DESCRIPTION                                                                     \
    "Reads what docker, podman or skopeo save: an OCI layout (a directory or a tar) or a docker "  \
    "archive, plain or compressed with gzip or zstd. Digests, sizes and diff ids are verified."
#define IMAGE_LOAD_EXAMPLES                                                                        \
    "berth load -i busybox.tar            # an archive\n"                                          \
    "berth load -i ./layout               # an OCI layout directory\n"                             \
    "skopeo copy docker://alpine docker-archive:/dev/stdout:alpine:latest | berth load"

#define IMAGE_IMPORT_USAGE "[OPTIONS] FILE|- [REPOSITORY[:TAG]]"
#define IMAGE_IMPORT_HELP  "Make an image of one layer from a tar of a root file system"
#define IMAGE_IMPORT_DESCRIPTION                                                                   \
    "The tar may be compressed. --change takes Dockerfile instructions: CMD, ENTRYPOINT, ENV, "    \
    "EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR."
#define IMAGE_IMPORT_EXAMPLES                                                                      \
    "berth import root.tar.gz mine:1      # from a file\n"                                         \
    "tar -C root -c . | berth import -c 'CMD [\"sh\"]' - mine"

#define IMAGE_SAVE_USAGE "[OPTIONS] IMAGE [IMAGE...]"
#define IMAGE_SAVE_HELP  "Write images as an archive"
#define IMAGE_SAVE_DESCRIPTION                                                                     \
    "An OCI layout in a tar, with docker's manifest.json unless --format is oci. Digests stay as " \
    "they are, all bytes are verified, and the same images give the same archive everywhere. A "   \
    "file that --output names is replaced when the archive is complete."
#define IMAGE_SAVE_EXAMPLES                                                                        \
    "berth save -o images.tar busybox debian:bookworm\n"                                           \
    "berth save busybox | ssh other berth load"

#define SYSTEM_CHECK_USAGE "[OPTIONS]"
#define SYSTEM_CHECK_HELP  "Check all images and layers, and repair them"
#define SYSTEM_CHECK_DESCRIPTION                                                                   \
    "Hashes every blob, looks for all that images and containers need, counts the files of each "  \
    "layer, and finds names that point nowhere and what killed commands left. Prints a line for "  \
    "each defect, and ends with 1 when there is one. With --repair damaged blobs are removed "     \
    "(the "                                                                                        \
    "next pull or load brings them), layers are unpacked anew from their blobs, lost names are "   \
    "dropped, and what nothing needs is removed. What containers wrote is never touched."
#define SYSTEM_CHECK_EXAMPLES                                                                      \
    "berth system check\n"                                                                         \
    "berth system check --deep            # unpacks each layer once more, and compares\n"          \
    "berth system check --repair"

#define VM_KERNEL_USAGE "[OPTIONS] import FILE | import --package PACKAGE | ls | rm KERNEL..."
#define VM_KERNEL_HELP  "Import, list and remove the kernels of microVMs"
#define VM_KERNEL_DESCRIPTION                                                                      \
    "import takes a Debian package with a kernel, or a bzImage whose modules are in "              \
    "/lib/modules; --package has apt-get download one, and installs nothing. The kernel is "       \
    "unpacked once, and the few modules that a guest needs are kept with it. MicroVMs that name "  \
    "no kernel have the one that was imported last. rm leaves running ones alone."
#define VM_KERNEL_EXAMPLES                                                                         \
    "berth vm kernel import --package linux-image-cloud-amd64\n"                                   \
    "berth vm kernel import /boot/vmlinuz-6.1.0-56-amd64 --name host\n"                            \
    "berth vm kernel ls"

#define IMAGE_MAKE_USAGE "[OPTIONS] busybox|debian"
#define IMAGE_MAKE_HELP  "Make a base image from this machine's packages, without a registry"
#define IMAGE_MAKE_DESCRIPTION                                                                     \
    "busybox: from the static busybox of the package busybox-static. debian: with mmdebstrap, "    \
    "from the Debian archive that this machine's own apt uses when it has the suite."
#define IMAGE_MAKE_EXAMPLES                                                                        \
    "berth image make busybox                                     # busybox:latest\n"              \
    "berth image make debian --suite bookworm --include python3   # debian:bookworm, "             \
    "debian:latest"

#endif
