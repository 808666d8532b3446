/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: references to OCI images, and the challenge of a registry. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/challenge.h"
#include "fetch/oci/digest.h"
#include "fetch/oci/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is read again from its full text, to the same. */
static void check_ref(const char *text)
{
    struct oci_ref r, again;
    if (oci_ref_parse(text, &r, NULL) < 0)
        return;
    cleanup_free char *full = oci_ref_text(&r);
    cleanup_free char *leaf = oci_ref_leaf(&r);
    if (!*leaf || oci_ref_parse(full, &again, NULL) < 0)
        abort();
    cleanup_free char *same = oci_ref_text(&again);
    if (strcmp(full, same) != 0 || (r.digest && !oci_digest_valid(r.digest)))
        abort();
    /* These go into URLs. */
    if (r.repository && (strstr(r.repository, "..") || strpbrk(r.repository, "?#@%: ")))
        abort();
    if (r.kind == OCI_REGISTRY && r.tag && strpbrk(r.tag, "/?#@%: "))
        abort();
    oci_ref_done(&r);
    oci_ref_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *text = xstrndup((const char *)data, size);
    struct oci_challenge c;
    check_ref(text);
    if (oci_challenge_parse(text, &c)) {
        if (!c.realm)
            abort();
        oci_challenge_done(&c);
    }
    return 0;
}
