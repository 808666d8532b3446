/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm image gc: removes what nobody needs any more. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cmd_image.h"
#include "host/image/store_gc.h"
#include "host/leftovers.h"
#include "host/paths.h"
#include "host/pod/poddir.h"
#include "schema/manifest.h"

struct gc_run {
    struct store *store;
    const char *data_dir;
    bool dry_run;
    json_t *images, *files; /* what was removed; printed when that is certain */
    uint64_t freed;
};

struct id_list {
    struct aci_id *v;
    size_t n, cap;
};

static void add_pod_images(int dir, struct id_list *list)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_pod_manifest *pod;
    struct ac_fault fault;
    if (read_file_at(dir, "pod", AC_MANIFEST_MAX, &text, &len, NULL) < 0 ||
        ac_pod_manifest_parse(text, len, false, &pod, &fault) < 0)
        return;
    for (size_t i = 0; i < pod->napps; i++) {
        if (!pod->apps[i].image_id || !aci_id_valid(pod->apps[i].image_id))
            continue;
        array_grow(&list->v, list->n, &list->cap, sizeof(*list->v));
        memcpy(list->v[list->n++].text, pod->apps[i].image_id, sizeof(list->v->text));
    }
    ac_pod_manifest_free(pod);
}

/* A pod that has ended can't be started again: only what is prepared or runs needs its images. */
static bool has_ended(json_t *state)
{
    const char *name = json_string_value(json_object_get(state, "state"));
    return str_eq(name, "exited") || str_eq(name, "aborted");
}

static int pods(void *arg, struct aci_id **ret, size_t *ret_n, struct err *err)
{
    struct gc_run *run = arg;
    struct id_list list = {0};
    char **names;
    size_t n;
    if (poddir_list(run->data_dir, &names, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char uuid[AC_UUID_TEXT];
        cleanup_close int dir = -1;
        if (poddir_open(run->data_dir, names[i], uuid, &dir, NULL) == 0) {
            json_t *state = poddir_state(dir, uuid, NULL);
            if (!has_ended(state))
                add_pod_images(dir, &list);
            json_decref(state);
        }
        free(names[i]);
    }
    free(names);
    *ret = list.v;
    *ret_n = list.n;
    return 0;
}

static const char *text_of(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void tell_file(void *arg, const char *path, const char *why, uint64_t bytes)
{
    struct gc_run *run = arg;
    run->freed += bytes;
    json_array_append_new(run->files, json_pack("{s:s, s:s, s:I}", "path", path, "reason", why,
                                                "bytes", (json_int_t)bytes));
}

static void tell_image(struct gc_run *run, const struct store_image *i)
{
    char used[64];
    cmd_image_format_time(i->used, true, used, sizeof(used));
    run->freed += i->size;
    json_array_append_new(run->images,
                          json_pack("{s:s, s:s, s:s?, s:I, s:s}", "id", i->id.text, "name", i->name,
                                    "version", ac_pairs_get(&i->labels, "version"), "bytes",
                                    (json_int_t)i->size, "lastUsed", used));
}

static void removed(void *arg, const struct store_gc_item *item)
{
    static const char *const why[] = {
        [STORE_GC_ROOT] = "rendered root out of use",
        [STORE_GC_TEMP] = "unfinished import or rendering",
        [STORE_GC_ORPHAN] = "not in the index",
        [STORE_GC_IMAGE] = "image",
    };
    if (item->image)
        tell_image(arg, item->image);
    else
        tell_file(arg, item->path, why[item->kind], item->bytes);
}

static bool was_told(const struct gc_run *run, const char *id)
{
    json_t *o;
    size_t i;
    json_array_foreach (run->images, i, o)
        if (str_eq(text_of(o, "id"), id))
            return true;
    return false;
}

/* What a dry run has told of is still there, and counts as gone. */
static bool has_image(void *arg, const char *text)
{
    struct gc_run *run = arg;
    struct store_image image;
    struct aci_id id;
    if (!aci_id_valid(text) || was_told(run, text))
        return false;
    memcpy(id.text, text, sizeof(id.text));
    if (store_get(run->store, &id, &image, NULL) < 0)
        return false;
    store_image_done(&image);
    return true;
}

static void print_line(const struct gc_run *run, json_t *o)
{
    char size[32];
    cmd_image_format_size((uint64_t)json_integer_value(json_object_get(o, "bytes")), size,
                          sizeof(size));
    const char *verb = run->dry_run ? "would remove" : "removed";
    if (text_of(o, "id"))
        printf("%s %s %s (%s, last used %s)\n", verb, text_of(o, "id"), text_of(o, "name"), size,
               text_of(o, "lastUsed"));
    else
        printf("%s %s (%s, %s)\n", verb, text_of(o, "path"), text_of(o, "reason"), size);
}

static void print_text(const struct gc_run *run, const struct store_gc_result *left)
{
    char freed[32], kept[32];
    json_t *o;
    size_t i;
    json_array_foreach (run->images, i, o)
        print_line(run, o);
    json_array_foreach (run->files, i, o)
        print_line(run, o);
    cmd_image_format_size(run->freed, freed, sizeof(freed));
    cmd_image_format_size(left->bytes, kept, sizeof(kept));
    printf("%s %s; %zu image%s of %s stay\n", run->dry_run ? "would free" : "freed", freed,
           left->images, left->images == 1 ? "" : "s", kept);
}

static void print_json(const struct gc_run *run, const struct store_gc_result *left)
{
    json_t *all =
        json_pack("{s:b, s:O, s:O, s:I, s:{s:I, s:I}}", "dryRun", run->dry_run, "images",
                  run->images, "files", run->files, "freed", (json_int_t)run->freed, "kept",
                  "images", (json_int_t)left->images, "bytes", (json_int_t)left->bytes);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void warn_of_size(uint64_t bytes, uint64_t max)
{
    char kept[32], limit[32];
    if (bytes <= max)
        return;
    cmd_image_format_size(bytes, kept, sizeof(kept));
    cmd_image_format_size(max, limit, sizeof(limit));
    cli_warn("the images that are needed take %s, more than --max-size=%s", kept, limit);
}

/* On a full disk once more, within the space that the index has; nothing was removed by then. */
static int collect_store(struct gc_run *run, const struct store_gc_options *opt,
                         struct store_gc_result *left, struct err *err)
{
    size_t nfiles = json_array_size(run->files);
    uint64_t freed = run->freed;
    int r = store_gc(run->store, opt, left, err);
    if (r == 0 || err->errnum != ENOSPC || store_make_room(run->store) < 0)
        return r;
    json_array_clear(run->images);
    while (json_array_size(run->files) > nfiles)
        json_array_remove(run->files, json_array_size(run->files) - 1);
    run->freed = freed;
    return store_gc(run->store, opt, left, err);
}

/*
 * Other files first: on a full disk that makes room for the index to change. Then again, as records
 * of downloads go with their images. A dry run needs no room, and tells of each file once.
 */
static int collect(struct gc_run *run, struct store_gc_options *opt, struct store_gc_result *left,
                   struct err *err)
{
    struct leftovers l = {.data_dir = run->data_dir,
                          .dry_run = run->dry_run,
                          .has_image = has_image,
                          .found = tell_file,
                          .arg = run};
    opt->pods = pods;
    opt->removed = removed;
    opt->arg = run;
    if ((!run->dry_run && leftovers_remove(&l, err) < 0) || collect_store(run, opt, left, err) < 0)
        return -1;
    return leftovers_remove(&l, err);
}

static int run_gc(struct gc_run *run, struct store_gc_options *opt, bool json, struct err *err)
{
    struct store_gc_result left = {0};
    run->images = json_array();
    run->files = json_array();
    int r = collect(run, opt, &left, err);
    if (r == 0 && json)
        print_json(run, &left);
    else if (r == 0)
        print_text(run, &left);
    if (r == 0)
        warn_of_size(left.bytes, opt->max_bytes);
    json_decref(run->images);
    json_decref(run->files);
    return r;
}

int cmd_image_gc(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *age = NULL, *format = "text";
    struct store_gc_options gc = {.max_bytes = UINT64_MAX};
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "older-than", OPT_STRING, &age, "TIME",
         "images not used for this time, such as 12h or 30d"},
        {0, "max-size", OPT_SIZE, &gc.max_bytes, "SIZE",
         "images, least recently used first, until the rest has no more"},
        {0, "dry-run", OPT_FLAG, &gc.dry_run, NULL, "only tell what would be removed"},
        {0, "format", OPT_CHOICE, &format, "text|json", "how to print"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_free char *data_dir = NULL;
    struct err err;
    uint64_t seconds = 0;
    int n, r = cli_parse(self, table, argc, argv, 0, 0, &n);
    if (r >= 0)
        return r;
    if (age && parse_duration(age, &seconds) < 0) {
        err_fill(&err, 0, "--older-than: \"%s\" is not a time such as 90m, 12h, 30d or 4w", age);
        return cli_fail(&err, CLI_USAGE);
    }
    gc.by_age = age != NULL;
    gc.older_than = (int64_t)seconds;
    /* Opened for reading: what a writer would sweep is told of first. */
    if (paths_data_dir(dir, &data_dir, &err) < 0 || store_open(data_dir, STORE_READ, &s, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    struct gc_run run = {.store = s, .data_dir = data_dir, .dry_run = gc.dry_run};
    r = run_gc(&run, &gc, str_eq(format, "json"), &err);
    return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
