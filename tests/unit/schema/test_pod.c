/* SPDX-License-Identifier: Apache-2.0 */
/* schema/: the pod manifest (the rows of POD that a manifest alone decides). */
#include "tests/unit/schema/util.h"

#include "schema/reified.h"

/* The example manifest of spec/pods.md, with IDs in full and the port "ftp" that it refers to. */
static const char example[] =
    "{'acVersion':'0.8.11','acKind':'PodManifest','apps':["
    "{'name':'reduce-worker','image':{'name':'example.com/reduce-worker','id':'" ID "',"
    "'labels':[{'name':'version','value':'1.0.0'}]},"
    "'app':{'exec':['/bin/reduce-worker','--debug=true','--data-dir=/mnt/foo'],"
    "'group':'0','user':'0','mountPoints':[{'name':'work','path':'/var/lib/work'}]},"
    "'readOnlyRootFS':true,'mounts':[{'volume':'worklib','path':'/var/lib/work'}]},"
    "{'name':'backup','image':{'name':'example.com/worker-backup','id':'" ID "',"
    "'labels':[{'name':'version','value':'1.0.0'}]},"
    "'app':{'exec':['/bin/reduce-backup'],'group':'0','user':'0',"
    "'mountPoints':[{'name':'backup','path':'/mnt/bar'}],"
    "'isolators':[{'name':'resource/memory','value':{'limit':'1G'}}]},"
    "'mounts':[{'volume':'worklib','path':'/mnt/bar'}],"
    "'annotations':[{'name':'foo','value':'baz'}]},"
    "{'name':'register','image':{'name':'example.com/reduce-worker-register','id':'" ID "',"
    "'labels':[{'name':'version','value':'1.0.0'}]}}],"
    "'volumes':[{'name':'worklib','kind':'host','source':'/opt/tenant1/work','readOnly':true,"
    "'recursive':true}],"
    "'isolators':[{'name':'resource/memory','value':{'limit':'4G'}}],"
    "'annotations':[{'name':'ip-address','value':'10.1.2.3'}],"
    "'ports':[{'name':'ftp','hostPort':2121}]}";

static void example_of_the_specification(void **state)
{
    (void)state;
    struct ac_pod_manifest *m = pod_of(example);
    assert_int_equal(m->napps, 3);
    assert_string_equal(m->apps[0].name, "reduce-worker");
    assert_string_equal(m->apps[0].image_id, ID);
    assert_string_equal(m->apps[0].image_name, "example.com/reduce-worker");
    assert_string_equal(ac_pairs_get(&m->apps[0].image_labels, "version"), "1.0.0");
    assert_true(m->apps[0].read_only_rootfs);
    assert_string_equal(m->apps[0].mounts[0].volume, "worklib");
    assert_false(m->apps[0].mounts[0].has_app_volume);
    assert_false(m->apps[1].read_only_rootfs);
    assert_string_equal(ac_pairs_get(&m->apps[1].annotations, "foo"), "baz");
    assert_int_equal(m->apps[1].app.isolators.n, 1);
    assert_false(m->apps[2].has_app);
    assert_int_equal(m->volumes[0].kind, AC_VOLUME_HOST);
    assert_string_equal(m->volumes[0].source, "/opt/tenant1/work");
    assert_true(m->volumes[0].read_only && m->volumes[0].recursive);
    assert_int_equal(m->isolators.n, 1);
    assert_string_equal(ac_pairs_get(&m->annotations, "ip-address"), "10.1.2.3");
    assert_int_equal(m->ports[0].host_port, 2121);
    assert_null(m->ports[0].host_ip);
    ac_pod_manifest_free(m);
}

/* POD-10, POD-11, POD-12. */
static void apps(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {POD(""), NULL, NULL},
        {POD2(PODAPP("") ",{'name':'b','image':{'id':'" ID "'}}", ""), NULL, NULL},
        {"{'acKind':'PodManifest','acVersion':'0.8.11'}", "$.apps", "is required"},
        {POD2("", ""), "$.apps", "must not be empty"},
        {POD2("5", ""), "$.apps[0]", "must be an object"},
        {POD2("{'image':{'id':'" ID "'}}", ""), "$.apps[0].name", "is required"},
        {POD2("{'name':'a_b','image':{'id':'" ID "'}}", ""), "$.apps[0].name", "is not an AC Name"},
        {POD2(PODAPP("") "," PODAPP(""), ""), "$.apps[1].name", "\"a\" is given twice"},
    };
    check_pods(rows);
}

/* POD-13, POD-14. */
static void images(void **state)
{
    (void)state;
#define POD_IMAGE(image) POD2("{'name':'a'," image "}", "")
    static const struct row rows[] = {
        {POD_IMAGE("'image':{'id':'" ID "','name':'a/b','labels':[{'name':'os','value':'linux'}]}"),
         NULL, NULL},
        {POD_IMAGE("'x':1"), "$.apps[0].image", "is required"},
        {POD_IMAGE("'image':'" ID "'"), "$.apps[0].image", "must be an object"},
        {POD_IMAGE("'image':{}"), "$.apps[0].image.id", "is required"},
        {POD_IMAGE("'image':{'name':'a/b'}"), "$.apps[0].image.id", "is required"},
        {POD_IMAGE("'image':{'id':'sha512-" HEX64 "'}"), "$.apps[0].image.id",
         "is not an image ID"},
        {POD_IMAGE("'image':{'id':'" ID "','name':'A'}"), "$.apps[0].image.name",
         "is not an AC Identifier"},
        {POD_IMAGE("'image':{'id':'" ID "','labels':[{'name':'name'}]}"),
         "$.apps[0].image.labels[0].name", "can't be called"},
    };
    check_pods(rows);
}

/* POD-08: a template may leave to the host what it can find out. */
static void templates(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{'acKind':'PodManifest','apps':[{'name':'a','image':{'name':'b'}}]}",
        POD_IMAGE("'image':{'name':'b'},'mounts':[{'volume':'later','path':'/x'}]"),
        POD(""),
        POD2("", ""),
    };
    static const char *const bad[] = {
        POD_IMAGE("'image':{}"),
        POD_IMAGE("'image':{'labels':[]}"),
        "{'apps':[{'name':'a','image':{'name':'b'}}]}",
        "{'acKind':'PodManifest','acVersion':'','apps':[{'name':'a','image':{'name':'b'}}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        ac_pod_manifest_free(pod_template_of(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_free char *text = quoted(bad[i]);
        struct ac_pod_manifest *m;
        struct ac_fault fault;
        assert_int_equal(ac_pod_manifest_parse(text, strlen(text), true, &m, &fault), -1);
    }
    struct ac_pod_manifest *m = pod_template_of(good[0]);
    assert_null(m->apps[0].image_id);
    ac_pod_manifest_free(m);
}

/* POD-15, POD-16: the app object is checked like an image's. */
static void app_objects(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {POD2(PODAPP("'app':{'user':'0','group':'0'},"), ""), NULL, NULL},
        {POD2(PODAPP("'app':null,'readOnlyRootFS':null,"), ""), NULL, NULL},
        {POD2(PODAPP("'app':{'user':'0'},"), ""), "$.apps[0].app.group", "is required"},
        {POD2(PODAPP("'readOnlyRootFS':'true',"), ""), "$.apps[0].readOnlyRootFS",
         "must be true or false"},
    };
    check_pods(rows);
}

#define EMPTY_V "'volumes':[{'name':'v','kind':'empty'}],"

/* POD-17 to POD-20. */
static void mounts(void **state)
{
    (void)state;
#define MOUNT(members) POD2(PODAPP("'mounts':[{" members "}],"), EMPTY_V)
    static const struct row rows[] = {
        {MOUNT("'volume':'v','path':'/x'"), NULL, NULL},
        {MOUNT("'volume':'v','path':'/not/a/mount/point'"), NULL, NULL},
        {MOUNT("'volume':'w','path':'/x','appVolume':{'name':'z','kind':'empty'}"), NULL, NULL},
        {MOUNT("'path':'/x'"), "$.apps[0].mounts[0].volume", "is required"},
        {MOUNT("'volume':'v'"), "$.apps[0].mounts[0].path", "is required"},
        {MOUNT("'volume':'','path':'/x'"), "$.apps[0].mounts[0].volume", "is not an AC Name"},
        {MOUNT("'volume':'v','path':'x'"), "$.apps[0].mounts[0].path", "is not an absolute path"},
        {MOUNT("'volume':'v','path':''"), "$.apps[0].mounts[0].path", "is not an absolute path"},
        {MOUNT("'volume':'w','path':'/x'"), "$.apps[0].mounts[0].volume",
         "the pod has no volume called \"w\""},
        {MOUNT("'volume':'v','path':'/x','appVolume':{'name':'z','kind':'nfs'}"),
         "$.apps[0].mounts[0].appVolume.kind", "must be"},
        {POD2("{'name':'b','image':{'id':'" ID "'}}," PODAPP("'mounts':[{'volume':'v','path':'/'},"
                                                             "{'volume':'w','path':'/'}],"),
              EMPTY_V),
         "$.apps[1].mounts[1].volume", "no volume called \"w\""},
    };
    check_pods(rows);
    struct ac_pod_manifest *m = pod_of(
        MOUNT("'volume':'v','path':'/x','appVolume':{'name':'z','kind':'host','source':'/s'}"));
    assert_true(m->apps[0].mounts[0].has_app_volume);
    assert_string_equal(m->apps[0].mounts[0].app_volume.source, "/s");
    ac_pod_manifest_free(m);
}

/* POD-21, POD-22, POD-32. */
static void annotations(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {POD("'annotations':[{'name':'appc.io/foo','value':'x'}],"), NULL, NULL},
        {POD2(PODAPP("'annotations':[{'name':'appc.io/foo','value':'x'}],"), ""), NULL, NULL},
        {POD("'annotations':[{'name':'a'},{'name':'a'}],"), "$.annotations[1].name",
         "is given twice"},
        {POD2(PODAPP("'annotations':[{'name':'a'},{'name':'a'}],"), ""),
         "$.apps[0].annotations[1].name", "is given twice"},
        {POD("'annotations':[{'name':'a','value':5}],"), "$.annotations[0].value",
         "must be a string"},
        {POD("'annotations':[{'name':'A'}],"), "$.annotations[0].name", "is not an AC Identifier"},
    };
    check_pods(rows);
}

/* POD-23 to POD-27. */
static void volumes(void **state)
{
    (void)state;
#define VOLUME(members) POD("'volumes':[{" members "}],")
    static const struct row rows[] = {
        {VOLUME("'name':'v','kind':'empty'"), NULL, NULL},
        {VOLUME("'name':'v','kind':'empty','recursive':false,'source':''"), NULL, NULL},
        {VOLUME("'name':'v','kind':'host','source':'/s','mode':null,'uid':null"), NULL, NULL},
        {VOLUME("'kind':'empty'"), "$.volumes[0].name", "is required"},
        {VOLUME("'name':'V','kind':'empty'"), "$.volumes[0].name", "is not an AC Name"},
        {VOLUME("'name':'v'"), "$.volumes[0].kind", "is required"},
        {VOLUME("'name':'v','kind':'nfs'"), "$.volumes[0].kind",
         "must be \"empty\" or \"host\", not \"nfs\""},
        {VOLUME("'name':'v','kind':'host'"), "$.volumes[0].source", "is required"},
        {VOLUME("'name':'v','kind':'host','source':'s'"), "$.volumes[0].source",
         "is not an absolute path"},
        {VOLUME("'name':'v','kind':'empty','source':'/s'"), "$.volumes[0].source",
         "must be left out"},
        {VOLUME("'name':'v','kind':'host','source':'/s','mode':'0755'"), "$.volumes[0].mode",
         "must be left out"},
        {VOLUME("'name':'v','kind':'host','source':'/s','uid':0"), "$.volumes[0].uid",
         "must be left out"},
        {VOLUME("'name':'v','kind':'host','source':'/s','gid':0"), "$.volumes[0].gid",
         "must be left out"},
        {VOLUME("'name':'v','kind':'empty','readOnly':1"), "$.volumes[0].readOnly",
         "must be true or false"},
        {POD("'volumes':[{'name':'v','kind':'empty'},{'name':'v','kind':'empty'}],"),
         "$.volumes[1].name", "\"v\" is given twice"},
    };
    check_pods(rows);
}

/* POD-28, POD-29: defaults and values. */
static void volume_values(void **state)
{
    (void)state;
    struct ac_pod_manifest *m =
        pod_of(POD("'volumes':[{'name':'a','kind':'empty'},"
                   "{'name':'b','kind':'empty','mode':'1777','uid':5,'gid':4294967294},"
                   "{'name':'c','kind':'host','source':'/s'},"
                   "{'name':'d','kind':'host','source':'/s','recursive':false,'readOnly':true}],"));
    assert_int_equal(m->volumes[0].mode, 0755);
    assert_int_equal(m->volumes[0].uid, 0);
    assert_false(m->volumes[0].read_only);
    assert_null(m->volumes[0].source);
    assert_int_equal(m->volumes[1].mode, 01777);
    assert_int_equal(m->volumes[1].uid, 5);
    assert_int_equal(m->volumes[1].gid, 4294967294);
    assert_true(m->volumes[2].recursive);
    assert_false(m->volumes[3].recursive);
    assert_true(m->volumes[3].read_only);
    ac_pod_manifest_free(m);
}

/* POD-30. */
static void modes_and_ids(void **state)
{
    (void)state;
#define EMPTY(members) VOLUME("'name':'v','kind':'empty'," members)
    static const struct row rows[] = {
        {EMPTY("'mode':'0'"), NULL, NULL},
        {EMPTY("'mode':'7777'"), NULL, NULL},
        {EMPTY("'mode':'00755'"), NULL, NULL},
        {EMPTY("'mode':'rwx'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':''"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':'0855'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':'10000'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':'-755'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':' 755'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':'755x'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':'77777777777777777777777'"), "$.volumes[0].mode", "is not an octal mode"},
        {EMPTY("'mode':493"), "$.volumes[0].mode", "must be a string"},
        {EMPTY("'uid':-1"), "$.volumes[0].uid", "must be from 0"},
        {EMPTY("'gid':-1"), "$.volumes[0].gid", "must be from 0"},
        {EMPTY("'uid':4294967295"), "$.volumes[0].uid", "must be from 0"},
        {EMPTY("'uid':'root'"), "$.volumes[0].uid", "must be an integer"},
    };
    check_pods(rows);
}

#define HTTP "{'name':'http','protocol':'tcp','port':80}"
#define DNS                                                                                        \
    "{'name':'dns','protocol':'udp','port':53},{'name':'dns-tcp','protocol':'tcp','port':53}"
#define APP_PORTS(list) "'app':{'user':'0','group':'0','ports':[" list "]},"
/* All apps of the pod are known, with these ports; the pod exposes those. */
#define PORTS(app_ports, list) POD2(PODAPP(APP_PORTS(app_ports)), "'ports':[" list "],")

/* POD-33 to POD-38. */
static void pod_ports(void **state)
{
    (void)state;
#define EXPOSE(members) PORTS(HTTP, "{" members "}")
    static const struct row rows[] = {
        {EXPOSE("'name':'http','hostPort':8080"), NULL, NULL},
        {EXPOSE("'name':'http','hostPort':8080,'hostIP':'127.0.0.1'"), NULL, NULL},
        {EXPOSE("'name':'x','hostPort':8080,'podPort':" HTTP), NULL, NULL},
        {EXPOSE("'hostPort':8080"), "$.ports[0].name", "is required"},
        {EXPOSE("'name':'http'"), "$.ports[0].hostPort", "is required"},
        {EXPOSE("'name':'Http','hostPort':1"), "$.ports[0].name", "is not an AC Name"},
        {EXPOSE("'name':'x','hostPort':8080"), "$.ports[0].name", "no app has a port called"},
        {EXPOSE("'name':'http','hostPort':1,'hostIP':'::1'"), "$.ports[0].hostIP",
         "is not an IPv4 address"},
        {EXPOSE("'name':'http','hostPort':1,'hostIP':'1.2.3'"), "$.ports[0].hostIP",
         "is not an IPv4 address"},
        {EXPOSE("'name':'http','hostPort':1,'hostIP':'1.2.3.04'"), "$.ports[0].hostIP",
         "is not an IPv4 address"},
        {EXPOSE("'name':'http','hostPort':1,'hostIP':''"), "$.ports[0].hostIP",
         "is not an IPv4 address"},
        {EXPOSE("'name':'x','hostPort':1,'podPort':{'name':'x','port':1}"),
         "$.ports[0].podPort.protocol", "is required"},
        {EXPOSE("'name':'x','hostPort':1,'podPort':{'name':'x','protocol':'tcp','port':0}"),
         "$.ports[0].podPort.port", "must be from 1"},
        /* An app whose image is not known yet may have the port. */
        {POD("'ports':[{'name':'ftp','hostPort':2121}],"), NULL, NULL},
        /* POD-36, C17: only a name that a pod port refers to has to be unique. */
        {PORTS(HTTP "," HTTP, ""), NULL, NULL},
        {PORTS(HTTP "," HTTP, "{'name':'http','hostPort':1}"), "$.ports[0].name",
         "\"http\" is the name of 2 ports"},
        {PORTS(HTTP "," HTTP, "{'name':'http','hostPort':1,'podPort':" HTTP "}"), NULL, NULL},
        {POD2(PODAPP(APP_PORTS(HTTP)) ",{" APP_PORTS(HTTP) "'name':'b','image':{'id':'" ID "'}}",
              "'ports':[{'name':'http','hostPort':1}],"),
         "$.ports[0].name", "is the name of 2 ports"},
    };
    check_pods(rows);
}

/* POD-39, POD-40. */
static void host_ports(void **state)
{
    (void)state;
#define RANGE                 "{'name':'r','protocol':'tcp','port':100,'count':10}"
#define RANGES(list)          PORTS(RANGE "," HTTP "," DNS, list)
#define ON(name, port)        "{'name':'" name "','hostPort':" port "}"
#define ON_IP(name, port, ip) "{'name':'" name "','hostPort':" port ",'hostIP':'" ip "'}"
    static const struct row rows[] = {
        {RANGES(ON("http", "1")), NULL, NULL},
        {RANGES(ON("http", "65535")), NULL, NULL},
        {RANGES(ON("r", "65526")), NULL, NULL},
        {RANGES(ON("http", "0")), "$.ports[0].hostPort", "must be from 1 to 65535"},
        {RANGES(ON("http", "70000")), "$.ports[0].hostPort", "must be from 1 to 65535"},
        {RANGES(ON("r", "65527")), "$.ports[0].hostPort", "go beyond 65535"},
        {RANGES(ON("dns", "53") "," ON("dns-tcp", "53")), NULL, NULL},
        {RANGES(ON("http", "80") "," ON("dns-tcp", "80")), "$.ports[1].hostPort",
         "tcp host port 80 is already taken by ports[0]"},
        {RANGES(ON("http", "1009") "," ON("r", "1000")), "$.ports[1].hostPort",
         "tcp host port 1009 is already taken by ports[0]"},
        {RANGES(ON("r", "1000") "," ON("http", "1010")), NULL, NULL},
        {RANGES(ON("r", "1000") "," ON("http", "1009")), "$.ports[1].hostPort", "port 1009"},
        {RANGES(ON_IP("http", "80", "127.0.0.1") "," ON_IP("dns-tcp", "80", "127.0.0.2")), NULL,
         NULL},
        {RANGES(ON_IP("http", "80", "127.0.0.1") "," ON_IP("dns-tcp", "80", "127.0.0.1")),
         "$.ports[1].hostPort", "is already taken by ports[0]"},
        {RANGES(ON_IP("http", "80", "127.0.0.1") "," ON("dns-tcp", "80")), "$.ports[1].hostPort",
         "is already taken by ports[0]"},
        {RANGES(ON("dns-tcp", "80") "," ON_IP("http", "80", "127.0.0.1")), "$.ports[1].hostPort",
         "is already taken by ports[0]"},
        {RANGES(ON_IP("dns-tcp", "80", "0.0.0.0") "," ON_IP("http", "80", "127.0.0.1")),
         "$.ports[1].hostPort", "is already taken by ports[0]"},
        {RANGES(ON("http", "80") "," ON("dns-tcp", "90") "," ON("r", "100") "," ON(
             "dns", "95") "," ON_IP("http", "105", "10.0.0.1")),
         "$.ports[4].hostPort", "port 105 is already taken by ports[2]"},
        /* The same port of an app may be reached by several host ports. */
        {RANGES(ON("http", "80") "," ON("http", "8080")), NULL, NULL},
        /* Ports whose protocol is still unknown can't collide yet. */
        {POD("'ports':[" ON("x", "80") "," ON("y", "80") "],"), NULL, NULL},
    };
    check_pods(rows);
}

/* POD-41, POD-42. */
static void user_data(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {POD("'userAnnotations':{'A b':'x'},'userLabels':{'':''},"), NULL, NULL},
        {POD("'userAnnotations':{'A b':5},"), "$.userAnnotations[\"A b\"]", "must be a string"},
        {POD("'userLabels':{'a':true},"), "$.userLabels.a", "must be a string"},
    };
    check_pods(rows);
}

/* The metadata service relies on it (VAL-60). */
static void annotations_are_always_printed(void **state)
{
    (void)state;
    struct ac_pod_manifest *m = pod_of(POD(""));
    json_t *tree = ac_pod_manifest_to_json(m);
    assert_true(json_is_array(json_object_get(tree, "annotations")));
    assert_true(json_is_array(json_object_get(tree, "apps")));
    assert_null(json_object_get(tree, "volumes"));
    json_decref(tree);
    ac_pod_manifest_free(m);
}

/* The same checks on a tree: faults have a path, no position. */
static void trees(void **state)
{
    (void)state;
    cleanup_free char *good = quoted(example);
    cleanup_free char *bad = quoted(POD("'volumes':[{'name':'v'}],"));
    struct ac_pod_manifest *m;
    struct ac_fault fault;
    json_t *tree = json_loads(good, 0, NULL);
    assert_int_equal(ac_pod_manifest_from_json(tree, false, &m, &fault), 0);
    json_decref(tree);
    assert_int_equal(m->napps, 3);
    ac_pod_manifest_free(m);
    tree = json_loads(bad, 0, NULL);
    assert_int_equal(ac_pod_manifest_from_json(tree, false, &m, &fault), -1);
    assert_string_equal(fault.path, "$.volumes[0].kind");
    assert_int_equal(fault.line, 0);
    assert_int_equal(ac_pod_manifest_from_json(tree, false, &m, NULL), -1);
    json_object_set_new(tree, "x", json_stringn("a\0b", 3));
    json_decref(tree);
    assert_int_equal(ac_pod_manifest_from_json(NULL, false, &m, &fault), -1);
}

/* What text can't hold a tree can: NUL in strings, any depth. */
static void hostile_trees(void **state)
{
    (void)state;
    struct ac_pod_manifest *m;
    struct ac_fault fault;
    cleanup_free char *text = quoted(POD(""));
    json_t *tree = json_loads(text, 0, NULL);
    json_object_set_new(tree, "acVersion", json_stringn("0.8.11\0x", 8));
    assert_int_equal(ac_pod_manifest_from_json(tree, false, &m, &fault), -1);
    assert_string_equal(fault.path, "$.acVersion");
    assert_non_null(strstr(fault.msg, "NUL"));
    json_t *deep = json_array();
    for (int i = 0; i < 200; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    json_object_set_new(tree, "acVersion", json_string("0.8.11"));
    json_object_set_new(tree, "x", deep);
    assert_int_equal(ac_pod_manifest_from_json(tree, false, &m, &fault), -1);
    assert_non_null(strstr(fault.msg, "nested deeper"));
    json_decref(tree);
}

/* POD-07, POD-35, APP-01: what has to be there before a pod runs. */
static void reified(void **state)
{
    (void)state;
#define READY "'app':{'exec':['/x'],'user':'0','group':'0'},"
#define WORK                                                                                       \
    "'app':{'exec':['/x'],'user':'0','group':'0',"                                                 \
    "'mountPoints':[{'name':'w','path':'/w/'},{'name':'z','path':'/z'}]},"
    static const struct row rows[] = {
        {POD2(PODAPP(READY), ""), NULL, NULL},
        {POD2(PODAPP(WORK "'mounts':[{'volume':'v','path':'/z'},{'volume':'v','path':'//w'}],"),
              EMPTY_V),
         NULL, NULL},
        {POD2("", ""), "$.apps", "must not be empty"},
        {POD2("{'name':'a'," READY "'image':{'name':'b'}}", ""), "$.apps[0].image.id",
         "is required"},
        {POD(""), "$.apps[0].app", "is required"},
        {POD2(PODAPP("'app':{'user':'0','group':'0'},"), ""), "$.apps[0].app.exec", "is required"},
        {POD2(PODAPP(WORK "'mounts':[{'volume':'v','path':'/w'}],"), EMPTY_V),
         "$.apps[0].app.mountPoints[1].path",
         "no volume is mounted at \"/z\" for mount point \"z\""},
        {POD2(PODAPP(READY "'mounts':[{'volume':'v','path':'/w'}],"), ""),
         "$.apps[0].mounts[0].volume", "no volume called \"v\""},
        {POD2(PODAPP(READY), "'ports':[{'name':'x','hostPort':1}],"), "$.ports[0].name",
         "no app has a port"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free char *text = quoted(rows[i].json);
        struct ac_fault fault = {0};
        struct ac_pod_manifest *m = NULL;
        int result = ac_pod_manifest_parse(text, strlen(text), true, &m, &fault);
        if (result == 0)
            result = ac_pod_manifest_check_reified(m, &fault);
        assert_int_equal(result, rows[i].path ? -1 : 0);
        if (rows[i].path) {
            assert_string_equal(fault.path, rows[i].path);
            assert_non_null(strstr(fault.msg, rows[i].msg));
        }
        ac_pod_manifest_free(m);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_specification),
        cmocka_unit_test(apps),
        cmocka_unit_test(images),
        cmocka_unit_test(templates),
        cmocka_unit_test(app_objects),
        cmocka_unit_test(mounts),
        cmocka_unit_test(annotations),
        cmocka_unit_test(volumes),
        cmocka_unit_test(volume_values),
        cmocka_unit_test(modes_and_ids),
        cmocka_unit_test(pod_ports),
        cmocka_unit_test(host_ports),
        cmocka_unit_test(user_data),
        cmocka_unit_test(annotations_are_always_printed),
        cmocka_unit_test(trees),
        cmocka_unit_test(hostile_trees),
        cmocka_unit_test(reified),
    };
    return RUN(tests);
}
