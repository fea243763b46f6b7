/* Paths, forwarding marks and headers of the gateway. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/gateway/headers.h"
#include "agent/gateway/mark.h"
#include "agent/gateway/route.h"
#include "agent/gateway/timing.h"

/* --- upgrades ------------------------------------------------------------------- */

static void assert_upgrade(const char *connection, const char *upgrade, const char *want)
{
    const struct http_header list[] = {
        {HTTP_STR("Host"), HTTP_STR("a")},
        {HTTP_STR("connection"), http_str(connection)},
        {HTTP_STR("UPGRADE"), http_str(upgrade)},
    };
    size_t n = upgrade != NULL ? 3 : 2;

    assert_true(http_str_eq(http_headers_upgrade((struct http_headers){list, n}), want));
}

/* What a caller would switch to, if it says so twice, and if it is not HTTP once more. */
static void an_upgrade_is_named_twice(void **state)
{
    assert_upgrade("Upgrade", "websocket", "websocket");
    assert_upgrade("keep-alive, UPGRADE", "WebSocket, x/2", "WebSocket, x/2");
    assert_upgrade("close", "websocket", "");
    assert_upgrade("upgraded, up-grade", "websocket", "");
    assert_upgrade("Upgrade", NULL, "");
    assert_upgrade("Upgrade", "", "");
    assert_upgrade("Upgrade", "h2c", "");
    assert_upgrade("Upgrade", "websocket,H2C", "");
    assert_upgrade("Upgrade", "HTTP/2.0", "");
    assert_upgrade("Upgrade", "TLS/1.2, HTTP/1.1", "");
}

/* Two headers of that name are nobody's idea of one list. */
static void two_upgrades_are_none(void **state)
{
    const struct http_header list[] = {
        {HTTP_STR("Upgrade"), HTTP_STR("websocket")},
        {HTTP_STR("Connection"), HTTP_STR("keep-alive")},
        {HTTP_STR("Connection"), HTTP_STR("Upgrade")},
        {HTTP_STR("Upgrade"), HTTP_STR("h2c")},
    };

    assert_int_equal(http_headers_upgrade((struct http_headers){list, 4}).len, 0);
    assert_int_equal(http_headers_upgrade((struct http_headers){list, 3}).len, 9);
}

/* --- paths
 * ------------------------------------------------------------------------------ */

static void assert_target(const struct route_target *t, const char *namespace_,
                          const char *name, const char *path)
{
    assert_string_equal(t->namespace_, namespace_);
    assert_string_equal(t->name, name);
    assert_true(http_str_eq(t->path, path));
}

/* One name is a function of the namespace "default"; what follows is its path. */
static void one_name_is_of_the_default_namespace(void **state)
{
    struct route r;

    assert_int_equal(route_parse(&r, HTTP_STR("/fn/echo")), 0);
    assert_int_equal(r.n, 1);
    assert_target(&r.targets[0], "default", "echo", "/");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/echo/")), 0);
    assert_int_equal(r.n, 1);
    assert_target(&r.targets[0], "default", "echo", "/");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/echo/%61//b")), 0);
    assert_int_equal(r.n, 1);
    assert_target(&r.targets[0], "default", "echo", "/%61//b");
}

/* Two names are first a namespace and its function, then a function and its path. */
static void two_names_are_read_both_ways(void **state)
{
    struct route r;

    assert_int_equal(route_parse(&r, HTTP_STR("/fn/team/greet/x/y")), 0);
    assert_int_equal(r.n, 2);
    assert_target(&r.targets[0], "team", "greet", "/x/y");
    assert_target(&r.targets[1], "default", "team", "/greet/x/y");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/default/echo-x")), 0);
    assert_target(&r.targets[0], "default", "echo-x", "/");
}

/* After a colon stands an alias, a version's number, or $LATEST; both readings have it.
 */
static void a_qualifier_follows_the_name(void **state)
{
    struct route r;

    assert_int_equal(route_parse(&r, HTTP_STR("/fn/team/greet:live/x")), 0);
    assert_int_equal(r.n, 2);
    assert_target(&r.targets[0], "team", "greet", "/x");
    assert_string_equal(r.targets[0].qualifier, "live");
    assert_target(&r.targets[1], "default", "team", "/greet:live/x");
    assert_string_equal(r.targets[1].qualifier, "");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/greet:12")), 0);
    assert_int_equal(r.n, 1);
    assert_target(&r.targets[0], "default", "greet", "/");
    assert_string_equal(r.targets[0].qualifier, "12");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/greet:$LATEST/a/b")), 0);
    assert_int_equal(r.n, 1); /* a namespace has no versions */
    assert_target(&r.targets[0], "default", "greet", "/a/b");
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/greet:")), -ENOENT);
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/greet:a.b")), -ENOENT);
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/greet:123456789012345678901")),
                     -ENOENT);
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/:live")), -ENOENT);
    assert_int_equal(route_parse(&r, HTTP_STR("/fn/team/greet:a:b")), 0);
    assert_int_equal(r.n, 1); /* that is a path, not a name */
}

/* What cannot be a function's name is none, however it is written. */
static void what_is_no_name_is_not_found(void **state)
{
    static const char *const paths[] = {
        "",      "/",        "/fn",    "/fn/",    "/fn//a",
        "/fn/A", "/fn/a_b",  "/fn/-a", "/fnx/a",  "/fn/%65cho",
        "*",     "/v1/fn/a", "/fn/..", "fn/echo", "/fn/ü",
    };
    char longest[80] = "/fn/";
    struct route r;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(route_parse(&r, http_str(paths[i])), -ENOENT);
    }
    memset(longest + 4, 'a', 64);
    assert_int_equal(route_parse(&r, http_str(longest)), -ENOENT);
    longest[4 + 63] = '\0';
    assert_int_equal(route_parse(&r, http_str(longest)), 0);
}

/* --- marks
 * ------------------------------------------------------------------------------ */

static const struct mark sample = {
    .node = "node-1.example",
    .request_id = "4f5b3a52-0000-4000-8000-000000000001",
    .left_ms = 1234,
    .wait_ms = 567,
    .may_wait = true,
    .peer = "2001:db8::1",
};

static enum mark_trust reads(const char *text, const char *secret, struct mark *m)
{
    return mark_read(m, http_str(text), secret, HTTP_STR("POST"), HTTP_STR("/fn/a/b?c"));
}

/* A mark arrives as it was sent, with a token and without. */
static void a_mark_is_read_back(void **state)
{
    static const char *const secrets[] = {"token", NULL};

    for (int i = 0; i < 2; i++) {
        char text[MARK_SIZE];
        struct mark m;

        assert_int_equal(mark_write(text, &sample, secrets[i], HTTP_STR("POST"),
                                    HTTP_STR("/fn/a/b?c")),
                         0);
        assert_int_equal(reads(text, secrets[i], &m), MARK_TRUSTED);
        assert_string_equal(m.node, sample.node);
        assert_string_equal(m.request_id, sample.request_id);
        assert_string_equal(m.peer, sample.peer);
        assert_int_equal(m.left_ms, sample.left_ms);
        assert_int_equal(m.wait_ms, sample.wait_ms);
        assert_true(m.may_wait);
    }
}

/* Whatever is changed in it, or in what it was made for, it is believed no more. */
static void a_changed_mark_is_not_believed(void **state)
{
    char text[MARK_SIZE];
    struct mark m;

    assert_int_equal(
        mark_write(text, &sample, "token", HTTP_STR("POST"), HTTP_STR("/fn/a/b?c")), 0);
    assert_int_equal(reads(text, "other token", &m), MARK_UNSIGNED);
    assert_int_equal(
        mark_read(&m, http_str(text), "token", HTTP_STR("GET"), HTTP_STR("/fn/a/b?c")),
        MARK_UNSIGNED);
    assert_int_equal(
        mark_read(&m, http_str(text), "token", HTTP_STR("POST"), HTTP_STR("/fn/a/b?d")),
        MARK_UNSIGNED);
    for (size_t i = 0; i < strlen(text); i++) {
        char changed[MARK_SIZE];

        memcpy(changed, text, sizeof(text));
        changed[i] = changed[i] == '1' ? '2' : '1';
        assert_int_not_equal(reads(changed, "token", &m), MARK_TRUSTED);
    }
}

/* What is no mark at all is ignored. */
static void rubbish_is_no_mark(void **state)
{
    static const char *const texts[] = {
        "",
        "1",
        "true",
        " ",
        "v2",
        "v2 a b c d e f g",
        "v2 a b c d e f g h",
        "v1 n 4f5b3a52-0000-4000-8000-000000000001 1 1 now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 1 ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 -1 1 now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 x 1 now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 1 x now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 1 -1 now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 1 1 no ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-00000000000g 1 1 now ::1 -",
        "v2 n 4f5b3a52-0000-4000-8000-000000000001 1 1 now ::1 - -",
    };
    char longest[2 * MARK_SIZE];
    struct mark m;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(reads(texts[i], NULL, &m), MARK_NONE);
        assert_int_equal(reads(texts[i], "token", &m), MARK_NONE);
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(reads(longest, NULL, &m), MARK_NONE);
}

/* What the other agent says with its reply arrives as it was said; anything else is
 * nothing. */
static void a_replys_mark_is_read_back(void **state)
{
    static const char *const rubbish[] = {
        "",
        "v1",
        "v1 1 2",
        "v2 1 2 done",
        "v1 1 2 no",
        "v1 -1 2 done",
        "v1 1 2 done 3",
        "v1 4294967296 2 busy",
        "v1 1 x busy",
        "v1 1 2 DONE",
        "v1 1 2 cannot\n",
    };
    char text[MARK_REPLY_SIZE];
    struct mark_reply r = {0};

    for (int v = VERDICT_FINAL; v <= VERDICT_CANNOT; v++) {
        const struct mark_reply said = {{UINT32_MAX, 999}, (enum call_verdict)v};

        mark_reply_write(text, &said);
        assert_int_equal(mark_reply_read(&r, http_str(text)), 0);
        assert_int_equal(r.room.free, UINT32_MAX);
        assert_int_equal(r.room.load_permille, 999);
        assert_int_equal(r.verdict, v);
    }
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        assert_int_equal(mark_reply_read(&r, http_str(rubbish[i])), -EINVAL);
    }
    memset(text, '1', sizeof(text));
    assert_int_equal(mark_reply_read(&r, (struct http_str){text, sizeof(text)}), -EINVAL);
}

/* --- headers
 * ---------------------------------------------------------------------------- */

static const struct http_header received[] = {
    {HTTP_STR("Accept"), HTTP_STR("*/*")},
    {HTTP_STR("x-mayfly-node"), HTTP_STR("forged")},
    {HTTP_STR("Connection"), HTTP_STR("close, X-Drop")},
    {HTTP_STR("X-Drop"), HTTP_STR("1")},
    {HTTP_STR("Transfer-Encoding"), HTTP_STR("chunked")},
    {HTTP_STR("X-Mayfly-Forwarded"), HTTP_STR("1")},
    {HTTP_STR("X-Mayfly-Picked"), HTTP_STR("1")},
    {HTTP_STR("X-Mayfly-Invoked-Arn"), HTTP_STR("arn")},
    {HTTP_STR("X-Mayfly-Log-Tail"), HTTP_STR("1")},
    {HTTP_STR("Date"), HTTP_STR("today")},
};

static void assert_pass(enum headers_direction direction, const char *want)
{
    struct headers h;
    char got[256] = "";

    assert_int_equal(
        headers_pass(
            &h, (struct http_headers){received, sizeof(received) / sizeof(received[0])},
            direction, 1),
        0);
    headers_add(&h, "Added", "x");
    for (size_t i = 0; i < h.n; i++) {
        (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s ",
                       (int)h.list[i].name.len, h.list[i].name.at);
    }
    assert_string_equal(got, want);
    headers_free(&h);
}

/* Neither a caller nor a function can speak in mayfly's name; agents can to each other,
 * but a mark, and what stands beside it, never goes further than one hop.
 * Connection-level headers stay behind. */
static void what_passes_depends_on_who_speaks(void **state)
{
    assert_pass(HEADERS_TO_FUNCTION, "Accept Date Added ");
    assert_pass(HEADERS_FROM_FUNCTION, "Accept Added ");
    assert_pass(HEADERS_BETWEEN_AGENTS, "Accept x-mayfly-node Added ");
}

static void assert_timing(const struct timing *t, const char *expected)
{
    char text[TIMING_SIZE];

    timing_format(text, t);
    assert_string_equal(text, expected);
}

/* A warm call has no start and init; milliseconds have three decimals; the total is what
 * the phases add up to. */
static void timing_names_the_phases_there_were(void **state)
{
    char text[TIMING_SIZE];
    struct timing t = {.queue_us = 12, .run_us = 1234567, .ran = true};
    (void)state;

    assert_timing(&t, "queue;dur=0.012, run;dur=1234.567, total;dur=1234.579");
    t.cold = true;
    t.start_us = 1001;
    t.init_us = 20000;
    assert_timing(&t, "queue;dur=0.012, start;dur=1.001, init;dur=20.000, "
                      "run;dur=1234.567, total;dur=1255.580");
    t.read = t.hopped = true;
    t.body_us = 1;
    t.hop_us = 20;
    assert_timing(&t, "body;dur=0.001, queue;dur=0.012, start;dur=1.001, "
                      "init;dur=20.000, run;dur=1234.567, hop;dur=0.020, "
                      "total;dur=1255.601");
    t = (struct timing){.queue_us = 7};
    assert_timing(&t, "queue;dur=0.007, total;dur=0.007");
    t = (struct timing){.body_us = UINT64_MAX,
                        .queue_us = UINT64_MAX,
                        .start_us = UINT64_MAX,
                        .init_us = UINT64_MAX,
                        .run_us = UINT64_MAX,
                        .hop_us = UINT64_MAX,
                        .read = true,
                        .cold = true,
                        .ran = true,
                        .hopped = true};
    timing_format(text, &t);
    assert_true(strlen(text) < TIMING_SIZE - 1);
}

static void assert_waited(uint64_t ready_us, uint64_t queue_us, uint64_t start_us,
                          uint64_t init_us, bool cold)
{
    struct timing t = {.queue_us = 0};

    timing_waited(&t, 1000, 2000, ready_us, 300, 200); /* came at 1000, taken at 2000 */
    assert_int_equal(t.queue_us, queue_us);
    assert_int_equal(t.start_us, start_us);
    assert_int_equal(t.init_us, init_us);
    assert_int_equal(t.cold, cold);
    assert_int_equal(timing_total_us(&t), 1000);
}

/* A call has waited for a start as far as it was there: what was over before it came is
 * not its own, and the phases never add up to more than it waited. */
static void timing_has_what_the_call_saw_of_a_start(void **state)
{
    (void)state;
    assert_waited(999, 1000, 0, 0, false);     /* it was ready before */
    assert_waited(1000, 1000, 0, 0, true);     /* just then */
    assert_waited(1150, 850, 0, 150, true);    /* the call came during its init */
    assert_waited(1400, 600, 200, 200, true);  /* during the sandbox's making */
    assert_waited(1900, 500, 300, 200, true);  /* before it was begun */
    assert_waited(2000, 500, 300, 200, true);  /* for which nothing else was waited */
    assert_waited(99999, 500, 300, 200, true); /* a clock that was read later */
}

/* What one agent has written another one reads; what it did not write is nothing. */
static void timing_is_read_back(void **state)
{
    static const char *const wrong[] = {
        "queue",
        "queue;dur=",
        "queue;dur=1",
        "queue;dur=1.0",
        "queue;dur=.123",
        "queue;dur=-1.123",
        "queue;dur=1.1234",
        "queue;dur=1,123",
        "queue;dur=99999999999999999999.123",
        "queue;dur=1.123, run",
        "miss, queue;dur=1.123",
        "cpu;desc=\"x;dur=1.123\"",
    };
    const struct timing t = {.queue_us = 12,
                             .start_us = 1001,
                             .init_us = 20000,
                             .run_us = 1234567,
                             .cold = true,
                             .ran = true};
    char text[TIMING_SIZE];
    struct timing got = {.queue_us = 0};
    (void)state;

    timing_format(text, &t);
    assert_int_equal(timing_read(&got, http_str(text)), 0);
    assert_timing(&got, text);
    assert_int_equal(timing_read(&got, HTTP_STR("later;dur=5.000,queue;dur=0.001")), 0);
    assert_timing(&got, "queue;dur=0.001, total;dur=0.001");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        got = (struct timing){.queue_us = 42};
        assert_int_equal(timing_read(&got, http_str(wrong[i])), -EINVAL);
        assert_int_equal(got.queue_us, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upgrade_is_named_twice),
        cmocka_unit_test(two_upgrades_are_none),
        cmocka_unit_test(one_name_is_of_the_default_namespace),
        cmocka_unit_test(two_names_are_read_both_ways),
        cmocka_unit_test(a_qualifier_follows_the_name),
        cmocka_unit_test(what_is_no_name_is_not_found),
        cmocka_unit_test(a_mark_is_read_back),
        cmocka_unit_test(a_changed_mark_is_not_believed),
        cmocka_unit_test(rubbish_is_no_mark),
        cmocka_unit_test(a_replys_mark_is_read_back),
        cmocka_unit_test(what_passes_depends_on_who_speaks),
        cmocka_unit_test(timing_names_the_phases_there_were),
        cmocka_unit_test(timing_has_what_the_call_saw_of_a_start),
        cmocka_unit_test(timing_is_read_back),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("gateway parts", tests, NULL, NULL);
}
