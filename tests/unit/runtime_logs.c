/* Functions' logs: what is kept, what is cut, who reads it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h> /* needs those above */

#include "agent/runtime/logs.h"
#include "common/archive.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"

static uv_loop_t loop;
static struct logs *logs;
static char dir[64];

struct reading {
    struct log_reader *reader;
    struct buf text; /* "version/instance stream text\n" */
    unsigned n;
    bool end;
    bool slow; /* does not ask for more */
};

static int setup(void **state)
{
    (void)state;
    (void)strcpy(dir, "/tmp/mayfly-test-XXXXXX");
    CHECK(mkdtemp(dir) != NULL && uv_loop_init(&loop) == 0);
    CHECK(logs_new(&logs, &loop, dir, NULL) == 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    logs = logs_free(logs);
    if (uv_loop_close(&loop) != 0) {
        return -1; /* a test that failed left something open */
    }
    return archive_remove_tree(dir, NULL);
}

static void on_lines(void *data, const struct log_line *lines, size_t n, bool end)
{
    static const char *const streams[] = {"stdout", "stderr", "system"};
    struct reading *r = data;

    for (size_t i = 0; i < n; i++) {
        CHECK(buf_printf(&r->text, "%llu/%s %s ", (unsigned long long)lines[i].version,
                         lines[i].instance, streams[lines[i].stream]) == 0);
        CHECK(buf_append(&r->text, lines[i].text, lines[i].len) == 0);
        CHECK(buf_append(&r->text, "\n", 1) == 0);
    }
    r->n += (unsigned)n;
    r->end = end;
    if (!end && !r->slow) {
        log_reader_next(r->reader);
    }
}

static void reader_open(struct reading *r, uint64_t version, bool follow, uint32_t tail)
{
    CHECK(buf_append(&r->text, "", 0) == 0);
    assert_int_equal(
        log_reader_new(&r->reader, logs, "ns", "fn", version, follow, tail, on_lines, r),
        0);
    assert_int_equal(r->n, 0); /* never from within */
}

static void reader_close(struct reading *r)
{
    r->reader = log_reader_free(r->reader);
    buf_free(&r->text);
}

static void turn_until(const struct reading *r, unsigned n)
{
    uint64_t until_ms = clock_mono_ms() + 10000;

    while (!r->end && r->n < n && clock_mono_ms() < until_ms) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(r->end || r->n >= n);
}

static void read_all(struct reading *r, uint64_t version, uint32_t tail)
{
    *r = (struct reading){0};
    reader_open(r, version, false, tail);
    turn_until(r, UINT32_MAX);
    assert_true(r->end);
}

static struct log_sink *sink_open(uint64_t version, uint64_t id)
{
    struct log_sink *s;

    assert_int_equal(log_sink_new(&s, logs, "ns", "fn", version, id), 0);
    return s;
}

static void put(struct log_sink *s, enum log_stream stream, const char *text)
{
    log_sink_write(s, stream, text, strlen(text));
}

/* What was written in pieces is kept as lines, by stream, after the instance's end. */
static void keeps_lines(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading r;
    (void)state;

    put(s, LOG_STREAM_STDOUT, "one\ntw");
    put(s, LOG_STREAM_STDERR, "err\r\n");
    put(s, LOG_STREAM_STDOUT, "o\n\nrest");
    (void)log_sink_free(s);
    read_all(&r, 0, 0);
    assert_string_equal(r.text.data, "1/7 stdout one\n1/7 stderr err\n1/7 stdout two\n"
                                     "1/7 stdout \n1/7 stdout rest\n");
    reader_close(&r);
}

/* What was written between a mark and its end, whoever else holds one; of much, the end.
 */
static void keeps_tails(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    char tail[LOG_TAIL], line[LOG_TAIL / 4];
    uint64_t first, second;
    (void)state;

    put(s, LOG_STREAM_STDOUT, "before\n");
    first = log_sink_mark(s);
    put(s, LOG_STREAM_STDOUT, "one\n");
    second = log_sink_mark(s);
    put(s, LOG_STREAM_SYSTEM, "two\n");
    assert_int_equal(log_sink_tail(s, first, tail), 8);
    assert_memory_equal(tail, "one\ntwo\n", 8);
    put(s, LOG_STREAM_STDERR, "three\nhal");
    assert_int_equal(log_sink_tail(s, second, tail), 10);
    assert_memory_equal(tail, "two\nthree\n", 10);
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 2] = '\n';
    line[sizeof(line) - 1] = '\0';
    first = log_sink_mark(s);
    for (int i = 0; i < 9; i++) {
        put(s, LOG_STREAM_STDOUT, line);
    }
    put(s, LOG_STREAM_STDOUT, "the end\n");
    assert_int_equal(log_sink_tail(s, first, tail), LOG_TAIL);
    assert_memory_equal(tail + LOG_TAIL - 8, "the end\n", 8);
    assert_memory_equal(tail + LOG_TAIL - 12, "xxx\n", 4);
    first = log_sink_mark(s);
    assert_int_equal(log_sink_tail(s, first, NULL), 0);
    (void)log_sink_free(s);
}

/* Output is bytes: what is no text becomes U+FFFD, what is survives as it is. */
static void bears_bytes(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading r;
    (void)state;

    put(s, LOG_STREAM_STDOUT,
        "\"\\\t\x01 \xc3\xa4 \xff\xc3 \xed\xa0\x80 \xf0\x9f\x98\x80\n");
    log_sink_write(s, LOG_STREAM_STDOUT, "a\0b\n", 4);
    (void)log_sink_free(s);
    read_all(&r, 0, 0);
    assert_memory_equal(r.text.data,
                        "1/7 stdout \"\\\t\x01 \xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd "
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\n"
                        "1/7 stdout a\0b\n",
                        r.text.len);
    reader_close(&r);
}

/* A line is cut at 16 KiB, in whatever pieces it came; the next one is whole. */
static void cuts_long_lines(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    char *block = malloc(100000);
    struct reading r;
    (void)state;

    memset(block, 'x', 100000);
    log_sink_write(s, LOG_STREAM_STDOUT, block, 100000);
    log_sink_write(s, LOG_STREAM_STDOUT, block, 100000);
    put(s, LOG_STREAM_STDOUT, "\nnext\n");
    log_sink_write(s, LOG_STREAM_STDOUT, block, 16 * 1024);
    put(s, LOG_STREAM_STDOUT, "\nlast\n");
    (void)log_sink_free(s);
    free(block);
    read_all(&r, 0, 0);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.text.len, 2 * (16 * 1024) + 2 * strlen("1/7 stdout \n") +
                                     strlen("1/7 stdout next\n1/7 stdout last\n"));
    reader_close(&r);
}

static void next_second(void)
{
    uint64_t second = clock_mono_ms() / 1000;

    while (clock_mono_ms() / 1000 == second) {
        uv_sleep(1);
    }
}

/* A flood is dropped past its rate and says so; a quiet second later all is kept again.
 */
static void drops_a_flood(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    char *block = malloc(65536);
    struct reading r;
    struct stat st;
    char path[160];
    uint64_t second;
    (void)state;

    for (size_t i = 0; i < 65536; i++) {
        block[i] = i % 2 == 0 ? 'y' : '\n';
    }
    do { /* all of it within one second, on a busy machine as well */
        next_second();
        second = clock_mono_ms() / 1000;
        for (int i = 0; i < 20; i++) {
            log_sink_write(s, LOG_STREAM_STDOUT, block, 65536);
        }
    } while (clock_mono_ms() / 1000 != second);
    next_second();
    put(s, LOG_STREAM_STDOUT, "quiet\n");
    (void)log_sink_free(s);
    free(block);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/ns/fn/1-7.log%s", dir, i > 0 ? ".1" : "");
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size <= 512 * 1024);
    }
    read_all(&r, 0, 3);
    assert_non_null(strstr(r.text.data, "1/7 system more than 1 MiB of output in a "
                                        "second: the rest is dropped\n"));
    assert_non_null(strstr(r.text.data, " bytes of output were dropped\n"));
    assert_non_null(strstr(r.text.data, "1/7 stdout quiet\n"));
    reader_close(&r);
}

/* Many instances of one function: the oldest files go. */
static void bounds_a_function(void **state)
{
    char command[128];
    unsigned n = 0;
    FILE *f;
    (void)state;

    for (uint64_t i = 1; i <= 300; i++) {
        struct log_sink *s = sink_open(1, i);

        put(s, LOG_STREAM_STDOUT, "here\n");
        (void)log_sink_free(s);
    }
    (void)snprintf(command, sizeof(command), "ls %s/ns/fn | wc -l", dir);
    f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    assert_in_range(n, 200, 256);
}

/* A reader takes one version, or the last lines, or all in the order of time. */
static void reads_parts(void **state)
{
    struct log_sink *a = sink_open(1, 1), *b = sink_open(2, 2);
    struct reading r;
    (void)state;

    put(a, LOG_STREAM_STDOUT, "a\n");
    put(b, LOG_STREAM_STDOUT, "b\n");
    (void)log_sink_free(a);
    (void)log_sink_free(b);
    read_all(&r, 2, 0);
    assert_string_equal(r.text.data, "2/2 stdout b\n");
    reader_close(&r);
    read_all(&r, 0, 1);
    assert_int_equal(r.n, 1);
    reader_close(&r);
    read_all(&r, 0, 0);
    assert_int_equal(r.n, 2);
    reader_close(&r);
    read_all(&r, 9, 0);
    assert_int_equal(r.n, 0);
    reader_close(&r);
    assert_int_equal(
        log_reader_new(&r.reader, logs, "../..", "fn", 0, false, 0, on_lines, &r),
        -EINVAL);
}

/* One who follows gets what was kept and what comes, each line once. */
static void follows(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading r = {0};
    (void)state;

    put(s, LOG_STREAM_STDOUT, "before\n");
    reader_open(&r, 0, true, 0);
    put(s, LOG_STREAM_STDOUT, "between\n");
    turn_until(&r, 2);
    put(s, LOG_STREAM_STDOUT, "after\n");
    turn_until(&r, 3);
    assert_string_equal(r.text.data,
                        "1/7 stdout before\n1/7 stdout between\n1/7 stdout after\n");
    assert_false(r.end);
    (void)log_sink_free(s);
    reader_close(&r);
}

static off_t file_bytes(void)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/ns/fn/1-7.log", dir);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* A line that was written is not in its file yet, but nobody who reads misses it: one who
 * comes makes it so, one who follows has it at once. */
static void gathers_writes(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading follower = {0}, r;
    off_t before;
    (void)state;

    reader_open(&follower, 0, true, 0);
    put(s, LOG_STREAM_STDOUT, "one\n");
    put(s, LOG_STREAM_STDERR, "two\n");
    turn_until(&follower, 2);
    assert_int_equal(file_bytes(), 0);
    read_all(&r, 0, 0);
    assert_string_equal(r.text.data, "1/7 stdout one\n1/7 stderr two\n");
    before = file_bytes();
    assert_true(before > 0);
    put(s, LOG_STREAM_STDOUT, "three\n");
    assert_int_equal(file_bytes(), before);
    logs_flush(logs);
    assert_true(file_bytes() > before);
    turn_until(&follower, 3);
    assert_string_equal(follower.text.data,
                        "1/7 stdout one\n1/7 stderr two\n1/7 stdout three\n");
    (void)log_sink_free(s);
    reader_close(&follower);
    reader_close(&r);
}

/* What waits is bounded: a lot of it goes to the file by itself. */
static void gathers_no_more_than_so_much(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    char line[1001];
    (void)state;

    memset(line, 'x', 1000);
    line[999] = '\n';
    line[1000] = '\0';
    for (int i = 0; i < 63; i++) {
        put(s, LOG_STREAM_STDOUT, line);
    }
    assert_in_range(file_bytes(), 63 * 1000, 70 * 1024);
    (void)log_sink_free(s);
}

/* One who is too slow misses lines, and is told how many; writing does not wait. */
static void skips_for_a_slow_reader(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading r = {.slow = true};
    char line[1001];
    (void)state;

    memset(line, 'x', 1000);
    line[999] = '\n';
    line[1000] = '\0';
    reader_open(&r, 0, true, 0);
    for (int i = 0; i < 600; i++) {
        put(s, LOG_STREAM_STDOUT, line);
    }
    r.slow = false;
    turn_until(&r, 200);
    assert_non_null(strstr(r.text.data, " lines skipped: the reader is too slow\n"));
    (void)log_sink_free(s);
    reader_close(&r);
}

/* Empty lines are lines too: as many as a function can print in a while do not fill the
 * agent's memory when nobody takes them. */
static void skips_empty_lines_too(void **state)
{
    struct log_sink *s = sink_open(1, 7);
    struct reading r = {.slow = true};
    unsigned long long missed = 0;
    const char *said;
    char lines[10001];
    (void)state;

    memset(lines, '\n', 10000);
    lines[10000] = '\0';
    reader_open(&r, 0, true, 0);
    put(s, LOG_STREAM_STDOUT, lines);
    r.slow = false;
    turn_until(&r, 1000);
    said = strstr(r.text.data, "system ");
    assert_non_null(said);
    assert_int_equal(sscanf(said, "system %llu lines skipped", &missed), 1);
    assert_true(missed > 5000);
    (void)log_sink_free(s);
    reader_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_tails, setup, teardown),
        cmocka_unit_test_setup_teardown(bears_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_a_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_a_function, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(follows, setup, teardown),
        cmocka_unit_test_setup_teardown(gathers_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(gathers_no_more_than_so_much, setup, teardown),
        cmocka_unit_test_setup_teardown(skips_for_a_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(skips_empty_lines_too, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
