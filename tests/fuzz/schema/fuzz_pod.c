/* SPDX-License-Identifier: Apache-2.0 */
/* Pod manifests and templates: what parses has to print to something that parses to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/isolator.h"
#include "schema/manifest.h"
#include "schema/reified.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(const struct ac_pod_manifest *m, bool template)
{
    struct ac_pod_manifest *again, *third;
    json_t *first = ac_pod_manifest_to_json(m);
    char *text = json_dumps(first, 0);
    if (ac_pod_manifest_parse(text, strlen(text), template, &again, NULL) < 0 ||
        ac_pod_manifest_from_json(first, template, &third, NULL) < 0)
        abort();
    json_t *second = ac_pod_manifest_to_json(again);
    if (!json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
    free(text);
    ac_pod_manifest_free(again);
    ac_pod_manifest_free(third);
}

/* Isolators of a parsed manifest always decode. */
static void check_isolators(const struct ac_isolators *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct ac_isolator_view view;
        if (ac_isolator_decode(&l->v[i], &view, NULL) < 0)
            abort();
        ac_isolator_view_done(&view);
    }
}

static void check_manifest(const struct ac_pod_manifest *m, bool template)
{
    struct ac_fault fault;
    check_isolators(&m->isolators);
    for (size_t i = 0; i < m->napps; i++)
        check_isolators(&m->apps[i].app.isolators);
    check_print(m, template);
    ac_pod_manifest_check_reified(m, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int template = 0; template <2; template ++) {
        struct ac_pod_manifest *m;
        struct ac_fault fault = {0};
        if (ac_pod_manifest_parse((const char *)data, size, template, &m, &fault) < 0) {
            if (!fault.msg[0] || fault.line == 0 || fault.column == 0)
                abort();
            continue;
        }
        check_manifest(m, template);
        ac_pod_manifest_free(m);
    }
    return 0;
}
