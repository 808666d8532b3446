/* SPDX-License-Identifier: Apache-2.0 */
/* host/pod/mdkey: the master key file, tokens, bundles in a descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/pod/mdkey.h"

struct world {
    char base[32];
    char *data; /* does not exist at the start */
    char *key;
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    strcpy(w->base, "/tmp/appc-mdkey.XXXXXX");
    assert_non_null(mkdtemp(w->base));
    w->data = xasprintf("%s/a/b", w->base);
    w->key = xasprintf("%s/%s", w->data, MDKEY_FILE);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    cleanup_free char *a = xasprintf("%s/a", w->base);
    unlink(w->key);
    rmdir(w->data);
    rmdir(a);
    /* Fails when a temporary file was left. */
    assert_true(rmdir(w->base) == 0);
    free(w->data);
    free(w->key);
    free(w);
    return 0;
}

static void a_key_is_made_once(void **state)
{
    struct world *w = *state;
    uint8_t a[IDENTITY_MASTER_SIZE], b[IDENTITY_MASTER_SIZE] = {0};
    struct err err;
    struct stat st;
    assert_int_equal(mdkey_load(w->data, NULL, false, a, &err), -1);
    assert_int_equal(err.errnum, ENOENT);
    assert_int_equal(mdkey_load(w->data, NULL, true, a, &err), 0);
    assert_int_equal(stat(w->key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 64);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(mdkey_load(w->data, NULL, true, b, &err), 0);
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(mdkey_load(NULL, w->key, false, b, &err), 0);
    assert_memory_equal(a, b, sizeof(a));
}

/* Processes that make it at the same time all come away with the same key. */
static void makers_at_once_agree(void **state)
{
    struct world *w = *state;
    enum { N = 8 };
    uint8_t keys[N][IDENTITY_MASTER_SIZE];
    int out[2], go[2];
    assert_int_equal(pipe(out) | pipe(go), 0);
    for (int i = 0; i < N; i++) {
        if (fork() == 0) {
            uint8_t key[IDENTITY_MASTER_SIZE];
            char c;
            close(go[1]);
            while (read(go[0], &c, 1) < 0)
                ;
            int r = mdkey_load(w->data, NULL, true, key, NULL);
            _exit(r < 0 || write_all(out[1], key, sizeof(key)) < 0);
        }
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < N; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(read_all(out[0], keys, sizeof(keys)), 0);
    for (int i = 1; i < N; i++)
        assert_memory_equal(keys[0], keys[i], sizeof(keys[0]));
    close(out[0]);
    close(out[1]);
}

static void refused(struct world *w, const char *why)
{
    uint8_t key[IDENTITY_MASTER_SIZE];
    struct err err;
    assert_int_equal(mdkey_load(w->data, NULL, true, key, &err), -1);
    assert_non_null(strstr(err.msg, w->key));
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
}

static void a_key_that_others_may_have_read_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t key[IDENTITY_MASTER_SIZE];
    struct err err;
    static const mode_t bad[] = {0640, 0604, 0620, 0601, 0644};
    assert_int_equal(mdkey_load(w->data, NULL, true, key, &err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(chmod(w->key, bad[i]), 0);
        refused(w, "chmod 600");
    }
    assert_int_equal(chmod(w->key, 0400), 0);
    assert_int_equal(mdkey_load(w->data, NULL, true, key, &err), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(w->key, 65534, 0), 0);
        refused(w, "belongs to user 65534");
    }
}

static void what_is_no_key_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t key[IDENTITY_MASTER_SIZE];
    struct err err;
    assert_int_equal(mdkey_load(w->data, NULL, true, key, &err), 0);
    assert_int_equal(truncate(w->key, 63), 0);
    refused(w, "63 bytes");
    assert_int_equal(truncate(w->key, 65), 0);
    refused(w, "65 bytes");
    assert_int_equal(unlink(w->key), 0);
    assert_int_equal(mkfifo(w->key, 0600), 0);
    refused(w, "no regular file");
}

/* MDS-04, MDS-05: at least 128 bits, and none like the other. */
static void tokens_are_random_mds_04(void **state)
{
    char a[MDKEY_TOKEN_TEXT], b[MDKEY_TOKEN_TEXT];
    struct err err;
    (void)state;
    assert_int_equal(mdkey_token(a, &err), 0);
    assert_int_equal(mdkey_token(b, &err), 0);
    assert_int_equal(strlen(a), 43);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     43);
    assert_string_not_equal(a, b);
}

#define UUID "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

static void a_bundle_comes_in_a_sealed_descriptor(void **state)
{
    struct ac_pod_manifest pod = {.ac_version = (char *)(uintptr_t) "0.8.11"};
    const uint8_t master[IDENTITY_MASTER_SIZE] = {1};
    char token[MDKEY_TOKEN_TEXT];
    cleanup_with(bundle_done) struct bundle b = {0};
    cleanup_free char *text = NULL;
    cleanup_close int fd = -1;
    struct err err;
    size_t len;
    (void)state;
    assert_int_equal(mdkey_token(token, &err), 0);
    assert_int_equal(mdkey_bundle(UUID, token, master, &pod, NULL, &fd, &err), 0);
    assert_int_equal(read_to_end(fd, "bundle", BUNDLE_MAX, &text, &len, &err), 0);
    assert_int_equal(bundle_decode(text, len, &b, &err), 0);
    assert_string_equal(b.token, token);
    assert_int_equal(b.napps, 0);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    assert_true(ftruncate(fd, 0) < 0);
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIR(a_key_is_made_once),
        WITH_DIR(makers_at_once_agree),
        WITH_DIR(a_key_that_others_may_have_read_is_refused),
        WITH_DIR(what_is_no_key_is_refused),
        cmocka_unit_test(tokens_are_random_mds_04),
        cmocka_unit_test(a_bundle_comes_in_a_sealed_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
