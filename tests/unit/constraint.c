/* Constraints on labels, and the rules of a spec's placement. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "common/spec.h"

/* Every form against nodes with and without the label. */
static void holds_or_not(void **state)
{
    static const char *const ssd[] = {"disk=ssd", "zone=a", NULL};
    static const char *const hdd[] = {"zone=b", "disk=hdd", "odd", "disk=ssd", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *text;
        bool ssd, hdd, none;
    } cases[] = {
        {"disk=ssd", true, false, false},
        {"disk!=ssd", false, true, true},
        {"disk=~ssd|nvme", true, false, false},
        {"disk=~nvme|hdd", false, true, false},
        {"disk=~ss|sd", false, false, false},
        {"zone=~a", true, false, false},
        {"zone=", false, false, false},
        {"dis=k", false, false, false},
        {"odd!=", true, true, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct constraint c;

        assert_int_equal(constraint_parse(&c, cases[i].text, NULL), 0);
        assert_string_equal(c.text, cases[i].text);
        assert_int_equal(constraint_holds(&c, ssd), cases[i].ssd);
        assert_int_equal(constraint_holds(&c, hdd), cases[i].hdd);
        assert_int_equal(constraint_holds(&c, none), cases[i].none);
        assert_int_equal(constraint_holds(&c, NULL), cases[i].none);
        constraint_free(&c);
    }
}

/* What is no constraint is refused with the text and how to write one. */
static void refuses_what_is_none(void **state)
{
    static const char *const texts[] = {"",          "disk",      "=ssd",     "a b=c",
                                        "disk=s sd", "disk==ssd", "disk!ssd", "disk=a|b",
                                        "disk=\xff", "disk!=a|b"};
    struct constraint c;
    struct error err;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(constraint_parse(&c, texts[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, texts[i]));
        assert_non_null(strstr(err.text, "KEY=VALUE"));
    }
}

/* What people type when they mean something else, or have left something out: refused,
 * naming the text and how to write it; and what only looks odd. says NULL: accepted. */
static void odd_ones(void **state)
{
#define FORMS     "KEY=VALUE, KEY!=VALUE or KEY=~ONE|OTHER"
#define NO_VALUE  "write a=~ONE|OTHER, or a= for a label without a value"
#define EMPTY_ONE "leave that '|' out"
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"a=~", NO_VALUE}, /* a variable of the shell was empty */
        {"a=~|", EMPTY_ONE},
        {"a=~b|", EMPTY_ONE},
        {"a=~|b", EMPTY_ONE},
        {"a=~b||c", EMPTY_ONE},
        {"a=~b|b", NULL},
        {"a=~b", NULL},
        {"a=", NULL},
        {"a!=", NULL}, /* labels may have no value */
        {"a", FORMS},
        {"!a", FORMS}, /* exists, and does not, of kubectl */
        {"a in (b,c)", FORMS},
        {"a notin (b)", FORMS},
        {"a==b", FORMS},
        {"a!==b", FORMS},
        {"a!b", FORMS},
        {"a=!b", FORMS},
        {"a!=~b", FORMS},
        {"a~=b", FORMS},
        {"a=~b,c", FORMS},
        {"a=b|c", FORMS},
        {"a=b=c", FORMS},
        {"a=b,c=d", FORMS},
        {"a=b c=d", FORMS},
        {" a=b", FORMS},
        {"a=b ", FORMS},
        {"a = b", FORMS},
        {"=", FORMS},
        {"=~b", FORMS},
        {"!=b", FORMS},
        {"a>5", FORMS},
        {"a<=5", FORMS},
        {"a:b", FORMS},
        {"\"a\"=b", FORMS},
        {"a='b'", FORMS},
        {"a=b\n", FORMS},
        {"zone=m\xc3\xbcnchen", FORMS},
        {"a=*", FORMS},
        {"a=~.*", FORMS},
        {"kubernetes.io/arch=amd64", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct constraint c;
        struct error err = {0};
        int rc = constraint_parse(&c, cases[i].text, &err);

        if (rc == 0) {
            rc = constraints_check(&c, 1, &err);
            constraint_free(&c);
        }
        assert_int_equal(rc, cases[i].says == NULL ? 0 : -EINVAL);
        if (cases[i].says != NULL) {
            assert_true(strstr(err.text, cases[i].text) != NULL ||
                        strchr(cases[i].text, '\n') != NULL); /* cleaned */
            assert_null(strchr(err.text, '\n'));
            assert_non_null(strstr(err.text, cases[i].says));
        }
    }
}

static int spec_of(struct function_spec *s, const char *json, struct error *err)
{
    json_t *parsed = json_loads(json, 0, NULL);
    int rc;

    assert_non_null(parsed);
    function_spec_init(s);
    rc = function_spec_from_json(s, parsed, err);
    rc = rc < 0 ? rc : function_spec_validate(s, err);
    json_decref(parsed);
    return rc;
}

/* They survive JSON and copies; what is said twice counts once. */
static void survives(void **state)
{
    struct function_spec s, copy;
    struct error err;
    json_t *json;

    assert_int_equal(spec_of(&s,
                             "{\"constraints\": [\"disk=ssd\", \"zone!=a\", "
                             "\"disk=ssd\"], \"placement\": \"spread\", "
                             "\"reserved\": 20, \"concurrency\": 10}",
                             &err),
                     0);
    assert_int_equal(function_spec_copy(&copy, &s), 0);
    function_spec_free(&s);
    assert_int_equal(copy.n_constraints, 2);
    assert_int_equal(function_spec_reserved_instances(&copy), 2);
    assert_int_equal(function_spec_instances_max(&copy), 2);
    json = function_spec_to_json(&copy);
    assert_string_equal(json_string_value(json_object_get(json, "placement")), "spread");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json, "constraints"), 1)),
        "zone!=a");
    json_decref(json);
    function_spec_free(&copy);
}

/* Constraints on one label that no value of it satisfies are refused when they are asked;
 * whatever a stored version has stays readable. */
static void cannot_hold_together(void **state)
{
    static const struct {
        const char *json;
        bool can;
    } cases[] = {
        {"{\"constraints\": [\"a=b\", \"a=c\"]}", false},
        {"{\"constraints\": [\"a=b\", \"a!=b\"]}", false},
        {"{\"constraints\": [\"a!=b\", \"a=~b\"]}", false},
        {"{\"constraints\": [\"a=~b|c\", \"a=~d|e\"]}", false},
        {"{\"constraints\": [\"a=~b|c\", \"a!=b\", \"a!=c\"]}", false},
        {"{\"constraints\": [\"a=\", \"a=~b\"]}", false},
        {"{\"constraints\": [\"x=1\", \"a=~\"]}", false},
        {"{\"constraints\": [\"a=~b|c\", \"a!=b\"]}", true},
        {"{\"constraints\": [\"a=~b|c\", \"a=~c|d\", \"a=c\"]}", true},
        {"{\"constraints\": [\"a!=b\", \"a!=c\"]}", true},
        {"{\"constraints\": [\"a=b\", \"aa=c\", \"a!=bb\"]}", true},
        {"{\"constraints\": []}", true},
    };
    struct function_spec s;
    struct error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(spec_of(&s, cases[i].json, &err), 0);
        err = (struct error){0};
        assert_int_equal(function_spec_check_new(&s, &err), cases[i].can ? 0 : -EINVAL);
        assert_true(cases[i].can || strncmp(err.text, "constraints[", 12) == 0);
        function_spec_free(&s);
    }
}

/* What contradicts itself is refused, naming the fields and what to do. */
static void refuses_contradictions(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"constraints\": \"disk=ssd\"}", "list"},
        {"{\"constraints\": [7]}", "constraints[0]"},
        {"{\"constraints\": [\"disk\"]}", "\"disk\""},
        {"{\"placement\": \"best\"}", "binpack, spread or default"},
        {"{\"reserved\": 15, \"concurrency\": 10}", "multiple of 10"},
        {"{\"reserved\": 5, \"min_scale\": 6}", "min_scale 6 is over"},
        {"{\"reserved\": 5, \"max_scale\": 6}", "leave max_scale out"},
    };
    struct function_spec s;
    struct error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(spec_of(&s, cases[i].json, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].says));
        function_spec_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_or_not),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(odd_ones),
        cmocka_unit_test(survives),
        cmocka_unit_test(cannot_hold_together),
        cmocka_unit_test(refuses_contradictions),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("constraint", tests, NULL, NULL);
}
