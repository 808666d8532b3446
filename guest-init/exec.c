/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and executing a program, and saying why that failed. */
#include "guest-init/exec.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/environ.h"

#define CS_PATH     ".:/bin:/usr/bin" /* the current directory, then confstr(_CS_PATH) */
#define SCRIPT_LINE 256               /* bytes of a #! line that the kernel looks at */
#define PHDRS_MAX   128

char **exec_candidates(const char *file, const char *path)
{
    size_t n = 0, folders = 1;
    if (!path)
        path = CS_PATH;
    for (const char *p = path; *p; p++)
        folders += *p == ':';
    char **list = xcalloc(folders + 1, sizeof(*list));
    if (strchr(file, '/')) {
        list[n++] = xstrdup(file);
        return list;
    }
    for (const char *p = path; file[0];) {
        size_t len = strcspn(p, ":");
        list[n++] = len ? xasprintf("%.*s%s%s", (int)len, p, p[len - 1] == '/' ? "" : "/", file)
                        : xasprintf("./%s", file);
        if (!p[len])
            break;
        p += len + 1;
    }
    return list;
}

void exec_candidates_free(char **list)
{
    env_free(list);
}

/* A program's interpreter is missing: says which. True when that is the reason. */
static bool interpreter_is_missing(const char *path, const char *kind, const char *interp,
                                   struct err *err)
{
    if (access(interp, F_OK) == 0 || errno == EACCES)
        return false;
    err_set(err, 0, "can't execute %s: its %s %s does not exist in the image", path, kind, interp);
    return true;
}

static bool explain_script(const char *path, const char *head, size_t len, struct err *err)
{
    char line[SCRIPT_LINE + 1];
    if (len < 3 || memcmp(head, "#!", 2) != 0)
        return false;
    memcpy(line, head + 2, len - 2);
    line[len - 2] = '\0';
    char *p = line + strspn(line, " \t");
    p[strcspn(p, " \t\r\n")] = '\0';
    /* A carriage return is part of the name to the kernel: the usual cause of this. */
    if (memchr(head, '\r', len) && access(p, F_OK) == 0) {
        err_set(err, 0, "can't execute %s: its #! line ends with a carriage return", path);
        return true;
    }
    return interpreter_is_missing(path, "interpreter", p, err);
}

static bool read_interp(int fd, uint64_t off, uint64_t size, char *interp)
{
    if (size == 0 || size > PATH_MAX || off > INT64_MAX)
        return false;
    if (pread_all(fd, interp, size, (off_t)off) < 0)
        return false;
    interp[size - 1] = '\0';
    return true;
}

/* The dynamic loader that a 64-bit ELF file asks for. */
static bool elf_interp64(int fd, const Elf64_Ehdr *eh, char *interp)
{
    for (unsigned i = 0; i < eh->e_phnum && i < PHDRS_MAX; i++) {
        Elf64_Phdr ph;
        if (eh->e_phoff > INT64_MAX / 2 ||
            pread_all(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) < 0)
            return false;
        if (ph.p_type == PT_INTERP)
            return read_interp(fd, ph.p_offset, ph.p_filesz, interp);
    }
    return false;
}

static bool elf_interp32(int fd, const Elf32_Ehdr *eh, char *interp)
{
    for (unsigned i = 0; i < eh->e_phnum && i < PHDRS_MAX; i++) {
        Elf32_Phdr ph;
        if (pread_all(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + (uint64_t)i * sizeof(ph))) < 0)
            return false;
        if (ph.p_type == PT_INTERP)
            return read_interp(fd, ph.p_offset, ph.p_filesz, interp);
    }
    return false;
}

#if defined(__x86_64__)
#define NATIVE_ELF(m) ((m) == EM_X86_64 || (m) == EM_386)
#elif defined(__aarch64__)
#define NATIVE_ELF(m) ((m) == EM_AARCH64 || (m) == EM_ARM)
#else
#define NATIVE_ELF(m) true
#endif

static bool explain_elf(const char *path, int fd, struct err *err)
{
    union {
        Elf64_Ehdr e64;
        Elf32_Ehdr e32;
    } h;
    char interp[PATH_MAX + 1];
    if (pread_all(fd, &h, sizeof(h), 0) < 0 || memcmp(h.e64.e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    if (!NATIVE_ELF(h.e64.e_machine)) {
        err_set(err, 0, "can't execute %s: it is for another CPU (ELF machine %u)", path,
                h.e64.e_machine);
        return true;
    }
    bool found = h.e64.e_ident[EI_CLASS] == ELFCLASS64 ? elf_interp64(fd, &h.e64, interp)
                                                       : elf_interp32(fd, &h.e32, interp);
    return found && interpreter_is_missing(path, "dynamic loader", interp, err);
}

/* The content of a file that is there: true when it tells the reason. */
static bool explain_content(const char *path, int errnum, struct err *err)
{
    char head[SCRIPT_LINE];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return false;
    if (explain_script(path, head, (size_t)n, err) || explain_elf(path, fd, err))
        return true;
    if (errnum != ENOEXEC)
        return false;
    err_set(err, 0,
            n ? "can't execute %s: it is neither an ELF program nor a script with a #! line"
              : "can't execute %s: the file is empty",
            path);
    return true;
}

void exec_explain(const char *path, int errnum, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        if (errnum == ENOENT && lstat(path, &st) == 0)
            err_set(err, 0, "can't execute %s: it is a link to a file that does not exist", path);
        else if (errnum == ENOENT)
            err_set(err, 0, "can't execute %s: it does not exist in the image", path);
        else
            err_set(err, errnum, "can't execute %s", path);
        return;
    }
    if (S_ISDIR(st.st_mode))
        err_set(err, 0, "can't execute %s: it is a directory", path);
    else if (!S_ISREG(st.st_mode))
        err_set(err, 0, "can't execute %s: it is not a regular file", path);
    else if (errnum == EACCES && !(st.st_mode & 0111))
        err_set(err, 0, "can't execute %s: no execute permission (mode %04o)", path,
                st.st_mode & 07777);
    else if (!explain_content(path, errnum, err))
        err_set(err, errnum, "can't execute %s", path);
}

/* What makes execvp() go on to the next folder. */
static bool try_next(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR || errnum == EACCES || errnum == ESTALE ||
           errnum == ENODEV || errnum == ETIMEDOUT || errnum == ENAMETOOLONG;
}

static int nothing_found(const char *file, const char *path, struct err *err)
{
    if (!file[0])
        return err_set(err, 0, "exec names an empty program");
    return err_set(err, 0, "can't execute \"%s\": no such program in PATH (%s)", file,
                   path ? path : CS_PATH);
}

#define PREFETCH_BYTES (8u << 20)

/*
 * Asks the kernel to read the begin of the program while it starts: otherwise each of its faults
 * waits for the disk.
 */
static void prefetch(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        (void)readahead(fd, 0, PREFETCH_BYTES);
}

int exec_program(char *const *argv, char *const *env, bool explain, struct err *err)
{
    const char *path = env_get(env, "PATH");
    char **list = exec_candidates(argv[0], path);
    const char *failed = NULL; /* the first candidate that is there but can't be executed */
    int errnum = ENOENT;
    for (char **c = list; *c; c++) {
        if (explain)
            prefetch(*c);
        execve(*c, argv, env);
        int e = errno;
        /* A missing interpreter looks like a missing file. */
        bool there =
            e != ENOTDIR && (e != ENOENT || (explain && faccessat(AT_FDCWD, *c, F_OK, 0) == 0));
        if (there && !failed) {
            failed = *c;
            errnum = e;
        }
        if (!try_next(e))
            break;
    }
    if (!failed && strchr(argv[0], '/'))
        failed = argv[0];
    if (!failed)
        nothing_found(argv[0], path, err);
    else if (explain)
        exec_explain(failed, errnum, err);
    else
        err_set(err, errnum, "can't execute %s", failed);
    exec_candidates_free(list);
    return -1;
}
