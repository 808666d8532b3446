/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm discover: what image discovery tries for a name, and what it finds. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fetch/discover.h"
#include "fetch/want.h"
#include "host/cli.h"
#include "host/image/imgref.h"
#include "host/network.h"
#include "schema/value.h"

static json_t *text_or_null(const char *s)
{
    json_t *j = s ? json_string(s) : NULL;
    return j ? j : json_null();
}

static void print_json(const char *name, const struct discover *d)
{
    json_t *attempts = json_array(), *images = json_array(), *keys = json_array();
    for (size_t i = 0; i < d->nattempts; i++)
        json_array_append_new(attempts,
                              json_pack("{s:o, s:o, s:b}", "url", text_or_null(d->attempts[i].url),
                                        "outcome", text_or_null(d->attempts[i].outcome), "found",
                                        d->attempts[i].usable));
    for (size_t i = 0; i < d->nendpoints; i++) {
        const struct discover_endpoint *e = &d->endpoints[i];
        json_array_append_new(
            images, json_pack("{s:o, s:o, s:o, s:o}", "template", text_or_null(e->template),
                              "image", text_or_null(e->image), "signature",
                              text_or_null(e->signature), "problem", text_or_null(e->problem)));
    }
    for (size_t i = 0; i < d->keys.n; i++)
        json_array_append_new(keys, text_or_null(d->keys.v[i]));
    json_t *all = json_pack("{s:s, s:o, s:o, s:o}", "name", name, "attempts", attempts, "images",
                            images, "keys", keys);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

/* Pages are written by strangers: control characters do not reach the terminal. */
static void line(const char *left, const char *text, const char *more)
{
    struct err clean;
    err_fill(&clean, 0, "%s%s%s", text, more ? ": " : "", more ? more : "");
    printf("%s%s\n", left, clean.msg);
}

static void print_text(const struct discover *d)
{
    puts("tried:");
    for (size_t i = 0; i < d->nattempts; i++)
        line("  ", d->attempts[i].url, d->attempts[i].outcome);
    for (size_t i = 0; i < d->nendpoints; i++) {
        const struct discover_endpoint *e = &d->endpoints[i];
        if (e->problem) {
            line("not usable: ", e->template, e->problem);
        } else {
            line("image:      ", e->image, NULL);
            line("signature:  ", e->signature, NULL);
        }
    }
    for (size_t i = 0; i < d->keys.n; i++)
        line("keys:       ", d->keys.v[i], NULL);
}

static bool any_image(const struct discover *d)
{
    for (size_t i = 0; i < d->nendpoints; i++)
        if (!d->endpoints[i].problem)
            return true;
    return false;
}

static int run(struct network_options *o, const char *text, bool json, struct err *err)
{
    cleanup_with(imgref_done) struct imgref ref = {0};
    cleanup_with(network_close) struct network net = {0};
    cleanup_with(discover_done) struct discover d = {0};
    cleanup_with(fetch_want_done) struct fetch_want want = {0};
    cleanup_with(ac_pairs_done) struct ac_pairs labels = {0};
    if (network_options_check(o, err) < 0 || imgref_parse(text, &ref, err) < 0)
        return -1;
    if (ref.kind != IMGREF_NAME)
        return err_set(err, 0, "\"%s\" is not an image name; only names are discovered", text);
    if (network_open(o, &net, err) < 0)
        return -1;
    ac_pairs_copy(&want.labels, &ref.labels);
    want_template_labels(&want, IMGREF_HOST_OS, imgref_host_arch(), &labels);
    int r = discover(net.net, ref.text, &labels, DISCOVER_IMAGES | DISCOVER_KEYS, &d, err);
    if (json)
        print_json(ref.text, &d);
    else if (d.nattempts)
        print_text(&d);
    if (r < 0 && any_image(&d)) /* keys are only recommended */
        return 0;
    if (r < 0 && d.nattempts)
        return err_set(err, 0, "found no image of %s", ref.text);
    return r;
}

int cmd_discover(const struct command *self, int argc, char **argv)
{
    const char *format = "text";
    cleanup_with(network_options_done) struct network_options o;
    network_options_init(&o);
    const struct opt table[] = {
        {0, "format", OPT_CHOICE, &format, "text|json", "of what is printed"},
        NETWORK_OPTIONS(o),
        {0},
    };
    struct err err;
    int n, r = cli_parse(self, table, argc, argv, 1, 1, &n);
    if (r >= 0)
        return r;
    return run(&o, argv[1], str_eq(format, "json"), &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}
