/* SPDX-License-Identifier: Apache-2.0 */
/* schema/isolator.h: the shape of isolators in app and pod (ISO, TYPE-13, TYPE-14). */
#include "tests/unit/schema/util.h"

#include "base/buf.h"
#include "schema/isolator.h"

#define ISO(name, value)  "{'name':'" name "','value':" value "}"
#define IN_APP(isolators) APP("'isolators':[" isolators "],")
#define IN_POD(isolators) POD("'isolators':[" isolators "],")

/* The view of one isolator of an app. */
static struct ac_isolator_view view_of(const char *isolator)
{
    struct buf b = {0};
    struct ac_isolator_view view;
    struct ac_fault fault;
    buf_printf(&b, "{'app':{'user':'0','group':'0','isolators':[%s]},%s", isolator, IMAGE_END);
    struct ac_image_manifest *m = image_of(b.data);
    assert_int_equal(ac_isolator_decode(&m->app.isolators.v[0], &view, &fault), 0);
    ac_image_manifest_free(m);
    buf_free(&b);
    return view;
}

/* TYPE-13, TYPE-14, ISO-01. */
static void names_and_values(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IN_APP(""), NULL, NULL},
        {IN_APP(ISO("example.com/foo", "{'a':[1,null]}")), NULL, NULL},
        {IN_APP(ISO("example.com/foo", "null")), NULL, NULL},
        {IN_APP(ISO("example.com/foo", "0.5") "," ISO("example.com/foo", "1")), NULL, NULL},
        {IN_APP("{'name':'example.com/foo'}"), "$.app.isolators[0].value", "is required"},
        {IN_APP("{'value':1}"), "$.app.isolators[0].name", "is required"},
        {IN_APP(ISO("Foo", "1")), "$.app.isolators[0].name", "is not an AC Identifier"},
        {IN_APP("{'name':'resource/memory'}"), "$.app.isolators[0].value", "is required"},
        {IN_APP("{'name':'resource/memory','value':null}"), "$.app.isolators[0].value",
         "is required, but null"},
        {IN_APP("'resource/memory'"), "$.app.isolators[0]", "must be an object"},
        {APP("'isolators':{},"), "$.app.isolators", "must be a list"},
    };
    check_images(rows);
    struct ac_isolator_view view = view_of(ISO("example.com/foo", "[1]"));
    assert_int_equal(view.kind, AC_ISOLATOR_UNKNOWN);
    assert_int_equal(view.scope, AC_SCOPE_BOTH);
    ac_isolator_view_done(&view);
}

/* ISO-09: names and scopes. */
static void scopes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum ac_isolator_scope scope;
    } rows[] = {
        {"os/linux/seccomp-remove-set", AC_SCOPE_APP},
        {"os/linux/seccomp-retain-set", AC_SCOPE_APP},
        {"os/linux/selinux-context", AC_SCOPE_BOTH},
        {"os/linux/apparmor-profile", AC_SCOPE_BOTH},
        {"os/linux/capabilities-remove-set", AC_SCOPE_APP},
        {"os/linux/capabilities-retain-set", AC_SCOPE_APP},
        {"os/linux/no-new-privileges", AC_SCOPE_APP},
        {"os/linux/cpu-shares", AC_SCOPE_APP},
        {"os/linux/oom-score-adj", AC_SCOPE_APP},
        {"resource/block-bandwidth", AC_SCOPE_BOTH},
        {"resource/block-iops", AC_SCOPE_BOTH},
        {"resource/cpu", AC_SCOPE_BOTH},
        {"resource/memory", AC_SCOPE_BOTH},
        {"resource/network-bandwidth", AC_SCOPE_BOTH},
        {"os/unix/sysctl", AC_SCOPE_POD},
    };
    assert_int_equal(ARRAY_SIZE(rows), AC_ISOLATOR_KINDS - 1);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum ac_isolator_kind kind = ac_isolator_kind(rows[i].name);
        assert_int_not_equal(kind, AC_ISOLATOR_UNKNOWN);
        assert_string_equal(ac_isolator_name(kind), rows[i].name);
        assert_int_equal(ac_isolator_scope(kind), rows[i].scope);
    }
    assert_int_equal(ac_isolator_kind("resource/disk"), AC_ISOLATOR_UNKNOWN);
}

/* A valid isolator of every kind. */
#define REMOVE_CALLS ISO("os/linux/seccomp-remove-set", "{'set':['reboot']}")
#define RETAIN_CALLS ISO("os/linux/seccomp-retain-set", "{'set':['read'],'errno':''}")
#define SELINUX                                                                                    \
    ISO("os/linux/selinux-context",                                                                \
        "{'user':'system_u','role':'system_r','type':'dhcpc_t','level':'s0:c1,c2'}")
#define APPARMOR    ISO("os/linux/apparmor-profile", "{'profile':'rkt-default'}")
#define REMOVE_CAPS ISO("os/linux/capabilities-remove-set", "{'set':['CAP_MKNOD']}")
#define RETAIN_CAPS ISO("os/linux/capabilities-retain-set", "{'set':['CAP_NET_ADMIN']}")
#define NO_NEW      ISO("os/linux/no-new-privileges", "true")
#define SHARES      ISO("os/linux/cpu-shares", "512")
#define OOM         ISO("os/linux/oom-score-adj", "-500")
#define BLOCK       ISO("resource/block-bandwidth", "{'default':true,'limit':'2M'}")
#define IOPS        ISO("resource/block-iops", "{'default':true,'limit':'1000'}")
#define CPU         ISO("resource/cpu", "{'request':'250m','limit':'500m'}")
#define MEMORY      ISO("resource/memory", "{'request':'1G','limit':'2G'}")
#define NETWORK     ISO("resource/network-bandwidth", "{'default':true,'limit':'1G'}")
#define SYSCTL      ISO("os/unix/sysctl", "{'net.ipv4.tcp_mtu_probing':'1'}")

/* ISO-05, ISO-06, ISO-07, ISO-21, ISO-43 (D4): the same rules in apps and in pods. */
static void duplicates_and_conflicts(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *msg; /* of the second isolator; NULL: valid */
    } rows[] = {
        {REMOVE_CALLS "," REMOVE_CALLS, "is given twice"},
        {RETAIN_CALLS "," RETAIN_CALLS, "is given twice"},
        {SHARES "," SHARES, "is given twice"},
        {OOM "," OOM, "is given twice"},
        {SELINUX "," SELINUX, "is given twice"},
        {APPARMOR "," APPARMOR, "is given twice"},
        {SYSCTL "," SYSCTL, "is given twice"},
        {REMOVE_CALLS "," RETAIN_CALLS, "can't be combined with os/linux/seccomp-remove-set"},
        {RETAIN_CALLS "," REMOVE_CALLS, "can't be combined with os/linux/seccomp-retain-set"},
        {REMOVE_CAPS "," RETAIN_CAPS, "can't be combined with"},
        {RETAIN_CAPS "," REMOVE_CAPS, "can't be combined with"},
        {REMOVE_CAPS "," REMOVE_CAPS, NULL},
        {RETAIN_CAPS "," RETAIN_CAPS, NULL},
        {NO_NEW "," NO_NEW, NULL},
        {MEMORY "," MEMORY, NULL},
        {CPU "," CPU, NULL},
        {BLOCK "," BLOCK, NULL},
        {IOPS "," IOPS, NULL},
        {NETWORK "," NETWORK, NULL},
        {REMOVE_CALLS "," SELINUX "," APPARMOR "," REMOVE_CAPS "," NO_NEW "," SHARES "," OOM
                      "," BLOCK "," IOPS "," CPU "," MEMORY "," NETWORK "," SYSCTL,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf app = {0}, pod = {0};
        buf_printf(&app, "{'app':{'user':'0','group':'0','isolators':[%s]},%s", rows[i].list,
                   IMAGE_END);
        buf_printf(&pod, "{'isolators':[%s],%s", rows[i].list, POD_END);
        struct row in_app = {app.data, rows[i].msg ? "$.app.isolators[1].name" : NULL, rows[i].msg};
        struct row in_pod = {pod.data, rows[i].msg ? "$.isolators[1].name" : NULL, rows[i].msg};
        check_image_rows(&in_app, 1);
        check_pod_rows(&in_pod, 1);
        buf_free(&app);
        buf_free(&pod);
    }
}

/* ISO-06: of several, the last one counts. */
static void last_one_counts(void **state)
{
    (void)state;
    struct ac_image_manifest *m = image_of(IN_APP(ISO(
        "resource/memory", "{'limit':1}") "," NO_NEW "," ISO("resource/memory", "{'limit':2}")));
    struct ac_isolator_view view;
    const struct ac_isolator *iso = ac_isolators_find(&m->app.isolators, AC_ISOLATOR_MEMORY);
    assert_int_equal(ac_isolator_decode(iso, &view, NULL), 0);
    assert_int_equal(view.resource.limit, 2);
    ac_isolator_view_done(&view);
    assert_null(ac_isolators_find(&m->app.isolators, AC_ISOLATOR_CPU));
    ac_image_manifest_free(m);
}

/* The path of a fault in the value of the only isolator of an app. */
#define AT(rest) "$.app.isolators[0].value" rest

/* ISO-10, ISO-17, ISO-18, ISO-27. */
static void seccomp(void **state)
{
    (void)state;
#define CALLS(members) IN_APP(ISO("os/linux/seccomp-remove-set", "{" members "}"))
#define KEEP(members)  IN_APP(ISO("os/linux/seccomp-retain-set", "{" members "}"))
    static const struct row rows[] = {
        {CALLS("'set':['@appc.io/empty','mkdir','nosuchcall']"), NULL, NULL},
        {CALLS("'set':['a'],'errno':'E'"), NULL, NULL},
        {CALLS("'set':['a'],'errno':'EBOGUS'"), NULL, NULL},
        {CALLS("'set':['a'],'errno':'E2BIG'"), NULL, NULL},
        {CALLS("'set':['a'],'errno':null"), NULL, NULL},
        {KEEP("'set':['@appc.io/all']"), NULL, NULL},
        {CALLS("'set':[]"), AT(".set"), "must not be empty"},
        {KEEP("'set':[]"), AT(".set"), "must not be empty"},
        {CALLS("'errno':'EPERM'"), AT(".set"), "is required"},
        {CALLS("'set':'a'"), AT(".set"), "must be a list"},
        {CALLS("'set':['a',5]"), AT(".set[1]"), "must be a string"},
        {CALLS("'set':['a'],'errno':'eperm'"), AT(".errno"), "must be the name of an error"},
        {CALLS("'set':['a'],'errno':'EP ERM'"), AT(".errno"), "must be the name of an error"},
        {CALLS("'set':['a'],'errno':'PERM'"), AT(".errno"), "must be the name of an error"},
        {CALLS("'set':['a'],'errno':'E_X'"), AT(".errno"), "must be the name of an error"},
        {CALLS("'set':['a'],'errno':1"), AT(".errno"), "must be a string"},
        {IN_APP(ISO("os/linux/seccomp-remove-set", "[]")), AT(""), "must be an object"},
    };
    check_images(rows);
    struct ac_isolator_view view = view_of(
        ISO("os/linux/seccomp-remove-set", "{'errno':'ENOTSUP','set':['reboot','clock_settime']}"));
    assert_int_equal(view.kind, AC_ISOLATOR_SECCOMP_REMOVE_SET);
    assert_int_equal(view.seccomp.set.n, 2);
    assert_string_equal(view.seccomp.set.v[1], "clock_settime");
    assert_string_equal(view.seccomp.errno_name, "ENOTSUP");
    ac_isolator_view_done(&view);
    view = view_of(RETAIN_CALLS);
    assert_null(view.seccomp.errno_name);
    ac_isolator_view_done(&view);
}

/* ISO-30, ISO-31, ISO-34. */
static void mac_labels(void **state)
{
    (void)state;
#define CONTEXT(u, r, t, l)                                                                        \
    IN_APP(                                                                                        \
        ISO("os/linux/selinux-context", "{'user':" u ",'role':" r ",'type':" t ",'level':" l "}"))
    static const struct row rows[] = {
        {CONTEXT("'u'", "'r'", "'t'", "'s0'"), NULL, NULL},
        {CONTEXT("''", "'r'", "'t'", "'s0'"), AT(".user"), "must not be empty"},
        {CONTEXT("'u'", "''", "'t'", "'s0'"), AT(".role"), "must not be empty"},
        {CONTEXT("'u'", "'r'", "''", "'s0'"), AT(".type"), "must not be empty"},
        {CONTEXT("'u'", "'r'", "'t'", "''"), AT(".level"), "must not be empty"},
        {CONTEXT("'u:'", "'r'", "'t'", "'s0'"), AT(".user"), "must not contain"},
        {CONTEXT("'u'", "':r'", "'t'", "'s0'"), AT(".role"), "must not contain"},
        {CONTEXT("'u'", "'r'", "'t:t'", "'s0'"), AT(".type"), "must not contain"},
        {CONTEXT("null", "'r'", "'t'", "'s0'"), AT(".user"), "is required"},
        {CONTEXT("'u'", "'r'", "'t'", "0"), AT(".level"), "must be a string"},
        {IN_APP(ISO("os/linux/apparmor-profile", "{'profile':''}")), AT(".profile"),
         "must not be empty"},
        {IN_APP(ISO("os/linux/apparmor-profile", "{}")), AT(".profile"), "is required"},
        {IN_APP(ISO("os/linux/apparmor-profile", "'x'")), AT(""), "must be an object"},
    };
    check_images(rows);
    struct ac_isolator_view view = view_of(SELINUX);
    assert_string_equal(view.selinux.user, "system_u");
    assert_string_equal(view.selinux.role, "system_r");
    assert_string_equal(view.selinux.type, "dhcpc_t");
    assert_string_equal(view.selinux.level, "s0:c1,c2");
    ac_isolator_view_done(&view);
    view = view_of(APPARMOR);
    assert_string_equal(view.apparmor_profile, "rkt-default");
    ac_isolator_view_done(&view);
}

/* ISO-44 to ISO-47. */
static void privileges(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IN_APP(ISO("os/linux/capabilities-retain-set", "{'set':['CAP_PONIES']}")), NULL, NULL},
        {IN_APP(ISO("os/linux/capabilities-retain-set", "{'set':[]}")), AT(".set"),
         "must not be empty"},
        {IN_APP(ISO("os/linux/capabilities-remove-set", "{'set':[]}")), AT(".set"),
         "must not be empty"},
        {IN_APP(ISO("os/linux/capabilities-remove-set", "{}")), AT(".set"), "is required"},
        {IN_APP(ISO("os/linux/capabilities-remove-set", "['CAP_CHOWN']")), AT(""),
         "must be an object"},
        {IN_APP(ISO("os/linux/no-new-privileges", "false")), NULL, NULL},
        {IN_APP(ISO("os/linux/no-new-privileges", "'true'")), AT(""), "must be true or false"},
        {IN_APP(ISO("os/linux/no-new-privileges", "1")), AT(""), "must be true or false"},
        {IN_APP(ISO("os/linux/oom-score-adj", "-1000")), NULL, NULL},
        {IN_APP(ISO("os/linux/oom-score-adj", "1000")), NULL, NULL},
        {IN_APP(ISO("os/linux/oom-score-adj", "1001")), AT(""), "must be from -1000 to 1000"},
        {IN_APP(ISO("os/linux/oom-score-adj", "-1001")), AT(""), "must be from -1000 to 1000"},
        {IN_APP(ISO("os/linux/oom-score-adj", "'1'")), AT(""), "must be an integer"},
        {IN_APP(ISO("os/linux/cpu-shares", "2")), NULL, NULL},
        {IN_APP(ISO("os/linux/cpu-shares", "262144")), NULL, NULL},
        {IN_APP(ISO("os/linux/cpu-shares", "1")), AT(""), "must be from 2 to 262144"},
        {IN_APP(ISO("os/linux/cpu-shares", "262145")), AT(""), "must be from 2 to 262144"},
        {IN_APP(ISO("os/linux/cpu-shares", "4.0")), AT(""), "must be an integer"},
    };
    check_images(rows);
    struct ac_isolator_view view = view_of(REMOVE_CAPS);
    assert_string_equal(view.capabilities.v[0], "CAP_MKNOD");
    ac_isolator_view_done(&view);
    view = view_of(NO_NEW);
    assert_true(view.no_new_privileges);
    view = view_of(SHARES);
    assert_int_equal(view.cpu_shares, 512);
    view = view_of(OOM);
    assert_int_equal(view.oom_score_adj, -500);
}

/* ISO-08, ISO-50, ISO-54, ISO-55, TYPE-27. */
static void resource_rules(void **state)
{
    (void)state;
#define MEM(members) IN_APP(ISO("resource/memory", "{" members "}"))
#define BW(members)  IN_APP(ISO("resource/network-bandwidth", "{" members "}"))
    static const struct row rows[] = {
        {MEM("'limit':'1G'"), NULL, NULL},
        {MEM("'request':'1G'"), NULL, NULL},
        {MEM("'limit':'1G','default':false"), NULL, NULL},
        {MEM("'limit':'1G','default':null,'request':null"), NULL, NULL},
        {IN_APP(ISO("resource/memory", "[]")), AT(""), "must be an object"},
        {IN_APP(ISO("resource/memory", "'1G'")), AT(""), "must be an object"},
        {MEM("'limit':true"), AT(".limit"), "must be a quantity"},
        {MEM("'limit':'1Q'"), AT(".limit"), "\"1Q\" is not a quantity"},
        {MEM("'limit':'-1'"), AT(".limit"), "is negative"},
        {MEM("'limit':-1"), AT(".limit"), "is negative"},
        {MEM("'request':'16E'"), AT(".request"), "is too large"},
        {MEM("'limit':1e30"), AT(".limit"), "is too large"},
        {MEM("'limit':'1G','request':'2G'"), AT(".limit"), "is below the request"},
        {MEM("'limit':'1Gi','request':'1073741824'"), NULL, NULL},
        {MEM("'limit':'1G','default':true"), AT(".default"), "must be false"},
        {IN_APP(ISO("resource/cpu", "{'limit':'1','default':true}")), AT(".default"),
         "must be false"},
        {MEM("'limit':'1G','default':'false'"), AT(".default"), "must be true or false"},
        {BW("'default':true"), NULL, NULL},
        {BW("'limit':'1G'"), AT(".default"), "is required"},
        {BW("'default':false,'limit':'1G'"), AT(".default"), "must be true"},
        {BW("'default':true,'limit':'1G','request':'1G'"), AT(".request"), "must be left out"},
        {BW("'default':true,'limit':'x'"), AT(".limit"), "is not a quantity"},
        {IN_APP(ISO("resource/block-iops", "{'default':true,'request':1}")), AT(".request"),
         "must be left out"},
        {IN_APP(ISO("resource/block-bandwidth", "{'limit':1}")), AT(".default"), "is required"},
    };
    check_images(rows);
    static const struct row pods[] = {
        {IN_POD(MEMORY "," ISO("os/unix/sysctl", "{'a':1}")), "$.isolators[1].value.a",
         "must be a string"},
        {IN_POD(ISO("resource/memory", "{'limit':'x'}")), "$.isolators[0].value.limit",
         "is not a quantity"},
        {IN_POD(ISO("example.com/x", "{}")), NULL, NULL},
    };
    check_pods(pods);
}

static void expect_resource(const char *isolator, int64_t request, int64_t limit)
{
    struct ac_isolator_view view = view_of(isolator);
    if (view.resource.has_request != (request >= 0) || view.resource.has_limit != (limit >= 0) ||
        (request >= 0 && view.resource.request != request) ||
        (limit >= 0 && view.resource.limit != limit))
        fail_msg("%s gave %lld, %lld", isolator, (long long)view.resource.request,
                 (long long)view.resource.limit);
    ac_isolator_view_done(&view);
}

/* ISO-50, ISO-51, ISO-56, TYPE-23, TYPE-26: units, and numbers without quotes. */
static void resource_values(void **state)
{
    (void)state;
    expect_resource(CPU, 250, 500);
    expect_resource(MEMORY, 1000000000, 2000000000);
    expect_resource(BLOCK, 2000000, 2000000);
    expect_resource(IOPS, 1000, 1000);
    expect_resource(NETWORK, 1000000000, 1000000000);
    expect_resource(ISO("resource/memory", "{'limit':1073741824}"), 1073741824, 1073741824);
    expect_resource(ISO("resource/memory", "{'request':'1M'}"), 1000000, -1);
    expect_resource(ISO("resource/memory", "{}"), -1, -1);
    expect_resource(ISO("resource/cpu", "{'limit':0.3}"), 300, 300);
    expect_resource(ISO("resource/cpu", "{'limit':0.0011}"), 2, 2);
    expect_resource(ISO("resource/cpu", "{'limit':1e2}"), 100000, 100000);
    expect_resource(ISO("resource/cpu", "{'limit':1.25E-1}"), 125, 125);
    expect_resource(ISO("resource/memory", "{'limit':123456789012345.5}"), 123456789012346,
                    123456789012346);
    expect_resource(ISO("resource/memory", "{'limit':9223372036854775807}"), INT64_MAX, INT64_MAX);
}

/* ISO-70, ISO-74. */
static void sysctl(void **state)
{
    (void)state;
#define KEY(key)    IN_POD(ISO("os/unix/sysctl", "{'" key "':'1'}"))
#define AT_KEY(key) "$.isolators[0].value[\"" key "\"]"
    static const struct row rows[] = {
        {IN_POD(ISO("os/unix/sysctl", "{}")), NULL, NULL},
        {KEY("net.ipv4.conf.eth0-1.rp_filter"), NULL, NULL},
        {KEY("x"), NULL, NULL},
        {IN_POD(ISO("os/unix/sysctl", "[]")), "$.isolators[0].value", "must be an object"},
        {IN_POD(ISO("os/unix/sysctl", "{'a':1}")), "$.isolators[0].value.a", "must be a string"},
        {KEY("net/../../x"), AT_KEY("net/../../x"), "is not a dotted sysctl name"},
        {KEY("net/x"), AT_KEY("net/x"), "is not a dotted sysctl name"},
        {KEY(".."), AT_KEY(".."), "is not a dotted sysctl name"},
        {KEY("a..b"), AT_KEY("a..b"), "is not a dotted sysctl name"},
        {KEY(".a"), AT_KEY(".a"), "is not a dotted sysctl name"},
        {KEY("a."), AT_KEY("a."), "is not a dotted sysctl name"},
        {KEY(""), AT_KEY(""), "is not a dotted sysctl name"},
        {KEY("a b"), AT_KEY("a b"), "is not a dotted sysctl name"},
    };
    check_pods(rows);
    struct ac_isolator_view view = view_of(SYSCTL);
    assert_int_equal(view.sysctl.n, 1);
    assert_string_equal(ac_pairs_get(&view.sysctl, "net.ipv4.tcp_mtu_probing"), "1");
    ac_isolator_view_done(&view);
}

/* A value that was put together by hand, wrong. */
static void decoding_checks(void **state)
{
    (void)state;
    char name[] = "os/linux/seccomp-remove-set";
    struct ac_isolator iso = {name, json_pack("{s:[s], s:s}", "set", "a", "errno", "x")};
    struct ac_isolator_view view;
    struct ac_fault fault;
    assert_int_equal(ac_isolator_decode(&iso, &view, &fault), -1);
    assert_string_equal(fault.path, "$.errno");
    assert_int_equal(fault.line, 0);
    assert_int_equal(ac_isolator_decode(&iso, &view, NULL), -1);
    json_decref(iso.value);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(scopes),
        cmocka_unit_test(duplicates_and_conflicts),
        cmocka_unit_test(last_one_counts),
        cmocka_unit_test(seccomp),
        cmocka_unit_test(mac_labels),
        cmocka_unit_test(privileges),
        cmocka_unit_test(resource_rules),
        cmocka_unit_test(resource_values),
        cmocka_unit_test(sysctl),
        cmocka_unit_test(decoding_checks),
    };
    return RUN(tests);
}
