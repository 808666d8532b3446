/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that few commands need are loaded by those that do. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fetch/lazy_curl.h"
#include "fetch/lazy_rnp.h"

#define EXIT_FAILED 125

struct symbol {
    const char *name;
    void **place; /* a function pointer */
};

static _Noreturn void missing(const char *soname, const char *package)
{
    const char *why = dlerror();
    fprintf(stderr, "appc-vm: can't load %s: %s; install the package %s\n", soname, why ? why : "?",
            package);
    _exit(EXIT_FAILED); /* other threads may be at work */
}

static void load(const char *soname, const char *package, const struct symbol *symbols, size_t n)
{
    void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!lib)
        missing(soname, package);
    for (size_t i = 0; i < n; i++) {
        *symbols[i].place = dlsym(lib, symbols[i].name);
        if (!*symbols[i].place)
            missing(soname, package);
    }
}

#define X(f) typeof(f) *lazy_##f;
LAZY_CURL(X)
LAZY_RNP(X)
#undef X

/* POSIX: a function pointer of dlsym() may be stored through a void pointer. */
#define X(f) {#f, (void **)&lazy_##f},

static void load_curl(void)
{
    static const struct symbol symbols[] = {LAZY_CURL(X)};
    load("libcurl.so.4", "libcurl4", symbols, ARRAY_SIZE(symbols));
}

static void load_rnp(void)
{
    static const struct symbol symbols[] = {LAZY_RNP(X)};
    load("librnp.so.0", "librnp0", symbols, ARRAY_SIZE(symbols));
}
#undef X

void lazy_curl(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_curl);
}

void lazy_rnp(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_rnp);
}
