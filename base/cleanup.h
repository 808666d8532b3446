/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup attributes: early return instead of unwinding labels. */
#ifndef APPC_BASE_CLEANUP_H
#define APPC_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_filep(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void cleanup_dirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* Run at scope exit; the variable must be initialised (NULL, -1). For clang that alone is no use.
 */
#define cleanup_free  __attribute__((cleanup(cleanup_freep), unused))
#define cleanup_close __attribute__((cleanup(cleanup_closep), unused))
#define cleanup_file  __attribute__((cleanup(cleanup_filep), unused))
#define cleanup_dir   __attribute__((cleanup(cleanup_dirp), unused))

/* Any type with a `void f(T *)` destructor. */
#define cleanup_with(f) __attribute__((cleanup(f), unused))

/* Takes the value out of a cleanup variable, for returning it to the caller. */
#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define take_fd(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
