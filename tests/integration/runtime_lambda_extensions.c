/* The Extensions API, layers at /opt, and the programs in them. */
#include "tests/integration/runtime_lambda_fixture.h"

#define LAYER_A "00000000000000000000000000000000000000000000000000000000000000b1"
#define LAYER_B "00000000000000000000000000000000000000000000000000000000000000b2"
#define LAYER_C "00000000000000000000000000000000000000000000000000000000000000b3"

/* Does what its file's name says. */
static const char extension[] =
    "#!/usr/bin/python3\n"
    "import http.client, json, os, sys, time\n"
    "name = os.path.basename(sys.argv[0])\n"
    "base = '/2020-01-01/extension/'\n"
    "def ask(method, path, body=None, headers={}):\n"
    "    c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
    "    c.request(method, path, body, headers)\n"
    "    r = c.getresponse()\n"
    "    return r, r.read().decode().strip()\n"
    "if name == 'silent': time.sleep(1000)\n"
    "if name == 'dies': sys.exit(4)\n"
    "events = ['SHUTDOWN'] if name == 'quiet' else ['INVOKE', 'SHUTDOWN']\n"
    "r, body = ask('POST', base + 'register', json.dumps({'events': events}),\n"
    "    {'Lambda-Extension-Name': name, 'Lambda-Extension-Accept-Feature': "
    "'accountId'})\n"
    "me = {'Lambda-Extension-Identifier': r.headers['Lambda-Extension-Identifier']}\n"
    "print(name, 'registered', r.status, body, '_HANDLER' in os.environ, flush=True)\n"
    "if name == 'sluggish': time.sleep(1000)\n"
    "if name == 'initerror':\n"
    "    r, b = ask('POST', base + 'init/error', '{\"errorMessage\":\"no key\"}', me)\n"
    "    print(name, 'refused', r.status, b, flush=True)\n"
    "    me['Lambda-Extension-Function-Error-Type'] = 'Extension.NoKey'\n"
    "    ask('POST', base + 'init/error', '{\"errorMessage\":\"no key\"}', me)\n"
    "    time.sleep(1000)\n"
    "if name == 'odd':\n"
    "    for h in ({}, {'Lambda-Extension-Identifier': 'x'}):\n"
    "        print(name, *ask('GET', base + 'event/next', None, h)[1:], flush=True)\n"
    "    for path in ('/2022-07-01/telemetry', '/2020-08-15/logs'):\n"
    "        r, b = ask('PUT', path, '{}', me)\n"
    "        print(name, r.status, b, flush=True)\n"
    "    for h, b in (({}, '{}'), ({'Lambda-Extension-Name': 'odd'}, '{}'),\n"
    "                 ({'Lambda-Extension-Name': 'new'}, 'x'),\n"
    "                 ({'Lambda-Extension-Name': 'new'}, '{\"events\":[\"OTHER\"]}'),\n"
    "                 ({'Lambda-Extension-Name': 'new'}, "
    "'{\"events\":[\"SHUTDOWN\"]}')):\n"
    "        r, b = ask('POST', base + 'register', b, h)\n"
    "        print(name, r.status, b, flush=True)\n"
    "while True:\n"
    "    r, body = ask('GET', base + 'event/next', None, me)\n"
    "    event = json.loads(body)\n"
    "    print(name, 'event', body, flush=True)\n"
    "    if event['eventType'] == 'SHUTDOWN':\n"
    "        if name == 'clings': time.sleep(1000)\n"
    "        print(name, 'says goodbye', flush=True)\n"
    "        sys.exit(0)\n"
    "    if name == 'hangs': time.sleep(1000)\n"
    "    if name == 'exiterror':\n"
    "        me['Lambda-Extension-Function-Error-Type'] = 'Extension.Broken'\n"
    "        ask('POST', base + 'exit/error', '', me)\n"
    "        time.sleep(1000)\n"
    "    if name == 'works':\n"
    "        while not os.path.exists('/tmp/go'): time.sleep(0.01)\n"
    "        print(name, 'has worked', flush=True)\n";

static void add_layer(struct bench_instance *i, const char *digest)
{
    struct spec_layer l = {.version = 1};

    (void)snprintf(l.name, sizeof(l.name), "layer-%zu", i->spec.n_layers);
    (void)stpcpy(l.package.digest, digest);
    assert_int_equal(function_spec_add_layer(&i->spec, &l), 0);
}

/* The digest of a layer that holds just this extension. */
static const char *layer_of(const char *name)
{
    static char digest[65];
    static unsigned n;
    char path[64];

    (void)snprintf(digest, sizeof(digest), "%064x", 0xe000 + n++);
    (void)snprintf(path, sizeof(path), "extensions/%s", name);
    sandbox_bench_layer(&bench.sandboxes, digest, path, extension);
    return digest;
}

static void init_with(struct bench_instance *i, const char *name)
{
    bench_instance_init(i, SPEC_RUNTIME_PROVIDED, NULL);
    add_layer(i, layer_of(name));
}

static void run_with(struct bench_instance *i, const char *name)
{
    init_with(i, name);
    bench_instance_run(&bench, i);
}

static void log_has_not(const char *text)
{
    struct buf log = {0};

    bench_log_read(&bench, &log);
    assert_null(log.data != NULL ? strstr(log.data, text) : NULL);
    buf_free(&log);
}

/* One layer is at /opt; of several, the later ones lie over the earlier ones. */
static void merges_layers(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_layer(&bench.sandboxes, LAYER_A, "a", "a of a");
    sandbox_bench_layer(&bench.sandboxes, LAYER_A, "lib/x", "x of a");
    sandbox_bench_layer(&bench.sandboxes, LAYER_A, "lib/y", "y of a");
    sandbox_bench_layer(&bench.sandboxes, LAYER_B, "lib/y", "y of b");
    sandbox_bench_layer(&bench.sandboxes, LAYER_C, "a", "a of c");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    add_layer(&i, LAYER_A);
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "opt a", "a of a");
    bench_instance_end(&bench, &i);
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    add_layer(&i, LAYER_A);
    add_layer(&i, LAYER_B);
    add_layer(&i, LAYER_C);
    bench_instance_run(&bench, &i);
    bench_call_expect(&bench, &i, "opt a", "a of c");
    bench_call_expect(&bench, &i, "opt lib/x", "x of a");
    bench_call_expect(&bench, &i, "opt lib/y", "y of b");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* An extension is registered before the program starts, sees each call, and is told of
 * the end, which it may finish by itself. */
static void accompanies_an_instance(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    char line[300];
    (void)state;

    run_with(&i, "both");
    bench_log_has(&bench, "stdout both registered 200 {\"functionName\":\"tried\","
                          "\"functionVersion\":\"$LATEST\",\"handler\":\"bootstrap\","
                          "\"accountId\":\"000000000000\"} False\n");
    bench_log_has(&bench, "stdout begun\n");
    bench_call_do(&bench, &i, &c, "x");
    assert_int_equal(c.cause, CAUSE_NONE);
    (void)snprintf(
        line, sizeof(line),
        "stdout both event {\"eventType\":\"INVOKE\",\"deadlineMs\":1700000000123,"
        "\"requestId\":\"%s\",\"invokedFunctionArn\":\"arn:aws:lambda:us-east-1:"
        "000000000000:function:tried\",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\","
        "\"value\":\"Root=1-",
        c.id);
    bench_log_has(&bench, line);
    bench_call_free(&c);
    bench_call_expect(&bench, &i, "y", "y");
    runtime_instance_stop(i.in, 10000);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench,
                  "stdout both event {\"eventType\":\"SHUTDOWN\",\"shutdownReason\":"
                  "\"spindown\",\"deadlineMs\":");
    bench_log_has(&bench, "stdout both says goodbye\n");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

/* A call's caller has its reply, but its slot is not free, and the next event does not go
 * out, before the extension, too, has asked for it. */
static void waits_for_an_extension(void **state)
{
    struct bench_instance i;
    struct bench_call first = {0}, c = {0};
    (void)state;

    run_with(&i, "works");
    lambda_begin(&i, &first, "first");
    WAIT_FOR(&bench, first.n_replied == 1);
    assert_int_equal(first.seen_bytes, 5);
    lambda_begin(&i, &c, "second");
    bench_log_has(&bench, "works event {\"eventType\":\"INVOKE\"");
    for (int n = 0; n < 5; n++) {
        sandbox_bench_turn(&bench.sandboxes);
    }
    assert_int_equal(c.n_closed, 0);
    log_has_not("works has worked");
    assert_int_equal(first.n_closed, 0);
    assert_true(bench_call_cancel(&c)); /* the program has not seen it */
    assert_false(bench_call_cancel(&first));
    bench_instance_end(&bench, &i);
    bench_call_free(&c);
    bench_call_free(&first);
}

/* One that never asks again costs the instance, not the next call. */
static void ends_with_an_extension_that_hangs(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    init_with(&i, "hangs");
    i.spec.timeout_ms = 1000;
    bench_instance_run(&bench, &i);
    bench_call_do(&bench, &i, &c, "first");
    assert_int_equal(c.n_replied, 1);
    assert_string_equal(c.body.data, "first");
    bench_call_free(&c);
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(i.cause, CAUSE_TIMEOUT);
    assert_string_equal(i.text,
                        "an extension has not asked for its next event in the time "
                        "of the call before");
    bench_instance_end(&bench, &i);
}

/* Who wants the end only is not told of calls, and nobody waits for it. */
static void leaves_a_quiet_one_alone(void **state)
{
    struct bench_instance i;
    (void)state;

    run_with(&i, "quiet");
    bench_call_expect(&bench, &i, "a", "a");
    bench_call_expect(&bench, &i, "b", "b");
    runtime_instance_stop(i.in, 10000);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench, "stdout quiet says goodbye\n");
    log_has_not("quiet event {\"eventType\":\"INVOKE\"");
    bench_instance_end(&bench, &i);
}

/* After a call's time-out, and after a crash, the extension hears the reason. */
static void tells_the_reason(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    char line[100];
    (void)state;

    run_with(&i, "both");
    lambda_begin(&i, &c, "wait");
    (void)snprintf(line, sizeof(line), "system START RequestId: %s", c.id);
    bench_log_has(&bench, line);
    assert_false(bench_call_cancel(&c));
    runtime_instance_stop(i.in, 0);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench, "\"shutdownReason\":\"timeout\"");
    bench_instance_end(&bench, &i);
    bench_call_free(&c);
    run_with(&i, "both");
    c = (struct bench_call){0};
    bench_call_do(&bench, &i, &c, "exit");
    assert_int_equal(c.cause, CAUSE_CRASHED);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench, "\"shutdownReason\":\"failure\"");
    bench_instance_end(&bench, &i);
    bench_call_free(&c);
}

/* One that does not go is killed with the sandbox when its time is over. */
static void ends_one_that_clings(void **state)
{
    struct bench_instance i;
    (void)state;

    run_with(&i, "clings");
    runtime_instance_stop(i.in, 10000);
    WAIT_FOR(&bench, i.n_gone == 1);
    bench_log_has(&bench, "clings event {\"eventType\":\"SHUTDOWN\"");
    bench_instance_end(&bench, &i);
}

/* Each way in which an extension fails an instance's start. */
static void fails_with_an_extension(void **state)
{
    static const struct {
        const char *name;
        enum cause cause;
        const char *text;
    } rows[] = {
        {"dies", CAUSE_INIT_FAILED, "Extension.Crash: the extension dies: exit status 4"},
        {"initerror", CAUSE_INIT_FAILED, "Extension.InitError: Extension.NoKey: no key"},
        {"silent", CAUSE_INIT_FAILED,
         "not ready within 1 s: the extension silent has not registered"},
        {"sluggish", CAUSE_INIT_FAILED,
         "not ready within 5 s: the extension sluggish has not asked for an event"},
    };
    (void)state;

    for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        struct bench_instance i;

        init_with(&i, rows[n].name);
        if (strncmp(rows[n].text, "not ready within ", 17) == 0) {
            i.spec.init_timeout_ms = rows[n].text[17] == '1' ? 1000 : 5000;
        }
        bench_instance_run_to_failure(&bench, &i);
        assert_int_equal(i.cause, rows[n].cause);
        assert_string_equal(i.text, rows[n].text);
    }
    bench_log_has(&bench, "initerror refused 403 {\"errorMessage\":\"Lambda-Extension-"
                          "Function-Error-Type not found\",\"errorType\":\"Extension."
                          "MissingHeader\"}");
}

/* A file that cannot be executed. */
static void names_one_that_cannot_start(void **state)
{
    struct bench_instance i;
    (void)state;

    sandbox_bench_layer(&bench.sandboxes, LAYER_C, "extensions/broken",
                        "#!/no/such/interpreter\n");
    bench_instance_init(&i, SPEC_RUNTIME_PROVIDED, NULL);
    add_layer(&i, LAYER_C);
    bench_instance_run_to_failure(&bench, &i);
    assert_int_equal(i.cause, CAUSE_START_FAILED);
    assert_memory_equal(i.text, "Extension.LaunchError: ", 23);
    assert_non_null(strstr(i.text, "/opt/extensions/broken"));
}

/* An extension that reports its exit while a call runs. */
static void fails_later_with_an_extension(void **state)
{
    struct bench_instance i;
    struct bench_call c = {0};
    (void)state;

    run_with(&i, "exiterror");
    lambda_begin(&i, &c, "wait");
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(c.cause, CAUSE_CRASHED);
    assert_string_equal(c.text, "Extension.ExitError: Extension.Broken");
    bench_instance_end(&bench, &i);
    bench_call_free(&c);
}

/* Requests that the API refuses, in AWS' words; telemetry is honestly not there. */
static void refuses_extensions(void **state)
{
    static const char *const rows[] = {
        "odd {\"errorMessage\":\"Missing Lambda-Extension-Identifier header\","
        "\"errorType\":\"Extension.MissingExtensionIdentifier\"}",
        "odd {\"errorMessage\":\"Invalid Lambda-Extension-Identifier\","
        "\"errorType\":\"Extension.InvalidExtensionIdentifier\"}",
        "odd 202 {\"errorMessage\":\"Telemetry API is not supported\","
        "\"errorType\":\"Telemetry.NotSupported\"}",
        "odd 202 {\"errorMessage\":\"Logs API is not supported\","
        "\"errorType\":\"Logs.NotSupported\"}",
        "odd 403 {\"errorMessage\":\"Empty extension name\","
        "\"errorType\":\"Extension.InvalidExtensionName\"}",
        "odd 403 {\"errorMessage\":\"Extension with this name already registered\","
        "\"errorType\":\"Extension.InvalidExtensionState\"}",
        "\"errorType\":\"InvalidRequestFormat\"}",
        "odd 403 {\"errorMessage\":\"The events are INVOKE and SHUTDOWN\","
        "\"errorType\":\"Extension.InvalidEventType\"}",
        "odd 403 {\"errorMessage\":\"SHUTDOWN: not for internal extensions\","
        "\"errorType\":\"Extension.InvalidEventType\"}",
    };
    struct bench_instance i;
    (void)state;

    run_with(&i, "odd");
    for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        bench_log_has(&bench, rows[n]);
    }
    bench_call_expect(
        &bench, &i, "raw POST /2020-01-01/extension/register Lambda-Extension-Name=late",
        "403 {\"errorMessage\":\"Extension registration closed already\","
        "\"errorType\":\"Extension.RegistrationClosed\"}");
    bench_instance_end(&bench, &i);
    assert_int_equal(i.n_failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_layers),
        cmocka_unit_test(accompanies_an_instance),
        cmocka_unit_test(waits_for_an_extension),
        cmocka_unit_test(ends_with_an_extension_that_hangs),
        cmocka_unit_test(leaves_a_quiet_one_alone),
        cmocka_unit_test(tells_the_reason),
        cmocka_unit_test(ends_one_that_clings),
        cmocka_unit_test(fails_with_an_extension),
        cmocka_unit_test(names_one_that_cannot_start),
        cmocka_unit_test(fails_later_with_an_extension),
        cmocka_unit_test(refuses_extensions),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, lambda_bench_open, lambda_bench_close);
}
