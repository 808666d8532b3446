/* SPDX-License-Identifier: Apache-2.0 */
/* How trees are made: an arena for what lives as long as the tree, and a builder that knows names.
 */
#include "host/image/tree-build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"

#define ARENA_CHUNK (256u << 10)

struct arena_chunk {
    struct arena_chunk *next;
    unsigned char data[] __attribute__((aligned(8)));
};

struct arena {
    struct arena_chunk *chunks;
    unsigned char *at; /* free bytes of the newest shared chunk */
    size_t left;
};

struct builder_slot {
    uint32_t hash;
    uint32_t node; /* number in nodes + 1; 0: free */
};

struct arena *arena_new(void)
{
    return xcalloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    free(a);
}

static unsigned char *arena_chunk_add(struct arena *a, size_t size)
{
    struct arena_chunk *c = xcalloc(1, sizeof(*c) + size);
    c->next = a->chunks;
    a->chunks = c;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        die_oom();
    size = size ? (size + 7) & ~(size_t)7 : 8; /* nothing has an address too */
    if (size > ARENA_CHUNK / 4)
        return arena_chunk_add(a, size);
    if (size > a->left) {
        a->at = arena_chunk_add(a, ARENA_CHUNK);
        a->left = ARENA_CHUNK;
    }
    void *p = a->at;
    a->at += size;
    a->left -= size;
    return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t len)
{
    void *copy = arena_alloc(a, len);
    if (len)
        memcpy(copy, p, len);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    memcpy(copy, s, len);
    return copy;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint32_t hash_name(const struct builder *b, uint32_t parent, const char *name, size_t len)
{
    uint64_t h = b->key[0] ^ ((uint64_t)parent << 16 | len);
    while (len) {
        uint64_t word = 0;
        size_t n = len < sizeof(word) ? len : sizeof(word);
        memcpy(&word, name, n);
        h = mix(h ^ word, b->key[1]);
        name += n;
        len -= n;
    }
    h = mix(h ^ b->key[1], b->key[0] | 1);
    return (uint32_t)(h ^ h >> 32);
}

static void slot_put(struct builder *b, uint32_t hash, uint32_t node)
{
    size_t i = hash & (b->nslots - 1);
    while (b->slots[i].node)
        i = (i + 1) & (b->nslots - 1);
    b->slots[i] = (struct builder_slot){.hash = hash, .node = node};
    b->used++;
}

static void slots_grow(struct builder *b)
{
    struct builder_slot *old = b->slots;
    size_t nold = b->nslots;
    if (b->used + 1 <= nold / 2)
        return;
    b->nslots = nold ? nold * 2 : 1024;
    b->slots = xcalloc(b->nslots, sizeof(*b->slots));
    b->used = 0;
    for (size_t i = 0; i < nold; i++)
        if (old[i].node)
            slot_put(b, old[i].hash, old[i].node);
    free(old);
}

static struct tree_node *node_new(struct builder *b, struct tree_node *parent, const char *name,
                                  size_t len)
{
    struct tree_node *n = arena_alloc(b->arena, sizeof(*n));
    n->parent = parent;
    n->name = arena_strndup(b->arena, name, len);
    n->name_len = (uint16_t)len;
    n->depth = parent ? (uint16_t)(parent->depth + 1) : 0;
    n->id = (uint32_t)b->nnodes;
    array_grow(&b->nodes, b->nnodes, &b->nodes_cap, sizeof(*b->nodes));
    b->nodes[b->nnodes++] = n;
    return n;
}

static void make_implied(struct builder *b, struct tree_node *n)
{
    n->inode = builder_inode(b);
    n->inode->mode = S_IFDIR | 0755;
    n->implied = true;
}

void builder_init(struct builder *b)
{
    *b = (struct builder){.arena = arena_new()};
    if (getrandom(b->key, sizeof(b->key), 0) != (ssize_t)sizeof(b->key))
        b->key[0] = (uint64_t)(uintptr_t)b->arena; /* only speed depends on it */
    b->key[1] |= 1;
    slots_grow(b);
    make_implied(b, node_new(b, NULL, "", 0));
}

void builder_done(struct builder *b)
{
    arena_free(b->arena);
    free(b->nodes);
    free(b->slots);
    *b = (struct builder){0};
}

static struct builder_slot *slot_find(const struct builder *b, const struct tree_node *dir,
                                      const char *name, size_t len, uint32_t hash)
{
    for (size_t i = hash & (b->nslots - 1);; i = (i + 1) & (b->nslots - 1)) {
        struct builder_slot *s = &b->slots[i];
        if (!s->node)
            return NULL;
        const struct tree_node *n = b->nodes[s->node - 1];
        if (s->hash == hash && n->parent == dir && n->name_len == len &&
            memcmp(n->name, name, len) == 0)
            return s;
    }
}

struct tree_node *builder_find(const struct builder *b, const struct tree_node *dir,
                               const char *name, size_t len)
{
    uint32_t hash = hash_name(b, dir->id, name, len);
    const struct builder_slot *s = slot_find(b, dir, name, len, hash);
    struct tree_node *n = s ? b->nodes[s->node - 1] : NULL;
    return n && !n->dropped ? n : NULL;
}

struct tree_node *builder_add(struct builder *b, struct tree_node *dir, const char *name,
                              size_t len, struct err *err)
{
    if (b->nnodes >= TREE_ENTRIES_MAX)
        return err_set(err, E2BIG, "more than %u names", TREE_ENTRIES_MAX), NULL;
    if (dir->depth >= TREE_DEPTH_MAX)
        return err_set(err, ENAMETOOLONG, "more than %d directories deep", TREE_DEPTH_MAX), NULL;
    if (builder_charge(b, len + 1, err) < 0)
        return NULL;
    struct tree_node *n = node_new(b, dir, name, len);
    uint32_t hash = hash_name(b, dir->id, name, len);
    struct builder_slot *old = slot_find(b, dir, name, len, hash);
    if (old) {
        old->node = (uint32_t)b->nnodes;
    } else {
        slots_grow(b);
        slot_put(b, hash, (uint32_t)b->nnodes);
    }
    return n;
}

struct tree_node *builder_add_dir(struct builder *b, struct tree_node *dir, const char *name,
                                  size_t len, struct err *err)
{
    struct tree_node *n = builder_add(b, dir, name, len, err);
    if (n)
        make_implied(b, n);
    return n;
}

void builder_drop(struct builder *b, struct tree_node *n)
{
    (void)b;
    n->dropped = true;
}

struct tree_inode *builder_inode(struct builder *b)
{
    struct tree_inode *i = arena_alloc(b->arena, sizeof(*i));
    i->id = b->ninodes++;
    return i;
}

int builder_charge(struct builder *b, size_t len, struct err *err)
{
    if (len > TREE_META_MAX - b->meta)
        return err_set(err, E2BIG, "more than %llu bytes of names, links and attributes",
                       TREE_META_MAX);
    b->meta += len;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct tree_node *x = *(struct tree_node *const *)a;
    const struct tree_node *y = *(struct tree_node *const *)b;
    size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
    int d = memcmp(x->name, y->name, n);
    return d ? d : (int)x->name_len - (int)y->name_len;
}

/* Takes dropped names and all below them out of nodes[], and counts children and links. */
static void keep_live(struct builder *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->nnodes; i++) {
        struct tree_node *n = b->nodes[i];
        if (n->parent && n->parent->dropped)
            n->dropped = true;
        if (n->dropped)
            continue;
        bool dir = S_ISDIR(n->inode->mode);
        n->id = (uint32_t)kept;
        b->nodes[kept++] = n;
        n->inode->nlink += dir ? 2 : 1;
        if (n->parent)
            n->parent->nchildren++;
        if (n->parent && dir)
            n->parent->inode->nlink++;
    }
    b->nnodes = kept;
}

static void list_children(struct builder *b)
{
    for (size_t i = 0; i < b->nnodes; i++) {
        struct tree_node *n = b->nodes[i], *p = n->parent;
        if (n->nchildren)
            n->children = arena_alloc(b->arena, n->nchildren * sizeof(struct tree_node *));
        if (p)
            p->children[p->index++] = n;
    }
    for (size_t i = 0; i < b->nnodes; i++) {
        struct tree_node *n = b->nodes[i];
        if (n->nchildren > 1)
            qsort(n->children, n->nchildren, sizeof(struct tree_node *), by_name);
        for (uint32_t k = 0; k < n->nchildren; k++)
            n->children[k]->index = k;
    }
    b->nodes[0]->index = 0;
}

/* Dense inode ids, in the order of the first name. */
static uint32_t number_inodes(struct builder *b)
{
    uint32_t next = 0;
    for (size_t i = 0; i < b->nnodes; i++)
        b->nodes[i]->inode->id = UINT32_MAX;
    for (size_t i = 0; i < b->nnodes; i++)
        if (b->nodes[i]->inode->id == UINT32_MAX)
            b->nodes[i]->inode->id = next++;
    return next;
}

struct tree_node *builder_finish(struct builder *b, uint32_t *ret_nnodes, uint32_t *ret_ninodes,
                                 struct arena **ret_arena)
{
    keep_live(b);
    list_children(b);
    *ret_ninodes = number_inodes(b);
    *ret_nnodes = (uint32_t)b->nnodes;
    *ret_arena = b->arena;
    struct tree_node *root = b->nodes[0];
    b->arena = NULL;
    builder_done(b);
    return root;
}
