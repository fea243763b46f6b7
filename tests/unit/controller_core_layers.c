/* Layers: published, deleted, and what a version has of them. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <string.h>

static const char *digest(char c)
{
    static char text[SPEC_DIGEST_LEN + 1];

    memset(text, c, SPEC_DIGEST_LEN);
    return text;
}

static struct answer publish_in(struct world *w, const char *ns, const char *name, char c)
{
    struct package_ref p = {.bytes = 7, .format = SPEC_FORMAT_ZIP};
    struct answer a = {0};

    (void)stpcpy(p.digest, digest(c));
    controller_core_publish_layer(w->core, ns, name, &p, "what it is", NULL, answer_cb,
                                  &a);
    world_run(w);
    assert_int_equal(a.n, 1);
    return a;
}

static uint64_t publish(struct world *w, const char *name, char c)
{
    struct answer a = publish_in(w, "default", name, c);

    assert_int_equal(a.cause, CAUSE_NONE);
    return a.version;
}

static enum cause delete_layer(struct world *w, const char *name, uint64_t number)
{
    struct answer a = {0};

    controller_core_delete_layer(w->core, "default", name, number, answer_cb, &a);
    world_run(w);
    assert_int_equal(a.n, 1);
    return a.cause;
}

static struct answer deploy(struct world *w, const char *name, const char *const *layers)
{
    struct function_spec spec;
    struct answer a = {0};

    function_spec_init(&spec);
    for (; *layers != NULL; layers++) {
        struct spec_layer l = {.version = 0};
        unsigned version = 0;

        assert_true(sscanf(*layers, "%63[a-z]:%u", l.name, &version) > 0);
        l.version = version;
        assert_int_equal(function_spec_add_layer(&spec, &l), 0);
    }
    world_put(w, name, &spec, 0, &a);
    world_run(w);
    function_spec_free(&spec);
    assert_int_equal(a.n, 1);
    return a;
}
#define DEPLOY(w, name, ...) deploy(w, name, (const char *const[]){__VA_ARGS__, NULL})

/* Numbers count up, and none is given again. */
static void numbers_are_never_given_twice(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(publish(&f->w, "tools", 'a'), 1);
    assert_int_equal(publish(&f->w, "tools", 'b'), 2);
    assert_int_equal(publish(&f->w, "other", 'c'), 1);
    assert_int_equal(delete_layer(&f->w, "tools", 2), CAUSE_NONE);
    assert_int_equal(delete_layer(&f->w, "tools", 2), CAUSE_NOT_FOUND);
    assert_int_equal(delete_layer(&f->w, "tools", 1), CAUSE_NONE);
    assert_null(controller_core_layer(f->w.core, "default", "tools"));
    world_restart(&f->w);
    assert_int_equal(publish(&f->w, "tools", 'd'), 3);
    world_check(&f->w);
}

/* A version has what its layers stood for when it was made. */
static void a_version_keeps_its_layers(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    (void)publish(&f->w, "tools", 'a');
    (void)publish(&f->w, "tools", 'b');
    (void)publish(&f->w, "more", 'c');
    assert_int_equal(DEPLOY(&f->w, "hello", "tools", "more:1").cause, CAUSE_NONE);
    assert_view(&f->w, "hello", "spec.layers.0.name", "tools");
    assert_int_equal(world_number(&f->w, "hello", "spec.layers.0.version"), 2);
    assert_view(&f->w, "hello", "spec.layers.0.package.digest", digest('b'));
    assert_view(&f->w, "hello", "spec.layers.1.package.digest", digest('c'));
    (void)publish(&f->w, "tools", 'd');
    assert_int_equal(delete_layer(&f->w, "tools", 2), CAUSE_NONE);
    world_restart(&f->w);
    assert_int_equal(world_number(&f->w, "hello", "spec.layers.0.version"), 2);
    assert_view(&f->w, "hello", "spec.layers.0.package.digest", digest('b'));
    world_check(&f->w);
}

/* Who has a version of a layer that was deleted keeps it through its next deployments;
 * nobody else can have it any more. */
static void keeps_what_was_deleted(void **state)
{
    struct fixture *f = *state;

    (void)world_join(&f->w, "n1", 1024);
    (void)publish(&f->w, "tools", 'a');
    assert_int_equal(DEPLOY(&f->w, "hello", "tools:1").cause, CAUSE_NONE);
    assert_int_equal(delete_layer(&f->w, "tools", 1), CAUSE_NONE);
    assert_int_equal(DEPLOY(&f->w, "hello", "tools:1").cause, CAUSE_NONE);
    assert_view(&f->w, "hello", "versions.1.spec.layers.0.package.digest", digest('a'));
    assert_int_equal(DEPLOY(&f->w, "other", "tools:1").cause, CAUSE_NOT_FOUND);
    world_check(&f->w);
}

static struct answer set_attribute(struct world *w, uint64_t number, const json_t *value,
                                   uint64_t if_revision)
{
    struct answer a = {0};

    controller_core_set_layer_attribute(w->core, "default", "tools", number, "policy",
                                        value, if_revision, answer_cb, &a);
    world_run(w);
    assert_int_equal(a.n, 1);
    return a;
}

static json_t *attribute_of(struct world *w, uint64_t number)
{
    json_t *v = controller_core_layer_version(w->core, "default", "tools", number);
    json_t *value =
        json_incref(json_object_get(json_object_get(v, "attributes"), "policy"));

    json_decref(v);
    return value;
}

/* What is kept with a version is its own, survives a restart, and changes only for who
 * knows how the layer is. */
static void keeps_attributes(void **state)
{
    struct fixture *f = *state;
    json_t *value = json_pack("[s]", "one"), *layer, *kept;
    uint64_t revision;

    (void)publish(&f->w, "tools", 'a');
    (void)publish(&f->w, "tools", 'b');
    layer = controller_core_layer(f->w.core, "default", "tools");
    revision = (uint64_t)json_integer_value(json_object_get(layer, "revision"));
    json_decref(layer);
    assert_int_equal(set_attribute(&f->w, 1, value, revision).cause, CAUSE_NONE);
    assert_int_equal(set_attribute(&f->w, 2, value, revision).cause, CAUSE_CONFLICT);
    assert_int_equal(set_attribute(&f->w, 3, value, 0).cause, CAUSE_NOT_FOUND);
    assert_int_equal(set_attribute(&f->w, 0, value, 0).cause, CAUSE_NOT_FOUND);
    world_restart(&f->w);
    kept = attribute_of(&f->w, 1);
    assert_true(json_equal(kept, value));
    json_decref(kept);
    assert_null(attribute_of(&f->w, 2));
    assert_int_equal(set_attribute(&f->w, 1, NULL, 0).cause, CAUSE_NONE);
    assert_null(attribute_of(&f->w, 1));
    json_decref(value);
    world_check(&f->w);
}

/* A layer that is not there is named, and no version is made. */
static void refuses_layers_that_are_not_there(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    (void)publish(&f->w, "tools", 'a');
    a = DEPLOY(&f->w, "hello", "tools", "none");
    assert_int_equal(a.cause, CAUSE_NOT_FOUND);
    assert_string_equal(a.text, "there is no layer none in namespace default");
    a = DEPLOY(&f->w, "hello", "tools:2");
    assert_int_equal(a.cause, CAUSE_NOT_FOUND);
    assert_string_equal(a.text, "layer tools has no version 2: `mayfly layer list`");
    assert_null(controller_core_function(f->w.core, "default", "hello"));
    world_check(&f->w);
}

/* A package is kept while a version of a layer, or of a function with it, needs it. */
static void keeps_packages(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    (void)publish(&f->w, "tools", 'a');
    assert_true(controller_core_package_used(f->w.core, digest('a')));
    assert_int_equal(DEPLOY(&f->w, "hello", "tools").cause, CAUSE_NONE);
    assert_int_equal(delete_layer(&f->w, "tools", 1), CAUSE_NONE);
    assert_true(controller_core_package_used(f->w.core, digest('a')));
    world_delete(&f->w, "hello", &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_NONE);
    assert_false(controller_core_package_used(f->w.core, digest('a')));
}

/* A namespace with layers is not empty; there is none in one that is not there. */
static void belongs_to_a_namespace(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};

    assert_int_equal(publish_in(&f->w, "team", "tools", 'a').cause, CAUSE_NOT_FOUND);
    controller_core_put_namespace(f->w.core, "team", answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(publish_in(&f->w, "team", "tools", 'a').cause, CAUSE_NONE);
    assert_int_equal(DEPLOY(&f->w, "hello", "tools").cause, CAUSE_NOT_FOUND);
    a = (struct answer){0};
    controller_core_delete_namespace(f->w.core, "team", answer_cb, &a);
    world_run(&f->w);
    assert_int_equal(a.cause, CAUSE_CONFLICT);
    assert_string_equal(a.text, "namespace team has layers; delete them first");
}

/* What the store does to a transaction: made or not, known or not, it is made once. */
static void bears_the_store(void **state)
{
    static const enum txn_mode modes[] = {TXN_DONE_FIRST, TXN_UNKNOWN_MADE,
                                          TXN_UNKNOWN_LOST};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct package_ref p = {.format = SPEC_FORMAT_ZIP};
        struct answer a = {0};

        (void)stpcpy(p.digest, digest('a'));
        f->w.mode = modes[i];
        controller_core_publish_layer(f->w.core, "default", "tools", &p, "", NULL,
                                      answer_cb, &a);
        (void)world_step(&f->w);
        f->w.mode = TXN_NORMAL;
        world_pass(&f->w, 5000);
        assert_int_equal(a.n, 1);
        assert_int_equal(a.cause, CAUSE_NONE);
        assert_int_equal(a.version, i + 1);
    }
    world_check(&f->w);
}

/* A record that cannot be read is left out, and its packages may be what is needed. */
static void bears_damage(void **state)
{
    struct fixture *f = *state;

    (void)publish(&f->w, "tools", 'a');
    store_model_put(&f->s, "/mayfly/layers/default/tools", "{\"latest\": 0}");
    world_run(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 1);
    assert_null(controller_core_layer(f->w.core, "default", "tools"));
    assert_true(controller_core_package_used(f->w.core, digest('z')));
    assert_int_equal(publish_in(&f->w, "default", "tools", 'a').cause, CAUSE_INTERNAL);
    store_model_delete(&f->s, "/mayfly/layers/default/tools");
    world_run(&f->w);
    assert_int_equal(controller_core_damaged(f->w.core), 0);
    assert_int_equal(publish(&f->w, "tools", 'a'), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_never_given_twice),
        TEST(a_version_keeps_its_layers),
        TEST(keeps_what_was_deleted),
        TEST(keeps_attributes),
        TEST(refuses_layers_that_are_not_there),
        TEST(keeps_packages),
        TEST(belongs_to_a_namespace),
        TEST(bears_the_store),
        TEST(bears_damage),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
