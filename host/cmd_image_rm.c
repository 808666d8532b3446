/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm image rm, and image verify. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/cmd_image.h"

struct ids {
    struct aci_id *v;
    size_t n, cap;
};

static void ids_done(struct ids *ids)
{
    free(ids->v);
}

static void ids_add(struct ids *ids, const struct aci_id *id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (strcmp(ids->v[i].text, id->text) == 0)
            return;
    array_grow(&ids->v, ids->n, &ids->cap, sizeof(*ids->v));
    ids->v[ids->n++] = *id;
}

/* What is to be removed has to be the only image that the reference fits. */
static int find_only(struct store *s, const char *text, struct ids *ids, struct err *err)
{
    cleanup_with(imgref_done) struct imgref ref = {0};
    struct store_image *v = NULL;
    size_t n = 0;
    struct aci_id id;
    if (imgref_parse(text, &ref, err) < 0 || store_resolve(s, &ref, &id, err) < 0 ||
        store_match(s, &ref, &v, &n, err) < 0)
        return -1;
    int r = 0;
    if (n > 1) {
        cleanup_with(buf_free) struct buf list = {0};
        for (size_t i = 0; i < n && i < 4; i++)
            buf_printf(&list, "%s%.19s", i ? ", " : "", v[i].id.text);
        r = err_set(err, 0, "%s fits %zu images (%s%s); say which, by ID", text, n, list.data,
                    n > 4 ? ", ..." : "");
    } else {
        ids_add(ids, &id);
    }
    store_images_free(v, n);
    return r;
}

int cmd_image_rm(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    bool force = false;
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "force", OPT_FLAG, &force, NULL, "even if it is in use or another image depends on it"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_with(ids_done) struct ids ids = {0};
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    if (cmd_image_store(dir, STORE_WRITE, &s, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    for (int i = 1; i <= n; i++)
        if (find_only(s, argv[i], &ids, &err) < 0)
            return cli_fail(&err, CLI_FAILED);
    if (store_remove(s, ids.v, ids.n, force, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    for (size_t i = 0; i < ids.n; i++)
        printf("%s\n", ids.v[i].text);
    return CLI_OK;
}

static int add_all(struct store *s, struct ids *ids, struct err *err)
{
    struct store_image *v;
    size_t n;
    if (store_list(s, &v, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        ids_add(ids, &v[i].id);
    store_images_free(v, n);
    return 0;
}

/* Prints a line for each image; 1 when one is damaged. */
static int verify_all(struct store *s, const struct ids *ids, struct err *err)
{
    int damaged = 0;
    for (size_t i = 0; i < ids->n; i++) {
        struct store_verdict v;
        if (store_verify(s, &ids->v[i], &v, err) < 0)
            return -1;
        printf("%s %s\n", ids->v[i].text, v.intact ? "ok" : "DAMAGED");
        fflush(stdout);
        if (v.repaired)
            cli_warn("the cached root of %s was wrong and is made anew when it is needed",
                     ids->v[i].text);
        if (!v.intact)
            fprintf(stderr, "appc-vm: %s\n", v.problem);
        damaged |= !v.intact;
    }
    return damaged;
}

int cmd_image_verify(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    bool all = false;
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "all", OPT_FLAG, &all, NULL, "all images in the store"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_with(ids_done) struct ids ids = {0};
    struct err err;
    struct aci_id id;
    int n, r = cli_parse(self, table, argc, argv, 0, -1, &n);
    if (r >= 0)
        return r;
    if ((n == 0) == !all) {
        err_fill(&err, 0, "verify needs either images or --all");
        return cli_fail(&err, CLI_USAGE);
    }
    r = cmd_image_store(dir, STORE_WRITE, &s, &err);
    for (int i = 1; r == 0 && i <= n; i++) {
        r = store_find(s, argv[i], &id, &err);
        if (r == 0)
            ids_add(&ids, &id);
    }
    if (r == 0 && all)
        r = add_all(s, &ids, &err);
    if (r == 0)
        r = verify_all(s, &ids, &err);
    return r < 0 ? cli_fail(&err, CLI_FAILED) : r;
}
