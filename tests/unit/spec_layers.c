/* Layers in a function's spec. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/spec_layers.h"
#include "proto/convert.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int parse(struct function_spec *s, const char *text, struct error *err)
{
    json_t *json = json_loads(text, 0, NULL);
    int rc;

    assert_non_null(json);
    *err = (struct error){0};
    rc = function_spec_from_json(s, json, err);
    json_decref(json);
    return rc;
}

/* A layer is named with or without a version; each other text is refused. */
static void parses_names(void **state)
{
    static const struct {
        const char *text, *name;
        uint64_t version; /* UINT64_MAX: refused */
    } rows[] = {
        {"tools", "tools", 0},        {"tools:3", "tools", 3},
        {"tools:", "", UINT64_MAX},   {"tools:0", "", UINT64_MAX},
        {"tools:x", "", UINT64_MAX},  {"tools:1x", "", UINT64_MAX},
        {"tools:-1", "", UINT64_MAX}, {"Tools", "", UINT64_MAX},
        {"", "", UINT64_MAX},         {"tools:99999999999999999999", "", UINT64_MAX},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spec_layer l = {.version = 77};
        struct error err = {0};
        int rc = spec_layer_parse(&l, rows[i].text, &err);

        if (rows[i].version == UINT64_MAX) {
            assert_int_equal(rc, -EINVAL);
            assert_memory_equal(err.text, "layers: ", 8);
            assert_int_equal(l.version, 77);
        } else {
            assert_int_equal(rc, 0);
            assert_string_equal(l.name, rows[i].name);
            assert_int_equal(l.version, rows[i].version);
            assert_false(spec_layer_resolved(&l));
        }
    }
}

/* What a reply says of layers is understood again, also through a copy. */
static void keeps_layers(void **state)
{
    struct function_spec s, copy, again;
    struct error err;
    json_t *json;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(
        parse(&s,
              "{\"layers\": [\"a\", {\"name\": \"b\", \"version\": 2, \"package\": "
              "{\"digest\": \"" DIGEST "\", \"format\": \"zip\", \"bytes\": 9}}]}",
              &err),
        0);
    assert_int_equal(function_spec_copy(&copy, &s), 0);
    function_spec_free(&s);
    json = function_spec_to_json(&copy);
    function_spec_free(&copy);
    function_spec_init(&again);
    assert_int_equal(function_spec_from_json(&again, json, &err), 0);
    json_decref(json);
    assert_int_equal(again.n_layers, 2);
    assert_string_equal(again.layers[0].name, "a");
    assert_false(spec_layer_resolved(&again.layers[0]));
    assert_int_equal(again.layers[1].version, 2);
    assert_string_equal(again.layers[1].package.digest, DIGEST);
    assert_int_equal(again.layers[1].package.format, SPEC_FORMAT_ZIP);
    function_spec_free(&again);
}

/* Each list that is none, by its key. */
static void refuses_bad_lists(void **state)
{
    static const char *const rows[] = {
        "{\"layers\": \"a\"}",
        "{\"layers\": [1]}",
        "{\"layers\": [{\"name\": \"a\"}]}",
        "{\"layers\": [{\"name\": \"a\", \"version\": 0}]}",
        "{\"layers\": [{\"name\": \"a\", \"version\": 1, \"package\": {}}]}",
        "{\"layers\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]}",
        "{\"layers\": [\"a:1\", \"a:2\"]}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct function_spec s;
        struct error err;
        int rc;

        function_spec_init(&s);
        rc = parse(&s, rows[i], &err);
        rc = rc == 0 ? function_spec_validate(&s, &err) : rc;
        assert_true(rc < 0);
        assert_memory_equal(err.text, "layers", 6);
        function_spec_free(&s);
    }
}

/* Over the wire a layer is its name, version and package, and nothing is believed. */
static void travels(void **state)
{
    struct spec_layer l = {.name = "a", .version = 4, .package = {.digest = DIGEST}};
    struct function_spec s, back;
    struct error err = {0};
    Mayfly__V1__Spec wire;
    (void)state;

    function_spec_init(&s);
    assert_int_equal(function_spec_add_layer(&s, &l), 0);
    assert_int_equal(convert_spec_to_wire(&wire, &s), 0);
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), 0);
    assert_int_equal(back.n_layers, 1);
    assert_string_equal(back.layers[0].name, "a");
    assert_int_equal(back.layers[0].version, 4);
    assert_string_equal(back.layers[0].package.digest, DIGEST);
    function_spec_free(&back);
    wire.layers[0]->version = 0;
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), -EINVAL);
    wire.layers[0]->version = 4;
    wire.layers[0]->name = (char *)(uintptr_t) "../a";
    assert_int_equal(convert_spec_from_wire(&back, &wire, &err), -EINVAL);
    convert_spec_free(&wire);
    function_spec_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_names),
        cmocka_unit_test(keeps_layers),
        cmocka_unit_test(refuses_bad_lists),
        cmocka_unit_test(travels),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
