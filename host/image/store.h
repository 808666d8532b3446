/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image store: <data>/blobs, <data>/index.db, <data>/rendered, <data>/pods.
 *
 * A blob is an image's uncompressed tar under its image ID. It is written once, synced, renamed and
 * then entered in the index, so that a half import is never seen; what a process that died
 * left behind is swept by the next one that opens the store for writing. Whoever uses a blob
 * holds a shared flock() on it, by the descriptor, and an image that is locked is not removed.
 *
 * Integrity: the index notes size, inode and times of each blob. While they are the same, nobody
 * has written to the file and it is taken as it is; else it is hashed again before it is used.
 * Rendering anew always hashes (RENDER-19), unless the import has just done it.
 */
#ifndef APPC_HOST_IMAGE_STORE_H
#define APPC_HOST_IMAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/aci.h"
#include "host/image/imgref.h"
#include "schema/manifest.h"

struct err;
struct store;

enum store_access {
    STORE_READ,
    STORE_WRITE, /* sweeps leftovers first; for commands that add or remove */
};

/*
 * Opens the store in the data directory `dir` and makes what is missing, for the owner only (0700).
 * A directory that belongs to somebody else, or that others may write to, is refused. The caller
 * closes *ret. Not for several threads at once; any number of processes.
 */
int store_open(const char *dir, enum store_access access, struct store **ret, struct err *err);

/* NULL is allowed. */
void store_close(struct store *s);

/* For cleanup_with(). */
static inline void store_closep(struct store **s)
{
    store_close(*s);
}

/* The data directory's descriptor (borrowed), for pods/. */
int store_dirfd(const struct store *s);

/* What the index knows of an image. */
struct store_image {
    struct aci_id id;
    char *name;
    struct ac_pairs labels;
    uint64_t size;         /* bytes of the tar */
    uint64_t archive_size; /* bytes of the archive that it came in */
    int64_t imported;      /* seconds since 1970 */
    int64_t used;          /* last use; the import counts */
    char *origin;          /* where it came from */
    char *signer;          /* fingerprint of the key whose signature was checked, or NULL */
    bool insecure;         /* imported without a check */
};

void store_image_done(struct store_image *i);
void store_images_free(struct store_image *v, size_t n);

/* The image with this ID: 0 with *ret filled (store_image_done()), or -1. */
int store_get(struct store *s, const struct aci_id *id, struct store_image *ret, struct err *err);

/* All images, by name, then newest version first; the caller frees with store_images_free(). */
int store_list(struct store *s, struct store_image **ret, size_t *ret_n, struct err *err);

/*
 * All images that a reference fits, best first (imgref_better()). With none, *ret_n is 0. A
 * reference that is a file or a URL is an error.
 */
int store_match(struct store *s, const struct imgref *ref, struct store_image **ret, size_t *ret_n,
                struct err *err);

/*
 * The one image that a reference means: an ID, a unique prefix, or the best match of a name and
 * labels. No match (errnum ENOENT) and an ambiguous prefix are errors; the latter lists the
 * candidates.
 */
int store_resolve(struct store *s, const struct imgref *ref, struct aci_id *ret, struct err *err);

/* The same for the text of a reference. */
int store_find(struct store *s, const char *text, struct aci_id *ret, struct err *err);

/* The image that a dependency means (DEP-04, DEP-05, A15, A17): -1 when it is not in the store. */
int store_dependency(struct store *s, const struct ac_dependency *dep, struct aci_id *ret,
                     struct err *err);

/* The manifest as it is in the image, byte for byte; NUL-terminated; the caller frees. */
int store_manifest(struct store *s, const struct aci_id *id, char **ret_text, size_t *ret_len,
                   struct err *err);

/*
 * Opens the tar of an image, read-only, with the shared lock; hashes it first when it
 * looks changed. The caller closes *ret_fd.
 */
int store_blob(struct store *s, const struct aci_id *id, int *ret_fd, uint64_t *ret_size,
               struct err *err);

/*
 * Notes that an image is used now, at most once a minute. It is a hint for cleaning up, so failing
 * to note it stops nobody.
 */
void store_touch(struct store *s, const struct aci_id *id);

/*
 * Says that this process brings images in or looks them up in order to use them: until
 * store_close(), store_gc() keeps what is imported, or noted as used, from now on. For commands
 * that need an image for longer than a look-up.
 */
int store_hold(struct store *s, struct err *err);

/*
 * Removes images, their rendered roots and their index rows, all or none. Without `force` an image
 * is not removed while a process uses it, or while another image in the store (that is not
 * removed too) depends on it.
 */
int store_remove(struct store *s, const struct aci_id *ids, size_t n, bool force, struct err *err);

/*
 * For removing when the disk is full (errnum ENOSPC): makes the index writable within the space
 * that it has. 0 when it is worth another try.
 */
int store_make_room(struct store *s);

/* What store_verify() found. */
struct store_verdict {
    bool intact;       /* the tar has its hash, its layout and manifest are valid */
    bool repaired;     /* a cached root was wrong and was dropped */
    char problem[512]; /* "" when intact */
};

/*
 * Hashes the tar of an image, reads its layout and manifest, and compares the cached root of the
 * image alone with a new one. 0 with the verdict; -1 only when it could not look.
 */
int store_verify(struct store *s, const struct aci_id *id, struct store_verdict *ret,
                 struct err *err);

/* One tar behind the index of a rendered root. */
struct store_part {
    struct aci_id image;
    int fd;
    uint64_t size;   /* bytes of the file; bytes behind it read as zeros */
    uint64_t offset; /* where it starts on the device */
    uint64_t length; /* bytes of the device that it takes */
};

/* A root file system: the device is the index, then the parts. Descriptors are close-on-exec. */
struct store_root {
    int index_fd;
    uint64_t index_length;
    uint64_t total; /* bytes of the device */
    struct store_part *parts;
    size_t nparts;
    bool cached; /* nothing had to be written */
};

/*
 * The rendered root of an image and its dependencies (RENDER-03 to RENDER-26). From the cache it
 * costs a few look-ups; no tar is read. Notes that the image is used. 0 with *ret
 * (store_root_done()), or -1: a dependency is not in the store, an image is damaged.
 */
int store_render(struct store *s, const struct aci_id *id, struct store_root *ret, struct err *err);

/* Closes the descriptors. */
void store_root_done(struct store_root *r);

#endif
