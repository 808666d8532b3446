/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a file of credentials. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fetch/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s)
{
    for (; s && *s; s++)
        if ((unsigned char)*s < ' ')
            abort(); /* it goes into a request */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth a = {0};
    struct err err;
    struct url u;
    (void)auth_parse((const char *)data, size, "x.json", &a, &err);
    for (size_t i = 0; i < a.n; i++) {
        check(a.v[i].user);
        check(a.v[i].password);
        check(a.v[i].token);
        if ((a.v[i].token == NULL) == (a.v[i].user == NULL))
            abort();
    }
    if (url_parse("http://example.com:443/", &u, NULL) == 0) {
        if (auth_find(&a, &u))
            abort();
        url_done(&u);
    }
    auth_done(&a);
    return 0;
}
