/* SPDX-License-Identifier: Apache-2.0 */
/* Image manifests: what parses has to print to something that parses to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fault(const struct ac_fault *f)
{
    json_t *path = json_string(f->path), *msg = json_string(f->msg);
    if (!path || !msg || !f->msg[0] || f->line == 0 || f->column == 0)
        abort();
    json_decref(path);
    json_decref(msg);
}

static void check_print(const struct ac_image_manifest *m)
{
    struct ac_image_manifest *again;
    json_t *first = ac_image_manifest_to_json(m);
    char *text = json_dumps(first, 0);
    if (ac_image_manifest_parse(text, strlen(text), &again, NULL) < 0)
        abort();
    json_t *second = ac_image_manifest_to_json(again);
    if (!json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
    free(text);
    ac_image_manifest_free(again);
}

static void check_copy(struct ac_image_manifest *m)
{
    struct ac_app copy;
    if (!m->has_app)
        return;
    ac_app_copy(&copy, &m->app);
    ac_app_done(&m->app);
    m->app = copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_image_manifest *m;
    struct ac_fault fault = {0};
    if (ac_image_manifest_parse((const char *)data, size, &m, &fault) < 0) {
        check_fault(&fault);
        return 0;
    }
    check_copy(m);
    check_print(m);
    ac_image_manifest_free(m);
    return 0;
}
