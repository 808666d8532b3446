/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI image becomes an image of the store. */
#include "host/oci/image.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/oci/accounts.h"
#include "host/oci/convert.h"
#include "host/oci/layers.h"
#include "host/oci/write.h"
#include "schema/types.h"

/* What write() of the import needs. */
struct conversion {
    struct store *store;
    const struct oci_image *image;
    const char *name;
    const struct import_options *opt;
    struct ac_strings *warnings;
};

/* A small regular file in one piece; empty when it is something else. */
static struct convert_file file_of(const struct render *r, const char *path)
{
    const struct tree_node *n = tree_lookup(r->root, path);
    const struct tree_inode *i = n ? n->inode : NULL;
    if (!i || !S_ISREG(i->mode) || i->nextents != 1 || i->extents[0].len != i->size ||
        i->size > ACCOUNTS_FILE_MAX)
        return (struct convert_file){.text = ""};
    return (struct convert_file){
        .text = (const char *)r->blobs[i->blob]->tar + i->extents[0].tar_off,
        .len = (size_t)i->size,
    };
}

static int write_tar(void *arg, int fd, struct unpack_result *ret, struct err *err)
{
    const struct conversion *c = arg;
    const char *dir = c->image->config.working_dir;
    cleanup_with(layers_done) struct layers l = {0};
    cleanup_free char *manifest = NULL;
    size_t len;
    uint64_t max = c->opt->unpack.max_bytes ? c->opt->unpack.max_bytes : UNPACK_MAX_BYTES;
    struct unpack_result result = {.compress = ACI_NONE};
    if (layers_open(c->store, c->image, c->name, &c->opt->unpack, &l, err) < 0)
        return -1;
    /* Docker makes it when a container starts; an app of a pod finds it or fails. */
    cleanup_free char *clean = dir && *dir == '/' ? ac_path_clean(dir) : NULL;
    if (clean && layers_add_dir(&l, clean, err) < 0)
        return err_prefix(err, "%s", c->name);
    struct convert_accounts accounts = {.passwd = file_of(l.merged, "/etc/passwd"),
                                        .group = file_of(l.merged, "/etc/group")};
    if (convert_config(c->image, &accounts, &manifest, &len, c->warnings, err) < 0 ||
        write_image(l.merged, manifest, len, fd, max, &result.id, &result.tar_bytes, err) < 0)
        return err_prefix(err, "%s", c->name);
    result.archive_bytes = l.packed_bytes;
    *ret = result;
    return 0;
}

int oci_image_import(struct store *s, const struct oci_image *image, const char *name,
                     const struct import_options *opt, struct aci_id *ret,
                     struct ac_strings *warnings, struct err *err)
{
    struct conversion c = {s, image, name, opt, warnings};
    return import_made(s, name, opt, write_tar, &c, ret, err);
}
