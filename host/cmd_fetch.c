/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm fetch: brings images into the store and prints their IDs. */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/cli.h"
#include "host/fetch_images.h"
#include "host/image/store.h"
#include "host/paths.h"

static int fetch_all(const char *dir_option, char **refs, int n, struct fetch_request *o,
                     struct err *err)
{
    cleanup_free char *dir = NULL;
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_free struct aci_id *ids = xcalloc((size_t)n, sizeof(*ids));
    if (paths_data_dir(dir_option, &dir, err) < 0 || store_open(dir, STORE_WRITE, &s, err) < 0 ||
        store_hold(s, err) < 0 || fetch_references(s, dir, o, refs, (size_t)n, ids, err) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        printf("%s\n", ids[i].text);
    return 0;
}

int cmd_fetch(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    cleanup_with(fetch_request_done) struct fetch_request o;
    fetch_request_init(&o);
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {'q', "quiet", OPT_FLAG, &o.quiet, NULL, "no progress"},
        {0, "no-dependencies", OPT_FLAG, &o.no_dependencies, NULL, "only what is given"},
        {0, "image-name", OPT_STRING, &o.image_name, "NAME[:VERSION]",
         "name of the image made of the one OCI or Docker image given"},
        FETCH_OPTIONS(o),
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    return fetch_all(dir, argv + 1, n, &o, &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
