/* The command line: verbs, options, operands, and what is said about a typo. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "controller/cli/args.h"
#include "controller/cli/verbs.h"

static struct args args;
static struct error err;

#define PARSE(...) parse((char *[]){"mayfly", __VA_ARGS__, NULL})

static int parse(char **argv)
{
    int argc = 0;

    while (argv[argc] != NULL) {
        argc++;
    }
    err = (struct error){0};
    return args_parse(&args, &cli_verbs, argc, argv, &err);
}

/* Values may be attached or follow; operands may stand anywhere after the verb. */
static void options_in_all_forms(void **state)
{
    assert_int_equal(PARSE("deploy", "--name=a", "x.sh", "--memory", "64", "-nteam", "-e",
                           "A=1", "-e", "B=2", "--no-reuse"),
                     0);
    assert_string_equal(args.verb->name, "deploy");
    assert_string_equal(args_get(&args, "name"), "a");
    assert_string_equal(args_get(&args, "memory"), "64");
    assert_string_equal(args_get(&args, "namespace"), "team");
    assert_string_equal(args_get(&args, "env"), "B=2"); /* the last */
    assert_true(args_has(&args, "no-reuse"));
    assert_false(args_has(&args, "no-build"));
    assert_int_equal(args.n_operands, 1);
    assert_string_equal(args.operands[0], "x.sh");
}

/* Each of a repeated option is there, in its order. */
static void repeated_options(void **state)
{
    size_t at = 0;

    assert_int_equal(PARSE("invoke", "f", "-H", "A: 1", "--header", "B: 2"), 0);
    assert_string_equal(args_each(&args, "header", &at), "A: 1");
    assert_string_equal(args_each(&args, "header", &at), "B: 2");
    assert_null(args_each(&args, "header", &at));
}

/* What many verbs share may stand before the verb, if the verb takes it. */
static void shared_options_before_the_verb(void **state)
{
    assert_int_equal(PARSE("-n", "team", "list"), 0);
    assert_string_equal(args_get(&args, "namespace"), "team");
    assert_int_equal(PARSE("-o", "json", "dev"), -EINVAL);
    assert_non_null(strstr(err.text, "mayfly dev has no option --output"));
}

/* After "--" nothing is an option; a lone dash never is. */
static void words_that_look_like_options(void **state)
{
    assert_int_equal(PARSE("invoke", "f", "-"), 0);
    assert_string_equal(args.operands[1], "-");
    assert_int_equal(PARSE("deploy", "--", "--odd"), 0);
    assert_string_equal(args.operands[0], "--odd");
}

/* Help and version need no verb and stop everything else. */
static void help_and_version(void **state)
{
    char *none[] = {"mayfly", NULL};

    assert_int_equal(parse(none), 0);
    assert_string_equal(args.verb->name, "help");
    assert_int_equal(PARSE("deploy", "--help"), 0);
    assert_string_equal(args.verb->name, "help");
    assert_string_equal(args.operands[0], "deploy");
    assert_int_equal(PARSE("--version"), 0);
    assert_string_equal(args.verb->name, "version");
    assert_int_equal(PARSE("logs", "f", "--version", "2"), 0); /* an option of its own */
    assert_string_equal(args.verb->name, "logs");
}

/* A typo gets the nearest name; what is far from all gets none. */
static void did_you_mean(void **state)
{
    assert_int_equal(PARSE("dpeloy"), -EINVAL);
    assert_non_null(strstr(err.text, "did you mean deploy?"));
    assert_int_equal(PARSE("desc", "f"), -EINVAL); /* cut short */
    assert_non_null(strstr(err.text, "did you mean describe?"));
    assert_int_equal(PARSE("frobnicate"), -EINVAL);
    assert_null(strstr(err.text, "did you mean"));
    assert_int_equal(PARSE("deploy", "x", "--memroy", "1"), -EINVAL);
    assert_non_null(strstr(err.text, "did you mean --memory?"));
    assert_string_equal(args.verb->name, "deploy"); /* for the hint at its help */
}

/* Wrong counts, missing and superfluous values, choices: each is refused by name. */
static void refusals(void **state)
{
    assert_int_equal(PARSE("deploy"), -EINVAL);
    assert_non_null(strstr(err.text, "needs PATH"));
    assert_int_equal(PARSE("list", "x"), -EINVAL);
    assert_non_null(strstr(err.text, "one word too many"));
    assert_int_equal(PARSE("deploy", "x", "--name"), -EINVAL);
    assert_non_null(strstr(err.text, "--name needs a value"));
    assert_int_equal(PARSE("deploy", "x", "--no-reuse=1"), -EINVAL);
    assert_non_null(strstr(err.text, "takes no value"));
    assert_int_equal(PARSE("list", "-o", "xml"), -EINVAL);
    assert_non_null(strstr(err.text, "table|wide|json|yaml|name"));
    assert_int_equal(PARSE("deploy", "x", "-z"), -EINVAL);
    assert_non_null(strstr(err.text, "no option -z"));
}

/* More options than fit are an error, not an overflow. */
static void too_many_options(void **state)
{
    static char *argv[2 + 2 * (ARGS_VALUES_MAX + 2) + 1] = {"mayfly", "invoke"};

    for (size_t i = 2; i < 2 + 2 * (ARGS_VALUES_MAX + 2); i += 2) {
        argv[i] = "-H";
        argv[i + 1] = "A: 1";
    }
    assert_int_equal(parse(argv), -EINVAL);
    assert_non_null(strstr(err.text, "more than"));
}

/* The table is sound: no verb or option is there twice, each verb has text and examples.
 */
static void the_table_is_sound(void **state)
{
    for (size_t i = 0; i < cli_verbs.n_verbs; i++) {
        const struct verb *v = &cli_verbs.verbs[i];
        const struct option *a, *b;

        assert_ptr_equal(args_verb(&cli_verbs, v->name), v);
        assert_non_null(v->run);
        assert_non_null(v->examples[0]);
        assert_true(v->max_operands <= ARGS_OPERANDS_MAX);
        for (size_t k = 0; (a = args_option(v, k)) != NULL; k++) {
            for (size_t l = 0; l < k && (b = args_option(v, l)) != NULL; l++) {
                assert_string_not_equal(a->name, b->name);
                assert_true(a->letter == 0 || a->letter != b->letter);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_in_all_forms),
        cmocka_unit_test(repeated_options),
        cmocka_unit_test(shared_options_before_the_verb),
        cmocka_unit_test(words_that_look_like_options),
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(did_you_mean),
        cmocka_unit_test(refusals),
        cmocka_unit_test(too_many_options),
        cmocka_unit_test(the_table_is_sound),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_args", tests, NULL, NULL);
}
