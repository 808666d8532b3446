/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing whole things: loops over short reads, EINTR, limits. */
#ifndef APPC_BASE_IO_H
#define APPC_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Write or read all of it; 0, or -1 with errno (EPIPE-like end of file on read: ENODATA). */
int write_all(int fd, const void *data, size_t len);
int read_all(int fd, void *data, size_t len);
int pwrite_all(int fd, const void *data, size_t len, off_t off);
int pread_all(int fd, void *data, size_t len, off_t off);

/*
 * Reads from fd to its end, at most `max` bytes (more is an error). The caller
 * frees *ret_data, which has a NUL behind its *ret_len bytes. `name` is for
 * the message.
 */
int read_to_end(int fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
                struct err *err);

/* The same by path, relative to dirfd (or AT_FDCWD). */
int read_file_at(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
                 struct err *err);

/*
 * Removes the directory parent/name with all that is in it, at most `depth` levels below it, and
 * never through a symbolic link.
 */
int remove_tree_at(int parent, const char *name, unsigned depth, struct err *err);

/*
 * Replaces dirfd/path in one step: temporary file beside it, fsync when
 * `durable`, rename. Nothing is left behind on failure.
 */
int write_file_atomic_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                         bool durable, struct err *err);

/*
 * Opens a regular file for reading, never waiting (a named pipe is refused, not opened); the caller
 * owns *ret_fd. `path` is what a message names.
 */
int open_regular(const char *path, int *ret_fd, struct err *err);

/* mkdir -p relative to dirfd. */
int mkdir_parents_at(int dirfd, const char *path, mode_t mode, struct err *err);

/* O_NONBLOCK and FD_CLOEXEC switches; 0, or -1 with errno. */
int set_nonblock(int fd, bool on);
int set_cloexec(int fd, bool on);

/*
 * Sends `len` bytes and up to FDPASS_MAX descriptors in one message on a Unix
 * socket; 0, or -1 with errno.
 */
#define FDPASS_MAX 16
int send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds);

/*
 * Receives one message: the bytes got (0 at end of file), or -1 with errno. Descriptors come
 * close-on-exec in fds (room for FDPASS_MAX); *ret_nfds says how many and the caller owns them. A
 * message whose descriptors were truncated is EMSGSIZE and leaks none.
 */
ssize_t recv_fds(int sock, void *data, size_t cap, int *fds, size_t *ret_nfds);

#endif
