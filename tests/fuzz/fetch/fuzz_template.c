/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: template, image name, label name and label value, a line each; then the URL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fetch/template.h"
#include "fetch/url.h"
#include "schema/types.h"
#include "schema/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *text)
{
    struct url u, again, next;
    if (url_parse(text, &u, NULL) < 0)
        return;
    if (url_parse(u.text, &again, NULL) < 0 || strcmp(u.text, again.text) != 0 ||
        strcmp(u.host, again.host) != 0 || u.port != again.port)
        abort(); /* what was normalised stays as it is */
    url_done(&again);
    free(url_signature(&u));
    free(url_leaf(&u));
    if (url_resolve(&u, text, &next, NULL) == 0)
        url_done(&next);
    url_done(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size), *rest = text;
    const char *part[4];
    struct ac_pairs labels = {0};
    char *image, *signature;
    for (size_t i = 0; i < 4; i++) {
        part[i] = rest ? strsep(&rest, "\n") : "";
    }
    ac_pairs_add(&labels, part[2], part[3]);
    if (template_expand(part[0], part[1], &labels, &image, &signature) == TEMPLATE_OK) {
        if (strlen(image) > URL_MAX + 8)
            abort();
        check_url(image);
        check_url(signature);
        free(image);
        free(signature);
    }
    if (template_prefix_matches(part[2], part[1]) &&
        strncmp(part[2], part[1], strlen(part[2])) != 0)
        abort();
    check_url(part[0]);
    ac_pairs_done(&labels);
    free(text);
    return 0;
}
