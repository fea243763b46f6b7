/* Published versions, aliases and rollback: what is kept, what agents are told, and what
 * is refused in which words. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_alias(struct world *w, const char *alias, uint64_t a, uint32_t at_a,
                      uint64_t b, uint32_t at_b, struct answer *answer)
{
    const struct alias_weight weights[] = {{a, at_a}, {b, at_b}};

    *answer = (struct answer){0};
    world_put_alias(w, "hello", alias, weights, b != 0 ? 2 : 1, answer);
    assert_int_equal(answer->n, 1);
}

static void assert_refused(const struct answer *a, enum cause cause, const char *text)
{
    assert_string_equal(cause_name(a->cause), cause_name(cause));
    assert_non_null(strstr(a->text, text));
}

static bool knows(const struct model_function *m, uint64_t version)
{
    for (size_t i = 0; i < m->n_versions; i++) {
        if (m->versions[i] == version) {
            return true;
        }
    }
    return false;
}

/* Publishing counts 1, 2, 3 whatever the versions' own numbers are. */
static void publishes(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);
    struct answer a = {0};

    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    (void)world_deploy_ready(&f->w, "hello", 256, 1, 0);
    world_publish(&f->w, "hello", 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_true(a.created);
    assert_int_equal(a.version, 2);
    assert_int_equal(world_number(&f->w, "hello", "versions.1.published"), 1);
    world_publish(&f->w, "hello", 1, &a);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.published"), 2);
    assert_int_equal(agent_function(agent, "hello")->published[0], 1);
    world_check(&f->w);
}

/* What has not changed since it was published is not published again. */
static void publishes_once(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    world_publish(&f->w, "hello", 0, &a);
    world_publish(&f->w, "hello", 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_false(a.created);
    assert_int_equal(a.version, 1);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0); /* the same under number 2 */
    world_publish(&f->w, "hello", 0, &a);
    assert_false(a.created);
    assert_int_equal(a.version, 1);
    (void)world_deploy_ready(&f->w, "hello", 160, 1, 0);
    world_publish(&f->w, "hello", 0, &a);
    assert_true(a.created);
    assert_int_equal(world_number(&f->w, "hello", "versions.2.published"), 2);
}

/* A number that was given is never given again. */
static void numbers_are_given_once(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    world_publish(&f->w, "hello", 0, &a);
    controller_core_delete_version(f->w.core, "default", "hello", 1, answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_NONE); /* it serves: only its publication goes */
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    world_publish(&f->w, "hello", 0, &a);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.published"), 2);
    assert_non_null(strstr(store_model_get(&f->s, "/mayfly/functions/default/hello"),
                           "\"published_last\":2"));
}

/* Only what was ready once can be published, have a name, or be rolled back to. */
static void wants_a_version_that_was_ready(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);
    struct answer a = {0};

    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    world_publish(&f->w, "hello", 0, &a);
    assert_refused(&a, CAUSE_CONFLICT, "still being deployed");
    set_alias(&f->w, "live", 2, ALIAS_WHOLE, 0, 0, &a);
    assert_refused(&a, CAUSE_CONFLICT, "still being deployed");
    world_say(&f->w, agent, "hello", 2, false, CAUSE_OOM, "too big");
    set_alias(&f->w, "live", 2, ALIAS_WHOLE, 0, 0, &a);
    assert_refused(&a, CAUSE_CONFLICT, "version 2 failed: too big");
    set_alias(&f->w, "live", 9, ALIAS_WHOLE, 0, 0, &a);
    assert_refused(&a, CAUSE_NOT_FOUND, "there is no version 9");
    (void)world_deploy(&f->w, "hello", 128, 1, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    world_rollback(&f->w, "hello", 3, &a);
    assert_refused(&a, CAUSE_CONFLICT, "version 3 never became ready");
}

/* Weights add up to all, over different versions, under a name that is no number. */
static void checks_the_split(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    set_alias(&f->w, "live", 1, 9000, 2, 900, &a);
    assert_refused(&a, CAUSE_BAD_REQUEST, "add up to 99; they must add up to 100");
    set_alias(&f->w, "live", 1, 5000, 1, 5000, &a);
    assert_refused(&a, CAUSE_BAD_REQUEST, "version 1 twice");
    set_alias(&f->w, "12", 1, ALIAS_WHOLE, 0, 0, &a);
    assert_refused(&a, CAUSE_BAD_REQUEST, "not digits alone");
    set_alias(&f->w, "a b", 1, ALIAS_WHOLE, 0, 0, &a);
    assert_refused(&a, CAUSE_BAD_REQUEST, "alias's name");
    controller_core_delete_alias(f->w.core, "default", "hello", "live", 0, answer_cb, &a);
    world_run(&f->w);
    assert_refused(&a, CAUSE_NOT_FOUND, "there is no alias live");
}

/* Agents are told the split, and that they may run what it names. */
static void agents_know_aliases(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);
    const struct model_function *m;
    struct answer a;

    for (int i = 0; i < 3; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 2, 0);
    }
    set_alias(&f->w, "live", 1, 9000, 3, 1000, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_true(a.created);
    world_pass(&f->w, 301000);
    m = agent_function(agent, "hello");
    assert_int_equal(m->n_aliases, 1);
    assert_string_equal(m->aliases[0].name, "live");
    assert_int_equal(m->aliases[0].weights[1].version, 3);
    assert_int_equal(m->aliases[0].weights[1].weight, 1000);
    assert_true(knows(m, 1) && !knows(m, 2) && knows(m, 3));
    assert_int_equal(agent_grant(agent, "hello", 1)->max, 2);
    set_alias(&f->w, "live", 2, ALIAS_WHOLE, 0, 0, &a);
    assert_false(a.created);
    m = agent_function(agent, "hello");
    assert_true(!knows(m, 1) && knows(m, 2));
    assert_view(&f->w, "hello", "aliases.0.name", "live");
    assert_view(&f->w, "hello", "versions.1.aliases.0", "live");
    world_check(&f->w);
}

/* A version that an alias names cannot be deleted; whoever tries learns its name. */
static void named_versions_stay(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    (void)world_join(&f->w, "n1", 4096);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    set_alias(&f->w, "live", 1, ALIAS_WHOLE, 0, 0, &a);
    controller_core_delete_version(f->w.core, "default", "hello", 1, answer_cb, &a);
    world_run(&f->w);
    assert_refused(&a, CAUSE_CONFLICT, "alias live names version 1");
    controller_core_delete_version(f->w.core, "default", "hello", 2, answer_cb, &a);
    world_run(&f->w);
    assert_refused(&a, CAUSE_CONFLICT, "version 2 is the serving one");
    controller_core_delete_alias(f->w.core, "default", "hello", "live", 0, answer_cb, &a);
    world_run(&f->w);
    controller_core_delete_version(f->w.core, "default", "hello", 1, answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_null(
        store_model_get(&f->s, "/mayfly/versions/default/hello/00000000000000000001"));
    world_check(&f->w);
}

/* A hundred deployments later what is published or named is still there. */
static void kept_over_deployments(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    for (int i = 0; i < 3; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    }
    world_publish(&f->w, "hello", 1, &a);
    set_alias(&f->w, "live", 2, ALIAS_WHOLE, 0, 0, &a);
    for (int i = 0; i < CORE_VERSIONS_MAX; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    }
    assert_int_equal(world_number(&f->w, "hello", "versions.0.number"), 1);
    assert_int_equal(world_number(&f->w, "hello", "versions.1.number"), 2);
    assert_int_equal(world_number(&f->w, "hello", "versions.2.number"), 6);
    assert_int_equal(controller_core_counts(f->w.core).versions, CORE_VERSIONS_MAX);
    world_check(&f->w);
}

/* Back at once: what served before has kept its grants. */
static void rolls_back(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);
    struct answer a = {0};

    (void)world_deploy_ready(&f->w, "hello", 128, 2, 1);
    world_rollback(&f->w, "hello", 0, &a);
    assert_refused(&a, CAUSE_CONFLICT, "no version that was ready served before");
    (void)world_deploy_ready(&f->w, "hello", 128, 2, 1);
    assert_non_null(agent_grant(agent, "hello", 1));
    world_rollback(&f->w, "hello", 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_int_equal(a.version, 1);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 1);
    assert_int_equal(agent_function(agent, "hello")->serving, 1);
    assert_int_equal(agent_grant(agent, "hello", 1)->warm, 1);
    assert_view(&f->w, "hello", "versions.1.state", "retired");
    assert_view(&f->w, "hello", "versions.1.message", "rolled back to version 1");
    world_rollback(&f->w, "hello", 2, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    world_rollback(&f->w, "hello", 2, &a);
    assert_refused(&a, CAUSE_CONFLICT, "serves already");
    world_check(&f->w);
}

/* One rollback after another goes further back, never to the version that was left; a
 * deployment begins anew. */
static void rolls_further_back(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    for (int i = 0; i < 4; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    }
    world_rollback(&f->w, "hello", 0, &a);
    world_rollback(&f->w, "hello", 0, &a);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
    (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    world_rollback(&f->w, "hello", 0, &a);
    assert_int_equal(world_number(&f->w, "hello", "serving_version"), 2);
    assert_view(&f->w, "hello", "versions.4.message", "rolled back to version 2");
}

/* Nobody can say whether it was made: it is made once all the same. */
static void made_once_though_unknown(void **state)
{
    static const enum txn_mode modes[] = {TXN_UNKNOWN_MADE, TXN_UNKNOWN_LOST,
                                          TXN_DONE_FIRST};
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 4096);
    for (int i = 0; i < 4; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 1, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        struct answer a = {0};

        f->w.mode = modes[i];
        controller_core_rollback(f->w.core, "default", "hello", 0, 0, answer_cb, &a);
        world_run(&f->w);
        f->w.mode = TXN_NORMAL;
        world_pass(&f->w, 5000);
        assert_int_equal(a.n, 1);
        assert_int_equal(a.cause, CAUSE_NONE);
        assert_int_equal(world_number(&f->w, "hello", "serving_version"), 3 - i);
    }
    world_check(&f->w);
}

/* A revision that the caller has not seen is a conflict, for all these changes. */
static void other_revision(void **state)
{
    const struct alias_weight weight = {1, ALIAS_WHOLE};
    struct fixture *f = *state;
    struct answer a = {0};
    struct world *w = &f->w;

    (void)world_join(w, "n1", 4096);
    (void)world_deploy_ready(w, "hello", 128, 1, 0);
    controller_core_publish(w->core, "default", "hello", 0, NULL, 1, answer_cb, &a);
    assert_refused(&a, CAUSE_CONFLICT, "has revision");
    controller_core_put_alias(w->core, "default", "hello", "live", &weight, 1, NULL, 1,
                              answer_cb, &a);
    assert_refused(&a, CAUSE_CONFLICT, "has revision");
    controller_core_rollback(w->core, "default", "hello", 0, 1, answer_cb, &a);
    assert_refused(&a, CAUSE_CONFLICT, "has revision");
    controller_core_publish(w->core, "default", "other", 0, NULL, 0, answer_cb, &a);
    assert_refused(&a, CAUSE_NOT_FOUND, "no function default/other");
    world_run(w);
}

/* Another controller knows all of it, from the store alone. */
static void survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct model_agent *agent = world_join(&f->w, "n1", 4096);
    struct answer a = {0};

    for (int i = 0; i < 3; i++) {
        (void)world_deploy_ready(&f->w, "hello", 128, 2, 0);
    }
    world_publish(&f->w, "hello", 1, &a);
    set_alias(&f->w, "live", 1, 2500, 2, 7500, &a);
    world_restart(&f->w);
    (void)world_rejoin(&f->w, agent, false);
    world_report_full(&f->w, agent);
    world_pass(&f->w, 4000);
    assert_int_equal(agent_function(agent, "hello")->aliases[0].weights[1].weight, 7500);
    assert_int_equal(agent_grant(agent, "hello", 2)->max, 2);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.published"), 1);
    assert_int_equal(world_number(&f->w, "hello", "previous_version"), 2);
    world_check(&f->w);
}

/* As many versions as a function may keep under a name, and not one more. */
static void bounded(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)world_join(&f->w, "n1", 4096);
    for (uint32_t i = 0; i < 61; i++) {
        (void)world_deploy(&f->w, "hello", 128 + i, 1, 0);
        f->w.agents[0].n_functions = 0; /* a model agent has no room for so many */
        controller_core_version_report(f->w.core, "n1",
                                       &(struct version_report){.namespace_ = "default",
                                                                .name = "hello",
                                                                .version = i + 1,
                                                                .ready = true});
        f->w.agents[0].connected = false;
        world_run(&f->w);
        world_publish(&f->w, "hello", 0, &a);
    }
    assert_refused(&a, CAUSE_CONFLICT, "60 versions of a function may be published");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
        T(publishes),
        T(publishes_once),
        T(numbers_are_given_once),
        T(wants_a_version_that_was_ready),
        T(checks_the_split),
        T(agents_know_aliases),
        T(named_versions_stay),
        T(kept_over_deployments),
        T(rolls_back),
        T(rolls_further_back),
        T(made_once_though_unknown),
        T(other_revision),
        T(survives_a_restart),
        T(bounded),
#undef T
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: traffic", tests, NULL, NULL);
}
