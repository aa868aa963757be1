#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/template.h"

/* Templates of any bytes over one document that has a value of every kind. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char document[] =
        "{\"Id\":\"abc\",\"State\":{\"Pid\":12,\"Running\":true,\"Health\":null},\"Labels\":"
        "{\"a.b\":\"c\"},\"Mounts\":[{\"Source\":\"/s\"},{\"Source\":\"/t\"}],\"Float\":0.5}";
    auto_free char *text = xstrndup((const char *)data, size);
    AUTO(template) struct template *template = NULL;
    struct text out = { 0 };
    struct error err = { 0 };

    if (template_parse(text, &template, &err) == 0) {
        (void)template_run(template, document, strlen(document), &out, &err);
        text_clear(&out);
    }
    return 0;
}
