/* SPDX-License-Identifier: Apache-2.0 */
/* Paths inside a hostile root, and which volume goes where (VOL-01 to VOL-19). */
#include "scratch.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-init/inroot.h"
#include "guest-init/volumes.h"

static void paths_are_cleaned(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/", "/"},
        {"//", "/"},
        {"/a", "/a"},
        {"/a/", "/a"},
        {"/a//b/./c", "/a/b/c"},
        {"/a/../b", "/b"},
        {"/../..", "/"},
        {"/a/b/../../..", "/"},
        {"/...", "/..."},
        {"/a/..b", "/a/..b"},
        {"/.", "/"},
        {"/a/b/..", "/a"},
        {"a/b", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free char *clean = path_clean(rows[i][0]);
        if (rows[i][1])
            assert_string_equal(clean, rows[i][1]);
        else
            assert_null(clean);
    }
}

static void overlaps_are_seen(void **state)
{
    (void)state;
    assert_true(paths_overlap("/a", "/a"));
    assert_true(paths_overlap("/a", "/a/b"));
    assert_true(paths_overlap("/a/b/c", "/a"));
    assert_true(paths_overlap("/", "/x"));
    assert_false(paths_overlap("/a", "/ab"));
    assert_false(paths_overlap("/data/x", "/data/y"));
}

static struct scratch root, outside;

static int set_up(void **state)
{
    (void)state;
    scratch_make(&root);
    scratch_make(&outside);
    scratch_write(&root, "etc/app.conf", "x", 0644);
    scratch_write(&root, "srv/file", "x", 0644);
    assert_int_equal(mkdirat(root.fd, "var", 0755), 0);
    assert_int_equal(symlinkat(outside.path, root.fd, "out"), 0);
    assert_int_equal(symlinkat("../../../../../../../tmp", root.fd, "var/up"), 0);
    assert_int_equal(symlinkat("loop", root.fd, "loop"), 0);
    assert_int_equal(symlinkat("/srv", root.fd, "data"), 0);
    assert_int_equal(symlinkat("/nowhere", root.fd, "dangling"), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(&root);
    scratch_done(&outside);
    return 0;
}

static int make(const char *path, enum inroot_masked *masked)
{
    struct err e = {0};
    int fd = inroot_make_dir(root.fd, path, masked, &e);
    if (fd < 0)
        print_message("%s\n", e.msg);
    return fd;
}

static void missing_targets_are_made(void **state)
{
    (void)state;
    enum inroot_masked m = INROOT_FILE;
    struct stat st;
    mode_t old = umask(0);
    cleanup_close int fd = make("/a/b/c", &m);
    umask(old);
    assert_true(fd >= 0);
    assert_int_equal(m, INROOT_NOTHING);
    assert_int_equal(fstatat(root.fd, "a/b", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0755); /* VOL-03 */
    assert_int_equal(st.st_uid, geteuid());
    cleanup_close int again = make("/a/b/c", &m);
    assert_true(again >= 0);
    assert_int_equal(m, INROOT_NOTHING);
}

static void what_a_target_hides_is_told(void **state)
{
    (void)state;
    enum inroot_masked m;
    cleanup_close int content = make("/etc", &m);
    assert_true(content >= 0);
    assert_int_equal(m, INROOT_CONTENT);
    cleanup_close int file = make("/etc/app.conf", &m);
    assert_true(file >= 0);
    assert_int_equal(m, INROOT_FILE);
    /* A link to nowhere is a file; so is a loop; below a file there is nothing. */
    cleanup_close int dangling = make("/dangling", &m);
    assert_true(dangling >= 0);
    assert_int_equal(m, INROOT_FILE);
    cleanup_close int loop = make("/loop/x", &m);
    assert_true(loop >= 0);
    cleanup_close int below = make("/srv/file/deep", &m);
    assert_true(below >= 0);
}

static void links_stay_inside(void **state)
{
    (void)state;
    enum inroot_masked m;
    struct stat st;
    cleanup_close int out = make("/out/evil", &m);
    assert_true(out >= 0);
    assert_int_equal(fstatat(outside.fd, "evil", &st, 0), -1);
    cleanup_close int up = make("/var/up/appc-guest-evil", &m);
    assert_true(up >= 0);
    assert_int_equal(stat("/tmp/appc-guest-evil", &st), -1);
    assert_int_equal(inroot_open(root.fd, "/proc/self/root/etc", O_PATH), -1);
}

static struct ac_volume volumes[] = {
    {.name = (char *)"db", .mode = 01777, .uid = 12, .gid = 13},
    {.name = (char *)"ro", .read_only = true, .mode = 0755},
    {.name = (char *)"host", .kind = AC_VOLUME_HOST, .source = (char *)"/srv"},
};

static const struct ac_pod_manifest pod = {.volumes = volumes, .nvolumes = ARRAY_SIZE(volumes)};

#define MP(n, p, ro)                                                                               \
    {                                                                                              \
        .name = (char *)(n), .path = (char *)(p), .read_only = (ro)                                \
    }
#define MOUNT(v, p)                                                                                \
    {                                                                                              \
        .volume = (char *)(v), .path = (char *)(p)                                                 \
    }

static int plan(struct ac_mount *mounts, size_t nm, struct ac_mount_point *points, size_t np,
                struct volume_plan *ret, struct err *e)
{
    struct ac_pod_app app = {.name = (char *)"app", .mounts = mounts, .nmounts = nm};
    app.app.mount_points = points;
    app.app.nmount_points = np;
    return volume_plan_make(&pod, &app, ret, e);
}

static void mounts_and_mount_points_meet_volumes(void **state)
{
    (void)state;
    struct ac_mount mounts[] = {MOUNT("db", "/var/db/"),
                                MOUNT("ro", "/ro"),
                                {.volume = (char *)"db",
                                 .path = (char *)"/own",
                                 .has_app_volume = true,
                                 .app_volume = {.name = (char *)"mine", .mode = 0700}}};
    struct ac_mount_point points[] = {MP("x", "/var/db", true), MP("db", "/db", false),
                                      MP("implicit", "/implicit", false)};
    cleanup_with(volume_plan_done) struct volume_plan p = {0};
    struct err e = {0};
    assert_int_equal(plan(mounts, 3, points, 3, &p, &e), 0);
    assert_int_equal(p.n, 5);
    assert_string_equal(p.v[0].path, "/var/db");
    assert_true(p.v[0].read_only);                     /* VOL-17 */
    assert_true(p.v[1].read_only);                     /* VOL-16 */
    assert_string_equal(p.v[2].store, "app/app/mine"); /* POD-18 */
    assert_string_equal(p.v[3].path, "/db");
    assert_false(p.v[3].read_only);
    assert_string_equal(p.v[3].store, p.v[0].store);       /* VOL-18 */
    assert_string_equal(p.v[4].store, "app/app/implicit"); /* E1 */
    assert_null(p.v[4].volume);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/data", "/data"},
        {"/data", "/data/x"},
        {"/data", "/data/../data/x"},
        {"/a/b", "/a"},
        {"/", "/x"},
        {"/proc", "/x"},
        {"/dev", "/x"},
        {"/sys/fs", "/x"},
        {"relative", "/x"},
        {"/x/../proc/self", "/y"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_mount mounts[] = {MOUNT("db", rows[i][0]), MOUNT("ro", rows[i][1])};
        struct volume_plan p = {0};
        struct err e = {0};
        assert_int_equal(plan(mounts, 2, NULL, 0, &p, &e), -1); /* VOL-08 */
        assert_true(e.msg[0] != '\0');
    }
    struct ac_mount unknown[] = {MOUNT("nosuch", "/x")};
    struct volume_plan p = {0};
    struct err e = {0};
    assert_int_equal(plan(unknown, 1, NULL, 0, &p, &e), -1); /* POD-17 */
    assert_non_null(strstr(e.msg, "nosuch"));
}

static int warnings;

static void count_warning(void *ctx, const char *text)
{
    (void)ctx;
    assert_non_null(strstr(text, "db"));
    warnings++;
}

static void links_that_make_targets_overlap_are_refused(void **state)
{
    (void)state;
    struct ac_mount mounts[] = {MOUNT("db", "/srv"), MOUNT("ro", "/data/x")};
    cleanup_with(volume_plan_done) struct volume_plan p = {0};
    struct err e = {0};
    struct scratch store;
    scratch_make(&store);
    assert_int_equal(plan(mounts, 2, NULL, 0, &p, &e), 0);
    assert_int_equal(volumes_mount(&p, root.fd, root.path, store.fd, count_warning, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "overlap"));
    assert_int_equal(warnings, 1); /* VOL-07: /srv is not empty */
    scratch_done(&store);
}

static void host_volumes_need_a_share(void **state)
{
    (void)state;
    struct ac_mount mounts[] = {MOUNT("host", "/mnt")};
    cleanup_with(volume_plan_done) struct volume_plan p = {0};
    struct err e = {0};
    assert_int_equal(plan(mounts, 1, NULL, 0, &p, &e), 0);
    assert_int_equal(volumes_mount(&p, root.fd, root.path, root.fd, count_warning, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "what the host shares"));
    assert_int_equal(volumes_mount_shares(&p, &e), -1);
    assert_non_null(strstr(e.msg, "virtio-fs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_cleaned),
        cmocka_unit_test(overlaps_are_seen),
        cmocka_unit_test(missing_targets_are_made),
        cmocka_unit_test(links_that_make_targets_overlap_are_refused),
        cmocka_unit_test(what_a_target_hides_is_told),
        cmocka_unit_test(links_stay_inside),
        cmocka_unit_test(mounts_and_mount_points_meet_volumes),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(host_volumes_need_a_share),
    };
    return cmocka_run_group_tests_name("guest-inroot", tests, set_up, tear_down);
}
