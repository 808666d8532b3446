/* SPDX-License-Identifier: Apache-2.0 */
/* Index and manifest of OCI and Docker images. */
#include "fetch/oci/document.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/digest.h"
#include "fetch/oci/json.h"
#include "schema/value.h"

#define REF_NAME "org.opencontainers.image.ref.name"

static void descriptor_done(struct oci_descriptor *d)
{
    free(d->media_type);
    free(d->digest);
    free(d->ref_name);
    free(d->os);
    free(d->arch);
    free(d->variant);
}

void oci_document_done(struct oci_document *d)
{
    for (size_t i = 0; i < d->n; i++)
        descriptor_done(&d->v[i]);
    free(d->v);
    descriptor_done(&d->config);
    *d = (struct oci_document){0};
}

static int parse_platform(const json_t *o, const char *name, struct oci_descriptor *d,
                          struct err *err)
{
    const json_t *p = json_object_get(o, "platform");
    if (!json_is_object(p))
        return 0;
    if (oci_json_string(p, "os", name, &d->os, err) < 0 ||
        oci_json_string(p, "architecture", name, &d->arch, err) < 0)
        return -1;
    return oci_json_string(p, "variant", name, &d->variant, err);
}

/* What it holds stays in *d also on failure. */
static int parse_descriptor(const json_t *o, const char *name, const char *what,
                            struct oci_descriptor *d, struct err *err)
{
    const json_t *size = json_object_get(o, "size");
    if (!json_is_object(o))
        return err_set(err, 0, "%s: %s is not a descriptor", name, what);
    if (oci_json_string(o, "mediaType", name, &d->media_type, err) < 0 ||
        oci_json_string(o, "digest", name, &d->digest, err) < 0 ||
        oci_json_string(json_object_get(o, "annotations"), REF_NAME, name, &d->ref_name, err) < 0 ||
        parse_platform(o, name, d, err) < 0)
        return -1;
    if (!d->digest || !oci_digest_valid(d->digest))
        return err_set(err, 0, "%s: %s has no digest of a known kind (sha256, sha512)", name, what);
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        (uint64_t)json_integer_value(size) > OCI_SIZE_MAX)
        return err_set(err, 0, "%s: %s has no valid size", name, what);
    d->size = (uint64_t)json_integer_value(size);
    return 0;
}

static int parse_list(const json_t *list, size_t max, const char *name, const char *what,
                      struct oci_document *d, struct err *err)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(list))
        return err_set(err, 0, "%s: \"%s\" is not a list", name, what);
    if (json_array_size(list) > max)
        return err_set(err, 0, "%s: %zu %s (%zu are allowed)", name, json_array_size(list), what,
                       max);
    d->v = xcalloc(json_array_size(list), sizeof(*d->v));
    json_array_foreach (list, i, item) {
        char place[64];
        snprintf(place, sizeof(place), "%s[%zu]", what, i);
        if (parse_descriptor(item, name, place, &d->v[d->n++], err) < 0)
            return -1;
    }
    return 0;
}

static int parse_document(const json_t *root, const char *name, struct oci_document *d,
                          struct err *err)
{
    const json_t *version = json_object_get(root, "schemaVersion");
    const json_t *manifests = json_object_get(root, "manifests");
    const json_t *config = json_object_get(root, "config");
    if (!json_is_object(root))
        return err_set(err, 0, "%s is neither an image index nor a manifest", name);
    if (json_integer_value(version) == 1)
        return err_set(err, 0,
                       "%s is a manifest of Docker's schema 1, which is not supported; push the "
                       "image again with a newer tool",
                       name);
    if (!json_is_integer(version) || json_integer_value(version) != 2)
        return err_set(err, 0, "%s: \"schemaVersion\" is not 2", name);
    if (manifests) {
        d->index = true;
        return parse_list(manifests, OCI_ENTRIES_MAX, name, "manifests", d, err);
    }
    if (!config)
        return err_set(err, 0, "%s is neither an image index nor a manifest", name);
    if (parse_descriptor(config, name, "config", &d->config, err) < 0)
        return -1;
    return parse_list(json_object_get(root, "layers"), OCI_LAYERS_MAX, name, "layers", d, err);
}

int oci_document_parse(const char *text, size_t len, const char *name, struct oci_document *ret,
                       struct err *err)
{
    cleanup_with(oci_document_done) struct oci_document d = {0};
    json_t *root;
    if (oci_json_load(text, len, name, &root, err) < 0)
        return -1;
    int r = parse_document(root, name, &d, err);
    json_decref(root);
    if (r < 0)
        return -1;
    *ret = d;
    d = (struct oci_document){0};
    return 0;
}

const char *oci_arch(const char *arch, const char *variant)
{
    static const struct {
        const char *oci, *variant, *appc;
    } table[] = {
        {"amd64", NULL, "amd64"},     {"arm64", NULL, "aarch64"}, {"386", NULL, "i386"},
        {"arm", "v6", "armv6l"},      {"arm", "v7", "armv7l"},    {"arm", NULL, "armv7l"},
        {"ppc64le", NULL, "ppc64le"}, {"s390x", NULL, "s390x"},
    };
    for (size_t i = 0; arch && i < ARRAY_SIZE(table); i++)
        if (str_eq(table[i].oci, arch) &&
            (!table[i].variant || (variant && str_eq(table[i].variant, variant))))
            return table[i].appc;
    return NULL;
}

/* How well a manifest suits the machine; 0: not at all. */
static int fit(const struct oci_descriptor *d, const char *os, const char *arch)
{
    if (!d->os && !d->arch)
        return 1;
    if (!str_eq(d->os, os) || !str_eq(oci_arch(d->arch, d->variant), arch))
        return 0;
    /* amd64/v2 and the like want more of the CPU than is known to be there. */
    if (!d->variant || str_eq(d->variant, "v1") || str_eq(d->variant, "v8"))
        return 3;
    return 2;
}

const struct oci_descriptor *oci_document_choose(const struct oci_document *index, const char *os,
                                                 const char *arch)
{
    const struct oci_descriptor *best = NULL;
    for (size_t i = 0; i < index->n; i++)
        if (fit(&index->v[i], os, arch) > (best ? fit(best, os, arch) : 0))
            best = &index->v[i];
    return best;
}

char *oci_document_platforms(const struct oci_document *index)
{
    struct buf b = {0};
    for (size_t i = 0; i < index->n && b.len < 256; i++) {
        const struct oci_descriptor *d = &index->v[i];
        if (!d->os || str_eq(d->os, "unknown")) /* attestations */
            continue;
        buf_printf(&b, "%s%.32s/%.32s", b.len ? ", " : "", d->os, d->arch ? d->arch : "?");
        if (d->variant)
            buf_printf(&b, "/%.16s", d->variant);
    }
    return buf_take(&b);
}
