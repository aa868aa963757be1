/* Any text as registries.conf, and as a file of logins: what is taken makes plans that name hosts.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/credentials.h"
#include "image/registry_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_plan(const struct registries *registries, const char *name)
{
    struct registry_options options = { 0 };
    AUTO(reference) struct reference *reference = NULL;
    AUTO_CLEAR(registry_plan) struct registry_plan plan = { 0 };

    if (reference_parse(name, &reference, NULL) < 0 ||
        registry_plan_make(registries, reference, &options, true, &plan, NULL) < 0)
        return;
    assert(plan.count > 0);
    for (size_t i = 0; i < plan.count; i++) {
        assert(strpbrk(plan.items[i].host, "/?#@ ") == NULL);
        assert(strpbrk(plan.items[i].repository, "?#@ ") == NULL);
    }
}

static void read_logins(const char *text)
{
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    const struct auth_entry *entry;
    AUTO_CLEAR(credential) struct credential credential = { 0 };

    if (auth_file_decode(text, strlen(text), false, &file, NULL) < 0)
        return;
    credential_keys("docker.io", "library/a", &keys);
    entry = auth_file_find(&file, &keys);
    if (entry != NULL)
        (void)auth_entry_read(entry, &credential, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xstrndup((const char *)data, size);
    AUTO_CLEAR(registries) struct registries registries = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct error err = { 0 };

    read_logins(text);
    if (registries_parse(text, &registries, &err) < 0) {
        assert(err.message[0] != '\0');
        return 0;
    }
    registries_names(&registries, "tool:1", &names);
    strings_add(&names, "mirrored.test/team/a");
    strings_add(&names, "b.wild.test/a");
    for (size_t i = 0; i < names.count; i++)
        make_plan(&registries, names.items[i]);
    return 0;
}
