/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback interface, by netlink. */
#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/early.h"
#include "wire/wire.h"

#define LO_INDEX 1 /* the loopback device is the first of every network namespace */

struct link_up {
    struct nlmsghdr h;
    struct ifinfomsg i;
};

struct add_address {
    struct nlmsghdr h;
    struct ifaddrmsg a;
    struct rtattr local_head;
    uint32_t local;
    struct rtattr address_head;
    uint32_t address;
};

static int transact(int fd, const void *msg, size_t len, const char *what, struct err *err)
{
    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
        char rest[256];
    } answer;
    if (send(fd, msg, len, 0) < 0)
        return err_set(err, errno, "can't %s", what);
    ssize_t n = recv(fd, &answer, sizeof(answer), 0);
    if (n < (ssize_t)(sizeof(answer.h) + sizeof(answer.e.error)) ||
        answer.h.nlmsg_type != NLMSG_ERROR)
        return err_set(err, n < 0 ? errno : EPROTO, "can't %s", what);
    if (answer.e.error && answer.e.error != -EEXIST)
        return err_set(err, -answer.e.error, "can't %s", what);
    return 0;
}

int early_loopback(struct err *err)
{
    struct link_up up = {
        .h = {.nlmsg_len = sizeof(up),
              .nlmsg_type = RTM_NEWLINK,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .i = {.ifi_family = AF_UNSPEC,
              .ifi_index = LO_INDEX,
              .ifi_flags = IFF_UP,
              .ifi_change = IFF_UP},
    };
    struct add_address add = {
        .h = {.nlmsg_len = sizeof(add),
              .nlmsg_type = RTM_NEWADDR,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
        .a = {.ifa_family = AF_INET,
              .ifa_prefixlen = 32,
              .ifa_scope = RT_SCOPE_HOST,
              .ifa_index = LO_INDEX},
        .local_head = {.rta_len = RTA_LENGTH(4), .rta_type = IFA_LOCAL},
        .local = inet_addr(WIRE_METADATA_ADDRESS),
        .address_head = {.rta_len = RTA_LENGTH(4), .rta_type = IFA_ADDRESS},
        .address = inet_addr(WIRE_METADATA_ADDRESS),
    };
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return err_set(err, errno, "can't talk to the kernel's network");
    if (transact(fd, &up, sizeof(up), "bring up the loopback interface", err) < 0)
        return -1;
    return transact(fd, &add, sizeof(add), "add the metadata service's address", err);
}
