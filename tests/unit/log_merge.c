/* One log out of many nodes'. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the ones above */

#include "controller/api/log_merge.h"

#define ANSWER_MS 5000
#define QUIET_MS  300

struct bench {
    struct log_merge *merge;
    char asked[256]; /* nodes that were asked for more, in order */
    uint64_t now_ms;
};

static void want_more(void *data, const char *node)
{
    struct bench *b = data;

    (void)strcat(strcat(b->asked, node), " ");
}

static void bench_open(struct bench *b, bool follow)
{
    struct log_merge_options o = {.follow = follow,
                                  .answer_ms = ANSWER_MS,
                                  .quiet_ms = QUIET_MS,
                                  .want_more = want_more,
                                  .data = b};

    *b = (struct bench){.now_ms = 1000};
    assert_int_equal(log_merge_new(&b->merge, &o), 0);
}

static void ask(struct bench *b, const char *node)
{
    assert_int_equal(log_merge_ask(b->merge, node, b->now_ms), 0);
}

/* A chunk of lines whose texts are their times: "10 20". */
static int chunk(struct bench *b, const char *node, const char *times, bool end)
{
    struct api_log_line lines[16];
    char text[16][16];
    size_t n = 0;

    for (const char *at = times; *at != '\0'; n++) {
        char *next;

        lines[n] = (struct api_log_line){
            .wall_ms = strtoull(at, &next, 10), .instance = "i", .stream = "stdout"};
        (void)snprintf(text[n], sizeof(text[n]), "%d", (int)lines[n].wall_ms);
        lines[n].text = text[n];
        lines[n].len = strlen(text[n]);
        at = *next == ' ' ? next + 1 : next;
    }
    return log_merge_chunk(b->merge, node, lines, n, end, b->now_ms);
}

/* All lines that can be given out now, as "node:text ". */
static void expect(struct bench *b, const char *want)
{
    const struct api_log_line *line;
    const char *node;
    char got[512] = "";

    while ((line = log_merge_next(b->merge, &node, b->now_ms, 77)) != NULL) {
        size_t len = strlen(got);

        (void)snprintf(got + len, sizeof(got) - len, "%s:%.*s ", node, (int)line->len,
                       strcmp(line->stream, "system") == 0 ? "!" : line->text);
    }
    assert_string_equal(got, want);
}

/* Lines of all nodes come in the order of their time, over the bounds of chunks, and a
 * node is asked for more only when its last line was given out. */
static void merges_by_time(void **state)
{
    struct bench b;

    bench_open(&b, false);
    ask(&b, "a");
    ask(&b, "b");
    assert_int_equal(chunk(&b, "a", "10 30 50", false), 0);
    expect(&b, ""); /* b may have an older one */
    assert_int_equal(chunk(&b, "b", "20 40", false), 0);
    expect(&b, "a:10 b:20 a:30 b:40 ");
    assert_string_equal(b.asked, "b ");
    assert_int_equal(chunk(&b, "b", "45 60", true), 0);
    expect(&b, "b:45 a:50 ");
    assert_string_equal(b.asked, "b a ");
    assert_int_equal(chunk(&b, "a", "", true), 0);
    assert_false(log_merge_is_over(b.merge));
    expect(&b, "b:60 ");
    assert_true(log_merge_is_over(b.merge));
    log_merge_free(b.merge);
}

/* A node that does not answer is passed over after its time, and this is said. */
static void passes_over_the_silent(void **state)
{
    struct bench b;

    bench_open(&b, false);
    ask(&b, "a");
    ask(&b, "b");
    assert_int_equal(chunk(&b, "a", "10", true), 0);
    assert_true(log_merge_deadline_ms(b.merge) == b.now_ms + ANSWER_MS);
    b.now_ms += ANSWER_MS - 1;
    expect(&b, "");
    b.now_ms += 1;
    expect(&b, "b:! a:10 ");
    assert_true(log_merge_is_over(b.merge));
    assert_true(log_merge_deadline_ms(b.merge) == UINT64_MAX);
    assert_int_equal(chunk(&b, "b", "5", true), 0); /* too late, and harmless */
    expect(&b, "");
    log_merge_free(b.merge);
}

/* The time counts only while the node owes an answer, not while the reader is slow. */
static void a_slow_reader_is_not_the_nodes_fault(void **state)
{
    struct bench b;
    const char *node;

    bench_open(&b, false);
    ask(&b, "a");
    assert_int_equal(chunk(&b, "a", "10 20", false), 0);
    assert_non_null(log_merge_next(b.merge, &node, b.now_ms, 0));
    b.now_ms += 10 * ANSWER_MS;
    expect(&b, "a:20 ");
    assert_string_equal(b.asked, "a ");
    assert_int_equal(chunk(&b, "a", "30", true), 0);
    expect(&b, "a:30 ");
    assert_true(log_merge_is_over(b.merge));
    log_merge_free(b.merge);
}

/* A node that leaves has given what it has given, and this is said after it. */
static void tells_that_a_node_left(void **state)
{
    struct bench b;

    bench_open(&b, false);
    ask(&b, "a");
    ask(&b, "b");
    assert_int_equal(chunk(&b, "a", "10", false), 0);
    log_merge_gone(b.merge, "a", "gone", 1);
    assert_int_equal(chunk(&b, "b", "20", true), 0);
    expect(&b, "a:10 a:! b:20 ");
    assert_true(log_merge_is_over(b.merge));
    log_merge_free(b.merge);
}

/* Following: kept lines are merged; a node that is quiet then holds nothing up. */
static void follows(void **state)
{
    struct bench b;

    bench_open(&b, true);
    ask(&b, "a");
    ask(&b, "quiet");
    assert_int_equal(chunk(&b, "a", "10", false), 0);
    expect(&b, "");
    b.now_ms += QUIET_MS;
    expect(&b, "a:10 ");
    b.now_ms += QUIET_MS;
    expect(&b, ""); /* now a is live as well */
    assert_int_equal(chunk(&b, "quiet", "5", false), 0);
    expect(&b, "quiet:5 ");
    assert_int_equal(chunk(&b, "a", "20", false), 0);
    expect(&b, "a:20 ");
    assert_string_equal(b.asked, "a quiet a ");
    assert_true(log_merge_deadline_ms(b.merge) == UINT64_MAX);
    log_merge_free(b.merge);
}

/* Following: a node that comes back begins again; nothing is given out twice. */
static void a_returning_node_does_not_repeat(void **state)
{
    struct bench b;

    bench_open(&b, true);
    ask(&b, "a");
    assert_int_equal(chunk(&b, "a", "10 20", false), 0);
    expect(&b, "a:10 a:20 ");
    log_merge_gone(b.merge, "a", NULL, 0);
    ask(&b, "a");
    assert_int_equal(chunk(&b, "a", "10 20 30", false), 0);
    expect(&b, "a:30 ");
    assert_int_equal(chunk(&b, "a", "30 30 40", false), 0); /* one time, two lines */
    expect(&b, "a:30 a:30 a:40 ");
    log_merge_free(b.merge);
}

/* What was not asked for is refused: memory stays bounded. */
static void refuses_what_was_not_asked_for(void **state)
{
    struct bench b;

    bench_open(&b, false);
    ask(&b, "a");
    ask(&b, "b");
    assert_int_equal(chunk(&b, "a", "10", false), 0);
    assert_int_equal(chunk(&b, "a", "20", false), -EPROTO);
    assert_int_equal(chunk(&b, "stranger", "1", false), 0);
    assert_int_equal(chunk(&b, "b", "", true), 0);
    expect(&b, "a:10 ");
    log_merge_free(b.merge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_by_time),
        cmocka_unit_test(passes_over_the_silent),
        cmocka_unit_test(a_slow_reader_is_not_the_nodes_fault),
        cmocka_unit_test(tells_that_a_node_left),
        cmocka_unit_test(follows),
        cmocka_unit_test(a_returning_node_does_not_repeat),
        cmocka_unit_test(refuses_what_was_not_asked_for),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
