/* Memory that gets short, for real, in the control group of all sandboxes: what is made
 * ahead is given back, and comes again when there is room. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"
#include "tests/lib/sandbox.h"

#define WAIT_MS    30000
#define LEAST      4 /* that are kept when nothing is asked for */
#define ROOM_BYTES (100ULL << 20)
#define FILL       "95" /* MiB of them */

static struct sandbox_bench bench;

static struct warden_blank_kind plain(void)
{
    return warden_blanks_of(bench.warden, "");
}

static struct warden_blank_kind python(void)
{
    return warden_blanks_of(bench.warden, "python3");
}

static void look(void)
{
    warden_count(bench.warden);
    sandbox_bench_turn(&bench);
}

static struct warden_seed seed(void)
{
    static const char text[] =
        "python3\0-S\0-c\0import os; os.write(3, b'rd'); os.read(3, 4)";
    struct warden_seed seed = {.n_argv = 4, .len = sizeof(text)};

    memcpy(seed.text, text, sizeof(text));
    return seed;
}

/* The group's file, by its name on v1 or on v2. */
static int open_file(const char *v1, const char *v2, int flags)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/memory/%s/%s", bench.cgroup, v1);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s", bench.cgroup, v2);
        fd = open(path, flags | O_CLOEXEC);
    }
    assert_true(fd >= 0);
    return fd;
}

/* From here on there is so much more, and no more. */
static void leave_room(uint64_t bytes)
{
    int fd = open_file("memory.usage_in_bytes", "memory.current", O_RDONLY);
    char text[32] = "";

    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    (void)snprintf(text, sizeof(text), "%llu",
                   strtoull(text, NULL, 10) + (unsigned long long)bytes);
    fd = open_file("memory.limit_in_bytes", "memory.max", O_WRONLY);
    assert_true(write(fd, text, strlen(text)) > 0);
    (void)close(fd);
}

static void make(struct bench_sandbox *s, const struct warden_seed *wanted)
{
    struct sandbox_config config = sandbox_bench_config();

    config.memory_bytes = 256 << 20;
    config.tmp_bytes = 256 << 20;
    config.seed = wanted;
    bench_sandbox_make(&bench, s, &config);
    assert_int_equal(s->status, 0);
}

static void end(struct bench_sandbox *s)
{
    bench_sandbox_end(&bench, s);
    if (s->seed_out >= 0) {
        (void)close(s->seed_out);
        (void)close(s->seed_err);
    }
}

static void wait_ready(void)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while ((plain().ready < LEAST || python().ready == 0) && clock_mono_ms() < until_ms) {
        look();
    }
    assert_true(plain().ready >= LEAST);
    assert_int_equal(python().ready, 1);
    assert_true(plain().memory_bytes > 0);
    assert_true(python().memory_bytes > 1 << 20);
}

static void wait_none(void)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (plain().ready + python().ready > 0 && clock_mono_ms() < until_ms) {
        look();
    }
    assert_int_equal(plain().ready + python().ready, 0);
    assert_int_equal(python().memory_bytes, 0);
}

static void stay_none(unsigned ms)
{
    uint64_t until_ms = clock_mono_ms() + ms;

    while (clock_mono_ms() < until_ms) {
        look();
        assert_int_equal(plain().ready + python().ready, 0);
    }
}

static void fill(struct bench_sandbox *s)
{
    const char *const words[] = {"/bin/sh", "-c",
                                 "dd if=/dev/zero of=/dev/shm/x bs=1M count=" FILL
                                 " 2>/dev/null && echo full",
                                 NULL};
    struct bench_run r = {0};

    bench_sandbox_run(&bench, s, &r, words);
    assert_true(r.started);
    assert_string_equal(r.out.data, "full\n");
    bench_run_free(&r);
}

/* Blanks and interpreters that wait go when others need the memory. Who starts then gets
 * a sandbox all the same. Both are there again some time after, though nobody asks. */
static void makes_way_and_comes_back(void **state)
{
    struct warden_seed wanted = seed();
    struct bench_sandbox eater, other;
    (void)state;

    make(&eater, NULL);
    make(&other, &wanted);
    end(&other);
    assert_int_equal(python().used, 0);
    assert_int_equal(python().missed, 1);
    wait_ready();
    leave_room(ROOM_BYTES);
    fill(&eater);
    wait_none();
    stay_none(2000);
    make(&other, &wanted);
    assert_int_equal(python().missed, 2);
    end(&other);
    end(&eater);
    wait_ready();
    make(&other, &wanted);
    assert_int_equal(python().used, 1);
    end(&other);
}

static int open_bench(void **state)
{
    (void)state;
    sandbox_bench_open_with(&bench, &(struct sandbox_bench_options){.blanks = 8});
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    sandbox_bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_way_and_comes_back, open_bench,
                                        close_bench),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
