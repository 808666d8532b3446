/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ac-discovery meta tags of an HTML page.
 *
 * libxml2's HTML parser in its SAX form: no tree is built. Two of its algorithms are quadratic, in
 * the depth of nesting and in the number of different attributes of an element; so reading ends at
 * a depth that no real page has, and the table of names is bounded.
 */
#include "fetch/html.h"

#include <libxml/HTMLparser.h>
#include <libxml/dict.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

#define DEPTH_MAX    512
#define ELEMENTS_MAX 100000
#define NAMES_BYTES                                                                                \
    (16u << 10) /* names of elements and attributes, all different ones together                   \
                 */

struct scan {
    htmlParserCtxtPtr parser;
    struct html_tags *tags;
    size_t elements;
};

/* What is written inside these is text for a browser, so a visitor's comment can't add a tag. */
static bool inside_text_element(htmlParserCtxtPtr p)
{
    static const char *const names[] = {"iframe",    "noembed", "noframes", "noscript",
                                        "plaintext", "script",  "style",    "textarea",
                                        "title",     "xmp",     "template"};
    for (int i = 0; i < p->nameNr; i++)
        for (size_t k = 0; k < ARRAY_SIZE(names); k++)
            if (strcasecmp((const char *)p->nameTab[i], names[k]) == 0)
                return true;
    return false;
}

static const char *trim_start(const char *s)
{
    return s + strspn(s, " \t\r\n\f");
}

static char *copy_trimmed(const char *s, size_t n)
{
    while (n > 0 && strchr(" \t\r\n\f", s[n - 1]))
        n--;
    return xstrndup(s, n);
}

static void add_tag(struct html_tags *tags, bool pubkeys, const char *content)
{
    const char *prefix = trim_start(content), *blank = strchr(prefix, ' ');
    if (!blank || tags->n == HTML_TAGS_MAX)
        return;
    const char *target = trim_start(blank);
    if (!*target)
        return;
    tags->v = xreallocarray(tags->v, tags->n + 1, sizeof(*tags->v));
    tags->v[tags->n++] = (struct html_tag){
        .pubkeys = pubkeys,
        .prefix = xstrndup(prefix, (size_t)(blank - prefix)),
        .target = copy_trimmed(target, strlen(target)),
    };
}

static void on_meta(struct scan *s, const xmlChar **attributes)
{
    const char *name = NULL, *content = NULL;
    for (size_t i = 0; attributes && attributes[i]; i += 2) {
        const char *key = (const char *)attributes[i], *value = (const char *)attributes[i + 1];
        if (strcasecmp(key, "name") == 0)
            name = value;
        else if (strcasecmp(key, "content") == 0)
            content = value;
    }
    if (!name || !content || inside_text_element(s->parser))
        return;
    if (strcmp(name, "ac-discovery") == 0)
        add_tag(s->tags, false, content);
    else if (strcmp(name, "ac-discovery-pubkeys") == 0)
        add_tag(s->tags, true, content);
}

static void on_start(void *arg, const xmlChar *name, const xmlChar **attributes)
{
    struct scan *s = arg;
    if (strcasecmp((const char *)name, "meta") == 0)
        on_meta(s, attributes);
    if (s->parser->nameNr > DEPTH_MAX || ++s->elements > ELEMENTS_MAX)
        xmlStopParser(s->parser);
}

static void on_error(void *arg, const char *msg, ...)
{
    (void)arg, (void)msg; /* real pages are full of errors */
}

void html_find_tags(const char *page, size_t len, struct html_tags *ret)
{
    struct html_tags tags = {0};
    struct scan scan = {.tags = &tags};
    htmlSAXHandler sax = {
        .startElement = on_start, .error = on_error, .warning = on_error, .fatalError = on_error};
    *ret = tags;
    if (len > HTML_PAGE_MAX)
        len = HTML_PAGE_MAX;
    if (len == 0)
        return;
    scan.parser = htmlCreateMemoryParserCtxt(page, (int)len);
    if (!scan.parser)
        return;
    (void)xmlDictSetLimit(scan.parser->dict, NAMES_BYTES);
    htmlSAXHandlerPtr own = scan.parser->sax;
    scan.parser->sax = &sax;
    scan.parser->userData = &scan;
    (void)htmlCtxtUseOptions(scan.parser, HTML_PARSE_RECOVER | HTML_PARSE_NONET);
    (void)htmlParseDocument(scan.parser);
    scan.parser->sax = own;
    if (scan.parser->myDoc)
        xmlFreeDoc(scan.parser->myDoc);
    scan.parser->myDoc = NULL;
    htmlFreeParserCtxt(scan.parser);
    *ret = tags;
}

void html_tags_done(struct html_tags *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].prefix);
        free(t->v[i].target);
    }
    free(t->v);
    *t = (struct html_tags){0};
}
