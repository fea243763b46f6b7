/* How it ends when one of the three dies: agent, warden, sandbox; and what the warden
 * does with an agent that is not one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/warden_proto.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/freezer.h"
#include "tests/lib/sandbox.h"

#define WAIT_MS 15000

static void make(struct sandbox_bench *b, struct bench_sandbox *s)
{
    struct sandbox_config config = sandbox_bench_config();

    bench_sandbox_make(b, s, &config);
    assert_int_equal(s->status, 0);
}

/* Folders of that name in the control group hierarchies, and what is below. */
static size_t count_groups(const char *cgroup)
{
    static const char *const before[] = {"", "*/"};
    static const char *const after[] = {"", "/[0-9]*"};
    size_t n = 0;

    for (size_t i = 0; i < 4; i++) {
        char pattern[256];
        glob_t found;

        (void)snprintf(pattern, sizeof(pattern), "/sys/fs/cgroup/%s%s%s", before[i % 2],
                       cgroup, after[i / 2]);
        if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0) {
            n += found.gl_pathc;
            globfree(&found);
        }
    }
    return n;
}

static bool wait_no_groups(const char *cgroup)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (count_groups(cgroup) > 0 && clock_mono_ms() < until_ms) {
        (void)poll(NULL, 0, 5); /* rmdir in cgroupfs raises no event */
    }
    return count_groups(cgroup) == 0;
}

static bool wait_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, WAIT_MS) == 1;
}

static bool wait_lost(struct sandbox_bench *b)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;

    while (!b->lost && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(b);
    }
    return b->lost;
}

/* Init's end of the connection closes when it is gone. */
static bool wait_init_gone(const struct bench_sandbox *s)
{
    struct pollfd p = {.fd = s->control, .events = POLLIN};
    char byte;

    /* Reset, if it had not read all that it was told. */
    return poll(&p, 1, WAIT_MS) == 1 && recv(s->control, &byte, 1, 0) <= 0;
}

/* --- the agent -------------------------------------------------------------------- */

struct agent_word {
    pid_t warden;
    char cgroup[64];
    char dir[64];
};

/* An agent with two sandboxes, one of them busy. Says who it is and waits to be killed.
 */
static void be_agent(int out)
{
    const char *words[] = {"/bin/sh", "-c", "while :; do :; done", NULL};
    struct agent_word word = {0};
    struct bench_sandbox s[2];
    struct sandbox_bench b;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sandbox_bench_open(&b);
    for (int i = 0; i < 2; i++) {
        struct sandbox_config config = sandbox_bench_config();

        bench_sandbox_make(&b, &s[i], &config);
        CHECK(s[i].status == 0);
    }
    CHECK(bench_sandbox_spawn(&s[0], words, STDERR_FILENO) > 0);
    word.warden = b.warden_pid;
    (void)memcpy(word.cgroup, b.cgroup, sizeof(word.cgroup));
    (void)memcpy(word.dir, b.dir, sizeof(word.dir));
    CHECK(write(out, &word, sizeof(word)) == sizeof(word));
    for (;;) {
        (void)pause();
    }
}

/* An agent that is killed takes its warden and every sandbox with it; nothing is left. */
static void ends_with_the_agent(void **state)
{
    struct agent_word word;
    int ends[2], warden;
    pid_t agent;
    (void)state;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    agent = fork();
    assert_true(agent >= 0);
    if (agent == 0) {
        be_agent(ends[1]);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &word, sizeof(word)), sizeof(word));
    warden = (int)syscall(SYS_pidfd_open, word.warden, 0);
    assert_true(warden >= 0);
    assert_true(count_groups(word.cgroup) >= 3);
    (void)kill(agent, SIGKILL);
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_true(wait_ended(warden));
    /* The warden itself removes them, before it ends. */
    assert_int_equal(count_groups(word.cgroup), 0);
    (void)close(warden);
    (void)close(ends[0]);
}

/* --- the warden ------------------------------------------------------------------- */

/* A warden that is killed takes its sandboxes with it, and the agent hears of it. */
static void sandboxes_end_with_the_warden(void **state)
{
    struct bench_sandbox s;
    struct sandbox_bench b;
    (void)state;

    sandbox_bench_open(&b);
    make(&b, &s);
    (void)kill(b.warden_pid, SIGKILL);
    assert_true(wait_lost(&b));
    assert_true(wait_init_gone(&s));
    (void)close(s.control);
    sandbox_bench_close(&b);
    assert_true(wait_no_groups(b.cgroup));
}

/* Told to end, it ends every sandbox first, and tells of each. */
static void ends_when_told(void **state)
{
    struct bench_sandbox s;
    struct sandbox_bench b;
    (void)state;

    sandbox_bench_open(&b);
    make(&b, &s);
    (void)kill(b.warden_pid, SIGTERM);
    assert_true(wait_lost(&b));
    assert_int_equal(b.exit_id, s.id);
    (void)close(s.control);
    sandbox_bench_close(&b);
    assert_int_equal(b.warden_status, 0);
    assert_int_equal(count_groups(b.cgroup), 0);
}

/* The frozen end as well, although no signal reaches them: the warden thaws them. */
static void ends_the_frozen_when_told(void **state)
{
    struct bench_sandbox s;
    struct sandbox_bench b;
    (void)state;

    sandbox_bench_open(&b);
    make(&b, &s);
    if (s.freezer != -ENOTSUP) {
        assert_int_equal(freezer_set(s.freezer, true), 0);
    }
    (void)kill(b.warden_pid, SIGTERM);
    assert_true(wait_lost(&b));
    assert_int_equal(b.exit_id, s.id);
    (void)close(s.control);
    (void)close(s.freezer);
    sandbox_bench_close(&b);
    assert_int_equal(b.warden_status, 0);
    assert_int_equal(count_groups(b.cgroup), 0);
}

/* The next warden of the same name clears away what a killed one left, even a sandbox
 * that was frozen and so outlived it. */
static void clears_away_a_predecessors_sandboxes(void **state)
{
    struct sandbox_bench first, second;
    struct bench_sandbox s[3], t;
    (void)state;

    sandbox_bench_open(&first);
    for (int i = 0; i < 3; i++) {
        make(&first, &s[i]);
    }
    if (s[1].freezer != -ENOTSUP) {
        assert_int_equal(freezer_set(s[1].freezer, true), 0);
    }
    (void)kill(first.warden_pid, SIGKILL);
    assert_true(wait_lost(&first));
    assert_true(count_groups(first.cgroup) > 3);

    sandbox_bench_open_with(&second,
                            &(struct sandbox_bench_options){.cgroup = first.cgroup});
    for (int i = 0; i < 3; i++) {
        assert_true(wait_init_gone(&s[i]));
        (void)close(s[i].control);
    }
    make(&second, &t); /* of the same id as one of the first's */
    assert_int_equal(t.id, s[0].id);
    bench_sandbox_end(&second, &t);
    sandbox_bench_close(&second);
    assert_int_equal(count_groups(first.cgroup), 0);
    sandbox_bench_close(&first);
}

/* Two wardens cannot share a name: the second says so and harms nothing of the first. */
static void keeps_its_name_to_itself(void **state)
{
    struct sandbox_bench first, second;
    struct bench_sandbox s;
    const char *words[] = {"/bin/echo", "alive", NULL};
    struct bench_run r;
    (void)state;

    sandbox_bench_open(&first);
    make(&first, &s);
    sandbox_bench_open_with(&second, &(struct sandbox_bench_options){
                                         .cgroup = first.cgroup, .may_fail = true});
    assert_false(second.ready);
    assert_non_null(strstr(second.lost_reason, "another warden uses cgroup"));
    bench_sandbox_run(&first, &s, &r, words);
    assert_string_equal(r.out.data, "alive\n");
    bench_run_free(&r);
    bench_sandbox_end(&first, &s);
    sandbox_bench_close(&first);
    sandbox_bench_close(&second);
}

/* --- the connection --------------------------------------------------------------- */

static struct warden_request good_request(void)
{
    return (struct warden_request){
        .type = WARDEN_CREATE,
        .tag = 1,
        .id = 1,
        .memory_bytes = 64 << 20,
        .tmp_bytes = 1 << 20,
        .cpu_millis = 1000,
        .pids_max = 10,
        .package = BENCH_DIGEST,
    };
}

/* Reads replies until the connection ends. True if it does. */
static bool hear_end(int fd, unsigned *ret_replies)
{
    struct warden_reply reply;
    ssize_t n;

    *ret_replies = 0;
    do {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, WAIT_MS) != 1) {
            return false;
        }
        n = recv(fd, &reply, sizeof(reply), 0); /* descriptors are dropped */
        *ret_replies += n > 0;
    } while (n > 0);
    return true;
}

/* After a good request, a message: the connection, the warden and the sandbox end. */
static void assert_ends_on(const void *message, size_t len)
{
    const struct sandbox_bench_options options = {.raw = true};
    struct warden_request good = good_request();
    struct sandbox_bench b;
    unsigned replies;

    sandbox_bench_open_with(&b, &options);
    assert_int_equal(send(b.raw_fd, &good, sizeof(good), MSG_NOSIGNAL), sizeof(good));
    assert_int_equal(send(b.raw_fd, message, len, MSG_NOSIGNAL), len);
    assert_true(hear_end(b.raw_fd, &replies));
    assert_in_range(replies, 1, 3); /* ready, and maybe created, and its end */
    (void)close(b.raw_fd);
    sandbox_bench_close(&b);
    assert_int_equal(WEXITSTATUS(b.warden_status), 1);
    assert_int_equal(count_groups(b.cgroup), 0);
}

/* A message that is too short ends it. */
static void short_messages_end_it(void **state)
{
    struct warden_request r = good_request();
    (void)state;

    assert_ends_on(&r, sizeof(r) - 1);
}

/* So does one that is too long. */
static void long_messages_end_it(void **state)
{
    char r[sizeof(struct warden_request) + 1] = {0};
    (void)state;

    ((struct warden_request *)(void *)r)->type = WARDEN_KILL;
    assert_ends_on(r, sizeof(r));
}

/* And one of a type that does not exist. */
static void unknown_types_end_it(void **state)
{
    struct warden_request r = good_request();
    (void)state;

    r.type = 77;
    assert_ends_on(&r, sizeof(r));
}

/* And a digest without an end. */
static void endless_digests_end_it(void **state)
{
    struct warden_request r = good_request();
    (void)state;

    r.id = 2;
    memset(r.package, 'a', sizeof(r.package));
    assert_ends_on(&r, sizeof(r));
}

/* And a flag that does not exist. */
static void unknown_flags_end_it(void **state)
{
    struct warden_request r = good_request();
    (void)state;

    r.id = 2;
    r.flags = 0x80;
    assert_ends_on(&r, sizeof(r));
}

/* --- room ------------------------------------------------------------------------- */

/* Out of descriptors, a warden refuses and says so, keeps what it has, and goes on when
 * there is room again. */
static void survives_a_lack_of_descriptors(void **state)
{
    static struct bench_sandbox s[12];
    struct sandbox_config config = sandbox_bench_config();
    struct rlimit limit = {.rlim_cur = 128 + 20, .rlim_max = 128 + 20};
    struct bench_sandbox one_more;
    struct sandbox_bench b;
    int n = 0;
    (void)state;

    sandbox_bench_open_with(&b, &(struct sandbox_bench_options){.no_blanks = true});
    assert_int_equal(prlimit(b.warden_pid, RLIMIT_NOFILE, &limit, NULL), 0);
    while (n < 12) {
        bench_sandbox_make(&b, &s[n], &config);
        if (s[n].status != 0) {
            break;
        }
        n++;
    }
    assert_int_equal(n, 10);
    assert_int_equal(s[n].status, -EAGAIN);
    assert_non_null(strstr(s[n].err.text, "10 sandboxes"));
    bench_sandbox_end(&b, &s[0]);
    assert_true(b.exit.memory_peak_bytes > 0);
    for (int i = 0; i < 100; i++) { /* until its cgroup is gone as well */
        bench_sandbox_make(&b, &one_more, &config);
        if (one_more.status == 0) {
            break;
        }
        sandbox_bench_turn(&b);
    }
    assert_int_equal(one_more.status, 0);
    bench_sandbox_end(&b, &one_more);
    for (int i = 1; i < n; i++) {
        bench_sandbox_end(&b, &s[i]);
    }
    sandbox_bench_close(&b);
    assert_int_equal(count_groups(b.cgroup), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_the_agent),
        cmocka_unit_test(sandboxes_end_with_the_warden),
        cmocka_unit_test(ends_when_told),
        cmocka_unit_test(ends_the_frozen_when_told),
        cmocka_unit_test(clears_away_a_predecessors_sandboxes),
        cmocka_unit_test(keeps_its_name_to_itself),
        cmocka_unit_test(short_messages_end_it),
        cmocka_unit_test(long_messages_end_it),
        cmocka_unit_test(unknown_types_end_it),
        cmocka_unit_test(endless_digests_end_it),
        cmocka_unit_test(unknown_flags_end_it),
        cmocka_unit_test(survives_a_lack_of_descriptors),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
