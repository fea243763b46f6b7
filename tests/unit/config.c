/* Unit tests for config: YAML into a struct, YAML into JSON, sizes and durations. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/buf.h"
#include "common/config.h"

struct sample {
    char *node;
    char *host;
    uint16_t port;
    uint32_t workers;
    uint32_t wait_ms;
    uint64_t memory;
    uint64_t big;
    bool tls;
    double share;
    char **controllers;
    char **labels;
};

static const struct config_key keys[] = {
    {"node", CONFIG_STR, offsetof(struct sample, node), 0, 0, "name of the node"},
    {"gateway.host", CONFIG_STR, offsetof(struct sample, host), 0, 0, ""},
    {"gateway.port", CONFIG_U16, offsetof(struct sample, port), 1, 65535, ""},
    {"gateway.tls", CONFIG_BOOL, offsetof(struct sample, tls), 0, 0, ""},
    {"workers", CONFIG_U32, offsetof(struct sample, workers), 0, 64, ""},
    {"big", CONFIG_U64, offsetof(struct sample, big), 0, 0, ""},
    {"wait", CONFIG_MS, offsetof(struct sample, wait_ms), 100, 60000, ""},
    {"share", CONFIG_DECIMAL, offsetof(struct sample, share), 1, 100, ""},
    {"memory", CONFIG_BYTES, offsetof(struct sample, memory), 0, 0, ""},
    {"controllers", CONFIG_STR_LIST, offsetof(struct sample, controllers), 0, 0, ""},
    {"labels", CONFIG_STR_MAP, offsetof(struct sample, labels), 0, 0, ""},
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static int parse(const char *text, struct sample *s, struct error *err)
{
    return config_parse("a.yaml", text, strlen(text), keys, N_KEYS, s, err);
}

/* Every type arrives in its field; a key that is absent leaves its field alone. */
static void fills_in_every_type(void **state)
{
    struct sample s = {.workers = 7};
    struct error err = {0};
    const char *text = "# a comment\n"
                       "node: n1\n"
                       "gateway:\n"
                       "  host: \"::1\"\n"
                       "  port: 8080\n"
                       "  tls: true\n"
                       "big: 18446744073709551615\n"
                       "wait: 30s\n"
                       "memory: 128Mi\n"
                       "share: 12.5\n"
                       "controllers: [tcp://a:1, 'tcp://b:2']\n"
                       "labels: {zone: a, disk: ssd=fast}\n";
    (void)state;

    assert_int_equal(parse(text, &s, &err), 0);
    assert_string_equal(s.node, "n1");
    assert_string_equal(s.host, "::1");
    assert_int_equal(s.port, 8080);
    assert_true(s.tls);
    assert_true(s.big == UINT64_MAX);
    assert_int_equal(s.wait_ms, 30000);
    assert_int_equal(s.memory, 128 << 20);
    assert_true(s.share == 12.5);
    assert_string_equal(s.controllers[0], "tcp://a:1");
    assert_string_equal(s.controllers[1], "tcp://b:2");
    assert_null(s.controllers[2]);
    assert_string_equal(s.labels[0], "zone=a");
    assert_string_equal(s.labels[1], "disk=ssd=fast");
    assert_null(s.labels[2]);
    assert_int_equal(s.workers, 7);
    config_free_strings(keys, N_KEYS, &s);
    assert_null(s.node);
    assert_null(s.labels);
}

/* What replaces a string or a list frees the one before. */
static void replaces_old_values(void **state)
{
    struct sample s = {0};
    struct error err = {0};
    (void)state;

    assert_int_equal(parse("node: a\ncontrollers: [x, y]\n", &s, &err), 0);
    assert_int_equal(parse("node: b\ncontrollers: []\n", &s, &err), 0);
    assert_string_equal(s.node, "b");
    assert_null(s.controllers[0]);
    config_free_strings(keys, N_KEYS, &s);
}

/* Empty files, comments alone and empty sections are no keys, not mistakes. */
static void accepts_files_without_keys(void **state)
{
    static const char *const texts[] = {
        "",           "\n\n",       "# nothing\n",      "---\n",
        "---\n...\n", "gateway:\n", "\xef\xbb\xbf{}\n",
    };
    struct sample s = {0};
    struct error err = {0};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(parse(texts[i], &s, &err), 0);
    }
}

struct refusal {
    const char *text;
    const char *error;
};

/* Each refusal names the file, the line, the key and what to do. */
static void refuses_with_file_line_and_key(void **state)
{
    static const struct refusal cases[] = {
        {"node: a\ngateway:\n  prot: 1\n",
         "a.yaml:3: gateway.prot: no such key; did you mean gateway.port?"},
        {"gatway:\n  port: 1\n", "a.yaml:1: gatway: no such key; did you mean gateway?"},
        {"lables: {a: b}\n", "a.yaml:1: lables: no such key; did you mean labels?"},
        {"nothing-like-it: 1\n", "a.yaml:1: nothing-like-it: no such key"},
        {"gateway.prot: 1\n",
         "a.yaml:1: gateway.prot: no such key; did you mean gateway.port?"},
        {"node: a\nnode: b\n", "a.yaml:2: node: given twice; it is in line 1 already"},
        {"gateway: {port: 1}\n\ngateway.port: 2\n",
         "a.yaml:3: gateway.port: given twice; it is in line 1 already"},
        {"gateway: 5\n", "a.yaml:1: gateway: is a section: it holds keys"},
        {"node: [a]\n", "a.yaml:1: node: must be one value"},
        {"node:\n", "a.yaml:1: node: has no value; give one or remove the key"},
        {"node: ~\n", "a.yaml:1: node: has no value; give one or remove the key"},
        {"gateway:\n  port: x\n", "a.yaml:2: gateway.port: \"x\" is not a whole number"},
        {"gateway: {port: 80.5}\n",
         "a.yaml:1: gateway.port: \"80.5\" is not a whole number"},
        {"gateway: {port: -1}\n", "a.yaml:1: gateway.port: \"-1\" is not a whole number"},
        {"gateway: {port: 65536}\n",
         "a.yaml:1: gateway.port: 65536 is out of range; allowed is 1 to 65535"},
        {"gateway: {port: 0}\n",
         "a.yaml:1: gateway.port: 0 is out of range; allowed is 1 to 65535"},
        {"big: 18446744073709551616\n",
         "a.yaml:1: big: 18446744073709551616 is out of range; allowed is 0 to "
         "18446744073709551615"},
        {"gateway: {tls: yes}\n", "a.yaml:1: gateway.tls: \"yes\" is not true or false"},
        {"wait: 30\n", "a.yaml:1: wait: \"30\" is not a duration: write 500ms, 30s, 5m "
                       "or 1h"},
        {"wait: 1h\n", "a.yaml:1: wait: 1h is out of range; allowed is 100 to 60000 ms"},
        {"memory: 1Q\n", "a.yaml:1: memory: \"1Q\" is not a size: write a number of "
                         "bytes, or 64Ki, 128Mi, 2Gi"},
        {"controllers: a\n", "a.yaml:1: controllers: must be a list: [a, b]"},
        {"controllers:\n- a\n- [b]\n",
         "a.yaml:3: controllers: each entry must be one value"},
        {"labels: [a]\n", "a.yaml:1: labels: must be names with values: {name: value}"},
        {"labels: {a: 1, a: 2}\n", "a.yaml:1: a: given twice; it is in line 1 already"},
        {"node: &x a\n", "a.yaml:1: anchors (&), aliases (*) and tags (!) are not "
                         "allowed; write the value out"},
        {"node: !!str a\n", "a.yaml:1: anchors (&), aliases (*) and tags (!) are not "
                            "allowed; write the value out"},
        {"node: a\n---\nnode: b\n", "a.yaml:2: a second document; only one is allowed"},
        {"- a\n", "a.yaml:1: expected keys with values, as in \"key: value\""},
        {"node\n", "a.yaml:1: expected keys with values, as in \"key: value\""},
        {"? [a]\n: b\n", "a.yaml:1: a key must be a plain word"},
        {"node: \"a\\0b\"\n", "a.yaml:1: a NUL character is not allowed"},
        {"node: a\n\n\xff\n", "a.yaml:3: invalid leading UTF-8 octet"},
        {"node: [a\n", "a.yaml:2: did not find expected ',' or ']', while parsing a flow "
                       "sequence that began in line 1"},
        {"a: b: c\n", "a.yaml:1: mapping values are not allowed in this context"},
        {"a\x01"
         "b: c\n",
         "a.yaml:1: control characters are not allowed"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = {0};
        struct error err = {0};
        int rc = parse(cases[i].text, &s, &err);

        assert_string_equal(err.text, cases[i].error);
        assert_true(rc == -EINVAL || rc == -ERANGE);
        config_free_strings(keys, N_KEYS, &s);
    }
}

/* A mistake at the end undoes nothing, for nothing was done. */
static void bad_file_changes_nothing(void **state)
{
    struct sample s = {.port = 5};
    struct error err = {0};
    (void)state;

    assert_int_equal(parse("node: a\ngateway: {port: 1}\nbad: 1\n", &s, &err), -EINVAL);
    assert_null(s.node);
    assert_int_equal(s.port, 5);
}

/* Strangers' text cannot break an error message into lines or fill it. */
static void error_is_one_short_line(void **state)
{
    struct sample s = {0};
    struct error err = {0};
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_append_str(&b, "gateway: {port: \"a\\n\\e[31m"), 0);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(buf_append_str(&b, "\xc3\xa4"), 0);
    }
    assert_int_equal(buf_append_str(&b, "\"}"), 0);
    assert_int_equal(parse(b.data, &s, &err), -EINVAL);
    assert_null(strpbrk(err.text, "\n\033"));
    assert_non_null(strstr(err.text, "...\" is not a whole number"));
    buf_free(&b);
}

static void refuses_beyond_limits(void **state)
{
    struct sample s = {0};
    struct error err = {0};
    struct buf b = {0};
    json_t *json = NULL;
    (void)state;

    for (int i = 0; i < 17; i++) {
        assert_int_equal(buf_append_str(&b, i == 0 ? "{a: " : "["), 0);
    }
    assert_int_equal(config_yaml_to_json("f", b.data, b.len, &json, &err), -EINVAL);
    assert_string_equal(err.text, "f:1: nested more than 16 deep");
    buf_free(&b);

    assert_int_equal(buf_append_str(&b, "controllers: ["), 0);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buf_append_str(&b, "a,\n"), 0);
    }
    assert_int_equal(buf_append_str(&b, "]"), 0);
    assert_int_equal(parse(b.data, &s, &err), -EINVAL);
    assert_string_equal(err.text, "a.yaml:9999: more than 10000 values");
    buf_free(&b);

    assert_int_equal(buf_reserve(&b, 1024 * 1024 + 1), 0);
    memset(b.data, '\n', 1024 * 1024 + 1);
    b.data[1024 * 1024 + 1] = '\0';
    assert_int_equal(parse(b.data, &s, &err), -E2BIG);
    assert_string_equal(err.text, "a.yaml: larger than 1 MiB");
    b.data[1024 * 1024] = '\0';
    assert_int_equal(parse(b.data, &s, &err), 0);
    buf_free(&b);
}

/* --set key=value takes the value as it stands. */
static void set_overrides_one_key(void **state)
{
    struct sample s = {.port = 1};
    struct error err = {0};
    (void)state;

    assert_int_equal(config_set("--set", "node=a: [b", keys, N_KEYS, &s, &err), 0);
    assert_string_equal(s.node, "a: [b");
    assert_int_equal(config_set("--set", "node=", keys, N_KEYS, &s, &err), 0);
    assert_string_equal(s.node, "");
    assert_int_equal(config_set("--set", "gateway.port=99", keys, N_KEYS, &s, &err), 0);
    assert_int_equal(s.port, 99);
    assert_int_equal(config_set("--set", "controllers=a,b", keys, N_KEYS, &s, &err), 0);
    assert_string_equal(s.controllers[1], "b");
    assert_null(s.controllers[2]);
    assert_int_equal(config_set("--set", "controllers=", keys, N_KEYS, &s, &err), 0);
    assert_null(s.controllers[0]);
    assert_int_equal(config_set("--set", "labels=x=1,y=2", keys, N_KEYS, &s, &err), 0);
    assert_string_equal(s.labels[1], "y=2");

    assert_int_equal(config_set("--set", "labels=x", keys, N_KEYS, &s, &err), -EINVAL);
    assert_string_equal(err.text, "--set: labels: write name=value,name=value");
    assert_int_equal(config_set("--set", "gateway=1", keys, N_KEYS, &s, &err), -EINVAL);
    assert_int_equal(config_set("--set", "nod=1", keys, N_KEYS, &s, &err), -EINVAL);
    assert_string_equal(err.text, "--set: nod: no such key; did you mean node?");
    assert_int_equal(config_set("--set", "node", keys, N_KEYS, &s, &err), -EINVAL);
    assert_string_equal(err.text, "--set: node: has no value; write key=value");
    config_free_strings(keys, N_KEYS, &s);
}

static void loads_a_file(void **state)
{
    char path[] = "/tmp/mayfly-config-XXXXXX";
    int fd = mkstemp(path);
    struct sample s = {0};
    struct error err = {0};
    char expected[128];
    (void)state;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "workers: 3\nnoed: x\n", 19), 19);
    assert_int_equal(config_load(path, keys, N_KEYS, &s, &err), -EINVAL);
    (void)snprintf(expected, sizeof(expected),
                   "%s:2: noed: no such key; did you mean node?", path);
    assert_string_equal(err.text, expected);
    assert_int_equal(ftruncate(fd, 11), 0);
    assert_int_equal(config_load(path, keys, N_KEYS, &s, &err), 0);
    assert_int_equal(s.workers, 3);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(config_load(path, keys, N_KEYS, &s, &err), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "open %s: No such file or directory",
                   path);
    assert_string_equal(err.text, expected);
    assert_int_equal(config_load("/tmp", keys, N_KEYS, &s, &err), -EISDIR);
    assert_string_equal(err.text, "read /tmp: Is a directory");
}

/* Scalars become what YAML 1.2's core schema says. */
static void json_follows_core_schema(void **state)
{
    static const struct {
        const char *yaml;
        const char *json;
    } cases[] = {
        {"a: 1", "{\"a\": 1}"},
        {"a: -017", "{\"a\": -17}"},
        {"a: 0x1F", "{\"a\": 31}"},
        {"a: 0o17", "{\"a\": 15}"},
        {"a: 1.5", "{\"a\": 1.5}"},
        {"a: -.5e1", "{\"a\": -5.0}"},
        {"a: 1.", "{\"a\": 1.0}"},
        {"a: .", "{\"a\": \".\"}"},
        {"a: 1e", "{\"a\": \"1e\"}"},
        {"a: -", NULL},
        {"a: 1_000", "{\"a\": \"1_000\"}"},
        {"a: true", "{\"a\": true}"},
        {"a: FALSE", "{\"a\": false}"},
        {"a: yes", "{\"a\": \"yes\"}"},
        {"a: ~", "{\"a\": null}"},
        {"a:", "{\"a\": null}"},
        {"a: '1'", "{\"a\": \"1\"}"},
        {"a: \"\"", "{\"a\": \"\"}"},
        {"a: |\n  x\n  y\n", "{\"a\": \"x\\ny\\n\"}"},
        {"1: [x, {y: z}]", "{\"1\": [\"x\", {\"y\": \"z\"}]}"},
        {"a: 9223372036854775807", "{\"a\": 9223372036854775807}"},
        {"a: 9223372036854775808", NULL},
        {"a: .inf", NULL},
        {"a: 1e999", NULL},
        {"a: *b", NULL},
        {"- a", NULL},
        {"", "{}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        json_t *json = NULL;
        json_t *expected;
        int rc = config_yaml_to_json("f.yaml", cases[i].yaml, strlen(cases[i].yaml),
                                     &json, &err);

        if (cases[i].json == NULL) {
            assert_true(rc == -EINVAL || rc == -ERANGE);
            assert_null(json);
            assert_memory_equal(err.text, "f.yaml:1: ", 10);
            continue;
        }
        assert_int_equal(rc, 0);
        expected = json_loads(cases[i].json, 0, NULL);
        assert_non_null(expected);
        assert_true(json_equal(json, expected));
        json_decref(expected);
        json_decref(json);
    }
}

static void parses_sizes_and_durations(void **state)
{
    static const char *const spellings[] = {"3Gi", "3GiB", "3G", "3GB", "3g", "3gb"};
    uint64_t v = 0;
    (void)state;

    assert_int_equal(config_parse_hundredths("1.25", &v), 0);
    assert_int_equal(v, 125);
    assert_int_equal(config_parse_hundredths("7", &v), 0);
    assert_int_equal(v, 700);
    assert_int_equal(config_parse_hundredths("1.255", &v), -EINVAL);
    assert_int_equal(config_parse_hundredths("1.2x", &v), -EINVAL);
    assert_int_equal(config_parse_hundredths("999999999999999999", &v), -ERANGE);
    assert_int_equal(config_parse_bytes("128Mi", &v), 0);
    assert_true(v == 134217728);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        assert_int_equal(config_parse_bytes(spellings[i], &v), 0);
        assert_true(v == 3ull << 30);
    }
    assert_int_equal(config_parse_bytes("7B", &v), 0);
    assert_true(v == 7);
    assert_int_equal(config_parse_bytes("7i", &v), -EINVAL);
    assert_int_equal(config_parse_bytes("7Mbit", &v), -EINVAL);
    assert_int_equal(config_parse_bytes("7", &v), 0);
    assert_true(v == 7);
    assert_int_equal(config_parse_bytes("1Ti", &v), 0);
    assert_true(v == UINT64_C(1) << 40);
    assert_int_equal(config_parse_bytes("16777216Ti", &v), -ERANGE);
    assert_int_equal(config_parse_bytes("99999999999999999999", &v), -ERANGE);
    assert_int_equal(config_parse_bytes("", &v), -EINVAL);
    assert_int_equal(config_parse_bytes("Mi", &v), -EINVAL);
    assert_int_equal(config_parse_bytes("1 Mi", &v), -EINVAL);
    assert_int_equal(config_parse_bytes("-1", &v), -EINVAL);
    assert_int_equal(config_parse_ms("30s", &v), 0);
    assert_true(v == 30000);
    assert_int_equal(config_parse_ms("0", &v), 0);
    assert_true(v == 0);
    assert_int_equal(config_parse_ms("2h", &v), 0);
    assert_true(v == 7200000);
    assert_int_equal(config_parse_ms("5", &v), -EINVAL);
    assert_int_equal(config_parse_ms("1.5s", &v), -EINVAL);
    assert_int_equal(config_parse_ms("18446744073709551615h", &v), -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_every_type),
        cmocka_unit_test(replaces_old_values),
        cmocka_unit_test(accepts_files_without_keys),
        cmocka_unit_test(refuses_with_file_line_and_key),
        cmocka_unit_test(bad_file_changes_nothing),
        cmocka_unit_test(error_is_one_short_line),
        cmocka_unit_test(refuses_beyond_limits),
        cmocka_unit_test(set_overrides_one_key),
        cmocka_unit_test(loads_a_file),
        cmocka_unit_test(json_follows_core_schema),
        cmocka_unit_test(parses_sizes_and_durations),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
