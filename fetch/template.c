/* SPDX-License-Identifier: Apache-2.0 */
/* URL templates of image discovery. */
#include "fetch/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/url.h"

bool template_prefix_matches(const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    if (n == 0 || strncmp(name, prefix, n) != 0)
        return false;
    return name[n] == '\0' || name[n] == '/' || prefix[n - 1] == '/';
}

static void add_encoded(struct buf *b, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *value && b->len <= URL_MAX; value++) {
        if (strchr(plain, *value))
            buf_addc(b, *value);
        else
            buf_printf(b, "%%%02X", (unsigned)(unsigned char)*value);
    }
}

/* The value of one variable; false when it has none. */
static bool add_variable(struct buf *b, const char *variable, size_t len, const char *name,
                         const struct ac_pairs *labels, const char *ext)
{
    cleanup_free char *key = xstrndup(variable, len);
    if (strcmp(key, "name") == 0) {
        buf_adds(b, name);
        return true;
    }
    if (strcmp(key, "ext") == 0) {
        buf_adds(b, ext);
        return true;
    }
    const char *value = ac_pairs_get(labels, key);
    if (strcmp(key, "version") == 0 && (!value || !*value))
        value = "latest";
    if (!value)
        return false;
    add_encoded(b, value);
    return true;
}

static enum template_result expand(const char *template, const char *name,
                                   const struct ac_pairs *labels, const char *ext, char **ret)
{
    cleanup_with(buf_free) struct buf b = {0};
    for (const char *p = template; *p;) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (!end) {
            buf_addc(&b, *p++);
        } else {
            if (!add_variable(&b, p + 1, (size_t)(end - p - 1), name, labels, ext))
                return TEMPLATE_LEFTOVER;
            p = end + 1;
        }
        if (b.len > URL_MAX)
            return TEMPLATE_TOO_LONG;
    }
    *ret = buf_take(&b);
    return TEMPLATE_OK;
}

enum template_result template_expand(const char *template, const char *name,
                                     const struct ac_pairs *labels, char **ret_image,
                                     char **ret_signature)
{
    cleanup_free char *image = NULL, *signature = NULL;
    if (!strstr(template, "{ext}"))
        return TEMPLATE_NO_EXT;
    enum template_result r = expand(template, name, labels, "aci", &image);
    if (r == TEMPLATE_OK)
        r = expand(template, name, labels, "aci.asc", &signature);
    if (r != TEMPLATE_OK)
        return r;
    *ret_image = take_ptr(image);
    *ret_signature = take_ptr(signature);
    return TEMPLATE_OK;
}

const char *template_result_text(enum template_result r)
{
    switch (r) {
    case TEMPLATE_OK:
        return "usable";
    case TEMPLATE_NO_EXT:
        return "has no {ext}";
    case TEMPLATE_LEFTOVER:
        return "has a variable that the request gives no value for";
    case TEMPLATE_TOO_LONG:
        return "becomes too long";
    }
    return "?";
}
