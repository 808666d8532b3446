/* SPDX-License-Identifier: Apache-2.0 */
/* Importing an ACI file into the store. */
#include "host/image/import.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/aci_image.h"
#include "host/image/store_db.h"

static int check_name(const struct import_options *opt, const struct ac_image_manifest *m,
                      const char *path, struct err *err)
{
    if (!opt->name || strcmp(opt->name, m->name) == 0)
        return 0;
    return err_set(err, 0, "%s holds the image %s, not %s", path, m->name, opt->name);
}

static int enter(struct store *s, const char *path, const struct import_options *opt,
                 const struct unpack_result *unpacked, const struct aci_image *image, int fd,
                 char **temp, struct err *err)
{
    cleanup_free char *real = realpath(path, NULL);
    struct store_new n = {
        .id = unpacked->id,
        .manifest = image->manifest,
        .manifest_text = image->manifest_text,
        .manifest_len = image->manifest_len,
        .archive_size = unpacked->archive_bytes,
        .origin = opt->origin ? opt->origin
                  : real      ? real
                              : path,
        .signer = opt->signer,
    };
    if (check_name(opt, image->manifest, path, err) < 0 ||
        (opt->check && opt->check(opt->check_arg, &n.id, image->manifest, err) < 0))
        return -1;
    if (fsync(fd) < 0)
        return err_set(err, errno, "can't store %s", path);
    bool added;
    if (store_add(s, &n, fd, *temp, &added, err) < 0)
        return -1;
    free(take_ptr(*temp)); /* it has its name now, and is open to readers, us included */
    if (flock(fd, LOCK_SH) < 0)
        return err_set(err, errno, "can't lock %s", n.id.text);
    if (image->manifest->ndependencies || store_render_imported(s, &n.id, image, err) == 0)
        return 0;
    if (added)
        (void)store_remove(s, &n.id, 1, true, NULL);
    return -1;
}

/* Checks the whole that is in fd now, and enters it. */
static int enter_tar(struct store *s, const char *path, const struct import_options *opt,
                     const struct unpack_result *unpacked, int fd, char **temp, struct aci_id *ret,
                     struct err *err)
{
    struct aci_image *image;
    if (aci_image_open(fd, path, &image, NULL, err) < 0)
        return -1;
    int r = enter(s, path, opt, unpacked, image, fd, temp, err);
    aci_image_close(image);
    if (r == 0)
        *ret = unpacked->id;
    return r;
}

int import_made(struct store *s, const char *name, const struct import_options *opt,
                int (*write)(void *arg, int fd, struct unpack_result *ret, struct err *err),
                void *arg, struct aci_id *ret, struct err *err)
{
    cleanup_close int fd = -1;
    cleanup_free char *temp = NULL;
    struct unpack_result unpacked;
    if (!opt->signer && !opt->insecure)
        return err_set(err, 0,
                       "%s is not checked against a signature; --insecure-options=image takes it "
                       "nevertheless",
                       name);
    if (store_temp(s->blobs_fd, &fd, &temp, err) < 0)
        return -1;
    int r = write(arg, fd, &unpacked, err);
    if (r == 0)
        r = enter_tar(s, name, opt, &unpacked, fd, &temp, ret, err);
    if (temp)
        (void)unlinkat(s->blobs_fd, temp, 0);
    return r;
}

/* An archive that is to be unpacked. */
struct packed {
    int in;
    const char *name;
    const struct unpack_options *opt;
};

static int unpack(void *arg, int fd, struct unpack_result *ret, struct err *err)
{
    const struct packed *p = arg;
    return import_unpack(p->in, p->name, fd, p->opt, ret, err);
}

int import_fd(struct store *s, int in, const char *name, const struct import_options *opt,
              struct aci_id *ret, struct err *err)
{
    struct packed p = {in, name, &opt->unpack};
    return import_made(s, name, opt, unpack, &p, ret, err);
}

int import_file(struct store *s, const char *path, const struct import_options *opt,
                struct aci_id *ret, struct err *err)
{
    cleanup_close int in = -1;
    if (open_regular(path, &in, err) < 0)
        return -1;
    return import_fd(s, in, path, opt, ret, err);
}
