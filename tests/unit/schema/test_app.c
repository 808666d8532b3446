/* SPDX-License-Identifier: Apache-2.0 */
/* schema/: the app object (the rows of APP that a manifest alone decides). */
#include "tests/unit/schema/util.h"

/* APP-01, APP-05. */
static void exec(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {APP(""), NULL, NULL},
        {APP("'exec':[],"), NULL, NULL},
        {APP("'exec':['true'],"), NULL, NULL},
        {APP("'exec':{},"), "$.app.exec", "must be a list"},
        {APP("'exec':[1],"), "$.app.exec[0]", "must be a string"},
    };
    check_images(rows);
    struct ac_image_manifest *m = image_of(APP("'exec':['echo','$HOME','*','','%n',';\\n'],"));
    assert_int_equal(m->app.exec.n, 6);
    assert_string_equal(m->app.exec.v[1], "$HOME");
    assert_string_equal(m->app.exec.v[3], "");
    assert_string_equal(m->app.exec.v[5], ";\n");
    ac_image_manifest_free(m);
}

/* APP-07. */
static void user_and_group(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {IMAGE("'app':{'user':'/usr/bin/ping','group':'wheel'},"), NULL, NULL},
        {IMAGE("'app':{'group':'0'},"), "$.app.user", "is required"},
        {IMAGE("'app':{'user':'0'},"), "$.app.group", "is required"},
        {IMAGE("'app':{'user':'','group':'0'},"), "$.app.user", "must not be empty"},
        {IMAGE("'app':{'user':'0','group':''},"), "$.app.group", "must not be empty"},
        {IMAGE("'app':{'user':'0','group':0},"), "$.app.group", "must be a string"},
        {IMAGE("'app':{'user':null,'group':'0'},"), "$.app.user", "is required, but null"},
    };
    check_images(rows);
}

/* APP-12. */
static void supplementary_gids(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {APP("'supplementaryGIDs':[],"), NULL, NULL},
        {APP("'supplementaryGIDs':[0,4294967294],"), NULL, NULL},
        {APP("'supplementaryGIDs':[1,-1],"), "$.app.supplementaryGIDs[1]", "must be from 0"},
        {APP("'supplementaryGIDs':[4294967295],"), "$.app.supplementaryGIDs[0]", "must be from 0"},
        {APP("'supplementaryGIDs':['1'],"), "$.app.supplementaryGIDs[0]", "must be an integer"},
        {APP("'supplementaryGids':[1.0],"), "$.app.supplementaryGids[0]", "must be an integer"},
        {APP("'supplementaryGIDs':1,"), "$.app.supplementaryGIDs", "must be a list"},
    };
    check_images(rows);
}

/* APP-13, APP-14: a handler without exec is an error here. */
static void event_handlers(void **state)
{
    (void)state;
#define HANDLERS(list) APP("'eventHandlers':[" list "],")
    static const struct row rows[] = {
        {HANDLERS(""), NULL, NULL},
        {HANDLERS("{'name':'pre-start','exec':['a']}"), NULL, NULL},
        {HANDLERS("{'name':'post-stop','exec':['a']},{'name':'pre-start','exec':['a']}"), NULL,
         NULL},
        {HANDLERS("{'name':'post-start','exec':['a']}"), "$.app.eventHandlers[0].name",
         "must be \"pre-start\" or \"post-stop\""},
        {HANDLERS("{'name':'Pre-Start','exec':['a']}"), "$.app.eventHandlers[0].name", "must be"},
        {HANDLERS("{'exec':['a']}"), "$.app.eventHandlers[0].name", "is required"},
        {HANDLERS("{'name':'pre-start','exec':['a']},{'name':'pre-start','exec':['b']}"),
         "$.app.eventHandlers[1].name", "\"pre-start\" is given twice"},
        {HANDLERS("{'name':'pre-start'}"), "$.app.eventHandlers[0].exec", "is required"},
        {HANDLERS("{'name':'pre-start','exec':[]}"), "$.app.eventHandlers[0].exec",
         "must not be empty"},
        {HANDLERS("'pre-start'"), "$.app.eventHandlers[0]", "must be an object"},
    };
    check_images(rows);
}

/* APP-18, APP-20. */
static void working_directory(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {APP("'workingDirectory':'/../x',"), NULL, NULL},
        {APP("'workingDirectory':'rel',"), "$.app.workingDirectory", "is not an absolute path"},
        {APP("'workingDirectory':'./x',"), "$.app.workingDirectory", "is not an absolute path"},
        {APP("'workingDirectory':5,"), "$.app.workingDirectory", "must be a string"},
    };
    static const char *const defaults[] = {APP(""), APP("'workingDirectory':'',"),
                                           APP("'workingDirectory':null,")};
    check_images(rows);
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        struct ac_image_manifest *m = image_of(defaults[i]);
        assert_string_equal(m->app.working_directory, "/");
        ac_image_manifest_free(m);
    }
}

/* APP-21, APP-22, APP-23. */
static void environment(void **state)
{
    (void)state;
#define ENV(name) APP("'environment':[{'name':'" name "','value':'x'}],")
    static const struct row rows[] = {
        {ENV("A.B-C_1"), NULL, NULL},
        {ENV("_"), NULL, NULL},
        {APP("'environment':[{'name':'a'},{'name':'A'}],"), NULL, NULL},
        {ENV("1A"), "$.app.environment[0].name", "is not a name of an environment variable"},
        {ENV(""), "$.app.environment[0].name", "is not a name"},
        {ENV("A=B"), "$.app.environment[0].name", "is not a name"},
        {ENV("-A"), "$.app.environment[0].name", "is not a name"},
        {ENV(".A"), "$.app.environment[0].name", "is not a name"},
        {ENV("A B"), "$.app.environment[0].name", "is not a name"},
        {ENV("\xc3\xa4"), "$.app.environment[0].name", "is not a name"},
        {APP("'environment':[{'name':'A'},{'name':'B'},{'name':'A'}],"),
         "$.app.environment[2].name", "\"A\" is given twice"},
        {APP("'environment':[{'value':'A'}],"), "$.app.environment[0].name", "is required"},
        {APP("'environment':[{'name':'A','value':1}],"), "$.app.environment[0].value",
         "must be a string"},
        {APP("'environment':{'A':'x'},"), "$.app.environment", "must be a list"},
    };
    check_images(rows);
    struct ac_image_manifest *m =
        image_of(APP("'environment':[{'name':'A','value':'$HOME `x`\\n\\\\'},{'name':'B'}],"));
    assert_string_equal(ac_pairs_get(&m->app.environment, "A"), "$HOME `x`\n\\");
    assert_string_equal(ac_pairs_get(&m->app.environment, "B"), "");
    ac_image_manifest_free(m);
}

/* APP-25, APP-26. */
static void mount_points(void **state)
{
    (void)state;
#define POINT(members) APP("'mountPoints':[{" members "}],")
    static const struct row rows[] = {
        {POINT("'name':'a','path':'/x'"), NULL, NULL},
        {POINT("'name':'a','path':'/x','readOnly':true"), NULL, NULL},
        {POINT("'path':'/x'"), "$.app.mountPoints[0].name", "is required"},
        {POINT("'name':'a'"), "$.app.mountPoints[0].path", "is required"},
        {POINT("'name':'a_b','path':'/x'"), "$.app.mountPoints[0].name", "is not an AC Name"},
        {POINT("'name':'','path':'/x'"), "$.app.mountPoints[0].name", "is not an AC Name"},
        {POINT("'name':'a','path':'x'"), "$.app.mountPoints[0].path", "is not an absolute path"},
        {POINT("'name':'a','path':''"), "$.app.mountPoints[0].path", "is not an absolute path"},
        {APP("'mountPoints':[{'name':'a','path':'/x'},{'name':'a','path':'/y'}],"),
         "$.app.mountPoints[1].name", "\"a\" is given twice"},
    };
    check_images(rows);
    struct ac_image_manifest *m = image_of(POINT("'name':'a','path':'/x','readOnly':null"));
    assert_false(m->app.mount_points[0].read_only);
    ac_image_manifest_free(m);
}

/* APP-27 to APP-32. */
static void ports(void **state)
{
    (void)state;
#define PORT(members) APP("'ports':[{" members "}],")
#define TCP(members)  PORT("'name':'a','protocol':'tcp'," members)
    static const struct row rows[] = {
        {TCP("'port':1"), NULL, NULL},
        {TCP("'port':65535"), NULL, NULL},
        {TCP("'port':65535,'count':1"), NULL, NULL},
        {TCP("'port':1,'count':65535"), NULL, NULL},
        {PORT("'name':'a','protocol':'sctp','port':1"), NULL, NULL},
        {PORT("'protocol':'tcp','port':1"), "$.app.ports[0].name", "is required"},
        {PORT("'name':'a','port':1"), "$.app.ports[0].protocol", "is required"},
        {PORT("'name':'a','protocol':'','port':1"), "$.app.ports[0].protocol", "must not be empty"},
        {PORT("'name':'a','protocol':'tcp'"), "$.app.ports[0].port", "is required"},
        {PORT("'name':'a.b','protocol':'tcp','port':1"), "$.app.ports[0].name",
         "is not an AC Name"},
        {TCP("'port':0"), "$.app.ports[0].port", "must be from 1 to 65535, not 0"},
        {TCP("'port':65536"), "$.app.ports[0].port", "must be from 1 to 65535"},
        {TCP("'port':-1"), "$.app.ports[0].port", "must be from 1 to 65535"},
        {TCP("'port':80.5"), "$.app.ports[0].port", "must be an integer"},
        {TCP("'port':65535,'count':2"), "$.app.ports[0].count", "go beyond 65535"},
        {TCP("'port':2,'count':65535"), "$.app.ports[0].count", "go beyond 65535"},
        {TCP("'port':1,'count':-1"), "$.app.ports[0].count", "must be from 0"},
        {TCP("'port':1,'count':9223372036854775807"), "$.app.ports[0].count", "must be from 0"},
        {TCP("'port':1,'count':18446744073709551615"), "", "too big"},
        {TCP("'port':1,'socketActivated':'true'"), "$.app.ports[0].socketActivated",
         "must be true or false"},
    };
    static const char *const ones[] = {TCP("'port':1"), TCP("'port':1,'count':0"),
                                       TCP("'port':1,'count':1"), TCP("'port':1,'count':null")};
    check_images(rows);
    for (size_t i = 0; i < ARRAY_SIZE(ones); i++) {
        struct ac_image_manifest *m = image_of(ones[i]);
        assert_int_equal(m->app.ports[0].count, 1);
        assert_false(m->app.ports[0].socket_activated);
        ac_image_manifest_free(m);
    }
}

/* APP-36, APP-37. */
static void user_data(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {APP("'userAnnotations':{},'userLabels':{},"), NULL, NULL},
        {APP("'userAnnotations':{'':'x','A b':'','\\u00e4':'y'},"), NULL, NULL},
        {APP("'userAnnotations':{'a':1},"), "$.app.userAnnotations.a", "must be a string"},
        {APP("'userLabels':{'a':null},"), "$.app.userLabels.a", "must be a string"},
        {APP("'userLabels':[],"), "$.app.userLabels", "must be an object"},
    };
    check_images(rows);
    struct ac_image_manifest *m = image_of(APP("'userLabels':{'a':'1','A':'2','a':'3'},"));
    assert_int_equal(m->app.user_labels.n, 2);
    assert_string_equal(ac_pairs_get(&m->app.user_labels, "a"), "3");
    assert_string_equal(ac_pairs_get(&m->app.user_labels, "A"), "2");
    ac_image_manifest_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec),
        cmocka_unit_test(user_and_group),
        cmocka_unit_test(supplementary_gids),
        cmocka_unit_test(event_handlers),
        cmocka_unit_test(working_directory),
        cmocka_unit_test(environment),
        cmocka_unit_test(mount_points),
        cmocka_unit_test(ports),
        cmocka_unit_test(user_data),
    };
    return RUN(tests);
}
