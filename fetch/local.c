/* SPDX-License-Identifier: Apache-2.0 */
/* An archive on this machine, with its signature beside it. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "fetch/job.h"
#include "fetch/sig.h"

static int verify(struct job *j, int fd, char signer[PGP_FPR_MAX + 1], struct err *err)
{
    cleanup_free char *beside = xasprintf("%s.asc", j->want->file), *text = NULL;
    size_t len;
    const char *path = j->want->signature ? j->want->signature : beside;
    job_tell(j, FETCH_STAGE_VERIFY, NULL);
    if (read_file_at(AT_FDCWD, path, SIG_TEXT_MAX, &text, &len, err) < 0)
        return err_prefix(err,
                          "%s is not checked against a signature (--insecure-options=image "
                          "takes it nevertheless)",
                          j->want->file);
    return sig_check_fd(j->cmd->trust, text, len, fd, NULL, j->check->what, signer, err);
}

int local_fetch(struct job *j, struct err *err)
{
    char real[PATH_MAX], signer[PGP_FPR_MAX + 1];
    bool insecure = j->cmd->opt->insecure_image;
    cleanup_close int fd = -1;
    if (open_regular(j->want->file, &fd, err) < 0)
        return -1;
    j->url = realpath(j->want->file, real) ? real : j->want->file;
    if (!insecure && verify(j, fd, signer, err) < 0)
        return -1;
    return job_take_verified(j, fd, insecure ? NULL : signer, err);
}
