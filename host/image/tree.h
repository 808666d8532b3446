/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's uncompressed tar as a tree of names in memory: what is where, and at which offset of
 * the tar its data lies. No data is copied, and nothing is created on the host.
 */
#ifndef APPC_IMAGE_TREE_H
#define APPC_IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;
struct arena;

/* Limits on what an archive may contain. Beyond them the image is refused. */
#define TREE_ENTRIES_MAX     (4u << 20)   /* names, implied directories included */
#define TREE_META_MAX        (1ull << 30) /* bytes of names, link targets, xattrs and extents */
#define TREE_DEPTH_MAX       8192         /* components of a path below rootfs */
#define TREE_NAME_MAX        255          /* bytes of one component */
#define TREE_SYMLINK_MAX     4095         /* bytes of a symlink's target */
#define TREE_FILE_MAX        (1ull << 44) /* bytes of one file, holes included */
#define TREE_XATTR_NAME_MAX  255          /* bytes of a name with its namespace */
#define TREE_XATTR_VALUE_MAX 65535        /* bytes of one value */
#define TREE_XATTRS_MAX      (128u << 10) /* bytes of all names and values of one file */
#define TREE_DEV_MAJOR_MAX   4095         /* what Linux can encode in 32 bits */
#define TREE_DEV_MINOR_MAX   ((1u << 20) - 1)

/* `len` bytes of a file, from `file_off` on, lie at `tar_off` of the tar. The rest is holes. */
struct tree_extent {
    uint64_t file_off;
    uint64_t tar_off;
    uint64_t len;
};

struct tree_xattr {
    const char *name; /* with its namespace, such as "user.note"; NUL-terminated */
    const void *value;
    uint32_t name_len;
    uint32_t value_len;
};

/* What hard links share. */
struct tree_inode {
    uint32_t mode; /* S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK or S_IFIFO, and 07777 */
    uint32_t uid, gid;
    uint32_t nlink; /* names; for a directory 2 and its subdirectories */
    int64_t mtime;  /* seconds since 1970, may be negative */
    uint32_t mtime_nsec;
    uint32_t blob;     /* which blob the extents point into; 0 in a tree of one image */
    uint64_t size;     /* bytes of a regular file or of a symlink's target, else 0 */
    const char *link;  /* target of a symlink, NUL-terminated; else NULL */
    uint32_t devmajor; /* of a device, else 0 */
    uint32_t devminor;
    const struct tree_extent *extents; /* of a regular file: ascending, without overlap */
    const struct tree_xattr *xattrs;   /* sorted by name */
    uint32_t nextents;
    uint32_t nxattrs;
    uint32_t id; /* from 0, dense in its tree */
};

/* A name. Everything belongs to the tree that it is part of. */
struct tree_node {
    struct tree_node *parent; /* NULL for the root */
    struct tree_inode *inode;
    const char *name;            /* NUL-terminated; "" for the root */
    struct tree_node **children; /* of a directory: sorted by the bytes of their names */
    uint32_t nchildren;
    uint32_t index; /* place in parent->children */
    uint32_t id;    /* from 0, dense in its tree */
    uint16_t name_len;
    uint16_t depth; /* 0 for the root */
    bool implied;   /* a directory that no entry names: mode 0755, root's, time 0 */
    bool dropped;   /* used while a tree is built */
};

/* In a layer of an OCI image: what is taken away from the layers below it. */
struct tree_whiteout {
    struct tree_node *dir; /* a directory of the layer */
    const char *name;      /* NUL-terminated; NULL: all that is in the directory */
    uint32_t name_len;
};

/* In a layer: a hard link to a file of a layer below, by its path ("a/b"). */
struct tree_link {
    struct tree_node *node; /* its inode is a place-holder of its own */
    const char *path;
};

/* An image. `tar` is borrowed: the map must stay while the tree, or a rendering of it, is used. */
struct tree {
    const unsigned char *tar;
    uint64_t tar_len;
    uint64_t manifest_off;  /* where the manifest's text lies in the tar */
    uint64_t manifest_len;  /* at most AC_MANIFEST_MAX */
    struct tree_node *root; /* the directory rootfs */
    uint32_t nnodes;
    uint32_t ninodes;
    uint64_t data_bytes;     /* of all regular files' extents, each hard link group once */
    uint32_t acl_lines_lost; /* access control list entries that name somebody without a number */
    const struct tree_whiteout *whiteouts; /* of a layer, sorted by dir->id */
    const struct tree_link *links;         /* of a layer */
    uint32_t nwhiteouts, nlinks;
    uint64_t meta; /* bytes counted against TREE_META_MAX */
    struct arena *arena;
};

/*
 * Reads the tar of an image (never compressed) and checks that it is laid out as aci.md, "Image
 * Archives" says: each path once, only `manifest` and `rootfs` at the top, nothing that
 * leaves rootfs (IMG-03 to IMG-10). 0 with *ret (tree_free()), or -1 with a message that names the
 * entry at fault. `tar` must stay readable until the tree is freed.
 */
int tree_read(const void *tar, size_t len, struct tree **ret, struct err *err);

/*
 * Reads the tar of one layer of an OCI image (image-spec, layer.md), whose top is the root
 * directory: the same rules for names and entries. A name that begins with ".wh." is a whiteout and
 * no name of the tree; a layer may be empty.
 */
int tree_read_layer(const void *tar, size_t len, struct tree **ret, struct err *err);

/* NULL is allowed. */
void tree_free(struct tree *t);

/*
 * Walks all names in order: a directory before what is in it, siblings in the order of their bytes.
 * Begins with tree_next(root, root)'s predecessor: pass root itself as the first node, then
 * for (n = root; n; n = tree_next(root, n)). NULL behind the last. No state, no recursion.
 */
struct tree_node *tree_next(const struct tree_node *root, const struct tree_node *n);

/* The same, but goes past what is below `n`. */
struct tree_node *tree_skip(const struct tree_node *root, const struct tree_node *n);

/* The child called name[0..len), or NULL. */
struct tree_node *tree_child(const struct tree_node *dir, const char *name, size_t len);

/*
 * Looks a path up, lexically: "." and doubled slashes are dropped, ".." takes a component away, no
 * symlink is followed. NULL when there is none, or when the path leaves the root.
 */
struct tree_node *tree_lookup(struct tree_node *root, const char *path);

/* Appends "/a/b" ("/" for the root) to b. */
void tree_path(const struct tree_node *n, struct buf *b);

#endif
