/* The agent's configuration: its table, its checks, and what is found out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_config.h"

static struct agent_config config;

static int fresh(void **state)
{
    struct error err;

    return agent_config_init(&config, &err);
}

static int release(void **state)
{
    agent_config_free(&config);
    return 0;
}

static int load(const char *text, struct error *err)
{
    int rc = config_parse("agent.yaml", text, strlen(text), agent_config_keys,
                          agent_config_n_keys, &config, err);

    free(config.warden);
    config.warden = strdup("/bin/true"); /* there is none beside this test */
    return rc < 0 ? rc : agent_config_check(&config, err);
}

/* Without any file there is a configuration that works on one host. */
static void defaults_are_valid(void **state)
{
    struct error err;

    assert_int_equal(load("", &err), 0);
    assert_string_equal(config.controllers[0], "tcp://127.0.0.1:8091");
    assert_null(config.controllers[1]);
    assert_int_equal(config.gateway_port, 8080);
    assert_int_equal(config.metrics_port, 8092);
    assert_true(config.memory_bytes >= 16 << 20);
    assert_true(config.cpu_millis >= 1000);
}

/* A key that is not known is named with its line. */
static void an_unknown_key_is_named(void **state)
{
    struct error err;

    assert_true(load("log:\n  level: info\n  levle: debug\n", &err) < 0);
    assert_non_null(strstr(err.text, "agent.yaml:3"));
    assert_non_null(strstr(err.text, "log.levle"));
}

/* Values that no agent could run with are refused by key. */
static void wrong_values_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *key;
    } cases[] = {
        {"node: \"-x\"", "node"},
        {"node: a b", "node"},
        {"controllers: []", "controllers"},
        {"controllers: [\"http://a:1\"]", "controllers"},
        {"log.level: loud", "log.level"},
        {"log.format: xml", "log.format"},
        {"state_dir: here", "state_dir"},
        {"base: debian", "base"},
        {"memory: 1Mi", "memory"},
        {"uid_base: 1000", "uid_base"},
        {"gateway.advertise: nowhere", "gateway.advertise"},
        {"cgroup: ../up", "cgroup"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};

        (void)release(NULL);
        assert_int_equal(fresh(NULL), 0);
        assert_true(load(cases[i].text, &err) < 0);
        assert_non_null(strstr(err.text, cases[i].key));
    }
}

/* The token is the file's text without its line end; none configured is none. */
static void the_token_is_read(void **state)
{
    char path[] = "/tmp/mayfly-token-XXXXXX", *token = NULL;
    int fd = mkstemp(path);
    struct error err;

    assert_int_equal(agent_config_token(&config, &token, &err), 0);
    assert_null(token);
    assert_int_equal(write(fd, "  s3cret\n\n", 10), 10);
    (void)close(fd);
    free(config.token_file);
    config.token_file = strdup(path);
    assert_int_equal(agent_config_token(&config, &token, &err), 0);
    assert_string_equal(token, "s3cret");
    free(token);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(agent_config_token(&config, &token, &err), -EINVAL);
    (void)unlink(path);
    assert_int_equal(agent_config_token(&config, &token, &err), -ENOENT);
}

/* Others are told the configured address, the gateway's own, or the one towards the
 * controller. */
static void an_address_is_advertised(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"gateway.advertise: \"gw.example:80\"", "gw.example:80"},
        {"gateway.host: 192.0.2.7", "192.0.2.7:8080"},
        {"gateway.host: \"2001:db8::7\"", "[2001:db8::7]:8080"},
        {"gateway.host: 0.0.0.0", "127.0.0.1:8080"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err;
        char *got;

        (void)release(NULL);
        assert_int_equal(fresh(NULL), 0);
        assert_int_equal(load(cases[i].text, &err), 0);
        assert_int_equal(agent_config_advertise(&config, 8080, &got), 0);
        assert_string_equal(got, cases[i].want);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_valid, fresh, release),
        cmocka_unit_test_setup_teardown(an_unknown_key_is_named, fresh, release),
        cmocka_unit_test_setup_teardown(wrong_values_are_refused, fresh, release),
        cmocka_unit_test_setup_teardown(the_token_is_read, fresh, release),
        cmocka_unit_test_setup_teardown(an_address_is_advertised, fresh, release),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent config", tests, NULL, NULL);
}
