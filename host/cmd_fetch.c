/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm fetch: brings an image into the store and prints its ID. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/image/imgref.h"
#include "host/image/import.h"
#include "host/image/store.h"
#include "host/paths.h"
#include "host/progress.h"

static void show(void *arg, uint64_t bytes)
{
    progress_set(arg, bytes);
}

static int import_with_bar(struct store *s, const char *path, struct import_options *opt,
                           struct aci_id *id, struct err *err)
{
    struct progress bar;
    struct stat st;
    const char *slash = strrchr(path, '/');
    progress_start(&bar, slash ? slash + 1 : path, stat(path, &st) == 0 ? (uint64_t)st.st_size : 0);
    opt->unpack.progress = show;
    opt->unpack.arg = &bar;
    int r = import_file(s, path, opt, id, err);
    progress_end(&bar);
    return r;
}

/* A file is imported; what is in the store already is only looked up. */
static int fetch_one(struct store *s, const char *text, struct import_options *opt,
                     struct aci_id *id, struct err *err)
{
    cleanup_with(imgref_done) struct imgref ref = {0};
    if (imgref_parse(text, &ref, err) < 0)
        return -1;
    switch (ref.kind) {
    case IMGREF_FILE:
        if (!str_ends(ref.text, ".aci"))
            cli_warn("the name of %s does not end in .aci", ref.text);
        return import_with_bar(s, ref.text, opt, id, err);
    case IMGREF_URL:
        return err_set(err, 0,
                       "can't fetch %s: only files can be fetched so far; download it first", text);
    case IMGREF_ID:
    case IMGREF_NAME:
        break;
    }
    if (store_resolve(s, &ref, id, err) == 0)
        return 0;
    if (err->errnum == ENOENT)
        return err_prefix(err, "only files can be fetched so far (give ./%s if it is one)", text);
    return -1;
}

static int fetch_all(const char *dir_option, char **refs, int n, struct import_options *opt,
                     struct err *err)
{
    cleanup_free char *dir = NULL;
    cleanup_with(store_closep) struct store *s = NULL;
    if (paths_data_dir(dir_option, &dir, err) < 0 || store_open(dir, STORE_WRITE, &s, err) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        struct aci_id id;
        if (fetch_one(s, refs[i], opt, &id, err) < 0)
            return -1;
        printf("%s\n", id.text);
        fflush(stdout);
    }
    return 0;
}

int cmd_fetch(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *insecure = NULL;
    struct import_options import = {0};
    import.unpack.max_bytes = UNPACK_MAX_BYTES;
    import.unpack.max_ratio = UNPACK_MAX_RATIO;
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0, "insecure-options", OPT_CHOICE, &insecure, "image",
         "image: take archives without a signature"},
        {0, "max-size", OPT_SIZE, &import.unpack.max_bytes, "SIZE",
         "largest image, uncompressed (64G)"},
        {0, "max-ratio", OPT_U64, &import.unpack.max_ratio, "N",
         "largest ratio of uncompressed to compressed bytes (200)"},
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    import.insecure = insecure != NULL;
    return fetch_all(dir, argv + 1, n, &import, &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
