#include "engine/bundle.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- capabilities ------------------------------------------------------------------------------
 */

/* "net_raw" becomes "CAP_NET_RAW"; "ALL" stays. */
static int normalize(const char *option, const struct strings *typed, const struct strings *all,
                     struct strings *ret_names, struct error *err)
{
    for (size_t i = 0; i < typed->count; i++) {
        const char *text = typed->items[i];
        auto_free char *name = NULL;

        name = strcasecmp(text, "ALL") == 0
                   ? xstrdup("ALL")
                   : xasprintf("%s%s", strncasecmp(text, "CAP_", 4) == 0 ? "" : "CAP_", text);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        if (strcmp(name, "ALL") != 0 && !strings_contains(all, name)) {
            const char *near = text_nearest((const char *const *)all->items, name);

            return error_set(err, EINVAL, "%s '%s': unknown capability%s%s%s", option, text,
                             near == NULL ? "" : "; did you mean '", near == NULL ? "" : near + 4,
                             near == NULL ? "" : "'?");
        }
        if (!strings_contains(ret_names, name))
            strings_take(ret_names, take_ptr(&name));
    }
    return 0;
}

static void add_without(struct strings *names, const struct strings *from,
                        const struct strings *dropped)
{
    for (size_t i = 0; i < from->count; i++)
        if (!strings_contains(dropped, from->items[i]) && !strings_contains(names, from->items[i]))
            strings_add(names, from->items[i]);
}

int bundle_plan_capabilities(const struct settings *settings, struct strings *ret_names,
                             struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };
    AUTO_CLEAR(strings) struct strings added = { 0 };
    AUTO_CLEAR(strings) struct strings dropped = { 0 };
    AUTO_CLEAR(strings) struct strings basic = { 0 };
    const struct strings none = { 0 };
    int r;

    if (settings->is_privileged || settings->cap_add.count > 0 || settings->cap_drop.count > 0)
        spec_all_capabilities(&all);
    if (settings->is_privileged) {
        strings_add_all(ret_names, &all);
        return 0;
    }
    r = normalize("--cap-add", &settings->cap_add, &all, &added, err);
    if (r < 0)
        return r;
    r = normalize("--cap-drop", &settings->cap_drop, &all, &dropped, err);
    if (r < 0)
        return r;
    for (size_t i = 0; spec_default_capabilities[i] != NULL; i++)
        strings_add(&basic, spec_default_capabilities[i]);

    if (strings_contains(&added, "ALL")) {
        add_without(ret_names, &all, &dropped);
    } else if (strings_contains(&dropped, "ALL")) {
        add_without(ret_names, &added, &none);
    } else {
        add_without(ret_names, &basic, &dropped);
        add_without(ret_names, &added, &none);
    }
    return 0;
}

static void set_capabilities(const struct bundle_input *input, const struct strings *names,
                             struct spec *spec)
{
    struct spec_capabilities *capabilities = spec->process->capabilities;
    /* execve(2) would clear them for another user anyway (capabilities(7)); docker shows it so. */
    bool is_root = input->user->uid == 0;

    if (capabilities == NULL)
        capabilities = spec->process->capabilities = xcalloc(1, sizeof(*capabilities));
    strings_clear(&capabilities->bounding);
    strings_clear(&capabilities->effective);
    strings_clear(&capabilities->permitted);
    strings_clear(&capabilities->inheritable);
    strings_clear(&capabilities->ambient);
    strings_add_all(&capabilities->bounding, names);
    if (is_root) {
        strings_add_all(&capabilities->effective, names);
        strings_add_all(&capabilities->permitted, names);
    }
}

/* --- security options --------------------------------------------------------------------------
 */

/* Splits "key=value" (docker still takes "key:value" too); a bare word has the value NULL. */
static const char *option_value(const char *text, const char *key)
{
    size_t length = strlen(key);

    if (strncmp(text, key, length) != 0 || (text[length] != '=' && text[length] != ':'))
        return NULL;
    return text + length + 1;
}

static int parse_option(const char *text, struct security_options *options, struct error *err)
{
    const char *value;

    if (strcmp(text, "no-new-privileges") == 0) {
        options->has_no_new_privileges = options->no_new_privileges = true;
        return 0;
    }
    value = option_value(text, "no-new-privileges");
    if (value != NULL) {
        options->has_no_new_privileges = true;
        return text_parse_bool(value, "--security-opt no-new-privileges",
                               &options->no_new_privileges, err);
    }
    value = option_value(text, "seccomp");
    if (value != NULL) {
        options->seccomp = strcmp(value, "builtin") == 0 ? NULL : value;
        return value[0] == '\0' ? error_set(err, EINVAL, "--security-opt seccomp: no value") : 0;
    }
    value = option_value(text, "apparmor");
    if (value != NULL) {
        options->apparmor = value;
        return 0;
    }
    value = option_value(text, "label");
    if (value != NULL) {
        if (strcmp(value, "disable") == 0)
            return 0;
        return error_set(err, EOPNOTSUPP,
                         "--security-opt '%s': SELinux labels are not there yet; only "
                         "label=disable is",
                         text);
    }
    value = option_value(text, "systempaths");
    if (value != NULL) {
        if (strcmp(value, "unconfined") != 0)
            return error_set(err, EINVAL, "--security-opt '%s': only systempaths=unconfined", text);
        options->has_unmasked_all = true;
        return 0;
    }
    value = option_value(text, "mask");
    if (value != NULL) {
        strings_split(&options->masks, value, ':');
        return 0;
    }
    value = option_value(text, "unmask");
    if (value != NULL) {
        if (strcasecmp(value, "ALL") == 0)
            options->has_unmasked_all = true;
        else
            strings_split(&options->unmasks, value, ':');
        return 0;
    }
    return error_set(err, EINVAL,
                     "--security-opt '%s': unknown; there are no-new-privileges, seccomp=, "
                     "apparmor=, label=, systempaths=, mask= and unmask=",
                     text);
}

static int check_paths(const char *option, const struct strings *paths, struct error *err)
{
    for (size_t i = 0; i < paths->count; i++)
        if (paths->items[i][0] != '/')
            return error_set(err, EINVAL, "--security-opt %s: '%s' is not an absolute path", option,
                             paths->items[i]);
    return 0;
}

int security_options_parse(const struct strings *typed, struct security_options *ret_options,
                           struct error *err)
{
    AUTO_CLEAR(security_options) struct security_options options = { 0 };
    int r;

    for (size_t i = 0; i < typed->count; i++) {
        r = parse_option(typed->items[i], &options, err);
        if (r < 0)
            return r;
    }
    r = check_paths("mask", &options.masks, err);
    if (r < 0)
        return r;
    r = check_paths("unmask", &options.unmasks, err);
    if (r < 0)
        return r;
    *ret_options = options;
    options = (struct security_options){ 0 };
    return 0;
}

void security_options_clear(struct security_options *options)
{
    strings_clear(&options->masks);
    strings_clear(&options->unmasks);
}

static void remove_text(struct strings *list, const char *text)
{
    for (size_t i = list->count; i > 0; i--)
        if (strcmp(list->items[i - 1], text) == 0)
            strings_remove(list, i - 1);
}

static void plan_masks(const struct settings *settings, const struct security_options *options,
                       struct spec *spec)
{
    if (settings->is_privileged || options->has_unmasked_all) {
        strings_clear(&spec->linux_.masked_paths);
        strings_clear(&spec->linux_.readonly_paths);
    }
    for (size_t i = 0; i < options->unmasks.count; i++) {
        remove_text(&spec->linux_.masked_paths, options->unmasks.items[i]);
        remove_text(&spec->linux_.readonly_paths, options->unmasks.items[i]);
    }
    for (size_t i = 0; i < options->masks.count; i++)
        if (!strings_contains(&spec->linux_.masked_paths, options->masks.items[i]))
            strings_add(&spec->linux_.masked_paths, options->masks.items[i]);
}

static void drop_seccomp(struct spec *spec)
{
    if (spec->linux_.seccomp == NULL)
        return;
    object_clear(&spec_seccomp_object, spec->linux_.seccomp);
    free(spec->linux_.seccomp);
    spec->linux_.seccomp = NULL;
}

static int plan_seccomp(const struct bundle_input *input, const struct security_options *options,
                        const struct strings *capabilities, struct spec *spec, struct error *err)
{
    const char *profile = input->facts->seccomp_profile;

    drop_seccomp(spec);
    if (profile != NULL)
        return seccomp_profile_decode(profile, strlen(profile), capabilities, &spec->linux_.seccomp,
                                      err);
    if (options->seccomp != NULL || input->record->settings.is_privileged)
        return 0;
    spec->linux_.seccomp = spec_default_seccomp(capabilities);
    return 0;
}

int bundle_plan_security(const struct bundle_input *input, struct spec *spec, struct error *err)
{
    const struct settings *settings = &input->record->settings;
    AUTO_CLEAR(security_options) struct security_options options = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = security_options_parse(&settings->security_opt, &options, err);
    if (r < 0)
        return r;
    r = bundle_plan_capabilities(settings, &names, err);
    if (r < 0)
        return r;
    set_capabilities(input, &names, spec);
    r = plan_seccomp(input, &options, &names, spec, err);
    if (r < 0)
        return r;
    plan_masks(settings, &options, spec);
    spec->process->no_new_privileges = options.no_new_privileges;
    if (options.apparmor != NULL && strcmp(options.apparmor, "unconfined") != 0)
        spec->process->apparmor_profile = xstrdup(options.apparmor);
    return 0;
}
