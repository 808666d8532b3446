/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that died left in a data directory beside the store. */
#include "host/leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/pod/mdkey.h"
#include "host/pod/scratch.h"

#define RECORD_MAX (64u << 10)

/* One folder of the data directory. */
struct place {
    const struct leftovers *l;
    const char *folder; /* "." for the data directory itself */
    int dirfd;
    int64_t now;
};

/*
 * "NAME.tmp.PID", as write_file_atomic_at() calls its files until they are whole, or the name of a
 * metadata key that is being made.
 */
static bool is_temporary(const char *name)
{
    const char *p = strstr(name, ".tmp.");
    if (str_starts(name, "." MDKEY_FILE "."))
        return true;
    if (!p)
        return false;
    for (p += strlen(".tmp."); isdigit((unsigned char)*p); p++)
        ;
    return *p == '\0';
}

/* Removes a file unless a process has it locked. */
static void take_away(const struct place *p, const char *name, const char *why)
{
    struct stat st;
    cleanup_free char *path =
        str_eq(p->folder, ".") ? xstrdup(name) : xasprintf("%s/%s", p->folder, name);
    cleanup_close int fd = openat(p->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    if (!p->l->dry_run && unlinkat(p->dirfd, name, 0) < 0)
        return;
    /* Templates are sparse: what counts is what they take. */
    p->l->found(p->l->arg, path, why, (uint64_t)st.st_blocks * 512);
}

static bool unused_for(const struct place *p, const char *name, int64_t seconds)
{
    struct stat st;
    return fstatat(p->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           p->now - st.st_mtime >= seconds;
}

static bool is_locked(const struct place *p, const char *name)
{
    cleanup_close int fd = openat(p->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Whether a record tells of an image that is in the store, or of a download that goes on. */
static bool record_is_useful(const struct place *p, const char *name)
{
    cleanup_free char *text = NULL;
    cleanup_free char *part = xasprintf("%.*s.part", (int)(strlen(name) - strlen(".json")), name);
    size_t len;
    if (is_locked(p, part))
        return true;
    if (read_file_at(p->dirfd, name, RECORD_MAX, &text, &len, NULL) < 0)
        return false;
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "imageID"));
    bool useful = id && p->l->has_image(p->l->arg, id);
    json_decref(root);
    return useful;
}

static void look_at_download(const struct place *p, const char *name)
{
    if (str_ends(name, ".part"))
        take_away(p, name, "interrupted download");
    else if (str_ends(name, ".json") && !record_is_useful(p, name))
        take_away(p, name, "record of a download that is gone");
}

static void look_at_scratch(const struct place *p, const char *name)
{
    if (!scratch_is_template(name) && unused_for(p, name, LEFTOVER_SECONDS))
        take_away(p, name, "unfinished scratch disk");
    else if (scratch_is_template(name) && unused_for(p, name, TEMPLATE_SECONDS))
        take_away(p, name, "scratch disk of a size not used for 30 days");
}

static int walk(const struct leftovers *l, const char *folder,
                void (*look)(const struct place *p, const char *name), struct err *err)
{
    cleanup_free char *path = xasprintf("%s/%s", l->data_dir, folder);
    cleanup_dir DIR *d = opendir(path);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_set(err, errno, "can't read %s", path);
    struct place p = {.l = l, .folder = folder, .dirfd = dirfd(d), .now = time(NULL)};
    for (struct dirent *e; (e = readdir(d));) {
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (is_temporary(e->d_name) && unused_for(&p, e->d_name, LEFTOVER_SECONDS))
            take_away(&p, e->d_name, "unfinished file");
        else if (!is_temporary(e->d_name) && look)
            look(&p, e->d_name);
    }
    return 0;
}

int leftovers_remove(const struct leftovers *l, struct err *err)
{
    if (walk(l, ".", NULL, err) < 0 || walk(l, "downloads", look_at_download, err) < 0)
        return -1;
    return walk(l, "scratch", look_at_scratch, err);
}
