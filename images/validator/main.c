/* SPDX-License-Identifier: Apache-2.0 */
/* The validator's four modes, and what each looks at in which order. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "validator.h"

#define APP_MAIN     "ace-validator-main"
#define APP_SIDEKICK "ace-validator-sidekick"
#define USAGE_STATUS 64
#define FILE_MAX     (1u << 20)

static unsigned failures;

bool check(bool ok, const char *id, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%s %s: %s\n", ok ? "ok" : "no", id, text);
    if (ok)
        return true;
    failures++;
    fprintf(stderr, "==> %s: %s\n", id, text);
    return false;
}

uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

char *slurp(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *data = calloc(1, FILE_MAX + 1);
    size_t len = 0;
    for (ssize_t n; len < FILE_MAX && (n = read(fd, data + len, FILE_MAX - len)) > 0;)
        len += (size_t)n;
    close(fd);
    return data;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void absent(const char *id, const char *path)
{
    check(!exists(path), id, "%s is not there", path);
}

static void present(const char *id, const char *path)
{
    check(exists(path), id, "%s is there", path);
}

static void create(const char *id, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    check(fd >= 0, id, "%s can be created%s%s", path, fd < 0 ? ": " : "",
          fd < 0 ? strerror(errno) : "");
    if (fd >= 0)
        close(fd);
}

/* Spins, so that the executor has to get its own work done beside an app that never sleeps. */
static void await(const char *id, const char *path)
{
    uint64_t begin = now_us(), end = begin + RENDEZVOUS_MS * 1000;
    while (!exists(path) && now_us() < end)
        ;
    check(exists(path), id, "%s appeared after %llu ms", path,
          (unsigned long long)(now_us() - begin) / 1000);
}

static void check_db_mount(void)
{
    char *save, *line, where[4096], options[4096];
    char *text = slurp("/proc/self/mountinfo");
    bool all = text != NULL, rw = false, found = false;
    for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        int id, parent;
        if (sscanf(line, "%d %d %*s %*s %4095s %4095s", &id, &parent, where, options) != 4)
            all = false;
        else if (strcmp(where, "/db") == 0) {
            found = true;
            rw = strstr(options, "rw") != NULL;
        }
    }
    check(all && found && rw, "VAL-26", "/db is mounted for reading and writing");
}

static void run_prestart(void)
{
    absent("VAL-10", "/prestart");
    create("VAL-10", "/prestart");
    absent("VAL-11", "/main");
    absent("VAL-11", "/poststop");
    check_environment(APP_MAIN);
    check_main_environment();
}

static void run_main(void)
{
    present("VAL-20", "/prestart");
    absent("VAL-21", "/main");
    create("VAL-21", "/main");
    absent("VAL-22", "/poststop");
    check_environment(APP_MAIN);
    check_main_environment();
    check_db_mount();
    check_metadata();
    await("VAL-29", "/db/sidekick");
    check_shared();
    absent("VAL-30", "/db/main");
    create("VAL-30", "/db/main");
    check_os();
    check_network();
    check_isolation(true);
}

static void run_sidekick(void)
{
    offer_shared();
    await("VAL-41", "/db/main");
    check_environment(APP_SIDEKICK);
    check_os();
    check_network();
    check_isolation(false);
    absent("POD-12", "/prestart");
}

static void run_poststop(void)
{
    present("VAL-50", "/prestart");
    present("VAL-50", "/main");
    absent("VAL-51", "/poststop");
    create("VAL-51", "/poststop");
    check_environment(APP_MAIN);
    check_main_environment();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"main", run_main},
                 {"sidekick", run_sidekick},
                 {"prestart", run_prestart},
                 {"poststop", run_poststop}};
    for (size_t i = 0; argc == 2 && i < sizeof(modes) / sizeof(*modes); i++) {
        if (strcasecmp(argv[1], modes[i].name) != 0)
            continue;
        modes[i].run();
        printf("%s %s\n", argv[1], failures ? "FAIL" : "OK");
        return failures ? 1 : 0;
    }
    fprintf(stderr, "usage: %s main|sidekick|prestart|poststop\n", argc ? argv[0] : "validator");
    return USAGE_STATUS;
}
