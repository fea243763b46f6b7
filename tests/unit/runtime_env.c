/* Command lines, environments and CGI variables of functions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "agent/runtime/runtime_private.h"

static struct function_spec spec;
static struct package_ref package;
static struct runtime_host host;
static struct runtime_instance instance;

static int setup(void **state)
{
    (void)state;
    function_spec_init(&spec);
    package = (struct package_ref){.format = SPEC_FORMAT_ZIP};
    host = (struct runtime_host){.region = (char *)(uintptr_t) "eu-west-9"};
    instance = (struct runtime_instance){
        .host = &host,
        .config = {.id = 12,
                   .namespace_ = "team",
                   .name = "greet",
                   .version = 4,
                   .spec = &spec,
                   .package = &package},
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    function_spec_free(&spec);
    return 0;
}

static void handler(const char *text)
{
    free(spec.handler);
    spec.handler = text != NULL ? strdup(text) : NULL;
}

/* words: joined by '|'. */
static void splits(const char *text, const char *words)
{
    struct strings argv = {0};
    struct buf b = {0};

    handler(text);
    assert_int_equal(runtime_argv(&argv, &instance), 0);
    for (size_t i = 0; i < argv.n; i++) {
        assert_int_equal(buf_printf(&b, "%s%s", i > 0 ? "|" : "", argv.list[i]), 0);
    }
    assert_null(argv.list[argv.n]);
    assert_string_equal(b.data, words);
    buf_free(&b);
    strings_free(&argv);
}

static void refuses(const char *text)
{
    struct strings argv = {0};

    handler(text);
    assert_int_equal(runtime_argv(&argv, &instance), -EINVAL);
    strings_free(&argv);
}

static const char *value(const struct strings *env, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->list[i], name, strlen(name)) == 0 &&
            env->list[i][strlen(name)] == '=') {
            assert_null(found); /* one value, whoever reads it */
            found = env->list[i] + strlen(name) + 1;
        }
    }
    return found;
}

/* A handler is split as a shell would, without expanding anything. */
static void splits_handlers(void **state)
{
    (void)state;
    spec.runtime = SPEC_RUNTIME_EXEC;
    splits("server.py", "server.py");
    splits("  python3 \t app.py  --port 1 ", "python3|app.py|--port|1");
    splits("a 'b c' \"d e\" f\\ g", "a|b c|d e|f g");
    splits("a '' \"\"", "a||");
    splits("a'b'\"c\"d", "abcd");
    splits("'a\\b' \"a\\\"b\" \"it's\"", "a\\b|a\"b|it's");
    splits("$HOME `id` *", "$HOME|`id`|*");
    splits("a \\", "a|\\");
    refuses("");
    refuses("   ");
    refuses("a 'b");
    refuses("a \"b");
}

/* Without a handler the package's one file, or its bootstrap, is run. */
static void knows_defaults(void **state)
{
    (void)state;
    spec.runtime = SPEC_RUNTIME_EXEC;
    splits(NULL, "./bootstrap");
    package.format = SPEC_FORMAT_FILE;
    (void)strcpy(package.file_name, "my script");
    splits(NULL, "./my script");
    spec.runtime = SPEC_RUNTIME_PROVIDED;
    splits("index.handler", "./my script"); /* is for the bootstrap to read */
    spec.runtime = SPEC_RUNTIME_PYTHON;     /* is for our own to read */
    splits("app.handler", "python3|-S|/var/runtime/python/main.py");
    spec.runtime = SPEC_RUNTIME_NODE;
    spec.memory_mib = 256;
    splits("app.handler", "node|--max-old-space-size=192|--min-semi-space-size=4|/var/"
                          "runtime/node/index.js");
    assert_int_equal(
        function_spec_set_env(&spec, "NODE_OPTIONS", "--max-old-space-size=50"), 0);
    splits("app.handler", "node|--min-semi-space-size=4|/var/runtime/node/index.js");
}

/* The words of a seed, '|' between; "": there is none. */
static void seeds(const char *words)
{
    struct warden_seed seed;
    char text[sizeof(seed.text) + 1] = "";

    if (managed_seed(&seed, &spec)) {
        for (uint32_t i = 0; i + 1 < seed.len; i++) {
            text[i] = seed.text[i];
            text[i] = text[i] == '\0' ? '|' : text[i];
        }
    }
    assert_string_equal(text, words);
}

/* What can be up before the function is known holds nothing of it; who changes how its
 * interpreter starts gets none. */
static void knows_what_can_be_up(void **state)
{
    static const char python[] =
        "python3|-S|/var/runtime/python/main.py|--seed|"
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/bin|"
        "HOME=/tmp|TMPDIR=/tmp|LANG=C.UTF-8|TZ=UTC|"
        "LD_LIBRARY_PATH=/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:"
        "/var/task/lib:/opt/lib";
    (void)state;

    spec.runtime = SPEC_RUNTIME_PYTHON;
    seeds(python);
    assert_int_equal(function_spec_set_env(&spec, "NODE_ENV", "production"), 0);
    assert_int_equal(function_spec_set_env(&spec, "PATHS", "secret"), 0);
    seeds(python);
    assert_int_equal(function_spec_set_env(&spec, "PYTHONPATH", "/var/task/lib"), 0);
    seeds("");
}

/* The function's own variables win over defaults, and the platform's stand by themselves.
 */
static void makes_environments(void **state)
{
    struct strings env = {0};
    (void)state;

    spec.runtime = SPEC_RUNTIME_HTTP;
    assert_int_equal(function_spec_set_env(&spec, "TZ", "Europe/Berlin"), 0);
    assert_int_equal(function_spec_set_env(&spec, "OWN", "a=b c"), 0);
    assert_int_equal(runtime_env(&env, &instance), 0);
    assert_string_equal(value(&env, "TZ"), "Europe/Berlin");
    assert_string_equal(value(&env, "OWN"), "a=b c");
    assert_string_equal(value(&env, "HOME"), "/tmp");
    assert_string_equal(value(&env, "PORT"), "8080");
    assert_string_equal(value(&env, "K_REVISION"), "greet-00004");
    assert_string_equal(value(&env, "MAYFLY_NAMESPACE"), "team");
    assert_string_equal(value(&env, "MAYFLY_VERSION"), "4");
    assert_null(value(&env, "AWS_REGION"));
    strings_free(&env);

    spec.runtime = SPEC_RUNTIME_PROVIDED;
    spec.concurrency = 5;
    assert_int_equal(function_spec_set_env(&spec, "AWS_REGION", "here"), 0);
    assert_int_equal(runtime_env(&env, &instance), 0);
    assert_string_equal(value(&env, "AWS_REGION"), "here");
    assert_string_equal(value(&env, "AWS_DEFAULT_REGION"), "eu-west-9");
    assert_string_equal(value(&env, "AWS_LAMBDA_RUNTIME_API"), "127.0.0.1:9001");
    assert_string_equal(value(&env, "AWS_LAMBDA_MAX_CONCURRENCY"), "5");
    assert_string_equal(value(&env, "AWS_LAMBDA_LOG_GROUP_NAME"), "/aws/lambda/greet");
    assert_string_equal(value(&env, "AWS_LAMBDA_FUNCTION_VERSION"), "$LATEST");
    assert_null(value(&env, "PORT"));
    strings_free(&env);

    /* Lambda's names are not ours, and a published version's number is one of its own. */
    instance.config.name = "l---my-0func";
    instance.config.published = 2;
    assert_int_equal(runtime_env(&env, &instance), 0);
    assert_string_equal(value(&env, "AWS_LAMBDA_FUNCTION_NAME"), "My_func");
    assert_string_equal(value(&env, "AWS_LAMBDA_FUNCTION_VERSION"), "2");
    assert_string_equal(value(&env, "AWS_LAMBDA_LOG_GROUP_NAME"), "/aws/lambda/My_func");
    assert_non_null(strstr(value(&env, "AWS_LAMBDA_LOG_STREAM_NAME"), "/[2]"));
    assert_string_equal(value(&env, "MAYFLY_FUNCTION"), "l---my-0func");
    assert_string_equal(value(&env, "MAYFLY_VERSION"), "4");
    strings_free(&env);
}

static const char *cgi(struct strings *env, const char *path, const char *host_header,
                       const char *name)
{
    const struct http_header headers[] = {{HTTP_STR("Host"), http_str(host_header)}};
    const struct runtime_request r = {
        .request_id = "id",
        .method = HTTP_STR("GET"),
        .path = http_str(path),
        .headers = {headers, host_header != NULL ? 1 : 0},
        .peer = "::1",
    };
    const struct strings none = {0};

    strings_free(env);
    assert_int_equal(runtime_cgi(env, &instance, &r, &none), 0);
    return value(env, name);
}

/* RFC 3875: the path is decoded once; the host is split from its port. */
static void makes_cgi_variables(void **state)
{
    struct strings env = {0};
    (void)state;

    assert_string_equal(cgi(&env, "/a%2Fb%25", NULL, "PATH_INFO"), "/a/b%");
    assert_string_equal(cgi(&env, "/%", NULL, "PATH_INFO"), "/%");
    assert_string_equal(cgi(&env, "/%4", NULL, "PATH_INFO"), "/%4");
    assert_string_equal(cgi(&env, "/%zz%00%41", NULL, "PATH_INFO"), "/%zz%00A");
    assert_string_equal(cgi(&env, "/", NULL, "SERVER_NAME"), "localhost");
    assert_string_equal(cgi(&env, "/", "h", "SERVER_PORT"), "80");
    assert_string_equal(cgi(&env, "/", "h:81", "SERVER_PORT"), "81");
    assert_string_equal(cgi(&env, "/", "[::1]", "SERVER_NAME"), "[::1]");
    assert_string_equal(cgi(&env, "/", "[::1]:82", "SERVER_NAME"), "[::1]");
    assert_string_equal(cgi(&env, "/", "[::1]:82", "SERVER_PORT"), "82");
    assert_string_equal(cgi(&env, "/", "h", "REMOTE_ADDR"), "::1");
    assert_null(cgi(&env, "/", "h", "CONTENT_LENGTH"));
    strings_free(&env);
}

/* How a process ended, in words. */
static void tells_wait_statuses(void **state)
{
    char text[64];
    (void)state;

    wait_status_text(3 << 8, text);
    assert_string_equal(text, "exit status 3");
    wait_status_text(11, text);
    assert_string_equal(text, "killed by signal 11 (SIGSEGV)");
    wait_status_text(40, text);
    assert_string_equal(text, "killed by signal 40");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(splits_handlers, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_what_can_be_up, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_environments, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_cgi_variables, setup, teardown),
        cmocka_unit_test(tells_wait_statuses),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
