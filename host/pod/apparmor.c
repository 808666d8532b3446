/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor profiles for the guest's kernel. */
#include "host/pod/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/program.h"
#include "wire/wire.h"

#define PARSER "apparmor_parser"

/* A compiled policy begins with a field of 8 bytes' name, "version". */
static const char magic[] = {4, 8, 0, 'v', 'e', 'r', 's', 'i', 'o', 'n', 0};

/*
 * What the guest's kernel (kernel-config/, Linux 6.12) mediates, in the form of a features file:
 * the host's kernel, for which the parser would compile, has nothing to do with it. Only what
 * profiles of the parser's versions 2 and 3 can express.
 */
static const char features[] =
    "caps {mask {chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap "
    "linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner "
    "sys_module "
    "sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog "
    "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore\n}\n}\n"
    "domain {change_hat {yes\n}\nchange_hatv {yes\n}\nchange_onexec {yes\n}\nchange_profile "
    "{yes\n}\n"
    "computed_longest_left {yes\n}\nfix_binfmt_elf_mmap {yes\n}\npost_nnp_subset {yes\n}\n"
    "stack {yes\n}\nversion {1.2\n}\n}\n"
    "file {mask {create read write exec append mmap_exec link lock\n}\n}\n"
    "mount {mask {mount umount pivot_root\n}\n}\n"
    "namespaces {pivot_root {no\n}\nprofile {yes\n}\n}\n"
    "network_v8 {af_mask {unspec unix inet ax25 ipx appletalk netrom bridge atmpvc x25 inet6 rose "
    "netbeui security key netlink packet ash econet atmsvc rds sna irda pppox wanpipe llc ib mpls "
    "can "
    "tipc bluetooth iucv rxrpc isdn phonet ieee802154 caif alg nfc vsock kcm qipcrtr smc xdp "
    "mctp\n}\n}\n"
    "policy {set_load {yes\n}\nversions {v5 {yes\n}\nv6 {yes\n}\nv7 {yes\n}\nv8 {yes\n}\n}\n}\n"
    "ptrace {mask {read trace\n}\n}\n"
    "rlimit {mask {cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue "
    "nice rtprio rttime\n}\n}\n"
    "signal {mask {hup int quit ill trap abrt bus fpe kill usr1 segv usr2 pipe alrm term stkflt "
    "chld "
    "cont stop stp ttin ttou urg xcpu xfsz vtalrm prof winch io pwr sys emt lost\n}\n}\n";

/* A file in memory that a helper program inherits and opens by the returned name. */
static int shared_file(const char *name, const char *text, size_t len, char **ret_path,
                       struct err *err)
{
    cleanup_close int fd = memfd_create(name, 0);
    if (fd < 0 || write_all(fd, text, len) < 0)
        return err_set(err, errno, "can't make a file in memory");
    *ret_path = xasprintf("/proc/self/fd/%d", fd);
    return take_fd(fd);
}

static int compile(const char *path, int *ret_fd, struct err *err)
{
    cleanup_free char *out_path = NULL, *features_path = NULL;
    cleanup_free char *parser = program_find(PARSER);
    if (!parser)
        return err_set(err, 0,
                       "%s is no compiled AppArmor policy, and there is no %s (in the package "
                       "apparmor) that could compile it",
                       path, PARSER);
    cleanup_close int out = shared_file("appc-apparmor", "", 0, &out_path, err);
    if (out < 0)
        return -1;
    cleanup_close int f =
        shared_file("appc-features", features, sizeof(features) - 1, &features_path, err);
    if (f < 0)
        return -1;
    const char *argv[] = {PARSER,
                          "--skip-kernel-load",
                          "--skip-cache",
                          "--quiet",
                          "--features-file",
                          features_path,
                          "--ofile",
                          out_path,
                          path,
                          NULL};
    if (program_run(PARSER, argv, err) < 0)
        return err_prefix(err, "AppArmor profile %s", path);
    *ret_fd = take_fd(out);
    return 0;
}

int apparmor_open(const char *path, int *ret_fd, uint64_t *ret_len, struct err *err)
{
    char head[sizeof(magic)];
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open AppArmor profile %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "AppArmor profile %s is no regular file", path);
    if (pread_all(fd, head, sizeof(head), 0) < 0 || memcmp(head, magic, sizeof(magic)) != 0) {
        close(take_fd(fd));
        if (compile(path, &fd, err) < 0)
            return -1;
        if (fstat(fd, &st) < 0)
            return err_set(err, errno, "can't examine the compiled policy");
    }
    if (st.st_size == 0)
        return err_set(err, 0, "there is no AppArmor profile in %s", path);
    if (st.st_size > (off_t)WIRE_PROFILE_SIZE_MAX)
        return err_set(err, 0, "AppArmor profile %s: the policy has more than %u bytes", path,
                       WIRE_PROFILE_SIZE_MAX);
    set_cloexec(fd, true);
    *ret_len = (uint64_t)st.st_size;
    *ret_fd = take_fd(fd);
    return 0;
}
