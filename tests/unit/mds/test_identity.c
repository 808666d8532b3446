/* SPDX-License-Identifier: Apache-2.0 */
/* mds/identity: signatures bound to a pod. The vectors were made with another HMAC (Python's). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "mds/identity.h"

static const uint8_t pod[AC_UUID_SIZE] = {0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0,
                                          0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6};

static const struct {
    const char *content;
    size_t len;
    const char *signature;
} vectors[] = {
    {"Old MacDonald Had A Farm", 24,
     "au/aqHg28UUnlyVtWN6HT2oAf+xxXaJtpbBLuWg6g60m"
     "xI4wJl3HI30wCHOW7En4aLrb0BlySskWDpn3uRbdeQ=="},
    {"", 0,
     "E6HUl+ljuqEWg2h+4vg9sALXSWCQfFwLEBEgie6tZeHq"
     "+erxNW2I8cDKeAHZ8zsgT/mXf2jB/O4AYVxt2YDIcg=="},
    {"a\0b", 3,
     "Y94UWuqyg41dQpHGqMYoSLQPHPeuoWFyrFAm9CgdJZB4"
     "O8nQd2rvuD1PYLUn4yYl8wlTbqUbLyNTJHDoQDg+tg=="},
};

static void setup(struct identity *id)
{
    uint8_t master[IDENTITY_MASTER_SIZE];
    struct err err;
    for (size_t i = 0; i < sizeof(master); i++)
        master[i] = (uint8_t)i;
    assert_int_equal(identity_init(id, master, &err), 0);
}

static bool valid(struct identity *id, const uint8_t uuid[AC_UUID_SIZE], const char *content,
                  size_t len, const char *signature, size_t slen)
{
    bool ok = false;
    struct err err;
    assert_int_equal(identity_verify(id, uuid, content, len, signature, slen, &ok, &err), 0);
    return ok;
}

static void signatures_are_the_documented_hmac_mds_16(void **state)
{
    (void)state;
    cleanup_with(identity_done) struct identity id = {0};
    struct err err;
    setup(&id);
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        char text[IDENTITY_SIGNATURE_TEXT];
        assert_int_equal(identity_sign(&id, pod, vectors[i].content, vectors[i].len, text, &err),
                         0);
        assert_string_equal(text, vectors[i].signature);
        assert_int_equal(strlen(text), IDENTITY_SIGNATURE_LEN);
    }
}

static void any_change_is_noticed_mds_17_18(void **state)
{
    (void)state;
    cleanup_with(identity_done) struct identity id = {0};
    char s[IDENTITY_SIGNATURE_TEXT + 1];
    uint8_t other[AC_UUID_SIZE];
    setup(&id);
    const char *content = vectors[0].content;
    size_t len = vectors[0].len;
    strcpy(s, vectors[0].signature);
    assert_true(valid(&id, pod, content, len, s, IDENTITY_SIGNATURE_LEN));
    assert_false(valid(&id, pod, content, len - 1, s, IDENTITY_SIGNATURE_LEN));
    assert_false(valid(&id, pod, content, len, s, IDENTITY_SIGNATURE_LEN - 1));
    assert_false(valid(&id, pod, content, len, "", 0));
    strcat(s, "=");
    assert_false(valid(&id, pod, content, len, s, IDENTITY_SIGNATURE_LEN + 1));
    for (size_t i = 0; i < IDENTITY_SIGNATURE_LEN; i++) {
        strcpy(s, vectors[0].signature);
        s[i] = s[i] == 'A' ? 'B' : 'A';
        assert_false(valid(&id, pod, content, len, s, IDENTITY_SIGNATURE_LEN));
    }
    for (size_t i = 0; i < AC_UUID_SIZE; i++) {
        memcpy(other, pod, sizeof(pod));
        other[i] ^= 1;
        assert_false(valid(&id, other, content, len, vectors[0].signature, IDENTITY_SIGNATURE_LEN));
    }
}

/* MDS-20: another service with the master key accepts it; one with another key does not. */
static void services_agree_by_the_master_key_mds_20(void **state)
{
    (void)state;
    cleanup_with(identity_done) struct identity a = {0};
    cleanup_with(identity_done) struct identity b = {0};
    uint8_t master[IDENTITY_MASTER_SIZE] = {1};
    struct err err;
    setup(&a);
    assert_true(valid(&a, pod, "", 0, vectors[1].signature, IDENTITY_SIGNATURE_LEN));
    assert_int_equal(identity_init(&b, master, &err), 0);
    assert_false(valid(&b, pod, "", 0, vectors[1].signature, IDENTITY_SIGNATURE_LEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_the_documented_hmac_mds_16),
        cmocka_unit_test(any_change_is_noticed_mds_17_18),
        cmocka_unit_test(services_agree_by_the_master_key_mds_20),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
