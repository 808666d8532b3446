/* SPDX-License-Identifier: Apache-2.0 */
/* The options of commands that use the network, and what is made of them. */
#ifndef APPC_HOST_NETWORK_H
#define APPC_HOST_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/auth.h"
#include "fetch/config.h"
#include "fetch/net.h"
#include "fetch/trust.h"
#include "host/opt.h"

struct err;

/* Values of the options; network_options_init() sets the defaults. */
struct network_options {
    const char *config_dir, *ca_file;
    struct opt_list resolve, insecure;
    uint64_t discovery_port, timeout, retries, max_download, stall;
    /* Out of `insecure`, by network_options_check(). */
    bool insecure_image, insecure_http, insecure_tls;
};

/* Rows of an option table, for `o` of type struct network_options. */
/* One row a line. */
/* clang-format off */
#define NETWORK_OPTIONS(o) \
    {0, "config-dir", OPT_STRING, &(o).config_dir, "DIR", "configuration directory: trusted keys, credentials"}, \
    {0, "insecure-options", OPT_LIST, &(o).insecure, "LIST", "image: without signatures; http; tls: any certificate; all"}, \
    {0, "ca-file", OPT_STRING, &(o).ca_file, "FILE", "certificates to trust instead of the system's"}, \
    {0, "resolve", OPT_LIST, &(o).resolve, "HOST:PORT:ADDR[:PORT]", "connect to this address for that host"}, \
    {0, "discovery-port", OPT_U64, &(o).discovery_port, "PORT", "port of discovery URLs (443)"}, \
    {0, "timeout", OPT_U64, &(o).timeout, "SECONDS", "of all downloads together (14400)"}, \
    {0, "stall", OPT_U64, &(o).stall, "SECONDS", "ends a transfer slower than 1000 bytes/s for so long (30)"}, \
    {0, "retries", OPT_U64, &(o).retries, "N", "of a request after a failure that may pass (3)"}, \
    {0, "max-download", OPT_SIZE, &(o).max_download, "SIZE", "of one archive (16G)"}
/* clang-format on */

void network_options_init(struct network_options *o);
void network_options_done(struct network_options *o);

/* Reads the words of --insecure-options; -1 for one that is unknown. */
int network_options_check(struct network_options *o, struct err *err);

/* Configuration directories, credentials, keys and connections. */
struct network {
    struct config_dirs dirs;
    struct auth auth;
    struct trust trust;
    struct net *net;
};

/* 0 with *ret (network_close()), or -1. */
int network_open(const struct network_options *o, struct network *ret, struct err *err);
void network_close(struct network *n);

#endif
