/* Any bytes as config.json: decoded, checked, and what was accepted is written, read again and
 * copied, to the same text. A seccomp profile that was accepted is looked at once more, as the
 * filter does. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/seccomp_profile.h"
#include "runtime/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(spec) struct spec *spec = NULL;
    AUTO(spec) struct spec *again = NULL;
    AUTO(spec) struct spec *copy = NULL;
    auto_free char *first = NULL;
    auto_free char *second = NULL;
    struct error err = { 0 };

    if (spec_decode((const char *)data, size, &spec, &err) < 0) {
        assert(err.message[0] != '\0');
        return 0;
    }
    first = spec_encode(spec, ENCODE_COMPACT);
    assert(spec_decode(first, strlen(first), &again, &err) == 0);
    copy = spec_copy(again);
    second = spec_encode(copy, ENCODE_COMPACT);
    assert(strcmp(first, second) == 0);
    if (spec->linux_.seccomp != NULL) {
        struct seccomp_program stub = { 0 };
        struct text text = { 0 };

        seccomp_stub_plan(spec->linux_.seccomp, &stub);
        assert(stub.count > 0 && stub.count < BPF_MAXINSNS);
        seccomp_cache_text(spec->linux_.seccomp, &text);
        free(stub.items);
        text_clear(&text);
    }
    return 0;
}
