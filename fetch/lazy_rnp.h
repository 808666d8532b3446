/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librnp, loaded when it is first needed: most commands don't, and it would be
 * a third of the time in which they start. Each function that is used stands in the list and is
 * called as lazy_NAME(), after lazy_rnp() was.
 */
#ifndef APPC_FETCH_LAZY_RNP_H
#define APPC_FETCH_LAZY_RNP_H

#include <rnp/rnp.h>

#define LAZY_RNP(X)                                                                                \
    X(rnp_buffer_destroy)                                                                          \
    X(rnp_ffi_create)                                                                              \
    X(rnp_ffi_destroy)                                                                             \
    X(rnp_ffi_set_pass_provider)                                                                   \
    X(rnp_identifier_iterator_create)                                                              \
    X(rnp_identifier_iterator_destroy)                                                             \
    X(rnp_identifier_iterator_next)                                                                \
    X(rnp_input_destroy)                                                                           \
    X(rnp_input_from_callback)                                                                     \
    X(rnp_input_from_memory)                                                                       \
    X(rnp_key_allows_usage)                                                                        \
    X(rnp_key_export)                                                                              \
    X(rnp_key_get_alg)                                                                             \
    X(rnp_key_get_bits)                                                                            \
    X(rnp_key_get_creation)                                                                        \
    X(rnp_key_get_curve)                                                                           \
    X(rnp_key_get_dsa_qbits)                                                                       \
    X(rnp_key_get_expiration)                                                                      \
    X(rnp_key_get_fprint)                                                                          \
    X(rnp_key_get_primary_fprint)                                                                  \
    X(rnp_key_get_uid_at)                                                                          \
    X(rnp_key_get_uid_count)                                                                       \
    X(rnp_key_get_uid_handle_at)                                                                   \
    X(rnp_key_handle_destroy)                                                                      \
    X(rnp_key_is_expired)                                                                          \
    X(rnp_key_is_primary)                                                                          \
    X(rnp_key_is_revoked)                                                                          \
    X(rnp_key_is_sub)                                                                              \
    X(rnp_key_is_valid)                                                                            \
    X(rnp_load_keys)                                                                               \
    X(rnp_locate_key)                                                                              \
    X(rnp_op_verify_create)                                                                        \
    X(rnp_op_verify_destroy)                                                                       \
    X(rnp_op_verify_detached_create)                                                               \
    X(rnp_op_verify_execute)                                                                       \
    X(rnp_op_verify_get_protection_info)                                                           \
    X(rnp_op_verify_get_signature_at)                                                              \
    X(rnp_op_verify_get_signature_count)                                                           \
    X(rnp_op_verify_get_symenc_count)                                                              \
    X(rnp_op_verify_set_flags)                                                                     \
    X(rnp_op_verify_signature_get_handle)                                                          \
    X(rnp_op_verify_signature_get_key)                                                             \
    X(rnp_op_verify_signature_get_status)                                                          \
    X(rnp_output_destroy)                                                                          \
    X(rnp_output_memory_get_buf)                                                                   \
    X(rnp_output_to_callback)                                                                      \
    X(rnp_output_to_memory)                                                                        \
    X(rnp_result_to_string)                                                                        \
    X(rnp_signature_get_creation)                                                                  \
    X(rnp_signature_get_hash_alg)                                                                  \
    X(rnp_signature_get_key_fprint)                                                                \
    X(rnp_signature_get_keyid)                                                                     \
    X(rnp_signature_get_type)                                                                      \
    X(rnp_signature_handle_destroy)                                                                \
    X(rnp_uid_handle_destroy)                                                                      \
    X(rnp_uid_is_revoked)                                                                          \
    X(rnp_uid_is_valid)

#define X(f) extern typeof(f) *lazy_##f;
LAZY_RNP(X)
#undef X

/* Loads it once, in whatever thread; without it the process ends with status 125 and a line why. */
void lazy_rnp(void);

#endif
