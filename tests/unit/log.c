/* Unit tests for the daemons' log: what is written to standard error. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include <jansson.h>

#include "common/log.h"

static char captured[16384];

/* Standard error goes into a pipe while this is on; the result is in captured. */
static int saved_fd;
static int pipe_fds[2];

static void capture_begin(void)
{
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(saved_fd >= 0);
    assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(pipe_fds[1]);
}

static size_t capture_end(void)
{
    ssize_t n;

    assert_int_equal(dup2(saved_fd, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved_fd);
    n = read(pipe_fds[0], captured, sizeof(captured) - 1);
    (void)close(pipe_fds[0]);
    n = n < 0 ? 0 : n;
    captured[n] = '\0';
    return (size_t)n;
}

static const char *text_of(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static json_t *captured_json(void)
{
    json_t *json = json_loads(captured, 0, NULL);

    if (json == NULL) {
        fail_msg("not JSON: %s", captured);
    }
    return json;
}

/* A JSON line has time, level, component, message and the fields with their types. */
static void writes_json(void **state)
{
    json_t *json;
    (void)state;

    log_init("controller", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_warn("store lost", LOG_STR("engine", "etcd"), LOG_INT("after_ms", -7),
             LOG_STR("none", NULL));
    (void)capture_end();
    json = captured_json();
    assert_int_equal(strlen(text_of(json, "ts")), 24);
    assert_string_equal(text_of(json, "level"), "warn");
    assert_string_equal(text_of(json, "component"), "controller");
    assert_string_equal(text_of(json, "msg"), "store lost");
    assert_string_equal(text_of(json, "engine"), "etcd");
    assert_int_equal(json_integer_value(json_object_get(json, "after_ms")), -7);
    assert_string_equal(text_of(json, "none"), "");
    json_decref(json);
}

/* A value from outside cannot end the line, the string, or begin another entry. */
static void forges_nothing(void **state)
{
    static const char evil[] = "a\"b\\c\nd\r\x1b[31m\x7f {\"level\":\"error\"}";
    json_t *json;
    (void)state;

    for (int human = 0; human < 2; human++) {
        size_t n;

        log_init("agent", LOG_LEVEL_INFO, human ? LOG_FORMAT_HUMAN : LOG_FORMAT_JSON);
        capture_begin();
        log_info(evil, LOG_STR("v", evil));
        n = capture_end();
        assert_true(n > 0);
        for (size_t i = 0; i + 1 < n; i++) {
            assert_true((unsigned char)captured[i] >= 0x20 && captured[i] != 0x7f);
        }
        assert_int_equal(captured[n - 1], '\n');
        if (human == 0) {
            json = captured_json();
            assert_string_equal(text_of(json, "msg"), evil);
            assert_string_equal(text_of(json, "v"), evil);
            assert_string_equal(text_of(json, "level"), "info");
            json_decref(json);
        }
    }
}

/* The human form is time, level, component, message, then the fields. */
static void writes_for_people(void **state)
{
    (void)state;

    log_init("agent", LOG_LEVEL_DEBUG, LOG_FORMAT_HUMAN);
    capture_begin();
    log_debug("started", LOG_STR("function", "hello"), LOG_STR("path", "a b"),
              LOG_INT("took_ms", 12));
    (void)capture_end();
    assert_non_null(strstr(captured, " debug agent: started  function=hello "
                                     "path=\"a b\" took_ms=12\n"));
    assert_int_equal(captured[2], ':');
    assert_int_equal(captured[8], '.');
}

/* What is below the level is not written. */
static void keeps_the_level(void **state)
{
    (void)state;

    log_init("agent", LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    capture_begin();
    log_debug("no");
    log_info("no");
    log_error("yes");
    (void)capture_end();
    assert_null(strstr(captured, "\"no\""));
    assert_non_null(strstr(captured, "\"yes\""));
}

/* A line that is too long is cut, and is still one line. */
static void cuts_long_lines(void **state)
{
    static char value[9000];
    size_t n;
    (void)state;

    memset(value, 'x', sizeof(value) - 1);
    log_init("agent", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_info("long", LOG_STR("v", value));
    n = capture_end();
    assert_int_equal(n, 4096);
    assert_int_equal(captured[n - 1], '\n');
    assert_ptr_equal(strchr(captured, '\n'), &captured[n - 1]);
}

/* Level names are those that the config takes. */
static void parses_levels(void **state)
{
    (void)state;

    assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("info"), LOG_LEVEL_INFO);
    assert_int_equal(log_level_parse("warn"), LOG_LEVEL_WARN);
    assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
    assert_true(log_level_parse("loud") < 0);
    assert_true(log_level_parse("") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_json),       cmocka_unit_test(forges_nothing),
        cmocka_unit_test(writes_for_people), cmocka_unit_test(keeps_the_level),
        cmocka_unit_test(cuts_long_lines),   cmocka_unit_test(parses_levels),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
