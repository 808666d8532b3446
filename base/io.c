/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing whole things: loops over short reads, EINTR, limits. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int pwrite_all(int fd, const void *data, size_t len, off_t off)
{
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(fd, p, len, off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        off += n;
        len -= (size_t)n;
    }
    return 0;
}

int read_all(int fd, void *data, size_t len)
{
    char *p = data;
    while (len) {
        ssize_t n = read(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENODATA;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int pread_all(int fd, void *data, size_t len, off_t off)
{
    char *p = data;
    while (len) {
        ssize_t n = pread(fd, p, len, off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENODATA;
        if (n <= 0)
            return -1;
        p += n;
        off += n;
        len -= (size_t)n;
    }
    return 0;
}

int read_to_end(int fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
                struct err *err)
{
    cleanup_with(buf_free) struct buf b = {0};
    for (;;) {
        char *p = buf_reserve(&b, 65536);
        ssize_t n = read(fd, p, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, errno, "can't read %s", name);
        if (n == 0)
            break;
        buf_commit(&b, (size_t)n);
        if (b.len > max)
            return err_set(err, EFBIG, "%s is larger than the limit of %zu bytes", name, max);
    }
    *ret_len = b.len;
    *ret_data = buf_take(&b);
    return 0;
}

int read_file_at(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
                 struct err *err)
{
    cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", path);
    return read_to_end(fd, path, max, ret_data, ret_len, err);
}

int write_file_atomic_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                         bool durable, struct err *err)
{
    cleanup_free char *tmp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    cleanup_close int fd =
        openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_set(err, errno, "can't create %s", tmp);
    if (write_all(fd, data, len) < 0 || (durable && fsync(fd) < 0) ||
        renameat(dirfd, tmp, dirfd, path) < 0) {
        int saved = errno;
        unlinkat(dirfd, tmp, 0);
        return err_set(err, saved, "can't write %s", path);
    }
    return 0;
}

int open_regular(const char *path, int *ret_fd, struct err *err)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "%s is not a regular file", path);
    *ret_fd = take_fd(fd);
    return 0;
}

int mkdir_parents_at(int dirfd, const char *path, mode_t mode, struct err *err)
{
    cleanup_free char *copy = xstrdup(path);
    for (char *p = copy;; p++) {
        if ((*p != '/' && *p != '\0') || p == copy)
            continue;
        char c = *p;
        *p = '\0';
        if (mkdirat(dirfd, copy, mode) < 0 && errno != EEXIST)
            return err_set(err, errno, "can't create directory %s", copy);
        if (c == '\0')
            return 0;
        *p = c;
    }
}

int set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int set_cloexec(int fd, bool on)
{
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

union fd_control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
};

int send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
    union fd_control control;
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > FDPASS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (nfds) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    for (;;) {
        ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        /* A short write on a stream: the rest goes without descriptors. */
        if ((size_t)n < len)
            return write_all(sock, (const char *)data + n, len - (size_t)n);
        return 0;
    }
}

ssize_t recv_fds(int sock, void *data, size_t cap, int *fds, size_t *ret_nfds)
{
    union fd_control control;
    struct iovec iov = {.iov_base = data, .iov_len = cap};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    *ret_nfds = 0;
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < got; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (count < FDPASS_MAX)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    if (msg.msg_flags & MSG_CTRUNC) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        errno = EMSGSIZE;
        return -1;
    }
    *ret_nfds = count;
    return n;
}

int remove_tree_at(int parent, const char *name, unsigned depth, struct err *err)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", name);
    cleanup_dir DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_set(err, errno, "can't list %s", name);
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(fd, e->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return err_set(err, errno, "can't remove %s", e->d_name);
        if (depth == 0)
            return err_set(err, ELOOP, "can't remove %s", e->d_name);
        if (remove_tree_at(fd, e->d_name, depth - 1, err) < 0)
            return -1;
    }
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
        return err_set(err, errno, "can't remove %s", name);
    return 0;
}
