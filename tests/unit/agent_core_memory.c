/* Out of memory is an error like any other: nothing is half done, and it works again when
 * there is memory. Linked with --wrap for the functions that allocate. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static unsigned left = UINT_MAX; /* allocations that still succeed */

static bool fails(void)
{
    if (left == UINT_MAX) {
        return false;
    }
    if (left == 0) {
        errno = ENOMEM;
        return true;
    }
    left--;
    return false;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

/* Tries with one allocation more each time. Returns how many failed before it worked. */
static unsigned until_applied(struct world *w, struct deploy *d,
                              void (*unchanged)(struct world *w))
{
    uint64_t revision = ++w->revision;
    unsigned n = 0;
    int rc;

    for (;; n++) {
        left = n;
        rc = world_try(w, d, revision);
        left = UINT_MAX;
        assert_true(agent_core_check(w->core));
        if (rc == 0) {
            return n;
        }
        assert_int_equal(rc, -ENOMEM);
        unchanged(w);
    }
}

static void not_there(struct world *w)
{
    struct test_call c;

    world_call(w, &c, "f");
    assert_rejected(&c, CAUSE_NOT_FOUND);
}

/* A function that could not be taken in whole is not there at all. */
static void new_function(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);

    deploy_grant(&d, 0, "n1", 1, 0);
    assert_true(until_applied(w, &d, not_there) > 5);
    world_package(w, 1);
    world_ready(w, 0);
    world_free(w);
}

static void as_before(struct world *w)
{
    assert_int_equal(world_load(w, "f", 1).grant_max, 1);
    assert_int_equal(world_load(w, "f", 2).version, 0);
    assert_int_equal(world_stopped(w), 0);
}

/* A change that could not be taken in whole changes nothing; it can be sent again. */
static void changed_function(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);

    world_deploy(w, &d);
    world_ready(w, 0);
    deploy_grant(&d, 0, "here", 5, 1);
    (void)deploy_version(&d, 2);
    assert_int_equal(function_spec_set_env(&d.versions[1].spec, "KEY", "value"), 0);
    deploy_grant(&d, 1, "here", 1, 0);
    assert_true(until_applied(w, &d, as_before) > 5);
    assert_int_equal(world_load(w, "f", 1).grant_max, 5);
    assert_int_equal(world_load(w, "f", 2).grant_max, 1);
    function_spec_free(&d.versions[1].spec);
    world_free(w);
}

/* An instance that there was no memory for is tried again; the call waits. */
static void instance(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    world_deploy(w, &d);
    left = 0;
    world_call(w, &c, "f");
    left = UINT_MAX;
    assert_outcome(&c, NO_OUTCOME);
    assert_int_equal(w->n_instances, 0);
    world_pass_ms(w, CORE_START_PAUSE_MIN_MS);
    assert_int_equal(w->n_instances, 1);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    world_free(w);
}

/* A peer that there is no memory for is an error to the link; the known ones stay. */
static void peers(void **state)
{
    struct world *w = world_new(0, 0);

    for (unsigned n = 0; n < 3; n++) {
        left = n;
        assert_int_equal(agent_core_peer(w->core, "n1", "10.0.0.1:80", true), -ENOMEM);
        left = UINT_MAX;
    }
    assert_int_equal(agent_core_peer(w->core, "n1", "10.0.0.1:80", true), 0);
    left = 0;
    assert_int_equal(agent_core_peer(w->core, "n1", "10.0.0.2:80", true), -ENOMEM);
    left = UINT_MAX;
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_function),
        cmocka_unit_test(changed_function),
        cmocka_unit_test(instance),
        cmocka_unit_test(peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
