/* A new version that lacks the room to show that it works: what is told of it, and when.
 */
#include "tests/unit/agent_core_world.h"

#include <string.h>

#define PATIENCE_MS 5000

/* A node with memory for one, which a call of "old" is using. */
static struct world *full_node(struct test_call *c)
{
    struct world *w = world_new(128, 0);
    struct deploy d = deploy_one("old", 1, 0);

    d.versions[0].spec.timeout_ms = 900000;
    world_deploy(w, &d);
    world_call(w, c, "old");
    world_ready(w, 0);
    assert_outcome(c, DISPATCHED);
    w->n_ready = 0;
    return w;
}

static struct deploy deploy_new(uint32_t warm)
{
    struct deploy d = deploy_one("new", 1, warm);

    d.serving = 0;
    return d;
}

/* Memory that stays in use is told of after a while, once; the node goes on trying. */
static void no_memory_is_told(void **state)
{
    struct test_call c;
    struct world *w = full_node(&c);
    struct deploy d = deploy_new(1);

    world_deploy(w, &d);
    world_pass_ms(w, PATIENCE_MS - 1);
    assert_int_equal(w->n_failed, 0);
    world_pass_ms(w, 1);
    assert_int_equal(w->n_failed, 1);
    assert_int_equal(w->failed_cause, CAUSE_NO_CAPACITY);
    assert_string_equal(
        w->failed_text,
        "node here has no 128 MiB left: all of its memory for functions is in use");
    world_pass_ms(w, 10 * PATIENCE_MS);
    assert_int_equal(w->n_failed, 1);
    world_done(w, &c); /* "old" is idle, and makes way */
    world_gone(w, 0);
    world_ready(w, 1);
    assert_int_equal(w->n_ready, 1);
    world_free(w);
}

/* Calls that end in time are waited for without a word. */
static void memory_comes_in_time(void **state)
{
    struct test_call c;
    struct world *w = full_node(&c);
    struct deploy d = deploy_new(1);

    world_deploy(w, &d);
    world_pass_ms(w, PATIENCE_MS - 1);
    world_done(w, &c);
    world_gone(w, 0);
    world_pass_ms(w, 10 * PATIENCE_MS);
    assert_int_equal(w->n_failed, 0);
    world_ready(w, 1);
    assert_int_equal(w->n_ready, 1);
    world_free(w);
}

/* Whoever takes the grant away and gives it again asks anew, and is told anew. */
static void told_for_each_grant(void **state)
{
    struct test_call c;
    struct world *w = full_node(&c);
    struct deploy d = deploy_new(1);

    world_deploy(w, &d);
    for (unsigned i = 1; i <= 3; i++) {
        world_pass_ms(w, PATIENCE_MS);
        assert_int_equal(w->n_failed, i);
        deploy_grant(&d, 0, "here", 1, 0);
        world_apply(w, &d);
        world_pass_ms(w, PATIENCE_MS);
        assert_int_equal(w->n_failed, i);
        deploy_grant(&d, 0, "here", 1, 1);
        world_apply(w, &d);
    }
    world_free(w);
}

/* Nobody has asked: an instance for calls that finds no room is the router's affair. */
static void only_what_is_asked(void **state)
{
    struct test_call c, other;
    struct world *w = full_node(&c);
    struct deploy d = deploy_one("new", 1, 0);

    world_deploy(w, &d);
    world_call(w, &other, "new");
    world_pass_ms(w, 2 * PATIENCE_MS);
    assert_int_equal(w->n_failed, 0);
    world_free(w);
}

/* A host that cannot make the sandbox for want of something is given some tries. */
static void a_host_that_is_short(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_new(1);

    world_deploy(w, &d);
    for (unsigned ms = 0; ms < PATIENCE_MS + 1000; ms += 100) {
        assert_int_equal(w->n_failed, ms >= PATIENCE_MS ? 1 : 0);
        if (w->n_instances > 0) {
            world_fail(w, 0, CAUSE_NO_CAPACITY, "no memory for a cgroup");
            world_gone(w, 0);
            world_forget(w);
        }
        world_pass_ms(w, 100);
    }
    assert_int_equal(w->failed_cause, CAUSE_NO_CAPACITY);
    assert_string_equal(w->failed_text, "no memory for a cgroup");
    world_free(w);
}

/* A disk without room for the package does not get any by itself. */
static void a_full_disk(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_new(1);

    world_apply(w, &d);
    agent_core_package_failed(w->core, w->wanted, CAUSE_DISK_FULL, "no space");
    assert_int_equal(w->n_failed, 1);
    assert_int_equal(w->failed_cause, CAUSE_DISK_FULL);
    world_pass_ms(w, 4 * PATIENCE_MS);
    assert_int_equal(w->n_failed, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_told),    cmocka_unit_test(memory_comes_in_time),
        cmocka_unit_test(told_for_each_grant),  cmocka_unit_test(only_what_is_asked),
        cmocka_unit_test(a_host_that_is_short), cmocka_unit_test(a_full_disk),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: short of room", tests, NULL, NULL);
}
