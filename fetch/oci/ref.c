/* SPDX-License-Identifier: Apache-2.0 */
/* References to OCI and Docker images. */
#include "fetch/oci/ref.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/digest.h"
#include "fetch/url.h"

#define DEFAULT_REGISTRY "registry-1.docker.io"
#define DEFAULT_TAG      "latest"
#define NAME_MAX_BYTES   255
#define TAG_MAX_BYTES    128

static const char *const prefixes[] = {
    [OCI_LAYOUT] = "oci:",
    [OCI_ARCHIVE] = "oci-archive:",
    [OCI_DOCKER_ARCHIVE] = "docker-archive:",
    [OCI_REGISTRY] = "docker://",
};

static bool kind_of(const char *text, enum oci_kind *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts(text, prefixes[i])) {
            *ret = (enum oci_kind)i;
            return true;
        }
    return false;
}

bool oci_ref_is(const char *text)
{
    enum oci_kind kind;
    return kind_of(text, &kind);
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

/* Letters and digits in groups, with one of ".", "_", "__" or any number of "-" between. */
static bool component_valid(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t start = i;
        while (i < len && is_alnum(s[i]))
            i++;
        if (i == start)
            return false;
        if (i == len)
            return true;
        size_t sep = i;
        while (i < len && s[i] == s[sep] && (s[i] == '-' || (s[i] == '_' && i - sep < 2)))
            i++;
        if (i == sep && s[i] == '.')
            i++;
        if (i == sep)
            return false;
    }
    return false;
}

static bool repository_valid(const char *s)
{
    for (;;) {
        size_t n = strcspn(s, "/");
        if (!component_valid(s, n))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

static bool tag_valid(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > TAG_MAX_BYTES || *s == '.' || *s == '-')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            return false;
    return true;
}

/* "docker.io" is what people write; the API lives elsewhere. */
static bool is_docker_hub(const char *host)
{
    return str_eq(host, "docker.io") || str_eq(host, "index.docker.io") ||
           str_eq(host, DEFAULT_REGISTRY);
}

static int set_registry(struct oci_ref *r, const char *host, size_t len, const char *text,
                        struct err *err)
{
    cleanup_with(url_done) struct url u = {0};
    cleanup_free char *name = xstrndup(host, len);
    cleanup_free char *url = xasprintf("https://%s/", name);
    for (char *p = name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (strpbrk(name, "/?#@%") || url_parse(url, &u, NULL) < 0)
        return err_set(err, 0, "%s: \"%s\" is not a registry's HOST or HOST:PORT", text, name);
    r->registry = is_docker_hub(name) ? xstrdup(DEFAULT_REGISTRY) : take_ptr(name);
    return 0;
}

/* The first component is a registry when it can be no user's name: a dot, a port, localhost. */
static bool names_registry(const char *s, size_t len)
{
    return memchr(s, '.', len) || memchr(s, ':', len) ||
           (len == strlen("localhost") && memcmp(s, "localhost", len) == 0);
}

static int parse_registry(struct oci_ref *r, const char *rest, const char *text, struct err *err)
{
    const char *slash = strchr(rest, '/');
    size_t first = slash ? (size_t)(slash - rest) : 0;
    if (slash && names_registry(rest, first)) {
        if (set_registry(r, rest, first, text, err) < 0)
            return -1;
        rest = slash + 1;
    } else {
        r->registry = xstrdup(DEFAULT_REGISTRY);
    }
    const char *colon = strrchr(rest, ':');
    size_t len = colon ? (size_t)(colon - rest) : strlen(rest);
    cleanup_free char *name = xstrndup(rest, len);
    if (!repository_valid(name))
        return err_set(err, 0,
                       "%s: \"%s\" is not a name in a registry (lower-case letters, digits, and "
                       "one of . _ - between them)",
                       text, name);
    if (colon && !tag_valid(colon + 1))
        return err_set(err, 0, "%s: \"%s\" is not a tag", text, colon + 1);
    bool official = is_docker_hub(r->registry) && !strchr(name, '/');
    r->repository = xasprintf("%s%s", official ? "library/" : "", name);
    if (strlen(r->repository) > NAME_MAX_BYTES)
        return err_set(err, 0, "a name of %zu bytes in a registry (%d are allowed)",
                       strlen(r->repository), NAME_MAX_BYTES);
    r->tag = colon ? xstrdup(colon + 1) : r->digest ? NULL : xstrdup(DEFAULT_TAG);
    return 0;
}

/* PATH[:TAG]: the first colon ends the path. */
static int parse_path(struct oci_ref *r, const char *rest, const char *text, struct err *err)
{
    const char *colon = strchr(rest, ':');
    r->path = xstrndup(rest, colon ? (size_t)(colon - rest) : strlen(rest));
    if (!*r->path || (colon && !colon[1]))
        return err_set(err, 0, "%s: expected %sPATH[:TAG]", text, prefixes[r->kind]);
    r->tag = colon ? xstrdup(colon + 1) : NULL;
    return 0;
}

static int parse(const char *text, struct oci_ref *r, struct err *err)
{
    if (!kind_of(text, &r->kind))
        return err_set(err, 0, "%s is no reference to an OCI image", text);
    if (strlen(text) > OCI_REF_MAX)
        return err_set(err, 0, "a reference of more than %d bytes", OCI_REF_MAX);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return err_set(err, 0, "%s: it holds a control character", text);
    const char *at = strrchr(text, '@');
    if (at && (r->kind == OCI_REGISTRY || oci_digest_valid(at + 1))) {
        if (!oci_digest_valid(at + 1))
            return err_set(err, 0, "%s: \"%s\" is not a digest (sha256: and 64 hex digits)", text,
                           at + 1);
        r->digest = xstrdup(at + 1);
    }
    size_t skip = strlen(prefixes[r->kind]);
    cleanup_free char *rest =
        xstrndup(text + skip, (r->digest ? (size_t)(at - text) : strlen(text)) - skip);
    return r->kind == OCI_REGISTRY ? parse_registry(r, rest, text, err)
                                   : parse_path(r, rest, text, err);
}

int oci_ref_parse(const char *text, struct oci_ref *ret, struct err *err)
{
    cleanup_with(oci_ref_done) struct oci_ref r = {0};
    if (parse(text, &r, err) < 0)
        return -1;
    *ret = r;
    r = (struct oci_ref){0};
    return 0;
}

char *oci_ref_text(const struct oci_ref *r)
{
    struct buf b = {0};
    buf_adds(&b, prefixes[r->kind]);
    if (r->kind == OCI_REGISTRY)
        buf_printf(&b, "%s/%s", r->registry, r->repository);
    else
        buf_adds(&b, r->path);
    if (r->tag)
        buf_printf(&b, ":%s", r->tag);
    if (r->digest)
        buf_printf(&b, "@%s", r->digest);
    return buf_take(&b);
}

char *oci_ref_leaf(const struct oci_ref *r)
{
    cleanup_free char *whole = xstrdup(r->kind == OCI_REGISTRY ? r->repository : r->path);
    size_t n = strlen(whole);
    while (n > 1 && whole[n - 1] == '/')
        whole[--n] = '\0';
    const char *slash = strrchr(whole, '/');
    char *leaf = xstrdup(slash && slash[1] ? slash + 1 : whole);
    if (r->kind == OCI_ARCHIVE || r->kind == OCI_DOCKER_ARCHIVE) {
        char *tar = strstr(leaf, ".tar");
        if (tar && tar > leaf)
            *tar = '\0';
    }
    return leaf;
}

void oci_ref_done(struct oci_ref *r)
{
    free(r->path);
    free(r->registry);
    free(r->repository);
    free(r->tag);
    free(r->digest);
    *r = (struct oci_ref){0};
}
