/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes behind an inode. */
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "host/image/erofs-plan.h"

#define XATTR_HEADER 12u
#define XATTR_ENTRY  4u

/* The namespaces that EROFS knows. Names are kept without the prefix. */
static const struct {
    const char *prefix;
    uint8_t index;
    bool whole; /* the prefix is the name */
} spaces[] = {
    {"user.", 1, false},
    {"system.posix_acl_access", 2, true},
    {"system.posix_acl_default", 3, true},
    {"trusted.", 4, false},
    {"security.", 6, false},
};

/*
 * The namespace of an attribute; -1 when it can't be held. trusted.overlay.* is left out: it would
 * be a command to the overlay that the guest puts over the file system, not a file's attribute.
 */
static int space_of(const struct tree_xattr *x)
{
    if (str_starts(x->name, "trusted.overlay."))
        return -1;
    for (size_t k = 0; k < ARRAY_SIZE(spaces); k++) {
        size_t len = strlen(spaces[k].prefix);
        if (spaces[k].whole ? str_eq(x->name, spaces[k].prefix)
                            : str_starts(x->name, spaces[k].prefix) && x->name_len > len)
            return (int)k;
    }
    return -1;
}

static uint32_t entry_size(const struct tree_xattr *x, int space)
{
    uint32_t name = x->name_len - (uint32_t)strlen(spaces[space].prefix);
    return (uint32_t)round_up_to(XATTR_ENTRY + name + x->value_len, 4);
}

uint32_t erofs_xattr_size(const struct tree_inode *i)
{
    uint32_t size = 0;
    for (uint32_t k = 0; k < i->nxattrs; k++) {
        int space = space_of(&i->xattrs[k]);
        if (space >= 0)
            size += entry_size(&i->xattrs[k], space);
    }
    return size ? XATTR_HEADER + size : 0;
}

void erofs_xattr_put(const struct tree_inode *i, unsigned char *out)
{
    memset(out, 0, erofs_xattr_size(i));
    out += XATTR_HEADER; /* no shared attributes, no name filter */
    for (uint32_t k = 0; k < i->nxattrs; k++) {
        const struct tree_xattr *x = &i->xattrs[k];
        int space = space_of(x);
        if (space < 0)
            continue;
        size_t prefix = strlen(spaces[space].prefix), name = x->name_len - prefix;
        out[0] = (unsigned char)name;
        out[1] = spaces[space].index;
        put_le16(out + 2, (uint16_t)x->value_len);
        memcpy(out + XATTR_ENTRY, x->name + prefix, name);
        memcpy(out + XATTR_ENTRY + name, x->value, x->value_len);
        out += entry_size(x, space);
    }
}
