/* Bad days of a bootstrap after its answer, and answers that come too late. */
#include "tests/integration/runtime_lambda_fixture.h"

/* After its answer a bootstrap has the rest of the call's time to ask for the next event;
 * then its instance ends, and a call that waits in it has not been seen by it. */
static void ends_who_never_asks_again(void **state)
{
    struct bench_instance i;
    struct bench_call next = {0};
    (void)state;

    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    i.spec.timeout_ms = 1000;
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "answerandhang", "done");
    lambda_begin(&i, &next, "next");
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(i.n_failed, 1);
    assert_int_equal(i.cause, CAUSE_TIMEOUT);
    assert_string_equal(
        i.text, "it has not asked for its next event in the time of the call before");
    assert_int_equal(next.n_closed, 1);
    assert_int_equal(next.cause, CAUSE_TIMEOUT);
    assert_int_equal(next.status, 0);
    bench_call_free(&next);
    bench_instance_end(&bench, &i);
}

/* One that dies after its answer has answered. */
static void bears_an_exit_after_the_answer(void **state)
{
    struct bench_instance i;
    (void)state;

    lambda_run(&i, 1);
    bench_call_expect(&bench, &i, "answerandexit", "done");
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(i.cause, CAUSE_CRASHED);
    assert_string_equal(i.text, "exit status 5");
    bench_instance_end(&bench, &i);
}

/* An answer to a call that was given up is refused by its id, and harms nobody. */
static void refuses_a_late_answer(void **state)
{
    struct bench_instance i;
    struct bench_call late = {0};
    (void)state;

    lambda_run(&i, 3);
    lambda_begin(&i, &late, "late");
    bench_call_expect(&bench, &i, "b", "b");
    assert_true(bench_call_cancel(&late));
    bench_call_expect(&bench, &i, "go", "gone");
    bench_log_has(&bench, "stdout late answer 400 {\"errorMessage\":\"Invalid request "
                          "ID\",\"errorType\":\"InvalidRequestID\"}\n");
    bench_call_expect(&bench, &i, "on", "on");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* Why a call ended stands in the log, in AWS' words. */
static void reports_an_exit(void **state)
{
    struct bench_call c = {0};
    char line[240];
    (void)state;

    lambda_dies(&c, "exit");
    (void)snprintf(
        line, sizeof(line),
        "system RequestId: %s Error: Runtime exited with error: exit status 3\n"
        "system Runtime.ExitError\nsystem END RequestId: %s\n",
        c.id, c.id);
    bench_log_has(&bench, line);
    bench_log_has(&bench, "\tStatus: error\tError Type: Runtime.ExitError\n");
    bench_call_free(&c);
}

/* So does a time-out, which the caller's side finds out. */
static void reports_a_timeout(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    char line[100];
    (void)state;

    lambda_run(&i, 1);
    lambda_begin(&i, &c, "wait");
    (void)snprintf(line, sizeof(line), "system START RequestId: %s", c.id);
    bench_log_has(&bench, line);
    assert_false(bench_call_cancel(&c));
    bench_instance_end(&bench, &i);
    bench_log_has(&bench, " Task timed out after 10.00 seconds\n");
    bench_log_has(&bench, "\tStatus: timeout\n");
    bench_call_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_who_never_asks_again),
        cmocka_unit_test(bears_an_exit_after_the_answer),
        cmocka_unit_test(refuses_a_late_answer),
        cmocka_unit_test(reports_an_exit),
        cmocka_unit_test(reports_a_timeout),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, lambda_bench_open, lambda_bench_close);
}
