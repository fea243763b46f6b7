/* The warden with real sandboxes: their making, their ends, and what is left of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"
#include "common/freezer.h"
#include "tests/lib/sandbox.h"

static struct sandbox_bench bench;

static const char *const *words(const char *a, const char *b, const char *c)
{
    static const char *list[4];

    list[0] = a;
    list[1] = b;
    list[2] = b != NULL ? c : NULL;
    list[3] = NULL;
    return list;
}

static void make(struct bench_sandbox *s)
{
    struct sandbox_config config = sandbox_bench_config();

    bench_sandbox_make(&bench, s, &config);
    if (s->status != 0) {
        print_error("%s\n", s->err.text);
    }
    assert_int_equal(s->status, 0);
}

/* Sandboxes' folders under the control group hierarchies; 0 is the warden's own. */
static unsigned count_groups(void)
{
    char command[200];
    unsigned n = 0;
    FILE *f;

    (void)snprintf(command, sizeof(command),
                   "find /sys/fs/cgroup -mindepth 2 -type d -path '*/%s/*' ! -name 0 | "
                   "wc -l",
                   bench.cgroup);
    f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

static unsigned count_fds(pid_t pid)
{
    char path[64];
    unsigned n = 0;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

static unsigned count_lines(const char *file, pid_t pid)
{
    char path[64];
    unsigned n = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    f = fopen(path, "re");
    assert_non_null(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        n += c == '\n';
    }
    (void)fclose(f);
    return n;
}

static unsigned count_mounts(pid_t pid)
{
    return count_lines("mountinfo", pid);
}

static unsigned count_children(pid_t pid)
{
    char command[96];
    unsigned n = 0;
    FILE *f;

    (void)snprintf(command, sizeof(command), "cat /proc/%d/task/%d/children | wc -w",
                   (int)pid, (int)pid);
    f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

/* A program runs in a sandbox, with its package as working directory. */
static void runs_a_program(void **state)
{
    struct bench_sandbox s;
    struct bench_run r;
    (void)state;

    sandbox_bench_file(&bench, "hello.sh",
                       "#!/bin/sh\npwd; hostname; id -u; cat note; exit 3\n");
    sandbox_bench_file(&bench, "note", "from the package\n");
    make(&s);
    bench_sandbox_run(&bench, &s, &r, words("./hello.sh", NULL, NULL));
    assert_true(r.started);
    assert_string_equal(r.out.data, "/var/task\nmayfly\n1000\nfrom the package\n");
    assert_int_equal(WEXITSTATUS(r.value), 3);
    bench_run_free(&r);
    bench_sandbox_run(&bench, &s, &r, words("hello.sh", NULL, NULL));
    assert_int_equal(WEXITSTATUS(r.value), 3); /* also without a slash */
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
    assert_int_equal(WTERMSIG(bench.exit.wait_status), SIGKILL);
    assert_false(bench.exit.oom);
}

/* The interpreters of the base work in there. */
static void runs_interpreters(void **state)
{
    struct bench_sandbox s;
    struct bench_run r;
    (void)state;

    make(&s);
    bench_sandbox_run(
        &bench, &s, &r,
        words("/usr/bin/python3", "-c",
              "import threading, subprocess, tempfile, socket, ssl\n"
              "t = threading.Thread(target=print, args=('thread',))\n"
              "t.start(); t.join()\n"
              "print(subprocess.check_output(['echo', 'child']).decode().strip())\n"
              "s = socket.create_server(('127.0.0.1', 8080)); print('bound')\n"));
    assert_string_equal(r.out.data, "thread\nchild\nbound\n");
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
}

/* What cannot be started says which step and why. */
static void says_why_it_does_not_start(void **state)
{
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    struct bench_run r;
    (void)state;

    make(&s);
    bench_sandbox_run(&bench, &s, &r, words("./missing", NULL, NULL));
    assert_true(r.failed);
    assert_int_equal(r.value, ENOENT);
    assert_string_equal(r.out.data, "execute ./missing");
    bench_run_free(&r);
    bench_sandbox_run(&bench, &s, &r, words("/var", NULL, NULL));
    assert_int_equal(r.value, EACCES);
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);

    config.package = "00000000000000000000000000000000000000000000000000000000000000bb";
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.status, -ENOENT);
    assert_non_null(strstr(s.err.text, "package"));
    config.package = "../../../../../../etc/passwd";
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.status, -EINVAL);
    config = sandbox_bench_config();
    config.memory_bytes = 1;
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.status, -EINVAL);
    assert_non_null(strstr(s.err.text, "memory"));
}

/* Memory beyond the limit: the program dies, init lives and says so, the count is kept.
 */
static void tells_out_of_memory(void **state)
{
    uint64_t until_ms = clock_mono_ms() + 10000;
    struct bench_sandbox s;
    struct bench_run r;
    (void)state;

    make(&s);
    bench_sandbox_run(
        &bench, &s, &r,
        words("/usr/bin/python3", "-c", "x = bytearray(200 << 20); print(len(x))"));
    assert_true(WIFSIGNALED(r.value));
    assert_int_equal(WTERMSIG(r.value), SIGKILL);
    bench_run_free(&r);
    while (bench.oom_id != s.id && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(bench.oom_id, s.id);
    bench_sandbox_run(&bench, &s, &r, words("/bin/echo", "alive", NULL));
    assert_string_equal(r.out.data, "alive\n");
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
    assert_true(bench.exit.oom);
    assert_in_range(bench.exit.memory_peak_bytes, 60 << 20, 65 << 20);
}

/* S30: a fork bomb stops at the limit, and ends with its sandbox. */
static void stops_a_fork_bomb(void **state)
{
    struct bench_sandbox s, other;
    struct bench_run r;
    (void)state;

    make(&s);
    make(&other);
    bench_sandbox_run(&bench, &s, &r,
                      words("/usr/bin/python3", "-c",
                            "import os, time\n"
                            "n = 0\n"
                            "try:\n"
                            "    while True:\n"
                            "        if os.fork() == 0: time.sleep(100)\n"
                            "        n += 1\n"
                            "except OSError: print('stopped at', n)\n"));
    assert_non_null(strstr(r.out.data, "stopped at 6"));
    bench_run_free(&r);
    bench_sandbox_run(&bench, &other, &r, words("/bin/echo", "fine", NULL));
    assert_string_equal(r.out.data, "fine\n");
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
    bench_sandbox_end(&bench, &other);
}

static void socket_made(void *data, int fd_or_error)
{
    *(int *)data = fd_or_error;
}

/* Sockets made inside reach what listens inside, and nothing of the host. */
static void gives_sockets_inside(void **state)
{
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    uint64_t until_ms = clock_mono_ms() + 10000;
    int fd = INT32_MIN;
    (void)state;

    config.runtime_api = true;
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.status, 0);
    assert_true(s.listener >= 0);
    warden_socket(bench.warden, s.id, socket_made, &fd);
    while (fd == INT32_MIN && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_true(fd >= 0);
    (void)close(fd);
    bench_sandbox_end(&bench, &s);
    fd = INT32_MIN;
    warden_socket(bench.warden, s.id, socket_made, &fd);
    while (fd == INT32_MIN && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(fd, -ESRCH);
}

/* What is left of sandboxes goes after their end was told, and their groups last. */
static void wait_no_groups(void)
{
    uint64_t until_ms = clock_mono_ms() + 10000;

    while (count_groups() > 0 && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(&bench);
    }
    assert_int_equal(count_groups(), 0);
}

/* Three hundred sandboxes, ten at a time, leave nothing behind: no descriptor, cgroup,
 * mount or process. */
static void leaves_nothing(void **state)
{
    struct bench_sandbox s[10];
    unsigned fds_before, own_before, mounts_before, of_host_before, children_before;
    uint64_t began_us;
    (void)state;

    sandbox_bench_close(&bench); /* what is made ahead would be counted */
    sandbox_bench_open_with(&bench, &(struct sandbox_bench_options){.no_blanks = true});
    make(&s[0]);
    bench_sandbox_end(&bench, &s[0]);
    wait_no_groups();
    fds_before = count_fds(bench.warden_pid);
    own_before = count_fds(getpid());
    mounts_before = count_mounts(bench.warden_pid);
    of_host_before = count_mounts(getpid());
    children_before = count_children(bench.warden_pid);
    began_us = clock_mono_us();
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 10; i++) {
            make(&s[i]);
        }
        for (int i = 0; i < 10; i++) {
            bench_sandbox_end(&bench, &s[i]);
        }
    }
    print_message("# made and ended a sandbox in %llu us on average\n",
                  (unsigned long long)((clock_mono_us() - began_us) / 300));
    wait_no_groups();
    assert_int_equal(count_fds(bench.warden_pid), fds_before);
    assert_int_equal(count_fds(getpid()), own_before);
    assert_int_equal(count_mounts(bench.warden_pid), mounts_before);
    assert_int_equal(count_mounts(getpid()), of_host_before);
    assert_int_equal(count_children(bench.warden_pid), children_before);
}

static void usage_read(void *data, int status, const struct sandbox_usage *u)
{
    *(int *)data = status;
}

/* Waits until the warden has done what it was asked for this sandbox before. */
static void settle(const struct bench_sandbox *s)
{
    uint64_t until_ms = clock_mono_ms() + 10000;
    int status = INT32_MIN;

    warden_usage(bench.warden, s->id, usage_read, &status);
    while (status == INT32_MIN) {
        sandbox_bench_turn(&bench);
        assert_true(clock_mono_ms() < until_ms);
    }
    assert_int_equal(status, 0);
}

/* Frozen processes stand still until thawed, and can be killed while they are. */
static void freezes(void **state)
{
    struct bench_sandbox s;
    struct pollfd p;
    char block[64];
    int ends[2];
    (void)state;

    make(&s);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(bench_sandbox_spawn(
                    &s, words("/bin/sh", "-c", "while :; do echo tick; sleep 0.01; done"),
                    ends[1]) > 0);
    (void)close(ends[1]);
    p = (struct pollfd){.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    if (s.freezer == -ENOTSUP) {
        print_message("# skipped: no freezer\n");
        bench_sandbox_end(&bench, &s);
        return;
    }
    assert_int_equal(freezer_set(s.freezer, true), 0);
    settle(&s);
    while (read(ends[0], block, sizeof(block)) > 0) {
    }
    assert_int_equal(poll(&p, 1, 200), 0);
    assert_int_equal(freezer_set(s.freezer, false), 0);
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(freezer_set(s.freezer, true), 0);
    bench_sandbox_end(&bench, &s);
    (void)close(ends[0]);
}

static int open_bench(void **state)
{
    (void)state;
    sandbox_bench_open(&bench);
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
        cmocka_unit_test(runs_a_program),
        cmocka_unit_test(runs_interpreters),
        cmocka_unit_test(says_why_it_does_not_start),
        cmocka_unit_test(tells_out_of_memory),
        cmocka_unit_test(stops_a_fork_bomb),
        cmocka_unit_test(gives_sockets_inside),
        cmocka_unit_test(leaves_nothing),
        cmocka_unit_test(freezes),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
