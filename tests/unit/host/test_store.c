/* SPDX-License-Identifier: Apache-2.0 */
/* The image store: import, look-up, cached roots, dependencies, removal, sweeping. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/build.h"
#include "host/image/erofs.h"
#include "host/image/import.h"
#include "host/image/store.h"

struct fixture {
    char dir[64]; /* holds layouts, archives and data/ */
    char *data;
    struct store *store;
    unsigned archives;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err err;
    snprintf(f->dir, sizeof(f->dir), "/tmp/appc-store-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->data = xasprintf("%s/data", f->dir);
    *state = f;
    return store_open(f->data, STORE_WRITE, &f->store, &err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f->data);
    free(f);
    return 0;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    cleanup_free char *path = xasprintf("%s/%s", dir, name);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

/* Packs an image with one file, `text`, and `more` members in its manifest: the archive's path. */
static char *archive(struct fixture *f, const char *name, const char *text, const char *more)
{
    cleanup_free char *layout = xasprintf("%s/layout-%u", f->dir, f->archives);
    cleanup_free char *rootfs = xasprintf("%s/rootfs", layout);
    cleanup_free char *manifest = xasprintf(
        "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"%s\"%s}", name, more);
    char *out = xasprintf("%s/%u.aci", f->dir, f->archives++);
    struct build_options opt = {.compress = ACI_NONE};
    struct aci_id id;
    struct err err;
    assert_int_equal(mkdir(layout, 0755), 0);
    assert_int_equal(mkdir(rootfs, 0755), 0);
    write_file(layout, "manifest", manifest);
    write_file(rootfs, "f", text);
    assert_int_equal(build_aci(layout, out, &opt, &id, NULL, &err), 0);
    return out;
}

static struct aci_id import(struct fixture *f, const char *path)
{
    struct import_options opt = {.insecure = true};
    struct aci_id id;
    struct err err = {0};
    if (import_file(f->store, path, &opt, &id, &err) < 0)
        fail_msg("%s", err.msg);
    return id;
}

static struct aci_id add(struct fixture *f, const char *name, const char *text, const char *more)
{
    cleanup_free char *path = archive(f, name, text, more);
    return import(f, path);
}

static void test_import_and_get(void **state)
{
    struct fixture *f = *state;
    struct store_image image;
    struct err err;
    struct aci_id id =
        add(f, "example.com/a", "x", ",\"labels\":[{\"name\":\"version\",\"value\":\"1.0.0\"}]");
    assert_int_equal(store_get(f->store, &id, &image, &err), 0);
    assert_string_equal(image.name, "example.com/a");
    assert_string_equal(ac_pairs_get(&image.labels, "version"), "1.0.0");
    assert_true(image.insecure);
    assert_null(image.signer);
    assert_true(image.size == image.archive_size && image.size % ACI_TAR_BLOCK == 0);
    assert_true(str_ends(image.origin, "/0.aci"));
    store_image_done(&image);
    memset(id.text + 7, '0', 128);
    assert_int_equal(store_get(f->store, &id, &image, &err), -1);
    assert_int_equal(err.errnum, ENOENT);
}

static void test_unsigned_needs_consent(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *path = archive(f, "example.com/a", "x", "");
    struct aci_id id;
    struct err err;
    assert_int_equal(import_file(f->store, path, &(struct import_options){0}, &id, &err), -1);
    assert_non_null(strstr(err.msg, "--insecure-options=image"));
    /* The caller has checked a signature; importing again without one does not forget it. */
    struct import_options opt = {.signer = "0123ABCD", .origin = "https://example.com/a.aci"};
    struct store_image image;
    assert_int_equal(import_file(f->store, path, &opt, &id, &err), 0);
    import(f, path);
    assert_int_equal(store_get(f->store, &id, &image, &err), 0);
    assert_string_equal(image.signer, "0123ABCD");
    assert_false(image.insecure);
    store_image_done(&image);
}

/* IMG-26 */
static void test_import_checks_the_name(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *path = archive(f, "example.com/a", "x", "");
    struct import_options opt = {.insecure = true, .name = "example.com/b"};
    struct store_image *v;
    struct aci_id id;
    struct err err;
    size_t n;
    assert_int_equal(import_file(f->store, path, &opt, &id, &err), -1);
    assert_non_null(strstr(err.msg, "not example.com/b"));
    assert_int_equal(store_list(f->store, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    store_images_free(v, n);
}

static void test_find(void **state)
{
    struct fixture *f = *state;
    struct aci_id old =
        add(f, "example.com/a", "1", ",\"labels\":[{\"name\":\"version\",\"value\":\"1.9.0\"}]");
    struct aci_id new =
        add(f, "example.com/a", "2", ",\"labels\":[{\"name\":\"version\",\"value\":\"1.10.0\"}]");
    struct aci_id found;
    struct err err;
    assert_int_equal(store_find(f->store, "example.com/a", &found, &err), 0);
    assert_string_equal(found.text, new.text);
    assert_int_equal(store_find(f->store, "example.com/a:1.9.0", &found, &err), 0);
    assert_string_equal(found.text, old.text);
    old.text[60] = '\0';
    assert_int_equal(store_find(f->store, old.text, &found, &err), 0);
    assert_memory_equal(found.text, old.text, 60);
    assert_int_equal(store_find(f->store, "example.com/b", &found, &err), -1);
    assert_int_equal(err.errnum, ENOENT);
    assert_int_equal(store_find(f->store, "./a.aci", &found, &err), -1);
}

static void test_manifest_is_byte_exact(void **state)
{
    struct fixture *f = *state;
    struct aci_id id = add(f, "example.com/a", "x", " , \"x\":\t[1.50]\r\n");
    cleanup_free char *text = NULL;
    size_t len;
    struct err err;
    assert_int_equal(store_manifest(f->store, &id, &text, &len, &err), 0);
    assert_int_equal(strlen(text), len);
    assert_non_null(strstr(text, " , \"x\":\t[1.50]\r\n}"));
}

static ino_t inode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

/* The import renders; after that nothing is written any more. */
static void test_render_is_cached(void **state)
{
    struct fixture *f = *state;
    struct aci_id id = add(f, "example.com/a", "some data", "");
    struct store_root a, b;
    struct err err;
    assert_int_equal(store_render(f->store, &id, &a, &err), 0);
    assert_int_equal(store_render(f->store, &id, &b, &err), 0);
    assert_true(a.cached && b.cached);
    assert_int_equal(inode_of(a.index_fd), inode_of(b.index_fd));
    assert_int_equal(a.nparts, 1);
    assert_string_equal(a.parts[0].image.text, id.text);
    assert_int_equal(a.index_length % EROFS_INDEX_ALIGN, 0);
    assert_int_equal(a.parts[0].offset, a.index_length);
    assert_true(a.parts[0].length >= a.parts[0].size);
    assert_int_equal(a.parts[0].length % EROFS_INDEX_ALIGN, 0);
    assert_int_equal(a.total, a.parts[0].offset + a.parts[0].length);
    assert_true(fcntl(a.parts[0].fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(a.index_fd, F_GETFD) & FD_CLOEXEC);
    store_root_done(&a);
    store_root_done(&b);
}

static char *dependency(const char *name)
{
    return xasprintf(",\"dependencies\":[{\"imageName\":\"%s\"}]", name);
}

static void test_render_with_dependency(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *more = dependency("example.com/base");
    struct aci_id top = add(f, "example.com/top", "top", more);
    struct store_root r;
    struct err err;
    assert_int_equal(store_render(f->store, &top, &r, &err), -1);
    assert_non_null(strstr(err.msg, "example.com/base"));
    add(f, "example.com/base", "base", ",\"x\":1");
    assert_int_equal(store_render(f->store, &top, &r, &err), 0);
    assert_false(r.cached);
    store_root_done(&r);
    assert_int_equal(store_render(f->store, &top, &r, &err), 0);
    assert_true(r.cached);
    /* f of the dependency is overridden: nothing points into its tar. */
    assert_int_equal(r.nparts, 1);
    store_root_done(&r);
    /* Another image in the store may be a better match: the plan is made anew, the root is not. */
    add(f, "example.com/other", "other", "");
    assert_int_equal(store_render(f->store, &top, &r, &err), 0);
    assert_true(r.cached);
    store_root_done(&r);
}

/* A15: the ID decides, and name and labels have to agree with it. */
static void test_dependency_by_id(void **state)
{
    struct fixture *f = *state;
    struct aci_id id = add(f, "example.com/a", "x", "");
    struct ac_dependency dep = {.image_name = (char *)"example.com/a", .image_id = id.text};
    struct aci_id found;
    struct err err;
    assert_int_equal(store_dependency(f->store, &dep, &found, &err), 0);
    assert_string_equal(found.text, id.text);
    dep.image_name = (char *)"example.com/b";
    assert_int_equal(store_dependency(f->store, &dep, &found, &err), -1);
    struct ac_pair label = {(char *)"version", (char *)"1.0.0"};
    dep = (struct ac_dependency){
        .image_name = (char *)"example.com/a", .image_id = id.text, .labels = {&label, 1}};
    assert_int_equal(store_dependency(f->store, &dep, &found, &err), -1);
}

static size_t files_in(struct fixture *f, const char *folder)
{
    cleanup_free char *path = xasprintf("%s/%s", f->data, folder);
    cleanup_dir DIR *d = opendir(path);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    return n;
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *more = dependency("example.com/base");
    struct aci_id base = add(f, "example.com/base", "base", "");
    struct aci_id top = add(f, "example.com/top", "top", more);
    struct store_root r;
    struct err err;
    assert_int_equal(store_remove(f->store, &base, 1, false, &err), -1);
    assert_int_equal(err.errnum, EBUSY);
    assert_int_equal(store_render(f->store, &top, &r, &err), 0);
    assert_int_equal(files_in(f, "rendered"), 2);
    /* A rendered root in use keeps its images. */
    assert_int_equal(store_remove(f->store, &top, 1, false, &err), -1);
    assert_int_equal(err.errnum, EBUSY);
    store_root_done(&r);
    assert_int_equal(store_remove(f->store, (struct aci_id[]){base, top}, 2, false, &err), 0);
    assert_int_equal(files_in(f, "blobs"), 0);
    assert_int_equal(files_in(f, "rendered"), 0);
    assert_int_equal(store_remove(f->store, &top, 1, true, &err), -1);
    assert_int_equal(err.errnum, ENOENT);
}

/* Of several images all are removed or none. */
static void test_remove_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct aci_id id = add(f, "example.com/a", "x", ""), missing = id;
    struct err err;
    memset(missing.text + 7, '0', 128);
    assert_int_equal(store_remove(f->store, (struct aci_id[]){id, missing}, 2, true, &err), -1);
    assert_int_equal(files_in(f, "blobs"), 1);
    struct store_image image;
    assert_int_equal(store_get(f->store, &id, &image, &err), 0);
    store_image_done(&image);
}

static void test_sweeping(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *blobs = xasprintf("%s/blobs", f->data);
    cleanup_free char *held = xasprintf("%s/.tmp-1-held", blobs);
    struct store *second;
    struct err err;
    add(f, "example.com/a", "x", "");
    write_file(blobs, ".tmp-1-lost", "x");
    write_file(blobs, ".tmp-1-held", "x");
    write_file(blobs, "sha512-00", "x");
    cleanup_close int fd = open(held, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(store_open(f->data, STORE_READ, &second, &err), 0);
    store_close(second);
    assert_int_equal(files_in(f, "blobs"), 4);
    assert_int_equal(store_open(f->data, STORE_WRITE, &second, &err), 0);
    store_close(second);
    assert_int_equal(files_in(f, "blobs"), 2);
    assert_int_equal(access(held, F_OK), 0);
}

/* Writes over the blob in place and puts its time back. */
static void damage(struct fixture *f, const struct aci_id *id)
{
    cleanup_free char *path = xasprintf("%s/blobs/%s", f->data, id->text);
    struct stat st;
    assert_int_equal(chmod(path, 0600), 0);
    cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pwrite(fd, "damage", 6, 600), 6);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
}

/* IMG-22, RENDER-19 */
static void test_damage_is_noticed(void **state)
{
    struct fixture *f = *state;
    cleanup_free char *path = archive(f, "example.com/a", "x", "");
    struct aci_id id = import(f, path);
    struct store_verdict v;
    struct store_root r;
    struct err err;
    int fd;
    uint64_t size;
    assert_int_equal(store_verify(f->store, &id, &v, &err), 0);
    assert_true(v.intact && !v.repaired);
    damage(f, &id);
    assert_int_equal(store_render(f->store, &id, &r, &err), -1);
    assert_int_equal(err.errnum, EBADMSG);
    assert_int_equal(store_blob(f->store, &id, &fd, &size, &err), -1);
    assert_int_equal(store_verify(f->store, &id, &v, &err), 0);
    assert_false(v.intact);
    import(f, path);
    assert_int_equal(store_render(f->store, &id, &r, &err), 0);
    store_root_done(&r);
    assert_int_equal(store_verify(f->store, &id, &v, &err), 0);
    assert_true(v.intact);
}

static void test_foreign_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    struct err err;
    assert_int_equal(chmod(f->data, 0770), 0);
    assert_int_equal(store_open(f->data, STORE_READ, &s, &err), -1);
    assert_non_null(strstr(err.msg, "chmod"));
    assert_int_equal(chmod(f->data, 0700), 0);
    assert_int_equal(store_open("/proc/self/status", STORE_READ, &s, &err), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_import_and_get),
        TEST(test_unsigned_needs_consent),
        TEST(test_import_checks_the_name),
        TEST(test_find),
        TEST(test_manifest_is_byte_exact),
        TEST(test_render_is_cached),
        TEST(test_render_with_dependency),
        TEST(test_dependency_by_id),
        TEST(test_remove),
        TEST(test_remove_is_all_or_nothing),
        TEST(test_sweeping),
        TEST(test_damage_is_noticed),
        TEST(test_foreign_directory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
