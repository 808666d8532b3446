/* SPDX-License-Identifier: Apache-2.0 */
/* wire/: frames and messages, whole and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "wire/wire.h"

static void frames_round_trip(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    struct err e;
    json_t *out = wire_log("warning", "app", "text with \"quotes\" and \xff bytes"), *in = NULL;
    assert_non_null(out);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wire_frame_add(&b, out, WIRE_GUEST_FRAME_MAX, &e), 0);
    /* Bytes arrive one at a time. */
    cleanup_with(buf_free) struct buf slow = {0};
    int frames = 0;
    for (size_t i = 0; i < b.len; i++) {
        buf_add(&slow, b.data + i, 1);
        int r = wire_frame_take(&slow, WIRE_GUEST_FRAME_MAX, &in, &e);
        assert_true(r >= 0);
        if (r == 1) {
            frames++;
            assert_true(json_equal(in, out));
            json_decref(in);
        }
    }
    assert_int_equal(frames, 3);
    assert_int_equal(slow.len, 0);
    json_decref(out);
}

static void hostile_frames_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\xff\xff\xff\xff", 4},
        {"\x01\x00\x00\x00{", 5},
        {"\x02\x00\x00\x00[]", 6},
        {"\x02\x00\x00\x00{}", 6},
        {"\x0a\x00\x00\x00{\"type\":1}", 14},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_with(buf_free) struct buf b = {0};
        struct err e = {0};
        json_t *msg = NULL;
        buf_add(&b, rows[i].bytes, rows[i].len);
        assert_int_equal(wire_frame_take(&b, WIRE_GUEST_FRAME_MAX, &msg, &e), -1);
        assert_true(e.msg[0] != '\0');
    }
}

static struct wire_config sample(void)
{
    struct wire_config c = {
        .uuid = strdup("6733c088-a507-4694-aabf-edbe4fc5266f"),
        .hostname = strdup("pod"),
        .manifest = json_pack("{s:[]}", "apps"),
        .roots = calloc(2, sizeof(struct wire_root)),
        .nroots = 2,
        .apps = calloc(1, sizeof(struct wire_app)),
        .napps = 1,
        .profiles = calloc(1, sizeof(struct wire_profile)),
        .nprofiles = 1,
        .from_image = calloc(2, sizeof(unsigned)),
        .nfrom_image = 2,
        .resolv_conf = strdup("nameserver 192.0.2.1\n"),
        .scratch = true,
        .grace_ms = 10000,
        .clock_ns = 1234567890123456789,
    };
    c.roots[0] = (struct wire_root){0, 4096};
    c.roots[1] = (struct wire_root){4096, 1ULL << 40};
    c.profiles[0] = (struct wire_profile){8192, 1593};
    c.from_image[1] = 7;
    c.apps[0] = (struct wire_app){strdup("app"), 1, true, 3};
    return c;
}

static void config_round_trips(void **state)
{
    (void)state;
    cleanup_with(wire_config_done) struct wire_config c = sample();
    cleanup_with(wire_config_done) struct wire_config d = {0};
    struct err e = {0};
    json_t *msg = wire_config_encode(&c);
    assert_non_null(msg);
    assert_int_equal(wire_config_decode(msg, &d, &e), 0);
    assert_string_equal(d.uuid, c.uuid);
    assert_null(d.metadata_url);
    assert_int_equal(d.nroots, 2);
    assert_true(d.roots[1].length == 1ULL << 40);
    assert_int_equal(d.apps[0].root, 1);
    assert_true(d.apps[0].notify);
    assert_int_equal(d.apps[0].stop_signal, 3);
    assert_int_equal(d.nprofiles, 1);
    assert_true(d.profiles[0].offset == 8192 && d.profiles[0].length == 1593);
    assert_int_equal(d.nfrom_image, 2);
    assert_true(d.from_image[0] == 0 && d.from_image[1] == 7);
    assert_null(d.hosts);
    assert_string_equal(d.resolv_conf, c.resolv_conf);
    assert_true(d.scratch && !d.debug);
    assert_true(d.clock_ns == c.clock_ns);
    json_decref(msg);
}

static void config_bounds_hold(void **state)
{
    (void)state;
    static const char *const members[] = {"uuid", "hostname", "manifest", "roots",
                                          "apps", "graceMs",  "clockNs",  "version"};
    cleanup_with(wire_config_done) struct wire_config c = sample();
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        struct wire_config d = {0};
        struct err e = {0};
        json_t *msg = wire_config_encode(&c);
        json_object_del(msg, members[i]);
        assert_int_equal(wire_config_decode(msg, &d, &e), -1);
        assert_null(d.uuid);
        json_decref(msg);
    }
    struct err e = {0};
    c.apps[0].root = 2;
    json_t *msg = wire_config_encode(&c);
    struct wire_config d = {0};
    assert_int_equal(wire_config_decode(msg, &d, &e), -1);
    json_decref(msg);
    c.apps[0].root = 0;
    c.apps[0].stop_signal = 65;
    msg = wire_config_encode(&c);
    assert_int_equal(wire_config_decode(msg, &d, &e), -1);
    json_decref(msg);
    c.apps[0].stop_signal = 0;
    c.roots[0].offset = 100;
    msg = wire_config_encode(&c);
    assert_int_equal(wire_config_decode(msg, &d, &e), -1);
    json_decref(msg);
    c.roots[0].offset = 0;
    c.profiles[0].length = WIRE_PROFILE_SIZE_MAX + 1;
    msg = wire_config_encode(&c);
    assert_int_equal(wire_config_decode(msg, &d, &e), -1);
    json_decref(msg);
    c.profiles[0].length = 1;
    msg = wire_config_encode(&c);
    json_object_set_new(msg, "hosts", json_integer(1));
    assert_int_equal(wire_config_decode(msg, &d, &e), -1);
    json_decref(msg);
}

static void from_image_is_bounded(void **state)
{
    (void)state;
    cleanup_with(wire_config_done) struct wire_config c = sample();
    static const char *const bad[] = {"7", "{}", "[-1]", "[4294967296]", "[\"0\"]", "[0, null]"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct wire_config d = {0};
        struct err e = {0};
        json_error_t je;
        json_t *msg = wire_config_encode(&c);
        json_object_set_new(msg, "fromImage", json_loads(bad[i], JSON_DECODE_ANY, &je));
        assert_int_equal(wire_config_decode(msg, &d, &e), -1);
        json_object_del(msg, "fromImage");
        assert_int_equal(wire_config_decode(msg, &d, &e), 0);
        assert_int_equal(d.nfrom_image, 0);
        wire_config_done(&d);
        json_decref(msg);
    }
}

static void app_events_round_trip(void **state)
{
    (void)state;
    struct wire_app_event out = {.name = "worker",
                                 .state = WIRE_APP_EXITED,
                                 .pid = 17,
                                 .exit_status = 137,
                                 .signal = 9},
                          in;
    struct err e = {0};
    json_t *msg = wire_app_event_encode(&out);
    assert_int_equal(wire_app_event_decode(msg, &in, &e), 0);
    assert_string_equal(in.name, "worker");
    assert_int_equal(in.state, WIRE_APP_EXITED);
    assert_int_equal(in.exit_status, 137);
    json_object_set_new(msg, "exitStatus", json_integer(256));
    assert_int_equal(wire_app_event_decode(msg, &in, &e), -1);
    json_decref(msg);
}

static void notify_round_trips(void **state)
{
    (void)state;
    struct wire_notify out = {.app = "worker", .ready = true, .status = "going \xff well"}, in;
    struct err e = {0};
    json_t *msg = wire_notify_encode(&out);
    assert_int_equal(wire_notify_decode(msg, &in, &e), 0);
    assert_string_equal(in.app, "worker");
    assert_true(in.ready);
    assert_string_equal(in.status, "going ? well");
    json_object_set_new(msg, "ready", json_integer(1));
    assert_int_equal(wire_notify_decode(msg, &in, &e), -1);
    json_decref(msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_round_trip),     cmocka_unit_test(hostile_frames_are_refused),
        cmocka_unit_test(config_round_trips),    cmocka_unit_test(config_bounds_hold),
        cmocka_unit_test(from_image_is_bounded), cmocka_unit_test(app_events_round_trip),
        cmocka_unit_test(notify_round_trips),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
