/* SPDX-License-Identifier: Apache-2.0 */
/* mds/route: which resource a request names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bundle_fixture.h"
#include "mds/route.h"

static struct bundle bundle;

static int setup(void **state)
{
    struct err err;
    (void)state;
    return bundle_decode(BUNDLE, strlen(BUNDLE), &bundle, &err);
}

static int teardown(void **state)
{
    (void)state;
    bundle_done(&bundle);
    return 0;
}

static void serves(const char *path, const char *type, const char *body)
{
    struct route r = route_find(&bundle, "GET", path);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.action, ROUTE_TEXT);
    assert_string_equal(r.type, type);
    assert_int_equal(r.body.len, strlen(body));
    assert_memory_equal(r.body.data, body, r.body.len);
    assert_int_equal(route_find(&bundle, "HEAD", path).status, 200);
}

static void every_resource_is_found_mds_09_to_15(void **state)
{
    (void)state;
    serves(BASE "/pod/annotations", ROUTE_TYPE_JSON, "[{\"name\":\"a\",\"value\":\"1\"}]");
    serves(BASE "/pod/manifest", ROUTE_TYPE_JSON, MANIFEST);
    serves(BASE "/pod/uuid", ROUTE_TYPE_TEXT, UUID);
    serves(BASE "/apps/main/annotations", ROUTE_TYPE_JSON, "[{\"name\":\"x\",\"value\":\"y\"}]");
    serves(BASE "/apps/side-kick/image/manifest", ROUTE_TYPE_JSON, "{ \n}");
    serves(BASE "/apps/side-kick/image/id", ROUTE_TYPE_TEXT, IMAGE_ID);
    assert_int_equal(route_find(&bundle, "POST", BASE "/pod/hmac/sign").action, ROUTE_SIGN);
    assert_int_equal(route_find(&bundle, "POST", BASE "/pod/hmac/verify").action, ROUTE_VERIFY);
}

static void slashes_in_a_row_count_as_one(void **state)
{
    (void)state;
    serves("/" TOKEN "//acMetadata/v1/pod/uuid", ROUTE_TYPE_TEXT, UUID);
    serves("//" TOKEN "/acMetadata//v1///pod//uuid", ROUTE_TYPE_TEXT, UUID);
    serves(BASE "/apps/main//image//id", ROUTE_TYPE_TEXT, IMAGE_ID);
    serves("http://169.254.169.255" BASE "/pod/uuid", ROUTE_TYPE_TEXT, UUID);
}

static void status_is(unsigned status, const char *method, const char *path)
{
    struct route r = route_find(&bundle, method, path);
    if (r.status != status)
        fail_msg("%s %s: %u, not %u", method, path, r.status, status);
    assert_string_equal(r.type, ROUTE_TYPE_TEXT);
    assert_null(r.body.data);
}

static void without_the_token_nothing_is_told_mds_03(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "/",
        "*",
        "/acMetadata/v1/pod/uuid",
        "/" TOKEN "x/acMetadata/v1/pod/uuid",
        "/Z" TOKEN "/acMetadata/v1/pod/uuid",
        "/y4vFeVZzKM2T9rwkpWHfqXuGsNjS6O5c/acMetadata/v1/pod/uuid",
        "/" UUID "/acMetadata/v1/pod/uuid",
        "/x/nothing",
        "http://" TOKEN "/acMetadata/v1/pod/uuid",
        "http://",
    };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        status_is(403, "GET", paths[i]);
        status_is(403, "DELETE", paths[i]);
    }
}

static void unknown_paths_are_404_mds_21(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/" TOKEN,
        "/" TOKEN "/",
        "/" TOKEN "/acMetadata",
        "/" TOKEN "/acMetadata/v2/pod/uuid",
        "/" TOKEN "/acmetadata/v1/pod/uuid",
        BASE,
        BASE "/pod",
        BASE "/pod/",
        BASE "/pod/uuid/",
        BASE "/pod/uuidx",
        BASE "/pod/uui",
        BASE "/podx/uuid",
        BASE "/pod/hmac",
        BASE "/pod/hmac/sign/x",
        BASE "/apps",
        BASE "/apps/",
        BASE "/apps/main",
        BASE "/apps/other/image/id",
        BASE "/apps/mai/image/id",
        BASE "/apps/main/image",
        BASE "/apps/main/image/id/",
        BASE "/apps/../pod/uuid",
    };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        status_is(404, "GET", paths[i]);
        status_is(404, "POST", paths[i]);
    }
}

static void other_methods_are_405_mds_21(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get", "PATCH", ""};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        status_is(405, methods[i], BASE "/pod/uuid");
        assert_string_equal(route_find(&bundle, methods[i], BASE "/pod/uuid").allow, "GET, HEAD");
    }
    status_is(405, "GET", BASE "/pod/hmac/sign");
    status_is(405, "HEAD", BASE "/pod/hmac/verify");
    assert_string_equal(route_find(&bundle, "GET", BASE "/pod/hmac/verify").allow, "POST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_resource_is_found_mds_09_to_15),
        cmocka_unit_test(slashes_in_a_row_count_as_one),
        cmocka_unit_test(without_the_token_nothing_is_told_mds_03),
        cmocka_unit_test(unknown_paths_are_404_mds_21),
        cmocka_unit_test(other_methods_are_405_mds_21),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
