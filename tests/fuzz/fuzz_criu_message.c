/* Any bytes as an answer of CRIU's: what is taken is in the ranges that its readers rely on. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "runtime/criu_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Of just this size, so that a read behind the end is found. */
    auto_free char *bytes = xmemdup(size > 0 ? (const void *)data : "", size > 0 ? size : 1);
    struct criu_response response;
    struct error err = { 0 };

    memset(&response, 0xee, sizeof(response));
    if (criu_response_decode(bytes, size, &response, &err) < 0) {
        assert(err.message[0] != '\0');
        return 0;
    }
    assert(response.pid >= 0 && response.pid <= INT32_MAX);
    assert(memchr(response.script, '\0', sizeof(response.script)) != NULL);
    assert(response.version <= 9999 * 10000 + 9999);
    return 0;
}
