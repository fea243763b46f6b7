/* Unit tests for the intrusive ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "common/list.h"

struct item {
    int number;
    struct list node;
};

static int sum_in_order(const struct list *head)
{
    int digits = 0;

    LIST_FOREACH(it, head)
    {
        digits = digits * 10 + container_of(it, struct item, node)->number;
    }
    return digits;
}

/* Items come out in the order in which they went in at either end. */
static void keeps_order(void **state)
{
    struct list head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    (void)state;

    list_init(&head);
    assert_true(list_empty(&head));
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    assert_false(list_empty(&head));
    assert_int_equal(sum_in_order(&head), 123);
    assert_ptr_equal(head.prev, &items[2].node);
}

/* Removing twice is harmless, and a removed node can go on a list again. */
static void removes_twice(void **state)
{
    struct list head;
    struct item items[2] = {{.number = 1}, {.number = 2}};
    (void)state;

    list_init(&head);
    list_push_back(&head, &items[0].node);
    list_push_back(&head, &items[1].node);
    list_remove(&items[0].node);
    list_remove(&items[0].node);
    assert_int_equal(sum_in_order(&head), 2);
    list_push_back(&head, &items[0].node);
    assert_int_equal(sum_in_order(&head), 21);
    list_remove(&items[1].node);
    list_remove(&items[0].node);
    assert_true(list_empty(&head));
    assert_ptr_equal(head.prev, &head);
}

/* The safe loop visits all although its body takes each node off. */
static void removes_while_walking(void **state)
{
    struct list head;
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    int seen = 0;
    (void)state;

    list_init(&head);
    for (int i = 0; i < 4; i++) {
        list_push_back(&head, &items[i].node);
    }
    LIST_FOREACH_SAFE(it, &head)
    {
        struct item *item = container_of(it, struct item, node);

        seen = seen * 10 + item->number;
        if (item->number % 2 == 0) {
            list_remove(it);
        }
    }
    assert_int_equal(seen, 1234);
    assert_int_equal(sum_in_order(&head), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(removes_twice),
        cmocka_unit_test(removes_while_walking),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
