/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request line to the resource it names (spec/ace.md, "Metadata
 * Service"), with no I/O.
 *
 *   /TOKEN/acMetadata/v1/pod/annotations              GET
 *   /TOKEN/acMetadata/v1/pod/manifest                 GET
 *   /TOKEN/acMetadata/v1/pod/uuid                     GET
 *   /TOKEN/acMetadata/v1/pod/hmac/sign                POST
 *   /TOKEN/acMetadata/v1/pod/hmac/verify              POST
 *   /TOKEN/acMetadata/v1/apps/NAME/annotations        GET
 *   /TOKEN/acMetadata/v1/apps/NAME/image/manifest     GET
 *   /TOKEN/acMetadata/v1/apps/NAME/image/id           GET
 *
 * Several slashes in a row count as one: clients paste paths behind $AC_METADATA_URL and behind
 * base paths that the specification writes with a slash at the end. A slash at the end of a
 * whole path is never part of a resource.
 */
#ifndef APPC_MDS_ROUTE_H
#define APPC_MDS_ROUTE_H

#include "mds/bundle.h"

enum route_action {
    ROUTE_TEXT, /* `body` as it is */
    ROUTE_SIGN,
    ROUTE_VERIFY,
};

struct route {
    unsigned status;   /* 200; 403 wrong token, 404 no such resource, 405 wrong method */
    const char *allow; /* with 405: the methods of the resource */
    enum route_action action;
    const char *type; /* Content-Type of the answer */
    struct bundle_text body;
};

#define ROUTE_TYPE_JSON "application/json"
#define ROUTE_TYPE_TEXT "text/plain; charset=us-ascii"

/*
 * `path` is decoded and without its query. The token is compared in constant time and before
 * anything else, so that without it nothing can be learnt about the pod.
 */
struct route route_find(const struct bundle *b, const char *method, const char *path);

#endif
