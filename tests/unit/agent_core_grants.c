/* What an agent says of grants that become less, so that others may have more. */
#include "tests/unit/agent_core_world.h"

static struct deploy limited(const char *name, uint32_t max, uint32_t warm)
{
    struct deploy d = deploy_one(name, max, warm);

    d.versions[0].spec.max_scale = 4;
    return d;
}

/* A grant of none is a promise: the package is fetched for it, and the controller is told
 * by which revision it is known. A node that no grant names says neither. */
static void promised(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = limited("f", 0, 0), e = limited("e", 0, 0);

    deploy_grant(&d, 0, "here", 0, 0);
    deploy_grant(&e, 0, "there", 2, 0);
    world_apply(w, &e);
    assert_int_equal(w->n_wants, 0);
    assert_int_equal(world_load(w, "e", 1).revision, 0);
    world_apply(w, &d);
    assert_int_equal(w->n_wants, 1);
    assert_int_equal(world_load(w, "f", 1).revision, w->revision);
    assert_int_equal(world_load(w, "f", 1).grant_max, 0);
    world_free(w);
}

/* Less is said at once, and again with each instance above it that is gone; what is going
 * still counts. */
static void less_is_said_at_once(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = limited("f", 3, 3);
    unsigned said;

    world_deploy(w, &d);
    for (unsigned i = 0; i < 3; i++) {
        world_ready(w, i);
    }
    said = w->n_reports_soon;
    deploy_grant(&d, 0, "here", 1, 1);
    world_apply(w, &d);
    assert_true(w->n_reports_soon > said);
    assert_int_equal(world_load(w, "f", 1).revision, w->revision);
    assert_int_equal(world_load(w, "f", 1).idle, 1);
    assert_int_equal(world_load(w, "f", 1).stopping, 2);
    for (unsigned i = 0; i < 3; i++) {
        if (w->instances[i].stopped) {
            said = w->n_reports_soon;
            world_gone(w, i);
            assert_true(w->n_reports_soon > said);
        }
    }
    assert_int_equal(world_load(w, "f", 1).stopping, 0);
    said = w->n_reports_soon;
    deploy_grant(&d, 0, "here", 2, 1); /* more needs no hurry */
    world_apply(w, &d);
    assert_int_equal(w->n_reports_soon, said);
    world_free(w);
}

/* A node that is named no more, and has nothing, still says by which revision. */
static void named_no_more(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = limited("f", 2, 0), elsewhere = limited("f", 0, 0);

    world_apply(w, &d);
    deploy_grant(&elsewhere, 0, "there", 2, 0);
    world_apply(w, &elsewhere);
    assert_int_equal(world_load(w, "f", 1).grant_max, 0);
    assert_int_equal(world_load(w, "f", 1).revision, w->revision);
    world_free(w);
}

/* Nobody waits for a function without a limit. */
static void unlimited_needs_no_word(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 1);
    unsigned said;

    world_deploy(w, &d);
    world_ready(w, 0);
    said = w->n_reports_soon;
    deploy_grant(&d, 0, "here", 1, 1);
    world_apply(w, &d);
    assert_int_equal(w->n_reports_soon, said);
    world_free(w);
}

/* A version is retired while a call runs, and comes back: the instance that ends counts
 * against its grant until it is gone. */
static void comes_back(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = limited("f", 1, 1), without;
    struct test_call c;

    (void)deploy_version(&d, 2);
    world_deploy(w, &d);
    world_ready(w, 0);
    world_call(w, &c, "f");
    assert_outcome(&c, DISPATCHED);
    without = d;
    deploy_drop(&without, 0);
    without.serving = 2;
    world_apply(w, &without);
    world_apply(w, &d);
    assert_int_equal(w->n_instances, 1);
    assert_int_equal(world_load(w, "f", 1).stopping, 1);
    world_done(w, &c);
    assert_int_equal(w->n_instances, 1);
    world_gone(w, 0);
    assert_int_equal(w->n_instances, 2); /* the one that is kept warm */
    assert_int_equal(world_load(w, "f", 1).stopping, 0);
    assert_int_equal(world_load(w, "f", 1).starting, 1);
    world_free(w);
}

/* The end of a version's last grant is said even if nothing ever ran. */
static void last_grant_is_said(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = limited("f", 1, 0), without;

    (void)deploy_version(&d, 2);
    world_apply(w, &d);
    without = d;
    deploy_drop(&without, 0);
    without.serving = 2;
    world_apply(w, &without);
    assert_int_equal(world_load(w, "f", 1).version, 1);
    assert_int_equal(world_load(w, "f", 1).revision, w->revision);
    world_pass_ms(w, CORE_LINGER_MS);
    assert_int_equal(world_load(w, "f", 1).version, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promised),      cmocka_unit_test(less_is_said_at_once),
        cmocka_unit_test(named_no_more), cmocka_unit_test(unlimited_needs_no_word),
        cmocka_unit_test(comes_back),    cmocka_unit_test(last_grant_is_said),
    };

    return cmocka_run_group_tests_name("agent core: grants", tests, NULL, NULL);
}
