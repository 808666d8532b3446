/* SPDX-License-Identifier: Apache-2.0 */
/* appc-dev-vsock: the host's side of the guest's connections. */
#include <seccomp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "vmm/devices/program.h"
#include "vmm/devices/vsock.h"

/* Descriptors that are not connections. */
#define OTHER_FDS 64

static struct program program;
static struct vsock vsock;
static int connect_fd = -1;
static uint64_t guest_cid = 3;

static const struct jail_rule rules[] = {
    {SCMP_SYS(socketpair), 0, UINT32_MAX, AF_UNIX}, /* a connection */
    {.nr = SCMP_SYS(sendmsg)},                      /* its other end, and bytes for the host */
    {.nr = SCMP_SYS(shutdown)},                     /* half of it is over */
};

static int set_connect_fd(void *self, const char *arg, struct err *err)
{
    (void)self;
    return program_fd(&program, arg, &connect_fd, err);
}

static int set_guest_cid(void *self, const char *arg, struct err *err)
{
    uint64_t cid;
    (void)self;
    if (parse_u64(arg, UINT32_MAX - 1, &cid) || cid <= VSOCK_HOST_CID)
        return err_set(err, 0, "\"%s\" is not a number from 3 on", arg);
    guest_cid = cid;
    return 0;
}

static const struct program_option options[] = {
    {"connect-fd", "M", "connected SOCK_SEQPACKET socket that gets the guest's connections",
     set_connect_fd},
    {"guest-cid", "CID", "the guest's address (3)", set_guest_cid},
};

/* How many connections the limit of descriptors allows; each may need two for a moment. */
static unsigned conns_max(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur > VSOCK_CONNS_MAX + 2 * OTHER_FDS)
        return VSOCK_CONNS_MAX;
    return r.rlim_cur > 2 * OTHER_FDS ? (unsigned)r.rlim_cur - 2 * OTHER_FDS : 1;
}

static int init(void *self, struct device **ret_dev, struct err *err)
{
    (void)self;
    if (vsock_init(&vsock, guest_cid, connect_fd, conns_max(), err))
        return -1;
    *ret_dev = &vsock.dev;
    return 0;
}

int main(int argc, char **argv)
{
    program = (struct program){
        .name = "appc-dev-vsock",
        .about = "virtio-vsock back end: the guest's connections become stream sockets",
        .options = options,
        .noptions = ARRAY_SIZE(options),
        .rules = rules,
        .nrules = ARRAY_SIZE(rules),
        .nofile = VSOCK_CONNS_MAX + 2 * OTHER_FDS,
        .init = init,
    };
    program_exit(program_main(&program, argc, argv));
}
