/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a directory as POSIX and Linux say that it works, and says what is different.
 * As PID 1 of a guest it does so on a virtio-fs (tests/pods/test_fs_device.py); with the name of a
 * directory it does so there, which shows that it expects what local file systems do.
 */
#ifndef APPC_TESTS_DEVICES_FS_GUEST_H
#define APPC_TESTS_DEVICES_FS_GUEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Failed checks so far, and all. */
extern unsigned failures, checks;

/* Counts a check; a failed one is a line of output. */
void check(bool good, const char *file, int line, const char *what);

#define EXPECT(x) check((x), __FILE__, __LINE__, #x)

/* The call has to fail with this errno. */
#define EXPECT_ERR(call, error)                                                                    \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long result_ = (long)(call);                                                               \
        check(result_ == -1 && errno == (error), __FILE__, __LINE__, #call " -> " #error);         \
    } while (0)

/* All of these work in the current directory, which is empty before and after. */
void posix_suite(void); /* fs_guest_posix.c: names, modes, times, links */
void files_suite(void); /* fs_guest_files.c: open files: flags, sizes, locks, attributes */
void owner_suite(void); /* fs_guest_posix.c: files of others than root */
void fsx_suite(unsigned operations, uint64_t seed); /* fs_guest_fsx.c */
void storm_suite(unsigned rounds);

/* Makes a file with this text. */
void make_file(const char *path, const char *text);

/* Whether the file has exactly this text. */
bool has_text(const char *path, const char *text);

/* A number that depends on nothing but the seed. */
uint64_t next_random(uint64_t *state);

/* Microseconds of a clock that only goes on. */
uint64_t now_us(void);

/* The number of entries but "." and ".."; -1 with errno. */
int count_entries(const char *path);

#endif
