/* SPDX-License-Identifier: Apache-2.0 */
/* The text forms: image names print to what parses to the same; the others must not fail badly. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/label.h"
#include "schema/text.h"
#include "schema/types.h"
#include "schema/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_image_name(const char *text)
{
    struct ac_image_name n, again;
    struct ac_fault fault = {0};
    if (ac_image_name_parse(text, &n, &fault) < 0) {
        if (!fault.msg[0] || fault.column == 0 || fault.column > strlen(text) + 1)
            abort();
        return;
    }
    char *printed = ac_image_name_format(&n);
    if (!ac_identifier_valid(n.name) || ac_image_name_parse(printed, &again, NULL) < 0 ||
        strcmp(n.name, again.name) != 0 || n.labels.n != again.labels.n ||
        !ac_labels_match(&n.labels, &again.labels))
        abort();
    free(printed);
    ac_image_name_done(&n);
    ac_image_name_done(&again);
}

static void check_objects(const char *text)
{
    struct ac_volume v;
    struct ac_mount_point m;
    struct ac_port p;
    struct ac_fault fault;
    if (ac_volume_parse_text(text, &v, &fault) == 0)
        ac_volume_done(&v);
    if (ac_mount_point_parse_text(text, &m, &fault) == 0)
        ac_mount_point_done(&m);
    if (ac_port_parse_text(text, &p, &fault) == 0)
        ac_port_done(&p);
}

static void check_sanitisers(const char *text)
{
    char *name = ac_name_sanitise(text), *identifier = ac_identifier_sanitise(text);
    char *path = ac_path_clean(text), *again = ac_path_clean(path);
    if ((name && !ac_name_valid(name)) || (identifier && !ac_identifier_valid(identifier)) ||
        *path != '/' || strcmp(path, again) != 0)
        abort();
    free(name);
    free(identifier);
    free(path);
    free(again);
}

static void check_scalars(const char *text)
{
    uint8_t uuid[AC_UUID_SIZE];
    if (ac_semver_valid(text) && ac_semver_compare(text, text) != 0)
        abort();
    ac_date_valid(text);
    ac_url_valid(text);
    ac_uuid_parse(text, uuid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    check_image_name(text);
    check_objects(text);
    check_sanitisers(text);
    check_scalars(text);
    free(text);
    return 0;
}
