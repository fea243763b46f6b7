/* Access keys and attributes in the controller's core. */
#include <string.h>

#include "controller_core_world.h"

#define ID     "AKIATEST"
#define BLANKS "a secret with blanks"
#define GOOD   "0123456789abcdef"

static void put(struct world *w, const char *ns, const char *id, struct answer *a)
{
    *a = (struct answer){0};
    controller_core_put_key(w->core, ns, id, GOOD, answer_cb, a);
    world_run(w);
}

static void drop(struct world *w, const char *ns, const char *id, struct answer *a)
{
    *a = (struct answer){0};
    controller_core_delete_key(w->core, ns, id, answer_cb, a);
    world_run(w);
}

/* A key is there once it is acknowledged, with its secret; and gone once it is deleted.
 */
static void makes_and_deletes(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct key_state k;
    struct answer a;
    json_t *all;
    struct core_list list = world_collect(&all);

    put(w, "default", ID, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_true(a.created);
    assert_true(controller_core_access_key(w->core, ID, &k));
    assert_string_equal(k.secret, GOOD);
    assert_string_equal(k.namespace_, "default");
    assert_int_equal(controller_core_access_keys(w->core, "default", &list), 0);
    assert_int_equal(json_array_size(all), 1);
    assert_null(json_object_get(json_array_get(all, 0), "secret"));
    json_decref(all);
    drop(w, "default", ID, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_false(controller_core_access_key(w->core, ID, &k));
}

/* An id is one key's, in whatever namespace; a namespace with keys stays. */
static void guards_ids_and_namespaces(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct answer a = {0};

    controller_core_put_namespace(w->core, "team", answer_cb, &a);
    world_run(w);
    put(w, "team", ID, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    put(w, "default", ID, &a);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
    drop(w, "default", ID, &a);
    assert_int_equal(a.cause, CAUSE_NOT_FOUND);
    a = (struct answer){0};
    controller_core_delete_namespace(w->core, "team", answer_cb, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
    drop(w, "team", ID, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
}

/* What is no id, no secret, no namespace is refused by name. */
static void refuses_what_is_none(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct answer a;

    put(w, "default", "a-b/c", &a);
    assert_int_equal(a.cause, CAUSE_BAD_REQUEST);
    put(w, "nosuch", ID, &a);
    assert_int_equal(a.cause, CAUSE_NOT_FOUND);
    a = (struct answer){0};
    controller_core_put_key(w->core, "default", ID, "short", answer_cb, &a);
    assert_int_equal(a.cause, CAUSE_BAD_REQUEST);
    a = (struct answer){0};
    controller_core_put_key(w->core, "default", ID, BLANKS, answer_cb, &a);
    assert_int_equal(a.cause, CAUSE_BAD_REQUEST);
}

/* Another controller on the same store has the same keys. */
static void outlives_the_controller(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct key_state k;
    struct answer a;

    put(w, "default", ID, &a);
    world_restart(w);
    world_run(w);
    assert_true(controller_core_access_key(w->core, ID, &k));
    assert_string_equal(k.secret, GOOD);
}

/* A key that nobody understands is damaged, and counts as not there. */
static void leaves_out_what_it_cannot_read(void **state)
{
    struct fixture *f = *state;
    struct key_state k;

    store_model_put(&f->s, "/mayfly/keys/" ID, "{\"namespace\":\"default\"}");
    world_run(&f->w);
    assert_false(controller_core_access_key(f->w.core, ID, &k));
    assert_int_equal(controller_core_damaged(f->w.core), 1);
    store_model_delete(&f->s, "/mayfly/keys/" ID);
    world_run(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 0);
}

/* --- attributes --------------------------------------------------------------------- */

static void set(struct world *w, const char *name, const json_t *value, uint64_t revision,
                struct answer *a)
{
    *a = (struct answer){0};
    controller_core_set_attribute(w->core, "default", "f", name, value, revision,
                                  answer_cb, a);
    world_run(w);
}

/* Attributes stay over deployments and restarts, and go with the function. */
static void keeps_attributes(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    json_t *tags = json_pack("{s:s}", "a", "b");
    struct answer a;

    (void)world_join(w, "n1", 1024);
    world_pass(w, 10);
    (void)world_deploy_ready(w, "f", 64, 0, 0);
    set(w, "tags", tags, 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_view(w, "f", "attributes.tags.a", "b");
    (void)world_deploy(w, "f", 128, 0, 0);
    assert_view(w, "f", "attributes.tags.a", "b");
    world_restart(w);
    world_run(w);
    assert_view(w, "f", "attributes.tags.a", "b");
    set(w, "tags", NULL, 0, &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    json_decref(tags);
}

/* A change that was based on another revision is refused; so is one of nothing. */
static void guards_attributes(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    json_t *tags = json_pack("{s:s}", "a", "b");
    struct answer a;

    set(w, "tags", tags, 0, &a);
    assert_int_equal(a.cause, CAUSE_NOT_FOUND);
    (void)world_deploy(w, "f", 64, 0, 0);
    set(w, "tags", tags, 1, &a);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
    set(w, "tags", tags, (uint64_t)world_number(w, "f", "revision"), &a);
    assert_int_equal(a.cause, CAUSE_NONE);
    json_decref(tags);
}

/* CORE_ABSENT: only where there is none yet. */
static void makes_only_once(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct function_spec spec;
    struct answer a = {0};

    function_spec_init(&spec);
    world_put(w, "f", &spec, CORE_ABSENT, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
    a = (struct answer){0};
    world_put(w, "f", &spec, CORE_ABSENT, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(makes_and_deletes),
        T(guards_ids_and_namespaces),
        T(refuses_what_is_none),
        T(outlives_the_controller),
        T(leaves_out_what_it_cannot_read),
        T(keeps_attributes),
        T(guards_attributes),
        T(makes_only_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
