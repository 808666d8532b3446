/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an ACI file: compression, image ID on the way, and an atomic appearance. */
#include "host/image/aci_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

struct aci_out {
    char *path;
    char *tmp; /* NULL once it is gone or renamed */
    int fd;
    bool overwrite;
    struct archive *archive; /* NULL for no compression */
    EVP_MD_CTX *hash;
    struct aci_id expected; /* "": any */
};

static int add_filter(struct archive *a, enum aci_compress compress)
{
    switch (compress) {
    case ACI_GZIP:
        /* Without the time the same input gives the same file. */
        if (archive_write_add_filter_gzip(a) != ARCHIVE_OK ||
            archive_write_set_filter_option(a, "gzip", "timestamp", NULL) != ARCHIVE_OK)
            return ARCHIVE_FATAL;
        return ARCHIVE_OK;
    case ACI_BZIP2:
        return archive_write_add_filter_bzip2(a);
    case ACI_XZ:
        return archive_write_add_filter_xz(a);
    case ACI_ZSTD:
        return archive_write_add_filter_zstd(a);
    case ACI_NONE:
        break;
    }
    return ARCHIVE_FATAL;
}

/* The raw format is one nameless entry, so the filter sees our tar and nothing else. */
static int start_archive(struct aci_out *o, enum aci_compress compress, struct err *err)
{
    o->archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    if (!o->archive || !entry)
        die_oom();
    archive_entry_set_filetype(entry, AE_IFREG);
    bool ok = archive_write_set_format_raw(o->archive) == ARCHIVE_OK &&
              add_filter(o->archive, compress) == ARCHIVE_OK &&
              archive_write_set_bytes_in_last_block(o->archive, 1) == ARCHIVE_OK &&
              archive_write_open_fd(o->archive, o->fd) == ARCHIVE_OK &&
              archive_write_header(o->archive, entry) == ARCHIVE_OK;
    archive_entry_free(entry);
    if (!ok)
        return err_set(err, 0, "can't compress %s: %s", o->path, archive_error_string(o->archive));
    return 0;
}

static int create_tmp(struct aci_out *o, struct err *err)
{
    struct stat st;
    if (!str_ends(o->path, ".aci"))
        return err_set(err, 0, "\"%s\" does not end in .aci, as the name of an image must",
                       o->path);
    if (!o->overwrite && lstat(o->path, &st) == 0)
        return err_set(err, 0, "%s exists; --overwrite replaces it", o->path);
    o->tmp = xasprintf("%s.tmp.%ld", o->path, (long)getpid());
    o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (o->fd < 0) {
        int saved = errno;
        free(take_ptr(o->tmp));
        return err_set(err, saved, "can't create a file beside %s", o->path);
    }
    return 0;
}

int aci_out_open(const char *path, enum aci_compress compress, bool overwrite, struct aci_out **ret,
                 struct err *err)
{
    struct aci_out *o = xcalloc(1, sizeof(*o));
    *o = (struct aci_out){.path = xstrdup(path), .fd = -1, .overwrite = overwrite};
    o->hash = EVP_MD_CTX_new();
    if (!o->hash)
        die_oom();
    if (create_tmp(o, err) < 0 || (compress != ACI_NONE && start_archive(o, compress, err) < 0)) {
        aci_out_free(o);
        return -1;
    }
    if (!EVP_DigestInit_ex(o->hash, EVP_sha512(), NULL)) {
        aci_out_free(o);
        return err_set(err, 0, "OpenSSL has no SHA-512");
    }
    *ret = o;
    return 0;
}

void aci_out_expect(struct aci_out *o, const struct aci_id *id)
{
    o->expected = *id;
}

static int archive_failure(struct aci_out *o, struct err *err)
{
    return err_set(err, archive_errno(o->archive), "can't write %s", o->path);
}

int aci_out_write(struct aci_out *o, const void *data, size_t len, struct err *err)
{
    if (!EVP_DigestUpdate(o->hash, data, len))
        return err_set(err, 0, "can't compute the SHA-512 of %s", o->path);
    if (!o->archive) {
        if (write_all(o->fd, data, len) < 0)
            return err_set(err, errno, "can't write %s", o->path);
        return 0;
    }
    for (const char *p = data; len;) {
        la_ssize_t n = archive_write_data(o->archive, p, len);
        if (n <= 0)
            return archive_failure(o, err);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* rename() that minds whether something may be replaced. */
static int give_name(struct aci_out *o, struct err *err)
{
    if (o->overwrite ? rename(o->tmp, o->path) < 0
                     : renameat2(AT_FDCWD, o->tmp, AT_FDCWD, o->path, RENAME_NOREPLACE) < 0) {
        if (errno == EEXIST)
            return err_set(err, 0, "%s exists; --overwrite replaces it", o->path);
        return err_set(err, errno, "can't write %s", o->path);
    }
    free(take_ptr(o->tmp));
    return 0;
}

int aci_out_commit(struct aci_out *o, struct aci_id *ret_id, struct err *err)
{
    uint8_t digest[ACI_DIGEST_LEN];
    struct aci_id id;
    if (o->archive && archive_write_close(o->archive) != ARCHIVE_OK)
        return archive_failure(o, err);
    if (!EVP_DigestFinal_ex(o->hash, digest, NULL))
        return err_set(err, 0, "can't compute the SHA-512 of %s", o->path);
    aci_id_set(&id, digest);
    if (o->expected.text[0] && strcmp(o->expected.text, id.text) != 0)
        return err_set(err, 0, "image %s is damaged; fetch it again", o->expected.text);
    if (fsync(o->fd) < 0)
        return err_set(err, errno, "can't write %s", o->path);
    if (give_name(o, err) < 0)
        return -1;
    *ret_id = id;
    return 0;
}

void aci_out_free(struct aci_out *o)
{
    if (!o)
        return;
    if (o->archive)
        archive_write_free(o->archive);
    EVP_MD_CTX_free(o->hash);
    if (o->fd >= 0)
        close(o->fd);
    if (o->tmp)
        unlink(o->tmp);
    free(o->tmp);
    free(o->path);
    free(o);
}
