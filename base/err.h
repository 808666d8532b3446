/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that carry an errno and one sentence naming the object at fault. */
#ifndef APPC_BASE_ERR_H
#define APPC_BASE_ERR_H

#define ERR_MSG_MAX 1024

/*
 * A fallible function takes `struct err *err` last and returns 0 or a useful
 * value on success, -1 (or NULL) on failure with *err filled. It never logs
 * what it returns. The structure owns nothing, so it needs no destructor.
 */
struct err {
    int errnum;            /* errno value, 0 when none applies */
    char msg[ERR_MSG_MAX]; /* one sentence: no capital, no full stop, no newline */
};

/*
 * Fills *err (NULL is allowed: the message is dropped) and evaluates to -1.
 * With errnum != 0, ": " and its text are appended to the message. A macro so
 * that the compiler sees the -1 in every caller.
 */
#define err_set(err, errnum, ...) (err_fill((err), (errnum), __VA_ARGS__), err_minus_one())

/*
 * Puts "PREFIX: " in front of the message that is in *err, to say where it
 * happened. Keeps errnum. Evaluates to -1.
 */
#define err_prefix(err, ...) (err_fill_prefix((err), __VA_ARGS__), err_minus_one())

/* A function, as compilers warn of a bare -1 whose value is not used. */
static inline int err_minus_one(void)
{
    return -1;
}

/* The functions behind the macros. */
void err_fill(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void err_fill_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
