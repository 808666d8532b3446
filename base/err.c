/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that carry an errno and one sentence naming the object at fault. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The message may quote hostile names: control characters must not reach a terminal. */
static void neutralise(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

void err_fill(struct err *err, int errnum, const char *fmt, ...)
{
    if (!err)
        return;
    char tmp[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
    va_end(ap);
    if (n < 0)
        tmp[0] = '\0';
    if (errnum != 0 && n >= 0 && (size_t)n < sizeof(tmp))
        snprintf(tmp + n, sizeof(tmp) - (size_t)n, ": %s", strerror(errnum));
    neutralise(tmp);
    err->errnum = errnum;
    memcpy(err->msg, tmp, sizeof(tmp));
}

void err_fill_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char head[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(head) - 3)
        return;
    snprintf(head + n, sizeof(head) - (size_t)n, ": %.*s", (int)(sizeof(head) - (size_t)n - 3),
             err->msg);
    neutralise(head);
    memcpy(err->msg, head, sizeof(head));
}
