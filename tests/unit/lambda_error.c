/* What Lambda's clients read of a call that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/runtime/lambda_error.h"

#define ID "8476a536-e9f4-11e8-9739-2dfe598c3fcd"

/* Each cause, with the texts that come with it, has AWS' type and words. */
static void has_aws_words(void **state)
{
    static const struct {
        enum cause cause;
        const char *text;
        const char *type;
        const char *message;
    } rows[] = {
        {CAUSE_TIMEOUT, "the function ran past its timeout of 1000 ms",
         "Sandbox.Timedout",
         "RequestId: " ID " Error: Task timed out after 1.50 seconds"},
        {CAUSE_CRASHED, "exit status 127", "Runtime.ExitError",
         "RequestId: " ID " Error: Runtime exited with error: exit status 127"},
        {CAUSE_CRASHED, "exit status 0", "Runtime.ExitError",
         "RequestId: " ID " Error: Runtime exited without providing a reason"},
        {CAUSE_CRASHED, "killed by signal 9 (SIGKILL)", "Runtime.ExitError",
         "RequestId: " ID " Error: Runtime exited with error: signal: killed"},
        {CAUSE_CRASHED, "killed by signal 11 (SIGSEGV)", "Runtime.ExitError",
         "RequestId: " ID
         " Error: Runtime exited with error: signal: segmentation fault"},
        {CAUSE_CRASHED, "Extension.Crash: the extension x: exit status 1",
         "Extension.Crash", "the extension x: exit status 1"},
        {CAUSE_OOM, "peak 64 MiB of 64 MiB", "Runtime.ExitError",
         "RequestId: " ID " Error: Runtime exited with error: signal: killed"},
        {CAUSE_INIT_FAILED, "exited with status 7 before it was ready",
         "Runtime.ExitError",
         "RequestId: " ID " Error: Runtime exited with error: exit status 7"},
        {CAUSE_INIT_FAILED, "Runtime.ImportModuleError: No module named x",
         "Runtime.ImportModuleError", "No module named x"},
        {CAUSE_INIT_FAILED, "not ready within 10 s: it has not asked for an event",
         "Sandbox.Timedout",
         "RequestId: " ID " Error: not ready within 10 s: it has not asked for an event"},
        {CAUSE_START_FAILED, "execute ./bootstrap: No such file or directory",
         "Runtime.InvalidEntrypoint",
         "RequestId: " ID " Error: execute ./bootstrap: No such file or directory"},
        {CAUSE_START_FAILED, "Extension.LaunchError: execute /opt/extensions/x: no",
         "Extension.LaunchError", "execute /opt/extensions/x: no"},
        {CAUSE_FUNCTION_ERROR,
         "Function.ResponseSizeTooLarge: Response payload size exceeded maximum allowed "
         "payload size (6291556 bytes).",
         "Function.ResponseSizeTooLarge",
         "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
        {CAUSE_FUNCTION_ERROR, "KeyError: no such thing", "KeyError", "no such thing"},
        {CAUSE_FUNCTION_ERROR, "Runtime.Unknown", "Runtime.Unknown", ""},
        {CAUSE_FUNCTION_ERROR, "it said nothing of use", "Runtime.Unknown",
         "RequestId: " ID " Error: it said nothing of use"},
        {CAUSE_NODE_LOST, "the agent is ending", "Sandbox.Failure",
         "RequestId: " ID " Error: the agent is ending"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lambda_error e;

        lambda_error_of(&e, rows[i].cause, rows[i].text, ID, 1500);
        assert_string_equal(e.type, rows[i].type);
        assert_string_equal(e.message, rows[i].message);
    }
}

/* The document is JSON whatever the words are. */
static void makes_a_document(void **state)
{
    struct lambda_error e;
    struct buf b = {0};
    (void)state;

    lambda_error_of(&e, CAUSE_FUNCTION_ERROR, "Odd: a \"b\"", ID, 0);
    assert_int_equal(lambda_error_document(&b, &e), 0);
    assert_string_equal(b.data,
                        "{\"errorType\":\"Odd\",\"errorMessage\":\"a \\\"b\\\"\"}");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_aws_words),
        cmocka_unit_test(makes_a_document),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
