/* What an agent learned of calls, on disk: it comes back as it went, and what somebody
 * else wrote, or the disk damaged, does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "agent/learned/learned.h"
#include "common/check.h"
#include "proto/mayfly.pb-c.h"

#define NOW    1800000000000ull
#define MINUTE 60000ull

static struct keepalive_memory some(void)
{
    struct keepalive_memory m = {.ago_ms = 7 * MINUTE, .idle = true, .beyond = 3};

    m.bins[0] = 1;
    m.bins[29] = 500;
    m.bins[KEEPALIVE_BINS - 1] = 2;
    return m;
}

static struct buf packed(const struct keepalive_memory *m, bool orderly)
{
    struct learned l = {0};
    struct buf text = {0};

    CHECK(learned_add(&l, "default", "hourly", m) == 0);
    CHECK(learned_add(&l, "team", "hourly", m) == 0);
    CHECK(learned_pack(&text, &l, NOW, orderly) == 0);
    learned_free(&l);
    return text;
}

/* Some time passes between the two; whether it was idle since is known only if the agent
 * ended in order. */
static void comes_back(void **state)
{
    struct keepalive_memory m = some();

    for (int orderly = 0; orderly < 2; orderly++) {
        struct buf text = packed(&m, orderly);
        struct learned l = {0};
        struct error err;

        assert_int_equal(learned_unpack(&l, text.data, text.len, NOW + MINUTE, &err), 0);
        assert_int_equal(l.n, 2);
        assert_string_equal(l.list[0].namespace_, "default");
        assert_string_equal(l.list[1].namespace_, "team");
        assert_string_equal(l.list[1].name, "hourly");
        assert_int_equal(l.list[0].memory.ago_ms, 8 * MINUTE);
        assert_int_equal(l.list[0].memory.idle, orderly);
        assert_int_equal(l.list[0].memory.beyond, 3);
        assert_memory_equal(l.list[0].memory.bins, m.bins, sizeof(m.bins));
        learned_free(&l);
        buf_free(&text);
    }
}

static void assert_refused(const void *data, size_t len, const char *why)
{
    struct learned l = {0};
    struct error err = {0};

    assert_int_equal(learned_unpack(&l, data, len, NOW, &err), -EINVAL);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(l.n, 0);
}

/* No bit of it may be another one, and none may be missing. */
static void damage_is_seen(void **state)
{
    struct keepalive_memory m = some();
    struct buf text = packed(&m, true);

    for (size_t bit = 0; bit < 8 * text.len; bit++) {
        struct learned l = {0};
        struct error err;
        int rc;

        text.data[bit / 8] ^= (char)(1 << bit % 8);
        rc = learned_unpack(&l, text.data, text.len, NOW, &err);
        text.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(rc, -EINVAL);
    }
    for (size_t len = 0; len < text.len; len++) {
        struct learned l = {0};
        struct error err;

        assert_int_equal(learned_unpack(&l, text.data, len, NOW, &err), -EINVAL);
    }
    assert_refused("not at all", 10, "something else");
    buf_free(&text);
}

static struct buf remade(const struct buf *text, uint32_t version)
{
    Mayfly__V1__KeptFile *file =
        mayfly__v1__kept_file__unpack(NULL, text->len, (const uint8_t *)text->data);
    struct buf other = {0};

    CHECK(file != NULL);
    file->version = version;
    CHECK(buf_reserve(&other, mayfly__v1__kept_file__get_packed_size(file)) == 0);
    other.len = mayfly__v1__kept_file__pack(file, (uint8_t *)other.data);
    mayfly__v1__kept_file__free_unpacked(file, NULL);
    return other;
}

static void other_versions_are_refused(void **state)
{
    struct keepalive_memory m = some();
    struct buf text = packed(&m, true), other = remade(&text, 2);

    assert_refused(other.data, other.len, "version 2");
    buf_free(&other);
    buf_free(&text);
}

/* A function of which it says what cannot be is left out; the others are taken. */
static void nonsense_is_left_out(void **state)
{
    struct keepalive_memory good = some(), bad = {0};
    struct learned l = {0}, back = {0};
    struct buf text = {0};
    struct error err;

    CHECK(learned_add(&l, "default", "none", &bad) == 0); /* nothing was counted */
    bad.bins[4] = KEEPALIVE_SAMPLES_MAX - 1;
    bad.beyond = 1;
    CHECK(learned_add(&l, "default", "much", &bad) == 0);
    bad = good;
    bad.ago_ms = KEEPALIVE_FORGET_MS + 10 * MINUTE;
    CHECK(learned_add(&l, "default", "old", &bad) == 0);
    CHECK(learned_add(&l, "", "nameless", &good) == 0);
    CHECK(learned_add(&l, "default", "good", &good) == 0);
    CHECK(learned_pack(&text, &l, NOW, true) == 0);
    assert_int_equal(learned_unpack(&back, text.data, text.len, NOW, &err), 0);
    assert_int_equal(back.n, 1);
    assert_string_equal(back.list[0].name, "good");
    learned_free(&back);
    /* The clock went back to before that was: nothing of it can be placed in time. */
    assert_int_equal(learned_unpack(&back, text.data, text.len, NOW - 8 * MINUTE, &err),
                     0);
    assert_int_equal(back.n, 0);
    learned_free(&back);
    learned_free(&l);
    buf_free(&text);
}

static void is_bounded(void **state)
{
    struct keepalive_memory m = some();
    struct learned l = {0};
    struct buf text = {0};

    for (size_t i = 0; i < KEEPALIVE_BINS; i++) {
        m.bins[i] = 4; /* as large as one gets */
    }
    for (int i = 0; i < LEARNED_FUNCTIONS_MAX; i++) {
        char name[SPEC_NAME_MAX + 1];

        (void)snprintf(name, sizeof(name), "%063d", i);
        assert_int_equal(learned_add(&l, name, name, &m), 0);
    }
    assert_int_equal(learned_add(&l, "default", "one", &m), -ENOSPC);
    assert_int_equal(learned_pack(&text, &l, NOW, true), 0);
    assert_true(text.len <= LEARNED_BYTES_MAX);
    learned_free(&l);
    buf_free(&text);
}

/* --- the file ------------------------------------------------------------------------
 */

static void assert_unreadable(const char *path, int why)
{
    struct buf text = {0};
    struct error err;

    assert_int_equal(learned_read(path, &text, &err), why);
    buf_free(&text);
}

static void file_is_replaced_whole(void **state)
{
    char dir[] = "/tmp/learned.XXXXXX", path[64], next[64];
    struct buf text = {0};
    struct error err;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/calls", dir);
    (void)snprintf(next, sizeof(next), "%s/calls.new", dir);
    assert_unreadable(path, -ENOENT);
    assert_int_equal(learned_write(path, "first, and longer", 17, &err), 0);
    assert_int_equal(learned_write(path, "second", 6, &err), 0);
    assert_int_equal(access(next, F_OK), -1);
    assert_int_equal(learned_read(path, &text, &err), 0);
    assert_int_equal(text.len, 6);
    assert_memory_equal(text.data, "second", 6);
    buf_free(&text);

    assert_int_equal(truncate(path, LEARNED_BYTES_MAX + 1), 0);
    assert_unreadable(path, -EFBIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_unreadable(path, -ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_unreadable(path, -EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(learned_write(path, "x", 1, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(file_is_replaced_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
