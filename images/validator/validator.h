/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The validator: a program that runs as the apps of a pod and looks at what the executor made of
 * their environment. Every requirement is one line on standard output; what is
 * violated is also one line on standard error. No part of the product: it links nothing of it.
 */
#ifndef APPC_VALIDATOR_H
#define APPC_VALIDATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long each app waits for the other one (VAL-29, VAL-41). */
#define RENDEZVOUS_MS 5000

/* What one request may take, from connecting to the last byte (18.5). */
#define REQUEST_MS 100

/* One requirement: its ID and what was seen. Returns ok. */
bool check(bool ok, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Microseconds of the monotonic clock. */
uint64_t now_us(void);

/* A whole small file, NUL-terminated; NULL when it can't be read. Never freed: the program ends. */
char *slurp(const char *path);

/* checks_env.c: environment, identity, working directory of any process of an app. */
void check_environment(const char *app_name);
void check_main_environment(void);

/* checks_os.c: what OS-SPEC.md wants, and the network. */
void check_os(void);
void check_network(void);
void check_isolation(bool is_main);

/* checks_pod.c: what the apps of a pod share. The sidekick offers, main looks. */
void offer_shared(void);
void check_shared(void);

/* metadata.c: the twelve requests, and what must be refused. */
void check_metadata(void);

#endif
