/* SPDX-License-Identifier: Apache-2.0 */
/* schema/: the image manifest (IMG-23 to IMG-45, TYPE-20). */
#include "tests/unit/schema/util.h"

#include "base/buf.h"
#include "schema/label.h"

/* The example manifest of spec/aci.md, with an ID in full. */
static const char example[] =
    "{'acKind':'ImageManifest','acVersion':'0.8.11','name':'example.com/reduce-worker',"
    "'labels':[{'name':'version','value':'1.0.0'},{'name':'arch','value':'amd64'},"
    "{'name':'os','value':'linux'}],"
    "'app':{'exec':['/usr/bin/reduce-worker','--quiet'],'user':'100','group':'300',"
    "'supplementaryGids':[400,500],"
    "'eventHandlers':[{'exec':['/usr/bin/data-downloader'],'name':'pre-start'},"
    "{'exec':['/usr/bin/deregister-worker','--verbose'],'name':'post-stop'}],"
    "'workingDirectory':'/opt/work',"
    "'environment':[{'name':'REDUCE_WORKER_DEBUG','value':'true'}],"
    "'isolators':[{'name':'resource/cpu','value':{'request':'250m','limit':'500m'}},"
    "{'name':'resource/memory','value':{'request':'1G','limit':'2G'}},"
    "{'name':'os/linux/capabilities-retain-set','value':{'set':['CAP_NET_BIND_SERVICE']}}],"
    "'mountPoints':[{'name':'work','path':'/var/lib/work','readOnly':false}],"
    "'ports':[{'name':'health','port':4000,'protocol':'tcp','socketActivated':true},"
    "{'name':'ftp-data','port':20000,'count':1000,'protocol':'tcp'}]},"
    "'dependencies':[{'imageName':'example.com/reduce-worker-base','imageID':'" ID "',"
    "'labels':[{'name':'os','value':'linux'},{'name':'env','value':'canary'}],'size':22017258}],"
    "'pathWhitelist':['/etc/ca/example.com/crt','/usr/bin/map-reduce-worker',"
    "'/opt/libs/reduce-toolkit.so','/etc/reduce-worker.conf','/etc/systemd/system/'],"
    "'annotations':[{'name':'authors','value':'Carly Container <carly@example.com>'},"
    "{'name':'created','value':'2014-10-27T19:32:27.67021798Z'},"
    "{'name':'documentation','value':'https://example.com/docs'},"
    "{'name':'homepage','value':'https://example.com'},"
    "{'name':'appc.io/executor/supports-systemd-notify','value':'false'}]}";

static void check_example_app(const struct ac_app *a)
{
    assert_int_equal(a->exec.n, 2);
    assert_string_equal(a->exec.v[1], "--quiet");
    assert_null(a->exec.v[2]);
    assert_string_equal(a->user, "100");
    assert_string_equal(a->group, "300");
    assert_int_equal(a->nsupplementary_gids, 2);
    assert_int_equal(a->supplementary_gids[1], 500);
    assert_string_equal(a->pre_start.v[0], "/usr/bin/data-downloader");
    assert_int_equal(a->post_stop.n, 2);
    assert_string_equal(a->working_directory, "/opt/work");
    assert_string_equal(ac_pairs_get(&a->environment, "REDUCE_WORKER_DEBUG"), "true");
    assert_int_equal(a->isolators.n, 3);
    assert_string_equal(a->isolators.v[1].name, "resource/memory");
    assert_string_equal(a->mount_points[0].path, "/var/lib/work");
    assert_false(a->mount_points[0].read_only);
    assert_int_equal(a->nports, 2);
    assert_true(a->ports[0].socket_activated);
    assert_int_equal(a->ports[0].count, 1);
    assert_int_equal(a->ports[1].port, 20000);
    assert_int_equal(a->ports[1].count, 1000);
}

static void example_of_the_specification(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(example);
    assert_string_equal(m->ac_version, "0.8.11");
    assert_string_equal(m->name, "example.com/reduce-worker");
    assert_string_equal(ac_pairs_get(&m->labels, "arch"), "amd64");
    assert_true(m->has_app);
    check_example_app(&m->app);
    assert_int_equal(m->ndependencies, 1);
    assert_string_equal(m->dependencies[0].image_name, "example.com/reduce-worker-base");
    assert_string_equal(m->dependencies[0].image_id, ID);
    assert_string_equal(ac_pairs_get(&m->dependencies[0].labels, "env"), "canary");
    assert_true(m->dependencies[0].has_size);
    assert_int_equal(m->dependencies[0].size, 22017258);
    assert_int_equal(m->path_whitelist.n, 5);
    assert_string_equal(m->path_whitelist.v[4], "/etc/systemd/system");
    assert_int_equal(m->annotations.n, 5);
    ac_image_manifest_free(m);
}

/* A copy has nothing in common with what it was made from. */
static void apps_are_copied(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(example), *other = image_of(APP(""));
    struct ac_app copy;
    ac_app_done(&other->app);
    ac_app_copy(&copy, &m->app);
    json_t *before = ac_image_manifest_to_json(m);
    other->app = copy;
    ac_image_manifest_free(m);
    check_example_app(&other->app);
    json_t *after = ac_image_manifest_to_json(other);
    assert_true(json_equal(json_object_get(before, "app"), json_object_get(after, "app")));
    json_decref(before);
    json_decref(after);
    ac_image_manifest_free(other);
}

/* IMG-23, IMG-24, IMG-25. */
static void mandatory_members(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "", "not valid JSON"},
        {"{}", "$.acKind", "is required"},
        {"{'acKind':'ImageManifest','name':'a'}", "$.acVersion", "is required"},
        {"{'acKind':'ImageManifest','acVersion':'0.8.11'}", "$.name", "is required"},
        {"{'acKind':'ImageManifest','acVersion':'0.8.11','name':'A'}", "$.name",
         "is not an AC Identifier"},
        {"{'acKind':'ImageManifest','acVersion':'0.8.11','name':'a/../b'}", "$.name",
         "is not an AC Identifier"},
        {"{'acKind':'ImageManifest','acVersion':'0.8.11','name':''}", "$.name",
         "is not an AC Identifier"},
        {"{'acKind':'ImageManifest','acVersion':'0.8.11','name':5}", "$.name", "must be a string"},
    };
    check_images(rows);
}

/* IMG-27, IMG-28, TYPE-20. */
static void label_rules(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IMAGE("'labels':[],"), NULL, NULL},
        {IMAGE("'labels':[{'name':'a/b','value':''},{'name':'c','value':'\\n'}],"), NULL, NULL},
        {IMAGE("'labels':[{'name':'a'}],"), NULL, NULL},
        {IMAGE("'labels':[{'name':'a','value':1}],"), "$.labels[0].value", "must be a string"},
        {IMAGE("'labels':[{'name':'A','value':'1'}],"), "$.labels[0].name",
         "is not an AC Identifier"},
        {IMAGE("'labels':[{'value':'1'}],"), "$.labels[0].name", "is required"},
        {IMAGE("'labels':[{'name':'name','value':'1'}],"), "$.labels[0].name",
         "can't be called \"name\""},
        {IMAGE("'labels':[{'name':'a'},{'name':'b'},{'name':'a','value':'2'}],"),
         "$.labels[2].name", "\"a\" is given twice"},
        {IMAGE("'labels':{'a':'b'},"), "$.labels", "must be a list"},
    };
    check_images(rows);
    struct ac_image_manifest *m = image_of(IMAGE("'labels':[{'name':'a'}],"));
    assert_string_equal(ac_pairs_get(&m->labels, "a"), "");
    ac_image_manifest_free(m);
}

static void label_count_is_bounded(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int over = 0; over < 2; over++) {
        buf_adds(&b, "{'labels':[{'name':'first'}");
        for (int i = 1; i < AC_LABELS_MAX + over; i++)
            buf_printf(&b, ",{'name':'l%d'}", i);
        buf_adds(&b, "]," IMAGE_END);
        struct row row = {b.data, over ? "$.labels[1024]" : NULL, "more than 1024 labels"};
        check_image_rows(&row, 1);
        buf_reset(&b);
    }
    buf_free(&b);
}

/* IMG-30, IMG-31, IMG-32: test_label.c has the table. */
static void os_and_arch_labels(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IMAGE("'labels':[{'name':'os','value':'linux'},{'name':'arch','value':'aarch64_be'}],"),
         NULL, NULL},
        {IMAGE("'labels':[{'name':'arch','value':'arm64'}],"), NULL, NULL},
        {IMAGE("'labels':[{'name':'os','value':'linux'}],"), NULL, NULL},
        {IMAGE("'labels':[{'name':'arch','value':'arm64'},{'name':'os','value':'linux'}],"),
         "$.labels[0].value", "\"arm64\" is not a known arch (known are amd64, i386, aarch64,"},
        {IMAGE("'labels':[{'name':'x'},{'name':'os','value':'plan9'}],"), "$.labels[1].value",
         "\"plan9\" is not a known os (known are linux, freebsd, darwin)"},
        {IMAGE("'labels':[{'name':'os','value':''}],"), "$.labels[0].value", "not a known os"},
        {IMAGE("'labels':[{'name':'os'}],"), "$.labels[0].value", "not a known os"},
        {IMAGE("'dependencies':[{'imageName':'a','labels':[{'name':'os','value':'x'}]}],"),
         "$.dependencies[0].labels[0].value", "not a known os"},
    };
    check_images(rows);
}

/* IMG-34, IMG-35, IMG-36, IMG-38. */
static void annotation_rules(void **state)
{
    (void)state;
#define NOTE(name, value) IMAGE("'annotations':[{'name':'" name "','value':" value "}],")
    static const struct row rows[] = {
        {IMAGE("'annotations':[],"), NULL, NULL},
        {NOTE("a/b", "'x'"), NULL, NULL},
        {NOTE("appc.io/executor/supports-systemd-notify", "'true'"), NULL, NULL},
        {NOTE("created", "'2015-05-18T13:49:28.3-04:00'"), NULL, NULL},
        {NOTE("homepage", "'HTTPS://example.com'"), NULL, NULL},
        {NOTE("created", "'2015-05-18 13:49:28Z'"), "$.annotations[0].value", "is not a date"},
        {NOTE("created", "''"), "$.annotations[0].value", "is not a date"},
        {NOTE("homepage", "'ftp://example.com'"), "$.annotations[0].value", "is not an http"},
        {NOTE("documentation", "'example.com'"), "$.annotations[0].value", "is not an http"},
        {NOTE("a", "true"), "$.annotations[0].value", "must be a string"},
        {NOTE("A", "'x'"), "$.annotations[0].name", "is not an AC Identifier"},
        {IMAGE("'annotations':[{'name':'a'},{'name':'a'}],"), "$.annotations[1].name",
         "is given twice"},
        {IMAGE("'annotations':[{'value':'a'}],"), "$.annotations[0].name", "is required"},
    };
    check_images(rows);
}

/* IMG-39, IMG-40. */
static void dependency_rules(void **state)
{
    (void)state;
#define DEP(members) IMAGE("'dependencies':[{" members "}],")
    static const struct row rows[] = {
        {IMAGE("'dependencies':[],"), NULL, NULL},
        {DEP("'imageName':'a'"), NULL, NULL},
        {DEP("'imageName':'a','imageID':null,'size':null"), NULL, NULL},
        {DEP("'imageName':'a','size':0"), NULL, NULL},
        {DEP("'imageName':'a','size':9223372036854775807"), NULL, NULL},
        {DEP(""), "$.dependencies[0].imageName", "is required"},
        {DEP("'imageName':'A'"), "$.dependencies[0].imageName", "is not an AC Identifier"},
        {DEP("'imageName':'a','imageID':'sha512-00'"), "$.dependencies[0].imageID",
         "is not an image ID"},
        {DEP("'imageName':'a','imageID':''"), "$.dependencies[0].imageID", "is not an image ID"},
        {DEP("'imageName':'a','size':-1"), "$.dependencies[0].size", "must be from 0"},
        {DEP("'imageName':'a','size':'12'"), "$.dependencies[0].size", "must be an integer"},
        {DEP("'imageName':'a','size':1.5"), "$.dependencies[0].size", "must be an integer"},
        {DEP("'imageName':'a','size':99999999999999999999"), "", "too big"},
        {DEP("'imageName':'a','labels':[{'name':'name'}]"), "$.dependencies[0].labels[0].name",
         "can't be called"},
        {DEP("'imageName':'a','labels':[{'name':'x'},{'name':'x'}]"),
         "$.dependencies[0].labels[1].name", "is given twice"},
        {IMAGE("'dependencies':['a'],"), "$.dependencies[0]", "must be an object"},
    };
    check_images(rows);
    struct ac_image_manifest *m =
        image_of(IMAGE("'dependencies':[{'imageName':'z'},{'imageName':'a','imageID':"
                       "'sha512-0123456789ABCDEF" HEX16 HEX16 HEX16 HEX64 "'}],"));
    assert_string_equal(m->dependencies[0].image_name, "z");
    assert_null(m->dependencies[0].image_id);
    assert_false(m->dependencies[0].has_size);
    assert_string_equal(m->dependencies[1].image_id, ID);
    ac_image_manifest_free(m);
}

/* IMG-42, IMG-43. */
static void path_whitelist(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(IMAGE("'pathWhitelist':['etc/x','/a//b/../c/','/'],"));
    assert_int_equal(m->path_whitelist.n, 3);
    assert_string_equal(m->path_whitelist.v[0], "/etc/x");
    assert_string_equal(m->path_whitelist.v[1], "/a/c");
    assert_string_equal(m->path_whitelist.v[2], "/");
    ac_image_manifest_free(m);
    m = image_of(IMAGE("'pathWhitelist':[],"));
    assert_int_equal(m->path_whitelist.n, 0);
    ac_image_manifest_free(m);
    static const struct row rows[] = {
        {IMAGE("'pathWhitelist':[1],"), "$.pathWhitelist[0]", "must be a string"},
        {IMAGE("'pathWhitelist':'/a',"), "$.pathWhitelist", "must be a list"},
    };
    check_images(rows);
}

/* IMG-44, IMG-45. */
static void apps_are_optional(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(IMAGE("'userAnnotations':5,'userLabels':{'a':1},"));
    assert_false(m->has_app);
    assert_int_equal(m->app.user_annotations.n, 0);
    ac_image_manifest_free(m);
}

/* Bytes that no JSON can hold are replaced, and the member stays. */
static void printing_never_drops(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(APP("'exec':['x'],"));
    free(m->app.exec.v[0]);
    m->app.exec.v[0] = strdup("a\xff\xc3\xa4\xed\xa0\x80");
    json_t *tree = ac_image_manifest_to_json(m);
    json_t *exec = json_object_get(json_object_get(tree, "app"), "exec");
    assert_string_equal(json_string_value(json_array_get(exec, 0)),
                        "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(tree);
    ac_image_manifest_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_specification),
        cmocka_unit_test(apps_are_copied),
        cmocka_unit_test(mandatory_members),
        cmocka_unit_test(label_rules),
        cmocka_unit_test(label_count_is_bounded),
        cmocka_unit_test(os_and_arch_labels),
        cmocka_unit_test(annotation_rules),
        cmocka_unit_test(dependency_rules),
        cmocka_unit_test(path_whitelist),
        cmocka_unit_test(apps_are_optional),
        cmocka_unit_test(printing_never_drops),
    };
    return RUN(tests);
}
