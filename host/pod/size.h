/* SPDX-License-Identifier: Apache-2.0 */
/* How large the VM of a pod is: from the options, else from its resource isolators (ISO-62). */
#ifndef APPC_HOST_POD_SIZE_H
#define APPC_HOST_POD_SIZE_H

#include <stdint.h>

#include "schema/manifest.h"

struct err;

/*
 * CPUs: `option` if not 0; else the limit of the pod, else the sum of its apps' limits when each
 * has one, rounded up; else 2. Never more than the host has.
 */
int size_cpus(const struct ac_pod_manifest *pod, uint64_t option, unsigned *ret, struct err *err);

/*
 * Memory in bytes, a multiple of 2 MiB: `option` if not 0; else the limit of the pod, else the sum
 * of the apps' limits (256 MiB for an app without one), plus what the kernel needs.
 */
int size_memory(const struct ac_pod_manifest *pod, uint64_t option, uint64_t *ret, struct err *err);

/*
 * Bytes and requests a second that the pod's isolators allow on each of its disks (ISO-58, ISO-59);
 * 0 where there is no limit. The least limit is 1.
 */
void size_block(const struct ac_pod_manifest *pod, uint64_t *ret_bytes, uint64_t *ret_requests);

#endif
