/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: the tables of nodes and of open files, and their descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vmm/devices/fs_ops.h"

/* Descriptors that are closed at a time when there are too many. */
#define CLOSE_BATCH 16

#define ID(generation, slot) ((uint64_t)(generation) << 32 | (slot))
#define SLOT(id)             ((uint32_t)(id))

struct fs_path fs_path(int fd)
{
    struct fs_path p;
    snprintf(p.text, sizeof(p.text), "%d", fd);
    return p;
}

int fs_open_at(int dir, const char *name, int flags, mode_t mode)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
    return fd < 0 ? -errno : fd;
}

int fs_reopen(int fd, int flags)
{
    const struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC)};
    struct fs_path p = fs_path(fd);
    int r = (int)syscall(SYS_openat2, AT_FDCWD, p.text, &how, sizeof(how));
    return r < 0 ? -errno : r;
}

int fs_statx(int fd, struct statx *ret)
{
    unsigned mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT, mask, ret) ? -errno : 0;
}

/* Slots. */

static uint32_t slot_take(struct fs_slots *s)
{
    if (s->nfree)
        return s->free[--s->nfree];
    array_grow(&s->generations, s->n, &s->gen_cap, sizeof(*s->generations));
    s->generations[s->n] = 0;
    return (uint32_t)s->n++;
}

static void slot_give(struct fs_slots *s, uint32_t slot)
{
    s->generations[slot]++;
    array_grow(&s->free, s->nfree, &s->free_cap, sizeof(*s->free));
    s->free[s->nfree++] = slot;
}

static void slots_free(struct fs_slots *s)
{
    free(s->generations);
    free(s->free);
    *s = (struct fs_slots){0};
}

/* Nodes. */

static uint64_t device_of(const struct statx *stx)
{
    return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

static size_t bucket_of(const struct fs *fs, const struct fs_share *share, uint64_t mnt_id,
                        uint64_t dev, uint64_t ino)
{
    uint64_t h = fs->hash_key ^ share->index;
    h = (h ^ ino) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ h >> 29 ^ dev) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ h >> 32 ^ mnt_id) * 0x94d049bb133111ebULL;
    return (h >> 40) % FS_BUCKETS;
}

static bool same_file(const struct fs_node *n, const struct statx *stx)
{
    return n->ino == stx->stx_ino && n->dev == device_of(stx) && n->mnt_id == stx->stx_mnt_id &&
           n->btime.tv_sec == stx->stx_btime.tv_sec && n->btime.tv_nsec == stx->stx_btime.tv_nsec;
}

static void lru_remove(struct fs *fs, struct fs_node *n)
{
    if (n->in_lru)
        TAILQ_REMOVE(&fs->lru, n, lru);
    n->in_lru = false;
}

/* Puts the node in front if its descriptor can be made again, or takes it out. */
static void lru_touch(struct fs *fs, struct fs_node *n)
{
    lru_remove(fs, n);
    if (n->fd < 0 || !n->name || n->nopen)
        return;
    TAILQ_INSERT_HEAD(&fs->lru, n, lru);
    n->in_lru = true;
}

struct fs_node *fs_node_at(struct fs *fs, uint64_t id)
{
    uint32_t slot = SLOT(id);
    if (slot >= fs->node_slots.n || !fs->nodes[slot] || fs->nodes[slot]->id != id)
        return NULL;
    return fs->nodes[slot];
}

/* Opens what is now where the node was: a descriptor if it is the node, or a negative errno. */
static int find_again(struct fs *fs, const struct fs_node *n)
{
    struct statx stx;
    struct fs_node *parent = fs_node_at(fs, n->parent);
    if (!parent || parent->fd < 0 || !n->name)
        return -ESTALE;
    int fd = fs_open_at(parent->fd, n->name, O_PATH, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
    int r = fs_statx(fd, &stx);
    if (!r && same_file(n, &stx))
        return fd;
    close(fd);
    return r ? r : -ESTALE;
}

/* Closes the descriptor of a node that can be found again; true when it was closed. */
static bool put_aside(struct fs *fs, struct fs_node *n)
{
    int fd = find_again(fs, n);
    lru_remove(fs, n);
    if (fd < 0)
        return false;
    close(fd);
    close(n->fd);
    n->fd = -1;
    fs->nfds--;
    return true;
}

int fs_fd_room(struct fs *fs)
{
    unsigned closed = 0;
    if (fs->nfds < fs->fds_max)
        return 0;
    /* What cannot be found again leaves the list, so this ends. */
    while (closed < CLOSE_BATCH && !TAILQ_EMPTY(&fs->lru))
        closed += put_aside(fs, TAILQ_LAST(&fs->lru, fs_lru));
    return fs->nfds < fs->fds_max ? 0 : -ENFILE;
}

int fs_node_fd(struct fs *fs, struct fs_node *n)
{
    if (n->fd < 0) {
        int r = fs_fd_room(fs);
        if (!r)
            r = find_again(fs, n);
        if (r < 0)
            return r;
        n->fd = r;
        fs->nfds++;
    }
    lru_touch(fs, n);
    return n->fd;
}

/* A free slot for a node; slot 0 stays empty, as no node has number 0 and the root has number 1. */
static uint32_t node_slot(struct fs *fs)
{
    size_t had = fs->node_slots.n;
    uint32_t slot = slot_take(&fs->node_slots);
    if (slot < had)
        return slot;
    array_grow(&fs->nodes, had, &fs->node_slots.cap, sizeof(struct fs_node *));
    fs->nodes[slot] = NULL;
    return slot ? slot : node_slot(fs);
}

static struct fs_node *node_new(struct fs *fs, struct fs_share *share, int fd)
{
    struct fs_node *n = xcalloc(1, sizeof(*n));
    uint32_t slot = node_slot(fs);
    n->id = ID(fs->node_slots.generations[slot], slot);
    n->share = share;
    n->fd = fd;
    fs->nodes[slot] = n;
    fs->nnodes++;
    return n;
}

static void node_identify(struct fs *fs, struct fs_node *n, const struct statx *stx)
{
    n->mnt_id = stx->stx_mnt_id;
    n->dev = device_of(stx);
    n->ino = stx->stx_ino;
    n->btime = stx->stx_btime;
    n->type = stx->stx_mode & S_IFMT;
    size_t b = bucket_of(fs, n->share, n->mnt_id, n->dev, n->ino);
    n->next = fs->buckets[b];
    fs->buckets[b] = n;
}

static struct fs_node *node_find(struct fs *fs, const struct fs_share *share,
                                 const struct statx *stx)
{
    size_t b = bucket_of(fs, share, stx->stx_mnt_id, device_of(stx), stx->stx_ino);
    for (struct fs_node *n = fs->buckets[b]; n; n = n->next) {
        if (n->share == share && same_file(n, stx))
            return n;
    }
    return NULL;
}

/* A directory keeps its descriptor, as others are found below it. */
static void node_named(struct fs *fs, struct fs_node *n, const struct fs_node *parent,
                       const char *name)
{
    if (!parent || S_ISDIR(n->type) || n == n->share->node)
        return;
    n->parent = parent->id;
    if (!n->name || strcmp(n->name, name) != 0) {
        free(n->name);
        n->name = xstrdup(name);
    }
    lru_touch(fs, n);
}

static struct fs_node *node_known(struct fs *fs, struct fs_node *n, int fd)
{
    if (n->fd >= 0) {
        close(fd);
        return n;
    }
    n->fd = fd;
    fs->nfds++;
    return n;
}

struct fs_node *fs_node_get(struct fs *fs, struct fs_share *share, int fd, struct fs_node *parent,
                            const char *name, struct statx *ret_stx, int *ret_error)
{
    int r = fs_statx(fd, ret_stx);
    if (!r)
        r = fs_fd_room(fs);
    struct fs_node *n = r ? NULL : node_find(fs, share, ret_stx);
    if (!r && !n && fs->nnodes >= FS_NODES_MAX)
        r = -ENFILE;
    if (r) {
        close(fd);
        *ret_error = r;
        return NULL;
    }
    if (n) {
        n = node_known(fs, n, fd);
    } else {
        n = node_new(fs, share, fd);
        node_identify(fs, n, ret_stx);
        n->covered = !share->recursive && n->mnt_id != share->node->mnt_id;
        fs->nfds++;
    }
    node_named(fs, n, parent, name);
    return n;
}

void fs_node_moved(struct fs *fs, struct fs_node *parent, const char *name)
{
    struct statx stx;
    cleanup_close int fd = fs_open_at(parent->fd, name, O_PATH, 0);
    if (fd < 0 || fs_statx(fd, &stx))
        return;
    struct fs_node *n = node_find(fs, parent->share, &stx);
    if (n)
        node_named(fs, n, parent, name);
}

static void unhash(struct fs *fs, struct fs_node *n)
{
    struct fs_node **p = &fs->buckets[bucket_of(fs, n->share, n->mnt_id, n->dev, n->ino)];
    while (*p && *p != n)
        p = &(*p)->next;
    if (*p)
        *p = n->next;
}

void fs_node_free(struct fs *fs, struct fs_node *n)
{
    lru_remove(fs, n);
    if (n->share)
        unhash(fs, n);
    if (n->share && n->share->node != n && n->fd >= 0) {
        close(n->fd);
        fs->nfds--;
    }
    fs->nodes[SLOT(n->id)] = NULL;
    fs->nnodes--;
    slot_give(&fs->node_slots, SLOT(n->id));
    free(n->name);
    free(n);
}

static bool is_pinned(const struct fs_node *n)
{
    return !n->share || n->share->node == n;
}

void fs_node_forget(struct fs *fs, struct fs_node *n, uint64_t lookups)
{
    n->nlookup -= lookups < n->nlookup ? lookups : n->nlookup;
    if (!n->nlookup && !is_pinned(n))
        fs_node_free(fs, n);
}

struct fs_node *fs_node_pinned(struct fs *fs, struct fs_share *share, int fd)
{
    struct statx stx;
    if (share) {
        int r = fs_statx(fd, &stx);
        if (r) {
            errno = -r;
            return NULL;
        }
    }
    struct fs_node *n = node_new(fs, share, fd);
    if (share)
        node_identify(fs, n, &stx);
    else
        n->type = S_IFDIR;
    return n;
}

/* Handles. */

struct fs_handle *fs_handle_new(struct fs *fs, struct fs_node *n, int fd, bool is_dir)
{
    if (fs_fd_room(fs)) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    size_t had = fs->handle_slots.n;
    uint32_t slot = slot_take(&fs->handle_slots);
    if (slot == had)
        array_grow(&fs->handles, had, &fs->handle_slots.cap, sizeof(*fs->handles));
    fs->handles[slot] = (struct fs_handle){
        .fh = ID(fs->handle_slots.generations[slot], slot),
        .node = n->id,
        .fd = fd,
        .is_dir = is_dir,
        .used = true,
    };
    /* One without a descriptor counts as well, so that there is a limit. */
    fs->nfds++;
    n->nopen++;
    lru_touch(fs, n);
    return &fs->handles[slot];
}

struct fs_handle *fs_handle_at(struct fs *fs, uint64_t fh, uint64_t node, bool is_dir)
{
    uint32_t slot = SLOT(fh);
    if (slot >= fs->handle_slots.n)
        return NULL;
    struct fs_handle *h = &fs->handles[slot];
    return h->used && h->fh == fh && h->node == node && h->is_dir == is_dir ? h : NULL;
}

void fs_handle_free(struct fs *fs, struct fs_handle *h)
{
    struct fs_node *n = fs_node_at(fs, h->node);
    if (h->fd >= 0)
        close(h->fd);
    h->used = false;
    fs->nfds--;
    slot_give(&fs->handle_slots, SLOT(h->fh));
    if (!n)
        return;
    n->nopen--;
    lru_touch(fs, n);
}

void fs_tables_reset(struct fs *fs)
{
    for (size_t i = 0; i < fs->handle_slots.n; i++) {
        if (fs->handles[i].used)
            fs_handle_free(fs, &fs->handles[i]);
    }
    for (size_t i = 0; i < fs->node_slots.n; i++) {
        struct fs_node *n = fs->nodes[i];
        if (n && is_pinned(n))
            n->nlookup = 0;
        else if (n)
            fs_node_free(fs, n);
    }
}

void fs_tables_free(struct fs *fs)
{
    fs_tables_reset(fs);
    for (size_t i = 0; i < fs->node_slots.n; i++) {
        if (fs->nodes[i])
            fs_node_free(fs, fs->nodes[i]);
    }
    slots_free(&fs->node_slots);
    slots_free(&fs->handle_slots);
    free(fs->nodes);
    free(fs->handles);
    fs->nodes = NULL;
    fs->handles = NULL;
}
