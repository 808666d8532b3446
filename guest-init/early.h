/* SPDX-License-Identifier: Apache-2.0 */
/* What init does before it knows anything of its pod. */
#ifndef APPC_GUEST_EARLY_H
#define APPC_GUEST_EARLY_H

#include <stdint.h>

struct err;

/*
 * Init's own tree, a tmpfs over the initramfs (whose root can't be pivoted):
 *
 *   /dev /proc /sys /sys/fs/cgroup   init's views
 *   /app/proc /app/sys /app/shm      templates that every app's root gets copies of
 *   /lower /root                     where an app's root is put together, in its own namespace
 *   /scratch                         upper layers and empty volumes
 */
#define EARLY_CGROUP   "/sys/fs/cgroup"
#define EARLY_APP_PROC "/app/proc"
#define EARLY_APP_SYS  "/app/sys"
#define EARLY_APP_SHM  "/app/shm"
#define EARLY_LOWER    "/lower"
#define EARLY_ROOT     "/root"
#define EARLY_SCRATCH  "/scratch"
#define EARLY_SHARES   "/shares" /* virtio-fs, mounted when the first host volume is needed */

/* Makes sure that descriptors 0 to 2 are open, so that nothing else gets these numbers. */
void early_descriptors(void);

/* Mounts the tree above, but for what goes below /app and /scratch. */
int early_mounts(struct err *err);

/* Mounts the templates below /app: /proc and /sys with their sensitive parts read-only or hidden.
 */
int early_templates(struct err *err);

/* Brings up the loopback interface and gives it the metadata service's address too. */
int early_loopback(struct err *err);

/* Limits and priority of init itself, before and beyond those of any app (VAL-63). */
void early_privileges(void);

/* Sets the clock when it is off by more than half a second: without an RTC it begins in 1970. */
int early_clock(uint64_t realtime_ns, struct err *err);

/* Starts the CPUs that the kernel has left alone at boot (maxcpus=); needs /sys. */
void early_cpus(void);

#endif
