/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm validate: manifests, archives and image layouts; what each is and what is wrong. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/cli.h"
#include "host/image/aci_image.h"
#include "host/image/aci_layout.h"
#include "host/image/import_unpack.h"
#include "host/progress.h"
#include "schema/manifest.h"

/* What was found out about one operand. */
struct verdict {
    const char *kind; /* a phrase such as "image manifest" */
    bool valid;
    struct ac_fault fault; /* in a manifest; msg is "" when something else is wrong */
    struct err err;        /* when not valid and there is no fault */
    char *name;            /* of the image, or NULL */
    struct aci_id id;      /* of an archive, or "" */
};

struct validate_options {
    struct unpack_options unpack;
    bool json;
};

/* The value of acKind, "" when there is none; member names match in any case (GEN-04). */
static void kind_of(const char *text, size_t len, char *out, size_t size)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *key;
    json_t *value;
    out[0] = '\0';
    json_object_foreach (root, key, value)
        if (strcasecmp(key, "acKind") == 0 && json_is_string(value))
            snprintf(out, size, "%s", json_string_value(value));
    json_decref(root);
}

static void check_image_manifest(const char *text, size_t len, struct verdict *v)
{
    struct ac_image_manifest *m;
    v->valid = ac_image_manifest_parse(text, len, &m, &v->fault) == 0;
    if (!v->valid)
        return;
    v->name = xstrdup(m->name);
    ac_image_manifest_free(m);
}

/* A pod whose images are still given by name is a template, which `run` takes too. */
static void check_pod_manifest(const char *text, size_t len, struct verdict *v)
{
    struct ac_pod_manifest *m;
    v->kind = "pod manifest";
    v->valid = ac_pod_manifest_parse(text, len, false, &m, &v->fault) == 0;
    if (!v->valid && ac_pod_manifest_parse(text, len, true, &m, &v->fault) == 0) {
        v->kind = "pod manifest (template)";
        v->valid = true;
    }
    if (v->valid)
        ac_pod_manifest_free(m);
}

static void check_manifest(int fd, const char *path, struct verdict *v)
{
    cleanup_free char *text = NULL;
    size_t len;
    char kind[32];
    v->kind = "manifest";
    if (read_to_end(fd, path, AC_MANIFEST_MAX, &text, &len, &v->err) < 0)
        return;
    kind_of(text, len, kind, sizeof(kind));
    if (strcmp(kind, "PodManifest") == 0) {
        check_pod_manifest(text, len, v);
        return;
    }
    if (strcmp(kind, "ImageManifest") == 0)
        v->kind = "image manifest";
    check_image_manifest(text, len, v);
}

static int temp_file(struct err *err)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/var/tmp";
    int fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    cleanup_free char *name = xasprintf("%s/appc-vm-XXXXXX", dir);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't create a temporary file in %s", dir);
    (void)unlink(name);
    return fd;
}

static void show(void *arg, uint64_t bytes)
{
    progress_set(arg, bytes);
}

static int unpack(int fd, const char *path, int out, const struct validate_options *o,
                  struct unpack_result *ret, struct err *err)
{
    struct unpack_options unpack = o->unpack;
    struct progress bar;
    struct stat st;
    progress_start(&bar, "checking", fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0);
    unpack.progress = show;
    unpack.arg = &bar;
    int r = import_unpack(fd, path, out, &unpack, ret, err);
    progress_end(&bar);
    return r;
}

static void check_archive(int fd, const char *path, const struct validate_options *o,
                          struct verdict *v)
{
    struct unpack_result unpacked;
    struct aci_image *image;
    v->kind = "ACI";
    cleanup_close int out = temp_file(&v->err);
    if (out < 0 || unpack(fd, path, out, o, &unpacked, &v->err) < 0 ||
        aci_image_open(out, path, &image, &v->fault, &v->err) < 0)
        return;
    v->valid = true;
    v->id = unpacked.id;
    v->name = xstrdup(image->manifest->name);
    aci_image_close(image);
}

static void check_layout(const char *path, struct verdict *v)
{
    cleanup_free char *text = NULL;
    size_t len;
    v->kind = "image layout";
    if (aci_layout_read(path, &text, &len, &v->fault, &v->err) == 0)
        check_image_manifest(text, len, v);
}

/* JSON begins with a brace; but for that, a text file is more likely a broken manifest too. */
static bool looks_like_text(const char *head, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isprint((unsigned char)head[i]) && !isspace((unsigned char)head[i]) &&
            (unsigned char)head[i] < 0x80)
            return false;
    return true;
}

static void check_file(int fd, const char *path, const struct validate_options *o,
                       struct verdict *v)
{
    char head[ACI_SNIFF_LEN];
    enum aci_compress compress;
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0) {
        (void)err_set(&v->err, errno, "can't read %s", path);
        return;
    }
    enum aci_kind kind = aci_sniff(head, (size_t)n, &compress);
    if (kind == ACI_KIND_OTHER && looks_like_text(head, (size_t)n)) {
        check_manifest(fd, path, v);
        return;
    }
    v->kind = "file";
    if (aci_check_kind(kind, path, &v->err) == 0)
        check_archive(fd, path, o, v);
}

static void check(const char *path, const struct validate_options *o, struct verdict *v)
{
    struct stat st;
    v->kind = "file";
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        (void)err_set(&v->err, errno, "can't open %s", path);
    else if (S_ISDIR(st.st_mode))
        check_layout(path, v);
    else if (S_ISREG(st.st_mode))
        check_file(fd, path, o, v);
    else
        (void)err_set(&v->err, 0, "%s is neither a file nor a directory", path);
}

/* Paths and messages may quote what is hostile; struct err takes control characters out. */
static void print_clean(const char *path, const char *what, const char *kind, const char *why)
{
    struct err clean;
    err_fill(&clean, 0, "%s: %s %s%s%s", path, what, kind, *why ? ": " : "", why);
    puts(clean.msg);
}

static void print_text(const char *path, const struct verdict *v)
{
    struct err e = v->err;
    if (v->valid) {
        print_clean(path, "valid", v->kind, "");
        if (v->id.text[0])
            printf("  image ID %s\n", v->id.text);
        if (v->name)
            printf("  name %s\n", v->name);
        return;
    }
    if (v->fault.msg[0])
        ac_fault_to_err(
            &v->fault,
            strcmp(v->kind, "image layout") != 0 && strcmp(v->kind, "ACI") != 0 ? path : "manifest",
            &e);
    print_clean(path, "invalid", v->kind, e.msg);
}

static json_t *verdict_json(const char *path, const struct verdict *v)
{
    json_t *file = json_string(path);
    json_t *o = json_pack("{s:o, s:s, s:b}", "file", file ? file : json_null(), "kind", v->kind,
                          "valid", v->valid);
    if (v->name)
        json_object_set_new(o, "name", json_string(v->name));
    if (v->id.text[0])
        json_object_set_new(o, "id", json_string(v->id.text));
    if (v->valid)
        return o;
    json_object_set_new(o, "message", json_string(v->fault.msg[0] ? v->fault.msg : v->err.msg));
    if (v->fault.path[0])
        json_object_set_new(o, "path", json_string(v->fault.path));
    if (v->fault.line) {
        json_object_set_new(o, "line", json_integer((json_int_t)v->fault.line));
        json_object_set_new(o, "column", json_integer((json_int_t)v->fault.column));
    }
    return o;
}

static int validate_all(char **paths, int n, const struct validate_options *o)
{
    json_t *all = json_array();
    int invalid = 0;
    for (int i = 0; i < n; i++) {
        struct verdict v = {0};
        check(paths[i], o, &v);
        if (o->json)
            json_array_append_new(all, verdict_json(paths[i], &v));
        else
            print_text(paths[i], &v);
        fflush(stdout);
        invalid |= !v.valid;
        free(v.name);
    }
    if (o->json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
    return invalid ? CLI_FAILED : CLI_OK;
}

int cmd_validate(const struct command *self, int argc, char **argv)
{
    const char *format = "text";
    struct validate_options o = {0}; /* its limits: the defaults */
    const struct opt table[] = {
        {0, "format", OPT_CHOICE, &format, "text|json", "how to print"},
        {0, "max-size", OPT_SIZE, &o.unpack.max_bytes, "SIZE", "largest image, uncompressed (64G)"},
        {0, "max-ratio", OPT_U64, &o.unpack.max_ratio, "N",
         "largest ratio of uncompressed to compressed bytes (200)"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    o.json = strcmp(format, "json") == 0;
    return validate_all(argv + 1, n, &o);
}
