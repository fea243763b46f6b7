/* YAML output: what is written reads back as the same values. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include <jansson.h>

#include "common/config.h"
#include "controller/cli/yaml.h"

static char *write_yaml(const char *json_text)
{
    json_t *json = json_loads(json_text, JSON_DECODE_ANY, NULL);
    struct buf out = {0};

    assert_non_null(json);
    assert_int_equal(yaml_write(&out, json), 0);
    json_decref(json);
    return out.data;
}

/* Maps and lists in each other, empty ones too. */
static void nested(void **state)
{
    char *text =
        write_yaml("{\"a\": {\"b\": [1, {\"c\": true, \"d\": [[2], []]}], \"e\": {}}, "
                   "\"items\": []}");

    assert_string_equal(text, "a:\n"
                              "  b:\n"
                              "  - 1\n"
                              "  - c: true\n"
                              "    d:\n"
                              "    - - 2\n"
                              "    - []\n"
                              "  e: {}\n"
                              "items: []\n");
    free(text);
}

/* Text that YAML would take for something else is quoted. */
static void quoted_where_needed(void **state)
{
    static const char *const texts[] = {
        "plain text", "true",     "No",   "null", "~",   "1.5", "0x10", "-",     "- a",
        "a: b",       "a #b",     "",     " a",   "a ",  "a:",  "\"q",  "'q",    "&x",
        "*x",         "!x",       "%x",   "@x",   "{a}", "[a]", "a\nb", "tab\t", "\u00e9",
        "2026-01-31", "/fn/a/b",  "y",    "=",    "<<",  "inf", ".inf", "nan",   "_1",
        "1_000",      "12:30:45", "a\\b", "?",    "? a", "|",   ">",    "`",     "a,b",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *json = json_pack("{s:s}", "k", texts[i]);
        json_t *back = NULL;
        struct buf out = {0};
        struct error err = {0};

        assert_int_equal(yaml_write(&out, json), 0);
        if (config_yaml_to_json("t", out.data, out.len, &back, &err) < 0) {
            fail_msg("\"%s\" written as %s: %s", texts[i], out.data, err.text);
        }
        if (!json_equal(json, back)) {
            fail_msg("\"%s\" written as %s reads back differently", texts[i], out.data);
        }
        json_decref(json);
        json_decref(back);
        buf_free(&out);
    }
}

/* A whole answer of the API comes back as it was. */
static void round_trip(void **state)
{
    const char *answer = "{\"items\": [{\"name\": \"a\", \"spec\": {\"env\": {\"A B\": "
                         "\"1\", \"x:y\": \"no\"}, "
                         "\"handler\": null, \"memory_mib\": 128, \"reuse\": true}, "
                         "\"n\": -5}, {}], \"f\": 0.25}";
    json_t *json = json_loads(answer, 0, NULL);
    json_t *back = NULL;
    struct error err = {0};
    char *text = write_yaml(answer);

    assert_int_equal(config_yaml_to_json("t", text, strlen(text), &back, &err), 0);
    assert_true(json_equal(json, back));
    json_decref(json);
    json_decref(back);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested),
        cmocka_unit_test(quoted_where_needed),
        cmocka_unit_test(round_trip),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_yaml", tests, NULL, NULL);
}
