/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside schema/ only: typed access to a JSON tree by values that know where
 * they stand, so that every fault has its path and position.
 */
#ifndef APPC_SCHEMA_READER_H
#define APPC_SCHEMA_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "schema/manifest.h"

/* What one parse shares. */
struct reader {
    const char *text; /* NULL when only a tree is there: faults have no position then */
    size_t len;
    bool template;
    struct ac_fault *fault; /* NULL: nobody wants it */
};

/* A value and the way to it. Lives on the stack; `up` and `r` have to outlive it. */
struct node {
    struct reader *r;
    const struct node *up; /* NULL for the root */
    const char *key;       /* a member, spelt as in the document; NULL: an element or the root */
    size_t index;
    json_t *v; /* borrowed; NULL when the member is missing */
};

/* Nesting deeper than this is refused: no manifest comes near, and parsers recurse. */
#define AC_JSON_DEPTH_MAX 128
/* Limits on what makes a parsed tree much larger than its text. */
#define AC_JSON_CONTAINERS_MAX (1u << 18)
#define AC_JSON_VALUES_MAX     (1u << 20)

/*
 * Text to tree: JSON of RFC 4627 and nothing before or behind it, no NUL in
 * any form, bounded nesting. NULL with the fault filled. The caller decrefs.
 */
json_t *reader_load(struct reader *r);

/* Checks the depth of a tree that came from elsewhere; 0 or -1 with the fault. */
int reader_check_depth(struct reader *r, json_t *root);

/*
 * The message of a fault, with anything replaced that a terminal should not
 * see. NULL is allowed: nobody wants it.
 */
void fault_message(struct ac_fault *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills the fault with the path and position of `n` and the message; evaluates to -1. */
#define node_fault(n, ...)                                                                         \
    ({                                                                                             \
        const struct node *at_ = (n);                                                              \
        node_fault_place(at_);                                                                     \
        fault_message(at_->r->fault, __VA_ARGS__);                                                 \
        err_minus_one();                                                                           \
    })
void node_fault_place(const struct node *n);

/* The same without a path, at a byte of the text. */
#define reader_fault(r, offset, ...)                                                               \
    (reader_fault_place((r), (offset)), fault_message((r)->fault, __VA_ARGS__), err_minus_one())
void reader_fault_place(struct reader *r, size_t offset);

/* The same for a part of a text form: `key` and the byte where the part starts. */
#define text_fault(f, key, offset, ...)                                                            \
    (text_fault_place((f), (key), (offset)), fault_message((f), __VA_ARGS__), err_minus_one())
void text_fault_place(struct ac_fault *f, const char *key, size_t offset);

/*
 * The member of an object by name: the exact spelling, else one that differs
 * only in the case of ASCII letters (of several, the spelling that appeared
 * last). False when missing or null; *ret can be used for a fault all the same.
 */
bool node_member(const struct node *obj, const char *name, struct node *ret);

/* The same for a member that has to be there. */
int node_need(const struct node *obj, const char *name, struct node *ret);

/* The way to one element of a list, or to a member of it; `obj` and the place have to live on. */
struct place {
    struct node list, item, member;
};
const struct node *place_of(struct place *p, const struct node *obj, const char *list, size_t index,
                            const char *member);

/* Type checks; the getters give borrowed values. All return 0, or -1 with the fault. */
int node_is_object(const struct node *n);
int node_string(const struct node *n, const char **ret);
int node_bool(const struct node *n, bool *ret);
int node_int(const struct node *n, int64_t min, int64_t max, int64_t *ret);

/* A string member as a copy that the caller frees. Optional ones leave *ret alone when absent. */
int node_need_string(const struct node *obj, const char *name, char **ret);
int node_opt_string(const struct node *obj, const char *name, char **ret);
int node_opt_bool(const struct node *obj, const char *name, bool *ret);
int node_opt_int(const struct node *obj, const char *name, int64_t min, int64_t max, int64_t *ret);

/* Runs a function over a list or over the members of an object; the first that fails ends it. */
typedef int node_each_fn(const struct node *item, void *ctx);
int node_each(const struct node *list, node_each_fn *each, void *ctx);
int node_each_member(const struct node *obj, node_each_fn *each, void *ctx);

/* node_each() over the optional list called `name`. */
int node_opt_each(const struct node *obj, const char *name, node_each_fn *each, void *ctx);

/*
 * A zeroed new element at the end of a list that only list_add() has grown;
 * its capacity is the power of two that holds *n elements.
 */
void *list_add(void *list, size_t *n, size_t size);

/* A borrowed name and where it came from. */
struct named {
    const char *name;
    size_t index;
};

/* Sorts by name, equal ones by index. */
void names_order(struct named *names, size_t n);

/*
 * The names of `n` elements (each `size` bytes, a char * name first) in order,
 * equal ones by index. The caller frees.
 */
struct named *names_sort(const void *list, size_t n, size_t size);

/* The first entry called `name` of a sorted array, and how many there are; NULL for none. */
const struct named *names_find(const struct named *sorted, size_t n, const char *name,
                               size_t *ret_count);

/* Index of the first element whose name an earlier one has; SIZE_MAX when all differ. */
size_t list_repeated(const void *list, size_t n, size_t size);

#endif
