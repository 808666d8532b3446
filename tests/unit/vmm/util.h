/* SPDX-License-Identifier: Apache-2.0 */
/* What the VMM's unit tests have in common. Includes cmocka with what it needs. */
#ifndef APPC_TESTS_UNIT_VMM_UTIL_H
#define APPC_TESTS_UNIT_VMM_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

/* The error's message holds the words. */
#define assert_says(err, words)                                                                    \
    do {                                                                                           \
        if (!strstr((err).msg, (words)))                                                           \
            fail_msg("\"%s\" does not say \"%s\"", (err).msg, (words));                            \
    } while (0)

#endif
