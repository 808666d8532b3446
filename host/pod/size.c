/* SPDX-License-Identifier: Apache-2.0 */
/* How large the VM of a pod is: from the options, else from its resource isolators. */
#include "host/pod/size.h"

#include <stdbool.h>
#include <unistd.h>

#include "base/err.h"
#include "schema/isolator.h"

#define CPUS_DEFAULT 2
#define CPUS_MAX     64

#define MIB             (1ULL << 20)
#define MEMORY_PER_APP  (256 * MIB)
#define MEMORY_OVERHEAD (128 * MIB) /* kernel, init, page tables, page cache to breathe */
#define MEMORY_MIN      (64 * MIB)
#define MEMORY_DEFAULT  (512 * MIB)
#define MEMORY_MAX      (1ULL << 40)

/* The limit of a resource isolator in a list: true with *ret. */
static bool limit_of(const struct ac_isolators *list, enum ac_isolator_kind kind, uint64_t *ret)
{
    const struct ac_isolator *i = ac_isolators_find(list, kind);
    struct ac_isolator_view view;
    if (!i || ac_isolator_decode(i, &view, NULL) < 0)
        return false;
    bool has = view.resource.has_limit && view.resource.limit > 0;
    if (has)
        *ret = (uint64_t)view.resource.limit;
    ac_isolator_view_done(&view);
    return has;
}

int size_cpus(const struct ac_pod_manifest *pod, uint64_t option, unsigned *ret, struct err *err)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t host = online > 0 ? (uint64_t)online : 1, milli = 0, one;
    bool all = true;
    if (option > CPUS_MAX)
        return err_set(err, 0, "--cpus: a pod has at most %d CPUs", CPUS_MAX);
    for (size_t i = 0; i < pod->napps && milli < CPUS_MAX * 1000; i++) {
        all = limit_of(&pod->apps[i].app.isolators, AC_ISOLATOR_CPU, &one) && all;
        milli += all ? one : 0;
    }
    if (!limit_of(&pod->isolators, AC_ISOLATOR_CPU, &milli) && !all)
        milli = CPUS_DEFAULT * 1000;
    uint64_t cpus = option ? option : (milli + 999) / 1000;
    if (cpus > CPUS_MAX)
        cpus = CPUS_MAX;
    if (!option && cpus > host)
        cpus = host;
    *ret = (unsigned)cpus;
    return 0;
}

int size_memory(const struct ac_pod_manifest *pod, uint64_t option, uint64_t *ret, struct err *err)
{
    uint64_t memory = 0, one;
    for (size_t i = 0; i < pod->napps && memory < MEMORY_MAX; i++) {
        one = MEMORY_PER_APP;
        limit_of(&pod->apps[i].app.isolators, AC_ISOLATOR_MEMORY, &one);
        memory += one < MEMORY_MAX ? one : MEMORY_MAX;
    }
    limit_of(&pod->isolators, AC_ISOLATOR_MEMORY, &memory);
    memory += MEMORY_OVERHEAD;
    if (memory < MEMORY_DEFAULT)
        memory = MEMORY_DEFAULT;
    if (option)
        memory = option;
    if (memory < MEMORY_MIN || memory > MEMORY_MAX)
        return err_set(err, 0, "a pod has 64M to 1T bytes of memory, not %llu",
                       (unsigned long long)memory);
    *ret = (memory + 2 * MIB - 1) & ~(2 * MIB - 1);
    return 0;
}

static uint64_t block_limit(const struct ac_isolators *list, enum ac_isolator_kind kind)
{
    const struct ac_isolator *i = ac_isolators_find(list, kind);
    struct ac_isolator_view view;
    if (!i || ac_isolator_decode(i, &view, NULL) < 0)
        return 0;
    int64_t limit = view.resource.has_limit ? view.resource.limit : 0;
    if (view.resource.has_limit && limit < 1)
        limit = 1;
    ac_isolator_view_done(&view);
    return (uint64_t)limit;
}

void size_block(const struct ac_pod_manifest *pod, uint64_t *ret_bytes, uint64_t *ret_requests)
{
    *ret_bytes = block_limit(&pod->isolators, AC_ISOLATOR_BLOCK_BANDWIDTH);
    *ret_requests = block_limit(&pod->isolators, AC_ISOLATOR_BLOCK_IOPS);
}
