/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a library from writing to standard error. */
#include "fetch/quiet.h"

#include <stdio.h>
#include <unistd.h>

#include "base/io.h"

static _Thread_local unsigned depth;

static ssize_t on_write(void *arg, const char *data, size_t len)
{
    (void)arg;
    if (depth == 0)
        (void)write_all(STDERR_FILENO, data, len);
    return (ssize_t)len;
}

void quiet_install(void)
{
    FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){.write = on_write});
    if (!f) /* then it is only noisy */
        return;
    setvbuf(f, NULL, _IONBF, 0);
    stderr = f;
}

void quiet_begin(void)
{
    depth++;
}

void quiet_end(void)
{
    depth--;
}
