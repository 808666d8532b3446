/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an application/x-www-form-urlencoded body piece by piece. */
#include "mds/form.h"

#include <string.h>

#include "base/str.h"

static int hex_digit(unsigned char c)
{
    if (is_digit((char)c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Longer names than any field has are counted but not kept. */
static void add_to_name(struct form *f, char c)
{
    if (f->name_len < FORM_NAME_MAX)
        f->name[f->name_len] = c;
    f->name_len++;
}

static void add_to_value(struct form *f, char c)
{
    if (!f->field)
        return;
    if (f->field->value.len == f->field->max)
        f->state = FORM_TOO_LARGE;
    else
        buf_addc(&f->field->value, c);
}

static void add(struct form *f, char c)
{
    if (f->in_value)
        add_to_value(f, c);
    else
        add_to_name(f, c);
}

static struct form_field *find(const struct form *f, const char *name, size_t len)
{
    for (size_t i = 0; i < f->nfields; i++)
        if (strlen(f->fields[i].name) == len && memcmp(f->fields[i].name, name, len) == 0)
            return &f->fields[i];
    return NULL;
}

/* The name is complete. Of two values with one name nobody could say which one counts. */
static void end_name(struct form *f)
{
    f->field = f->name_len <= FORM_NAME_MAX ? find(f, f->name, f->name_len) : NULL;
    f->name_len = 0;
    f->in_value = true;
    if (!f->field)
        return;
    if (f->field->given)
        f->state = FORM_BAD;
    f->field->given = true;
}

/* A pair is complete; a name without "=" has an empty value. */
static void end_pair(struct form *f)
{
    if (!f->in_value)
        end_name(f);
    f->in_value = false;
}

static void feed_escape(struct form *f, unsigned char c)
{
    int digit = hex_digit(c);
    if (digit < 0) {
        f->state = FORM_BAD;
    } else if (f->escape == 1) {
        f->high = (unsigned char)digit;
        f->escape = 2;
    } else {
        f->escape = 0;
        add(f, (char)(f->high << 4 | digit));
    }
}

static void feed_byte(struct form *f, unsigned char c)
{
    if (f->escape)
        feed_escape(f, c);
    else if (c == '%')
        f->escape = 1;
    else if (c == '&')
        end_pair(f);
    else if (c == '=' && !f->in_value)
        end_name(f);
    else if (c <= ' ' || c == 0x7f)
        f->state = FORM_BAD;
    else
        add(f, c == '+' ? ' ' : (char)c);
}

enum form_state form_feed(struct form *f, const char *data, size_t len)
{
    for (size_t i = 0; i < len && f->state == FORM_OK; i++)
        feed_byte(f, (unsigned char)data[i]);
    return f->state;
}

enum form_state form_end(struct form *f)
{
    if (f->state == FORM_OK && f->escape)
        f->state = FORM_BAD;
    if (f->state == FORM_OK)
        end_pair(f);
    return f->state;
}

const struct form_field *form_get(const struct form *f, const char *name)
{
    return find(f, name, strlen(name));
}

size_t form_size(const struct form *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->nfields; i++)
        n += f->fields[i].value.len;
    return n;
}

void form_done(struct form *f)
{
    for (size_t i = 0; i < f->nfields; i++)
        buf_free(&f->fields[i].value);
}
