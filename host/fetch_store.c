/* SPDX-License-Identifier: Apache-2.0 */
/* The store as the fetch library sees it. */
#include "host/fetch_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "fetch/decrypt.h"
#include "host/cli.h"
#include "host/oci/image.h"
#include "schema/value.h"

static int look_up(struct store *s, const struct fetch_want *want, struct aci_id *ret,
                   struct err *err)
{
    struct imgref ref = {.kind = want->image_id ? IMGREF_ID : IMGREF_NAME,
                         .text = want->image_id ? want->image_id : want->name,
                         .labels = want->image_id ? (struct ac_pairs){0} : want->labels};
    struct store_image *v;
    size_t n;
    if (!ref.text)
        return 1;
    if (want->dependency && !want->image_id) { /* dependencies take images for any machine (A17) */
        struct ac_dependency dep = {.image_name = want->name, .labels = want->labels};
        struct err e;
        return store_dependency(s, &dep, ret, &e) == 0 ? 0 : 1;
    }
    if (store_match(s, &ref, &v, &n, err) < 0)
        return -1;
    if (n)
        *ret = v[0].id;
    store_images_free(v, n);
    return n ? 0 : 1;
}

/* The ID of the best image that fits, which is used from now on: 0, 1 when there is none, or -1. */
static int find_id(struct store *s, const struct fetch_want *want, struct aci_id *ret,
                   struct err *err)
{
    int r = look_up(s, want, ret, err);
    if (r == 0)
        store_touch(s, ret);
    return r;
}

static int load(struct store *s, const struct aci_id *id, struct fetch_image *ret, struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_fault fault;
    struct ac_image_manifest *m;
    if (store_manifest(s, id, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &m, &fault) < 0) {
        ac_fault_to_err(&fault, id->text, err);
        return -1;
    }
    *ret = (struct fetch_image){.id = xstrdup(id->text), .manifest = m};
    return 0;
}

int fetch_store_find(void *arg, const struct fetch_want *want, struct fetch_image *ret,
                     struct err *err)
{
    struct fetch_store *fs = arg;
    struct aci_id id;
    int r = find_id(fs->store, want, &id, err);
    return r ? r : load(fs->store, &id, ret, err);
}

static int check(void *arg, const struct aci_id *id, const struct ac_image_manifest *m,
                 struct err *err)
{
    return fetch_check(arg, id->text, m, err);
}

/* Which image is being imported, for its progress. */
struct importing {
    struct fetch_store *fs;
    size_t number;
};

static void on_import(void *arg, uint64_t bytes)
{
    struct importing *i = arg;
    fetch_progress_import(&i->fs->progress, i->number, bytes);
}

static struct import_options import_options(struct fetch_store *fs,
                                            const struct fetch_origin *origin,
                                            struct fetch_check *c, struct importing *importing)
{
    struct import_options opt = {
        .unpack = *fs->unpack,
        .insecure = origin->signer == NULL,
        .origin = origin->url,
        .signer = origin->signer,
        .check = check,
        .check_arg = c,
    };
    opt.unpack.progress = on_import;
    opt.unpack.arg = importing;
    return opt;
}

static int import(void *arg, int fd, const struct fetch_origin *origin, struct fetch_check *c,
                  struct fetch_image *ret, struct err *err)
{
    struct fetch_store *fs = arg;
    struct aci_id id;
    struct importing importing = {fs, origin->number};
    struct import_options opt = import_options(fs, origin, c, &importing);
    if (import_fd(fs->store, fd, origin->what, &opt, &id, err) < 0)
        return -1;
    return load(fs->store, &id, ret, err);
}

static int import_layers(void *arg, const struct oci_image *image,
                         const struct fetch_origin *origin, struct fetch_check *c,
                         struct fetch_image *ret, struct err *err)
{
    struct fetch_store *fs = arg;
    cleanup_with(ac_strings_done) struct ac_strings warnings = {0};
    struct aci_id id;
    struct importing importing = {fs, origin->number};
    /* The fetch has made sure that it may come without a signature. */
    struct import_options opt = import_options(fs, origin, c, &importing);
    opt.insecure = true;
    if (oci_image_import(fs->store, image, origin->what, &opt, &id, &warnings, err) < 0)
        return -1;
    fetch_progress_pause(&fs->progress);
    for (size_t i = 0; i < warnings.n; i++)
        cli_warn("%s: %s", origin->what, warnings.v[i]);
    fetch_progress_resume(&fs->progress);
    return load(fs->store, &id, ret, err);
}

/* One line from the terminal, unseen. */
static int ask(const char *what, struct buf *line, struct err *err)
{
    struct termios was, quiet;
    cleanup_close int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &was) < 0)
        return err_set(err, EACCES,
                       "%s is encrypted; give --passphrase-file or --passphrase-fd, as there is no "
                       "terminal to ask on",
                       what);
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &quiet);
    dprintf(tty, "Passphrase of %s: ", what); /* not before: what is typed by then is flushed */
    char c;
    while (line->len < PASSPHRASE_MAX && read(tty, &c, 1) == 1 && c != '\n')
        buf_addc(line, c);
    tcsetattr(tty, TCSAFLUSH, &was);
    dprintf(tty, "\n");
    return 0;
}

static int read_passphrase(struct fetch_store *fs, const char *what, struct err *err)
{
    struct buf line = {0};
    int r = 0;
    if (fs->passphrase_file)
        r = read_file_at(AT_FDCWD, fs->passphrase_file, PASSPHRASE_MAX, &line.data, &line.len, err);
    else if (fs->passphrase_fd >= 0)
        r = read_to_end(fs->passphrase_fd, "the passphrase", PASSPHRASE_MAX, &line.data, &line.len,
                        err);
    else
        r = ask(what, &line, err);
    if (r == 0) {
        fs->passphrase = buf_take(&line);
        fs->passphrase[strcspn(fs->passphrase, "\r\n")] = '\0';
    }
    return r;
}

int fetch_store_passphrase(void *arg, const char *what, char *out, size_t cap, struct err *err)
{
    struct fetch_store *fs = arg;
    if (!fs->passphrase) {
        fetch_progress_pause(&fs->progress);
        int r = read_passphrase(fs, what, err);
        fetch_progress_resume(&fs->progress);
        if (r < 0)
            return -1;
    }
    if (!*fs->passphrase || strlen(fs->passphrase) >= cap)
        return err_set(err, EACCES, "%s is encrypted, and the passphrase is empty or too long",
                       what);
    memcpy(out, fs->passphrase, strlen(fs->passphrase) + 1);
    return 0;
}

static void event(void *arg, const struct fetch_event *e)
{
    struct fetch_store *fs = arg;
    fetch_progress_event(&fs->progress, e);
}

struct fetch_sink fetch_store_sink(struct fetch_store *fs)
{
    return (struct fetch_sink){.arg = fs,
                               .find = fetch_store_find,
                               .import = import,
                               .import_layers = import_layers,
                               .passphrase = fetch_store_passphrase,
                               .event = event};
}

void fetch_store_done(struct fetch_store *fs)
{
    if (fs->passphrase)
        explicit_bzero(fs->passphrase, strlen(fs->passphrase));
    free(fs->passphrase);
    fs->passphrase = NULL;
    fetch_progress_end(&fs->progress);
}

/* The images seen on a walk. */
struct walk {
    struct store *store;
    char *seen[FETCH_IMAGES_MAX];
    size_t n;
};

static bool walk(struct walk *w, const struct fetch_want *want, unsigned depth);

static bool walk_dependencies(struct walk *w, const struct ac_image_manifest *m, unsigned depth)
{
    bool complete = true;
    for (size_t i = 0; i < m->ndependencies && complete; i++) {
        struct fetch_want want;
        fetch_want_dependency(&m->dependencies[i], &want);
        complete = walk(w, &want, depth + 1);
        fetch_want_done(&want);
    }
    return complete;
}

static bool walk(struct walk *w, const struct fetch_want *want, unsigned depth)
{
    struct aci_id id;
    cleanup_with(fetch_image_done) struct fetch_image image = {0};
    if (depth > FETCH_DEPTH_MAX || find_id(w->store, want, &id, NULL) != 0)
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->seen[i], id.text) == 0)
            return true;
    if (w->n == FETCH_IMAGES_MAX || load(w->store, &id, &image, NULL) < 0)
        return false;
    w->seen[w->n++] = xstrdup(id.text);
    return walk_dependencies(w, image.manifest, depth);
}

bool fetch_store_complete(struct store *s, const struct fetch_want *want, bool dependencies)
{
    struct aci_id id;
    struct walk w = {.store = s};
    if (!dependencies)
        return find_id(s, want, &id, NULL) == 0;
    bool complete = walk(&w, want, 0);
    while (w.n)
        free(w.seen[--w.n]);
    return complete;
}
