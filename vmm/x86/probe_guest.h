/* SPDX-License-Identifier: Apache-2.0 */
/* What the probe guest (assembly) and the VMM agree on. */
#ifndef APPC_VMM_X86_PROBE_GUEST_H
#define APPC_VMM_X86_PROBE_GUEST_H

#include "vmm/probe_steps.h"

#define PROBE_PORT 0x10
#define PROBE_DATA 0x30000 /* 64-byte aligned scratch memory */

#endif
