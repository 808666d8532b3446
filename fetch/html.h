/* SPDX-License-Identifier: Apache-2.0 */
/* The ac-discovery meta tags of an HTML page (spec/discovery.md). */
#ifndef APPC_FETCH_HTML_H
#define APPC_FETCH_HTML_H

#include <stdbool.h>
#include <stddef.h>

#define HTML_PAGE_MAX (1u << 20) /* bytes of a page that are looked at, after decompression */
#define HTML_TAGS_MAX 64         /* tags of one page that are taken; the rest is passed over */

/* One tag, in document order. */
struct html_tag {
    bool pubkeys; /* "ac-discovery-pubkeys", not "ac-discovery" */
    char *prefix;
    char *target; /* URL template, or URL of keys */
};

struct html_tags {
    struct html_tag *v;
    size_t n;
};

/*
 * Finds the tags in a page as it came, however broken its HTML is: element and attribute names in
 * any case, attributes in any order, entities decoded; nothing inside comments, scripts and other
 * elements whose content is text (DISC-23). A tag whose content is not "PREFIX TARGET" is passed
 * over (DISC-24). Bytes behind HTML_PAGE_MAX, and elements nested deeper than any real page, are
 * not looked at. Never fails; release with html_tags_done().
 */
void html_find_tags(const char *page, size_t len, struct html_tags *ret);

void html_tags_done(struct html_tags *t);

#endif
