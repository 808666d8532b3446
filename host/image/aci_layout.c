/* SPDX-License-Identifier: Apache-2.0 */
/* An image layout: the directory that an ACI is packed from (spec/aci.md, "Image Layout"). */
#include "host/image/aci_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"

static int check_entry(int dirfd, const char *dir, const char *name, mode_t want, const char *what,
                       struct err *err)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, errno, "%s is not an image layout: %s/%s", dir, dir, name);
    if ((st.st_mode & S_IFMT) != want)
        return err_set(err, 0, "%s is not an image layout: %s/%s is not %s", dir, dir, name, what);
    return 0;
}

/* Nothing but the two names at the top. */
static int check_names(int dirfd, const char *dir, struct err *err)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d)
        return err_set(err, errno, "can't read %s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, "manifest") == 0 || strcmp(e->d_name, "rootfs") == 0)
            continue;
        return err_set(err, 0,
                       "%s is not an image layout: beside manifest and rootfs it holds \"%s\"", dir,
                       e->d_name);
    }
    return 0;
}

static int read_manifest(int dirfd, const char *dir, char **ret_text, size_t *ret_len,
                         struct ac_fault *fault, struct err *err)
{
    cleanup_free char *name = xasprintf("%s/manifest", dir);
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_fault local;
    struct ac_image_manifest *manifest;
    cleanup_close int fd = openat(dirfd, "manifest", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", name);
    if (read_to_end(fd, name, AC_MANIFEST_MAX, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &manifest, &local) < 0) {
        ac_fault_to_err(&local, name, err);
        if (fault)
            *fault = local;
        return -1;
    }
    ac_image_manifest_free(manifest);
    if (ret_text) {
        *ret_text = take_ptr(text);
        *ret_len = len;
    }
    return 0;
}

int aci_layout_read(const char *dir, char **ret_text, size_t *ret_len, struct ac_fault *fault,
                    struct err *err)
{
    if (fault)
        *fault = (struct ac_fault){0};
    cleanup_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return err_set(err, errno, "can't open %s", dir);
    if (check_entry(dirfd, dir, "manifest", S_IFREG, "a regular file", err) < 0 ||
        check_entry(dirfd, dir, "rootfs", S_IFDIR, "a directory", err) < 0 ||
        check_names(dirfd, dir, err) < 0)
        return -1;
    return read_manifest(dirfd, dir, ret_text, ret_len, fault, err);
}
