/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side of sd_notify(), and what is passed for socket activation. */
#include "scratch.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/environ.h"
#include "guest-init/listen.h"
#include "guest-init/notify.h"

static bool say(const char *text, struct notify_state *s)
{
    return notify_parse(text, strlen(text), s);
}

static void lines_are_taken_apart(void **state)
{
    (void)state;
    struct notify_state s = {0};
    assert_false(say("", &s));
    assert_false(say("\n\nREADY=0\nREADY=10\nXREADY=1\nMAINPID=1", &s));
    assert_false(s.ready);
    assert_true(say("STATUS=so far\nREADY=1\n", &s));
    assert_true(s.ready);
    assert_string_equal(s.status, "so far");
    assert_false(say("READY=1\nSTATUS=so far", &s)); /* nothing new */
    assert_true(say("STATUS=a\tb\x7f\x1b[31m", &s));
    assert_string_equal(s.status, "a b  [31m");
    assert_true(say("STATUS=", &s));
    assert_string_equal(s.status, "");
}

static void long_ones_are_cut(void **state)
{
    (void)state;
    struct notify_state s = {0};
    char text[2000] = "STATUS=";
    memset(text + 7, 'x', sizeof(text) - 7);
    assert_true(notify_parse(text, sizeof(text), &s));
    assert_int_equal(strlen(s.status), WIRE_STATUS_MAX);
}

static void datagrams_come_in(void **state)
{
    (void)state;
    struct scratch dir;
    struct notify_state s = {0};
    struct err err;
    struct stat st;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char big[NOTIFY_MAX + 1] = "READY=1\n";
    scratch_make(&dir);
    assert_int_equal(mkdirat(dir.fd, "dev", 0755), 0);
    cleanup_close int fd = notify_listen(dir.path, &err);
    assert_true(fd >= 0);
    assert_int_equal(fstatat(dir.fd, "dev/notify", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/dev/notify", dir.path);
    cleanup_close int app = socket(AF_UNIX, SOCK_DGRAM, 0);
    sendto(app, big, sizeof(big), 0, (struct sockaddr *)&to, sizeof(to));
    assert_false(notify_receive(fd, &s)); /* longer than any may be */
    sendto(app, "READY=1", 7, 0, (struct sockaddr *)&to, sizeof(to));
    sendto(app, "STATUS=x", 8, 0, (struct sockaddr *)&to, sizeof(to));
    assert_true(notify_receive(fd, &s));
    assert_true(s.ready && strcmp(s.status, "x") == 0);
    assert_false(notify_receive(fd, &s));
    scratch_done(&dir);
}

static void sockets_are_named(void **state)
{
    (void)state;
    char a[] = "web", b[] = "dns";
    int fds[] = {8, 9, 10};
    const char *names[] = {a, a, b};
    char one[] = "LISTEN_PID=7", two[] = "LISTEN_FDSX=1", three[] = "LISTEN_FDS=9";
    char *env[] = {one, two, three, NULL};
    struct listen_set set = {.fds = fds, .names = names, .n = 3};
    char *const *made = listen_environment(&set, env);
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_string_equal(env_get(made, "LISTEN_FDS"), "3");
    assert_string_equal(env_get(made, "LISTEN_PID"), pid);
    assert_string_equal(env_get(made, "LISTEN_FDNAMES"), "web:web:dns");
    assert_string_equal(env_get(made, "LISTEN_FDSX"), "1");
    for (size_t i = 1; made[i]; i++)
        free(made[i]);
    free((void *)made);
}

/* Ports that others of this machine may hold, too: the first free ones. */
static void open_free(const struct ac_pod_manifest *pod, const struct ac_app *app,
                      struct listen_set *set)
{
    struct err err;
    for (uint16_t port = 20011; port < 20411; port += 4) {
        for (size_t i = 0; i < app->nports; i++)
            app->ports[i].port = port;
        if (listen_open(pod, app, set, &err) == 0)
            return;
        listen_done(set);
    }
    fail_msg("%s", err.msg);
}

static void ports_are_opened(void **state)
{
    (void)state;
    char web[] = "web", tcp[] = "tcp", udp[] = "udp", sctp[] = "sctp";
    struct ac_port ports[] = {
        {web, tcp, 0, 2, true}, {web, tcp, 0, 1, false}, {web, udp, 0, 1, true}};
    struct ac_app app = {.ports = ports, .nports = 3};
    struct ac_pod_manifest pod = {.nports = 0};
    struct listen_set set, again;
    struct err err;
    char taken[64];
    open_free(&pod, &app, &set);
    assert_int_equal(set.n, 3);
    assert_int_equal(listen_open(&pod, &app, &again, &err), -1);
    snprintf(taken, sizeof(taken), "can't listen on tcp port %u", ports[0].port);
    assert_non_null(strstr(err.msg, taken));
    listen_done(&again);
    listen_done(&set);
    ports[0].count = LISTEN_MAX + 1;
    assert_int_equal(listen_open(&pod, &app, &set, &err), -1);
    listen_done(&set);
    ports[0] = (struct ac_port){web, sctp, 1, 1, true};
    assert_int_equal(listen_open(&pod, &app, &set, &err), -1);
    assert_non_null(strstr(err.msg, "only tcp and udp"));
    listen_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_taken_apart), cmocka_unit_test(long_ones_are_cut),
        cmocka_unit_test(datagrams_come_in),     cmocka_unit_test(sockets_are_named),
        cmocka_unit_test(ports_are_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
