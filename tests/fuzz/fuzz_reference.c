/* Any text as an image name: what is taken formats to a name that means the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xstrndup((const char *)data, size);
    AUTO(reference) struct reference *reference = NULL;
    AUTO(reference) struct reference *again = NULL;
    auto_free char *full = NULL;
    auto_free char *familiar = NULL;
    auto_free char *full_again = NULL;
    struct error err = { 0 };

    if (reference_parse(text, &reference, &err) < 0) {
        assert(err.message[0] != '\0');
        return 0;
    }
    full = reference_format(reference);
    familiar = reference_format_familiar(reference);
    assert(strchr(full, '+') == NULL); /* it stands for '/' in the store's file names */
    assert(reference_parse(familiar, &again, &err) == 0);
    full_again = reference_format(again);
    assert(strcmp(full, full_again) == 0);
    return 0;
}
