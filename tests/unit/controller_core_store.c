/* The controller's core and its store: epochs, namespaces, restarts, damage, gaps. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answers(struct answer *a, enum cause cause)
{
    assert_int_equal(a->n, 1);
    assert_int_equal(a->cause, cause);
    *a = (struct answer){0};
}

static void put_namespace(struct world *w, const char *name, struct answer *a)
{
    controller_core_put_namespace(w->core, name, answer_cb, a);
    world_run(w);
}

static void delete_namespace(struct world *w, const char *name, struct answer *a)
{
    controller_core_delete_namespace(w->core, name, answer_cb, a);
    world_run(w);
}

static int64_t index_of(struct world *w, const char *name)
{
    json_t *ns = controller_core_namespace(w->core, name);
    int64_t index = ns != NULL ? json_integer_value(json_object_get(ns, "index")) : -1;

    json_decref(ns);
    return index;
}

/* The first start takes epoch 1 and makes the namespace default with index 1. */
static void first_start(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(store_model_get(&f->s, "/mayfly/epoch"), "{\"epoch\":1}");
    assert_string_equal(store_model_get(&f->s, "/mayfly/namespace-index"),
                        "{\"next\":2}");
    assert_int_equal(index_of(&f->w, "default"), 1);
    assert_int_equal(controller_core_counts(f->w.core).namespaces, 1);
}

/* Nothing is ready before the epoch is taken, and requests are told so. */
static void not_ready_before_the_epoch(void **state)
{
    struct fixture *f = *state;
    struct world *w = calloc(1, sizeof(*w));
    struct answer a = {0};

    assert_non_null(w);
    world_open(w, &f->s);
    w->mode = TXN_HELD;
    assert_false(controller_core_is_ready(w->core));
    put_namespace(w, "team", &a);
    answers(&a, CAUSE_STORE_UNAVAILABLE);
    world_load(w);
    world_run(w);
    assert_false(controller_core_is_ready(w->core));
    w->mode = TXN_NORMAL;
    world_run(w);
    assert_true(controller_core_is_ready(w->core));
    world_close(w);
    free(w);
}

/* A store that fails at the start is asked again until it works. */
static void start_is_tried_again(void **state)
{
    static const enum txn_mode modes[] = {TXN_FAILS, TXN_UNKNOWN_LOST, TXN_UNKNOWN_MADE};
    struct fixture *f = *state;
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    world_open(w, &f->s);
    world_load(w);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        w->mode = modes[i];
        w->hold_events = true;
        world_pass(w, 20000);
        assert_false(controller_core_is_ready(w->core));
    }
    w->mode = TXN_NORMAL;
    w->hold_events = false;
    world_pass(w, 20000);
    assert_true(controller_core_is_ready(w->core));
    world_close(w);
    free(w);
}

/* Each start has an epoch of its own, and revisions grow over it. */
static void epoch_grows_over_restarts(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    uint64_t before;

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    before = agent_function(a, "hello")->revision;
    assert_int_equal(before >> 32, 1);
    world_restart(&f->w);
    assert_string_equal(store_model_get(&f->s, "/mayfly/epoch"), "{\"epoch\":2}");
    world_rejoin(&f->w, a, false);
    world_pass(&f->w, 5000);
    assert_int_equal(agent_function(a, "hello")->revision >> 32, 2);
    world_check(&f->w);
}

/* Two controllers by mistake: each has its own epoch, and both see both's changes. */
static void two_controllers(void **state)
{
    struct fixture *f = *state;
    struct world *other = calloc(1, sizeof(*other));
    struct model_agent *a, *b;

    assert_non_null(other);
    world_start(other, &f->s);
    world_run(&f->w);
    assert_string_equal(store_model_get(&f->s, "/mayfly/epoch"), "{\"epoch\":2}");
    a = world_join(&f->w, "n1", 1024);
    b = world_join(other, "n2", 1024);
    (void)world_deploy(&f->w, "one", 128, 0, 0);
    world_run(other);
    (void)world_deploy(other, "one", 128, 0, 0); /* knows of the first */
    (void)world_deploy(other, "two", 128, 0, 0);
    world_run(&f->w);
    assert_view(&f->w, "one", "versions.0.message", "superseded by version 2");
    assert_int_equal(world_number(&f->w, "two", "latest_version"), 1);
    assert_true(agent_function(b, "two")->revision > agent_function(a, "two")->revision);
    world_close(other);
    free(other);
}

/* Two controllers deploy the same function at once: both succeed, one after the other. */
static void two_controllers_race(void **state)
{
    struct fixture *f = *state;
    struct world *other = calloc(1, sizeof(*other));
    struct answer a = {0}, b = {0};
    struct function_spec spec;

    assert_non_null(other);
    function_spec_init(&spec);
    world_start(other, &f->s);
    world_run(&f->w);
    f->w.hold_events = true;
    world_put(&f->w, "race", &spec, 0, &a);
    world_put(other, "race", &spec, 0, &b);
    world_run(other); /* its version 1 is made first */
    world_run(&f->w);
    assert_int_equal(a.n, 0);
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(b.version, 1);
    assert_true(b.created);
    assert_int_equal(a.version, 2);
    assert_false(a.created);
    world_close(other);
    free(other);
}

/* Making a namespace twice succeeds; the second time it was there. */
static void namespaces(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    put_namespace(&f->w, "team", &a);
    assert_true(a.created);
    answers(&a, CAUSE_NONE);
    assert_int_equal(index_of(&f->w, "team"), 2);
    put_namespace(&f->w, "team", &a);
    assert_false(a.created);
    answers(&a, CAUSE_NONE);
    put_namespace(&f->w, "Team", &a);
    answers(&a, CAUSE_BAD_REQUEST);
    delete_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
    assert_int_equal(index_of(&f->w, "team"), -1);
    delete_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NOT_FOUND);
    delete_namespace(&f->w, "default", &a);
    answers(&a, CAUSE_CONFLICT);
}

/* An index is a uid: it is not given again when its namespace is gone. */
static void index_is_never_reused(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    for (int64_t i = 2; i < 6; i++) {
        put_namespace(&f->w, "team", &a);
        answers(&a, CAUSE_NONE);
        assert_int_equal(index_of(&f->w, "team"), i);
        delete_namespace(&f->w, "team", &a);
        answers(&a, CAUSE_NONE);
        if (i == 3) {
            world_restart(&f->w);
        }
    }
    store_model_put(&f->s, "/mayfly/namespace-index",
                    "{\"next\":1}"); /* someone's error */
    world_run(&f->w);
    put_namespace(&f->w, "team", &a);
    assert_int_equal(index_of(&f->w, "team"), 6);
}

/* Many at once each get an index of their own. */
static void namespaces_at_once(void **state)
{
    struct fixture *f = *state;
    struct answer a[20] = {0};
    char name[16];

    f->w.mode = TXN_DONE_FIRST;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "team-%d", i);
        controller_core_put_namespace(f->w.core, name, answer_cb, &a[i]);
    }
    world_run(&f->w);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "team-%d", i);
        answers(&a[i], CAUSE_NONE);
        assert_int_equal(index_of(&f->w, name), i + 2);
    }
}

/* A namespace with functions stays. */
static void namespace_in_use(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct package_ref p = {.format = SPEC_FORMAT_TAR};
    struct answer a = {0};

    function_spec_init(&spec);
    memset(p.digest, 'b', SPEC_DIGEST_LEN);
    controller_core_put_function(f->w.core, "team", "hello", &spec, &p, 0, answer_cb, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NOT_FOUND);
    put_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
    controller_core_put_function(f->w.core, "team", "hello", &spec, &p, 0, answer_cb, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    delete_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_CONFLICT);
    controller_core_delete_function(f->w.core, "team", "hello", 0, answer_cb, &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    delete_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
}

/* A function that another controller made in a namespace while that was being deleted was
 * acknowledged there: it stays, in its namespace. */
static void deleted_namespace_comes_back_for_a_function(void **state)
{
    struct fixture *f = *state;
    struct world *other = calloc(1, sizeof(*other));
    struct function_spec spec;
    struct package_ref p = {.format = SPEC_FORMAT_TAR};
    struct answer a = {0}, b = {0};

    assert_non_null(other);
    function_spec_init(&spec);
    memset(p.digest, 'b', SPEC_DIGEST_LEN);
    put_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
    world_start(other, &f->s);
    world_run(&f->w);
    f->w.hold_events = true;
    f->w.mode = TXN_DONE_FIRST;
    controller_core_put_function(other->core, "team", "hello", &spec, &p, 0, answer_cb,
                                 &b);
    world_run(other);
    answers(&b, CAUSE_NONE);
    delete_namespace(&f->w, "team", &a); /* has not heard of it */
    f->w.hold_events = false;
    world_run(&f->w);
    assert_non_null(strstr(a.text, "meanwhile"));
    answers(&a, CAUSE_CONFLICT);
    assert_int_equal(index_of(&f->w, "team"), 3);
    world_close(other);
    free(other);
}

/* A function is not made in a namespace that another controller has just deleted. */
static void namespace_deleted_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct function_spec spec;
    struct package_ref p = {.format = SPEC_FORMAT_TAR};
    struct answer a = {0};

    function_spec_init(&spec);
    memset(p.digest, 'b', SPEC_DIGEST_LEN);
    put_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
    f->w.hold_events = true;
    f->w.mode = TXN_DONE_FIRST;
    store_model_delete(&f->s, "/mayfly/namespaces/team");
    controller_core_put_function(f->w.core, "team", "hello", &spec, &p, 0, answer_cb, &a);
    world_run(&f->w);
    f->w.hold_events = false;
    world_run(&f->w);
    answers(&a, CAUSE_NOT_FOUND);
    assert_null(store_model_get(&f->s, "/mayfly/functions/team/hello"));
    assert_int_equal(index_of(&f->w, "team"), -1);
}

/* After a restart the same definitions are there. */
static void restart_knows_everything(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    json_t *before, *after;

    put_namespace(&f->w, "team", &a);
    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "one", 128, 3, 0);
    (void)world_deploy(&f->w, "one", 256, 0, 0);
    (void)world_deploy(&f->w, "two", 64, 0, 0);
    before = world_functions(&f->w, NULL);
    world_restart(&f->w);
    after = world_functions(&f->w, NULL);
    assert_int_equal(json_array_size(before), 2);
    assert_int_equal(json_array_size(after), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *x = json_array_get(before, i), *y = json_array_get(after, i);

        json_object_del(x, "grants"); /* no node is there yet */
        json_object_del(y, "grants");
        assert_true(json_equal(x, y));
    }
    json_decref(before);
    json_decref(after);
    assert_int_equal(index_of(&f->w, "team"), 2);
}

/* Values that cannot be read are left out and counted; the others are not disturbed. */
static void damage_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    struct function_spec spec;

    function_spec_init(&spec);
    (void)world_join(&f->w, "n1", 1024);
    (void)world_deploy_ready(&f->w, "good", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "bad", 128, 0, 0);
    store_model_put(&f->s, "/mayfly/functions/default/bad", "{\"latest\":");
    store_model_put(&f->s, "/mayfly/versions/default/good/00000000000000000009", "[]");
    store_model_put(&f->s, "/mayfly/namespaces/odd", "{\"index\":0}");
    store_model_put(&f->s, "/mayfly/something/else", "a later program's");
    world_run(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 3);
    assert_null(controller_core_function(f->w.core, "default", "bad"));
    assert_view(&f->w, "good", "state", "ready");
    world_check(&f->w);
    world_restart(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 3);
    assert_view(&f->w, "good", "state", "ready");

    world_put(&f->w, "bad", &spec, 0, &a); /* would overwrite what someone may mend */
    world_run(&f->w);
    assert_non_null(strstr(a.text, "cannot be read"));
    answers(&a, CAUSE_INTERNAL);
    world_delete(&f->w, "bad", &a);
    world_run(&f->w);
    answers(&a, CAUSE_NONE);
    assert_null(
        store_model_get(&f->s, "/mayfly/versions/default/bad/00000000000000000001"));
    assert_int_equal(controller_core_damaged(f->w.core), 2);
    (void)world_deploy(&f->w, "bad", 128, 0, 0);
}

/* An epoch or an index that cannot be read is not begun anew at 1. */
static void damaged_counters_still_grow(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    for (int i = 0; i < 5; i++) {
        world_restart(&f->w);
    }
    for (int i = 0; i < 3; i++) {
        put_namespace(&f->w, "team", &a);
        delete_namespace(&f->w, "team", &a);
        a = (struct answer){0};
    }
    store_model_put(&f->s, "/mayfly/epoch", "six");
    store_model_put(&f->s, "/mayfly/namespace-index", "{\"next\":-1}");
    world_restart(&f->w);
    assert_true(atoi(store_model_get(&f->s, "/mayfly/epoch") + strlen("{\"epoch\":")) >
                6);
    put_namespace(&f->w, "team", &a);
    answers(&a, CAUSE_NONE);
    assert_true(index_of(&f->w, "team") > 4);
    assert_int_equal(controller_core_damaged(f->w.core), 0);
}

/* A version whose definition cannot be read: it does not run, and a candidate fails. */
static void damaged_version(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);

    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    (void)world_deploy(&f->w, "hello", 128, 0, 0);
    store_model_put(&f->s, "/mayfly/versions/default/hello/00000000000000000002", "{}");
    world_run(&f->w);
    assert_view(&f->w, "hello", "versions.1.state", "failed");
    assert_view(&f->w, "hello", "versions.1.cause", "internal");
    assert_non_null(agent_grant(a, "hello", 1));
    store_model_put(&f->s, "/mayfly/versions/default/hello/00000000000000000001", "{}");
    world_run(&f->w);
    assert_null(agent_grant(a, "hello", 1));
    assert_int_equal(agent_function(a, "hello")->serving, 0);
    world_check(&f->w);
    /* Whose package it was is not known: none may be deleted. */
    assert_true(controller_core_package_used(f->w.core, "any"));
}

/* When the watch has lost its history, what is gone is found gone, and told. */
static void load_again_after_a_gap(void **state)
{
    struct fixture *f = *state;
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct answer n = {0};

    put_namespace(&f->w, "team", &n);
    (void)world_deploy_ready(&f->w, "stays", 128, 0, 0);
    (void)world_deploy_ready(&f->w, "goes", 128, 0, 0);
    f->w.hold_events = true;
    store_model_delete(&f->s, "/mayfly/functions/default/goes");
    store_model_delete(&f->s, "/mayfly/versions/default/goes/00000000000000000001");
    store_model_delete(&f->s, "/mayfly/namespaces/team");
    world_load(&f->w);
    f->w.hold_events = false;
    world_run(&f->w);
    assert_null(agent_function(a, "goes"));
    assert_non_null(agent_function(a, "stays"));
    assert_int_equal(index_of(&f->w, "team"), -1);
    assert_string_equal(store_model_get(&f->s, "/mayfly/epoch"), "{\"epoch\":1}");
    world_check(&f->w);
}

/* A function that was deleted and made anew in the gap is not taken for the old one,
 * though its version has the same number. */
static void recreated_in_a_gap(void **state)
{
    struct fixture *f = *state;
    struct world *other = calloc(1, sizeof(*other));
    struct model_agent *a = world_join(&f->w, "n1", 1024);
    struct version_load load = {
        .namespace_ = "default", .name = "hello", .version = 1, .invocations = 9};
    struct node_report r = {.loads = &load, .n_loads = 1};
    struct answer n = {0};

    assert_non_null(other);
    (void)world_deploy_ready(&f->w, "hello", 128, 0, 0);
    controller_core_node_report(f->w.core, "n1", &r);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 9);
    f->w.hold_events = true;
    world_start(other, &f->s);
    other->now_ms += 5000;
    world_delete(other, "hello", &n);
    world_run(other);
    answers(&n, CAUSE_NONE);
    (void)world_deploy(other, "hello", 256, 0, 0);
    world_load(&f->w);
    f->w.hold_events = false;
    world_run(&f->w);
    assert_int_equal(world_number(&f->w, "hello", "latest_version"), 1);
    assert_int_equal(agent_function(a, "hello")->serving, 0);
    assert_int_equal(agent_function(a, "hello")->memory_mib[0], 256);
    assert_int_equal(world_number(&f->w, "hello", "invocations"), 0);
    world_check(&f->w);
    world_close(other);
    free(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(first_start),
        TEST(not_ready_before_the_epoch),
        TEST(start_is_tried_again),
        TEST(epoch_grows_over_restarts),
        TEST(two_controllers),
        TEST(two_controllers_race),
        TEST(namespaces),
        TEST(index_is_never_reused),
        TEST(namespaces_at_once),
        TEST(namespace_in_use),
        TEST(deleted_namespace_comes_back_for_a_function),
        TEST(namespace_deleted_meanwhile),
        TEST(restart_knows_everything),
        TEST(damage_is_left_out),
        TEST(damaged_counters_still_grow),
        TEST(damaged_version),
        TEST(load_again_after_a_gap),
        TEST(recreated_in_a_gap),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: store", tests, NULL, NULL);
}
