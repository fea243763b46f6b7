/* Changes of functions: conflicts, a store that is down or does not say what it did,
 * limits, and that every request is answered once. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "/mayfly/functions/default/hello"

static void answers(struct answer *a, enum cause cause)
{
    assert_int_equal(a->n, 1);
    assert_string_equal(cause_name(a->cause), cause_name(cause));
    *a = (struct answer){0};
}

static void put(struct world *w, uint64_t if_revision, struct answer *a)
{
    struct function_spec spec;

    function_spec_init(&spec);
    world_put(w, "hello", &spec, if_revision, a);
    function_spec_free(&spec);
}

/* A change is answered when the next read shows it, in whichever order store and watch
 * speak. */
static void answered_when_it_shows(void **state)
{
    static const enum txn_mode modes[] = {TXN_NORMAL, TXN_DONE_FIRST};
    struct fixture *f = *state;
    struct answer a = {0};

    for (uint64_t i = 0; i < 2; i++) {
        f->w.mode = modes[i];
        f->w.hold_events = true;
        put(&f->w, 0, &a);
        world_run(&f->w);
        assert_int_equal(a.n, 0);
        f->w.hold_events = false;
        world_run(&f->w);
        assert_int_equal(a.version, i + 1);
        assert_int_equal(a.created, i == 0);
        assert_int_equal(world_number(&f->w, "hello", "latest_version"), i + 1);
        answers(&a, CAUSE_NONE);
    }
}

/* The store has what the header says, key by key. */
static void writes_the_keys(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    json_t *record, *body;

    put(&f->w, 0, &a);
    world_run(&f->w);
    record = json_loads(store_model_get(&f->s, KEY), 0, NULL);
    assert_non_null(record);
    assert_int_equal(json_integer_value(json_object_get(record, "latest")), 1);
    assert_int_equal(json_integer_value(json_object_get(record, "serving")), 0);
    assert_int_equal(json_array_size(json_object_get(record, "versions")), 1);
    json_decref(record);
    body = json_loads(
        store_model_get(&f->s, "/mayfly/versions/default/hello/00000000000000000001"), 0,
        NULL);
    assert_non_null(body);
    assert_true(json_is_object(json_object_get(body, "spec")));
    assert_true(json_is_object(json_object_get(body, "package")));
    json_decref(body);
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    assert_null(store_model_get(&f->s, KEY));
    assert_null(
        store_model_get(&f->s, "/mayfly/versions/default/hello/00000000000000000001"));
}

/* The revision that a caller has seen must still be the one that is there. */
static void if_revision(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    uint64_t revision;

    put(&f->w, 77, &a);
    world_run(&f->w);
    answers(&a, CAUSE_CONFLICT);
    put(&f->w, 0, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    revision = (uint64_t)world_number(&f->w, "hello", "revision");
    put(&f->w, revision, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    put(&f->w, revision, &a);
    world_run(&f->w);
    answers(&a, CAUSE_CONFLICT);
    controller_core_delete_function(f->w.core, "default", "hello", revision, answer_cb,
                                    &a);
    world_run(&f->w);
    answers(&a, CAUSE_CONFLICT);
    revision = (uint64_t)world_number(&f->w, "hello", "revision");
    controller_core_delete_function(f->w.core, "default", "hello", revision, answer_cb,
                                    &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
}

/* What another has changed, unseen as yet, is a conflict for one who named a revision. */
static void if_revision_against_an_unseen_change(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    char *value;

    put(&f->w, 0, &a);
    world_run(&f->w);
    a = (struct answer){0};
    f->w.hold_events = true;
    value = strdup(store_model_get(&f->s, KEY));
    store_model_put(&f->s, KEY, value);
    free(value);
    put(&f->w, (uint64_t)world_number(&f->w, "hello", "revision"), &a);
    f->w.mode = TXN_DONE_FIRST;
    world_run(&f->w);
    f->w.hold_events = false;
    world_run(&f->w);
    answers(&a, CAUSE_CONFLICT);
}

/* Someone who changes the function again and again does not keep a request waiting for
 * ever. */
static void gives_up_after_a_while(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};
    char *value;

    put(&f->w, 0, &b);
    world_run(&f->w);
    value = strdup(store_model_get(&f->s, KEY));
    f->w.mode = TXN_DONE_FIRST;
    put(&f->w, 0, &a);
    for (int i = 0; i < 1000 && a.n == 0; i++) {
        store_model_put(&f->s, KEY, value); /* always just before the transaction */
        f->w.hold_events = true;
        (void)world_step(&f->w);
        f->w.hold_events = false;
        (void)world_step(&f->w);
    }
    answers(&a, CAUSE_CONFLICT);
    free(value);
}

/* Many deploys of one function at once all get their version, in order. */
static void many_at_once(void **state)
{
    struct fixture *f = *state;
    struct answer a[64] = {0};

    for (int i = 0; i < 64; i++) {
        put(&f->w, 0, &a[i]);
    }
    world_run(&f->w);
    for (uint64_t i = 0; i < 64; i++) {
        assert_int_equal(a[i].version, i + 1);
        answers(&a[i], CAUSE_NONE);
    }
}

/* The queue of one function is bounded, and so are all together. */
static void bounded(void **state)
{
    struct fixture *f = *state;
    struct answer *a = calloc(10001, sizeof(*a));
    struct function_spec spec;
    char name[32];

    assert_non_null(a);
    function_spec_init(&spec);
    f->w.mode = TXN_HELD;
    for (int i = 0; i < 65; i++) {
        put(&f->w, 0, &a[i]);
    }
    answers(&a[64], CAUSE_THROTTLED);
    for (int i = 64; i < 10001; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i / 50);
        world_put(&f->w, name, &spec, 0, &a[i]);
    }
    answers(&a[10000], CAUSE_THROTTLED);
    assert_int_equal(a[9999].n, 0);
    f->w.mode = TXN_FAILS;
    world_run(&f->w);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(a[i].n, 1);
    }
    free(a);
}

/* With the store down the answer comes at once. */
static void store_down(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    world_store_up(&f->w, false);
    put(&f->w, 0, &a);
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    world_delete(&f->w, "hello", &a);
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    world_store_up(&f->w, true);
    f->w.mode = TXN_FAILS;
    put(&f->w, 0, &a);
    world_run(&f->w);
    assert_non_null(strstr(a.text, "no route to it"));
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    f->w.mode = TXN_NORMAL;
    put(&f->w, 0, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
}

/* A transaction whose outcome is not known, but which was made: the watch shows it. */
static void unknown_but_made(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    f->w.mode = TXN_UNKNOWN_MADE;
    put(&f->w, 0, &a);
    world_run(&f->w);
    assert_int_equal(a.version, 1);
    assert_true(a.created);
    answers(&a, CAUSE_NONE);
    put(&f->w, (uint64_t)world_number(&f->w, "hello", "revision"), &a);
    world_run(&f->w);
    assert_int_equal(a.version, 2);
    answers(&a, CAUSE_NONE);
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    controller_core_put_namespace(f->w.core, "team", answer_cb, &a);
    world_run(&f->w);
    assert_true(a.created);
    answers(&a, CAUSE_NONE);
}

/* One that was not made is repeated; its compares keep it from being made twice. */
static void unknown_and_lost(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, 0, &a);
    world_run(&f->w);
    assert_int_equal(a.n, 0);
    f->w.mode = TXN_NORMAL;
    world_pass(&f->w, 2000);
    assert_int_equal(a.version, 1);
    answers(&a, CAUSE_NONE);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 1);
}

/* Made, repeated since nobody knew, refused then by its own compares, and only later
 * shown: it was made once. */
static void unknown_made_repeated_and_shown(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    size_t n;

    f->w.hold_events = true;
    f->w.mode = TXN_UNKNOWN_MADE;
    put(&f->w, 0, &a);
    n = f->w.n_txns;
    world_run(&f->w);
    f->w.mode = TXN_DONE_FIRST;
    world_pass(&f->w, 2000);
    assert_int_equal(f->w.n_txns, n + 1);
    assert_int_equal(a.n, 0);
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(a.version, 1);
    assert_true(a.created);
    answers(&a, CAUSE_NONE);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 1);
}

/* Not made, and another came first: with a revision named that is a conflict, else the
 * next version. */
static void unknown_lost_and_another_came(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};
    struct world *other = calloc(1, sizeof(*other));

    assert_non_null(other);
    put(&f->w, 0, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    world_start(other, &f->s);
    other->now_ms += 777; /* its clock is not ours */
    world_run(&f->w);
    f->w.hold_events = true;
    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, (uint64_t)world_number(&f->w, "hello", "revision"), &a);
    world_run(&f->w);
    put(other, 0, &b);
    world_run(other);
    assert_int_equal(b.version, 2);
    f->w.mode = TXN_NORMAL;
    f->w.hold_events = false;
    world_run(&f->w);
    answers(&a, CAUSE_CONFLICT);

    b = (struct answer){0};
    f->w.hold_events = true;
    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, 0, &a);
    world_run(&f->w);
    put(other, 0, &b);
    world_run(other);
    f->w.mode = TXN_NORMAL;
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(a.version, 4);
    answers(&a, CAUSE_NONE);
    world_close(other);
    free(other);
}

/* The same, and the next attempt is unknown as well: it is repeated like the first. */
static void unknown_twice(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};
    char *value;

    put(&f->w, 0, &b);
    world_run(&f->w);
    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, 0, &a);
    world_run(&f->w);
    f->w.hold_events = true;
    f->w.mode = TXN_DONE_FIRST;
    value = strdup(store_model_get(&f->s, KEY));
    store_model_put(&f->s, KEY, value);
    free(value);
    world_pass(&f->w, 1000); /* repeated, and refused */
    f->w.mode = TXN_UNKNOWN_LOST;
    f->w.hold_events = false;
    world_run(&f->w); /* now it shows why: made anew, and lost again */
    assert_int_equal(a.n, 0);
    f->w.mode = TXN_NORMAL;
    world_pass(&f->w, 2000);
    assert_int_equal(a.version, 2);
    answers(&a, CAUSE_NONE);
}

/* A repetition that fails says nothing about the first attempt, which was made. */
static void unknown_made_and_repetition_fails(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    f->w.hold_events = true;
    f->w.mode = TXN_UNKNOWN_MADE;
    put(&f->w, 0, &a);
    world_run(&f->w);
    f->w.mode = TXN_FAILS;
    world_pass(&f->w, 1000);
    assert_int_equal(a.n, 0);
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(a.version, 1);
    answers(&a, CAUSE_NONE);
}

/* Another's version of the same number and the same millisecond is not taken for ours. */
static void unknown_lost_and_a_twin_came(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};
    struct world *other = calloc(1, sizeof(*other));
    struct function_spec spec;

    assert_non_null(other);
    function_spec_init(&spec);
    spec.memory_mib = 777;
    world_start(other, &f->s);
    world_run(&f->w);
    assert_int_equal(other->now_ms, f->w.now_ms);
    f->w.hold_events = true;
    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, 0, &a);
    world_run(&f->w);
    world_put(other, "hello", &spec, 0, &b);
    world_run(other);
    f->w.mode = TXN_NORMAL;
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(b.version, 1);
    assert_int_equal(a.version, 2);
    answers(&a, CAUSE_NONE);
    world_close(other);
    free(other);
}

/* What stays unknown is answered in bounded time, and says that it may have happened. */
static void unknown_for_ever(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};

    f->w.mode = TXN_UNKNOWN_LOST;
    put(&f->w, 0, &a);
    put(&f->w, 0, &b);
    world_pass(&f->w, 9000);
    assert_int_equal(a.n, 0);
    world_pass(&f->w, 2000);
    assert_non_null(strstr(a.text, "may have happened"));
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    answers(&b, CAUSE_STORE_UNAVAILABLE);
}

/* A store that never answers does not hold a caller longer than that either; an answer
 * that comes after it is let be. */
static void never_answered(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};

    f->w.mode = TXN_HELD;
    put(&f->w, 0, &a);
    world_delete(&f->w, "hello", &b);
    world_pass(&f->w, 10000);
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    assert_int_equal(b.n, 1);
    f->w.mode = TXN_NORMAL;
    world_run(&f->w);
    assert_int_equal(a.n, 0);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 1);
}

/* Stored, but the watch is behind: the caller hears that it is stored. */
static void stored_but_not_shown(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    f->w.hold_events = true;
    put(&f->w, 0, &a);
    world_pass(&f->w, 11000);
    assert_non_null(strstr(a.text, "is stored"));
    answers(&a, CAUSE_STORE_UNAVAILABLE);
}

/* The revision of a shared store may grow without events for us: no request waits for
 * them. */
static void refused_without_an_event(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    char *value;

    put(&f->w, 0, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    f->w.mode = TXN_DONE_FIRST;
    f->w.hold_events = true;
    value = strdup(store_model_get(&f->s, KEY));
    store_model_put(&f->s, KEY, value);
    put(&f->w, 0, &a);
    world_run(&f->w); /* refused; the watch says nothing of it for now */
    world_pass(&f->w, 100);
    f->w.hold_events = false;
    world_pass(&f->w, 3000);
    assert_int_equal(a.version, 2);
    answers(&a, CAUSE_NONE);
    free(value);
}

/* A caller who went away is not called; what it began is done. */
static void canceled(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0}, c = {0};

    put(&f->w, 0, &a);
    put(&f->w, 0, &b);
    controller_core_cancel(f->w.core, &a);
    controller_core_cancel(f->w.core, &b);
    world_run(&f->w);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 2);
    controller_core_wait_version(f->w.core, "default", "hello", 2, 1000, answer_cb, &c);
    controller_core_cancel(f->w.core, &c);
    world_pass(&f->w, 5000);
    assert_int_equal(a.n + b.n + c.n, 0);
}

/* Waiting ends when the version is decided, deleted, or the time is over. */
static void waiting(void **state)
{
    struct fixture *f = *state;
    struct model_agent *n = world_join(&f->w, "n1", 1024);
    struct answer a = {0}, d = {0};

    controller_core_wait_version(f->w.core, "default", "hello", 1, 1000, answer_cb, &a);
    answers(&a, CAUSE_NOT_FOUND);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    controller_core_wait_version(f->w.core, "default", "hello", 2, 1000, answer_cb, &a);
    answers(&a, CAUSE_NOT_FOUND);
    controller_core_wait_version(f->w.core, "default", "hello", 1, 0, answer_cb, &a);
    answers(&a, CAUSE_NONE);
    controller_core_wait_version(f->w.core, "default", "hello", 1, 1000, answer_cb, &a);
    world_pass(&f->w, 999);
    assert_int_equal(a.n, 0);
    world_pass(&f->w, 1);
    answers(&a, CAUSE_NONE);
    controller_core_wait_version(f->w.core, "default", "hello", 1, 1000, answer_cb, &a);
    world_say(&f->w, n, "hello", 1, true, CAUSE_NONE, NULL);
    assert_int_equal(a.version, 1);
    answers(&a, CAUSE_NONE);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    controller_core_wait_version(f->w.core, "default", "hello", 2, 1000, answer_cb, &a);
    world_delete(&f->w, "hello", &d);
    world_run(&f->w);
    answers(&a, CAUSE_NOT_FOUND);
}

struct nested {
    struct world *w;
    struct answer first, second;
};

static void deploys_again(void *data, const struct core_reply *r)
{
    struct nested *n = data;
    json_t *view = controller_core_function(n->w->core, "default", "hello");

    assert_non_null(view); /* what is acknowledged shows */
    json_decref(view);
    answer_cb(&n->first, r);
    put(n->w, 0, &n->second);
}

/* A callback may call into the core. */
static void callback_calls_in(void **state)
{
    struct fixture *f = *state;
    struct nested n = {.w = &f->w};
    struct function_spec spec;
    struct package_ref p = {.format = SPEC_FORMAT_TAR};

    function_spec_init(&spec);
    memset(p.digest, 'c', SPEC_DIGEST_LEN);
    controller_core_put_function(f->w.core, "default", "hello", &spec, &p, 0,
                                 deploys_again, &n);
    world_run(&f->w);
    assert_int_equal(n.first.version, 1);
    assert_int_equal(n.second.version, 2);
}

/* Only so many versions are kept, never dropping the one that serves. */
static void versions_are_trimmed(void **state)
{
    struct fixture *f = *state;
    char key[128];

    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    for (uint64_t i = 2; i <= CORE_VERSIONS_MAX + 10; i++) {
        assert_int_equal(world_deploy(&f->w, "hello", 128, 0, 0), i);
    }
    assert_int_equal(controller_core_counts(f->w.core).versions, CORE_VERSIONS_MAX);
    assert_int_equal(world_number(&f->w, "hello", "versions.0.number"), 1);
    assert_int_equal(world_number(&f->w, "hello", "versions.1.number"), 12);
    for (int i = 1; i <= 12; i++) {
        (void)snprintf(key, sizeof(key), "/mayfly/versions/default/hello/%020d", i);
        assert_int_equal(store_model_get(&f->s, key) != NULL, i == 1 || i == 12);
    }
    world_check(&f->w);
}

/* A package is in use while any version, or a deploy that is under way, needs it. */
static void packages_in_use(void **state)
{
    struct fixture *f = *state;
    char digest[SPEC_DIGEST_LEN + 1];
    struct answer a = {0};

    memset(digest, 'a', SPEC_DIGEST_LEN);
    digest[SPEC_DIGEST_LEN] = '\0';
    assert_false(controller_core_package_used(f->w.core, digest));
    f->w.mode = TXN_HELD;
    put(&f->w, 0, &a);
    assert_true(controller_core_package_used(f->w.core, digest));
    f->w.mode = TXN_NORMAL;
    world_run(&f->w);
    assert_true(controller_core_package_used(f->w.core, digest));
    a = (struct answer){0};
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    assert_false(controller_core_package_used(f->w.core, digest));
}

/* Names that are none are refused before anything is kept of them. */
static void bad_names(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct answer a = {0};
    char longest[80];

    function_spec_init(&spec);
    memset(longest, 'x', sizeof(longest));
    longest[79] = '\0';
    world_put(&f->w, "../epoch", &spec, 0, &a);
    answers(&a, CAUSE_BAD_REQUEST);
    world_put(&f->w, "", &spec, 0, &a);
    answers(&a, CAUSE_BAD_REQUEST);
    world_put(&f->w, longest, &spec, 0, &a);
    answers(&a, CAUSE_BAD_REQUEST);
    world_delete(&f->w, "not-there", &a);
    answers(&a, CAUSE_NOT_FOUND);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(answered_when_it_shows),
        TEST(writes_the_keys),
        TEST(if_revision),
        TEST(if_revision_against_an_unseen_change),
        TEST(gives_up_after_a_while),
        TEST(many_at_once),
        TEST(bounded),
        TEST(store_down),
        TEST(unknown_but_made),
        TEST(unknown_and_lost),
        TEST(unknown_made_repeated_and_shown),
        TEST(unknown_lost_and_another_came),
        TEST(unknown_twice),
        TEST(unknown_made_and_repetition_fails),
        TEST(unknown_lost_and_a_twin_came),
        TEST(unknown_for_ever),
        TEST(never_answered),
        TEST(stored_but_not_shown),
        TEST(refused_without_an_event),
        TEST(canceled),
        TEST(waiting),
        TEST(callback_calls_in),
        TEST(versions_are_trimmed),
        TEST(packages_in_use),
        TEST(bad_names),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: requests", tests, NULL, NULL);
}
