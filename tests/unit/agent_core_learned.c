/* What was learned of calls goes from one life of an agent to the next, before and after
 * the controller says what functions there are. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/keepalive.h"

#define MINUTE_MS 60000ull
#define DAY_MS    (24 * 60 * MINUTE_MS)

struct kept {
    unsigned n;
    char namespace_[SPEC_NAME_MAX + 1], name[SPEC_NAME_MAX + 1];
    struct keepalive_memory memory; /* of the last */
};

static void each(void *data, const char *namespace_, const char *name,
                 const struct keepalive_memory *m)
{
    struct kept *k = data;

    k->n++;
    (void)snprintf(k->namespace_, sizeof(k->namespace_), "%s", namespace_);
    (void)snprintf(k->name, sizeof(k->name), "%s", name);
    k->memory = *m;
}

static struct kept kept_of(struct world *w)
{
    struct kept k = {0};

    agent_core_learned(w->core, each, &k);
    assert_true(agent_core_check(w->core));
    return k;
}

/* Called every half an hour, and idle for ten minutes. */
static struct keepalive_memory half_hourly(void)
{
    struct keepalive_memory m = {.ago_ms = 10 * MINUTE_MS, .idle = true};

    m.bins[30] = 20;
    return m;
}

static struct world *new_world(void)
{
    struct world *w = world_new(0, 0);

    world_freeze_after(w, 1000);
    return w;
}

/* A function whose calls were learned before it was known is started ahead of the next
 * one, as if the agent had not ended. */
static void function_comes_later(void **state)
{
    struct keepalive_memory m = half_hourly();
    struct world *w = new_world();
    struct deploy d = deploy_one("f", 1, 0);
    struct kept k;

    assert_int_equal(agent_core_recall(w->core, "default", "f", &m), 0);
    assert_int_equal(agent_core_patterns(w->core), 0);
    world_pass_ms(w, MINUTE_MS);
    k = kept_of(w); /* it is kept if the agent ends again now */
    assert_int_equal(k.n, 1);
    assert_string_equal(k.name, "f");
    assert_int_equal(k.memory.ago_ms, 11 * MINUTE_MS);
    world_deploy(w, &d);
    assert_int_equal(agent_core_patterns(w->core), 1);
    world_pass_ms(w, 15 * MINUTE_MS);
    assert_int_equal(w->n_instances, 0);
    world_pass_ms(w, 2 * MINUTE_MS);
    assert_int_equal(w->n_instances, 1);
    assert_int_equal(agent_core_counts(w->core).prewarms, 1);
    k = kept_of(w);
    assert_int_equal(k.n, 1);
    assert_memory_equal(k.memory.bins, m.bins, sizeof(m.bins));
    world_free(w);
}

/* The same when the function is there first; what it has counted itself counts. */
static void function_is_there(void **state)
{
    struct keepalive_memory m = half_hourly(), other = half_hourly();
    struct world *w = new_world();
    struct deploy d = deploy_one("f", 1, 0);

    world_deploy(w, &d);
    assert_int_equal(kept_of(w).n, 0);
    assert_int_equal(agent_core_recall(w->core, "default", "f", &m), 0);
    assert_int_equal(kept_of(w).memory.bins[30], 20);
    other.bins[30] = 7;
    assert_int_equal(agent_core_recall(w->core, "default", "f", &other), 0);
    assert_int_equal(kept_of(w).memory.bins[30], 20);
    world_pass_ms(w, 18 * MINUTE_MS);
    assert_int_equal(w->n_instances, 1);
    world_free(w);
}

/* Names are those of a namespace; the last word about one counts. */
static void names_are_apart(void **state)
{
    struct keepalive_memory m = half_hourly(), other = half_hourly();
    struct world *w = new_world();
    struct deploy d = deploy_one("f", 1, 0);

    assert_int_equal(agent_core_recall(w->core, "team", "f", &m), 0);
    world_deploy(w, &d);
    assert_int_equal(agent_core_patterns(w->core), 0);
    other.bins[30] = 7;
    assert_int_equal(agent_core_recall(w->core, "team", "f", &other), 0);
    assert_int_equal(kept_of(w).n, 1);
    assert_int_equal(kept_of(w).memory.bins[30], 7);
    assert_string_equal(kept_of(w).namespace_, "team");
    world_free(w);
}

/* What no function comes for, since it was deleted meanwhile, is dropped after a day. */
static void nobody_comes(void **state)
{
    struct keepalive_memory m = half_hourly();
    struct world *w = new_world();
    struct deploy d = deploy_one("f", 1, 0);

    assert_int_equal(agent_core_recall(w->core, "default", "f", &m), 0);
    world_pass_ms(w, DAY_MS);
    assert_int_equal(kept_of(w).n, 1);
    world_pass_ms(w, 1);
    assert_int_equal(kept_of(w).n, 0);
    world_deploy(w, &d);
    assert_int_equal(agent_core_patterns(w->core), 0);
    world_free(w);
}

/* Nonsense is refused, and there is a limit to how much is kept for nobody. */
static void is_bounded(void **state)
{
    struct keepalive_memory m = half_hourly(), bad = {0};
    struct world *w = new_world();

    assert_int_equal(agent_core_recall(w->core, "default", "f", &bad), -EINVAL);
    for (int i = 0; i < 10000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(agent_core_recall(w->core, "default", name, &m), 0);
    }
    assert_int_equal(agent_core_recall(w->core, "default", "g", &m), -ENOSPC);
    assert_int_equal(agent_core_recall(w->core, "default", "f7", &m), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_comes_later), cmocka_unit_test(function_is_there),
        cmocka_unit_test(names_are_apart),      cmocka_unit_test(nobody_comes),
        cmocka_unit_test(is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
