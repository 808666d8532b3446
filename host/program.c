/* SPDX-License-Identifier: Apache-2.0 */
/* Running a helper program and waiting for it. */
#include "host/program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

extern char **environ;

#define PROGRAM_ERROR_MAX 4096

static char *find_in(const char *path, const char *name)
{
    while (path && *path) {
        size_t n = strcspn(path, ":");
        char *full = xasprintf("%.*s/%s", (int)n, path, name);
        if (n && access(full, X_OK) == 0)
            return full;
        free(full);
        path += n + (path[n] == ':');
    }
    return NULL;
}

char *program_find(const char *name)
{
    char *full = find_in(getenv("PATH"), name);
    return full ? full : find_in("/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", name);
}

/* The last line that is not empty, in place. */
static const char *last_line(char *text)
{
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n')
        text[--n] = '\0';
    char *nl = strrchr(text, '\n');
    return nl ? nl + 1 : text;
}

static void read_errors(int fd, struct buf *b)
{
    char tmp[1024];
    ssize_t n;
    while ((n = read(fd, tmp, sizeof(tmp))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && b->len < PROGRAM_ERROR_MAX)
            buf_add(b, tmp, (size_t)n);
}

int program_run(const char *name, const char *const argv[], struct err *err)
{
    cleanup_free char *path = program_find(name);
    cleanup_with(buf_free) struct buf errors = {0};
    int p[2], status;
    pid_t pid;
    if (!path)
        return err_set(err, ENOENT, "%s", name);
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe for %s", name);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, p[1], 2);
    int r = posix_spawn(&pid, path, &fa, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    close(p[1]);
    if (r == 0)
        read_errors(p[0], &errors);
    close(p[0]);
    if (r != 0)
        return err_set(err, r, "can't start %s", path);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, 0, "%s failed: %s", name,
                   errors.len ? last_line(errors.data) : "it gave no reason");
}
