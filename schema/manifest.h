/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The App Container manifests as C structures: parse, validate, print.
 *
 * One room for host, guest and metadata service; nobody else looks into
 * manifest JSON. The text is spec/aci.md, spec/pods.md and spec/types.md of
 * appc 0.8.11. Where prose and reference code differ: strict on names that
 * become paths and URLs, tolerant of what real images contain (unknown
 * members, unknown isolators, null, member names in another case).
 */
#ifndef APPC_SCHEMA_MANIFEST_H
#define APPC_SCHEMA_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define AC_VERSION "0.8.11" /* the spec release that manifests we write comply with */

/* Largest manifest that is read, from a file or an archive. */
#define AC_MANIFEST_MAX (8u << 20)

/* Where and why a manifest is invalid. Line and column count from 1; 0 when unknown. */
struct ac_fault {
    char path[512]; /* JSON path such as $.app.exec[0]; "" for a syntax error */
    size_t line;
    size_t column;
    char msg[512]; /* one sentence, no full stop */
};

/* A name and a string value: labels, annotations, environment, user annotations and labels. */
struct ac_pair {
    char *name;
    char *value;
};

struct ac_pairs {
    struct ac_pair *v;
    size_t n;
};

/* The value of the pair called `name`, NULL when there is none. */
const char *ac_pairs_get(const struct ac_pairs *p, const char *name);

struct ac_strings {
    char **v; /* NULL-terminated, so that it can be passed to execve() */
    size_t n;
};

struct ac_isolator {
    char *name;    /* AC Identifier */
    json_t *value; /* as written; schema/isolator.h gives the typed view of known ones */
};

struct ac_isolators {
    struct ac_isolator *v;
    size_t n;
};

struct ac_mount_point {
    char *name; /* AC Name */
    char *path; /* absolute, inside the root file system */
    bool read_only;
};

struct ac_port {
    char *name; /* AC Name */
    char *protocol;
    uint32_t port;  /* 1..65535 */
    uint32_t count; /* >= 1; port + count - 1 <= 65535 */
    bool socket_activated;
};

struct ac_app {
    struct ac_strings exec; /* n == 0: absent */
    char *user;             /* as written: name, number or path */
    char *group;
    uint32_t *supplementary_gids;
    size_t nsupplementary_gids;
    struct ac_strings pre_start; /* n == 0: no handler */
    struct ac_strings post_stop;
    char *working_directory; /* "/" when absent */
    struct ac_pairs environment;
    struct ac_isolators isolators;
    struct ac_mount_point *mount_points;
    size_t nmount_points;
    struct ac_port *ports;
    size_t nports;
    struct ac_pairs user_annotations;
    struct ac_pairs user_labels;
};

struct ac_dependency {
    char *image_name;
    char *image_id; /* NULL when absent; sha512-<128 hex digits> */
    struct ac_pairs labels;
    bool has_size;
    uint64_t size; /* bytes of the archive as downloaded */
};

struct ac_image_manifest {
    char *ac_version;
    char *name;
    struct ac_pairs labels;
    bool has_app;
    struct ac_app app;
    struct ac_dependency *dependencies;
    size_t ndependencies;
    struct ac_strings path_whitelist; /* cleaned absolute paths; n == 0: everything stays */
    struct ac_pairs annotations;
};

enum ac_volume_kind { AC_VOLUME_EMPTY, AC_VOLUME_HOST };

struct ac_volume {
    char *name;
    enum ac_volume_kind kind;
    char *source; /* host: absolute path; NULL for empty */
    bool read_only;
    bool recursive; /* host only; true when absent */
    uint32_t mode;  /* empty only; 0755 when absent */
    uint32_t uid, gid;
    /* No member of manifests: an empty one of ours, which begins as the image's directory there. */
    bool from_image;
};

struct ac_mount {
    char *volume; /* AC Name; looks up the pod's volumes unless app_volume is there */
    char *path;   /* absolute, inside the root file system */
    bool has_app_volume;
    struct ac_volume app_volume;
};

struct ac_pod_app {
    char *name;       /* AC Name, unique in the pod */
    char *image_id;   /* NULL only in a template that is still to be resolved */
    char *image_name; /* NULL when absent */
    struct ac_pairs image_labels;
    bool has_app;
    struct ac_app app; /* replaces the image's */
    bool read_only_rootfs;
    struct ac_mount *mounts;
    size_t nmounts;
    struct ac_pairs annotations;
};

struct ac_pod_port {
    char *name;
    uint32_t host_port; /* 1..65535, with the count of the port */
    char *host_ip;      /* NULL: all addresses; else IPv4 dotted quad */
    bool has_pod_port;
    struct ac_port pod_port;
};

struct ac_pod_manifest {
    char *ac_version;
    struct ac_pod_app *apps;
    size_t napps;
    struct ac_volume *volumes;
    size_t nvolumes;
    struct ac_isolators isolators;
    struct ac_pairs annotations;
    struct ac_pod_port *ports;
    size_t nports;
    struct ac_pairs user_annotations;
    struct ac_pairs user_labels;
};

/*
 * Parse and validate. `text` need not be NUL-terminated. 0 with *ret (free
 * with the matching _free), or -1 with *fault (NULL allowed) and *ret
 * untouched. With `template`, a pod manifest may leave out image.id when
 * image.name is given, acVersion (AC_VERSION then), the elements of apps, and
 * volumes that its mounts name; schema/reified.h checks what has to be there
 * in the end.
 */
int ac_image_manifest_parse(const char *text, size_t len, struct ac_image_manifest **ret,
                            struct ac_fault *fault);
int ac_pod_manifest_parse(const char *text, size_t len, bool template, struct ac_pod_manifest **ret,
                          struct ac_fault *fault);

/* The same from a JSON tree that somebody already read; keeps no reference to it. No positions. */
int ac_pod_manifest_from_json(json_t *root, bool template, struct ac_pod_manifest **ret,
                              struct ac_fault *fault);

/* NULL is allowed. */
void ac_image_manifest_free(struct ac_image_manifest *m);
void ac_pod_manifest_free(struct ac_pod_manifest *m);

/*
 * Print back as JSON that parses to an equal structure; caller decrefs. Lists
 * that are empty are left out, except apps and the annotations of a pod, which
 * are always there, and so are members at their default. Isolator values are
 * shared with the structure: don't change them. Strings that are not UTF-8
 * (the parsers give none) are printed with U+FFFD for what is wrong.
 */
json_t *ac_image_manifest_to_json(const struct ac_image_manifest *m);
json_t *ac_pod_manifest_to_json(const struct ac_pod_manifest *m);

/* Deep copy of an app object: reification puts the image's into the pod manifest. */
void ac_app_copy(struct ac_app *dst, const struct ac_app *src);
void ac_app_done(struct ac_app *a);

/* "FILE: PATH: LINE:COLUMN: MSG" in the one form that all of appc-vm uses. */
struct err;
void ac_fault_to_err(const struct ac_fault *f, const char *file, struct err *err);

#endif
