/* SPDX-License-Identifier: Apache-2.0 */
/* An image that is open for reading: its tar in memory, its tree and its manifest. */
#include "host/image/aci_image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "host/image/aci.h"

static int map(struct aci_image *i, int fd, const char *name, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_set(err, errno, "can't read %s", name);
    if (st.st_size < ACI_TAR_BLOCK)
        return err_set(err, 0, "%s is not an ACI: its tar is cut off or empty", name);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set(err, errno, "can't map %s", name);
    i->tar = p;
    i->tar_len = (size_t)st.st_size;
    return 0;
}

/* What was in the compressed file may be anything. */
static int check_magic(const struct aci_image *i, const char *name, struct err *err)
{
    enum aci_compress compress;
    if (aci_sniff(i->tar, ACI_SNIFF_LEN, &compress) == ACI_KIND_TAR)
        return 0;
    return err_set(err, 0, "%s is not an ACI: what is in it is not a tar (ustar, pax or GNU)",
                   name);
}

static int read_manifest(struct aci_image *i, const char *name, struct ac_fault *fault,
                         struct err *err)
{
    struct ac_fault local;
    i->manifest_text = (const char *)i->tar + i->tree->manifest_off;
    i->manifest_len = (size_t)i->tree->manifest_len;
    if (ac_image_manifest_parse(i->manifest_text, i->manifest_len, &i->manifest, &local) == 0)
        return 0;
    ac_fault_to_err(&local, "manifest", err);
    if (fault)
        *fault = local;
    return err_prefix(err, "%s", name);
}

int aci_image_open(int fd, const char *name, struct aci_image **ret, struct ac_fault *fault,
                   struct err *err)
{
    struct aci_image *i = xcalloc(1, sizeof(*i));
    if (fault)
        *fault = (struct ac_fault){0};
    if (map(i, fd, name, err) < 0 || check_magic(i, name, err) < 0) {
        aci_image_close(i);
        return -1;
    }
    if (tree_read(i->tar, i->tar_len, &i->tree, err) < 0) {
        aci_image_close(i);
        return err_prefix(err, "%s", name);
    }
    if (read_manifest(i, name, fault, err) < 0) {
        aci_image_close(i);
        return -1;
    }
    *ret = i;
    return 0;
}

void aci_image_close(struct aci_image *i)
{
    if (!i)
        return;
    ac_image_manifest_free(i->manifest);
    tree_free(i->tree);
    if (i->tar)
        munmap(i->tar, i->tar_len);
    free(i);
}
