/* SPDX-License-Identifier: Apache-2.0 */
/* The launch plan as JSON. */
#include "host/supervisor/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

#define PLAN_CPUS_MAX 64

json_t *plan_encode(const struct plan *p)
{
    json_t *images = json_array();
    for (size_t i = 0; i < p->nimages; i++)
        json_array_append_new(images, json_pack("[i, I, I]", p->images[i].fd,
                                                (json_int_t)p->images[i].offset,
                                                (json_int_t)p->images[i].length));
    json_t *shares = json_array();
    for (size_t i = 0; i < p->nshares; i++)
        json_array_append_new(shares, json_pack("[s, i, b, b]", p->shares[i].name, p->shares[i].fd,
                                                p->shares[i].read_only, p->shares[i].recursive));
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:b, s:b, s:b, s:b, s:s, s:s*, "
        "s:o, s:o, s:o, s:s, s:I, s:I}",
        "podDir", p->pod_dir_fd, "lock", p->lock_fd, "kvm", p->kvm_fd, "scratch", p->scratch_fd,
        "metadata", p->metadata_fd, "ready", p->ready_fd, "output", p->output_fd, "error",
        p->error_fd, "cpus", (int)p->cpus, "memory", (json_int_t)p->memory, "debug", p->debug,
        "reportJSON", p->report_json, "prefixAlways", p->prefix_always, "prefixNever",
        p->prefix_never, "libexec", p->libexec, "qemu", p->qemu, "images", images, "shares", shares,
        "config", wire_config_encode(&p->config), "ownership", p->ownership, "blockBytes",
        (json_int_t)p->block_bytes, "blockRequests", (json_int_t)p->block_requests);
}

static int decode_images(json_t *list, struct plan *p, struct err *err)
{
    json_t *item;
    size_t i;
    p->images = xcalloc(json_array_size(list), sizeof(*p->images));
    json_array_foreach (list, i, item) {
        json_int_t offset, length;
        if (json_unpack(item, "[i, I, I]", &p->images[i].fd, &offset, &length) < 0 || offset < 0 ||
            length <= 0)
            return err_set(err, 0, "plan: extent %zu of the images is malformed", i);
        p->images[i].offset = (uint64_t)offset;
        p->images[i].length = (uint64_t)length;
        p->nimages++;
    }
    return 0;
}

static int decode_shares(json_t *list, struct plan *p, struct err *err)
{
    json_t *item;
    size_t i;
    p->shares = xcalloc(json_array_size(list), sizeof(*p->shares));
    json_array_foreach (list, i, item) {
        const char *name;
        int fd, read_only, recursive;
        if (json_unpack(item, "[s, i, b, b]", &name, &fd, &read_only, &recursive) < 0)
            return err_set(err, 0, "plan: share %zu is malformed", i);
        p->shares[p->nshares++] = (struct plan_share){
            .name = xstrdup(name), .fd = fd, .read_only = read_only, .recursive = recursive};
    }
    return 0;
}

int plan_decode(json_t *doc, struct plan *ret, struct err *err)
{
    cleanup_with(plan_done) struct plan p = {0};
    const char *libexec, *ownership, *qemu = NULL;
    json_t *images, *shares, *config;
    json_int_t memory, bytes, requests;
    int cpus, debug, report, always, never;
    json_error_t jerr;
    if (json_unpack_ex(
            doc, &jerr, 0,
            "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:b, s:b, s:b, s:b, s:s, "
            "s?s, s:o, s:o, s:o, s:s, s:I, s:I}",
            "podDir", &p.pod_dir_fd, "lock", &p.lock_fd, "kvm", &p.kvm_fd, "scratch", &p.scratch_fd,
            "metadata", &p.metadata_fd, "ready", &p.ready_fd, "output", &p.output_fd, "error",
            &p.error_fd, "cpus", &cpus, "memory", &memory, "debug", &debug, "reportJSON", &report,
            "prefixAlways", &always, "prefixNever", &never, "libexec", &libexec, "qemu", &qemu,
            "images", &images, "shares", &shares, "config", &config, "ownership", &ownership,
            "blockBytes", &bytes, "blockRequests", &requests) < 0)
        return err_set(err, 0, "plan: %s", jerr.text);
    if (cpus < 1 || cpus > PLAN_CPUS_MAX || memory <= 0 || bytes < 0 || requests < 0)
        return err_set(err, 0, "plan: cpus, memory or a limit is out of range");
    p.cpus = (unsigned)cpus;
    p.memory = (uint64_t)memory;
    p.block_bytes = (uint64_t)bytes;
    p.block_requests = (uint64_t)requests;
    p.debug = debug;
    p.report_json = report;
    p.prefix_always = always;
    p.prefix_never = never;
    p.libexec = xstrdup(libexec);
    p.ownership = xstrdup(ownership);
    p.qemu = qemu ? xstrdup(qemu) : NULL;
    if (decode_images(images, &p, err) < 0 || decode_shares(shares, &p, err) < 0 ||
        wire_config_decode(config, &p.config, err) < 0)
        return -1;
    *ret = p;
    memset(&p, 0, sizeof(p));
    return 0;
}

void plan_done(struct plan *p)
{
    free(p->libexec);
    free(p->qemu);
    free(p->ownership);
    free(p->images);
    for (size_t i = 0; i < p->nshares; i++)
        free(p->shares[i].name);
    free(p->shares);
    wire_config_done(&p->config);
    memset(p, 0, sizeof(*p));
}
