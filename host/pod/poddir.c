/* SPDX-License-Identifier: Apache-2.0 */
/* Pod directories: create, find, lock, tell the state, remove. */
#include "host/pod/poddir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/types.h"

#define STATE_MAX (4u << 20)
/* Nothing in a pod's directory lies deeper. */
#define REMOVE_DEPTH_MAX 8

static int open_pods(const char *data_dir, struct err *err)
{
    cleanup_free char *path = xasprintf("%s/pods", data_dir);
    if (mkdir_parents_at(AT_FDCWD, path, 0700, err) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : err_set(err, errno, "can't open %s", path);
}

static int open_lock(int dir_fd, struct err *err)
{
    int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 ? fd : err_set(err, errno, "can't open the lock of the pod");
}

/* Whoever looks at the states of all pods may hold the lock of a new one for a moment. */
static int lock_new(int dir_fd, int *ret_fd, struct err *err)
{
    cleanup_close int fd = open_lock(dir_fd, err);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX) < 0)
        return err_set(err, errno, "can't lock the pod");
    *ret_fd = take_fd(fd);
    return 0;
}

int poddir_create(const char *data_dir, char ret_uuid[AC_UUID_TEXT], int *ret_dir_fd,
                  int *ret_lock_fd, struct err *err)
{
    uint8_t random[AC_UUID_SIZE], uuid[AC_UUID_SIZE];
    cleanup_close int pods = open_pods(data_dir, err);
    if (pods < 0)
        return -1;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(err, errno, "can't get random bytes");
    ac_uuid_v4(random, uuid);
    ac_uuid_format(uuid, ret_uuid);
    if (mkdirat(pods, ret_uuid, 0700) < 0)
        return err_set(err, errno, "can't create the directory of pod %s", ret_uuid);
    cleanup_close int dir = openat(pods, ret_uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, errno, "can't open the directory of pod %s", ret_uuid);
    if (lock_new(dir, ret_lock_fd, err) < 0)
        return -1;
    *ret_dir_fd = take_fd(dir);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int poddir_list(const char *data_dir, char ***ret, size_t *ret_n, struct err *err)
{
    int pods = open_pods(data_dir, err);
    if (pods < 0)
        return -1;
    cleanup_dir DIR *d = fdopendir(pods);
    if (!d)
        return err_set(err, errno, "can't list the pods");
    char **names = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (strlen(e->d_name) != AC_UUID_TEXT - 1)
            continue;
        array_grow(&names, n, &cap, sizeof(*names));
        names[n++] = xstrdup(e->d_name);
    }
    if (n)
        qsort(names, n, sizeof(*names), compare_names);
    *ret = names;
    *ret_n = n;
    return 0;
}

static int find(const char *data_dir, const char *prefix, char ret_uuid[AC_UUID_TEXT],
                struct err *err)
{
    char **names;
    size_t n, found = 0;
    if (!*prefix || strspn(prefix, "0123456789abcdefABCDEF-") != strlen(prefix))
        return err_set(err, 0, "\"%s\" is not the UUID of a pod", prefix);
    if (poddir_list(data_dir, &names, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (strncasecmp(names[i], prefix, strlen(prefix)) == 0) {
            memcpy(ret_uuid, names[i], AC_UUID_TEXT);
            found++;
        }
        free(names[i]);
    }
    free(names);
    if (found == 1)
        return 0;
    return err_set(err, 0, found ? "several pods begin with \"%s\"" : "there is no pod \"%s\"",
                   prefix);
}

int poddir_open(const char *data_dir, const char *prefix, char ret_uuid[AC_UUID_TEXT],
                int *ret_dir_fd, struct err *err)
{
    if (find(data_dir, prefix, ret_uuid, err) < 0)
        return -1;
    cleanup_close int pods = open_pods(data_dir, err);
    if (pods < 0)
        return -1;
    int dir = openat(pods, ret_uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return err_set(err, errno, "can't open pod %s", ret_uuid);
    *ret_dir_fd = dir;
    return 0;
}

int poddir_lock(int dir_fd, int *ret_fd, struct err *err)
{
    cleanup_close int fd = open_lock(dir_fd, err);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? 1 : err_set(err, errno, "can't lock the pod");
    *ret_fd = take_fd(fd);
    return 0;
}

static json_t *read_state(int dir_fd, const char *uuid)
{
    cleanup_free char *text = NULL;
    size_t len;
    json_t *state = NULL;
    if (read_file_at(dir_fd, "state.json", STATE_MAX, &text, &len, NULL) == 0)
        state = json_loadb(text, len, 0, NULL);
    if (json_is_object(state))
        return state;
    json_decref(state);
    return json_pack("{s:s, s:s, s:[]}", "uuid", uuid, "state", "prepared", "apps");
}

json_t *poddir_state(int dir_fd, const char *uuid, struct err *err)
{
    cleanup_close int lock = -1;
    int r = poddir_lock(dir_fd, &lock, err);
    if (r < 0)
        return NULL;
    json_t *state = read_state(dir_fd, uuid);
    const char *name = json_string_value(json_object_get(state, "state"));
    bool ended = str_eq(name, "exited") || str_eq(name, "aborted");
    if (r == 0 && !ended)
        json_object_set_new(state, "state", json_string("aborted"));
    else if (r == 1 && str_eq(name, "prepared"))
        json_object_set_new(state, "state", json_string("preparing"));
    return state;
}

int poddir_remove(const char *data_dir, const char *uuid, struct err *err)
{
    char full[AC_UUID_TEXT];
    cleanup_close int dir = -1, lock = -1, pods = -1;
    if (poddir_open(data_dir, uuid, full, &dir, err) < 0)
        return -1;
    int r = poddir_lock(dir, &lock, err);
    if (r != 0)
        return r < 0 ? -1 : err_set(err, 0, "pod %s is running; stop it first", full);
    pods = open_pods(data_dir, err);
    return pods < 0 ? -1 : remove_tree_at(pods, full, REMOVE_DEPTH_MAX, err);
}
