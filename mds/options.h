/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of appc-mds. */
#ifndef APPC_MDS_OPTIONS_H
#define APPC_MDS_OPTIONS_H

#include <stdint.h>

struct err;

struct options {
    int bundle_fd;
    int connections_fd;
    uint32_t timeout_ms; /* SERVER_TIMEOUT_MS when it is not given */
};

/* 0 with *ret; 1 when --help was asked for (and printed); -1 with an error that names the option.
 */
int options_parse(int argc, char **argv, struct options *ret, struct err *err);

#endif
