/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod directories: <data>/pods/<uuid>/ with the reified manifest (`pod`), the
 * lock that a running pod holds (`lock`), what the supervisor tells
 * (`state.json`) and the logs (`logs/`).
 */
#ifndef APPC_HOST_POD_PODDIR_H
#define APPC_HOST_POD_PODDIR_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "schema/types.h"

struct err;

/* Makes the directory of a new pod with a random UUID (RFC 4122, version 4) and takes its lock.
 * Both descriptors are the caller's. */
int poddir_create(const char *data_dir, char ret_uuid[AC_UUID_TEXT], int *ret_dir_fd,
                  int *ret_lock_fd, struct err *err);

/* Opens the directory of the pod that `prefix` (at least one hex digit of its UUID) names. */
int poddir_open(const char *data_dir, const char *prefix, char ret_uuid[AC_UUID_TEXT],
                int *ret_dir_fd, struct err *err);

/* The UUIDs of all pods, sorted by name; the caller frees the array and its strings. */
int poddir_list(const char *data_dir, char ***ret, size_t *ret_n, struct err *err);

/*
 * Tries to take the lock of a pod: 0 with *ret_fd when nobody runs it, 1 when it
 * runs (or is being prepared), -1 on errors.
 */
int poddir_lock(int dir_fd, int *ret_fd, struct err *err);

/*
 * The state of a pod as JSON (new reference): state.json, with "state" put right
 * from the lock: a pod that says it runs and holds no lock was killed ("aborted").
 */
json_t *poddir_state(int dir_fd, const char *uuid, struct err *err);

/* Removes a pod that does not run, with everything in it. */
int poddir_remove(const char *data_dir, const char *uuid, struct err *err);

#endif
