/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pod, driven by events (APP-15, APP-16, POD-45, C6 to C11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/lifecycle.h"

#define APPS_MAX 3

/* A world that writes down what it is asked for. */
static struct {
    struct buf log;
    bool populated[APPS_MAX];
    uint64_t now;
    int fail_app; /* whose start fails at once, -1 none */
    enum proc_kind fail_kind;
    struct wire_app_event last[APPS_MAX];
} world;

static struct lc_app apps[APPS_MAX];
static struct lifecycle life;

static void note(const char *what, size_t app)
{
    buf_printf(&world.log, "%s%zu ", what, app);
}

static int start(void *ctx, size_t app, enum proc_kind kind, struct err *err)
{
    static const char *const names[] = {"pre", "main", "post"};
    (void)ctx;
    if ((int)app == world.fail_app && kind == world.fail_kind)
        return err_set(err, 0, "no such thing");
    note(names[kind], app);
    world.populated[app] = true;
    return 0;
}

static void terminate(void *ctx, size_t app)
{
    (void)ctx;
    if (world.populated[app])
        note("TERM", app);
}

static void kill_app(void *ctx, size_t app)
{
    (void)ctx;
    note("KILL", app);
}

static bool populated(void *ctx, size_t app)
{
    (void)ctx;
    return world.populated[app];
}

static void report(void *ctx, const struct wire_app_event *e)
{
    (void)ctx;
    world.last[e->name[0] - '0'] = *e;
}

static void warn(void *ctx, size_t app, const char *text)
{
    (void)ctx;
    assert_true(text[0] != '\0');
    note("warn", app);
}

static void over(void *ctx, size_t app)
{
    (void)ctx;
    note("over", app);
}

static uint64_t now(void *ctx)
{
    (void)ctx;
    return world.now;
}

static const struct lifecycle_ops ops = {start,  terminate, kill_app, populated,
                                         report, warn,      over,     now};

/* flags of each app: 'p' pre-start, 's' post-stop. */
static void begin(size_t n, const char *const *flags, bool stop_on_exit)
{
    static const char *const names[] = {"0", "1", "2"};
    buf_free(&world.log);
    memset(&world, 0, sizeof(world));
    world.now = 1000;
    world.fail_app = -1;
    memset(apps, 0, sizeof(apps));
    for (size_t i = 0; i < n; i++)
        apps[i] = (struct lc_app){.name = names[i],
                                  .has_pre_start = strchr(flags[i], 'p') != NULL,
                                  .has_post_stop = strchr(flags[i], 's') != NULL};
    life = (struct lifecycle){
        .ops = &ops, .apps = apps, .napps = n, .stop_on_exit = stop_on_exit, .grace_ms = 500};
}

/* The log since the last look. */
static void check_log(const char *want)
{
    assert_string_equal(world.log.data ? world.log.data : "", want);
    buf_reset(&world.log);
}

static void exits(size_t app, enum proc_kind kind, int status, int signal)
{
    world.populated[app] = false;
    lifecycle_exited(&life, app, kind, status, signal);
}

static void runs(size_t app)
{
    lifecycle_started(&life, app, PROC_MAIN, 100 + (uint32_t)app);
    assert_int_equal(world.last[app].state, WIRE_APP_RUNNING);
    assert_int_equal(world.last[app].pid, 100 + app);
}

static void handlers_frame_mains(void **state)
{
    (void)state;
    begin(2, (const char *const[]){"ps", "p"}, false);
    lifecycle_begin(&life);
    check_log("pre0 pre1 ");
    assert_int_equal(world.last[0].state, WIRE_APP_PRE_START);
    exits(0, PROC_PRE_START, 0, 0);
    check_log(""); /* C10: no main before the last pre-start */
    exits(1, PROC_PRE_START, 0, 0);
    check_log("main0 main1 ");
    runs(0);
    runs(1);
    exits(0, PROC_MAIN, 0, 0);
    check_log("post0 ");
    assert_int_equal(world.last[0].state, WIRE_APP_POST_STOP);
    exits(0, PROC_POST_STOP, 0, 0);
    check_log("over0 "); /* C9: status 0 leaves the other running */
    assert_int_equal(world.last[0].state, WIRE_APP_EXITED);
    assert_false(lifecycle_is_over(&life));
    exits(1, PROC_MAIN, 0, 0);
    check_log("over1 ");
    assert_true(lifecycle_is_over(&life));
}

static void a_failing_app_stops_the_pod(void **state)
{
    (void)state;
    begin(2, (const char *const[]){"s", "s"}, false);
    lifecycle_begin(&life);
    runs(0);
    runs(1);
    check_log("main0 main1 ");
    exits(0, PROC_MAIN, 7, 0);
    check_log("TERM1 post0 ");
    assert_int_equal(lifecycle_deadline(&life), 1500);
    world.now = 1499;
    lifecycle_tick(&life);
    check_log("");
    world.now = 1500;
    lifecycle_tick(&life);
    check_log("KILL1 ");
    assert_int_equal(lifecycle_deadline(&life), 0);
    exits(1, PROC_MAIN, 137, 9);
    check_log("post1 ");
    assert_int_equal(world.last[1].exit_status, 137);
    assert_int_equal(world.last[1].signal, 9);
    exits(1, PROC_POST_STOP, 0, 0);
    exits(0, PROC_POST_STOP, 0, 0);
    check_log("over1 over0 ");
    assert_int_equal(world.last[0].exit_status, 7);
    assert_true(lifecycle_is_over(&life));
}

static void a_failing_pre_start_stops_the_pod(void **state)
{
    (void)state;
    begin(3, (const char *const[]){"ps", "ps", "s"}, false);
    lifecycle_begin(&life);
    exits(1, PROC_PRE_START, 0, 0);
    check_log("pre0 pre1 ");
    exits(0, PROC_PRE_START, 3, 0);
    /* 0 gets no post-stop; 1 undoes what its pre-start did; 2 never was. */
    check_log("post1 over2 over0 ");
    assert_int_equal(world.last[0].state, WIRE_APP_FAILED);
    assert_int_equal(world.last[0].exit_status, 3);
    assert_non_null(strstr(world.last[0].error, "pre-start handler failed with status 3"));
    assert_int_equal(world.last[2].state, WIRE_APP_FAILED);
    exits(1, PROC_POST_STOP, 0, 0);
    check_log("over1 ");
    assert_int_equal(world.last[1].state, WIRE_APP_FAILED);
    assert_true(lifecycle_is_over(&life));
}

static void a_main_that_cannot_start_stops_the_pod(void **state)
{
    (void)state;
    begin(2, (const char *const[]){"s", "s"}, false);
    lifecycle_begin(&life);
    runs(0);
    world.populated[1] = false;
    lifecycle_start_failed(&life, 1, PROC_MAIN, "no such program");
    check_log("main0 main1 TERM0 over1 "); /* nothing ran: no post-stop */
    assert_string_equal(world.last[1].error, "no such program");
    assert_int_equal(world.last[1].exit_status, 127);
    exits(0, PROC_MAIN, 143, 15);
    check_log("post0 ");
}

static void a_start_that_fails_at_once_does_the_same(void **state)
{
    (void)state;
    begin(3, (const char *const[]){"", "", "ps"}, false);
    world.fail_app = 1;
    world.fail_kind = PROC_MAIN;
    lifecycle_begin(&life);
    exits(2, PROC_PRE_START, 0, 0);
    /* 2 waits for its turn when 1 fails: never started, but its handler is undone. */
    check_log("pre2 main0 TERM0 post2 over1 ");
    exits(0, PROC_MAIN, 143, 15);
    exits(2, PROC_POST_STOP, 0, 0);
    assert_true(lifecycle_is_over(&life));
    begin(1, (const char *const[]){"ps"}, false);
    world.fail_app = 0;
    world.fail_kind = PROC_PRE_START;
    lifecycle_begin(&life);
    check_log("over0 ");
    assert_true(lifecycle_is_over(&life));
}

static void leftovers_end_before_post_stop(void **state)
{
    (void)state;
    begin(1, (const char *const[]){"s"}, false);
    lifecycle_begin(&life);
    runs(0);
    lifecycle_exited(&life, 0, PROC_MAIN, 0, 0); /* the group still has processes */
    check_log("main0 TERM0 ");
    lifecycle_check(&life, 0);
    check_log("");
    world.now = 1500;
    lifecycle_tick(&life);
    check_log("KILL0 ");
    world.populated[0] = false;
    lifecycle_check(&life, 0);
    check_log("post0 ");
    lifecycle_exited(&life, 0, PROC_POST_STOP, 1, 0); /* leaves a child behind */
    check_log("warn0 KILL0 ");
    world.populated[0] = false;
    lifecycle_check(&life, 0);
    check_log("over0 ");
    assert_int_equal(world.last[0].exit_status, 0); /* of main */
}

static void the_host_stops_the_pod(void **state)
{
    (void)state;
    begin(2, (const char *const[]){"s", ""}, false);
    lifecycle_begin(&life);
    runs(0);
    runs(1);
    lifecycle_stop(&life, 10000);
    check_log("main0 main1 TERM0 TERM1 ");
    assert_int_equal(lifecycle_deadline(&life), 11000);
    lifecycle_stop(&life, 20000); /* can't make it longer */
    assert_int_equal(lifecycle_deadline(&life), 11000);
    lifecycle_stop(&life, 100);
    check_log("TERM0 TERM1 TERM0 TERM1 ");
    assert_int_equal(lifecycle_deadline(&life), 1100);
    exits(0, PROC_MAIN, 143, 15);
    exits(1, PROC_MAIN, 0, 0);
    check_log("post0 over1 ");
    /* The handler gets no less than its minimum, but not for ever. */
    assert_int_equal(lifecycle_deadline(&life), 1000 + LIFECYCLE_POST_STOP_MS);
    world.now = 1000 + LIFECYCLE_POST_STOP_MS;
    lifecycle_tick(&life);
    check_log("KILL0 ");
    exits(0, PROC_POST_STOP, 137, 9);
    check_log("warn0 over0 ");
    assert_true(lifecycle_is_over(&life));
}

/* What main leaves behind when it was asked alone is asked as soon as main has ended. */
static void main_is_asked_first(void **state)
{
    (void)state;
    for (int first = 0; first <= 1; first++) {
        begin(1, (const char *const[]){""}, false);
        apps[0].main_first = first;
        lifecycle_begin(&life);
        runs(0);
        lifecycle_stop(&life, 100);
        check_log("main0 TERM0 ");
        world.now += 60;
        lifecycle_exited(&life, 0, PROC_MAIN, 0, 0); /* children are left */
        check_log(first ? "TERM0 " : "");
        assert_int_equal(lifecycle_deadline(&life), 1100); /* no later for that */
        world.now = 1100;
        lifecycle_tick(&life);
        check_log("KILL0 ");
        world.populated[0] = false;
        lifecycle_check(&life, 0);
        check_log("over0 ");
    }
}

static void a_stop_without_grace_kills(void **state)
{
    (void)state;
    begin(1, (const char *const[]){"ps"}, false);
    lifecycle_begin(&life);
    lifecycle_stop(&life, 0);
    check_log("pre0 KILL0 ");
    exits(0, PROC_PRE_START, 137, 9);
    check_log("over0 ");
    assert_int_equal(world.last[0].state, WIRE_APP_FAILED);
}

static void a_stop_during_pre_start_undoes_it(void **state)
{
    (void)state;
    begin(1, (const char *const[]){"ps"}, false);
    lifecycle_begin(&life);
    lifecycle_stop(&life, 100);
    exits(0, PROC_PRE_START, 0, 0); /* it made it in spite of SIGTERM */
    check_log("pre0 TERM0 post0 ");
    exits(0, PROC_POST_STOP, 0, 0);
    check_log("over0 ");
    assert_int_equal(world.last[0].state, WIRE_APP_FAILED);
}

static void the_first_end_stops_the_pod_when_asked(void **state)
{
    (void)state;
    begin(2, (const char *const[]){"", ""}, true);
    lifecycle_begin(&life);
    runs(0);
    runs(1);
    exits(1, PROC_MAIN, 0, 0);
    check_log("main0 main1 TERM0 over1 ");
}

/* What was started since the last look runs now. */
static void note_started(bool (*running)[PROC_KINDS])
{
    static const char *const names[PROC_KINDS] = {"pre", "main", "post"};
    char *save = NULL;
    for (char *p = world.log.data ? strtok_r(world.log.data, " ", &save) : NULL; p;
         p = strtok_r(NULL, " ", &save)) {
        for (int k = 0; k < PROC_KINDS; k++) {
            if (strncmp(p, names[k], strlen(names[k])) == 0)
                running[p[strlen(p) - 1] - '0'][k] = true;
        }
    }
}

/* Any order of events ends with every app over exactly once, and never a main before its pre-start.
 */
static void random_walks_end(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        bool running[APPS_MAX][PROC_KINDS] = {{false}};
        const char *const flags[] = {"ps", "p", "s"};
        begin(APPS_MAX, flags, round & 1);
        lifecycle_begin(&life);
        for (int step = 0; step < 200 && !lifecycle_is_over(&life); step++) {
            note_started(running);
            buf_reset(&world.log);
            seed = seed * 1664525 + 1013904223;
            size_t a = (seed >> 16) % APPS_MAX;
            enum proc_kind k = (seed >> 20) % PROC_KINDS;
            unsigned what = (seed >> 24) % 8;
            if (what == 7)
                lifecycle_stop(&life, (seed >> 8) % 3 * 100);
            world.now += 50;
            lifecycle_tick(&life);
            if (!running[a][k])
                continue;
            running[a][k] = false;
            world.populated[a] = what & 1;
            if (what == 0)
                lifecycle_start_failed(&life, a, k, "why");
            else
                lifecycle_exited(&life, a, k, what == 1 ? 1 : 0, 0);
            world.populated[a] = false;
            lifecycle_check(&life, a);
        }
        assert_true(lifecycle_is_over(&life));
        for (size_t i = 0; i < APPS_MAX; i++)
            assert_int_equal(apps[i].phase, LC_OVER);
    }
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&world.log);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_frame_mains),
        cmocka_unit_test(a_failing_app_stops_the_pod),
        cmocka_unit_test(a_failing_pre_start_stops_the_pod),
        cmocka_unit_test(a_main_that_cannot_start_stops_the_pod),
        cmocka_unit_test(a_start_that_fails_at_once_does_the_same),
        cmocka_unit_test(leftovers_end_before_post_stop),
        cmocka_unit_test(the_host_stops_the_pod),
        cmocka_unit_test(main_is_asked_first),
        cmocka_unit_test(a_stop_without_grace_kills),
        cmocka_unit_test(a_stop_during_pre_start_undoes_it),
        cmocka_unit_test(the_first_end_stops_the_pod_when_asked),
        cmocka_unit_test(random_walks_end),
    };
    return cmocka_run_group_tests_name("guest-lifecycle", tests, NULL, tear_down);
}
