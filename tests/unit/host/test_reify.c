/* SPDX-License-Identifier: Apache-2.0 */
/* host/pod: reification and the size of the VM. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/pod/docker.h"
#include "host/pod/reify.h"
#include "host/pod/size.h"
#include "schema/value.h"

#define ID                                                                                         \
    "sha512-"                                                                                      \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char image_text[] =
    "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"example.com/worker\","
    "\"labels\":[{\"name\":\"version\",\"value\":\"1.0.0\"},{\"name\":\"os\",\"value\":\"linux\"},"
    "{\"name\":\"arch\",\"value\":\"amd64\"}],"
    "\"app\":{\"exec\":[\"/worker\"],\"user\":\"0\",\"group\":\"0\","
    "\"environment\":[{\"name\":\"FROM_IMAGE\",\"value\":\"1\"}],"
    "\"mountPoints\":[{\"name\":\"work\",\"path\":\"/opt/work\"}],"
    "\"ports\":[{\"name\":\"http\",\"protocol\":\"tcp\",\"port\":80}]}}";

static const char *image_override; /* instead of image_text */
static struct ac_image_manifest *image;
static unsigned warnings;

static int resolve(void *ctx, const struct ac_pod_app *app, struct reify_image *ret,
                   struct err *err)
{
    (void)ctx;
    if (app->image_name && strstr(app->image_name, "missing"))
        return err_set(err, 0, "%s is not in the store", app->image_name);
    *ret = (struct reify_image){.id = ID, .manifest = image};
    return 0;
}

static void warn(const char *fmt, ...)
{
    (void)fmt;
    warnings++;
}

/* Reifies a template; NULL with the message in err. */
static struct ac_pod_manifest *reified(const char *text, bool strict, struct err *err)
{
    struct ac_pod_manifest *pod = NULL;
    struct ac_fault fault = {0};
    const char *t = image_override ? image_override : image_text;
    warnings = 0;
    assert_int_equal(ac_image_manifest_parse(t, strlen(t), &image, &fault), 0);
    if (ac_pod_manifest_parse(text, strlen(text), true, &pod, &fault) < 0)
        fail_msg("%s: %s", fault.path, fault.msg);
    struct reify_options o = {.resolve = resolve, .warn = warn, .strict_volumes = strict};
    if (reify(pod, &o, err) < 0) {
        ac_pod_manifest_free(pod);
        pod = NULL;
    }
    ac_image_manifest_free(image);
    return pod;
}

#define POD(apps, more)                                                                            \
    "{\"acKind\":\"PodManifest\",\"acVersion\":\"0.8.11\",\"apps\":[" apps "]" more "}"
#define APP "{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\"}}"

/* POD-07, POD-09, F6: everything is there afterwards. */
static void template_is_completed(void **state)
{
    (void)state;
    struct err err = {0};
    struct ac_pod_manifest *pod =
        reified(POD(APP, ",\"volumes\":[{\"name\":\"work\",\"kind\":\"empty\"}]"), true, &err);
    assert_non_null(pod);
    struct ac_pod_app *a = &pod->apps[0];
    assert_string_equal(a->image_id, ID);
    assert_true(a->has_app);
    assert_string_equal(a->app.exec.v[0], "/worker");
    assert_string_equal(ac_pairs_get(&a->app.environment, "FROM_IMAGE"), "1");
    assert_int_equal(a->nmounts, 1);
    assert_string_equal(a->mounts[0].volume, "work");
    assert_string_equal(a->mounts[0].path, "/opt/work");
    assert_int_equal(warnings, 0);
    /* What comes out is a valid manifest that is no template. */
    json_t *json = ac_pod_manifest_to_json(pod);
    struct ac_pod_manifest *again = NULL;
    struct ac_fault fault;
    assert_int_equal(ac_pod_manifest_from_json(json, false, &again, &fault), 0);
    ac_pod_manifest_free(again);
    json_decref(json);
    ac_pod_manifest_free(pod);
}

/* E1: a mount point without a volume gets an empty one, with a warning, or is refused. */
static void implicit_volumes(void **state)
{
    (void)state;
    struct err err = {0};
    struct ac_pod_manifest *pod = reified(POD(APP, ""), false, &err);
    assert_non_null(pod);
    assert_int_equal(warnings, 1);
    assert_int_equal(pod->nvolumes, 1);
    assert_int_equal(pod->volumes[0].kind, AC_VOLUME_EMPTY);
    assert_string_equal(pod->apps[0].mounts[0].volume, pod->volumes[0].name);
    ac_pod_manifest_free(pod);
    assert_null(reified(POD(APP, ""), true, &err));
    assert_non_null(strstr(err.msg, "work"));
}

/* Only the volume that is made for an app of an OCI or Docker image begins as the image has it. */
static void volumes_from_images(void **state)
{
    (void)state;
    static const char note[] =
        "\"annotations\":[{\"name\":\"appc.io/docker/imageid\",\"value\":\"x\"}],";
    const char *labels = strstr(image_text, "\"labels\"");
    cleanup_free char *noted =
        xasprintf("%.*s%s%s", (int)(labels - image_text), image_text, note, labels);
    struct err err = {0};
    for (int docker = 0; docker <= 1; docker++) {
        image_override = docker ? noted : NULL;
        struct ac_pod_manifest *pod = reified(POD(APP, ""), false, &err);
        assert_non_null(pod);
        assert_int_equal(pod->volumes[0].from_image, docker);
        ac_pod_manifest_free(pod);
        pod =
            reified(POD(APP, ",\"volumes\":[{\"name\":\"work\",\"kind\":\"empty\"}]"), false, &err);
        assert_non_null(pod);
        assert_int_equal(pod->nvolumes, 1);
        assert_false(pod->volumes[0].from_image);
        ac_pod_manifest_free(pod);
    }
    image_override = NULL;
}

/* POD-20: an explicit mount at the path wins over a volume of the mount point's name. */
static void explicit_mounts_win(void **state)
{
    (void)state;
    struct err err = {0};
    struct ac_pod_manifest *pod =
        reified(POD("{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\"},\"mounts\":"
                    "[{\"volume\":\"other\",\"path\":\"/opt/work\"}]}",
                    ",\"volumes\":[{\"name\":\"work\",\"kind\":\"empty\"},"
                    "{\"name\":\"other\",\"kind\":\"empty\"}]"),
                true, &err);
    assert_non_null(pod);
    assert_int_equal(pod->apps[0].nmounts, 1);
    assert_string_equal(pod->apps[0].mounts[0].volume, "other");
    ac_pod_manifest_free(pod);
}

/* POD-15: the pod's app object replaces the image's as a whole. */
static void app_object_replaces(void **state)
{
    (void)state;
    struct err err = {0};
    struct ac_pod_manifest *pod =
        reified(POD("{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\"},\"app\":"
                    "{\"exec\":[\"/other\"],\"user\":\"1\",\"group\":\"1\"}}",
                    ""),
                true, &err);
    assert_non_null(pod);
    assert_string_equal(pod->apps[0].app.exec.v[0], "/other");
    assert_null(ac_pairs_get(&pod->apps[0].app.environment, "FROM_IMAGE"));
    assert_int_equal(pod->apps[0].nmounts, 0);
    ac_pod_manifest_free(pod);
}

/* POD-14, POD-17, POD-35, POD-36, IMG-33, IMG-45. */
static void contradictions_are_refused(void **state)
{
    (void)state;
    static const char no_app[] = "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\","
                                 "\"name\":\"example.com/worker\"}";
    static const char freebsd[] =
        "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"example.com/worker\","
        "\"labels\":[{\"name\":\"os\",\"value\":\"freebsd\"}]}";
    static const char arm[] =
        "{\"acKind\":\"ImageManifest\",\"acVersion\":\"0.8.11\",\"name\":\"example.com/worker\","
        "\"labels\":[{\"name\":\"os\",\"value\":\"linux\"},{\"name\":\"arch\",\"value\":"
        "\"aarch64\"}]}";
    static const struct {
        const char *pod, *image, *message;
    } rows[] = {
        {POD("{\"name\":\"a\",\"image\":{\"name\":\"example.com/missing\"}}", ""), NULL,
         "not in the store"},
        {POD("{\"name\":\"a\",\"image\":{\"id\":\"" ID "\",\"name\":\"example.com/x\"}}", ""), NULL,
         "example.com/x"},
        {POD("{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\",\"labels\":"
             "[{\"name\":\"version\",\"value\":\"2.0.0\"}]}}",
             ""),
         NULL, "version"},
        {POD("{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\"},\"mounts\":"
             "[{\"volume\":\"nope\",\"path\":\"/opt/work\"}]}",
             ""),
         NULL, "nope"},
        {POD(APP, ",\"ports\":[{\"name\":\"ftp\",\"hostPort\":21}]"), NULL, "ftp"},
        {POD(APP ",{\"name\":\"b\",\"image\":{\"name\":\"example.com/worker\"}}",
             ",\"ports\":[{\"name\":\"http\",\"hostPort\":80}]"),
         NULL, "http"},
        {POD(APP, ""), no_app, "execute"},
        {POD(APP, ""), freebsd, "freebsd"},
        {POD(APP, ""), arm, "aarch64"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err err = {0};
        image_override = rows[i].image;
        assert_null(reified(rows[i].pod, false, &err));
        if (!strstr(err.msg, rows[i].message))
            fail_msg("row %zu: \"%s\" does not name %s", i, err.msg, rows[i].message);
        image_override = NULL;
    }
}

/* C3: the last part of the image's name, made unique. */
static void default_names(void **state)
{
    (void)state;
    struct ac_pod_app apps[] = {{.name = strdup("worker")}};
    struct ac_pod_manifest pod = {.apps = apps, .napps = 0};
    cleanup_free char *first = reify_app_name(&pod, "example.com/team/worker");
    assert_string_equal(first, "worker");
    pod.napps = 1;
    cleanup_free char *second = reify_app_name(&pod, "example.com/worker");
    assert_string_equal(second, "worker-2");
    cleanup_free char *odd = reify_app_name(&pod, "example.com/my_app~1.0");
    assert_string_equal(odd, "my-app-1-0");
    free(apps[0].name);
}

/* ISO-04, ISO-62: pod limits win over the sum of the apps'. */
static void sizes_follow_isolators(void **state)
{
    (void)state;
    struct err err = {0};
    static const char limited[] = POD(
        "{\"name\":\"a\",\"image\":{\"name\":\"example.com/worker\"},\"app\":{\"exec\":[\"/x\"],"
        "\"user\":\"0\",\"group\":\"0\",\"isolators\":[{\"name\":\"resource/memory\",\"value\":"
        "{\"limit\":\"2Gi\"}},{\"name\":\"resource/cpu\",\"value\":{\"limit\":\"1500m\"}}]}}",
        "");
    struct ac_pod_manifest *pod = reified(limited, false, &err);
    assert_non_null(pod);
    uint64_t memory;
    unsigned cpus;
    assert_int_equal(size_memory(pod, 0, &memory, &err), 0);
    assert_int_equal(memory, (2048ULL + 128) << 20);
    assert_int_equal(size_memory(pod, 100 << 20, &memory, &err), 0);
    assert_int_equal(memory, 100 << 20);
    assert_int_equal(size_memory(pod, 1, &memory, &err), -1);
    assert_int_equal(size_cpus(pod, 4, &cpus, &err), 0);
    assert_int_equal(cpus, 4);
    assert_int_equal(size_cpus(pod, 65, &cpus, &err), -1);
    assert_int_equal(size_cpus(pod, 0, &cpus, &err), 0);
    assert_true(cpus == 1 || cpus == 2);
    ac_pod_manifest_free(pod);
}

/* What an image's StopSignal may be. */
static void stop_signals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int number;
    } rows[] = {
        {"SIGTERM", SIGTERM},
        {"TERM", SIGTERM},
        {"sigquit", SIGQUIT},
        {"usr1", SIGUSR1},
        {"15", 15},
        {"64", 64},
        {"SIGRTMIN", 34},
        {"SIGRTMIN+3", 37},
        {"rtmax-1", 63},
        {"SIGWINCH", SIGWINCH},
        {"RTMIN+30", 64},
        {"RTMAX", 64},
        {"", 0},
        {"0", 0},
        {"65", 0},
        {"-1", 0},
        {"SIG", 0},
        {"SIGSIGTERM", 0},
        {"RTMIN+31", 0},
        {"RTMIN-1", 0},
        {"RTMAX+1", 0},
        {"RTMIN+", 0},
        {"SIGTERM ", 0},
        {"1e1", 0},
        {"NOPE", 0},
        {"RTMIN3", 0},
        {"18446744073709551617", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(docker_signal(rows[i].text), rows[i].number);
}

/* Only of an image that was made from another; the app's own annotation first (POD-21). */
static void whose_stop_signal(void **state)
{
    (void)state;
    struct ac_image_manifest m = {0};
    struct ac_pod_app app = {0};
    ac_pairs_add(&m.annotations, "appc.io/docker/stop-signal", "SIGINT");
    assert_null(docker_stop_signal(&app, &m));
    ac_pairs_add(&m.annotations, "appc.io/docker/imageid", "sha256:1");
    assert_string_equal(docker_stop_signal(&app, &m), "SIGINT");
    ac_pairs_add(&app.annotations, "appc.io/docker/stop-signal", "9");
    assert_string_equal(docker_stop_signal(&app, &m), "9");
    ac_pairs_done(&m.annotations);
    ac_pairs_done(&app.annotations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(template_is_completed), cmocka_unit_test(implicit_volumes),
        cmocka_unit_test(volumes_from_images),   cmocka_unit_test(explicit_mounts_win),
        cmocka_unit_test(app_object_replaces),   cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(default_names),         cmocka_unit_test(sizes_follow_isolators),
        cmocka_unit_test(stop_signals),          cmocka_unit_test(whose_stop_signal),
    };
    return cmocka_run_group_tests_name("reify", tests, NULL, NULL);
}
