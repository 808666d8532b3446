/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of an image asked for by name (DISC-30, DISC-31). */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "schema/label.h"
#include "schema/reader.h"
#include "schema/text.h"
#include "schema/types.h"
#include "schema/value.h"

/* NAME[:VERSION], `len` bytes long. */
static int parse_head(const char *text, size_t len, struct ac_image_name *n, struct ac_fault *fault)
{
    const char *colon = memchr(text, ':', len);
    size_t name_len = colon ? (size_t)(colon - text) : len;
    n->name = xstrndup(text, name_len);
    if (!ac_identifier_valid(n->name))
        return text_fault(fault, "name", 0,
                          "\"%.128s\" is not an image name (lower-case letters and digits with "
                          "single - . _ ~ / between them)",
                          n->name);
    if (!colon)
        return 0;
    cleanup_free char *version = xstrndup(colon + 1, len - name_len - 1);
    if (strchr(version, ':'))
        return text_fault(fault, "version", name_len + 1, "\"%.64s\" contains a second colon",
                          version);
    ac_pairs_add(&n->labels, "version", version);
    return 0;
}

/* Faults of one LABEL=VALUE, whose halves are strings of their own here. */
static int check_label(const struct ac_image_name *n, const char *label, const char *value,
                       size_t offset, struct ac_fault *fault)
{
    if (!ac_identifier_valid(label))
        return text_fault(fault, label, offset, "\"%.64s\" is not a label name", label);
    if (strcmp(label, "name") == 0)
        return text_fault(fault, label, offset, "a label can't be called \"name\"");
    if (ac_pairs_get(&n->labels, label))
        return text_fault(fault, label, offset, "is given twice");
    if (strchr(value, ':'))
        return text_fault(fault, label, offset, "\"%.64s\" contains a colon", value);
    if (n->labels.n == AC_LABELS_MAX)
        return text_fault(fault, label, offset, "more than %d labels", AC_LABELS_MAX);
    return 0;
}

static int parse_label_text(const char *part, size_t len, size_t offset, struct ac_image_name *n,
                            struct ac_fault *fault)
{
    cleanup_free char *label = xstrndup(part, len);
    char *equals = strchr(label, '=');
    if (!equals)
        return text_fault(fault, "", offset, "\"%.64s\" is not LABEL=VALUE", label);
    *equals = '\0';
    if (check_label(n, label, equals + 1, offset, fault) < 0)
        return -1;
    ac_pairs_add(&n->labels, label, equals + 1);
    return 0;
}

int ac_image_name_parse(const char *text, struct ac_image_name *ret, struct ac_fault *fault)
{
    cleanup_with(ac_image_name_done) struct ac_image_name n = {0};
    size_t len = strcspn(text, ",");
    if (parse_head(text, len, &n, fault) < 0)
        return -1;
    for (const char *p = text + len; *p; p += len) {
        p++;
        len = strcspn(p, ",");
        if (parse_label_text(p, len, (size_t)(p - text), &n, fault) < 0)
            return -1;
    }
    *ret = n;
    n = (struct ac_image_name){0};
    return 0;
}

char *ac_image_name_format(const struct ac_image_name *n)
{
    struct buf b = {0};
    const char *version = ac_pairs_get(&n->labels, "version");
    buf_adds(&b, n->name);
    if (version)
        buf_printf(&b, ":%s", version);
    for (size_t i = 0; i < n->labels.n; i++)
        if (strcmp(n->labels.v[i].name, "version") != 0)
            buf_printf(&b, ",%s=%s", n->labels.v[i].name, n->labels.v[i].value);
    return buf_take(&b);
}

void ac_image_name_done(struct ac_image_name *n)
{
    free(n->name);
    ac_pairs_done(&n->labels);
    *n = (struct ac_image_name){0};
}
