/* The runtimes `python` and `node` in real sandboxes: events in, results and errors out,
 * in the words and shapes that people know from Lambda. The functions are in managed/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

#define PYTHON SPEC_RUNTIME_PYTHON
#define NODE   SPEC_RUNTIME_NODE

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
    i->spec.memory_mib = 128;
    i->spec.init_timeout_ms = 60000; /* tests may be many at once */
    i->spec.timeout_ms = 60000;
}

/* An event, what comes of it, and whether the instance goes on. */
struct expectation {
    enum spec_runtime runtime;
    const char *handler;
    const char *event;
    const char *body; /* the whole; with a '~' before it a part */
    enum cause cause;
    const char *log; /* a part of it, or NULL */
    bool dies;
};

static void says(const char *text, const char *want)
{
    bool ok = *want == '~' ? strstr(text, want + 1) != NULL : strcmp(text, want) == 0;

    if (!ok) {
        print_error("wanted %s\nhave   %s\n", want, text);
    }
    assert_true(ok);
}

static void check(struct bench_instance *i, const struct expectation *e)
{
    struct bench_call c = {0};

    bench_call_do(&bench, i, &c, e->event);
    if (c.cause != e->cause) {
        print_error("%s %s: %s %s\n", e->handler, e->event, cause_name(c.cause), c.text);
    }
    assert_int_equal(c.cause, e->cause);
    if (e->body != NULL) {
        says(c.body.len > 0 ? c.body.data : "", e->body);
    } else if (e->dies) {
        says(c.text, "~exit");
    }
    if (e->log != NULL) {
        bench_log_has(&bench, e->log);
    }
    bench_call_free(&c);
}

/* One instance serves what follows, until one of them ends it. */
static void check_all(const struct expectation *all, size_t n)
{
    struct bench_instance i = {0};
    const struct expectation *last = NULL;

    for (const struct expectation *e = all; e < all + n; e++) {
        if (!is_there(e->runtime)) {
            return;
        }
        if (last == NULL || last->dies || last->runtime != e->runtime ||
            strcmp(last->handler, e->handler) != 0) {
            if (last != NULL) {
                bench_instance_end(&bench, &i);
            }
            start(&i, e->runtime, e->handler);
            bench_instance_run(&bench, &i);
        }
        check(&i, e);
        if (e->dies) {
            WAIT_FOR(&bench, i.n_gone == 1);
        }
        last = e;
    }
    bench_instance_end(&bench, &i);
}

/* Results are JSON, as each language writes it; what cannot be is an error of the
 * function, which goes on. */
static void results(void **state)
{
    static const struct expectation all[] = {
        {PYTHON, "app.handler",
         "{\"do\": \"echo\", \"value\": {\"a\": [1, 2.5, null, true]}}",
         "{\"a\": [1, 2.5, null, true]}", CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler",
         " {\"do\": \"echo\", \"value\": \"\\u00fc\\ud83d\\ude00\"} ", "\"ü😀\"",
         CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"none\"}", "null", CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"decimals\"}", "[1.5, NaN, \"ü😀\"]",
         CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"surrogate\"}", "\"\\ud800\"", CAUSE_NONE,
         NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"packages\"}", "[\"http.client\", \"yaml\"]",
         CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"set\"}",
         "~\"errorMessage\": \"Unable to marshal response: Object of type set is not "
         "JSON "
         "serializable\", \"errorType\": \"Runtime.MarshalError\"",
         CAUSE_FUNCTION_ERROR, "[ERROR] Runtime.MarshalError: Unable to", false},
        {PYTHON, "app.handler", "{\"do\": \"bytes\"}",
         "~Object of type bytes is not JSON serializable", CAUSE_FUNCTION_ERROR, NULL,
         false},
        {PYTHON, "app.handler", "{\"do\": \"loops\"}", "~Circular reference detected",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"deep\"}", "~Runtime.MarshalError",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {PYTHON, "app.handler", "no json",
         "~\"errorMessage\": \"Unable to unmarshal input: Expecting value: line 1 column "
         "1 "
         "(char 0)\", \"errorType\": \"Runtime.UnmarshalError\"",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {PYTHON, "app.handler", "\xff\xfe", "~Runtime.UnmarshalError",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"big\", \"size\": 6400000}", NULL,
         CAUSE_FUNCTION_ERROR, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"echo\", \"value\": 1}", "1", CAUSE_NONE, NULL,
         false},
        {NODE, "app.handler",
         "{\"do\": \"echo\", \"value\": {\"a\": [1, 2.5, null, true]}}",
         "{\"a\":[1,2.5,null,true]}", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"echo\", \"value\": \"\\u00fc\\ud83d\\ude00\"}",
         "\"ü😀\"", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"nothing\"}", "null", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"function\"}", "null", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"late\"}", "\"late\"", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"never\"}", "null", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"loops\"}",
         "~\"errorType\":\"Runtime.MarshalError\",\"errorMessage\":\"Unable to stringify "
         "response body",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {NODE, "app.handler", "{\"do\": \"bigint\"}",
         "~Unable to stringify response body", CAUSE_FUNCTION_ERROR, NULL, false},
        {NODE, "app.handler", "no json", "~Runtime.UnmarshalError", CAUSE_FUNCTION_ERROR,
         NULL, false},
        {NODE, "app.handler", "{\"do\": \"big\", \"size\": 6400000}", NULL,
         CAUSE_FUNCTION_ERROR, NULL, false},
        {NODE, "app.handler", "{\"do\": \"echo\", \"value\": 1}", "1", CAUSE_NONE, NULL,
         false},
    };
    (void)state;

    check_all(all, sizeof(all) / sizeof(all[0]));
}

/* What is raised or thrown is told with its type, text and the function's own lines, and
 * the instance goes on; what ends the process ends the call with it. */
static void failures(void **state)
{
    static const struct expectation all[] = {
        {PYTHON, "app.handler", "{\"do\": \"count\"}", "1", CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"raise\"}",
         "~\"errorMessage\": \"two of them\", \"errorType\": \"ValueError\", "
         "\"requestId\": ",
         CAUSE_FUNCTION_ERROR, "[ERROR] ValueError: two of them\n", false},
        {PYTHON, "app.handler", "{\"do\": \"raise\"}",
         "~\"stackTrace\": [\"  File \\\"/var/task/app.py\\\", line ",
         CAUSE_FUNCTION_ERROR, "Traceback (most recent call last):", false},
        {PYTHON, "app.handler", "{\"do\": \"count\"}", "2", CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"close\"}", "\"closed\"", CAUSE_NONE, NULL,
         false},
        {PYTHON, "app.handler", "{\"do\": \"count\"}", "3", CAUSE_NONE, NULL, false},
        {PYTHON, "app.handler", "{\"do\": \"sys.exit\"}", NULL, CAUSE_CRASHED, NULL,
         true},
        {PYTHON, "app.handler", "{\"do\": \"exit\"}", NULL, CAUSE_CRASHED, NULL, true},
        {PYTHON, "app.handler", "{\"do\": \"os._exit\"}", NULL, CAUSE_CRASHED, NULL,
         true},
        {NODE, "app.handler", "{\"do\": \"count\"}", "1", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"throw\"}",
         "~{\"errorType\":\"TypeError\",\"errorMessage\":\"no such thing\",\"trace\":"
         "[\"TypeError: no such thing\",\"    at ",
         CAUSE_FUNCTION_ERROR, "\tERROR\tInvoke Error\t{\"errorType\":\"TypeError\"",
         false},
        {NODE, "app.handler", "{\"do\": \"throw\"}",
         "~/var/task/app.js:", CAUSE_FUNCTION_ERROR, "\"code\":\"E_ODD\"", false},
        {NODE, "app.handler", "{\"do\": \"throw text\"}",
         "{\"errorType\":\"string\",\"errorMessage\":\"only text\",\"trace\":[]}",
         CAUSE_FUNCTION_ERROR, NULL, false},
        {NODE, "app.handler", "{\"do\": \"count\"}", "2", CAUSE_NONE, NULL, false},
        {NODE, "app.handler", "{\"do\": \"exit\"}", NULL, CAUSE_CRASHED, NULL, true},
        {NODE, "app.handler", "{\"do\": \"uncaught\"}",
         "~\"errorType\":\"RangeError\",\"errorMessage\":\"nobody catches this\"",
         CAUSE_FUNCTION_ERROR, "\tUncaught Exception\t", true},
        {NODE, "app.handler", "{\"do\": \"rejection\"}",
         "~\"errorType\":\"Runtime.UnhandledPromiseRejection\",\"errorMessage\":"
         "\"RangeError: "
         "nobody handles this\"",
         CAUSE_FUNCTION_ERROR, "\tUnhandled Promise Rejection\t", true},
    };
    (void)state;

    check_all(all, sizeof(all) / sizeof(all[0]));
}

/* Handlers with a callback, of the time before promises. */
static void callbacks(void **state)
{
    static const struct expectation all[] = {
        {NODE, "app.callback", "{\"a\":1}", "{\"a\":1}", CAUSE_NONE, NULL, false},
        {NODE, "app.callback", "{\"do\":\"error\"}",
         "~\"errorType\":\"Error\",\"errorMessage\":\"told back\"", CAUSE_FUNCTION_ERROR,
         NULL, false},
        {NODE, "app.callback", "{\"do\":\"waits\"}", "{\"after\":true}", CAUSE_NONE, NULL,
         false},
        {NODE, "app.callback", "{\"do\":\"never\"}", "null", CAUSE_NONE, NULL, false},
        {NODE, "app.callback", "{\"do\":\"throw\"}", "~\"thrown\"", CAUSE_FUNCTION_ERROR,
         NULL, false},
        {NODE, "app.callback", "{\"do\":\"succeed\"}", "\"succeeded\"", CAUSE_NONE, NULL,
         false},
        {NODE, "app.callback", "{\"do\":\"fail\"}", "~\"failed\"", CAUSE_FUNCTION_ERROR,
         NULL, false},
        {NODE, "app.callback", "{\"do\":\"done\"}", "\"done\"", CAUSE_NONE, NULL, false},
        {NODE, "app.callback", "{\"do\":\"twice\"}", "\"first\"", CAUSE_NONE, NULL,
         false},
        {NODE, "app.callback", "{\"do\":\"at once\"}", "\"now\"", CAUSE_NONE, NULL,
         false},
        {NODE, "app.nested.handler", "{}", "\"nested\"", CAUSE_NONE, NULL, false},
        {NODE, "module.handler", "{\"a\":1}",
         "{\"text\":\"awaited\",\"url\":\"file:///var/task/"
         "module.mjs\",\"event\":{\"a\":1},"
         "\"is\":\"function\"}",
         CAUSE_NONE, NULL, false},
        {NODE, "module.inDefault", "{}", "\"default\"", CAUSE_NONE, NULL, false},
    };
    (void)state;

    check_all(all, sizeof(all) / sizeof(all[0]));
}

/* A reply that streams comes as it is written; its failure is told until it has begun,
 * and cuts it after that. */
static void streams(void **state)
{
    static const struct expectation all[] = {
        {NODE, "app.stream", "{\"a\":1}", "{\"a\":1}", CAUSE_NONE, NULL, false},
        {NODE, "app.stream", "{\"do\":\"empty\"}", "", CAUSE_NONE, NULL, false},
        {NODE, "app.stream", "{\"do\":\"pipe\"}", "abc", CAUSE_NONE, NULL, false},
        {NODE, "app.stream", "{\"do\":\"no end\"}", "all the same", CAUSE_NONE, NULL,
         false},
        {NODE, "app.stream", "{\"do\":\"throw first\"}",
         "~\"errorMessage\":\"before a byte\"", CAUSE_FUNCTION_ERROR, NULL, false},
        {NODE, "app.stream", "{\"do\":\"throw late\"}", "some", CAUSE_FUNCTION_ERROR,
         "after a byte", false},
        {NODE, "app.stream", "{\"a\":2}", "{\"a\":2}", CAUSE_NONE, NULL, false},
    };
    struct bench_instance i;
    struct bench_call c = {.discard = true};
    (void)state;

    if (!is_there(NODE)) {
        return;
    }
    check_all(all, sizeof(all) / sizeof(all[0]));
    start(&i, NODE, "app.stream");
    bench_instance_run(&bench, &i);
    bench_call_do(&bench, &i, &c, "{\"do\":\"pieces\",\"n\":320}");
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.seen_bytes, 320 * 65536);
    assert_non_null(strstr(c.headers.data, "Content-Type: text/x-pieces\n"));
    bench_call_free(&c);
    bench_instance_end(&bench, &i);
}

/* What cannot begin says why, in Lambda's types and words. */
static void fails_to_begin(void **state)
{
    static const struct {
        enum spec_runtime runtime;
        const char *handler;
        const char *text;
    } all[] = {
        {PYTHON, "none.handler",
         "Runtime.ImportModuleError: Unable to import module 'none': No module named "
         "'none'"},
        {PYTHON, "missing.handler",
         "Runtime.ImportModuleError: Unable to import module 'missing': No module named "
         "'no_such_package'"},
        {PYTHON, "broken.handler",
         "Runtime.UserCodeSyntaxError: Syntax error in module 'broken': expected ':' "
         "(broken.py, line 1)"},
        {PYTHON, "app.none",
         "Runtime.HandlerNotFound: Handler 'none' missing on module 'app'"},
        {PYTHON, "handler", "~Runtime.MalformedHandlerName: Bad handler 'handler'"},
        {PYTHON, "sys.handler",
         "Runtime.BuiltInModuleConflict: Cannot use built-in module sys as a handler "
         "module"},
        {PYTHON, "raises.handler", "RuntimeError: at its top"},
        {PYTHON, "exits.handler", "exited with status 3 before it was ready"},
        {PYTHON, NULL, "~Unable to import module 'lambda_function'"},
        {NODE, "none.handler",
         "~Runtime.ImportModuleError: Error: Cannot find module 'none'"},
        {NODE, "missing.handler",
         "~Runtime.ImportModuleError: Error: Cannot find module 'no-such-package'"},
        {NODE, "esm.handler", "~Runtime.ImportModuleError: "},
        {NODE, "broken.handler", "~Runtime.UserCodeSyntaxError: SyntaxError: "},
        {NODE, "app.none",
         "Runtime.HandlerNotFound: app.none is undefined or not exported"},
        {NODE, "app.text", "Runtime.HandlerNotFound: app.text is not a function"},
        {NODE, "handler", "~Runtime.MalformedHandlerName: Bad handler"},
        {NODE, "../app.handler", "~is not a valid handler name"},
        {NODE, "raises.handler", "RangeError: at its top"},
        {NODE, "rejects.handler",
         "~Runtime.UnhandledPromiseRejection: Error: at its top"},
        {NODE, "exits.handler", "exited with status 3 before it was ready"},
        {NODE, NULL, "~Cannot find module 'index'"},
    };
    (void)state;

    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
        struct bench_instance i;

        if (!is_there(all[k].runtime)) {
            continue;
        }
        start(&i, all[k].runtime, all[k].handler);
        bench_instance_run_to_failure(&bench, &i);
        assert_int_equal(i.cause, CAUSE_INIT_FAILED);
        says(i.text, all[k].text);
    }
}

/* The context has what Lambda's has, and of this call. */
static void contexts(void **state)
{
    static const char *const want[] = {
        "\"remaining\": true",
        "\"arn\": \"arn:aws:lambda:us-east-1:000000000000:function:tried\"",
        "\"name\": \"tried\"",
        "\"version\": \"$LATEST\"",
        "\"memory\": \"128\"",
        "\"group\": \"/aws/lambda/tried\"",
    };
    static const struct http_header trace = {HTTP_STR("X-Amzn-Trace-Id"),
                                             HTTP_STR("Root=1-2-3")};
    static const char event[] = "{\"do\": \"context\"}";
    (void)state;

    for (int k = 0; k < 2; k++) {
        enum spec_runtime runtime = k == 0 ? PYTHON : NODE;
        const struct bench_request r = {
            .headers = &trace, .n_headers = 1, .content_length = sizeof(event) - 1};
        struct bench_instance i;
        struct bench_call c = {0};
        char id[64];

        if (!is_there(runtime)) {
            continue;
        }
        start(&i, runtime, "app.handler");
        bench_instance_run(&bench, &i);
        assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
        assert_int_equal(runtime_call_write(c.c, event, sizeof(event) - 1), 0);
        assert_int_equal(runtime_call_end(c.c), 0);
        WAIT_FOR(&bench, c.n_closed == 1);
        assert_int_equal(c.cause, CAUSE_NONE);
        if (runtime == PYTHON) {
            for (size_t n = 0; n < sizeof(want) / sizeof(want[0]); n++) {
                assert_non_null(strstr(c.body.data, want[n]));
            }
            assert_non_null(strstr(c.body.data, "\"identity\": null, \"client\": null"));
            assert_non_null(
                strstr(c.body.data, "\"environment\": \"AWS_Lambda_python3\""));
            (void)snprintf(id, sizeof(id), "\"id\": \"%s\"", c.id);
        } else {
            assert_non_null(strstr(c.body.data, "\"waits\":true,\"environment\":true"));
            assert_non_null(strstr(c.body.data, "\"memory\":\"128\""));
            (void)snprintf(id, sizeof(id), "\"id\":\"%s\"", c.id);
        }
        assert_non_null(strstr(c.body.data, id));
        assert_non_null(strstr(c.body.data, "Root=1-2-3"));
        bench_call_free(&c);
        bench_timings(&bench, &i, spec_runtime_name(runtime));
        bench_instance_end(&bench, &i);
    }
}

/* What is printed is in the log as it is; what is logged has time, request and level. */
static void logs(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    char line[128];
    (void)state;

    if (is_there(PYTHON)) {
        start(&i, PYTHON, "app.handler");
        bench_instance_run(&bench, &i);
        bench_call_do(&bench, &i, &c, "{\"do\": \"prints\"}");
        bench_log_has(&bench, "stdout printed\n");
        (void)snprintf(line, sizeof(line), "Z\t%s\tlogged 7\n", c.id);
        bench_log_has(&bench, line);
        bench_log_has(&bench, "stdout no end[INFO]\t20");
        bench_call_free(&c);
        bench_instance_end(&bench, &i);
    }
    if (is_there(NODE)) {
        c = (struct bench_call){0};
        start(&i, NODE, "app.handler");
        bench_instance_run(&bench, &i);
        bench_call_do(&bench, &i, &c, "{\"do\": \"prints\"}");
        (void)snprintf(line, sizeof(line), "Z\t%s\tINFO\tprinted 7 { a: 1 }\n", c.id);
        bench_log_has(&bench, line);
        (void)snprintf(line, sizeof(line), "Z\t%s\tERROR\tin error\n", c.id);
        bench_log_has(&bench, line);
        bench_log_has(&bench, "stdout raw\n");
        bench_call_free(&c);
        bench_instance_end(&bench, &i);
    }
}

/* With AWS_LAMBDA_LOG_FORMAT JSON each entry is an object on a line, from the least level
 * on. */
static void json_logs(void **state)
{
    static const struct {
        enum spec_runtime runtime;
        const char *event;
        const char *log[3];
    } all[] = {
        {PYTHON,
         "{\"do\": \"prints\"}",
         {"\"level\": \"INFO\", \"message\": \"logged 7\""}},
        {PYTHON,
         "{\"do\": \"raise\"}",
         {"\"level\": \"ERROR\", \"errorMessage\": \"two of them\""}},
        {NODE,
         "{\"do\": \"prints\"}",
         {"\"level\":\"ERROR\",\"requestId\":\"", "\"message\":\"in error\"}"}},
        {NODE,
         "{\"do\": \"throw\"}",
         {"\"message\":\"Invoke "
          "Error\",\"errorType\":\"TypeError\",\"errorMessage\":\"no such thing\""}},
    };
    struct buf log = {0};
    (void)state;

    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
        struct bench_instance i;
        struct bench_call c = {0};

        if (!is_there(all[k].runtime)) {
            continue;
        }
        start(&i, all[k].runtime, "app.handler");
        assert_int_equal(function_spec_set_env(&i.spec, "AWS_LAMBDA_LOG_FORMAT", "JSON"),
                         0);
        assert_int_equal(function_spec_set_env(&i.spec, "AWS_LAMBDA_LOG_LEVEL", "WARN"),
                         0);
        bench_instance_run(&bench, &i);
        bench_call_do(&bench, &i, &c, all[k].event);
        for (size_t n = 0; n < 3 && all[k].log[n] != NULL; n++) {
            bench_log_has(&bench, all[k].log[n]);
        }
        bench_call_free(&c);
        bench_instance_end(&bench, &i);
    }
    bench_log_read(&bench, &log);
    assert_null(strstr(log.data, "\"message\":\"printed")); /* INFO is under WARN */
    buf_free(&log);
}

/* An instance with a concurrency of 3 has three calls at once, each with an id of its
 * own; what leaves it fails all of them. */
static void several_at_once(void **state)
{
    static const char event[] = "{\"all\": 3}";
    (void)state;

    for (int k = 0; k < 2; k++) {
        struct bench_instance i;
        struct bench_call c[3] = {0};
        char want[64];

        if (!is_there(k == 0 ? PYTHON : NODE)) {
            continue;
        }
        start(&i, k == 0 ? PYTHON : NODE, k == 0 ? "meet.handler" : "app.meet");
        i.spec.concurrency = 3;
        bench_instance_run(&bench, &i);
        for (int n = 0; n < 3; n++) {
            const struct bench_request r = {.content_length = sizeof(event) - 1};

            assert_int_equal(bench_call_start(&bench, &i, &c[n], &r), 0);
            assert_int_equal(runtime_call_write(c[n].c, event, sizeof(event) - 1), 0);
            assert_int_equal(runtime_call_end(c[n].c), 0);
        }
        for (int n = 0; n < 3; n++) {
            WAIT_FOR(&bench, c[n].n_closed == 1);
            (void)snprintf(want, sizeof(want), "\"%s\"", c[n].id);
            says(c[n].body.data, want);
            if (k == 1) {
                (void)snprintf(want, sizeof(want), "Z\t%s\tINFO\tmet\n", c[n].id);
                bench_log_has(&bench, want);
            }
            bench_call_free(&c[n]);
        }
        if (k == 0) {
            c[0] = (struct bench_call){0};
            bench_call_do(&bench, &i, &c[0], "\"leave\"");
            assert_int_equal(c[0].cause, CAUSE_CRASHED);
            says(c[0].text, "exit status 9");
            bench_call_free(&c[0]);
        }
        bench_instance_end(&bench, &i);
    }
}

/* A folder of the package that is named like the interpreter does not stand in its way.
 */
static void finds_the_interpreter(void **state)
{
    char path[160];
    struct bench_instance i;
    (void)state;

    if (!is_there(PYTHON)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/packages/" BENCH_DIGEST "/python3",
                   bench.sandboxes.dir);
    assert_int_equal(mkdir(path, 0755), 0);
    start(&i, PYTHON, "app.handler");
    bench_instance_run(&bench, &i);
    bench_instance_end(&bench, &i);
    assert_int_equal(rmdir(path), 0);
}

static int open_bench(void **state)
{
    static const char *const files[] = {
        "app.py",     "app.js",     "module.mjs", "broken.py", "broken.js",
        "missing.py", "missing.js", "esm.mjs",    "raises.py", "raises.js",
        "exits.py",   "exits.js",   "rejects.js", "meet.py",
    };
    char path[512];
    (void)state;

    runtime_bench_open(&bench);
    for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
        (void)snprintf(path, sizeof(path), MANAGED_DIR "/%s", files[k]);
        sandbox_bench_copy(&bench.sandboxes, path, files[k]);
    }
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
        cmocka_unit_test(results),
        cmocka_unit_test(failures),
        cmocka_unit_test(callbacks),
        cmocka_unit_test(streams),
        cmocka_unit_test(fails_to_begin),
        cmocka_unit_test(contexts),
        cmocka_unit_test(logs),
        cmocka_unit_test(json_logs),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(finds_the_interpreter),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
