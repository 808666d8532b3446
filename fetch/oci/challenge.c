/* SPDX-License-Identifier: Apache-2.0 */
/* The Bearer challenge of a WWW-Authenticate header. */
#include "fetch/oci/challenge.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_blanks(const char **p)
{
    while (**p == ' ' || **p == '\t' || **p == ',')
        (*p)++;
}

/* The next token, or NULL where none begins; the caller frees. */
static char *take_token(const char **p)
{
    const char *start = *p;
    while (is_token_char(**p))
        (*p)++;
    return *p > start ? xstrndup(start, (size_t)(*p - start)) : NULL;
}

/* A token or a quoted string; NULL when the quotes do not end. */
static char *take_value(const char **p)
{
    struct buf b = {0};
    if (**p != '"') {
        const char *start = *p;
        while (**p && !strchr(" \t,", **p))
            (*p)++;
        return xstrndup(start, (size_t)(*p - start));
    }
    for (const char *s = *p + 1; *s; s++) {
        if (*s == '"') {
            *p = s + 1;
            return buf_take(&b);
        }
        if (*s == '\\' && s[1])
            s++;
        buf_addc(&b, *s);
    }
    buf_free(&b);
    return NULL;
}

static void note(struct oci_challenge *c, const char *name, char *value)
{
    char **field = strcasecmp(name, "realm") == 0     ? &c->realm
                   : strcasecmp(name, "service") == 0 ? &c->service
                   : strcasecmp(name, "scope") == 0   ? &c->scope
                   : strcasecmp(name, "error") == 0   ? &c->error
                                                      : NULL;
    if (!field || *field) /* the first one counts */
        free(value);
    else
        *field = value;
}

/*
 * One "name=value" goes to c (NULL: to nobody). 1, or 0 with the token in *ret_scheme when it is
 * the scheme of the next challenge, or -1.
 */
static int take_parameter(const char **p, struct oci_challenge *c, char **ret_scheme)
{
    cleanup_free char *name = take_token(p);
    if (!name)
        return -1;
    const char *after = *p;
    skip_blanks(p);
    if (**p != '=' || memchr(after, ',', (size_t)(*p - after))) {
        *ret_scheme = take_ptr(name);
        return 0;
    }
    (*p)++;
    while (**p == ' ' || **p == '\t' || **p == '=') /* "=": the padding of a token68 */
        (*p)++;
    char *value = take_value(p);
    if (!value)
        return -1;
    if (c)
        note(c, name, value);
    else
        free(value);
    return 1;
}

bool oci_challenge_parse(const char *value, struct oci_challenge *ret)
{
    cleanup_with(oci_challenge_done) struct oci_challenge c = {0};
    const char *p = value;
    skip_blanks(&p);
    cleanup_free char *scheme = take_token(&p);
    while (scheme && !c.realm) {
        bool bearer = strcasecmp(scheme, "Bearer") == 0;
        char *next = NULL;
        int r = 1;
        while (r == 1) {
            skip_blanks(&p);
            r = *p ? take_parameter(&p, bearer ? &c : NULL, &next) : -1;
        }
        free(scheme);
        scheme = r == 0 ? next : NULL;
    }
    if (!c.realm)
        return false;
    *ret = c;
    c = (struct oci_challenge){0};
    return true;
}

void oci_challenge_done(struct oci_challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    free(c->error);
    *c = (struct oci_challenge){0};
}
