/* A controller's core without memory: whichever allocation fails, the request is
 * answered, the parts fit together, nothing leaks (under asan), and with memory all comes
 * right. */
#include "tests/unit/controller_core_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"

/* The allocation that fails, counted down; 0: none does. */
static unsigned countdown;
static bool failed;

static bool fails(void)
{
    if (countdown > 0 && --countdown == 0) {
        failed = true;
        return true;
    }
    return false;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

static void *json_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

/* Each thing is done with its first allocation failing, then its second, and so on until
 * it does with none failing. */
struct thing {
    const char *what;
    void (*prepare)(struct fixture *f); /* may be NULL */
    void (*happens)(struct fixture *f);
};

static struct answer answer;

static void nodes_and_functions(struct fixture *f)
{
    (void)world_join(&f->w, "n1", 1024);
    (void)world_join(&f->w, "n2", 1024);
    (void)world_deploy_ready(&f->w, "old", 128, 4, 2);
    (void)world_deploy(&f->w, "next", 64, 0, 0);
}

static void deploys(struct fixture *f)
{
    struct function_spec spec;

    function_spec_init(&spec);
    spec.memory_mib = 32;
    world_put(&f->w, "hello", &spec, 0, &answer);
}

static void deploys_again(struct fixture *f)
{
    struct function_spec spec;

    function_spec_init(&spec);
    world_put(&f->w, "old", &spec, 0, &answer);
}

static void deletes(struct fixture *f)
{
    world_delete(&f->w, "old", &answer);
}

static void makes_a_namespace(struct fixture *f)
{
    controller_core_put_namespace(f->w.core, "team", answer_cb, &answer);
}

static void deletes_a_namespace(struct fixture *f)
{
    controller_core_delete_namespace(f->w.core, "team", answer_cb, &answer);
}

static void waits(struct fixture *f)
{
    controller_core_wait_version(f->w.core, "default", "next", 1, 1000, answer_cb,
                                 &answer);
}

static void is_proved(struct fixture *f)
{
    struct version_report r = {
        .namespace_ = "default", .name = "next", .version = 1, .ready = true};

    controller_core_version_report(f->w.core, "n1", &r);
    controller_core_version_report(f->w.core, "n2", &r);
}

static void cannot_start(struct fixture *f)
{
    struct version_report r = {.namespace_ = "default",
                               .name = "next",
                               .version = 1,
                               .cause = CAUSE_NO_CAPACITY,
                               .text = "full"};

    controller_core_version_report(f->w.core, "n1", &r);
    controller_core_version_report(f->w.core, "n2", &r);
}

static void node_goes(struct fixture *f)
{
    f->w.agents[0].connected = false;
    f->w.agents[0].has_snapshot = false;
    controller_core_node_left(f->w.core, "n1", "gone");
}

static void node_comes(struct fixture *f)
{
    struct node_hello h = {.node = "n2",
                           .boot = "b2",
                           .version = "",
                           .gateway = "x:1",
                           .memory_bytes = 512 * MIB,
                           .labels = (const char *const[]){"a=b", "c=d", NULL}};

    f->w.agents[1].memory_bytes = 512 * MIB;
    controller_core_node_joined(f->w.core, &h);
}

static void node_reports(struct fixture *f)
{
    struct version_load l = {
        .namespace_ = "default", .name = "old", .version = 1, .idle = 1};
    struct node_report r = {.full = true, .loads = &l, .n_loads = 1};

    controller_core_node_report(f->w.core, "n1", &r);
}

/* Load that asks for more than is kept warm: it is said again until that is so. */
static void load_comes(struct fixture *f)
{
    struct version_load l = {.namespace_ = "default",
                             .name = "old",
                             .version = 1,
                             .busy = 2,
                             .in_flight = 2,
                             .queued = 2};
    struct node_report r = {.loads = &l, .n_loads = 1};

    controller_core_node_report(f->w.core, "n1", &r);
    controller_core_node_report(f->w.core, "n1", &r);
    CHECK(failed || controller_core_counts(f->w.core).desired == 4);
    controller_core_node_report(f->w.core, "n1", &r);
    CHECK(controller_core_counts(f->w.core).desired == 4);
}

static void snapshot_is_taken(struct fixture *f)
{
    controller_core_snapshot(f->w.core, "n1");
}

static json_t *listed(const struct fixture *f,
                      int (*list_all)(const struct controller_core *,
                                      const struct core_list *))
{
    json_t *all;
    struct core_list list = world_collect(&all);

    if (list_all(f->w.core, &list) < 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static void views_are_read(struct fixture *f)
{
    json_t *all[] = {world_functions(&f->w, NULL),
                     world_functions(&f->w, "default"),
                     controller_core_function(f->w.core, "default", "old"),
                     controller_core_version(f->w.core, "default", "next", 1),
                     listed(f, controller_core_namespaces),
                     controller_core_namespace(f->w.core, "default"),
                     listed(f, controller_core_nodes),
                     controller_core_node(f->w.core, "n1")};
    size_t n_missing = 0;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        n_missing += all[i] == NULL ? 1 : 0;
        json_decref(all[i]);
    }
    CHECK(n_missing <= 1 && (failed || n_missing == 0));
}

static void namespace_is_there(struct fixture *f)
{
    makes_a_namespace(f);
    world_run(&f->w);
}

static const struct thing things[] = {
    {"deploys", NULL, deploys},
    {"deploys on nodes", nodes_and_functions, deploys},
    {"deploys again", nodes_and_functions, deploys_again},
    {"deletes", nodes_and_functions, deletes},
    {"makes a namespace", NULL, makes_a_namespace},
    {"deletes a namespace", namespace_is_there, deletes_a_namespace},
    {"waits", nodes_and_functions, waits},
    {"is proved", nodes_and_functions, is_proved},
    {"cannot start", nodes_and_functions, cannot_start},
    {"node goes", nodes_and_functions, node_goes},
    {"node comes", nodes_and_functions, node_comes},
    {"node reports", nodes_and_functions, node_reports},
    {"load comes", nodes_and_functions, load_comes},
    {"snapshot", nodes_and_functions, snapshot_is_taken},
    {"views", nodes_and_functions, views_are_read},
};

/* Whether the nth allocation was reached. */
static bool happens_without(const struct thing *t, unsigned nth)
{
    void *state;
    struct fixture *f;

    CHECK(fixture_setup(&state) == 0);
    f = state;
    if (t->prepare != NULL) {
        t->prepare(f);
    }
    answer = (struct answer){0};
    failed = false;
    countdown = nth;
    t->happens(f);
    countdown = 0;
    controller_core_invariant(f->w.core);
    world_pass(&f->w, 15000);
    CHECK(answer.n <= 1);
    CHECK(answer.cause == CAUSE_NONE || (answer.cause == CAUSE_INTERNAL && failed));
    world_check(&f->w);
    (void)world_deploy(&f->w, "after", 16, 0, 0);
    world_check(&f->w);
    CHECK(fixture_teardown(&state) == 0);
    return failed;
}

static void every_allocation_may_fail(void **state)
{
    json_set_alloc_funcs(json_malloc, free);
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        unsigned nth = 1;

        while (happens_without(&things[i], nth)) {
            nth += nth > 100 ? 7 : 1; /* the views make over a thousand */
            assert_in_range(nth, 1, 10000);
        }
        print_message("# %s: %u allocations\n", things[i].what, nth - 1);
    }
}

static uint64_t always_7(void *ctx)
{
    return 7;
}

/* A core that cannot be made leaves nothing behind. */
static void creation_may_fail(void **state)
{
    struct controller_io io = {.now_ms = always_7, .random = always_7};
    struct controller_core_options options = {0};
    struct controller_core *c = NULL;

    for (unsigned nth = 1;; nth++) {
        int rc;

        failed = false;
        countdown = nth;
        rc = controller_core_new(&c, &io, &options);
        countdown = 0;
        if (!failed) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_null(c);
    }
    (void)controller_core_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(creation_may_fail),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: memory", tests, NULL, NULL);
}
