/* Versions that need several packages: their own and their layers'. */
#include "tests/unit/agent_core_world.h"

#include <stdio.h>
#include <string.h>

static void add_layer(struct version_state *v, unsigned digest)
{
    struct spec_layer l = {.version = 1};

    (void)snprintf(l.name, sizeof(l.name), "layer-%u", digest);
    (void)snprintf(l.package.digest, sizeof(l.package.digest), "%064u", digest);
    assert_int_equal(function_spec_add_layer(&v->spec, &l), 0);
}

static void specs_free(struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        function_spec_free(&d->versions[i].spec);
    }
}

static void package_fails(struct world *w, unsigned digest)
{
    char text[SPEC_DIGEST_LEN + 1];

    (void)snprintf(text, sizeof(text), "%064u", digest);
    agent_core_package_failed(w->core, text, CAUSE_PACKAGE_INVALID, "no archive");
    assert_true(agent_core_check(w->core));
}

/* An instance starts when the last of its packages is there, in whatever order they come.
 */
static void starts_when_all_are_there(void **state)
{
    struct world *w = world_new(0, 8);
    struct deploy d = deploy_one("hello", 1, 0);
    struct test_call c;
    (void)state;

    add_layer(&d.versions[0], 101);
    add_layer(&d.versions[0], 102);
    world_apply(w, &d);
    assert_int_equal(w->n_wants, 3);
    world_call(w, &c, "hello");
    world_package(w, 102);
    world_package(w, 1);
    assert_int_equal(w->n_instances, 0);
    world_package(w, 101);
    assert_int_equal(w->n_instances, 1);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    world_done(w, &c);
    world_free(w);
    specs_free(&d);
}

/* A package that two versions need is wanted once, and dropped with the last of them; so
 * is one that a version has twice. */
static void shares_packages(void **state)
{
    struct world *w = world_new(0, 8);
    struct deploy a = deploy_one("a", 1, 0), b = deploy_one("b", 1, 0);
    (void)state;

    add_layer(&a.versions[0], 101);
    add_layer(&b.versions[0], 101);
    add_layer(&b.versions[0], 1); /* its own */
    (void)snprintf(b.versions[0].package.digest, sizeof(b.versions[0].package.digest),
                   "%064u", 1);
    world_apply(w, &a);
    assert_int_equal(w->n_wants, 2);
    world_apply(w, &b);
    assert_int_equal(w->n_wants, 2);
    function_spec_free(&a.versions[0].spec);
    deploy_drop(&a, 0);
    world_apply(w, &a);
    assert_int_equal(w->n_drops, 0);
    function_spec_free(&b.versions[0].spec);
    deploy_drop(&b, 0);
    world_apply(w, &b);
    assert_int_equal(w->n_drops, 2);
    world_free(w);
}

/* A layer that cannot be had fails the version, as its own package would. */
static void fails_with_a_layer(void **state)
{
    struct world *w = world_new(0, 8);
    struct deploy d = deploy_one("hello", 1, 0);
    struct test_call c;
    (void)state;

    add_layer(&d.versions[0], 101);
    world_apply(w, &d);
    world_call(w, &c, "hello");
    world_package(w, 1);
    package_fails(w, 101);
    assert_rejected(&c, CAUSE_PACKAGE_INVALID);
    assert_int_equal(w->n_failed, 1);
    assert_int_equal(w->failed_cause, CAUSE_PACKAGE_INVALID);
    world_free(w);
    specs_free(&d);
}

/* The same number with other layers is another version. */
static void tells_layers_apart(void **state)
{
    struct world *w = world_new(0, 8);
    struct deploy d = deploy_one("hello", 1, 1);
    (void)state;

    add_layer(&d.versions[0], 101);
    world_apply(w, &d);
    world_package(w, 1);
    world_package(w, 101);
    world_ready(w, 0);
    function_spec_free(&d.versions[0].spec);
    d.versions[0].spec.runtime = SPEC_RUNTIME_HTTP;
    add_layer(&d.versions[0], 102);
    world_apply(w, &d);
    assert_true(w->instances[0].stopped);
    world_gone(w, 0);
    world_free(w);
    specs_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_when_all_are_there),
        cmocka_unit_test(shares_packages),
        cmocka_unit_test(fails_with_a_layer),
        cmocka_unit_test(tells_layers_apart),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
