#include "engine/import_changes.h"

static const struct field import_words_fields[] = {
    FIELD_OF(struct import_words, words, "words", FIELD_STRINGS, FIELD_REQUIRED),
    { 0 },
};

const struct object import_words_object = { import_words_fields, sizeof(struct import_words), 0 };
