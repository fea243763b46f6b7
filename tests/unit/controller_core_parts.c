/* The controller core's small parts: alarms, keymap, names in order, clean texts,
 * records.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/list.h"
#include "controller/core/alarms.h"
#include "controller/core/clean.h"
#include "controller/core/keymap.h"
#include "controller/core/name_order.h"
#include "controller/core/records.h"

#define NOW "2026-01-31T12:00:00.123Z"

/* --- alarms ----------------------------------------------------------------------- */

static void nothing(struct controller_core *c, struct alarm *a)
{
}

/* Alarms come in the order of their times, whatever was set, moved and cleared before. */
static void alarms_in_order(void **state)
{
    struct alarms as = {0};
    struct alarm a[200];
    unsigned random = 1;
    uint64_t last = 0;
    size_t n = 0;

    memset(a, 0, sizeof(a));
    for (int i = 0; i < 20000; i++) {
        struct alarm *one = &a[(random = random * 1103515245u + 12345u) / 65536u % 200];

        one->fire = nothing;
        if (random % 3 == 0) {
            alarms_clear(&as, one);
        } else {
            alarms_set(&as, one, (random >> 4) % 1000);
        }
    }
    for (size_t i = 0; i < 200; i++) {
        n += a[i].set;
    }
    assert_true(n > 50);
    assert_null(alarms_take(&as, alarms_next_ms(&as) - 1));
    for (; n > 0; n--) {
        struct alarm *one;
        uint64_t next = alarms_next_ms(&as);

        one = alarms_take(&as, 1000);
        assert_non_null(one);
        assert_false(one->set);
        assert_int_equal(one->at_ms, next);
        assert_true(one->at_ms >= last);
        last = one->at_ms;
    }
    assert_int_equal(alarms_next_ms(&as), UINT64_MAX);
    assert_null(alarms_take(&as, UINT64_MAX));
}

/* --- keymap ----------------------------------------------------------------------- */

struct thing {
    struct keymap_entry entry;
    unsigned key;
};

/* Entries are found while the table grows, also when hashes collide. */
static void keymap_finds(void **state)
{
    struct thing *things = calloc(1000, sizeof(*things));
    struct keymap m;

    assert_non_null(things);
    assert_int_equal(keymap_init(&m), 0);
    for (unsigned i = 0; i < 1000; i++) {
        things[i].key = i;
        keymap_add(&m, &things[i].entry, i / 2);
    }
    for (unsigned i = 0; i < 1000; i += 3) {
        keymap_remove(&m, &things[i].entry);
    }
    for (unsigned i = 0; i < 1000; i++) {
        struct keymap_entry *e = keymap_find(&m, i / 2);

        while (e != NULL && container_of(e, struct thing, entry)->key != i) {
            e = keymap_next(e);
        }
        assert_int_equal(e == NULL, i % 3 == 0);
    }
    keymap_free(&m);
    free(things);
}

/* --- texts ------------------------------------------------------------------------ */

/* What is not UTF-8 or not printable becomes '?'; nothing is cut in the middle. */
static void text_is_clean(void **state)
{
    static const struct {
        const char *in, *out;
    } texts[] = {
        {NULL, ""},
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"a\nb\x7f", "a?b?"},
        {"\xc3", "?"},
        {"\xc3(", "?("},
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xf4\x90\x80\x80", "????"}, /* past U+10FFFF */
        {"0123456789", "01234567"},
        {"0123456\xc3\xbc", "0123456"},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char out[9];

        clean_text(out, sizeof(out), texts[i].in);
        assert_string_equal(out, texts[i].out);
    }
}

/* --- records ---------------------------------------------------------------------- */

static int parse(struct record *r, const char *text)
{
    return record_parse(r, text, strlen(text));
}

/* A record is read back as it was written. */
static void record_round_trip(void **state)
{
    struct record r = {0}, back;
    char *text;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(record_add_version(&r, NOW), 0);
    }
    assert_int_equal(record_decide(&r, 3, false, CAUSE_OOM, "too \"big\"\n", NOW), 0);
    text = record_format(&r);
    assert_non_null(text);
    assert_int_equal(parse(&back, text), 0);
    assert_int_equal(back.latest, 3);
    assert_int_equal(back.n_versions, 3);
    assert_int_equal(back.versions[0].state, RECORD_RETIRED);
    assert_string_equal(back.versions[0].message, "superseded by version 2");
    assert_int_equal(back.versions[2].state, RECORD_FAILED);
    assert_int_equal(back.versions[2].cause, CAUSE_OOM);
    assert_string_equal(back.versions[2].message, "too \"big\"?");
    assert_string_equal(back.created_at, NOW);
    free(text);
    record_free(&back);
    record_free(&r);
}

/* What does not add up is refused. */
static void record_refuses(void **state)
{
#define TIMES "\"created_at\":\"" NOW "\",\"updated_at\":\"" NOW "\""
#define V(n, st)                                                                  \
    "{\"number\":" n ",\"state\":\"" st "\",\"cause\":\"none\",\"message\":\"\"," \
    "\"created_at\":\"" NOW "\"}"
    static const char *const good =
        "{" TIMES ",\"latest\":2,\"serving\":1,\"versions\":[" V("1", "ready") "," V(
            "2", "failed") "]}";
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{}",
        "{" TIMES ",\"latest\":1,\"serving\":0,\"versions\":[]}",
        "{" TIMES ",\"latest\":1,\"serving\":1,\"versions\":[" V("1", "failed") "]}",
        "{" TIMES ",\"latest\":1,\"serving\":2,\"versions\":[" V("1", "ready") "]}",
        "{" TIMES ",\"latest\":1,\"serving\":0,\"versions\":[" V("2", "ready") "]}",
        "{" TIMES ",\"latest\":1,\"serving\":0,\"versions\":[" V("0", "ready") "]}",
        "{" TIMES ",\"latest\":2,\"serving\":0,\"versions\":[" V("2", "ready") "," V(
            "1", "ready") "]}",
        "{" TIMES ",\"latest\":2,\"serving\":0,\"versions\":[" V("2", "ready") "," V(
            "2", "ready") "]}",
        "{" TIMES ",\"latest\":-1,\"serving\":0,\"versions\":[" V("1", "ready") "]}",
        "{" TIMES ",\"latest\":1.5,\"serving\":0,\"versions\":[" V("1", "ready") "]}",
        "{" TIMES ",\"latest\":1,\"serving\":0,\"versions\":[" V("1", "gone") "]}",
        "{" TIMES
        ",\"latest\":1,\"latest\":1,\"serving\":0,\"versions\":[" V("1", "ready") "]}",
        "{\"created_at\":\"yesterday\",\"updated_at\":\"" NOW
        "\",\"latest\":1,\"serving\":0,\"versions\":[" V("1", "ready") "]}",
    };
    struct record r;

    assert_int_equal(parse(&r, good), 0);
    record_free(&r);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(&r, bad[i]), -EINVAL);
    }
    assert_int_equal(record_parse(&r, good, strlen(good) - 1), -EINVAL);
    assert_int_equal(record_parse(&r, NULL, 0), -EINVAL);
}

/* No value that was cut or in which a byte was changed brings the reader down. */
static void record_survives_damage(void **state)
{
    struct record r = {0}, back;
    unsigned random = 7;
    char *text;
    size_t len;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(record_add_version(&r, NOW), 0);
    }
    text = record_format(&r);
    assert_non_null(text);
    len = strlen(text);
    for (int i = 0; i < 20000; i++) {
        char *copy = malloc(len); /* no NUL: a read past the end is found */
        size_t at, cut;

        assert_non_null(copy);
        memcpy(copy, text, len);
        at = (random = random * 1103515245u + 12345u) / 65536u % len;
        copy[at] = (char)(random >> 5);
        cut = random % 7 == 0 ? at : len;
        if (record_parse(&back, copy, cut) == 0) {
            record_free(&back);
        }
        free(copy);
    }
    free(text);
    record_free(&r);
}

/* The oldest versions go, but neither the serving one nor the latest. */
static void record_trims(void **state)
{
    struct record r = {0};
    uint64_t dropped[4];

    for (int i = 0; i < 6; i++) {
        assert_int_equal(record_add_version(&r, NOW), 0);
        if (i == 1) {
            assert_int_equal(record_decide(&r, 2, true, CAUSE_NONE, "", NOW), 0);
        }
    }
    assert_int_equal(record_trim(&r, 3, dropped, 4), 3);
    assert_int_equal(dropped[0], 1);
    assert_int_equal(dropped[1], 3);
    assert_int_equal(dropped[2], 4);
    assert_int_equal(r.n_versions, 3);
    assert_int_equal(r.versions[0].number, 2);
    assert_int_equal(record_trim(&r, 1, dropped, 4), 1);
    assert_int_equal(record_trim(&r, 1, dropped, 4), 0);
    assert_int_equal(r.n_versions, 2);
    record_free(&r);
}

/* --- names in order ------------------------------------------------------------------
 */

#define NAMES 3000

struct named {
    struct name_order_node node;
    char name[16];
    bool in;
};

struct seen {
    const struct named *names;
    size_t next; /* of names: the next that is to come */
    size_t n, most;
};

static bool see(void *data, struct name_order_node *node)
{
    struct seen *s = data;

    while (s->next < NAMES && !s->names[s->next].in) {
        s->next++;
    }
    assert_true(s->next < NAMES);
    assert_ptr_equal(node, &s->names[s->next].node);
    s->next++;
    return ++s->n < s->most;
}

static unsigned depth(const struct name_order_node *n)
{
    unsigned left, right;

    if (n == NULL) {
        return 0;
    }
    left = depth(n->left);
    right = depth(n->right);
    return 1 + (left > right ? left : right);
}

/* However names came and went, a walk from any of them gives what comes after it, in
 * order, and no more than is taken; names that came sorted make no deep tree. */
static void names_in_order(void **state)
{
    struct named *names = calloc(NAMES, sizeof(*names));
    struct name_order o = {NULL};

    assert_non_null(names);
    for (size_t i = 0; i < NAMES; i++) {
        (void)snprintf(names[i].name, sizeof(names[i].name), "n%06zu", i);
        name_order_add(&o, &names[i].node, names[i].name,
                       keymap_hash_str(7, names[i].name));
        names[i].in = true;
    }
    assert_in_range(depth(o.root), 12, 60);
    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct named *one = &names[rand() % NAMES];
        struct named *from = &names[rand() % NAMES];
        bool inclusive = rand() % 2 == 0;
        struct seen s = {.names = names, .most = (size_t)(rand() % 20) + 1};

        if (one->in) {
            name_order_remove(&o, &one->node);
        } else {
            name_order_add(&o, &one->node, one->name, keymap_hash_str(7, one->name));
        }
        one->in = !one->in;
        s.next = (size_t)(from - names) + !inclusive;
        name_order_walk(&o, from->name, inclusive, see, &s);
        for (; s.n < s.most && s.next < NAMES; s.next++) {
            assert_false(names[s.next].in);
        }
    }
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alarms_in_order), cmocka_unit_test(keymap_finds),
        cmocka_unit_test(text_is_clean),   cmocka_unit_test(record_round_trip),
        cmocka_unit_test(record_refuses),  cmocka_unit_test(record_survives_damage),
        cmocka_unit_test(record_trims),    cmocka_unit_test(names_in_order),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core's parts", tests, NULL, NULL);
}
