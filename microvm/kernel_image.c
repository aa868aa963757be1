#include "microvm/kernel_image.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "microvm/layout.h"

/* The setup header (x86/boot.rst, "The Real-Mode Kernel Header"): offsets in the file. */
#define SETUP_SECTS      0x1f1
#define SETUP_JUMP_END   0x201
#define SETUP_MAGIC      0x202
#define SETUP_VERSION    0x206
#define SETUP_INITRD_MAX 0x22c
#define SETUP_XLOADFLAGS 0x236
#define SETUP_CMDLINE    0x238
#define SETUP_PREFERRED  0x258
#define SETUP_INIT_SIZE  0x260
#define SETUP_END        0x264
#define SECTOR           512
/* What the header counts when it says 0. */
#define SETUP_SECTS_DEFAULT 4
#define XLOADFLAG_64        1
/* The first protocol with xloadflags. */
#define SETUP_VERSION_MIN 0x20c
/* Of the 64-bit entry from the start of the loaded part. */
#define ENTRY_64_OFFSET 0x200

#define INITRD_MAX_DEFAULT 0x7fffffff
/* A kernel is loaded at least here: below are its arguments and the reserved range. */
#define LOAD_MIN LAYOUT_HIGH_START
/* Linux has five. Without end the same notes could be read again for each of 65535. */
#define PROGRAM_HEADERS_MAX   64
#define NOTE_XEN_PHYS32_ENTRY 18

static uint32_t read_number(const uint8_t *bytes, size_t size)
{
    uint32_t number = 0;

    memcpy(&number, bytes, size);
    return number;
}

/* --- bzImage ---------------------------------------------------------------------------------- */

static int plan_bzimage(const uint8_t *bytes, size_t length, struct kernel_image *image,
                        struct error *err)
{
    const size_t sectors = bytes[SETUP_SECTS] == 0 ? SETUP_SECTS_DEFAULT : bytes[SETUP_SECTS];
    const size_t start = (sectors + 1) * SECTOR;
    const size_t setup_end = SETUP_MAGIC + bytes[SETUP_JUMP_END];
    const uint32_t version = read_number(bytes + SETUP_VERSION, 2);
    uint64_t address;
    uint32_t init_size;

    if (version < SETUP_VERSION_MIN || !(read_number(bytes + SETUP_XLOADFLAGS, 2) & XLOADFLAG_64))
        return error_set(err, EINVAL, "the kernel has no 64-bit entry");
    if (start + ENTRY_64_OFFSET >= length || setup_end > length || setup_end < SETUP_END)
        return error_set(err, EINVAL, "the kernel's file is cut off");
    memcpy(&address, bytes + SETUP_PREFERRED, sizeof(address));
    init_size = read_number(bytes + SETUP_INIT_SIZE, 4);
    if (address < LOAD_MIN || address >= LAYOUT_HOLE_START)
        return error_set(err, EINVAL, "the kernel wants to be loaded at 0x%llx",
                         (unsigned long long)address);
    if (init_size < length - start)
        init_size = (uint32_t)(length - start);
    image->entry = KERNEL_ENTRY_LINUX64;
    image->entry_address = address + ENTRY_64_OFFSET;
    image->segments[0] = (struct kernel_segment){
        .file_offset = start,
        .file_size = length - start,
        .address = address,
        .memory_size = length - start,
    };
    image->segment_count = 1;
    image->start = address;
    image->end = address + init_size;
    image->initrd_max = read_number(bytes + SETUP_INITRD_MAX, 4);
    image->cmdline_max = read_number(bytes + SETUP_CMDLINE, 4);
    image->setup_length = setup_end - SETUP_SECTS;
    memcpy(image->setup, bytes + SETUP_SECTS, image->setup_length);
    return 0;
}

/* --- ELF -------------------------------------------------------------------------------------- */

/* What the notes say of the kernel. */
struct notes {
    bool is_linux;
    bool has_pvh;
    uint64_t pvh_entry;
};

static void read_notes(const uint8_t *bytes, uint64_t length, struct notes *notes)
{
    while (length >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        uint64_t name_size;
        uint64_t content_size;

        memcpy(&note, bytes, sizeof(note));
        bytes += sizeof(note);
        length -= sizeof(note);
        /* Both are padded to 4 bytes; in 64 bits the sums cannot wrap. */
        name_size = ((uint64_t)note.n_namesz + 3) / 4 * 4;
        content_size = ((uint64_t)note.n_descsz + 3) / 4 * 4;
        if (name_size + content_size > length)
            return;
        if (note.n_namesz == 6 && memcmp(bytes, "Linux", 6) == 0)
            notes->is_linux = true;
        if (note.n_namesz == 4 && memcmp(bytes, "Xen", 4) == 0 &&
            note.n_type == NOTE_XEN_PHYS32_ENTRY && note.n_descsz >= 4) {
            notes->has_pvh = true;
            notes->pvh_entry = read_number(bytes + name_size, 4);
        }
        bytes += name_size + content_size;
        length -= name_size + content_size;
    }
}

static bool is_in_file(uint64_t offset, uint64_t size, size_t length)
{
    return offset <= length && size <= length - offset;
}

static int add_segment(struct kernel_image *image, const Elf64_Phdr *header, size_t length,
                       struct error *err)
{
    uint64_t end;

    if (header->p_memsz == 0)
        return 0;
    if (!is_in_file(header->p_offset, header->p_filesz, length) ||
        header->p_filesz > header->p_memsz)
        return error_set(err, EINVAL, "the kernel's file is cut off");
    if (__builtin_add_overflow(header->p_paddr, header->p_memsz, &end) ||
        header->p_paddr < LOAD_MIN || end > LAYOUT_HOLE_START)
        return error_set(err, EINVAL, "the kernel wants to be loaded at 0x%llx",
                         (unsigned long long)header->p_paddr);
    if (image->segment_count == KERNEL_IMAGE_SEGMENTS_MAX)
        return error_set(err, EINVAL, "the kernel has more than %d segments",
                         KERNEL_IMAGE_SEGMENTS_MAX);
    image->segments[image->segment_count++] = (struct kernel_segment){
        .file_offset = header->p_offset,
        .file_size = header->p_filesz,
        .address = header->p_paddr,
        .memory_size = header->p_memsz,
    };
    if (image->start == 0 || header->p_paddr < image->start)
        image->start = header->p_paddr;
    if (end > image->end)
        image->end = end;
    return 0;
}

static int plan_elf(const uint8_t *bytes, size_t length, struct kernel_image *image,
                    struct error *err)
{
    struct notes notes = { 0 };
    Elf64_Ehdr header;
    int r;

    memcpy(&header, bytes, sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        return error_set(err, EINVAL, "the kernel is none for x86-64");
    if (header.e_phnum > PROGRAM_HEADERS_MAX)
        return error_set(err, EINVAL, "the kernel has more than %d program headers",
                         PROGRAM_HEADERS_MAX);
    if (header.e_phentsize != sizeof(Elf64_Phdr) ||
        !is_in_file(header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr), length))
        return error_set(err, EINVAL, "the kernel's file is cut off");
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;

        memcpy(&segment, bytes + header.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type == PT_LOAD) {
            r = add_segment(image, &segment, length, err);
            if (r < 0)
                return r;
        }
        if (segment.p_type == PT_NOTE && is_in_file(segment.p_offset, segment.p_filesz, length))
            read_notes(bytes + segment.p_offset, segment.p_filesz, &notes);
    }
    /* Linux has a PVH entry too, but only its own protocol takes the random seed. */
    image->entry = notes.has_pvh && !notes.is_linux ? KERNEL_ENTRY_PVH : KERNEL_ENTRY_LINUX64;
    image->entry_address =
        image->entry == KERNEL_ENTRY_PVH ? notes.pvh_entry : (uint64_t)header.e_entry;
    if (image->entry_address < image->start || image->entry_address >= image->end)
        return error_set(err, EINVAL, "the kernel is entered at 0x%llx, where it is not loaded",
                         (unsigned long long)image->entry_address);
    image->initrd_max = INITRD_MAX_DEFAULT;
    image->cmdline_max = LAYOUT_CMDLINE_MAX;
    return 0;
}

int kernel_image_plan(const uint8_t *bytes, size_t length, struct kernel_image *ret_image,
                      struct error *err)
{
    struct kernel_image image = { 0 };
    int r;

    assert(bytes != NULL);
    assert(ret_image != NULL);

    if (length >= sizeof(Elf64_Ehdr) && memcmp(bytes, ELFMAG, SELFMAG) == 0)
        r = plan_elf(bytes, length, &image, err);
    else if (length >= SETUP_END && memcmp(bytes + SETUP_MAGIC, "HdrS", 4) == 0)
        r = plan_bzimage(bytes, length, &image, err);
    else
        r = error_set(err, EINVAL, "the kernel is neither an ELF file nor a bzImage");
    if (r < 0)
        return r;
    *ret_image = image;
    return 0;
}
