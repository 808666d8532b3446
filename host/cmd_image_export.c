/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm image export, extract and render: images of the store as files and directories. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/cmd_image.h"
#include "host/image/aci_out.h"
#include "host/image/store_extract.h"
#include "host/progress.h"

#define COPY_BYTES (256u << 10)

static int copy_tar(int fd, uint64_t size, struct aci_out *out, struct err *err)
{
    cleanup_free char *data = xmalloc(COPY_BYTES);
    struct progress bar;
    int r = 0;
    progress_start(&bar, "exporting", size);
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t want = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        r = pread_all(fd, data, want, (off_t)at) < 0 ? err_set(err, errno, "can't read the image")
                                                     : aci_out_write(out, data, want, err);
        at += want;
        progress_set(&bar, at);
    }
    progress_end(&bar);
    return r;
}

static int export_image(struct store *s, const struct aci_id *id, const char *path,
                        enum aci_compress compress, bool overwrite, struct err *err)
{
    struct aci_out *out;
    struct aci_id written;
    cleanup_close int fd = -1;
    uint64_t size;
    if (store_blob(s, id, &fd, &size, err) < 0)
        return -1;
    if (aci_out_open(path, compress, overwrite, &out, err) < 0)
        return -1;
    aci_out_expect(out, id);
    int r = copy_tar(fd, size, out, err);
    if (r == 0)
        r = aci_out_commit(out, &written, err);
    aci_out_free(out);
    return r;
}

int cmd_image_export(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *compress = "gzip";
    bool overwrite = false;
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "compress", OPT_CHOICE, &compress, ACI_COMPRESS_CHOICES, "how to compress (gzip)"},
        {0, "overwrite", OPT_FLAG, &overwrite, NULL, "replace OUT.aci if it exists"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    struct aci_id id;
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 2, 2, &n);
    if (r >= 0)
        return r;
    if (cmd_image_find(dir, argv[1], &s, &id, &err) < 0 ||
        export_image(s, &id, argv[2], aci_compress_from_name(compress), overwrite, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    return CLI_OK;
}

static void show_bytes(void *arg, const struct extract_progress *p)
{
    struct progress *bar = arg;
    bar->total = p->bytes_total;
    progress_set(bar, p->bytes);
}

static int extract(const char *dir, const char *ref, const char *path,
                   const struct store_extract_options *options)
{
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_free char *skipped = NULL;
    struct extract_report report;
    struct progress bar;
    struct store_extract_options opt = *options;
    struct aci_id id;
    struct err err;
    if (cmd_image_find(dir, ref, &s, &id, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    progress_start(&bar, "unpacking", 0);
    opt.progress = show_bytes;
    opt.arg = &bar;
    int r = store_extract(s, &id, path, &opt, &report, &err);
    progress_end(&bar);
    if (r < 0)
        return cli_fail(&err, CLI_FAILED);
    skipped = extract_report_text(&report);
    if (skipped)
        cli_warn("%s", skipped);
    return CLI_OK;
}

int cmd_image_extract(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    struct store_extract_options opt = {0};
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "rootfs-only", OPT_FLAG, &opt.rootfs_only, NULL, "the root file system alone"},
        {0, "overwrite", OPT_FLAG, &opt.overwrite, NULL, "replace DIR and all that is in it"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 2, 2, &n);
    return r >= 0 ? r : extract(dir, argv[1], argv[2], &opt);
}

static void show_flat(void *arg, uint64_t done, uint64_t total)
{
    struct progress *bar = arg;
    bar->total = total;
    progress_set(bar, done);
}

static int flatten(const char *dir, const char *ref, const char *path, bool overwrite)
{
    cleanup_with(store_closep) struct store *s = NULL;
    struct progress bar;
    struct aci_id id;
    struct err err;
    if (cmd_image_find(dir, ref, &s, &id, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    progress_start(&bar, "writing", 0);
    int r = store_flatten(s, &id, path, overwrite, show_flat, &bar, &err);
    progress_end(&bar);
    return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

int cmd_image_render(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    bool flat = false;
    struct store_extract_options opt = {.with_dependencies = true};
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "flat", OPT_FLAG, &flat, NULL, "write one file that mounts as EROFS"},
        {0, "rootfs-only", OPT_FLAG, &opt.rootfs_only, NULL, "the root file system alone"},
        {0, "overwrite", OPT_FLAG, &opt.overwrite, NULL, "replace what is there"},
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 2, 2, &n);
    if (r >= 0)
        return r;
    if (flat && opt.rootfs_only) {
        err_fill(&err, 0, "--flat and --rootfs-only exclude each other");
        return cli_fail(&err, CLI_USAGE);
    }
    return flat ? flatten(dir, argv[1], argv[2], opt.overwrite)
                : extract(dir, argv[1], argv[2], &opt);
}
