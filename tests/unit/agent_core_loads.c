/* What is said of versions after all was said once: what has changed, until something
 * that was said is no more. */
#include "tests/unit/agent_core_world.h"

#include <string.h>

struct said {
    unsigned n;
    struct version_load last;
    bool whole;
};

static void each(void *data, const struct version_load *l)
{
    struct said *s = data;

    s->n++;
    s->last = *l;
}

static struct said changed(struct world *w, bool whole)
{
    struct said s = {0};

    s.whole = agent_core_loads_changed(w->core, whole, each, &s);
    return s;
}

static struct world *world_of_three(struct deploy d[3])
{
    static const char *const names[] = {"e", "f", "g"};
    struct world *w = world_new(0, 0);

    for (int i = 0; i < 3; i++) {
        d[i] = deploy_one(names[i], 1, 0);
        world_deploy(w, &d[i]);
    }
    return w;
}

/* First all, then nothing; then the one that has changed, and that once. */
static void only_what_changed(void **state)
{
    struct deploy d[3];
    struct world *w = world_of_three(d);
    struct test_call c;

    assert_int_equal(changed(w, false).n, 3);
    assert_int_equal(changed(w, false).n, 0);
    world_call(w, &c, "f");
    assert_int_equal(changed(w, false).n, 1);
    w->now_us += 1000; /* it waits: the load grows with time */
    assert_int_equal(changed(w, false).n, 1);
    world_ready(w, 0);
    world_done(w, &c);
    (void)changed(w, false);
    w->now_us += 1000;
    assert_int_equal(changed(w, false).n, 0);
    agent_core_instance_cpu(w->core, world_instance(w, 0), 1);
    {
        struct said s = changed(w, false);

        assert_int_equal(s.n, 1);
        assert_string_equal(s.last.name, "f");
        assert_int_equal(s.last.cpu_us, 1);
        assert_false(s.whole);
    }
    world_free(w);
}

/* In a new session all is said, also what was said before. */
static void whole_when_asked(void **state)
{
    struct deploy d[3];
    struct world *w = world_of_three(d);
    struct said s;

    (void)changed(w, false);
    s = changed(w, true);
    assert_int_equal(s.n, 3);
    assert_true(s.whole);
    assert_int_equal(changed(w, false).n, 0);
    world_free(w);
}

/* What is no more cannot be said: all else is. */
static void whole_when_one_is_gone(void **state)
{
    struct deploy d[3];
    struct world *w = world_of_three(d);
    struct said s;

    (void)changed(w, false);
    agent_core_function_deleted(w->core, "default", "e", ++w->revision);
    s = changed(w, false);
    assert_true(s.whole);
    assert_int_equal(s.n, 2);
    s = changed(w, false);
    assert_false(s.whole);
    assert_int_equal(s.n, 0);
    world_free(w);
}

/* Why the last call was cold is said once, unless all is said. */
static void what_was_seen_is_said_once(void **state)
{
    struct deploy d[3];
    struct world *w = world_of_three(d);
    struct test_call c;

    world_pass_ms(w, 1000);
    world_call(w, &c, "f");
    world_ready(w, 0);
    (void)changed(w, false);
    w->now_us += 1000;
    world_done(w, &c);
    {
        struct said s = changed(w, false);

        assert_int_equal(s.n, 1);
        assert_int_equal(s.last.invocations, 1);
        assert_int_equal(s.last.last_cold.at_ms, 0);
        agent_core_function_deleted(w->core, "default", "e", ++w->revision);
        agent_core_function_deleted(w->core, "default", "g", ++w->revision);
        s = changed(w, false);
        assert_int_equal(s.n, 1);
        assert_int_not_equal(s.last.last_cold.at_ms, 0);
    }
    world_free(w);
}

static void serve(struct world *w, struct deploy *d, uint64_t number)
{
    d->versions[0].number = number;
    d->serving = number;
    world_apply(w, d);
}

/* Version 1 ran a call, and gave way to version 2. */
static struct world *world_of_one_retired(struct deploy *d)
{
    struct world *w = world_new(0, 0);
    struct test_call c;

    *d = deploy_one("f", 1, 0);
    world_deploy(w, d);
    world_call(w, &c, "f");
    world_ready(w, 0);
    world_done(w, &c);
    serve(w, d, 2);
    world_gone(w, 0);
    return w;
}

/* What ran is not forgotten before it was said, however long no controller listens. */
static void what_ran_is_said(void **state)
{
    struct deploy d;
    struct world *w = world_of_one_retired(&d);

    world_pass_ms(w, 10 * CORE_LINGER_MS);
    assert_int_equal(world_load(w, "f", 1).invocations, 1);
    assert_int_equal(changed(w, false).n, 2);
    world_pass_ms(w, CORE_LINGER_MS);
    assert_int_equal(world_load(w, "f", 1).version, 0);
    world_free(w);
}

/* Counters of a version that comes back go on, unless it was said that it was gone:
 * whoever adds them up could not tell new calls from those that it knows. */
static void back_before_it_was_missed(void **state)
{
    struct deploy d;
    struct world *w = world_of_one_retired(&d);

    world_tell(w);
    world_pass_ms(w, CORE_LINGER_MS);
    assert_int_equal(world_load(w, "f", 1).version, 0);
    serve(w, &d, 1);
    assert_int_equal(world_load(w, "f", 1).invocations, 1);
    serve(w, &d, 2);
    world_tell(w);
    world_pass_ms(w, CORE_LINGER_MS);
    assert_true(changed(w, false).whole); /* without it */
    serve(w, &d, 1);
    assert_int_equal(world_load(w, "f", 1).version, 1);
    assert_int_equal(world_load(w, "f", 1).invocations, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_changed),
        cmocka_unit_test(whole_when_asked),
        cmocka_unit_test(whole_when_one_is_gone),
        cmocka_unit_test(what_was_seen_is_said_once),
        cmocka_unit_test(what_ran_is_said),
        cmocka_unit_test(back_before_it_was_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
