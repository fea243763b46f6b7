/* Sandboxes that are made ahead: that they are used, that what one leaves to the next
 * tells nothing of it, and what happens when the maker dies. (That they are sandboxes
 * like any: sandbox*.c and warden*.c, which run on them as well.) */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
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

#define WAIT_MS 15000
#define BLANKS  6

static struct sandbox_bench bench;

static void make(struct bench_sandbox *s)
{
    struct sandbox_config config = sandbox_bench_config();

    bench_sandbox_make(&bench, s, &config);
    if (s->status != 0) {
        print_error("%s\n", s->err.text);
    }
    assert_int_equal(s->status, 0);
}

static struct warden_blank_kind plain(void)
{
    return warden_blanks_of(bench.warden, "");
}

static void wait_ready(unsigned n)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (plain().ready < n && clock_mono_ms() < until_ms) {
        warden_count(bench.warden);
        sandbox_bench_turn(&bench);
    }
    assert_true(plain().ready >= n);
}

/* What a shell says to this in there. The next call frees it. */
static const char *says(struct bench_sandbox *s, const char *command)
{
    static struct bench_run r;
    const char *const words[] = {"/bin/sh", "-c", command, NULL};

    bench_run_free(&r);
    bench_sandbox_run(&bench, s, &r, words);
    assert_true(r.started);
    return r.out.data != NULL ? r.out.data : "";
}

static int open_bench(void **state)
{
    (void)state;
    sandbox_bench_open_with(&bench, &(struct sandbox_bench_options){.blanks = BLANKS});
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    sandbox_bench_close(&bench);
    return 0;
}

/* A few are there before anybody asks; who asks then gets one of them, and it is made
 * good. */
static void are_ready_and_used(void **state)
{
    struct bench_sandbox s;
    (void)state;

    wait_ready(4);
    assert_int_equal(plain().used + plain().missed, 0);
    make(&s);
    assert_int_equal(plain().used, 1);
    assert_int_equal(plain().missed, 0);
    wait_ready(4);
    assert_true(warden_blanks(bench.warden)->made >= 5);
    bench_sandbox_end(&bench, &s);
}

/* More at once than there are: all get one, and some had to wait. */
static void more_than_there_are(void **state)
{
    struct bench_sandbox s[BLANKS * 4];
    const unsigned n = sizeof(s) / sizeof(s[0]);
    (void)state;

    for (unsigned i = 0; i < n; i++) {
        make(&s[i]);
    }
    assert_int_equal(plain().used + plain().missed, n);
    for (unsigned i = 0; i < n; i++) {
        assert_string_equal(says(&s[i], "echo fine"), "fine\n");
        bench_sandbox_end(&bench, &s[i]);
    }
}

/* Memory, processor time and its end for want of memory are a sandbox's own, whoever had
 * its control group before. */
static void counts_begin_anew(void **state)
{
    struct sandbox_config small = sandbox_bench_config();
    struct bench_sandbox s;
    (void)state;

    for (int round = 0; round < BLANKS * 2; round++) {
        small.memory_bytes = 32 << 20;
        small.tmp_bytes = 100 << 20;
        bench_sandbox_make(&bench, &s, &small);
        assert_int_equal(s.status, 0);
        (void)says(&s, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done;"
                       "head -c 4000000 /dev/zero | tail -c 4000000 | wc -c;"
                       "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null");
        bench_sandbox_end(&bench, &s);
        assert_true(bench.exit.oom);
        assert_true(bench.exit.memory_peak_bytes > 30 << 20);
        make(&s);
        bench_sandbox_end(&bench, &s);
        assert_false(bench.exit.oom);
        assert_true(bench.exit.memory_peak_bytes < 8 << 20);
        assert_true(bench.exit.cpu_us < 20000);
    }
}

/* A function's limits are its own, whatever the blank was made with. */
static void limits_are_the_functions(void **state)
{
    static const unsigned tmp_mib[] = {1, 9, 3};
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    char expected[64];
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        config.tmp_bytes = (uint64_t)tmp_mib[i] << 20;
        config.pids_max = 5 + i;
        wait_ready(1);
        bench_sandbox_make(&bench, &s, &config);
        assert_int_equal(s.status, 0);
        (void)snprintf(expected, sizeof(expected), "%uM\n%uM\n", tmp_mib[i], tmp_mib[i]);
        assert_string_equal(
            says(&s, "df -BM --output=size /tmp /dev/shm | grep -v blocks | tr -d ' '"),
            expected);
        bench_sandbox_end(&bench, &s);
    }
}

#define COUNTED                                                           \
    "cat /proc/net/dev /proc/net/snmp /proc/net/netstat /proc/net/snmp6 " \
    "/proc/net/ip6_flowlabel"

static char met[256][64];
static unsigned n_met, n_again;

/* One that does nothing with the network. */
static void be_quiet(const char *new_one)
{
    struct bench_sandbox s;
    const char *name;

    make(&s);
    assert_string_equal(says(&s, COUNTED), new_one);
    name = says(&s, "readlink /proc/self/ns/net");
    for (unsigned i = 0; i < n_met; i++) {
        n_again += strcmp(met[i], name) == 0;
    }
    (void)snprintf(met[n_met++], sizeof(met[0]), "%s", name);
    bench_sandbox_end(&bench, &s);
}

/* A network namespace that was used is not used again; one that was not may be, and
 * whoever comes finds what a new one shows. */
static void networks_tell_nothing(void **state)
{
    static char new_one[32768];
    struct bench_sandbox s;
    (void)state;

    n_met = n_again = 0;
    make(&s);
    (void)snprintf(new_one, sizeof(new_one), "%s", says(&s, COUNTED));
    bench_sandbox_end(&bench, &s);
    for (unsigned round = 0; round < 10; round++) {
        make(&s);
        assert_string_equal(says(&s, COUNTED), new_one);
        (void)says(&s, "python3 -c 'import socket\n"
                       "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                       "try: s.sendto(b\"x\", (\"192.0.2.1\", 9))\n"
                       "except OSError: pass'");
        assert_string_not_equal(says(&s, COUNTED), new_one);
        bench_sandbox_end(&bench, &s);
        make(&s); /* a lease of a flow label, which lasts longer than its socket */
        (void)says(&s,
                   "python3 -c 'import socket, struct\n"
                   "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                   "r = socket.inet_pton(socket.AF_INET6, \"::1\")\n"
                   "r += struct.pack(\"=IBBHHHI\", 0x45230100, 0, 255, 1, 60, 60, 0)\n"
                   "s.setsockopt(socket.IPPROTO_IPV6, 32, r)'");
        assert_string_not_equal(says(&s, COUNTED), new_one);
        bench_sandbox_end(&bench, &s);
        for (int i = 0; i < BLANKS * 2; i++) {
            be_quiet(new_one);
        }
    }
    assert_true(n_again > 0);
}

/* --- the maker ---------------------------------------------------------------------- */

/* 0: there is none, or no warden any more. */
static pid_t maker_pid(void)
{
    char command[128];
    int pid = 0;
    FILE *f;

    (void)snprintf(command, sizeof(command),
                   "for p in $(cat /proc/%d/task/%d/children 2>/dev/null); do "
                   "grep -qsx mayfly-maker /proc/$p/comm && echo $p; done",
                   (int)bench.warden_pid, (int)bench.warden_pid);
    f = popen(command, "re");
    assert_non_null(f);
    if (fscanf(f, "%d", &pid) != 1) {
        pid = 0;
    }
    (void)pclose(f);
    return pid;
}

/* Waits for it: a signal to process 0 would be one to this test and all beside it. */
static pid_t wait_maker(void)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    pid_t maker = maker_pid();

    while (maker <= 0 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
        maker = maker_pid();
    }
    assert_true(maker > 0);
    return maker;
}

static void wait_another_maker(pid_t before)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)before);
    while (access(path, F_OK) == 0 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_true(access(path, F_OK) < 0);
}

/* A maker that was killed, for memory maybe, is started again: sandboxes live on, and new
 * ones come. */
static void the_maker_is_replaced(void **state)
{
    uint64_t until_ms = clock_mono_ms() + 1100;
    struct bench_sandbox old, s[BLANKS * 2];
    pid_t maker;
    (void)state;

    make(&old);
    while (clock_mono_ms() < until_ms) { /* one that dies young is not replaced */
        sandbox_bench_turn(&bench);
    }
    maker = wait_maker();
    assert_int_equal(kill(maker, SIGKILL), 0);
    wait_another_maker(maker);
    for (int i = 0; i < BLANKS * 2; i++) {
        make(&s[i]);
    }
    assert_string_equal(says(&old, "echo alive"), "alive\n");
    for (int i = 0; i < BLANKS * 2; i++) {
        bench_sandbox_end(&bench, &s[i]);
    }
    bench_sandbox_end(&bench, &old);
    assert_false(bench.lost);
}

/* One that does not stay alive is the end of the warden, and the agent hears of it. */
static void a_maker_that_dies_young_ends_it(void **state)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    (void)state;

    while (!bench.lost && clock_mono_ms() < until_ms) {
        pid_t maker = maker_pid();

        if (maker > 0) {
            (void)kill(maker, SIGKILL);
        }
        sandbox_bench_turn(&bench);
    }
    assert_true(bench.lost);
}

static unsigned count_children(void)
{
    char command[96];
    unsigned n = 0;
    FILE *f;

    (void)snprintf(command, sizeof(command), "cat /proc/%d/task/%d/children | wc -w",
                   (int)bench.warden_pid, (int)bench.warden_pid);
    f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

static int open_without(void **state)
{
    (void)state;
    sandbox_bench_open_with(&bench, &(struct sandbox_bench_options){.no_blanks = true});
    return 0;
}

/* Who waits too long is told; what comes after all is ended. */
static void a_maker_that_hangs_is_told_of(void **state)
{
    struct sandbox_config config = sandbox_bench_config();
    uint64_t until_ms;
    struct bench_sandbox s;
    pid_t maker = wait_maker();
    (void)state;

    assert_int_equal(kill(maker, SIGSTOP), 0);
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.status, -ETIMEDOUT);
    assert_int_equal(kill(maker, SIGCONT), 0);
    make(&s);
    assert_string_equal(says(&s, "echo fine"), "fine\n");
    bench_sandbox_end(&bench, &s);
    until_ms = clock_mono_ms() + WAIT_MS;
    while (count_children() > 1 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(count_children(), 1); /* the maker */
}

static void note_created(void *data, int status, const struct error *err,
                         const struct sandbox_fds *fds)
{
    (void)err;
    (void)fds;
    *(int *)data = status;
}

/* Who waits and gives up is not served before those who still wait. */
static void who_gives_up_is_not_waited_for(void **state)
{
    struct sandbox_config config = sandbox_bench_config();
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    int status[2] = {1, 1};
    pid_t maker = wait_maker();
    (void)state;

    assert_int_equal(kill(maker, SIGSTOP), 0);
    for (unsigned i = 0; i < 2; i++) {
        config.id = ++bench.last_id;
        warden_create(bench.warden, &config, note_created, &status[i]);
    }
    warden_kill(bench.warden, bench.last_id);
    while (status[1] == 1 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(status[1], -ECANCELED);
    assert_int_equal(status[0], 1);
    warden_kill(bench.warden, bench.last_id); /* it is gone: nothing happens */
    warden_kill(bench.warden, bench.last_id - 1);
    while (status[0] == 1 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(status[0], -ECANCELED);
    assert_int_equal(kill(maker, SIGCONT), 0);
    assert_int_equal(bench.n_exits, 0);
    assert_false(bench.lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(are_ready_and_used, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(more_than_there_are, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(counts_begin_anew, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(limits_are_the_functions, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(networks_tell_nothing, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(the_maker_is_replaced, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(a_maker_that_hangs_is_told_of, open_without,
                                        close_bench),
        cmocka_unit_test_setup_teardown(who_gives_up_is_not_waited_for, open_without,
                                        close_bench),
        cmocka_unit_test_setup_teardown(a_maker_that_dies_young_ends_it, open_bench,
                                        close_bench),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
