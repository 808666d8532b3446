/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of appc-mds: options of the form --name=NUMBER. */
#include "mds/options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "mds/server.h"

struct row {
    const char *name;
    const char *help;
    uint64_t max;
    uint64_t value;
};

static void usage(const struct row *rows, size_t n)
{
    printf("usage: appc-mds OPTION…\nthe metadata service of one pod\n\noptions:\n");
    for (size_t i = 0; i < n; i++)
        printf("  --%s=N\n      %s\n", rows[i].name, rows[i].help);
}

static int parse_one(struct row *rows, size_t n, const char *arg, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(rows[i].name);
        if (!str_starts(arg, "--") || strncmp(arg + 2, rows[i].name, len) != 0 ||
            arg[2 + len] != '=')
            continue;
        if (parse_u64(arg + 3 + len, rows[i].max, &rows[i].value) < 0)
            return err_set(err, 0, "--%s has to be a number up to %llu, not \"%.64s\"",
                           rows[i].name, (unsigned long long)rows[i].max, arg + 3 + len);
        return 0;
    }
    return err_set(err, 0, "unknown option \"%.64s\"; see appc-mds --help", arg);
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
    enum { BUNDLE, CONNECTIONS, TIMEOUT };
    struct row rows[] = {
        [BUNDLE] = {"bundle-fd", "the document that says what to serve", INT_MAX, UINT64_MAX},
        [CONNECTIONS] = {"connections-fd",
                         "SOCK_SEQPACKET socket on which every message brings one connection",
                         INT_MAX, UINT64_MAX},
        [TIMEOUT] = {"timeout-ms", "closes connections that complete no request for so long",
                     INT_MAX, SERVER_TIMEOUT_MS},
    };
    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "--help")) {
            usage(rows, ARRAY_SIZE(rows));
            return 1;
        }
        if (parse_one(rows, ARRAY_SIZE(rows), argv[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].value == UINT64_MAX || (i == TIMEOUT && rows[i].value == 0))
            return err_set(err, 0, "--%s is needed; see appc-mds --help", rows[i].name);
    *ret = (struct options){(int)rows[BUNDLE].value, (int)rows[CONNECTIONS].value,
                            (uint32_t)rows[TIMEOUT].value};
    return 0;
}
