/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line options as tables: parsing, checking and the help text. */
#include "host/opt.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    if (strchr(value, '|'))
        return false;
    for (const char *p = choices; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (n && strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

static void list_add(struct opt_list *list, const char *value)
{
    list->v = xreallocarray(list->v, list->n + 1, sizeof(*list->v));
    list->v[list->n++] = value;
}

void opt_list_done(struct opt_list *l)
{
    free(l->v);
    *l = (struct opt_list){0};
}

static int store(const struct opt *o, const char *value, struct err *err)
{
    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)o->value = true;
        return 0;
    case OPT_STRING:
        *(const char **)o->value = value;
        return 0;
    case OPT_LIST:
        list_add(o->value, value);
        return 0;
    case OPT_U64:
        if (parse_u64(value, UINT64_MAX, o->value) < 0)
            return err_set(err, 0, "--%s: \"%s\" is not a number", o->name, value);
        return 0;
    case OPT_SIZE:
        if (parse_size(value, o->value) < 0)
            return err_set(err, 0, "--%s: \"%s\" is not a size such as 512M or 4G", o->name, value);
        return 0;
    case OPT_CHOICE:
        if (!is_choice(o->arg, value))
            return err_set(err, 0, "--%s: \"%s\" is not one of %s", o->name, value, o->arg);
        *(const char **)o->value = value;
        return 0;
    }
    return err_set(err, 0, "--%s has an unknown kind", o->name);
}

static const struct opt *find_long(const struct opt *table, const char *name, size_t len)
{
    for (const struct opt *o = table; o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct opt *find_short(const struct opt *table, char c)
{
    for (const struct opt *o = table; o->name; o++)
        if (o->short_name && o->short_name == c)
            return o;
    return NULL;
}

/* One option word at argv[*i]; takes the next word when the value stands there. */
static int parse_one(const struct opt *table, int argc, char **argv, int *i, struct err *err)
{
    const char *word = argv[*i];
    const char *value = NULL;
    const struct opt *o;
    if (word[1] == '-') {
        const char *eq = strchr(word, '=');
        o = find_long(table, word + 2, eq ? (size_t)(eq - word - 2) : strlen(word + 2));
        value = eq ? eq + 1 : NULL;
    } else {
        o = find_short(table, word[1]);
        value = word[2] ? word + 2 : NULL;
    }
    if (!o)
        return err_set(err, 0, "unknown option %s; see --help", word);
    if (o->kind == OPT_FLAG && value)
        return err_set(err, 0, "--%s takes no value", o->name);
    if (o->kind != OPT_FLAG && !value) {
        if (*i + 1 >= argc)
            return err_set(err, 0, "--%s needs a value", o->name);
        value = argv[++*i];
    }
    return store(o, value, err);
}

int opt_parse(const struct opt *table, int argc, char **argv, bool stop_at_dashes,
              int *ret_noperands, int *ret_rest, struct err *err)
{
    int operands = 0, rest = argc;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            if (stop_at_dashes) {
                rest = i + 1;
                break;
            }
            options = false;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            return 1;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            if (parse_one(table, argc, argv, &i, err) < 0)
                return -1;
        } else {
            argv[++operands] = word;
        }
    }
    *ret_noperands = operands;
    if (ret_rest)
        *ret_rest = rest;
    return 0;
}

void opt_print_help(const struct opt *table)
{
    for (const struct opt *o = table; o->name; o++) {
        char left[64];
        char short_text[8] = "    ";
        if (o->short_name)
            snprintf(short_text, sizeof(short_text), "-%c, ", o->short_name);
        snprintf(left, sizeof(left), "%s--%s%s%s", short_text, o->name,
                 o->kind == OPT_FLAG ? "" : "=", o->kind == OPT_FLAG ? "" : o->arg);
        printf("  %-34s %s\n", left, o->help);
    }
}
