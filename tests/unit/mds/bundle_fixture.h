/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle for tests: two apps, one of them with annotations. */
#ifndef APPC_TESTS_BUNDLE_FIXTURE_H
#define APPC_TESTS_BUNDLE_FIXTURE_H

#define HEX64    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UUID     "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
#define TOKEN    "Y4vFeVZzKM2T9rwkpWHfqXuGsNjS6O5c"
#define BASE     "/" TOKEN "/acMetadata/v1"
#define IMAGE_ID "sha512-" HEX64 HEX64
#define MANIFEST "{\"acKind\":\"PodManifest\", \"annotations\":[{\"name\":\"a\",\"value\":\"1\"}]}"
#define QUOTED_MANIFEST                                                                            \
    "\"{\\\"acKind\\\":\\\"PodManifest\\\", \\\"annotations\\\":[{\\\"name\\\":\\\"a\\\","         \
    "\\\"value\\\":\\\"1\\\"}]}\""
#define APP(name)                                                                                  \
    "{\"name\":\"" name "\",\"imageID\":\"" IMAGE_ID "\",\"imageManifest\":\"{ \\n}\","            \
    "\"annotations\":[ {\"name\":\"x\", \"value\":\"y\"} ]}"
#define BUNDLE_WITH(uuid, token, key, manifest, apps)                                              \
    "{\"uuid\":\"" uuid "\",\"token\":\"" token "\",\"masterKey\":\"" key                          \
    "\",\"podManifest\":" manifest ",\"apps\":" apps "}"
#define BUNDLE                                                                                     \
    BUNDLE_WITH(UUID, TOKEN, HEX64 HEX64, QUOTED_MANIFEST, "[" APP("main") "," APP("side-kick") "]")

#endif
