/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm image: the table of its sub-commands, list and cat-manifest. */
#include "host/cmd_image.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "host/paths.h"

const struct command image_commands[] = {
    {"list", "", "list the images in the store", cmd_image_list, NULL},
    {"cat-manifest", "IMAGE", "print an image's manifest", cmd_image_cat_manifest, NULL},
    {"rm", "IMAGE…", "remove images from the store", cmd_image_rm, NULL},
    {"gc", "", "remove what is not needed any more", cmd_image_gc, NULL},
    {"verify", "[IMAGE…]", "check images against their IDs", cmd_image_verify, NULL},
    {"export", "IMAGE OUT.aci", "write an image to a file", cmd_image_export, NULL},
    {"extract", "IMAGE DIR", "unpack an image alone", cmd_image_extract, NULL},
    {"render", "IMAGE DIR|FILE", "unpack an image with its dependencies", cmd_image_render, NULL},
    {0},
};

int cmd_image_store(const char *dir_option, enum store_access access, struct store **ret,
                    struct err *err)
{
    cleanup_free char *dir = NULL;
    if (paths_data_dir(dir_option, &dir, err) < 0)
        return -1;
    return store_open(dir, access, ret, err);
}

int cmd_image_find(const char *dir_option, const char *ref, struct store **ret_store,
                   struct aci_id *ret, struct err *err)
{
    cleanup_with(store_closep) struct store *s = NULL;
    if (cmd_image_store(dir_option, STORE_READ, &s, err) < 0 || store_find(s, ref, ret, err) < 0)
        return -1;
    *ret_store = take_ptr(s);
    return 0;
}

void cmd_image_format_time(int64_t t, bool rfc3339, char *out, size_t size)
{
    struct tm tm;
    time_t seconds = (time_t)t;
    size_t n = 0;
    if (gmtime_r(&seconds, &tm))
        n = rfc3339 ? strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm)
                    : strftime(out, size, "%Y-%m-%d %H:%M", &tm);
    if (n == 0)
        snprintf(out, size, "?");
}

static json_t *time_json(int64_t t)
{
    char text[64];
    cmd_image_format_time(t, true, text, sizeof(text));
    return json_string(text);
}

static json_t *image_json(const struct store_image *i)
{
    json_t *labels = json_array();
    for (size_t k = 0; k < i->labels.n; k++)
        json_array_append_new(labels, json_pack("{s:s, s:s}", "name", i->labels.v[k].name, "value",
                                                i->labels.v[k].value));
    /* An origin is a path and need not be UTF-8. */
    json_t *origin = json_string(i->origin);
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:o, s:o, s:o, s:s?, s:b}", "id", i->id.text,
                     "name", i->name, "labels", labels, "size", (json_int_t)i->size, "archiveSize",
                     (json_int_t)i->archive_size, "imported", time_json(i->imported), "lastUsed",
                     time_json(i->used), "origin", origin ? origin : json_null(), "signer",
                     i->signer, "insecure", i->insecure);
}

static void list_json(const struct store_image *v, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, image_json(&v[i]));
    json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    putchar('\n');
}

void cmd_image_format_size(uint64_t bytes, char *out, size_t size)
{
    static const char units[] = "BKMGTPE";
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < sizeof(units) - 1) {
        v /= 1024;
        u++;
    }
    snprintf(out, size, u ? "%.1f%c" : "%.0f%c", v, units[u]);
}

/* Labels hold any string; control characters must not reach a terminal. */
static void print_label(const char *value)
{
    for (const char *p = value; *p; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
}

static int name_width(const struct store_image *v, size_t n)
{
    size_t width = strlen("NAME");
    for (size_t i = 0; i < n; i++)
        if (strlen(v[i].name) > width)
            width = strlen(v[i].name);
    return width > 60 ? 60 : (int)width;
}

static void list_text(const struct store_image *v, size_t n, bool full, bool legend)
{
    int width = name_width(v, n), id_width = full ? (int)ACI_ID_LEN : 19;
    if (legend)
        printf("%-*s  %-*s  %8s  %-16s  %-16s  %-8s  %s\n", id_width, "ID", width, "NAME", "SIZE",
               "IMPORTED", "LAST USED", "SIGNED", "VERSION");
    for (size_t i = 0; i < n; i++) {
        char size[32], imported[32], used[32];
        const char *version = ac_pairs_get(&v[i].labels, "version");
        cmd_image_format_size(v[i].size, size, sizeof(size));
        cmd_image_format_time(v[i].imported, false, imported, sizeof(imported));
        cmd_image_format_time(v[i].used, false, used, sizeof(used));
        printf("%-*.*s  %-*s  %8s  %-16s  %-16s  %-8s  ", id_width, id_width, v[i].id.text, width,
               v[i].name, size, imported, used, v[i].insecure ? "insecure" : "yes");
        print_label(version ? version : "-");
        putchar('\n');
    }
}

int cmd_image_list(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *format = "text";
    bool full = false, no_legend = false;
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "format", OPT_CHOICE, &format, "text|json", "how to print"},
        {0, "full", OPT_FLAG, &full, NULL, "whole image IDs"},
        {0, "no-legend", OPT_FLAG, &no_legend, NULL, "no line with the names of the columns"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    struct store_image *v;
    struct err err;
    size_t n;
    int operands, r = cli_parse(self, table, argc, argv, 0, 0, &operands);
    if (r >= 0)
        return r;
    if (cmd_image_store(dir, STORE_READ, &s, &err) < 0 || store_list(s, &v, &n, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    if (strcmp(format, "json") == 0)
        list_json(v, n);
    else
        list_text(v, n, full, !no_legend);
    store_images_free(v, n);
    return CLI_OK;
}

static int print_pretty(const char *text, size_t len, struct err *err)
{
    json_error_t e;
    json_t *root = json_loadb(text, len, 0, &e);
    if (!root)
        return err_set(err, 0, "the manifest can't be read: %s", e.text);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(root);
    return 0;
}

int cmd_image_cat_manifest(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    bool pretty = false;
    const struct opt table[] = {
        OPT_DIR(dir),
        {0, "pretty", OPT_FLAG, &pretty, NULL, "indented, instead of byte for byte"},
        {0},
    };
    cleanup_with(store_closep) struct store *s = NULL;
    cleanup_free char *text = NULL;
    struct aci_id id;
    struct err err;
    size_t len;
    int operands, r = cli_parse(self, table, argc, argv, 1, 1, &operands);
    if (r >= 0)
        return r;
    if (cmd_image_find(dir, argv[1], &s, &id, &err) < 0 ||
        store_manifest(s, &id, &text, &len, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    if (pretty)
        r = print_pretty(text, len, &err);
    else if (write_all(STDOUT_FILENO, text, len) < 0)
        r = err_set(&err, 0, "can't write the manifest");
    else
        r = 0;
    return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
