/* What the agent knows of blanks by what is up in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/warden_counts.h"

static const struct warden_blank_kind *kind(const struct warden_blanks *b,
                                            const char *program)
{
    for (unsigned i = 0; i < b->n_kinds; i++) {
        if (strcmp(b->kinds[i].program, program) == 0) {
            return &b->kinds[i];
        }
    }
    fail_msg("there is no %s", program);
    return NULL;
}

/* Each start counts once, by what it needs. */
static void counts_starts_by_need(void **state)
{
    struct warden_blanks b = {0};
    (void)state;

    warden_counts_given(&b, "", true);
    warden_counts_given(&b, "node", false);
    warden_counts_given(&b, "node", true);
    warden_counts_given(&b, "node", true);
    assert_int_equal(kind(&b, "")->used, 1);
    assert_int_equal(kind(&b, "")->missed, 0);
    assert_int_equal(kind(&b, "node")->used, 2);
    assert_int_equal(kind(&b, "node")->missed, 1);
}

/* Two recipes of one program are one kind; what is gone is not counted on. */
static void adds_up_recipes(void **state)
{
    struct warden_reply r = {
        .type = WARDEN_BLANKS,
        .blanks_ready = 4,
        .blanks_making = 1,
        .blanks_memory_bytes = 400,
        .blanks_made = 9,
        .seeds = {{"node", 1, 0, 50}, {"python3", 2, 1, 20}, {"node", 2, 1, 100}}};
    struct warden_blanks b = {0};
    (void)state;

    warden_counts_told(&b, &r);
    assert_int_equal(b.made, 9);
    assert_int_equal(kind(&b, "")->ready, 4);
    assert_int_equal(kind(&b, "")->making, 1);
    assert_int_equal(kind(&b, "")->memory_bytes, 400);
    assert_int_equal(kind(&b, "node")->ready, 3);
    assert_int_equal(kind(&b, "node")->making, 1);
    assert_int_equal(kind(&b, "node")->memory_bytes, 150);
    assert_int_equal(kind(&b, "python3")->ready, 2);
    r = (struct warden_reply){.type = WARDEN_BLANKS};
    warden_counts_told(&b, &r);
    assert_int_equal(kind(&b, "node")->ready + kind(&b, "node")->making, 0);
    assert_int_equal(kind(&b, "node")->memory_bytes, 0);
}

/* A sandbox's answer says how many plain ones are left, and nothing of the others. */
static void a_creation_tells_less(void **state)
{
    struct warden_reply all = {.type = WARDEN_BLANKS,
                               .blanks_ready = 4,
                               .blanks_memory_bytes = 400,
                               .seeds = {{"node", 1, 0, 50}}};
    struct warden_reply created = {
        .type = WARDEN_CREATED, .blanks_ready = 3, .blanks_made = 5};
    struct warden_blanks b = {0};
    (void)state;

    warden_counts_told(&b, &all);
    warden_counts_told(&b, &created);
    assert_int_equal(b.made, 5);
    assert_int_equal(kind(&b, "")->ready, 3);
    assert_int_equal(kind(&b, "")->memory_bytes, 400);
    assert_int_equal(kind(&b, "node")->ready, 1);
}

/* A program's name as long as there is room for has no NUL; more kinds than there is room
 * for are not counted, and nothing else goes wrong. */
static void has_its_limits(void **state)
{
    struct warden_reply r = {.type = WARDEN_BLANKS, .seeds = {{.ready = 1}}};
    struct warden_blanks b = {0};
    (void)state;

    memset(r.seeds[0].program, 'x', sizeof(r.seeds[0].program));
    warden_counts_told(&b, &r);
    assert_int_equal(kind(&b, "xxxxxxxxxxxxxxxx")->ready, 1);
    for (char name[] = "a"; *name < 'z'; ++*name) {
        warden_counts_given(&b, name, true);
    }
    assert_int_equal(b.n_kinds, WARDEN_KINDS_MAX);
    warden_counts_told(&b, &r);
    assert_int_equal(kind(&b, "xxxxxxxxxxxxxxxx")->ready, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_starts_by_need),
        cmocka_unit_test(adds_up_recipes),
        cmocka_unit_test(a_creation_tells_less),
        cmocka_unit_test(has_its_limits),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
