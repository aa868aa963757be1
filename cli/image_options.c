#include "cli/image_options.h"

const struct option image_commit_options[] = {
    { "author", 'a', OPTION_TEXT, "TEXT", "Who made it", "none" },
    { "change", 'c', OPTION_LIST, "INSTRUCTION", "Apply a Dockerfile instruction to the image",
      "none" },
    { "message", 'm', OPTION_TEXT, "TEXT", "What was changed", "none" },
    { "pause", 'p', OPTION_FLAG, NULL, "Pause the container while it is read (default true)",
      NULL },
    { 0 },
};

const struct option image_cp_options[] = {
    { "archive", 'a', OPTION_FLAG, NULL, "Keep owners, devices, set-id bits and capabilities",
      NULL },
    { "follow-link", 'L', OPTION_FLAG, NULL, "Copy what a link as SOURCE leads to", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Accepted; there is no progress to be seen", NULL },
    { 0 },
};

const struct option image_export_options[] = {
    { "output", 'o', OPTION_TEXT, "FILE", "Where to write it; default: standard output", "file" },
    { 0 },
};

const struct option image_load_options[] = {
    { "all-platforms", 0, OPTION_FLAG, NULL,
      "Keep the images of all platforms, so that they can be pushed", NULL },
    { "input", 'i', OPTION_TEXT, "FILE", "Archive or directory; default: standard input", "file" },
    { "platform", 0, OPTION_REFUSED, NULL,
      "this machine's platform is taken, or with --all-platforms each", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Show no progress", NULL },
    { 0 },
};

const struct option image_import_options[] = {
    { "change", 'c', OPTION_LIST, "INSTRUCTION", "Apply a Dockerfile instruction to the image",
      "none" },
    { "message", 'm', OPTION_TEXT, "TEXT", "Comment of the image", "none" },
    { "platform", 0, OPTION_REFUSED, "PLATFORM", "images are made for this machine's platform",
      NULL },
    { 0 },
};

const struct option image_save_options[] = {
    { "all-platforms", 0, OPTION_FLAG, NULL, "The index of all platforms as it was pulled", NULL },
    { "format", 0, OPTION_TEXT, "FORMAT",
      "docker (default; every docker, podman and skopeo reads it) or oci", "docker|oci" },
    { "output", 'o', OPTION_TEXT, "FILE", "Where to write it; default: standard output", "file" },
    { "platform", 0, OPTION_REFUSED, NULL, "one platform of several is not picked out", NULL },
    { 0 },
};

const struct option image_make_options[] = {
    { "tag", 't', OPTION_LIST, "NAME[:TAG]", "Name of the image; may be repeated", "none" },
    { "suite", 0, OPTION_TEXT, "SUITE",
      "debian: release, such as bookworm; default: this machine's", "none" },
    { "include", 0, OPTION_LIST, "PACKAGE,...", "debian: packages to install as well", "none" },
    { "variant", 0, OPTION_TEXT, "VARIANT", "debian: how much is installed; default: minbase",
      "minbase|essential|apt|required|important|standard|buildd" },
    { "quiet", 'q', OPTION_FLAG, NULL, "Show no progress; print the image's id only", NULL },
    { 0 },
};

const struct option system_check_options[] = {
    { "deep", 0, OPTION_FLAG, NULL, "Unpack each layer once more, and compare its files", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Show no progress", NULL },
    { "repair", 0, OPTION_FLAG, NULL, "Repair what can be repaired", NULL },
    { 0 },
};

const struct option vm_kernel_options[] = {
    { "format", 0, OPTION_TEXT, "FORMAT", "ls: table, json, or a template for each kernel",
      "none" },
    { "modules", 0, OPTION_TEXT, "DIR",
      "import: where a bzImage's modules are; default: /lib/modules/RELEASE", "file" },
    { "name", 0, OPTION_TEXT, "NAME", "import: name of the kernel; default: its release", "none" },
    { "package", 0, OPTION_TEXT, "PACKAGE", "import: have apt-get download this package", "none" },
    { 0 },
};
