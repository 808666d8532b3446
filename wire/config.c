/* SPDX-License-Identifier: Apache-2.0 */
/* The "config" message: everything a guest has to know. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

void wire_config_done(struct wire_config *c)
{
    free(c->uuid);
    free(c->hostname);
    free(c->metadata_url);
    json_decref(c->manifest);
    free(c->roots);
    for (size_t i = 0; i < c->napps; i++)
        free(c->apps[i].name);
    free(c->apps);
    free(c->profiles);
    free(c->from_image);
    free(c->hosts);
    free(c->resolv_conf);
    *c = (struct wire_config){0};
}

json_t *wire_config_encode(const struct wire_config *c)
{
    json_t *roots = json_array(), *apps = json_array(), *profiles = json_array();
    json_t *from_image = json_array();
    for (size_t i = 0; i < c->nfrom_image; i++)
        json_array_append_new(from_image, json_integer(c->from_image[i]));
    for (size_t i = 0; i < c->nprofiles; i++)
        json_array_append_new(profiles,
                              json_pack("{s:I, s:I}", "offset", (json_int_t)c->profiles[i].offset,
                                        "length", (json_int_t)c->profiles[i].length));
    for (size_t i = 0; i < c->nroots; i++)
        json_array_append_new(roots,
                              json_pack("{s:I, s:I}", "offset", (json_int_t)c->roots[i].offset,
                                        "length", (json_int_t)c->roots[i].length));
    for (size_t i = 0; i < c->napps; i++)
        json_array_append_new(apps,
                              json_pack("{s:s, s:I, s:b, s:i}", "name", c->apps[i].name, "root",
                                        (json_int_t)c->apps[i].root, "notify", c->apps[i].notify,
                                        "stopSignal", c->apps[i].stop_signal));
    return json_pack("{s:s, s:i, s:s, s:s, s:s?, s:O, s:o, s:o, s:o, s:o, s:s*, s:s*, "
                     "s:b, s:b, s:b, s:b, s:b, s:I, s:I}",
                     "type", "config", "version", WIRE_VERSION, "uuid", c->uuid, "hostname",
                     c->hostname, "metadataURL", c->metadata_url, "manifest", c->manifest, "roots",
                     roots, "apps", apps, "profiles", profiles, "fromImage", from_image, "hosts",
                     c->hosts, "resolvConf", c->resolv_conf, "scratch", c->scratch, "debug",
                     c->debug, "strict", c->strict, "dryRun", c->dry_run, "stopOnExit",
                     c->stop_on_exit, "graceMs", (json_int_t)c->grace_ms, "clockNs",
                     (json_int_t)c->clock_ns);
}

static int get_u64(json_t *obj, const char *key, uint64_t max, uint64_t *ret, struct err *err)
{
    json_t *v = json_object_get(obj, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return err_set(err, 0, "config: %s is missing or out of range", key);
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

static int get_array(json_t *msg, const char *key, json_t **ret, struct err *err)
{
    *ret = json_object_get(msg, key);
    if (!json_is_array(*ret) || json_array_size(*ret) > WIRE_APPS_MAX)
        return err_set(err, 0, "config: %s is missing or too long", key);
    return 0;
}

static int decode_roots(json_t *msg, struct wire_config *c, struct err *err)
{
    json_t *list, *item;
    size_t i;
    if (get_array(msg, "roots", &list, err) < 0)
        return -1;
    c->roots = xcalloc(json_array_size(list), sizeof(*c->roots));
    json_array_foreach (list, i, item) {
        struct wire_root *r = &c->roots[i];
        if (get_u64(item, "offset", INT64_MAX, &r->offset, err) < 0 ||
            get_u64(item, "length", INT64_MAX, &r->length, err) < 0)
            return -1;
        if (r->offset % 512 || r->length % 512 || r->length == 0)
            return err_set(err, 0, "config: root %zu is not a range of sectors", i);
        c->nroots++;
    }
    return 0;
}

static int decode_apps(json_t *msg, struct wire_config *c, struct err *err)
{
    json_t *list, *item;
    size_t i;
    if (get_array(msg, "apps", &list, err) < 0)
        return -1;
    c->apps = xcalloc(json_array_size(list), sizeof(*c->apps));
    json_array_foreach (list, i, item) {
        const char *name = wire_string(item, "name", WIRE_NAME_MAX);
        uint64_t root, stop = 0;
        if (!name || get_u64(item, "root", UINT32_MAX, &root, err) < 0 || root >= c->nroots)
            return err_set(err, 0, "config: app %zu is malformed", i);
        if (json_object_get(item, "stopSignal") &&
            get_u64(item, "stopSignal", WIRE_SIGNAL_MAX, &stop, err) < 0)
            return -1;
        c->apps[i].name = xstrdup(name);
        c->apps[i].root = (unsigned)root;
        c->apps[i].notify = json_is_true(json_object_get(item, "notify"));
        c->apps[i].stop_signal = (int)stop;
        c->napps++;
    }
    return 0;
}

static int decode_profiles(json_t *msg, struct wire_config *c, struct err *err)
{
    json_t *list = json_object_get(msg, "profiles"), *item;
    size_t i;
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > WIRE_PROFILES_MAX)
        return err_set(err, 0, "config: profiles is no list, or too long");
    c->profiles = xcalloc(json_array_size(list), sizeof(*c->profiles));
    json_array_foreach (list, i, item) {
        struct wire_profile *p = &c->profiles[i];
        if (get_u64(item, "offset", INT64_MAX, &p->offset, err) < 0 ||
            get_u64(item, "length", WIRE_PROFILE_SIZE_MAX, &p->length, err) < 0)
            return -1;
        if (p->offset % 512 || p->length == 0)
            return err_set(err, 0, "config: profile %zu is not a part of the disk", i);
        c->nprofiles++;
    }
    return 0;
}

static int decode_from_image(json_t *msg, struct wire_config *c, struct err *err)
{
    json_t *list = json_object_get(msg, "fromImage"), *item;
    size_t i;
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > WIRE_VOLUMES_MAX)
        return err_set(err, 0, "config: fromImage is no list, or too long");
    c->from_image = xcalloc(json_array_size(list), sizeof(*c->from_image));
    json_array_foreach (list, i, item) {
        json_int_t n = json_is_integer(item) ? json_integer_value(item) : -1;
        if (n < 0 || n > UINT32_MAX)
            return err_set(err, 0, "config: volume %zu of fromImage is no number", i);
        c->from_image[c->nfrom_image++] = (unsigned)n;
    }
    return 0;
}

/* The content of a file for the apps; absent is NULL. */
static int get_file(json_t *msg, const char *key, char **ret, struct err *err)
{
    if (!json_object_get(msg, key))
        return 0;
    const char *text = wire_string(msg, key, WIRE_FILE_MAX);
    if (!text)
        return err_set(err, 0, "config: %s is no text, or too long", key);
    *ret = xstrdup(text);
    return 0;
}

static int decode_scalars(json_t *msg, struct wire_config *c, struct err *err)
{
    uint64_t grace;
    const char *uuid = wire_string(msg, "uuid", 64);
    const char *hostname = wire_string(msg, "hostname", 64);
    const char *url = wire_string(msg, "metadataURL", 1024);
    json_t *manifest = json_object_get(msg, "manifest");
    if (json_integer_value(json_object_get(msg, "version")) != WIRE_VERSION)
        return err_set(err, 0, "config: another version of the protocol");
    if (!uuid || !hostname || !json_is_object(manifest))
        return err_set(err, 0, "config: uuid, hostname or manifest is missing");
    if (get_u64(msg, "graceMs", UINT32_MAX, &grace, err) < 0 ||
        get_u64(msg, "clockNs", INT64_MAX, &c->clock_ns, err) < 0)
        return -1;
    c->uuid = xstrdup(uuid);
    c->hostname = xstrdup(hostname);
    c->metadata_url = url ? xstrdup(url) : NULL;
    c->manifest = json_incref(manifest);
    c->grace_ms = (uint32_t)grace;
    c->scratch = json_is_true(json_object_get(msg, "scratch"));
    c->debug = json_is_true(json_object_get(msg, "debug"));
    c->strict = json_is_true(json_object_get(msg, "strict"));
    c->dry_run = json_is_true(json_object_get(msg, "dryRun"));
    c->stop_on_exit = json_is_true(json_object_get(msg, "stopOnExit"));
    return 0;
}

int wire_config_decode(json_t *msg, struct wire_config *ret, struct err *err)
{
    cleanup_with(wire_config_done) struct wire_config c = {0};
    if (decode_scalars(msg, &c, err) < 0 || decode_roots(msg, &c, err) < 0 ||
        decode_apps(msg, &c, err) < 0 || decode_profiles(msg, &c, err) < 0 ||
        decode_from_image(msg, &c, err) < 0 || get_file(msg, "hosts", &c.hosts, err) < 0 ||
        get_file(msg, "resolvConf", &c.resolv_conf, err) < 0)
        return -1;
    *ret = c;
    c = (struct wire_config){0};
    return 0;
}
