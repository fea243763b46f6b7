/* Unit tests for function specs: table, JSON, rules, and the trip over the wire. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/spec.h"
#include "proto/convert.h"

static int parse(struct function_spec *s, const char *text, struct error *err)
{
    json_t *json = json_loads(text, 0, NULL);
    int rc;

    assert_non_null(json);
    *err = (struct error){0};
    rc = function_spec_from_json(s, json, err);
    json_decref(json);
    return rc;
}

/* A new spec has the table's defaults. */
static void has_defaults(void **state)
{
    struct function_spec s;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(s.memory_mib, 128);
    assert_int_equal(s.timeout_ms, 30000);
    assert_int_equal(s.concurrency, 1);
    assert_true(s.reuse);
    assert_null(s.handler);
    assert_int_equal(function_spec_validate(&s, NULL), 0);
}

/* Numbers come as JSON numbers under their key, or with a unit under the flag's name. */
static void takes_numbers_and_units(void **state)
{
    struct function_spec s;
    struct error err;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(
        parse(&s,
              "{\"memory\": \"1Gi\", \"timeout\": \"90s\", \"cpu\": \"0.25\","
              " \"body_max_kib\": 7, \"runtime\": \"exec\"}",
              &err),
        0);
    assert_int_equal(s.memory_mib, 1024);
    assert_int_equal(s.timeout_ms, 90000);
    assert_int_equal(s.cpu_millis, 250);
    assert_int_equal(s.body_max_kib, 7);
    assert_int_equal(s.runtime, SPEC_RUNTIME_EXEC);
    function_spec_free(&s);
}

/* Lambda's names of runtimes are taken, and come back as ours. */
static void knows_lambdas_runtimes(void **state)
{
    static const struct {
        const char *given, *ours;
    } cases[] = {
        {"python", "python"},
        {"python3", "python"},
        {"python3.11", "python"},
        {"node", "node"},
        {"nodejs", "node"},
        {"nodejs20.x", "node"},
        {"node20", "node"},
        {"provided", "provided"},
        {"provided.al2", "provided"},
        {"provided.al2023", "provided"},
        {"http", "http"},
        {"exec", "exec"},
    };
    static const char *const none[] = {"",       "pythonic",   "python3.x", "nodejsx1a",
                                       "Python", "provided.x", "java21",    "exec1"};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int runtime = spec_runtime_parse(cases[i].given);

        assert_true(runtime >= 0);
        assert_string_equal(spec_runtime_name((enum spec_runtime)runtime), cases[i].ours);
        assert_int_equal(spec_runtime_takes_events((enum spec_runtime)runtime),
                         strcmp(cases[i].ours, "http") != 0 &&
                             strcmp(cases[i].ours, "exec") != 0);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_true(spec_runtime_parse(none[i]) < 0);
    }
}

/* Who gives a time for idle instances means a fixed one, unless they say otherwise, in
 * whatever order. */
static void idle_makes_keep_alive_fixed(void **state)
{
    static const struct {
        const char *json;
        enum spec_keep_alive keep_alive;
        uint32_t idle_ms;
    } cases[] = {
        {"{}", SPEC_KEEP_ALIVE_LEARNED, 60000},
        {"{\"keep_alive\": \"fixed\"}", SPEC_KEEP_ALIVE_FIXED, 60000},
        {"{\"idle\": \"10m\"}", SPEC_KEEP_ALIVE_FIXED, 600000},
        {"{\"idle_ms\": 0}", SPEC_KEEP_ALIVE_FIXED, 0},
        {"{\"keep_alive\": \"learned\", \"idle_ms\": 7}", SPEC_KEEP_ALIVE_LEARNED, 7},
        {"{\"idle_ms\": 7, \"keep-alive\": \"learned\"}", SPEC_KEEP_ALIVE_LEARNED, 7},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct function_spec s, again;
        struct error err;
        json_t *json;

        function_spec_init(&s);
        function_spec_init(&again);
        assert_int_equal(parse(&s, cases[i].json, &err), 0);
        assert_int_equal(s.keep_alive, cases[i].keep_alive);
        assert_int_equal(s.idle_ms, cases[i].idle_ms);
        json = function_spec_to_json(&s);
        assert_int_equal(function_spec_from_json(&again, json, &err), 0);
        assert_int_equal(again.keep_alive, cases[i].keep_alive);
        json_decref(json);
    }
}

/* A refusal names the key, and leaves the spec as it was. */
static void refuses_by_name(void **state)
{
    static const struct {
        const char *json;
        const char *named;
    } cases[] = {
        {"{\"memory_mib\": 8}", "memory_mib"},
        {"{\"memory_mib\": -1}", "memory_mib"},
        {"{\"memory_mib\": 1.5}", "memory_mib"},
        {"{\"memory\": \"lots\"}", "memory_mib"},
        {"{\"cpu\": \"1.2.3\"}", "cpu_millis"},
        {"{\"cpu\": \"9999999999999999999999\"}", "cpu_millis"},
        {"{\"timeout_ms\": []}", "timeout_ms"},
        {"{\"colour\": 1}", "colour"},
        {"{\"runtime\": \"java\"}", "runtime"},
        {"{\"metric\": \"cpu\"}", "metric"},
        {"{\"target-utilization\": 101}", "target_utilization"},
        {"{\"window\": \"2h\"}", "window_ms"},
        {"{\"scale-down-delay\": \"soon\"}", "scale_down_delay_ms"},
        {"{\"reuse\": 1}", "reuse"},
        {"{\"keep_alive\": \"forever\"}", "keep_alive"},
        {"{\"keep-alive\": 1}", "keep_alive"},
        {"{\"handler\": 1}", "handler"},
        {"{\"env\": []}", "env"},
        {"{\"env\": {\"A\": 1}}", "env.A"},
        {"[]", "spec"},
    };
    struct function_spec s;
    struct error err;
    (void)state;

    function_spec_init(&s);
    s.memory_mib = 77;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(parse(&s, cases[i].json, &err) < 0);
        assert_non_null(strstr(err.text, cases[i].named));
        assert_int_equal(s.memory_mib, 77);
    }
    function_spec_free(&s);
}

/* Rules between fields, and those of variables' names. */
static void validates(void **state)
{
    static const struct {
        const char *json;
        const char *named;
    } cases[] = {
        {"{\"min_scale\": 3, \"max_scale\": 2}", "min_scale"},
        {"{\"runtime\": \"http\", \"reuse\": false}", "reuse"},
        {"{\"runtime\": \"exec\", \"reuse\": false, \"concurrency\": 2}", "concurrency"},
        {"{\"runtime\": \"exec\", \"reuse\": false, \"min_scale\": 1}", "min_scale"},
        {"{\"initial_scale\": 3, \"max_scale\": 2}",
         "initial_scale 3 is over max_scale 2"},
        {"{\"activation-scale\": 3, \"max_scale\": 2}", "activation_scale"},
        {"{\"runtime\": \"exec\", \"reuse\": false, \"initial-scale\": 2}",
         "initial_scale"},
        {"{\"window\": \"5s\"}", "window_ms is 5000; give 6s to 1h"},
        {"{\"window_ms\": 6500}", "window_ms is 6500"},
        {"{\"scale-down-delay\": 1500}", "scale_down_delay_ms"},
        {"{\"panic-threshold\": 100}", "panic_threshold"},
        {"{\"max-scale-up-rate\": 1}", "max_scale_up_rate"},
        {"{\"max-scale-down-rate\": 1}", "max_scale_down_rate"},
        {"{\"max-scale-up-rate\": 0.99}", "max_scale_up_rate is 0.99; give more than 1"},
        {"{\"panic-threshold\": 109.99}", "panic_threshold is 109.99; give 110 to 1000"},
        {"{\"panic-window\": 0.5}", "panic_window is 0.5; give 1 to 100"},
        {"{\"target-utilization\": 0.01}", "target_utilization is 0.01"},
        {"{\"env\": {\"1A\": \"x\"}}", "env.1A"},
        {"{\"env\": {\"A=B\": \"x\"}}", "env.A=B"},
        {"{\"env\": {\"\": \"x\"}}", "env."},
        {"{\"env\": {\"PORT\": \"1\"}}", "env.PORT"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct function_spec s;
        struct error err;

        function_spec_init(&s);
        assert_int_equal(parse(&s, cases[i].json, &err), 0);
        assert_int_equal(function_spec_validate(&s, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].named));
        function_spec_free(&s);
    }
}

/* Names are DNS labels. */
static void knows_names(void **state)
{
    char longest[SPEC_NAME_MAX + 2];
    (void)state;

    assert_true(spec_name_valid("a"));
    assert_true(spec_name_valid("a-1"));
    assert_false(spec_name_valid(""));
    assert_false(spec_name_valid("-a"));
    assert_false(spec_name_valid("a-"));
    assert_false(spec_name_valid("A"));
    assert_false(spec_name_valid("a/b"));
    memset(longest, 'a', sizeof(longest));
    longest[SPEC_NAME_MAX + 1] = '\0';
    assert_false(spec_name_valid(longest));
    longest[SPEC_NAME_MAX] = '\0';
    assert_true(spec_name_valid(longest));
}

/* To JSON and back, and over the wire and back, nothing changes. */
static void survives_both_trips(void **state)
{
    struct function_spec s, back;
    Mayfly__V1__Spec wire;
    struct error err;
    json_t *a, *b;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(parse(&s,
                           "{\"runtime\": \"http\", \"handler\": \"./srv -v\", \"env\": "
                           "{\"A\": \"1\", \"B\": \"\"}, \"concurrency\": 9}",
                           &err),
                     0);
    assert_int_equal(convert_spec_to_wire(&wire, &s), 0);
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), 0);
    convert_spec_free(&wire);
    a = function_spec_to_json(&s);
    b = function_spec_to_json(&back);
    assert_true(json_equal(a, b));
    function_spec_free(&back);
    function_spec_init(&back);
    assert_int_equal(function_spec_from_json(&back, a, &err), 0);
    json_decref(b);
    b = function_spec_to_json(&back);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    function_spec_free(&back);
    function_spec_free(&s);
}

/* Targets, rates and percentages may have two decimals, in any way that they come in and
 * go out; older peers, who know whole ones only, get them rounded up. */
static void decimals(void **state)
{
    static const char *const same[] = {
        "{\"target\": 0.5, \"max-scale-up-rate\": 1.1, \"panic-threshold\": 110.29}",
        "{\"target\": \"0.5\", \"max-scale-up-rate\": \"1.10\", "
        "\"panic-threshold\": \"110.29\"}",
        "{\"target\": \".5\", \"max_scale_up_rate\": 1.1000000000000001, "
        "\"panic_threshold\": 110.29000000000001}",
    };
    struct function_spec s, back;
    Mayfly__V1__Spec wire;
    struct error err;
    json_t *json;

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        function_spec_init(&s);
        assert_int_equal(parse(&s, same[i], &err), 0);
        assert_int_equal(function_spec_validate(&s, &err), 0);
        assert_int_equal(s.target_hundredths, 50);
        assert_int_equal(s.max_scale_up_rate_hundredths, 110);
        assert_int_equal(s.panic_threshold_hundredths, 11029);
        assert_int_equal(convert_spec_to_wire(&wire, &s), 0);
        assert_int_equal(wire.target, 1);
        assert_int_equal(wire.max_scale_up_rate, 2);
        assert_int_equal(wire.panic_threshold, 111);
        assert_int_equal(convert_spec_from_wire(&back, &wire, &err), 0);
        convert_spec_free(&wire);
        assert_int_equal(back.target_hundredths, 50);
        assert_int_equal(back.max_scale_up_rate_hundredths, 110);
        json = function_spec_to_json(&back);
        assert_true(json_real_value(json_object_get(json, "target")) == 0.5);
        assert_true(json_is_integer(json_object_get(json, "panic_window")));
        json_decref(json);
        function_spec_free(&back);
        function_spec_free(&s);
    }
    function_spec_init(&s); /* what an older peer sends */
    assert_int_equal(convert_spec_to_wire(&wire, &s), 0);
    wire.target = 3;
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), 0);
    assert_int_equal(back.target_hundredths, 300);
    function_spec_free(&back);
    wire.target_hundredths = 50; /* which is not 3, rounded up */
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), -EINVAL);
    convert_spec_free(&wire);
}

/* What is no such number is refused by its name, and changes nothing. */
static void no_decimals(void **state)
{
    static const char *const cases[] = {
        "{\"target\": 0.005}",
        "{\"target\": \"0.555\"}",
        "{\"target\": \"1.\"}",
        "{\"target\": \".\"}",
        "{\"target\": \"\"}",
        "{\"target\": \"1e3\"}",
        "{\"target\": \"-1\"}",
        "{\"target\": -0.5}",
        "{\"target\": 1000000.01}",
        "{\"target\": 1e300}",
        "{\"target\": true}",
        "{\"target\": \"1,5\"}",
        "{\"target\": \"99999999999999999999\"}",
    };
    struct function_spec s;
    struct error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        function_spec_init(&s);
        assert_true(parse(&s, cases[i], &err) < 0);
        assert_int_equal(strncmp(err.text, "target is ", 10), 0);
        assert_int_equal(s.target_hundredths, 0);
        function_spec_free(&s);
    }
    function_spec_init(&s);
    assert_int_equal(parse(&s, "{\"max_scale\": 1.5}", &err), -EINVAL);
    assert_non_null(strstr(err.text, "whole number"));
    function_spec_free(&s);
}

/* What comes over the wire is checked like everything else. */
static void does_not_believe_the_wire(void **state)
{
    struct function_spec s, back;
    Mayfly__V1__Spec wire;
    Mayfly__V1__Package package;
    struct package_ref ref = {.format = SPEC_FORMAT_FILE};
    struct error err;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(convert_spec_to_wire(&wire, &s), 0);
    wire.memory_mib = 1;
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), -ERANGE);
    wire.memory_mib = 128;
    wire.runtime = (char *)(uintptr_t) "cobol";
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), -EINVAL);
    convert_spec_free(&wire);

    memset(ref.digest, 'a', SPEC_DIGEST_LEN);
    (void)strcpy(ref.file_name, "run.sh");
    convert_package_to_wire(&package, &ref);
    assert_int_equal(convert_package_from_wire(&ref, &package, &err), 0);
    package.file_name = (char *)(uintptr_t) "../run.sh";
    assert_int_equal(convert_package_from_wire(&ref, &package, &err), -EINVAL);
    package.digest = (char *)(uintptr_t) "../../etc/passwd";
    assert_int_equal(convert_package_from_wire(&ref, &package, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(takes_numbers_and_units),
        cmocka_unit_test(knows_lambdas_runtimes),
        cmocka_unit_test(idle_makes_keep_alive_fixed),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(validates),
        cmocka_unit_test(knows_names),
        cmocka_unit_test(survives_both_trips),
        cmocka_unit_test(decimals),
        cmocka_unit_test(no_decimals),
        cmocka_unit_test(does_not_believe_the_wire),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
