/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM as one shared memory file. */
#include "vmm/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/err.h"

#define HUGE_PAGE  (2ull << 20)
#define CHUNK_SIZE (1u << 30)

/*
 * Maps at an address with the same offset within a huge page as the guest's,
 * or neither THP nor KVM can use one.
 */
static int map_region(struct guest_memory *m, struct memory_region *r, struct err *err)
{
    size_t room = r->size + HUGE_PAGE;
    uint8_t *base = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *at;

    if (base == MAP_FAILED)
        return err_set(err, errno, "can't reserve %" PRIu64 " bytes of addresses", r->size);
    at = base + ((r->gpa - (uintptr_t)base) & (HUGE_PAGE - 1));
    if (mmap(at, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, m->fd,
             (off_t)r->offset) == MAP_FAILED) {
        int e = errno;

        munmap(base, room);
        return err_set(err, e, "can't map %" PRIu64 " bytes of guest memory", r->size);
    }
    if (at > base)
        munmap(base, (size_t)(at - base));
    munmap(at + r->size, (size_t)(base + room - at) - r->size);
    r->host = at;
    madvise(at, r->size, MADV_HUGEPAGE); /* a wish: not every host grants it */
    return 0;
}

int memory_create(struct guest_memory *m, struct err *err)
{
    uint64_t total = 0;

    for (size_t i = 0; i < m->nregions; i++) {
        m->regions[i].offset = total;
        m->regions[i].host = NULL;
        total += m->regions[i].size;
    }
    m->size = total;
    m->fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (m->fd < 0)
        return err_set(err, errno, "can't make the guest's memory file");
    if (ftruncate(m->fd, (off_t)total))
        return err_set(err, errno, "can't give the guest %" PRIu64 " bytes of memory", total);
    for (size_t i = 0; i < m->nregions; i++)
        if (map_region(m, &m->regions[i], err))
            return -1;
    return 0;
}

void memory_destroy(struct guest_memory *m)
{
    for (size_t i = 0; i < m->nregions; i++)
        if (m->regions[i].host)
            munmap(m->regions[i].host, m->regions[i].size);
    if (m->fd >= 0)
        close(m->fd);
    *m = (struct guest_memory){.fd = -1};
}

static const struct memory_region *find_region(const struct guest_memory *m, uint64_t gpa,
                                               uint64_t len)
{
    for (size_t i = 0; i < m->nregions; i++) {
        const struct memory_region *r = &m->regions[i];

        if (gpa >= r->gpa && gpa - r->gpa <= r->size && len <= r->size - (gpa - r->gpa))
            return r;
    }
    return NULL;
}

void *memory_at(const struct guest_memory *m, uint64_t gpa, uint64_t len)
{
    const struct memory_region *r = find_region(m, gpa, len);

    return r ? r->host + (gpa - r->gpa) : NULL;
}

int memory_load_file(const struct guest_memory *m, uint64_t gpa, int fd, uint64_t offset,
                     uint64_t len, const char *name, struct err *err)
{
    const struct memory_region *r = find_region(m, gpa, len);
    off_t from = (off_t)offset;

    if (!r)
        return err_set(err, 0, "%s: %" PRIu64 " bytes at %#" PRIx64 " lie outside of memory", name,
                       len, gpa);
    if (lseek(m->fd, (off_t)(r->offset + (gpa - r->gpa)), SEEK_SET) < 0)
        return err_set(err, errno, "%s: can't seek in guest memory", name);
    while (len) {
        ssize_t n = sendfile(m->fd, fd, &from, len < CHUNK_SIZE ? len : CHUNK_SIZE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, errno, "%s: can't be copied to guest memory", name);
        if (n == 0)
            return err_set(err, 0, "%s: the file ends %" PRIu64 " bytes too early", name, len);
        len -= (uint64_t)n;
    }
    return 0;
}

int memory_write(const struct guest_memory *m, uint64_t gpa, const void *data, size_t len,
                 struct err *err)
{
    void *p = memory_at(m, gpa, len);

    if (!p)
        return err_set(err, 0, "%zu bytes at %#" PRIx64 " lie outside of memory", len, gpa);
    memcpy(p, data, len);
    return 0;
}
