/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm metadata: the host's side of the pods' identities. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/paths.h"
#include "host/pod/mdkey.h"

#define SIGNATURE_FILE_MAX 4096

struct verify {
    const char *dir, *key_file;
    const char *uuid;
    const char *signature, *signature_file;
    const char *file; /* content; "-": standard input */
    uint8_t uuid_bytes[AC_UUID_SIZE];
};

static int read_input(const char *file, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    if (str_eq(file, "-"))
        return read_to_end(STDIN_FILENO, "standard input", max, ret, ret_len, err);
    return read_file_at(AT_FDCWD, file, max, ret, ret_len, err);
}

/* The signature, without the white space around it that editors and shells add. */
static int read_signature(const struct verify *v, char **ret, struct err *err)
{
    char *text;
    size_t len;
    if (v->signature) {
        *ret = xstrdup(v->signature);
        return 0;
    }
    if (read_input(v->signature_file, SIGNATURE_FILE_MAX, &text, &len, err) < 0)
        return -1;
    size_t start = strspn(text, " \t\r\n");
    memmove(text, text + start, len - start + 1);
    text[strcspn(text, " \t\r\n")] = '\0';
    *ret = text;
    return 0;
}

static int check_options(struct verify *v, struct err *err)
{
    if (!v->uuid)
        return err_set(err, 0, "--uuid is needed: of the pod that is said to have signed");
    if (ac_uuid_parse(v->uuid, v->uuid_bytes) < 0)
        return err_set(err, 0, "--uuid: \"%.64s\" is no UUID", v->uuid);
    if (!v->signature == !v->signature_file)
        return err_set(err, 0, "either --signature or --signature-file is needed");
    if (str_eq(v->signature_file, "-") && str_eq(v->file, "-"))
        return err_set(err, 0, "content and signature can't both come from standard input");
    return 0;
}

static int load_identity(const struct verify *v, struct identity *ret, struct err *err)
{
    uint8_t master[IDENTITY_MASTER_SIZE];
    cleanup_free char *data_dir = NULL;
    if (!v->key_file && paths_data_dir(v->dir, &data_dir, err) < 0)
        return -1;
    if (mdkey_load(data_dir, v->key_file, false, master, err) < 0)
        return -1;
    int r = identity_init(ret, master, err);
    explicit_bzero(master, sizeof(master));
    return r;
}

static int verify(const struct verify *v, bool *ret_valid, struct err *err)
{
    cleanup_with(identity_done) struct identity id = {0};
    cleanup_free char *signature = NULL, *content = NULL;
    size_t len;
    if (load_identity(v, &id, err) < 0 || read_signature(v, &signature, err) < 0 ||
        read_input(v->file, IDENTITY_CONTENT_MAX, &content, &len, err) < 0)
        return -1;
    return identity_verify(&id, v->uuid_bytes, content, len, signature, strlen(signature),
                           ret_valid, err);
}

static int cmd_metadata_verify(const struct command *self, int argc, char **argv)
{
    struct verify v = {.file = "-"};
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &v.dir, "DIR", "data directory"},
        {0, "key-file", OPT_STRING, &v.key_file, "FILE",
         "master key, instead of the one in the data directory"},
        {0, "uuid", OPT_STRING, &v.uuid, "UUID", "the pod that is said to have signed"},
        {0, "signature", OPT_STRING, &v.signature, "BASE64", "the signature"},
        {0, "signature-file", OPT_STRING, &v.signature_file, "FILE", "a file that holds it"},
        {0},
    };
    struct err err;
    char uuid[AC_UUID_TEXT];
    bool valid;
    int n, r = cli_parse(self, table, argc, argv, 0, 1, &n);
    if (r >= 0)
        return r;
    if (n == 1)
        v.file = argv[1];
    if (check_options(&v, &err) < 0)
        return cli_fail(&err, CLI_USAGE);
    if (verify(&v, &valid, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    ac_uuid_format(v.uuid_bytes, uuid);
    if (valid) {
        printf("valid: signed by pod %s\n", uuid);
        return CLI_OK;
    }
    err_fill(&err, 0, "not valid: pod %s did not sign this content with this master key", uuid);
    return cli_fail(&err, CLI_FAILED);
}

const struct command metadata_commands[] = {
    {"verify", "[FILE]", "check a signature that a pod's metadata service made",
     cmd_metadata_verify, NULL},
    {0},
};
