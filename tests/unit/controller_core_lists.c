/* Lists in pages: by name, whatever comes and goes between one page and the next. */
#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/page.h"

#define NAMES_MAX 200

/* What a reader of pages has seen, in that order: "namespace/name". */
struct reader {
    char seen[NAMES_MAX][2 * SPEC_NAME_MAX + 2];
    size_t n;
    size_t takes; /* it wants no more after so many of a page; 0: all */
    size_t of_page;
    char namespace_[SPEC_NAME_MAX + 1], name[SPEC_NAME_MAX + 1]; /* the last */
};

static bool take(void *data, const char *namespace_, const char *name, json_t *item)
{
    struct reader *r = data;

    assert_true(r->n < NAMES_MAX);
    (void)snprintf(r->seen[r->n++], sizeof(r->seen[0]), "%s/%s", namespace_, name);
    (void)snprintf(r->namespace_, sizeof(r->namespace_), "%s", namespace_);
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    json_decref(item);
    return ++r->of_page != r->takes;
}

static struct core_list next_page(struct reader *r, size_t limit)
{
    r->of_page = 0;
    return (struct core_list){.after = r->n > 0 ? r->name : NULL,
                              .after_namespace = r->n > 0 ? r->namespace_ : NULL,
                              .limit = limit,
                              .each = take,
                              .data = r};
}

static void put_namespace(struct world *w, const char *name)
{
    struct answer a = {0};

    controller_core_put_namespace(w->core, name, answer_cb, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

static void deploy(struct world *w, const char *namespace_, const char *name,
                   bool publish)
{
    struct package_ref package = {.bytes = 7, .format = SPEC_FORMAT_ZIP};
    struct function_spec spec;
    struct answer a = {0};

    memset(package.digest, 'a', SPEC_DIGEST_LEN);
    function_spec_init(&spec);
    if (publish) {
        controller_core_put_published(w->core, namespace_, name, &spec, &package, "", 0,
                                      answer_cb, &a);
    } else {
        controller_core_put_function(w->core, namespace_, name, &spec, &package, 0,
                                     answer_cb, &a);
    }
    function_spec_free(&spec);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

static void put_in(struct world *w, const char *namespace_, const char *name)
{
    deploy(w, namespace_, name, false);
}

static void delete_from(struct world *w, const char *namespace_, const char *name)
{
    struct answer a = {0};

    controller_core_delete_function(w->core, namespace_, name, 0, answer_cb, &a);
    world_run(w);
    assert_int_equal(a.cause, CAUSE_NONE);
}

/* Pages are by namespace and name, not as the functions came; the last one says so, also
 * when it is full. */
static void functions_come_by_name(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    static const char *const expected[] = {"a/z",       "default/b", "default/c",
                                           "default/d", "team/a",    "team/b"};
    struct reader r = {.n = 0};
    struct core_list list;

    put_namespace(w, "team");
    put_namespace(w, "a");
    put_in(w, "team", "b");
    put_in(w, "default", "d");
    put_in(w, "default", "b");
    put_in(w, "a", "z");
    put_in(w, "team", "a");
    put_in(w, "default", "c");
    for (size_t page = 0; page < 3; page++) {
        list = next_page(&r, 2);
        assert_int_equal(controller_core_functions(w->core, NULL, &list), page < 2);
        assert_int_equal(r.n, 2 * page + 2);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(r.seen[i], expected[i]);
    }
    list = next_page(&r, 2);
    assert_int_equal(controller_core_functions(w->core, NULL, &list), 0);
    assert_int_equal(r.n, 6);
    r.n = 0;
    list = next_page(&r, 2);
    assert_int_equal(controller_core_functions(w->core, "default", &list), 1);
    assert_string_equal(r.seen[0], "default/b");
    assert_string_equal(r.seen[1], "default/c");
    r.n = 0;
    list = next_page(&r, 2);
    assert_int_equal(controller_core_functions(w->core, "nowhere", &list), 0);
    assert_int_equal(r.n, 0);
}

/* A reader that has had enough is told whether there would have been more. */
static void readers_may_stop(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct reader r = {.takes = 2};
    struct core_list list;

    for (unsigned i = 0; i < 4; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "f%u", i);
        put_in(w, "default", name);
    }
    list = next_page(&r, 4);
    assert_int_equal(controller_core_functions(w->core, NULL, &list), 1);
    assert_int_equal(r.n, 2);
    list = next_page(&r, 4);
    assert_int_equal(controller_core_functions(w->core, NULL, &list), 0);
    assert_string_equal(r.seen[3], "default/f3");
}

/* What is there from the first page to the last is listed once, though the function at
 * which a page ended is deleted and others come before and after it. */
static void changes_between_pages_move_nothing(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct reader r = {.n = 0};
    struct core_list list;
    char name[8];
    size_t stayed = 0;
    int more;

    for (unsigned i = 10; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        put_in(w, "default", name);
    }
    for (unsigned page = 0;; page++) {
        list = next_page(&r, 7);
        more = controller_core_functions(w->core, NULL, &list);
        if (more == 0) {
            break;
        }
        delete_from(w, "default", r.name);
        (void)snprintf(name, sizeof(name), "e%u", page);
        put_in(w, "default", name); /* before all that are still to come */
    }
    for (size_t i = 0; i < r.n; i++) {
        assert_true(i == 0 || strcmp(r.seen[i - 1], r.seen[i]) < 0);
        stayed += strncmp(r.seen[i], "default/f", 9) == 0;
    }
    assert_int_equal(stayed, 30);
    assert_int_equal(r.n, 30);
}

/* Namespaces, nodes and keys have the same order and the same ends. */
static void other_lists_have_pages_too(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    struct reader r = {.n = 0};
    struct core_list list;
    struct answer a = {0};

    put_namespace(w, "a");
    list = next_page(&r, 1);
    assert_int_equal(controller_core_namespaces(w->core, &list), 1);
    r.namespace_[0] = '\0';
    list = next_page(&r, 1);
    assert_int_equal(controller_core_namespaces(w->core, &list), 0);
    assert_string_equal(r.seen[0], "/a");
    assert_string_equal(r.seen[1], "/default");

    r.n = 0;
    (void)world_join(w, "n2", 64);
    world_leave(w, world_join(w, "n1", 64));
    list = next_page(&r, 1);
    assert_int_equal(controller_core_nodes(w->core, &list), 1);
    list = next_page(&r, 1);
    assert_int_equal(controller_core_nodes(w->core, &list), 0);
    assert_string_equal(r.seen[0], "/n1");
    assert_string_equal(r.seen[1], "/n2");

    r.n = 0;
    controller_core_put_key(w->core, "default", "KEY2", "0123456789", answer_cb, &a);
    world_run(w);
    controller_core_put_key(w->core, "default", "KEY1", "0123456789", answer_cb, &a);
    world_run(w);
    list = next_page(&r, 1);
    assert_int_equal(controller_core_access_keys(w->core, "default", &list), 1);
    list = next_page(&r, 1);
    assert_int_equal(controller_core_access_keys(w->core, "default", &list), 0);
    assert_string_equal(r.seen[0], "default/KEY1");
    assert_string_equal(r.seen[1], "default/KEY2");
}

static json_t *no_view(const struct controller_core *c, const void *item)
{
    return json_null();
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Of names in any order, with a limit of any size, pages give them all, sorted. */
static void any_order_any_limit(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    char names[NAMES_MAX][8], sorted[NAMES_MAX][8];

    for (unsigned i = 0; i < NAMES_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%04u", i * 7919 % 9973);
    }
    memcpy(sorted, names, sizeof(names));
    qsort(sorted, NAMES_MAX, sizeof(sorted[0]), compare_text);
    for (size_t limit = 1; limit <= NAMES_MAX + 1; limit += 1 + world_random(w) % 9) {
        struct reader r = {.n = 0};
        int more = 1;

        while (more == 1) {
            struct core_list list = next_page(&r, limit);
            struct page p;

            page_init(&p, &list);
            for (size_t i = 0; i < NAMES_MAX; i++) {
                page_offer(&p, "", names[i], names[i]);
            }
            more = page_show(&p, w->core, no_view);
        }
        assert_int_equal(more, 0);
        assert_int_equal(r.n, NAMES_MAX);
        for (size_t i = 0; i < NAMES_MAX; i++) {
            assert_string_equal(r.seen[i] + 1, sorted[i]);
        }
    }
}

/* An account's numbers are the namespace's alone, and of packages that are kept. */
static void accounts_are_summed(void **state)
{
    struct world *w = &((struct fixture *)*state)->w;
    json_t *calls = json_pack("{s:i}", "calls", 30),
           *one = json_pack("{s:i}", "calls", 5);
    struct core_account a;
    struct answer reply = {0};

    put_namespace(w, "team");
    put_in(w, "team", "f");
    put_in(w, "default", "f");
    put_in(w, "default",
           "f"); /* the version before is not published: it does not count */
    deploy(w, "default", "g", true); /* the latest, and published: it counts twice */
    controller_core_set_attribute(w->core, "default", "f", CORE_RESERVED, calls, 0,
                                  answer_cb, &reply);
    world_run(w);
    controller_core_set_attribute(w->core, "default", "g", CORE_PROVISIONED ":1", one, 0,
                                  answer_cb, &reply);
    world_run(w);
    a = controller_core_account(w->core, "default");
    assert_int_equal(a.functions, 2);
    assert_int_equal(a.calls, 35);
    assert_int_equal(a.package_bytes, 3 * 7);
    assert_int_equal(controller_core_account(w->core, "team").functions, 1);
    assert_int_equal(controller_core_account(w->core, "nowhere").functions, 0);
    json_decref(calls);
    json_decref(one);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(functions_come_by_name),     T(readers_may_stop),
        T(other_lists_have_pages_too), T(changes_between_pages_move_nothing),
        T(any_order_any_limit),        T(accounts_are_summed),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
