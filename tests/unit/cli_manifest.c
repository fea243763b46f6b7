/* function.yaml: its keys, and where an error is said to be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "controller/cli/manifest.h"

static struct manifest m;
static struct function_spec spec;
static struct error err;

static int parse(const char *text)
{
    manifest_free(&m);
    function_spec_free(&spec);
    err = (struct error){0};
    return manifest_parse(&m, &spec, "f/function.yaml", text, strlen(text), &err);
}

static int teardown(void **state)
{
    manifest_free(&m);
    function_spec_free(&spec);
    return 0;
}

/* Every setting may stand there, numbers under key or flag and with a unit. */
static void all_keys(void **state)
{
    assert_int_equal(parse("name: thumb\n"
                           "build: make -s\n"
                           "runtime: exec\n"
                           "handler: run.sh -v\n"
                           "memory: 64Mi\n"
                           "timeout_ms: 5s\n"
                           "max-scale: 3\n"
                           "keep-alive: learned\n"
                           "idle: 5m\n"
                           "reuse: false\n"
                           "env:\n"
                           "  LEVEL: \"1\"\n"),
                     0);
    assert_string_equal(m.name, "thumb");
    assert_string_equal(m.build, "make -s");
    assert_true(m.has_runtime);
    assert_int_equal(spec.runtime, SPEC_RUNTIME_EXEC);
    assert_string_equal(spec.handler, "run.sh -v");
    assert_int_equal(spec.memory_mib, 64);
    assert_int_equal(spec.timeout_ms, 5000);
    assert_int_equal(spec.max_scale, 3);
    assert_int_equal(spec.keep_alive, SPEC_KEEP_ALIVE_LEARNED);
    assert_int_equal(spec.idle_ms, 300000);
    assert_false(spec.reuse);
    assert_int_equal(spec.n_env, 1);
}

/* How it scales, under Knative's names. */
static void scaling_keys(void **state)
{
    assert_int_equal(parse("metric: rps\n"
                           "target: 0.5\n"
                           "target-utilization: 80\n"
                           "window: 30s\n"
                           "panic-window: 12.5\n"
                           "panic-threshold: 150.00\n"
                           "initial-scale: 2\n"
                           "activation-scale: 3\n"
                           "scale-down-delay: 1m\n"
                           "max-scale-up-rate: 1.5\n"
                           "max-scale-down-rate: \"3.01\"\n"
                           "scale-to-zero-retention: 5m\n"),
                     0);
    assert_int_equal(spec.metric, SPEC_METRIC_RPS);
    assert_int_equal(spec.target_hundredths, 50);
    assert_int_equal(spec.target_utilization_hundredths, 8000);
    assert_int_equal(spec.window_ms, 30000);
    assert_int_equal(spec.panic_window_hundredths, 1250);
    assert_int_equal(spec.panic_threshold_hundredths, 15000);
    assert_int_equal(spec.initial_scale, 2);
    assert_int_equal(spec.activation_scale, 3);
    assert_int_equal(spec.scale_down_delay_ms, 60000);
    assert_int_equal(spec.max_scale_up_rate_hundredths, 150);
    assert_int_equal(spec.max_scale_down_rate_hundredths, 301);
    assert_int_equal(spec.retention_ms, 300000);
}

/* An empty file says nothing: the runtime is then to be guessed. */
static void empty(void **state)
{
    assert_int_equal(parse("# nothing\n"), 0);
    assert_null(m.name);
    assert_false(m.has_runtime);
}

/* A key that is none is named with its line and the nearest. */
static void unknown_key(void **state)
{
    assert_int_equal(parse("runtime: exec\nhandler: run.sh\nmemroy: 128\n"), -EINVAL);
    assert_non_null(strstr(err.text, "f/function.yaml:3: memroy: no such key"));
    assert_non_null(strstr(err.text, "did you mean memory?"));
}

/* Wrong values too, also those of a variable, and of a key that is quoted. */
static void wrong_values(void **state)
{
    assert_int_equal(parse("runtime: exec\n\nmemory: 1\n"), -ERANGE);
    assert_non_null(strstr(err.text, "f/function.yaml:3: memory"));
    assert_int_equal(parse("env:\n  A: \"1\"\n  B: 2\nruntime: exec\n"), -EINVAL);
    assert_non_null(strstr(err.text, "f/function.yaml:3: env.B is not a string"));
    assert_int_equal(parse("\"runtime\": java\n"), -EINVAL);
    assert_non_null(strstr(err.text, "f/function.yaml:1: runtime"));
    assert_int_equal(parse("name: Not_A_Name\n"), -EINVAL);
    assert_non_null(strstr(err.text, "f/function.yaml:1: name"));
    assert_int_equal(parse("build: [a]\n"), -EINVAL);
    assert_int_equal(parse("a: [\n"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys),     cmocka_unit_test(scaling_keys),
        cmocka_unit_test(empty),        cmocka_unit_test(unknown_key),
        cmocka_unit_test(wrong_values),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_manifest", tests, NULL, teardown);
}
