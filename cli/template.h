#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <stddef.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"

/* What --format understands: the part of Go's text/template that docker's users know, over JSON.
 *
 *     {{.State.Pid}}  {{json .Mounts}}  {{index .Config.Labels "a.b"}}  {{(index .Mounts
 * 0).Source}}
 *     {{range $i, $m := .Mounts}}...{{else}}...{{end}}  {{if eq .State.Status "running"}}...{{end}}
 *     {{with .Config}}...{{end}}  {{$x := .Name}}  {{.Name | printf "%-10s" | upper}}  {{- trim -}}
 *
 * Functions: and or not eq ne lt le gt ge len index slice print printf println json join split
 * upper lower title truncate pad html js urlquery. Missing members are errors, except in
 * conditions, where they are false, and those of template_members.h, which docker leaves out. */

struct template;

/** -EINVAL: "template parsing error: template: :1: unclosed action". */
int template_parse(const char *text, struct template **ret_template, struct error *err);
void template_free(struct template *template);
DEFINE_AUTO(template)

/** Runs a template over one JSON document (any value) and adds the result to @out. */
int template_run(const struct template *template, const char *json, size_t length, struct text *out,
                 struct error *err);

/**
 * Runs a template over one row of a list.
 *
 * @fields  what {{.Name}} names; {{json .}} sorts them
 * @labels  what {{.Label "key"}} looks up; NULL: nothing
 */
int template_run_fields(const struct template *template, const struct string_map *fields,
                        const struct string_map *labels, struct text *out, struct error *err);

/** The head of a table of such rows: @headers for the fields, a label's by its key's last part. */
int template_run_headers(const struct template *template, const struct string_map *headers,
                         struct text *out, struct error *err);

/** Writes any JSON document again, indented by 4 spaces as docker's inspect does. Caller frees.
 * -EINVAL: no JSON. */
int template_indent_json(const char *json, size_t length, char **ret_text, struct error *err);

#endif
