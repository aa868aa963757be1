#include "image/kernel_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a guest can have, and the modules for it. Those that they need in turn are found by the
 * modules' own words; crc32c is needed by name only. */
static const struct {
    const char *feature;
    const char *modules[5]; /* ends with NULL */
} features[] = {
    { "core", { "virtio_mmio", "virtio_console", NULL } },
    { "root", { "crc32c_generic", "erofs", "overlay", NULL } },
    { "blk", { "virtio_blk", NULL } },
    { "pmem", { "virtio_pmem", "nd_pmem", NULL } },
    { "ext4", { "crc32c_generic", "ext4", NULL } },
    { "net", { "virtio_net", NULL } },
    { "fs", { "fuse", "virtiofs", NULL } },
    { "balloon", { "virtio_balloon", NULL } },
    { "rng", { "virtio_rng", NULL } },
};

void kernel_modules_clear(struct kernel_modules *modules)
{
    for (size_t i = 0; i < modules->count; i++) {
        free(modules->items[i].name);
        strings_clear(&modules->items[i].depends);
        free(modules->items[i].bytes.data);
    }
    free(modules->items);
    *modules = (struct kernel_modules){ 0 };
}

/* --- what a module says of itself ----------------------------------------------------------------
 */

static bool has_range(size_t length, uint64_t offset, uint64_t size)
{
    return offset <= length && size <= length - offset;
}

/* Header of section @index; false: it is not within the file. */
static bool read_section(const char *bytes, size_t length, const Elf64_Ehdr *header, unsigned index,
                         Elf64_Shdr *ret_section)
{
    uint64_t offset = header->e_shoff + (uint64_t)index * sizeof(*ret_section);

    if (index >= header->e_shnum || offset < header->e_shoff ||
        !has_range(length, offset, sizeof(*ret_section)))
        return false;
    memcpy(ret_section, bytes + offset, sizeof(*ret_section));
    return ret_section->sh_type == SHT_NOBITS ||
           has_range(length, ret_section->sh_offset, ret_section->sh_size);
}

static bool section_is_modinfo(const char *bytes, const Elf64_Shdr *section,
                               const Elf64_Shdr *names)
{
    static const char name[] = ".modinfo";

    return names->sh_type != SHT_NOBITS && section->sh_type != SHT_NOBITS &&
           has_range(names->sh_size, section->sh_name, sizeof(name)) &&
           memcmp(bytes + names->sh_offset + section->sh_name, name, sizeof(name)) == 0;
}

/* Texts "key=value", each with its zero byte. The first counts, as for the kernel. */
static int find_depends(const char *info, size_t length, struct strings *ret_names,
                        struct error *err)
{
    static const char key[] = "depends=";

    for (size_t at = 0; at < length;) {
        size_t end = strnlen(info + at, length - at);

        if (end > strlen(key) && strncmp(info + at, key, strlen(key)) == 0) {
            auto_free char *list = NULL;

            if (end - strlen(key) > KERNEL_DEPENDS_MAX)
                return error_set(err, EINVAL,
                                 "needs other modules whose names have more than %d "
                                 "bytes",
                                 KERNEL_DEPENDS_MAX);
            list = xstrndup(info + at + strlen(key), end - strlen(key));
            strings_split(ret_names, list, ',');
            return 0;
        }
        at += end + 1;
    }
    return 0;
}

int kernel_module_depends(const void *bytes, size_t length, struct strings *ret_names,
                          struct error *err)
{
    const char *text = bytes;
    Elf64_Ehdr header;
    Elf64_Shdr names, section;
    int r;

    r = kernel_image_check_elf(bytes, length, err);
    if (r < 0)
        return r;
    memcpy(&header, bytes, sizeof(header));
    if (header.e_shentsize != sizeof(section) ||
        !read_section(text, length, &header, header.e_shstrndx, &names))
        return error_set(err, EINVAL, "is a damaged module");
    for (unsigned i = 0; i < header.e_shnum; i++) {
        if (!read_section(text, length, &header, i, &section))
            return error_set(err, EINVAL, "is a damaged module");
        if (section_is_modinfo(text, &section, &names))
            return find_depends(text + section.sh_offset, section.sh_size, ret_names, err);
    }
    return 0;
}

size_t kernel_module_unsigned_length(const void *bytes, size_t length)
{
    static const char magic[] = "~Module signature appended~\n";
    const size_t info = 12; /* struct module_signature; its last four bytes are a length */
    const char *end = (const char *)bytes + length;
    uint32_t signature;

    if (length < strlen(magic) + info || memcmp(end - strlen(magic), magic, strlen(magic)) != 0)
        return length;
    memcpy(&signature, end - strlen(magic) - sizeof(signature), sizeof(signature));
    signature = be32toh(signature);
    if (signature > length - strlen(magic) - info)
        return length;
    return length - strlen(magic) - info - signature;
}

/* --- the list ------------------------------------------------------------------------------------
 */

static const struct kernel_module *find_module(const struct kernel_modules *modules,
                                               const char *name)
{
    for (size_t i = 0; i < modules->count; i++) {
        if (strcmp(modules->items[i].name, name) == 0)
            return &modules->items[i];
    }
    return NULL;
}

/* Those that a module needs come before it; each once, so that a circle has an end. */
static void add_module(const struct kernel_modules *modules, const char *name,
                       struct strings *visited, struct strings *list)
{
    const struct kernel_module *module = find_module(modules, name);

    if (module == NULL || strings_contains(visited, name))
        return;
    strings_add(visited, name);
    for (size_t i = 0; i < module->depends.count; i++)
        add_module(modules, module->depends.items[i], visited, list);
    strings_add(list, name);
}

char *kernel_modules_plan(const struct kernel_modules *modules, struct strings *ret_names)
{
    struct text text = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        AUTO_CLEAR(strings) struct strings visited = { 0 };
        AUTO_CLEAR(strings) struct strings list = { 0 };

        for (size_t j = 0; features[i].modules[j] != NULL; j++)
            add_module(modules, features[i].modules[j], &visited, &list);
        text_addf(&text, "%s:", features[i].feature);
        for (size_t j = 0; j < list.count; j++) {
            text_addf(&text, " %s.ko", list.items[j]);
            if (!strings_contains(ret_names, list.items[j]))
                strings_add(ret_names, list.items[j]);
        }
        text_add(&text, "\n");
    }
    return text_take(&text);
}

/* --- the archive ---------------------------------------------------------------------------------
 */

static int archive_failed(struct archive *archive, struct error *err)
{
    const char *reason = archive_error_string(archive);

    return error_set(err, EIO, "write the modules: %s", reason != NULL ? reason : "unknown reason");
}

static int add_file(struct archive *archive, const char *name, const void *bytes, size_t length,
                    struct error *err)
{
    struct archive_entry *entry = archive_entry_new();
    int r;

    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, S_IFREG | 0644);
    archive_entry_set_size(entry, (la_int64_t)length);
    r = archive_write_header(archive, entry);
    archive_entry_free(entry);
    if (r != ARCHIVE_OK || archive_write_data(archive, bytes, length) != (la_ssize_t)length)
        return archive_failed(archive, err);
    return 0;
}

static int add_all(struct archive *archive, const struct kernel_modules *modules, const char *list,
                   const struct strings *names, struct error *err)
{
    int r;

    r = add_file(archive, "modules.list", list, strlen(list), err);
    for (size_t i = 0; i < names->count && r == 0; i++) {
        const struct kernel_module *module = find_module(modules, names->items[i]);
        auto_free char *file = xasprintf("%s.ko", names->items[i]);

        if (module == NULL || module->bytes.data == NULL)
            return error_set(err, ENOENT, "module %s is missing", names->items[i]);
        r = add_file(archive, file, module->bytes.data, module->bytes.length, err);
    }
    return r;
}

int kernel_modules_write(const struct kernel_modules *modules, const char *list,
                         const struct strings *names, int fd, struct error *err)
{
    struct archive *archive = archive_write_new();
    int r = 0;

    if (archive == NULL)
        return error_set(err, ENOMEM, "write the modules: no memory");
    if (archive_write_set_format_cpio_newc(archive) != ARCHIVE_OK ||
        archive_write_open_fd(archive, fd) != ARCHIVE_OK)
        r = archive_failed(archive, err);
    if (r == 0)
        r = add_all(archive, modules, list, names, err);
    if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
        r = archive_failed(archive, err);
    (void)archive_write_free(archive); /* what could fail was told by the close */
    return r;
}
