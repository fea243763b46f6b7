#include "tests/unit/agent_core_world.h"

#include <string.h>

/* A first call starts an instance, waits for it and runs on it; the second finds it warm.
 */
static void cold_then_warm(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 3, 0);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_outcome(&c, NO_OUTCOME);
    assert_int_equal(w->n_instances, 1);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    assert_true(c.call.cold);
    world_done(w, &c);
    world_call(w, &c, "f");
    assert_outcome(&c, DISPATCHED);
    assert_false(c.call.cold);
    world_done(w, &c);
    assert_int_equal(w->n_instances, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_then_warm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
