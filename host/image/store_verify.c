/* SPDX-License-Identifier: Apache-2.0 */
/* Checking an image in the store from the bytes up. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "host/image/aci_image.h"
#include "host/image/store_db.h"

static int not_intact(struct store_verdict *v, const struct err *e)
{
    v->intact = false;
    snprintf(v->problem, sizeof(v->problem), "%.500s", e->msg);
    return 0;
}

/* What the index says of the image is what the image says. */
static int check_row(struct store *s, const struct aci_id *id, const struct aci_image *image,
                     struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct store_image row;
    if (store_manifest(s, id, &text, &len, err) < 0 || store_get(s, id, &row, err) < 0)
        return -1;
    int r = 0;
    if (len != image->manifest_len || memcmp(text, image->manifest_text, len) != 0 ||
        strcmp(row.name, image->manifest->name) != 0)
        r = err_set(err, 0, "the index has another manifest for it; remove it and fetch it again");
    store_image_done(&row);
    return r;
}

int store_verify(struct store *s, const struct aci_id *id, struct store_verdict *ret,
                 struct err *err)
{
    struct store_verdict v = {.intact = true};
    struct aci_image *image;
    struct err why;
    cleanup_close int fd = -1;
    uint64_t size;
    if (store_blob_checked(s, id, &fd, &size, &why) < 0) {
        if (why.errnum != EBADMSG && why.errnum != ENOENT) {
            *err = why;
            return -1;
        }
        not_intact(&v, &why);
        *ret = v;
        return 0;
    }
    if (aci_image_open(fd, "the tar", &image, NULL, &why) < 0) {
        not_intact(&v, &why);
        *ret = v;
        return 0;
    }
    int r = 0;
    if (check_row(s, id, image, &why) < 0)
        not_intact(&v, &why);
    else
        r = store_render_check(s, id, image, &v.repaired, err);
    aci_image_close(image);
    if (r == 0)
        *ret = v;
    return r;
}
