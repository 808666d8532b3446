/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the store as directories. */
#include "host/image/store_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/store_db.h"
#include "host/image/store_depend.h"

/* rm -rf, never through a symlink. What can't be removed stays. */
static void remove_tree(const char *path)
{
    char *const roots[] = {(char *)path, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
    if (!fts)
        return;
    for (FTSENT *f; (f = fts_read(fts));) {
        if (f->fts_info == FTS_D)
            (void)chmod(f->fts_accpath, 0700); /* a directory need not be readable */
        else if (f->fts_info == FTS_DP)
            (void)rmdir(f->fts_accpath);
        else
            (void)unlink(f->fts_accpath);
    }
    fts_close(fts);
}

/* 1 when there is something that --overwrite would have to replace, 0 when not. */
static int occupied(const char *path, struct err *err)
{
    cleanup_dir DIR *d = opendir(path);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_set(err, errno, "can't use %s", path);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return 1;
    return 0;
}

static int put_in_place(const char *temp, const char *path, bool replace, struct err *err)
{
    if (!replace) {
        if (rename(temp, path) == 0)
            return 0;
    } else if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
        remove_tree(temp);
        return 0;
    }
    return err_set(err, errno, "can't put the image at %s", path);
}

static int compose_one(const struct render_image *image, struct render **ret, struct err *err)
{
    struct render_layer layer = {.tree = image->tree};
    return render_compose(&layer, 1, ret, err);
}

static int compose_all(struct store_depend *d, const struct render_image *root,
                       struct render_plan **ret_plan, struct render **ret, struct err *err)
{
    if (render_plan_make(root, store_depend_resolve, d, ret_plan, err) < 0)
        return err_prefix(err, "image %s", root->manifest->name);
    return render_compose((*ret_plan)->layers, (*ret_plan)->nlayers, ret, err);
}

static int write_rootfs(const struct render *r, int dirfd, const struct store_extract_options *opt,
                        struct extract_report *ret, struct err *err)
{
    struct extract_options o = {.progress = opt->progress, .arg = opt->arg};
    if (opt->rootfs_only)
        return extract_render(r, dirfd, &o, ret, err);
    if (mkdirat(dirfd, "rootfs", 0700) < 0)
        return err_set(err, errno, "can't create rootfs");
    cleanup_close int rootfs = openat(dirfd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rootfs < 0)
        return err_set(err, errno, "can't open rootfs");
    return extract_render(r, rootfs, &o, ret, err);
}

/* The manifest of the image itself, also with dependencies (RENDER-20). */
static int write_manifest(struct store *s, const struct aci_id *id, int dirfd,
                          const struct store_extract_options *opt, struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    if (opt->rootfs_only)
        return 0;
    if (store_manifest(s, id, &text, &len, err) < 0)
        return -1;
    cleanup_close int fd = openat(dirfd, "manifest", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write_all(fd, text, len) < 0)
        return err_set(err, errno, "can't write the manifest");
    return 0;
}

static int fill(struct store *s, const struct aci_id *id, int dirfd,
                const struct store_extract_options *opt, struct extract_report *ret,
                struct err *err)
{
    cleanup_with(store_depend_done) struct store_depend d = {.store = s, .with_trees = true};
    struct render_image root;
    struct render_plan *plan = NULL;
    struct render *r = NULL;
    if (write_manifest(s, id, dirfd, opt, err) < 0 || store_depend_get(&d, id, &root, err) < 0)
        return -1;
    int result = opt->with_dependencies ? compose_all(&d, &root, &plan, &r, err)
                                        : compose_one(&root, &r, err);
    if (result == 0)
        result = write_rootfs(r, dirfd, opt, ret, err);
    render_free(r);
    render_plan_free(plan);
    return result;
}

static char *without_slashes(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    return xstrndup(path, len);
}

int store_extract(struct store *s, const struct aci_id *id, const char *path_given,
                  const struct store_extract_options *opt, struct extract_report *ret,
                  struct err *err)
{
    cleanup_free char *path = without_slashes(path_given);
    cleanup_free char *temp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    int replace = occupied(path, err);
    if (replace < 0)
        return -1;
    if (replace && !opt->overwrite)
        return err_set(err, 0, "%s exists and is not empty; --overwrite replaces it", path);
    if (mkdir(temp, 0755) < 0)
        return err_set(err, errno, "can't create a directory beside %s", path);
    cleanup_close int dirfd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r =
        dirfd < 0 ? err_set(err, errno, "can't open %s", temp) : fill(s, id, dirfd, opt, ret, err);
    if (r == 0)
        r = put_in_place(temp, path, replace, err);
    if (r < 0)
        remove_tree(temp);
    return r;
}
