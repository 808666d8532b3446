/* SPDX-License-Identifier: Apache-2.0 */
/* One image under way: from verified bytes to the store. */
#include "fetch/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fetch/decrypt.h"
#include "fetch/download.h"

int command_area(struct fetch_command *cmd, struct err *err)
{
    pthread_mutex_lock(&cmd->area_lock);
    int r = cmd->area >= 0 ? 0 : download_area_open(cmd->opt->data_dir, &cmd->area, err);
    pthread_mutex_unlock(&cmd->area_lock);
    return r < 0 ? -1 : cmd->area;
}

void job_tell(struct job *j, enum fetch_stage stage, const char *signer)
{
    const struct fetch_sink *sink = j->cmd->sink;
    struct fetch_event e = {j->number, j->check->what, stage, j->url, j->done, j->total, signer};
    if (!sink->event)
        return;
    pthread_mutex_lock(&j->cmd->event_lock);
    sink->event(sink->arg, &e);
    pthread_mutex_unlock(&j->cmd->event_lock);
}

static int import(struct job *j, int fd, const char *signer, struct err *err)
{
    const struct fetch_sink *sink = j->cmd->sink;
    struct stat st;
    if (lseek(fd, 0, SEEK_SET) < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't read %s", j->url);
    struct fetch_origin origin = {j->number, j->check->what, j->url, (uint64_t)st.st_size, signer};
    j->done = j->total = (uint64_t)st.st_size;
    job_tell(j, FETCH_STAGE_IMPORT, signer);
    j->check->signer = signer;
    pthread_mutex_lock(&j->cmd->sink_lock);
    int result = sink->import(sink->arg, fd, &origin, j->check, j->ret, err);
    pthread_mutex_unlock(&j->cmd->sink_lock);
    if (result == 0)
        job_tell(j, FETCH_STAGE_DONE, signer);
    return result;
}

/* The passphrase is asked for first: without one, nothing is written. */
static int ask_passphrase(struct job *j, char *out, size_t cap, struct err *err)
{
    const struct fetch_sink *sink = j->cmd->sink;
    job_tell(j, FETCH_STAGE_DECRYPT, NULL);
    if (!sink->passphrase)
        return err_set(err, EACCES, "%s is encrypted", j->check->what);
    pthread_mutex_lock(&j->cmd->sink_lock);
    int r = sink->passphrase(sink->arg, j->check->what, out, cap, err);
    pthread_mutex_unlock(&j->cmd->sink_lock);
    return r;
}

static int decrypt(struct job *j, int in, const char *passphrase, int *ret, struct err *err)
{
    uint64_t max = j->cmd->opt->decrypted_max;
    int area = command_area(j->cmd, err);
    if (area < 0)
        return -1;
    cleanup_close int out = download_area_temp(area, err);
    if (out < 0 ||
        decrypt_file(in, passphrase, out, max ? max : FETCH_DECRYPTED_MAX, j->check->what, err) < 0)
        return -1;
    *ret = take_fd(out);
    return 0;
}

int job_take_verified(struct job *j, int fd, const char *signer, struct err *err)
{
    char passphrase[PASSPHRASE_MAX] = "";
    cleanup_close int plain = -1;
    if (!decrypt_wanted(fd))
        return import(j, fd, signer, err);
    int r = ask_passphrase(j, passphrase, sizeof(passphrase), err);
    if (r == 0)
        r = decrypt(j, fd, passphrase, &plain, err);
    explicit_bzero(passphrase, sizeof(passphrase));
    return r < 0 ? -1 : import(j, plain, signer, err);
}
