/* SPDX-License-Identifier: Apache-2.0 */
/* Environment, exec look-up and its diagnostics (APP-02 to APP-05, ENV-01 to ENV-09). */
#include "scratch.h"

#include <elf.h>
#include <errno.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/environ.h"
#include "guest-init/exec.h"

static void the_environment_has_what_ace_wants(void **state)
{
    (void)state;
    struct ac_pair pairs[] = {
        {(char *)"A", (char *)"$HOME \n\"*"},        {(char *)"AC_APP_NAME", (char *)"evil"},
        {(char *)"AC_METADATA_URL", (char *)"evil"}, {(char *)"container", (char *)"evil"},
        {(char *)"HOME", (char *)"/mine"},           {(char *)"EMPTY", NULL},
        {(char *)"a", (char *)"other case"},
    };
    struct ac_app app = {.environment = {.v = pairs, .n = ARRAY_SIZE(pairs)}};
    const struct identity id = {.name = (char *)"bob", .home = (char *)"/home/bob"};
    char **env = env_build(&app, "worker", "http://169.254.169.255:18112/t", &id);
    assert_string_equal(env_get(env, "PATH"), ENV_DEFAULT_PATH);
    assert_string_equal(env_get(env, "AC_APP_NAME"), "worker");
    assert_string_equal(env_get(env, "AC_METADATA_URL"), "http://169.254.169.255:18112/t");
    assert_string_equal(env_get(env, "container"), "appc-vm"); /* C4 */
    assert_string_equal(env_get(env, "A"), "$HOME \n\"*");     /* APP-23 */
    assert_string_equal(env_get(env, "a"), "other case");
    assert_string_equal(env_get(env, "EMPTY"), "");
    assert_string_equal(env_get(env, "HOME"), "/mine"); /* ENV-05 */
    assert_string_equal(env_get(env, "USER"), "bob");
    assert_null(env_get(env, "SHELL"));
    env_free(env);
}

static void an_image_may_set_path_but_not_ac(void **state)
{
    (void)state;
    struct ac_pair pairs[] = {{(char *)"PATH", (char *)"/mine"},
                              {(char *)"AC_METADATA_URL", (char *)"evil"}};
    struct ac_app app = {.environment = {.v = pairs, .n = 2}};
    const struct identity id = {0};
    char **env = env_build(&app, "x", NULL, &id);
    assert_string_equal(env_get(env, "PATH"), "/mine"); /* C1 */
    assert_null(env_get(env, "AC_METADATA_URL"));       /* ENV-09 */
    env_free(env);
}

static void check_candidates(const char *file, const char *path, const char *const *want)
{
    char **list = exec_candidates(file, path);
    size_t n = 0;
    for (; want[n]; n++) {
        assert_non_null(list[n]);
        assert_string_equal(list[n], want[n]);
    }
    assert_null(list[n]);
    exec_candidates_free(list);
}

static void candidates_follow_path(void **state)
{
    (void)state;
    check_candidates("true", "/a:/b/", (const char *[]){"/a/true", "/b/true", NULL});
    check_candidates("true", ":/b:", (const char *[]){"./true", "/b/true", "./true", NULL});
    check_candidates("true", "", (const char *[]){"./true", NULL});
    check_candidates("./run", "/a", (const char *[]){"./run", NULL});
    check_candidates("bin/x", "/a", (const char *[]){"bin/x", NULL});
    check_candidates("x", NULL, (const char *[]){"./x", "/bin/x", "/usr/bin/x", NULL}); /* APP-03 */
    check_candidates("", "/a", (const char *[]){NULL});
}

static struct scratch root;

static int set_up(void **state)
{
    (void)state;
    scratch_make(&root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(&root);
    return 0;
}

/* What exec_program() says about `file` of the scratch directory. */
static void check_says(const char *file, const char *says)
{
    char path[128], env_path[128];
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/%s", root.path, file);
    snprintf(env_path, sizeof(env_path), "PATH=/nonexistent:%s", root.path);
    char *argv[] = {path, NULL}, *env[] = {env_path, NULL};
    assert_int_equal(exec_program(argv, env, true, &e), -1);
    if (!strstr(e.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, says);
    /* The same by look-up; the first folder of PATH does not exist. */
    char *by_name[] = {(char *)file, NULL};
    if (!strchr(file, '/')) {
        assert_int_equal(exec_program(by_name, env, true, &e), -1);
        if (strcmp(says, "does not exist in the image") != 0 && !strstr(says, "a link to"))
            assert_non_null(strstr(e.msg, says));
        else
            assert_non_null(strstr(e.msg, "no such program in PATH"));
    }
}

static void write_elf(const char *name, uint16_t machine, const char *interp)
{
    struct {
        Elf64_Ehdr eh;
        Elf64_Phdr ph;
        char interp[64];
    } f = {
        .eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
               .e_type = ET_DYN,
               .e_machine = machine,
               .e_version = EV_CURRENT,
               .e_phoff = sizeof(Elf64_Ehdr),
               .e_ehsize = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 1},
        .ph = {.p_type = PT_INTERP, .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr)},
    };
    f.ph.p_filesz = strlen(interp) + 1;
    strcpy(f.interp, interp);
    assert_int_equal(write_file_atomic_at(root.fd, name, &f, sizeof(f), 0755, false, NULL), 0);
}

static void failures_are_explained(void **state)
{
    (void)state;
    scratch_write(&root, "script", "#! /no/such/shell -e\n", 0755);
    scratch_write(&root, "crlf", "#!/bin/sh\r\necho\r\n", 0755);
    scratch_write(&root, "plain", "echo hello\n", 0755);
    scratch_write(&root, "empty", "", 0755);
    scratch_write(&root, "noexec", "#!/bin/sh\n", 0644);
    scratch_write(&root, "dir/x", "", 0644);
    assert_int_equal(symlinkat("/no/such/file", root.fd, "dangling"), 0);
    assert_int_equal(mkfifoat(root.fd, "fifo", 0755), 0);
    write_elf("dynamic", EM_X86_64, "/no/such/ld.so");
    write_elf("foreign", EM_RISCV, "/lib/ld.so");
    check_says("missing", "does not exist in the image");
    check_says("script", "its interpreter /no/such/shell does not exist");
    check_says("crlf", "carriage return");
    check_says("plain", "neither an ELF program nor a script");
    check_says("empty", "empty");
    check_says("noexec", "no execute permission (mode 0644)");
    check_says("dir", "is a directory");
    check_says("dangling", "a link to a file that does not exist");
    check_says("fifo", "not a regular file");
#ifdef __x86_64__
    check_says("dynamic", "its dynamic loader /no/such/ld.so does not exist");
    check_says("foreign", "another CPU");
#endif
    check_says("noexec/below", "");
    struct err e = {0};
    char *argv[] = {(char *)"", NULL}, *env[] = {NULL};
    assert_int_equal(exec_program(argv, env, true, &e), -1);
    assert_non_null(strstr(e.msg, "empty program"));
}

static void the_first_program_in_path_runs(void **state)
{
    (void)state;
    char env_path[256];
    scratch_write(&root, "one/prog", "#!/bin/sh\nexit 11\n", 0644); /* not executable: passed by */
    scratch_write(&root, "two/prog", "#!/bin/sh\n[ \"$1\" = '$HOME *' ] && [ $# = 2 ] && exit 22\n",
                  0755);
    scratch_write(&root, "three/prog", "#!/bin/sh\nexit 33\n", 0755);
    snprintf(env_path, sizeof(env_path), "PATH=%1$s/one:%1$s/two:%1$s/three", root.path);
    char *argv[] = {(char *)"prog", (char *)"$HOME *", (char *)"", NULL}, *env[] = {env_path, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        struct err e;
        exec_program(argv, env, true, &e);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 22); /* APP-02, APP-05 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_has_what_ace_wants),
        cmocka_unit_test(an_image_may_set_path_but_not_ac),
        cmocka_unit_test(candidates_follow_path),
        cmocka_unit_test(failures_are_explained),
        cmocka_unit_test(the_first_program_in_path_runs),
    };
    return cmocka_run_group_tests_name("guest-exec", tests, set_up, tear_down);
}
