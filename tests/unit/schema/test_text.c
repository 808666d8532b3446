/* SPDX-License-Identifier: Apache-2.0 */
/* schema/text.h: the text forms (POD-31, APP-38, APP-39, DISC-30, DISC-31, DISC-32). */
#include "tests/unit/schema/util.h"

#include "base/buf.h"
#include "schema/text.h"
#include "schema/value.h"

/* A text that is refused: the part, where it starts (from 1), and why. */
struct text_row {
    const char *text, *part;
    size_t column;
    const char *msg;
};

static void expect(const struct text_row *row, int result, const struct ac_fault *fault)
{
    if (result == 0)
        fail_msg("%s is accepted", row->text);
    if (strcmp(fault->path, row->part) != 0 || fault->column != row->column ||
        !strstr(fault->msg, row->msg))
        fail_msg("%s: \"%s\" at %zu: %s", row->text, fault->path, fault->column, fault->msg);
    assert_int_equal(fault->line, 0);
}

/* POD-31. */
static void volumes(void **state)
{
    (void)state;
    struct ac_volume v;
    struct ac_fault fault;
    assert_int_equal(ac_volume_parse_text("db,kind=empty", &v, &fault), 0);
    assert_string_equal(v.name, "db");
    assert_int_equal(v.kind, AC_VOLUME_EMPTY);
    assert_int_equal(v.mode, 0755);
    ac_volume_done(&v);
    assert_int_equal(
        ac_volume_parse_text("a,source=/x=y z,kind=host,readOnly=T,recursive=0", &v, &fault), 0);
    assert_string_equal(v.source, "/x=y z");
    assert_true(v.read_only);
    assert_false(v.recursive);
    ac_volume_done(&v);
    assert_int_equal(ac_volume_parse_text("a,kind=empty,mode=1777,uid=7,gid=8", &v, &fault), 0);
    assert_int_equal(v.mode, 01777);
    assert_int_equal(v.uid, 7);
    assert_int_equal(v.gid, 8);
    ac_volume_done(&v);
}

static void wrong_volumes(void **state)
{
    (void)state;
    static const struct text_row rows[] = {
        {"", "name", 1, "is not an AC Name"},
        {",kind=empty", "name", 1, "is not an AC Name"},
        {"A,kind=empty", "name", 1, "is not an AC Name"},
        {"kind=empty", "name", 1, "is not an AC Name"},
        {"a", "kind", 1, "is required"},
        {"a,kind=nfs", "kind", 3, "must be"},
        {"a,kind=host", "source", 1, "is required"},
        {"a,kind=host,source=x", "source", 13, "is not an absolute path"},
        {"a,kind=empty,source=/x", "source", 14, "must be left out"},
        {"a,kind=host,source=/x,mode=0755", "mode", 23, "must be left out"},
        {"a,kind=empty,mode=9", "mode", 14, "is not an octal mode"},
        {"a,kind=empty,kind=empty", "kind", 14, "is given twice"},
        {"a,kind=empty,Kind=empty", "", 14, "unknown key \"Kind\""},
        {"a,kind=empty,size=1", "", 14, "unknown key \"size\""},
        {"a,kind=empty,name=b", "", 14, "unknown key \"name\""},
        {"a,kind=empty,", "", 14, "is not KEY=VALUE"},
        {"a,kind=empty,readOnly", "", 14, "\"readOnly\" is not KEY=VALUE"},
        {"a,kind=empty,=x", "", 14, "is not KEY=VALUE"},
        {"a,kind=empty,uid=-1", "uid", 14, "is not a number"},
        {"a,kind=empty,uid=4294967296", "uid", 14, "is not a number"},
        {"a,kind=empty,uid=4294967295", "uid", 14, "must be from 0"},
        {"a,kind=empty,uid=", "uid", 14, "is not a number"},
        {"a,kind=host,source=/\xff", "source", 13, "is not UTF-8"},
        {"\xff,kind=host", "name", 1, "is not UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_volume v;
        struct ac_fault fault;
        expect(&rows[i], ac_volume_parse_text(rows[i].text, &v, &fault), &fault);
        assert_int_equal(ac_volume_parse_text(rows[i].text, &v, NULL), -1);
    }
}

/* APP-38. */
static void mount_points_and_ports(void **state)
{
    (void)state;
    struct ac_mount_point m;
    struct ac_port p;
    struct ac_fault fault;
    assert_int_equal(ac_mount_point_parse_text("work,path=/var/lib/work", &m, &fault), 0);
    assert_string_equal(m.name, "work");
    assert_string_equal(m.path, "/var/lib/work");
    assert_false(m.read_only);
    ac_mount_point_done(&m);
    assert_int_equal(ac_port_parse_text("http,protocol=tcp,port=80", &p, &fault), 0);
    assert_int_equal(p.count, 1);
    assert_false(p.socket_activated);
    ac_port_done(&p);
    assert_int_equal(
        ac_port_parse_text("x,port=20000,count=10,protocol=udp,socketActivated=true", &p, &fault),
        0);
    assert_string_equal(p.protocol, "udp");
    assert_int_equal(p.port, 20000);
    assert_int_equal(p.count, 10);
    assert_true(p.socket_activated);
    ac_port_done(&p);
}

static void wrong_mount_points_and_ports(void **state)
{
    (void)state;
    static const struct text_row points[] = {
        {"a", "path", 1, "is required"},
        {"a,path=x", "path", 3, "is not an absolute path"},
        {"a,path=/x,path=/y", "path", 11, "is given twice"},
        {"a,path=/x,kind=empty", "", 11, "unknown key"},
        {"a_b,path=/x", "name", 1, "is not an AC Name"},
    };
    static const struct text_row ports[] = {
        {"a", "protocol", 1, "is required"},
        {"a,protocol=tcp", "port", 1, "is required"},
        {"a,protocol=tcp,port=0", "port", 16, "must be from 1"},
        {"a,protocol=tcp,port=http", "port", 16, "is not a number"},
        {"a,protocol=tcp,port=+1", "port", 16, "is not a number"},
        {"a,protocol=tcp,port=65535,count=2", "count", 27, "go beyond"},
        {"a,protocol=,port=1", "protocol", 3, "must not be empty"},
        {"a,protocol=tcp,port=1,hostPort=1", "", 23, "unknown key"},
    };
    struct ac_mount_point m;
    struct ac_port p;
    struct ac_fault fault;
    for (size_t i = 0; i < ARRAY_SIZE(points); i++)
        expect(&points[i], ac_mount_point_parse_text(points[i].text, &m, &fault), &fault);
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        expect(&ports[i], ac_port_parse_text(ports[i].text, &p, &fault), &fault);
}

/* APP-39. */
static void booleans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value; /* -1: refused */
    } rows[] = {
        {"1", 1}, {"t", 1},     {"T", 1},     {"TRUE", 1},  {"true", 1},   {"True", 1}, {"0", 0},
        {"f", 0}, {"F", 0},     {"FALSE", 0}, {"false", 0}, {"False", 0},  {"yes", -1}, {"no", -1},
        {"", -1}, {"tRUE", -1}, {"2", -1},    {"on", -1},   {"true ", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[64];
        struct ac_mount_point m;
        struct ac_fault fault;
        snprintf(text, sizeof(text), "a,path=/,readOnly=%s", rows[i].text);
        int result = ac_mount_point_parse_text(text, &m, &fault);
        if (result != (rows[i].value < 0 ? -1 : 0))
            fail_msg("%s", rows[i].text);
        if (result == 0) {
            assert_int_equal(m.read_only, rows[i].value);
            ac_mount_point_done(&m);
        } else {
            assert_string_equal(fault.path, "readOnly");
        }
    }
}

/* DISC-30, DISC-31, DISC-32; `labels` is "name=value;..." in order. */
static void image_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *labels, *printed;
    } rows[] = {
        {"a", "a", "", "a"},
        {"example.com/a", "example.com/a", "", "example.com/a"},
        {"a:1.0.0", "a", "version=1.0.0;", "a:1.0.0"},
        {"a:", "a", "version=;", "a:"},
        {"a:1,os=linux,arch=amd64", "a", "version=1;os=linux;arch=amd64;",
         "a:1,os=linux,arch=amd64"},
        {"a,version=1", "a", "version=1;", "a:1"},
        {"a,os=linux,version=1", "a", "os=linux;version=1;", "a:1,os=linux"},
        {"a,l=", "a", "l=;", "a,l="},
        {"foo,l=a%2Cb", "foo", "l=a%2Cb;", "foo,l=a%2Cb"},
        {"foo,l=a+b=c d", "foo", "l=a+b=c d;", "foo,l=a+b=c d"},
        {"localhost:8080/a", "localhost", "version=8080/a;", "localhost:8080/a"},
        {"http://x", "http", "version=//x;", "http://x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_image_name n;
        struct ac_fault fault;
        cleanup_with(buf_free) struct buf labels = {0};
        if (ac_image_name_parse(rows[i].text, &n, &fault) < 0)
            fail_msg("%s: %s: %s", rows[i].text, fault.path, fault.msg);
        for (size_t k = 0; k < n.labels.n; k++)
            buf_printf(&labels, "%s=%s;", n.labels.v[k].name, n.labels.v[k].value);
        cleanup_free char *printed = ac_image_name_format(&n);
        assert_string_equal(n.name, rows[i].name);
        assert_string_equal(labels.data ? labels.data : "", rows[i].labels);
        assert_string_equal(printed, rows[i].printed);
        ac_image_name_done(&n);
    }
}

static void wrong_image_names(void **state)
{
    (void)state;
    static const struct text_row rows[] = {
        {"", "name", 1, "is not an image name"},
        {":1", "name", 1, "is not an image name"},
        {"A", "name", 1, "is not an image name"},
        {"a/../b", "name", 1, "is not an image name"},
        {"/a", "name", 1, "is not an image name"},
        {"a b", "name", 1, "is not an image name"},
        {"a:1:2", "version", 3, "a second colon"},
        {"foo,l=a:b", "l", 5, "contains a colon"},
        {"foo:1,l=a:b", "l", 7, "contains a colon"},
        {"a:1,version=2", "version", 5, "is given twice"},
        {"a,l=1,m=2,l=3", "l", 11, "is given twice"},
        {"a,name=b", "name", 3, "a label can't be called"},
        {"a,", "", 3, "is not LABEL=VALUE"},
        {"a,l", "", 3, "\"l\" is not LABEL=VALUE"},
        {"a,l=1,,m=2", "", 7, "is not LABEL=VALUE"},
        {"a,=1", "", 3, "is not a label name"},
        {"a,L=1", "L", 3, "is not a label name"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ac_image_name n;
        struct ac_fault fault;
        expect(&rows[i], ac_image_name_parse(rows[i].text, &n, &fault), &fault);
        assert_int_equal(ac_image_name_parse(rows[i].text, &n, NULL), -1);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes),
        cmocka_unit_test(wrong_volumes),
        cmocka_unit_test(mount_points_and_ports),
        cmocka_unit_test(wrong_mount_points_and_ports),
        cmocka_unit_test(booleans),
        cmocka_unit_test(image_names),
        cmocka_unit_test(wrong_image_names),
    };
    return RUN(tests);
}
