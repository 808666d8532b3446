/* SPDX-License-Identifier: Apache-2.0 */
/* Image references, as users type them: a file, an ID, a prefix of it, a name with labels. */
#include "host/image/imgref.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/aci.h"
#include "schema/label.h"
#include "schema/text.h"
#include "schema/types.h"

static char *lower(const char *s)
{
    char *copy = xstrdup(s);
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

static bool is_path(const char *s)
{
    return s[0] == '/' || str_starts(s, "./") || str_starts(s, "../") || str_ends(s, ".aci") ||
           strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

static int parse_name(const char *text, struct imgref *ret, struct err *err)
{
    struct ac_image_name name;
    struct ac_fault fault;
    if (ac_image_name_parse(text, &name, &fault) < 0)
        return err_set(err, 0, "image \"%s\": %s (an image is a file, an ID or NAME[:VERSION])",
                       text, fault.msg);
    *ret = (struct imgref){.kind = IMGREF_NAME, .text = name.name, .labels = name.labels};
    return 0;
}

int imgref_parse(const char *text, struct imgref *ret, struct err *err)
{
    if (str_starts(text, "file://")) {
        *ret = (struct imgref){.kind = IMGREF_FILE, .text = xstrdup(text + strlen("file://"))};
        return 0;
    }
    if (strstr(text, "://")) { /* before paths: a URL ends in ".aci" too */
        *ret = (struct imgref){.kind = IMGREF_URL, .text = xstrdup(text)};
        return 0;
    }
    if (is_path(text)) {
        *ret = (struct imgref){.kind = IMGREF_FILE, .text = xstrdup(text)};
        return 0;
    }
    char *folded = lower(text);
    if (aci_id_is_prefix(folded)) {
        *ret = (struct imgref){.kind = IMGREF_ID, .text = folded};
        return 0;
    }
    free(folded);
    if (str_starts(text, ACI_ID_PREFIX))
        return err_set(err, 0,
                       "image \"%s\" is no image ID: \"sha512-\" and up to 128 hex digits", text);
    return parse_name(text, ret, err);
}

void imgref_done(struct imgref *r)
{
    for (size_t i = 0; i < r->labels.n; i++) {
        free(r->labels.v[i].name);
        free(r->labels.v[i].value);
    }
    free(r->labels.v);
    free(r->text);
    *r = (struct imgref){0};
}

const char *imgref_host_arch(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return "aarch64";
#else
#error "name this architecture as the label arch of images does"
#endif
}

/* No version, or one that is no semantic version, is below all that are. */
static int compare_versions(const char *a, const char *b)
{
    bool valid_a = a && ac_semver_valid(a), valid_b = b && ac_semver_valid(b);
    if (valid_a && valid_b)
        return ac_semver_compare(a, b);
    return (int)valid_a - (int)valid_b;
}

int imgref_better(const struct ac_pairs *a, int64_t imported_a, const struct ac_pairs *b,
                  int64_t imported_b)
{
    int here = (int)ac_labels_run_on(a, IMGREF_HOST_OS, imgref_host_arch()) -
               (int)ac_labels_run_on(b, IMGREF_HOST_OS, imgref_host_arch());
    if (here)
        return here;
    int version = compare_versions(ac_pairs_get(a, "version"), ac_pairs_get(b, "version"));
    if (version)
        return version;
    return (imported_a > imported_b) - (imported_a < imported_b);
}
