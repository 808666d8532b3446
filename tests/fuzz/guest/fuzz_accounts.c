/* SPDX-License-Identifier: Apache-2.0 */
/* An image's passwd and group files: the first line of the input is the name that is sought. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "guest-init/accounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size);
    size_t name_len = nl ? (size_t)(nl - data) : 0;
    cleanup_free char *name = xstrndup((const char *)data, name_len);
    size_t skip = nl ? name_len + 1 : 0, len = size - skip;
    /* Exactly as long as the file, so that a read behind it is seen. */
    cleanup_free char *text = xmalloc(len ? len : 1);
    memcpy(text, data + skip, len);
    struct passwd_entry e;
    uint32_t gid;
    if (passwd_find(text, len, name, 0, &e)) {
        if (e.name_len != strlen(name) || memcmp(e.name, name, e.name_len) != 0 ||
            e.uid > ACCOUNTS_ID_MAX || e.gid > ACCOUNTS_ID_MAX)
            abort();
        free(xstrndup(e.home, e.home_len));
        free(xstrndup(e.shell, e.shell_len));
    }
    (void)passwd_find(text, len, NULL, (uint32_t)len, &e);
    if (group_find(text, len, name, &gid) && gid > ACCOUNTS_ID_MAX)
        abort();
    return 0;
}
