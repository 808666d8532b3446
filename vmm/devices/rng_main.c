/* SPDX-License-Identifier: Apache-2.0 */
/* appc-dev-rng: random bytes. */
#include <seccomp.h>

#include "base/cleanup.h"
#include "vmm/devices/program.h"
#include "vmm/devices/rng.h"

static struct program program;
static struct rng rng;

static const struct jail_rule rules[] = {
    {.nr = SCMP_SYS(getrandom)},       /* the bytes */
    {.nr = SCMP_SYS(timerfd_settime)}, /* when there will be more */
};

static int init(void *self, struct device **ret_dev, struct err *err)
{
    (void)self;
    if (rng_init(&rng, err))
        return -1;
    *ret_dev = &rng.dev;
    return 0;
}

int main(int argc, char **argv)
{
    program = (struct program){
        .name = "appc-dev-rng",
        .about = "virtio-rng back end: the host's random bytes",
        .rules = rules,
        .nrules = ARRAY_SIZE(rules),
        .init = init,
    };
    program_exit(program_main(&program, argc, argv));
}
