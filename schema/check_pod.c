/* SPDX-License-Identifier: Apache-2.0 */
/* What the members of a pod manifest demand of each other: references, unique names, ports. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/parse.h"

#define PORT_MAX 65535

/* Mounts name volumes of the pod, unless they bring their own. */
static int check_mounts(const struct node *root, const struct ac_pod_manifest *m)
{
    struct place app, mount;
    size_t count;
    cleanup_free struct named *volumes = names_sort(m->volumes, m->nvolumes, sizeof(*m->volumes));
    for (size_t i = 0; i < m->napps; i++)
        for (size_t k = 0; k < m->apps[i].nmounts; k++) {
            const struct ac_mount *mt = &m->apps[i].mounts[k];
            if (mt->has_app_volume || names_find(volumes, m->nvolumes, mt->volume, &count))
                continue;
            const struct node *at = place_of(&app, root, "apps", i, NULL);
            return node_fault(place_of(&mount, at, "mounts", k, "volume"),
                              "the pod has no volume called \"%.128s\"", mt->volume);
        }
    return 0;
}

struct port_ref {
    const struct ac_port *port;
};

/* The ports of all apps whose app object is in the manifest, by name. */
struct port_index {
    struct port_ref *ports;
    struct named *sorted;
    size_t n;
    bool complete; /* no app is left to its image */
};

static void port_index_done(struct port_index *x)
{
    free(x->ports);
    free(x->sorted);
}

static void port_index_init(struct port_index *x, const struct ac_pod_manifest *m)
{
    size_t total = 0;
    x->complete = true;
    for (size_t i = 0; i < m->napps; i++)
        total += m->apps[i].app.nports;
    x->ports = xcalloc(total, sizeof(*x->ports));
    x->sorted = xcalloc(total, sizeof(*x->sorted));
    for (size_t i = 0; i < m->napps; i++) {
        x->complete = x->complete && m->apps[i].has_app;
        for (size_t k = 0; k < m->apps[i].app.nports; k++, x->n++) {
            x->ports[x->n].port = &m->apps[i].app.ports[k];
            x->sorted[x->n] = (struct named){m->apps[i].app.ports[k].name, x->n};
        }
    }
    names_order(x->sorted, x->n);
}

/* A range of host ports that a pod port takes. */
struct host_range {
    const char *protocol;
    const char *ip; /* NULL: all addresses */
    uint32_t first, last;
    size_t index; /* of the pod port */
};

/* Finds the port behind a pod port: *ret is NULL when that is still unknown (POD-35, 36, 38). */
static int resolve_port(const struct node *root, size_t i, const struct ac_pod_port *p,
                        const struct port_index *x, const struct ac_port **ret)
{
    struct place at;
    size_t count;
    *ret = &p->pod_port;
    if (p->has_pod_port)
        return 0;
    const struct named *hit = names_find(x->sorted, x->n, p->name, &count);
    *ret = hit ? x->ports[hit->index].port : NULL;
    if (count > 1)
        return node_fault(place_of(&at, root, "ports", i, "name"),
                          "\"%.128s\" is the name of %zu ports of the pod's apps", p->name, count);
    if (!hit && x->complete)
        return node_fault(place_of(&at, root, "ports", i, "name"),
                          "no app has a port called \"%.128s\", and there is no podPort", p->name);
    return 0;
}

static int add_range(const struct node *root, size_t i, const struct ac_pod_port *p,
                     const struct ac_port *port, struct host_range *ret)
{
    struct place at;
    if (p->host_port + port->count - 1 > PORT_MAX)
        return node_fault(place_of(&at, root, "ports", i, "hostPort"),
                          "%u ports from %u on go beyond %d", port->count, p->host_port, PORT_MAX);
    *ret = (struct host_range){
        .protocol = port->protocol,
        .ip = p->host_ip && strcmp(p->host_ip, "0.0.0.0") != 0 ? p->host_ip : NULL,
        .first = p->host_port,
        .last = p->host_port + port->count - 1,
        .index = i,
    };
    return 0;
}

/* By protocol, then address (all addresses first), then port. */
static int compare_ranges(const void *a, const void *b)
{
    const struct host_range *x = a, *y = b;
    int c = strcasecmp(x->protocol, y->protocol);
    if (c == 0)
        c = strcmp(x->ip ? x->ip : "", y->ip ? y->ip : "");
    if (c == 0)
        c = (x->first > y->first) - (x->first < y->first);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

static bool overlap(const struct host_range *a, const struct host_range *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* One of `n` ranges that are ordered and apart from each other and that shares a port with r. */
static const struct host_range *find_overlap(const struct host_range *sorted, size_t n,
                                             const struct host_range *r)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (overlap(&sorted[mid], r))
            return &sorted[mid];
        if (sorted[mid].first < r->first)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* The earlier range that r[i] collides with; `all` is where its protocol's ranges begin. */
static const struct host_range *find_conflict(const struct host_range *r, size_t all, size_t nall,
                                              size_t i)
{
    if (i > all && str_eq(r[i - 1].ip, r[i].ip) && overlap(&r[i - 1], &r[i]))
        return &r[i - 1];
    return r[i].ip ? find_overlap(r + all, nall, &r[i]) : NULL;
}

/* No host port is taken twice for one protocol and address (POD-39). */
static int check_ranges(const struct node *root, struct host_range *r, size_t n)
{
    struct place at;
    size_t all = 0, nall = 0;
    qsort(r, n, sizeof(*r), compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(r[all].protocol, r[i].protocol) != 0) {
            all = i;
            nall = 0;
        }
        nall += r[i].ip == NULL;
        const struct host_range *other = find_conflict(r, all, nall, i);
        if (!other)
            continue;
        size_t later = other->index > r[i].index ? other->index : r[i].index;
        size_t earlier = other->index > r[i].index ? r[i].index : other->index;
        return node_fault(place_of(&at, root, "ports", later, "hostPort"),
                          "%.32s host port %u is already taken by ports[%zu]", r[i].protocol,
                          other->first > r[i].first ? other->first : r[i].first, earlier);
    }
    return 0;
}

static int check_ports(const struct node *root, const struct ac_pod_manifest *m)
{
    cleanup_with(port_index_done) struct port_index x = {0};
    cleanup_free struct host_range *ranges = xcalloc(m->nports, sizeof(*ranges));
    size_t n = 0;
    port_index_init(&x, m);
    for (size_t i = 0; i < m->nports; i++) {
        const struct ac_port *port;
        if (resolve_port(root, i, &m->ports[i], &x, &port) < 0)
            return -1;
        if (port && add_range(root, i, &m->ports[i], port, &ranges[n]) < 0)
            return -1;
        n += port != NULL;
    }
    return check_ranges(root, ranges, n);
}

int check_pod(const struct node *root, const struct ac_pod_manifest *m)
{
    if (check_unique(root, "apps", m->apps, m->napps, sizeof(*m->apps)) < 0 ||
        check_unique(root, "volumes", m->volumes, m->nvolumes, sizeof(*m->volumes)) < 0)
        return -1;
    if (!root->r->template && check_mounts(root, m) < 0)
        return -1;
    return check_ports(root, m);
}
