/* SPDX-License-Identifier: Apache-2.0 */
/*
 * killat N FILE COMMAND...: runs a command and kills it with SIGKILL at the N-th stop of its
 * threads before or behind a system call (N 0: never), and writes the number of stops to FILE.
 * Exits with the command's status, or 137. Processes that the command forks are not followed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(char **argv)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
        _exit(126);
    execvp(argv[0], argv);
    _exit(126);
}

/* The signal to hand on at a stop; system calls and news of the tracer's own are none. */
static int signal_at(int status, int *is_call)
{
    int sig = WSTOPSIG(status);
    *is_call = sig == (SIGTRAP | 0x80);
    if (*is_call || sig == SIGTRAP || sig == SIGSTOP)
        return 0;
    return sig;
}

static int trace(pid_t child, unsigned long n, unsigned long *count)
{
    int status, result = 126;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        int is_call = 0;
        if (pid < 0)
            continue;
        if (!WIFSTOPPED(status)) {
            if (pid == child)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        long sig = signal_at(status, &is_call);
        if (is_call && ++*count == n)
            (void)kill(child, SIGKILL);
        (void)ptrace(PTRACE_SYSCALL, pid, NULL, sig);
    }
    return result;
}

int main(int argc, char **argv)
{
    int status;
    unsigned long count = 0;
    if (argc < 4)
        return 126;
    pid_t child = fork();
    if (child == 0)
        begin(argv + 3);
    if (child < 0 || waitpid(child, &status, 0) < 0 ||
        ptrace(PTRACE_SETOPTIONS, child, NULL,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                   PTRACE_O_EXITKILL) < 0 ||
        ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0)
        return 126;
    int result = trace(child, strtoul(argv[1], NULL, 10), &count);
    FILE *f = fopen(argv[2], "w");
    if (!f || fprintf(f, "%lu\n", count) < 0 || fclose(f) != 0)
        return 126;
    return result;
}
