/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that a probe guest reports; read by C and by assembly. */
#ifndef APPC_VMM_PROBE_STEPS_H
#define APPC_VMM_PROBE_STEPS_H

/* Instructions of the timed loop: two each time round. */
#define PROBE_LOOPS   2000
#define PROBE_REPEATS 5

#define PROBE_STEP_EMPTY      1 /* nothing happens between this ... */
#define PROBE_STEP_LOOP       2 /* ... and this; the loop between this ... */
#define PROBE_STEP_TIMED      3 /* ... and this */
#define PROBE_STEP_INT3       4 /* the next instruction to be tried */
#define PROBE_STEP_CMPXCHG16B 5
#define PROBE_STEP_POPCNT     6
#define PROBE_STEP_XSAVE      7
#define PROBE_STEP_SMAP       8
#define PROBE_STEP_FAULT      9 /* an exception that nobody asked for */
#define PROBE_STEP_DONE       10
#define PROBE_STEPS           11

#endif
