/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when it is first needed: most commands don't, and it would be
 * a third of the time in which they start. Each function that is used stands in the list and is
 * called as lazy_NAME(), after lazy_curl() was.
 */
#ifndef APPC_FETCH_LAZY_CURL_H
#define APPC_FETCH_LAZY_CURL_H

#include <curl/curl.h>

#define LAZY_CURL(X)                                                                               \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_escape)                                                                            \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_init)                                                                              \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_free)                                                                                   \
    X(curl_getdate)                                                                                \
    X(curl_global_init)                                                                            \
    X(curl_share_cleanup)                                                                          \
    X(curl_share_init)                                                                             \
    X(curl_share_setopt)                                                                           \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_url)                                                                                    \
    X(curl_url_cleanup)                                                                            \
    X(curl_url_get)                                                                                \
    X(curl_url_set)                                                                                \
    X(curl_url_strerror)

#define X(f) extern typeof(f) *lazy_##f;
LAZY_CURL(X)
#undef X

/* Of lazy_curl_easy_setopt() nothing checks the value's type: numbers are long or curl_off_t. */

/* Loads it once, in whatever thread; without it the process ends with status 125 and a line why. */
void lazy_curl(void);

#endif
