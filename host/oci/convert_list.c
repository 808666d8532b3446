/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and volumes of a config as appc has them. */
#include "host/oci/convert_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/types.h"

void convert_warn(struct ac_strings *w, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    ac_strings_add(w, line);
}

/* FIRST[-LAST][/PROTOCOL]; the protocol is TCP when there is none. */
static bool parse_port(const char *text, struct ac_port *p)
{
    cleanup_free char *copy = xstrdup(text);
    char *slash = strchr(copy, '/'), *dash = strchr(copy, '-');
    uint64_t first, last;
    const char *protocol = slash ? slash + 1 : "tcp";
    if (slash)
        *slash = '\0';
    if (dash && (!slash || dash < slash))
        *dash = '\0';
    else
        dash = NULL;
    if (parse_u64(copy, 65535, &first) < 0 || first == 0)
        return false;
    last = first;
    if (dash && (parse_u64(dash + 1, 65535, &last) < 0 || last < first))
        return false;
    if (!str_eq(protocol, "tcp") && !str_eq(protocol, "udp"))
        return false;
    *p = (struct ac_port){.protocol = xstrdup(protocol),
                          .port = (uint32_t)first,
                          .count = (uint32_t)(last - first + 1)};
    p->name = dash ? xasprintf("%u-%u-%s", (unsigned)first, (unsigned)last, protocol)
                   : xasprintf("%u-%s", (unsigned)first, protocol);
    return true;
}

static bool has_port(const struct ac_app *app, const char *name)
{
    for (size_t i = 0; i < app->nports; i++)
        if (str_eq(app->ports[i].name, name))
            return true;
    return false;
}

void convert_ports(const struct oci_config *c, struct ac_app *app, struct ac_strings *w)
{
    size_t cap = 0;
    for (size_t i = 0; i < c->ports.n; i++) {
        struct ac_port p;
        if (!parse_port(c->ports.v[i], &p)) {
            convert_warn(w, "the port \"%.64s\" is left out: appc has no such port", c->ports.v[i]);
            continue;
        }
        if (has_port(app, p.name)) {
            ac_port_done(&p);
            continue;
        }
        array_grow(&app->ports, app->nports, &cap, sizeof(p));
        app->ports[app->nports++] = p;
    }
}

static bool has_mount_point(const struct ac_app *app, const char *name)
{
    for (size_t i = 0; i < app->nmount_points; i++)
        if (str_eq(app->mount_points[i].name, name))
            return true;
    return false;
}

static bool has_path(const struct ac_app *app, const char *path)
{
    for (size_t i = 0; i < app->nmount_points; i++)
        if (str_eq(app->mount_points[i].path, path))
            return true;
    return false;
}

void convert_volumes(const struct oci_config *c, struct ac_app *app, struct ac_strings *w)
{
    size_t cap = 0;
    for (size_t i = 0; i < c->volumes.n; i++) {
        cleanup_free char *path = *c->volumes.v[i] == '/' ? ac_path_clean(c->volumes.v[i]) : NULL;
        cleanup_free char *text = path ? xasprintf("volume-%s", path) : NULL;
        cleanup_free char *base = text ? ac_name_sanitise(text) : NULL;
        if (!base || str_eq(path, "/")) {
            convert_warn(w, "the volume \"%.128s\" is left out: it is no path below the root",
                         c->volumes.v[i]);
            continue;
        }
        if (has_path(app, path))
            continue;
        char *name = xstrdup(base);
        for (unsigned k = 2; has_mount_point(app, name); k++) {
            free(name);
            name = xasprintf("%s-%u", base, k);
        }
        array_grow(&app->mount_points, app->nmount_points, &cap, sizeof(*app->mount_points));
        app->mount_points[app->nmount_points++] =
            (struct ac_mount_point){.name = name, .path = take_ptr(path)};
    }
}
