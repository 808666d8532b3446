/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm build: packs an image layout to an ACI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "host/cli.h"
#include "host/image/build.h"
#include "host/progress.h"

static void show(void *arg, uint64_t bytes)
{
    progress_set(arg, bytes);
}

/* --mtime, else SOURCE_DATE_EPOCH, else the files' own. */
static int choose_mtime(const char *option, struct build_options *opt, struct err *err)
{
    const char *env = getenv("SOURCE_DATE_EPOCH");
    const char *text = option ? option : env;
    if (!text || !*text)
        return 0;
    opt->set_mtime = true;
    if (build_parse_time(text, &opt->mtime) == 0)
        return 0;
    return err_set(err, 0,
                   "%s: \"%s\" is no time: give seconds since 1970, or a date and time such as "
                   "2015-05-18T13:49:28Z",
                   option ? "--mtime" : "SOURCE_DATE_EPOCH", text);
}

static int build(const char *dir, const char *out, const struct build_options *opt, struct err *err)
{
    struct build_options with_bar = *opt;
    struct build_report report;
    struct aci_id id;
    struct progress bar;
    progress_start(&bar, "packing", 0);
    with_bar.progress = show;
    with_bar.arg = &bar;
    int r = build_aci(dir, out, &with_bar, &id, &report, err);
    progress_end(&bar);
    if (r < 0)
        return cli_fail(err, CLI_FAILED);
    if (report.sockets)
        cli_warn("left out %llu socket%s, which an archive can't hold",
                 (unsigned long long)report.sockets, report.sockets == 1 ? "" : "s");
    printf("%s\n", id.text);
    return CLI_OK;
}

int cmd_build(const struct command *self, int argc, char **argv)
{
    const char *mtime = NULL, *compress = "gzip";
    const char *owner = geteuid() == 0 ? "keep" : "root";
    bool overwrite = false;
    const struct opt table[] = {
        {0, "compress", OPT_CHOICE, &compress, ACI_COMPRESS_CHOICES, "how to compress (gzip)"},
        {0, "mtime", OPT_STRING, &mtime, "TIME",
         "modification time of all files: seconds or RFC 3339; else $SOURCE_DATE_EPOCH, else their "
         "own"},
        {0, "owner", OPT_CHOICE, &owner, "root|keep",
         "who owns the files in the image (keep for root, root for others)"},
        {0, "overwrite", OPT_FLAG, &overwrite, NULL, "replace OUT.aci if it exists"},
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 2, 2, &n);
    if (r >= 0)
        return r;
    struct build_options opt = {
        .compress = aci_compress_from_name(compress),
        .overwrite = overwrite,
        .keep_owner = strcmp(owner, "keep") == 0,
    };
    if (choose_mtime(mtime, &opt, &err) < 0)
        return cli_fail(&err, CLI_USAGE);
    return build(argv[1], argv[2], &opt, &err);
}
