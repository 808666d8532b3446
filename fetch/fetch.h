/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from the network: the one door for commands.
 *
 * fetch_images() finds, downloads, verifies and decrypts what is asked for and everything that it
 * depends on, several at a time, and hands verified bytes to the store behind struct fetch_sink.
 * Nothing that is not verified reaches a decompressor or a parser of archives.
 */
#ifndef APPC_FETCH_FETCH_H
#define APPC_FETCH_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/net.h"
#include "fetch/trust.h"
#include "schema/manifest.h"

struct err;
struct oci_image;

#define FETCH_IMAGES_MAX 256 /* images of one command, with all dependencies (DEP-08) */
#define FETCH_DEPTH_MAX  64  /* dependencies of dependencies */
#define FETCH_JOBS       4   /* images at work at the same time */

/* Largest archive that an encrypted one may become. */
#define FETCH_DECRYPTED_MAX (64ull << 30)

enum fetch_pull {
    FETCH_MISSING, /* only what is not in the store */
    FETCH_NEVER,   /* nothing: what is not in the store is an error */
    FETCH_NEWER,   /* ask the servers for newer versions, except where an image ID is given */
};

/* What is asked for. Zero-initialise. */
struct fetch_want {
    char *name;             /* image name, or NULL */
    char *url;              /* URL of the image when there is no name */
    char *file;             /* path of an archive when there is neither */
    char *oci;              /* or a reference to an OCI or Docker image (oci/ref.h), as typed */
    char *oci_name;         /* NAME[:VERSION] that the image made of it gets; NULL: its own */
    char *signature;        /* of the URL or file, a URL or path too; NULL: with ".asc" behind it */
    struct ac_pairs labels; /* named by the user or the dependency; each has to be in the image */
    char *image_id;         /* NULL, or a whole image ID that it must have */
    bool has_size;          /* of the archive as downloaded */
    uint64_t size;
    bool dependency; /* os and arch go into the template only (A17) */
};

/* An image in the store. Zero-initialise; fetch_image_done() releases it. */
struct fetch_image {
    char *id;
    struct ac_image_manifest *manifest;
};

/* Where verified bytes came from. */
struct fetch_origin {
    size_t number;      /* as in events */
    const char *what;   /* for messages */
    const char *url;    /* or a path */
    uint64_t size;      /* of the archive */
    const char *signer; /* fingerprint, or NULL: nobody checked (--insecure-options=image) */
};

/*
 * What the importer asks before the image becomes visible in the store: whether name, labels, image
 * ID and the signer's scope are right (SIG-03 to SIG-07, DEP-02), and whether its dependencies make
 * no cycle (DEP-07). 0, or -1 with *err and the import is to be given up.
 */
struct fetch_check;
int fetch_check(struct fetch_check *check, const char *image_id, const struct ac_image_manifest *m,
                struct err *err);

enum fetch_stage {
    FETCH_STAGE_DISCOVER,
    FETCH_STAGE_DOWNLOAD, /* done and total are set; total 0: not known */
    FETCH_STAGE_VERIFY,
    FETCH_STAGE_DECRYPT,
    FETCH_STAGE_IMPORT,
    FETCH_STAGE_DONE, /* it is in the store; url NULL: it was there before */
};

/* News of one image, for progress. */
struct fetch_event {
    size_t number; /* of the image in this command, from 0 */
    const char *what;
    enum fetch_stage stage;
    const char *url;
    uint64_t done, total;
    const char *signer;
};

/*
 * The store, and the user. All are called from one thread at a time, `event` too, but not from the
 * same thread each time.
 */
struct fetch_sink {
    void *arg;
    /*
     * The best image in the store that fits: by want->image_id alone when it is set, else by name
     * and labels. 0 with *ret, 1 when there is none, or -1.
     */
    int (*find)(void *arg, const struct fetch_want *want, struct fetch_image *ret, struct err *err);
    /*
     * Imports the archive in fd (from its start; the descriptor stays the caller's). Calls
     * fetch_check() before it makes the image visible. 0 with *ret, or -1 and the store is as
     * before.
     */
    int (*import)(void *arg, int fd, const struct fetch_origin *origin, struct fetch_check *check,
                  struct fetch_image *ret, struct err *err);
    /*
     * Makes an image of the layers and the config of an OCI image and imports it; otherwise as
     * import(). The layers have not been compared with their diff IDs yet.
     */
    int (*import_layers)(void *arg, const struct oci_image *image,
                         const struct fetch_origin *origin, struct fetch_check *check,
                         struct fetch_image *ret, struct err *err);
    /* The passphrase of an encrypted archive, NUL-terminated; 0, or -1 when there is none. */
    int (*passphrase)(void *arg, const char *what, char *out, size_t cap, struct err *err);
    /* NULL is allowed. */
    void (*event)(void *arg, const struct fetch_event *e);
};

struct fetch_options {
    enum fetch_pull pull;
    bool insecure_image;    /* signatures are neither fetched nor asked for (SIG-02) */
    bool no_dependencies;   /* what is asked for and nothing else */
    const char *data_dir;   /* downloads go to its folder of that name */
    const char *os, *arch;  /* of this machine, for templates */
    uint64_t decrypted_max; /* 0: FETCH_DECRYPTED_MAX */
    unsigned jobs;          /* 0: FETCH_JOBS */
};

/*
 * Brings the `n` wanted images and all their dependencies into the store, each once. 0 with
 * ret[0..n) (fetch_image_done() each; a request that was made twice has its manifest the first time
 * only), or -1 with the first error, which names the chain of dependencies that
 * led to it; images that were complete by then stay in the store. After a failure *net is
 * cancelled.
 */
int fetch_images(struct net *net, const struct trust *trust, const struct fetch_options *opt,
                 const struct fetch_sink *sink, const struct fetch_want *wants, size_t n,
                 struct fetch_image *ret, struct err *err);

/* Wants made of other things; release with fetch_want_done(). */
void fetch_want_dependency(const struct ac_dependency *dep, struct fetch_want *ret);
void fetch_want_copy(struct fetch_want *dst, const struct fetch_want *src);
void fetch_want_done(struct fetch_want *w);

/* "example.com/x,version=1.0" or the URL, for messages; the caller frees. */
char *fetch_want_text(const struct fetch_want *w);

void fetch_image_done(struct fetch_image *i);

#endif
