/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: index, manifest, config, docker save's list, and the token service's answer. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fetch/oci/digest.h"
#include "fetch/oci/document.h"
#include "fetch/oci/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(const char *text, size_t size)
{
    struct oci_document d;
    struct err err;
    if (oci_document_parse(text, size, "x", &d, &err) < 0)
        return;
    if (d.n > OCI_ENTRIES_MAX || (!d.index && d.n > OCI_LAYERS_MAX))
        abort();
    for (size_t i = 0; i < d.n; i++)
        if (!oci_digest_valid(d.v[i].digest) || d.v[i].size > OCI_SIZE_MAX)
            abort();
    cleanup_free char *platforms = oci_document_platforms(&d);
    (void)oci_document_choose(&d, "linux", "amd64");
    oci_document_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct oci_config c;
    struct oci_saved_list l;
    struct err err;
    check_document(text, size);
    if (oci_config_parse(text, size, "x", &c, &err) == 0)
        oci_config_done(&c);
    if (oci_saved_parse(text, size, "x", &l, &err) == 0)
        oci_saved_done(&l);
    cleanup_free char *token = registry_parse_token(text, size, "x", &err);
    for (const char *p = token; p && *p; p++)
        if (*p <= ' ') /* it goes into a header */
            abort();
    return 0;
}
