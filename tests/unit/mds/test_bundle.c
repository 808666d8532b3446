/* SPDX-License-Identifier: Apache-2.0 */
/* mds/bundle: what a metadata service starts from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bundle_fixture.h"
#include "mds/bundle.h"
#include "schema/value.h"

static void a_bundle_is_read(void **state)
{
    (void)state;
    struct err err;
    cleanup_with(bundle_done) struct bundle b = {0};
    assert_int_equal(bundle_decode(BUNDLE, strlen(BUNDLE), &b, &err), 0);
    assert_string_equal(b.uuid_text, UUID);
    assert_int_equal(b.uuid[0], 0xf8);
    assert_int_equal(b.master[1], 0x23);
    assert_string_equal(b.pod_manifest.data, MANIFEST);
    assert_string_equal(b.pod_annotations.data, "[{\"name\":\"a\",\"value\":\"1\"}]");
    assert_int_equal(b.napps, 2);
    const struct bundle_app *a = bundle_find(&b, "side-kick/x", 9);
    assert_non_null(a);
    assert_string_equal(a->image_id.data, IMAGE_ID);
    assert_string_equal(a->image_manifest.data, "{ \n}");
    assert_string_equal(a->annotations.data, "[{\"name\":\"x\",\"value\":\"y\"}]");
    assert_null(bundle_find(&b, "side", 4));
    assert_null(bundle_find(&b, "side-kick2", 10));
    assert_null(bundle_find(&b, "", 0));
}

static void refused(const char *text, const char *why)
{
    struct err err = {0};
    struct bundle b;
    assert_int_equal(bundle_decode(text, strlen(text), &b, &err), -1);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    /* Messages go to a log: no secret may be in them. */
    assert_null(strstr(err.msg, TOKEN));
    assert_null(strstr(err.msg, HEX64));
}

#define KEY HEX64 HEX64

static void faults_are_named(void **state)
{
    (void)state;
    refused("", "no JSON object");
    refused("[]", "no JSON object");
    refused("{\"token\": \"" TOKEN "\" \"masterKey\": \"" KEY "\"}", "no JSON object");
    refused("{}", "\"uuid\"");
    refused(BUNDLE_WITH("x", TOKEN, KEY, QUOTED_MANIFEST, "[]"), "no UUID");
    refused(BUNDLE_WITH(UUID, "short", KEY, QUOTED_MANIFEST, "[]"), "\"token\"");
    refused(BUNDLE_WITH(UUID, TOKEN "/x", KEY, QUOTED_MANIFEST, "[]"), "\"token\"");
    refused(BUNDLE_WITH(UUID, TOKEN, HEX64, QUOTED_MANIFEST, "[]"), "\"masterKey\"");
    refused(BUNDLE_WITH(UUID, TOKEN, HEX64 "zz" HEX64, QUOTED_MANIFEST, "[]"), "\"masterKey\"");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, "{}", "[]"), "\"podManifest\"");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, "\"{\"", "[]"), "pod manifest is no JSON");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, "\"{}\"", "[]"), "\"annotations\" is no list");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, QUOTED_MANIFEST, "{}"), "\"apps\"");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, QUOTED_MANIFEST, "[1]"), "apps[0]");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, QUOTED_MANIFEST, "[" APP("a/b") "]"), "no AC Name");
    refused(BUNDLE_WITH(UUID, TOKEN, KEY, QUOTED_MANIFEST, "[" APP("a") "," APP("a") "]"),
            "two apps");
}

/* MDS-13: image order, overrides in place, additions at the end. */
static void annotations_are_merged_mds_13(void **state)
{
    (void)state;
    cleanup_with(ac_pairs_done) struct ac_pairs image = {0};
    cleanup_with(ac_pairs_done) struct ac_pairs pod = {0};
    ac_pairs_add(&image, "created", "then");
    ac_pairs_add(&image, "authors", "them");
    ac_pairs_add(&image, "lorem", "ipsum");
    ac_pairs_add(&pod, "new", "1");
    ac_pairs_add(&pod, "authors", "us");
    ac_pairs_add(&pod, "newer", "\"2\"");
    json_t *list = bundle_merge_annotations(&image, &pod);
    cleanup_free char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    assert_string_equal(text, "[{\"name\":\"created\",\"value\":\"then\"},"
                              "{\"name\":\"authors\",\"value\":\"us\"},"
                              "{\"name\":\"lorem\",\"value\":\"ipsum\"},"
                              "{\"name\":\"new\",\"value\":\"1\"},"
                              "{\"name\":\"newer\",\"value\":\"\\\"2\\\"\"}]");
}

static void no_annotations_are_an_empty_list_val_61(void **state)
{
    (void)state;
    const struct ac_pairs none = {0};
    json_t *list = bundle_merge_annotations(&none, &none);
    assert_int_equal(json_array_size(list), 0);
    assert_true(json_is_array(list));
    json_decref(list);
}

static const char image_manifest[] =
    "{ \"acKind\": \"ImageManifest\", \"acVersion\": \"0.8.11\", \"name\": \"example.com/a\",\n"
    "  \"unknown\": [1.50, \"\\u00e9\", \"\xc3\xa9\"],\n"
    "  \"annotations\": [{\"name\": \"authors\", \"value\": \"x\"}] }\n";

static const char pod_manifest[] =
    "{\"acKind\": \"PodManifest\", \"acVersion\": \"0.8.11\", \"apps\": [{\"name\": \"main\","
    "\"image\": {\"id\": \"" IMAGE_ID "\"}, \"annotations\": [{\"name\": \"b\", \"value\": \"2\"}],"
    "\"app\": {\"exec\": [\"/x\"], \"user\": \"0\", \"group\": \"0\"}}]}";

static int encode(const char *image, char **ret, size_t *ret_len, struct err *err)
{
    uint8_t master[IDENTITY_MASTER_SIZE] = {7};
    struct ac_pod_manifest *pod;
    struct ac_fault fault;
    const struct bundle_image images[] = {{image, strlen(image)}};
    assert_int_equal(ac_pod_manifest_parse(pod_manifest, strlen(pod_manifest), false, &pod, &fault),
                     0);
    int r = bundle_encode(UUID, TOKEN, master, pod, images, ret, ret_len, err);
    ac_pod_manifest_free(pod);
    return r;
}

/* MDS-14: bytes as in the image. VAL-60: the manifest has annotations, and as a list. */
static void what_is_written_is_read_mds_14_val_60(void **state)
{
    (void)state;
    struct err err;
    cleanup_free char *text = NULL;
    size_t len;
    cleanup_with(bundle_done) struct bundle b = {0};
    assert_int_equal(encode(image_manifest, &text, &len, &err), 0);
    assert_int_equal(bundle_decode(text, len, &b, &err), 0);
    assert_int_equal(b.master[0], 7);
    assert_string_equal(b.token, TOKEN);
    assert_string_equal(b.pod_annotations.data, "[]");
    assert_non_null(strstr(b.pod_manifest.data, "\"annotations\":[]"));
    assert_int_equal(b.apps[0].image_manifest.len, strlen(image_manifest));
    assert_string_equal(b.apps[0].image_manifest.data, image_manifest);
    assert_string_equal(
        b.apps[0].annotations.data,
        "[{\"name\":\"authors\",\"value\":\"x\"},{\"name\":\"b\",\"value\":\"2\"}]");
}

static void a_bad_image_manifest_is_named(void **state)
{
    (void)state;
    struct err err;
    char *text;
    size_t len;
    assert_int_equal(encode("{}", &text, &len, &err), -1);
    assert_non_null(strstr(err.msg, IMAGE_ID));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_is_read),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(annotations_are_merged_mds_13),
        cmocka_unit_test(no_annotations_are_an_empty_list_val_61),
        cmocka_unit_test(what_is_written_is_read_mds_14_val_60),
        cmocka_unit_test(a_bad_image_manifest_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
