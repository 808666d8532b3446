/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to guest memory: the table of regions and their mappings. */
#include "vmm/devices/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/devices/device.h"

static inline bool in_range(uint64_t start, uint64_t size, uint64_t addr, uint64_t len)
{
    return addr >= start && addr - start < size && len <= size - (addr - start);
}

static bool overlap(uint64_t a, uint64_t b, uint64_t asize, uint64_t bsize)
{
    return a < b ? b - a < asize : a - b < bsize;
}

static int check_desc(const struct mem *m, const struct mem_desc *d, struct err *err)
{
    if (m->n == MEM_REGIONS_MAX)
        return err_set(err, 0, "memory: more than %d regions", MEM_REGIONS_MAX);
    if (!d->size || d->size > INT64_MAX || d->offset > INT64_MAX - d->size ||
        d->gpa > UINT64_MAX - d->size || d->uaddr > UINT64_MAX - d->size)
        return err_set(err, 0, "memory: region at 0x%" PRIx64 " has a size or offset out of range",
                       d->gpa);
    for (size_t i = 0; i < m->n; i++) {
        const struct mem_region *r = &m->regions[i];
        if (overlap(d->gpa, r->gpa, d->size, r->size) ||
            overlap(d->uaddr, r->uaddr, d->size, r->size))
            return err_set(err, 0, "memory: regions at 0x%" PRIx64 " and 0x%" PRIx64 " overlap",
                           r->gpa, d->gpa);
    }
    return 0;
}

static int check_file(const struct mem_desc *d, int fd, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return err_set(err, errno, "memory: cannot look at the descriptor of a region");
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "memory: the descriptor of a region is not a memory file");
    if (d->offset + d->size > (uint64_t)st.st_size)
        return err_set(err, 0, "memory: region at 0x%" PRIx64 " ends behind its file of %jd bytes",
                       d->gpa, (intmax_t)st.st_size);
    return 0;
}

int mem_add(struct mem *m, const struct mem_desc *d, int fd, struct err *err)
{
    if (check_desc(m, d, err) || check_file(d, fd, err))
        return -1;
    uint64_t below = d->offset % (uint64_t)sysconf(_SC_PAGESIZE);
    size_t map_len = d->size + below;
    void *map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                     (off_t)(d->offset - below));
    if (map == MAP_FAILED)
        return err_set(err, errno, "memory: cannot map the region at 0x%" PRIx64, d->gpa);
    m->regions[m->n++] = (struct mem_region){
        .gpa = d->gpa,
        .size = d->size,
        .uaddr = d->uaddr,
        .host = (uint8_t *)map + below,
        .map = map,
        .map_len = map_len,
    };
    return 0;
}

int mem_remove(struct mem *m, const struct mem_desc *d, struct err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        struct mem_region *r = &m->regions[i];
        if (r->gpa != d->gpa || r->size != d->size || r->uaddr != d->uaddr)
            continue;
        munmap(r->map, r->map_len);
        *r = m->regions[--m->n];
        return 0;
    }
    return err_set(err, 0, "memory: there is no region at 0x%" PRIx64 " to remove", d->gpa);
}

void mem_clear(struct mem *m)
{
    for (size_t i = 0; i < m->n; i++)
        munmap(m->regions[i].map, m->regions[i].map_len);
    m->n = 0;
}

void *mem_at(const struct mem *m, uint64_t gpa, uint64_t len)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mem_region *r = &m->regions[i];
        if (in_range(r->gpa, r->size, gpa, len))
            return r->host + (gpa - r->gpa);
    }
    return NULL;
}

void *mem_at_uaddr(const struct mem *m, uint64_t uaddr, uint64_t len)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mem_region *r = &m->regions[i];
        if (in_range(r->uaddr, r->size, uaddr, len))
            return r->host + (uaddr - r->uaddr);
    }
    return NULL;
}

static void on_sigbus(int sig)
{
    static const char text[] = "memory: the front end cut guest memory off under the device\n";
    (void)sig;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        /* There is nobody left to tell. */
    }
    _exit(DEVICE_EXIT_MALFORMED);
}

void mem_guard_install(void)
{
    struct sigaction sa = {.sa_handler = on_sigbus};
    sigaction(SIGBUS, &sa, NULL);
}
