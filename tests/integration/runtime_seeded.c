/* Interpreters of `python` and `node` that were up, or on their way, before their
 * function was known (agent/warden/seeds.h). All else of them is in runtime_managed.c,
 * which runs on them as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

#define PYTHON  SPEC_RUNTIME_PYTHON
#define NODE    SPEC_RUNTIME_NODE
#define TIMES   8
#define STEP_MS 50
#define LAST_MS                                                             \
    500 /* after which each does no more than wait, unless the host is busy \
         */

static const char python[] =
    "import os, random\n"
    "def handler(event, context):\n"
    "    if event:\n"
    "        return [os.environ['_HANDLER'], os.getcwd()]\n"
    "    return [hash('x'), random.random(), os.urandom(8).hex()]\n";
static const char node[] = "console.log('at the top of', __filename);\n"
                           "exports.handler = async (event) => event !== 0\n"
                           "  ? [process.env._HANDLER, process.cwd()]\n"
                           "  : [Math.random(), require('node:crypto').randomUUID()];\n";
static const char module[] =
    "export const handler = async (event) => [process.env._HANDLER, process.cwd()];\n";

static struct runtime_bench bench;

static bool is_there(enum spec_runtime runtime)
{
    const char *path = runtime == PYTHON ? "/usr/bin/python3" : "/usr/bin/node";

    if (access(path, X_OK) == 0) {
        return true;
    }
    print_message("# skipped: there is no %s\n", path);
    return false;
}

static void start(struct bench_instance *i, enum spec_runtime runtime,
                  const char *handler)
{
    bench_instance_init(i, runtime, handler);
    i->spec.memory_mib = 256;
    i->spec.init_timeout_ms = 60000; /* tests may be many at once */
    i->spec.timeout_ms = 60000;
    bench_instance_run(&bench, i);
}

static void wait_ms(unsigned ms)
{
    uint64_t until_ms = clock_mono_ms() + ms;

    while (clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench.sandboxes);
    }
}

static uint64_t used(enum spec_runtime runtime)
{
    return warden_blanks_of(bench.sandboxes.warden,
                            runtime == PYTHON ? "python3" : "node")
        .used;
}

/* Each reply of a new instance, with some pause before it: none is like another. */
static void none_is_like_another(enum spec_runtime runtime)
{
    static char seen[TIMES][256];

    for (unsigned k = 0; k < TIMES; k++) {
        struct bench_call c = {0};
        struct bench_instance i;

        start(&i, runtime, "app.handler");
        bench_call_do(&bench, &i, &c, "0");
        assert_int_equal(c.cause, CAUSE_NONE);
        (void)snprintf(seen[k], sizeof(seen[k]), "%.*s", (int)c.body.len, c.body.data);
        for (unsigned other = 0; other < k; other++) {
            /* To the first comma: hash seed or Math.random(). */
            size_t len = strcspn(seen[k], ",") + 1;

            assert_int_not_equal(strncmp(seen[other], seen[k], len), 0);
            assert_null(strstr(seen[other], seen[k] + len));
        }
        bench_call_free(&c);
        bench_instance_end(&bench, &i);
        wait_ms(200);
    }
    assert_true(used(runtime) > 0);
}

/* No hash seed, no state of a generator of random numbers is shared between instances. */
static void chance_is_its_own(void **state)
{
    (void)state;
    if (is_there(PYTHON)) {
        none_is_like_another(PYTHON);
    }
    if (is_there(NODE)) {
        none_is_like_another(NODE);
    }
}

static void comes_whenever(enum spec_runtime runtime, const char *handler)
{
    char want[80];

    (void)snprintf(want, sizeof(want),
                   runtime == PYTHON ? "[\"%s\", \"/var/task\"]"
                                     : "[\"%s\",\"/var/task\"]",
                   handler);
    for (unsigned ms = 0; ms <= LAST_MS; ms += STEP_MS) {
        struct bench_instance i;

        start(&i, runtime, handler);
        bench_call_expect(&bench, &i, "{\"a\":1}", want);
        bench_call_expect(&bench, &i, "{\"a\":2}", want);
        bench_instance_end(&bench, &i);
        wait_ms(ms);
    }
    assert_true(used(runtime) > 0);
}

/* The function may come while its interpreter starts, rehearses a call, loads modules, or
 * waits: it is the same function. */
static void the_function_comes_whenever(void **state)
{
    (void)state;
    if (is_there(PYTHON)) {
        comes_whenever(PYTHON, "app.handler");
    }
    if (is_there(NODE)) {
        comes_whenever(NODE, "app.handler");
        comes_whenever(NODE, "module.handler");
    }
}

/* What is logged before the first call has no call's id: not a rehearsal's either. */
static void nothing_of_the_rehearsal_is_left(void **state)
{
    struct bench_instance i;
    struct buf log = {0};
    (void)state;

    if (!is_there(NODE)) {
        return;
    }
    for (int k = 0; k < 2; k++) {
        start(&i, NODE, "app.handler");
        bench_instance_end(&bench, &i);
        wait_ms(LAST_MS);
    }
    bench_log_has(&bench, "\tundefined\tINFO\tat the top of /var/task/app.js");
    bench_log_read(&bench, &log);
    assert_null(strstr(log.data, "\t0\tINFO\t"));
    buf_free(&log);
}

static int open_bench(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "app.py", python);
    sandbox_bench_file(&bench.sandboxes, "app.js", node);
    sandbox_bench_file(&bench.sandboxes, "module.mjs", module);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    runtime_bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chance_is_its_own),
        cmocka_unit_test(the_function_comes_whenever),
        cmocka_unit_test(nothing_of_the_rehearsal_is_left),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
