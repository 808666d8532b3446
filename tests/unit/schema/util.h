/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of schema/: manifests in C strings, and what is expected of them. */
#ifndef APPC_TEST_SCHEMA_UTIL_H
#define APPC_TEST_SCHEMA_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "schema/manifest.h"

/* In the JSON of these tests, ' stands for ". */

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define ID    "sha512-" HEX64 HEX64

/* An image manifest with more members (each followed by a comma). */
#define IMAGE_END      "'acKind':'ImageManifest','acVersion':'0.8.11','name':'example.com/a'}"
#define IMAGE(members) "{" members IMAGE_END

/* An image manifest whose app has more members. */
#define APP(members) IMAGE("'app':{" members "'user':'0','group':'0'},")

/* A pod manifest with one app, which has more members, and more members itself. */
#define PODAPP(members) "{" members "'name':'a','image':{'id':'" ID "'}}"
#define POD2(apps, members)                                                                        \
    "{" members "'acKind':'PodManifest','acVersion':'0.8.11','apps':[" apps "]}"
#define POD_END      "'acKind':'PodManifest','acVersion':'0.8.11','apps':[" PODAPP("") "]}"
#define POD(members) "{" members POD_END

/* A row of a table: `path` NULL means valid; else the fault's path and a part of its message. */
struct row {
    const char *json;
    const char *path;
    const char *msg;
};

/* ' becomes "; the caller frees. */
char *quoted(const char *json);

/*
 * Parse what has to be valid, and check that printing and parsing again gives
 * the same. The caller frees.
 */
struct ac_image_manifest *image_of(const char *json);
struct ac_pod_manifest *pod_of(const char *json);
struct ac_pod_manifest *pod_template_of(const char *json);

void check_image_rows(const struct row *rows, size_t n);
void check_pod_rows(const struct row *rows, size_t n);
#define check_images(rows) check_image_rows((rows), ARRAY_SIZE(rows))
#define check_pods(rows)   check_pod_rows((rows), ARRAY_SIZE(rows))

/* Runs all tests of a file. */
#define RUN(tests) cmocka_run_group_tests((tests), NULL, NULL)

#endif
