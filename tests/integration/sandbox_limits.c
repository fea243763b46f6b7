/* A sandbox's share of the host and how it ends: what a function may have, and that it
 * harms nobody by wanting more. The numbers are the statements of docs/sandbox.md. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"
#include "tests/integration/sandbox_fixture.h"

#define WAIT_MS 10000

static void usage_read(void *data, int status, const struct sandbox_usage *u)
{
    if (status == 0) {
        *(struct sandbox_usage *)data = *u;
    }
    ((struct sandbox_usage *)data)->pids |= 1u << 31; /* answered */
}

static struct sandbox_usage usage(const struct bench_sandbox *s)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    struct sandbox_usage u = {0};

    warden_usage(bench.warden, s->id, usage_read, &u);
    while ((u.pids >> 31) == 0) {
        sandbox_bench_turn(&bench);
        assert_true(clock_mono_ms() < until_ms);
    }
    u.pids &= ~(1u << 31);
    return u;
}

static void wait_oom(const struct bench_sandbox *s)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (bench.oom_id != s->id) {
        sandbox_bench_turn(&bench);
        assert_true(clock_mono_ms() < until_ms);
    }
}

static void wait_exit(const struct bench_sandbox *s)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (bench.exit_id != s->id) {
        sandbox_bench_turn(&bench);
        assert_true(clock_mono_ms() < until_ms);
    }
}

/* A neighbour is made, works and ends. */
static void assert_neighbours_fine(void)
{
    assert_non_null(strstr(PROBE_ONCE("identity"), "uid 1000"));
}

/* --- memory ------------------------------------------------------------------- */

/* S31: whoever takes too much is killed alone and it is told; anonymous memory, files in
 * /tmp, memfds and socket buffers all count. */
static void s31_memory_counts(void **state, const char *kind)
{
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    const char *words[] = {"./probe", "memory", kind, "268435456", NULL};
    struct bench_run r;
    unsigned ooms = bench.n_ooms;
    (void)state;

    config.tmp_bytes = 512 << 20;
    fixture_make_with(&s, &config);
    bench_sandbox_run(&bench, &s, &r, words);
    assert_true(r.value == -1 || (WIFSIGNALED(r.value) && WTERMSIG(r.value) == SIGKILL));
    bench_run_free(&r);
    assert_neighbours_fine();
    wait_oom(&s);
    assert_true(bench.n_ooms > ooms);
    bench_sandbox_end(&bench, &s);
    assert_true(bench.exit.oom);
    assert_in_range(bench.exit.memory_peak_bytes, 60 << 20, 64 << 20);
    assert_neighbours_fine();
    assert_false(bench.exit.oom); /* the neighbour's */
}

static void s31_anonymous_memory_counts(void **state)
{
    s31_memory_counts(state, "anonymous");
}

static void s31_files_in_tmp_count(void **state)
{
    s31_memory_counts(state, "file");
}

static void s31_memfds_count(void **state)
{
    s31_memory_counts(state, "memfd");
}

/* S31: what sockets hold is counted too: it ends in an error or in the same way. */
static void s31_socket_buffers_count(void **state)
{
    struct bench_sandbox s;
    const char *words[] = {"./probe", "memory", "sockets", "268435456", NULL};
    struct bench_run r;
    (void)state;

    fixture_make(&s);
    bench_sandbox_run(&bench, &s, &r, words);
    if (r.value == 0) {
        assert_true(strtoul(fixture_line(r.out.data, "had"), NULL, 10) < 64 << 20);
    }
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
    assert_in_range(bench.exit.memory_peak_bytes, 1 << 20, 64 << 20);
    assert_neighbours_fine();
}

/* Where a child of the function is killed for memory and its main process lives on, it is
 * told at once, before anything ends, and the peak is known while it runs. */
static void tells_of_a_killed_child(void **state)
{
    struct bench_sandbox s;
    unsigned exits = bench.n_exits;
    struct sandbox_usage u;
    int fd;
    (void)state;

    fixture_make(&s);
    assert_says(STAY(&s, &fd, "sacrifice", "268435456"), "child", "9");
    wait_oom(&s);
    assert_int_equal(bench.n_exits, exits);
    u = usage(&s);
    assert_true(u.oom);
    assert_in_range(u.memory_peak_bytes, 60 << 20, 64 << 20);
    assert_true(u.memory_bytes < 32 << 20);
    assert_int_equal(u.pids, 2);
    assert_true(u.cpu_us > 0);
    bench_sandbox_end(&bench, &s);
    assert_true(bench.exit.oom);
    assert_in_range(bench.exit.memory_peak_bytes, 60 << 20, 64 << 20);
    (void)close(fd);
}

/* Usage and exit without memory trouble say so, and have a peak as well. */
static void tells_usage_without_oom(void **state)
{
    struct bench_sandbox s;
    unsigned ooms = bench.n_ooms;
    struct sandbox_usage u;
    (void)state;

    fixture_make(&s);
    (void)PROBE(&s, "memory", "anonymous", "16777216");
    u = usage(&s);
    assert_false(u.oom);
    assert_true(u.memory_peak_bytes >= 16 << 20);
    assert_true(u.memory_peak_bytes < 32 << 20);
    assert_int_equal(u.pids, 1);
    bench_sandbox_end(&bench, &s);
    assert_false(bench.exit.oom);
    assert_true(bench.exit.memory_peak_bytes >= 16 << 20);
    assert_true(bench.exit.cpu_us >= u.cpu_us);
    assert_int_equal(bench.n_ooms, ooms);
}

/* --- other shares ------------------------------------------------------------- */

/* S32: a tenth of a processor is a tenth, however the function spins. */
static void s32_cpu_is_held_to_quota(void **state)
{
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    (void)state;

    config.cpu_millis = 100;
    fixture_make_with(&s, &config);
    (void)PROBE(&s, "spin", "1000");
    bench_sandbox_end(&bench, &s);
    /* A tenth of the second that it lasted, and what making the sandbox took. */
    assert_in_range(bench.exit.cpu_us, 10000, 250000);
}

static bool may_raise_limits(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    return (data[0].effective & (1u << CAP_SYS_RESOURCE)) != 0;
}

/* S33: descriptors, signals, timers, locked memory, queues, core dumps and file sizes end
 * somewhere, and no limit can be raised. */
static void s33_resources_are_bounded(void **state)
{
    char out[4096];
    (void)state;

    (void)snprintf(out, sizeof(out), "%s", PROBE_ONCE("bounds"));
    assert_says(out, "core", "0 0");
    assert_says(out, "files", "4093 EMFILE");
    assert_non_null(strstr(fixture_line(out, "inotify"), "EMFILE"));
    assert_says(out, "epoll", "4093 EMFILE");
    assert_non_null(strstr(fixture_line(out, "signals"), "EAGAIN"));
    assert_in_range(strtoul(fixture_line(out, "signals"), NULL, 10), 1, 1024);
    assert_non_null(strstr(fixture_line(out, "timers"), "EAGAIN"));
    assert_in_range(strtoul(fixture_line(out, "timers"), NULL, 10), 1, 1024);
    assert_says(out, "mlock", "ENOMEM");
    assert_says(out, "far", "EFBIG");
    assert_says(out, "mqueue", "EMFILE");
    assert_says(out, "real-time", "EPERM");
    assert_says(out, "nice", "EACCES");
    assert_says(out, "raise-limit", "EPERM");
    /* Only a root that may raise limits can forbid this for good; some containers'
     * cannot. */
    assert_says(out, "oom-score-499", may_raise_limits() ? "EACCES" : "ok");
    assert_says(out, "oom-score-500", "ok");
}

/* S33: what the kernel counts by user (inotify, pending signals) one sandbox cannot take
 * from another, nor from the host: each is a user of its own. */
static void s33_counts_are_its_own(void **state)
{
    struct bench_sandbox a, b;
    const char *out;
    int fd, own;
    (void)state;

    fixture_make(&a);
    assert_non_null(strstr(STAY(&a, &fd, "hold"), "staying inotify"));
    fixture_make(&b);
    out = PROBE(&b, "one");
    assert_says(out, "inotify", "ok");
    assert_says(out, "signal", "ok");
    own = inotify_init1(IN_CLOEXEC);
    assert_true(own >= 0);
    (void)close(own);
    bench_sandbox_end(&bench, &a);
    bench_sandbox_end(&bench, &b);
    (void)close(fd);
}

/* S35: output that nobody reads holds up the function alone: its init answers, and it
 * ends when told. */
static void s35_unread_output_blocks_nobody(void **state)
{
    const char *words[] = {"./probe", "flood", NULL};
    struct bench_sandbox s;
    int ends[2];
    (void)state;

    fixture_make(&s);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(bench_sandbox_spawn(&s, words, ends[1]) > 0);
    (void)close(ends[1]);
    assert_non_null(strstr(PROBE(&s, "identity"), "uid 1000"));
    assert_neighbours_fine();
    bench_sandbox_end(&bench, &s);
    assert_true(fixture_ended(ends[0]));
    (void)close(ends[0]);
}

/* --- ends --------------------------------------------------------------------- */

/* S36: a daemon that left its parents and ignores every signal dies with the sandbox. */
static void s36_daemons_die_with_it(void **state)
{
    struct bench_sandbox s;
    int fd;
    (void)state;

    fixture_make(&s);
    (void)STAY(&s, &fd, "daemon");
    assert_non_null(strstr(PROBE(&s, "identity"), "uid 1000"));
    bench_sandbox_end(&bench, &s);
    assert_true(fixture_ended(fd));
    (void)close(fd);
}

/* S36: the same when the agent's connection to init ends. */
static void s36_daemons_die_without_the_agent(void **state)
{
    struct bench_sandbox s;
    int fd;
    (void)state;

    fixture_make(&s);
    (void)STAY(&s, &fd, "daemon");
    (void)close(s.control);
    wait_exit(&s);
    assert_true(fixture_ended(fd));
    (void)close(fd);
}

/* S37: processes that stopped themselves end when told; init cannot be stopped. */
static void s37_the_stopped_end(void **state)
{
    struct bench_sandbox s;
    int fd;
    (void)state;

    fixture_make(&s);
    (void)STAY(&s, &fd, "stop");
    assert_non_null(strstr(PROBE(&s, "identity"), "uid 1000"));
    bench_sandbox_end(&bench, &s);
    assert_true(fixture_ended(fd));
    (void)close(fd);
}

static void held_path(char path[256], const char *file)
{
    (void)snprintf(path, 256, "/sys/fs/cgroup/freezer/%s-held/%s", bench.cgroup, file);
}

static bool held_write(const char *file, const char *text)
{
    char path[256];
    FILE *f;

    held_path(path, file);
    f = fopen(path, "we");
    return f != NULL && fputs(text, f) >= 0 && fclose(f) == 0;
}

/* Takes a sandbox's processes into a group of our own and freezes that: the warden cannot
 * thaw it. False: the host has no v1 freezer. */
static bool hold(const struct bench_sandbox *s)
{
    char path[300], group[256], line[32];
    FILE *members;

    held_path(path, "");
    if (mkdir(path, 0755) < 0) {
        return false;
    }
    fixture_group(s, group);
    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    members = fopen(path, "re");
    assert_non_null(members);
    while (fgets(line, sizeof(line), members) != NULL) {
        assert_true(held_write("cgroup.procs", line));
    }
    (void)fclose(members);
    return held_write("freezer.state", "FROZEN");
}

static void let_go(void)
{
    assert_true(held_write("freezer.state", "THAWED"));
}

static void held_remove(void)
{
    char path[256];

    held_path(path, "");
    assert_int_equal(rmdir(path), 0);
}

/* S38: a sandbox that does not die although it was killed (frozen here in a group that
 * the warden does not know, as a disk that hangs would have it) holds up no other; its
 * end is told when it comes. */
static void s38_the_undying_hold_up_nobody(void **state)
{
    struct bench_sandbox s;
    unsigned exits = bench.n_exits;
    (void)state;

    fixture_make(&s);
    if (!hold(&s)) {
        print_message("# skipped: no v1 freezer to hold a process with\n");
        bench_sandbox_end(&bench, &s);
        return;
    }
    warden_kill(bench.warden, s.id);
    for (int i = 0; i < 20; i++) {
        assert_neighbours_fine();
    }
    assert_int_equal(bench.n_exits, exits + 20); /* not its own */
    let_go();
    wait_exit(&s);
    held_remove();
    (void)close(s.control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s31_anonymous_memory_counts),
        cmocka_unit_test(s31_files_in_tmp_count),
        cmocka_unit_test(s31_memfds_count),
        cmocka_unit_test(s31_socket_buffers_count),
        cmocka_unit_test(tells_of_a_killed_child),
        cmocka_unit_test(tells_usage_without_oom),
        cmocka_unit_test(s32_cpu_is_held_to_quota),
        cmocka_unit_test(s33_resources_are_bounded),
        cmocka_unit_test(s33_counts_are_its_own),
        cmocka_unit_test(s35_unread_output_blocks_nobody),
        cmocka_unit_test(s36_daemons_die_with_it),
        cmocka_unit_test(s36_daemons_die_without_the_agent),
        cmocka_unit_test(s37_the_stopped_end),
        cmocka_unit_test(s38_the_undying_hold_up_nobody),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
