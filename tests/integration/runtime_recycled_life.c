/* Sandboxes between two calls of a version: whose they become, how many wait, and how
 * they end. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "tests/integration/runtime_recycled_fixture.h"

/* --- whose it is ------------------------------------------------------------------- */

/* The next call of a version has the sandbox of the one before. */
static void next_call_has_it(void **state)
{
    uint64_t version = recycled_version(), used = recycled_counts().used;
    char *first, *next;
    (void)state;

    first = recycled_reply(version, RECYCLED_WHICH);
    assert_int_equal(recycled_counts().waiting, 1);
    next = recycled_reply(version, RECYCLED_WHICH);
    assert_string_equal(first, next);
    assert_int_equal(recycled_counts().used, used + 1);
    free(first);
    free(next);
}

/* That of another version has not, nor has one whose sandboxes are not to be recycled. */
static void no_other_version_has_it(void **state)
{
    char *first = recycled_reply(recycled_version(), RECYCLED_WHICH),
         *other = recycled_reply(recycled_version(), RECYCLED_WHICH);
    char *none = recycled_reply(0, RECYCLED_WHICH);
    uint64_t used = recycled_counts().used;
    (void)state;

    assert_string_not_equal(first, other);
    assert_string_not_equal(first, none);
    assert_string_not_equal(other, none);
    assert_int_equal(recycled_counts().used, used);
    free(first);
    free(other);
    free(none);
}

/* What a call printed on its way out is in its own log, whole, before the next begins. */
static void logs_are_whole(void **state)
{
    uint64_t version = recycled_version();
    (void)state;

    for (int n = 0; n < 5; n++) {
        char code[200];

        (void)snprintf(code, sizeof(code),
                       "import sys\nsys.stderr.write('line\\n' * 1000 + 'end %d\\n')\n",
                       n);
        free(recycled_reply(version, code));
        (void)snprintf(code, sizeof(code), "end %d", n);
        bench_log_has(&bench, code);
    }
}

/* --- how many, and how long ----------------------------------------------------------
 */

/* `n` calls of a version at once. */
static void many(uint64_t version, unsigned n, uint32_t idle_ms)
{
    struct bench_instance i[8];
    struct bench_call c[8];

    for (unsigned k = 0; k < n; k++) {
        recycled_init(&i[k], version);
        i[k].spec.idle_ms = idle_ms;
        recycled_run(&i[k], "", &c[k]);
    }
    for (unsigned k = 0; k < n; k++) {
        recycled_end(&i[k], &c[k]);
    }
}

/* Half of what there may be is one version's; the one that waited longest makes way. */
static void they_are_few(void **state)
{
    uint64_t version = recycled_version(), second = recycled_version();
    uint64_t third = recycled_version();
    (void)state;

    runtime_host_on_short(bench.host);
    assert_int_equal(recycled_counts().waiting, 0);
    many(version, 6, 60000);
    assert_int_equal(recycled_counts().waiting, 4);
    many(second, 6, 60000);
    assert_int_equal(recycled_counts().waiting, 8);
    many(third, 3, 60000);
    assert_int_equal(recycled_counts().waiting, 8);
    {
        uint64_t used = recycled_counts().used;

        many(second, 4, 60000);
        assert_int_equal(recycled_counts().used, used + 4);
        many(version, 2, 60000); /* one was left of it */
        assert_int_equal(recycled_counts().used, used + 5);
    }
}

/* None waits longer than instances of its version would, of a version that has left,
 * or while memory is short. */
static void they_go(void **state)
{
    uint64_t version = recycled_version();
    (void)state;

    runtime_host_on_short(bench.host);
    assert_int_equal(recycled_counts().waiting, 0);
    many(recycled_version(), 2, 1);
    WAIT_FOR(&bench, recycled_counts().waiting == 0);
    many(recycled_version(), 2, 0); /* not at all */
    assert_int_equal(recycled_counts().waiting, 0);
    many(version, 2, 60000);
    assert_int_equal(recycled_counts().waiting, 2);
    runtime_host_on_version_left(bench.host, recycled_version());
    assert_int_equal(recycled_counts().waiting, 2);
    runtime_host_on_version_left(bench.host, version);
    assert_int_equal(recycled_counts().waiting, 0);
}

/* Their processor time is told once, to the last of it. */
static void processor_time_is_told(void **state)
{
    uint64_t version = recycled_version(), told;
    (void)state;

    runtime_host_on_short(bench.host);
    WAIT_FOR(&bench, recycled_counts().ending == 0);
    told = bench.cpu_us;
    for (int n = 0; n < 3; n++) {
        free(recycled_reply(version, "for i in range(1000000): pass"));
    }
    assert_int_equal(recycled_counts().waiting, 1);
    runtime_host_on_short(bench.host);
    WAIT_FOR(&bench, recycled_counts().ending == 0);
    assert_int_equal(bench.cpu_us - told, bench.sandboxes.exit.cpu_us);
}

/* --- accidents ------------------------------------------------------------------------
 */

/* Of the processes on this host the first for which it is so; 0: of none. */
static pid_t find_process(bool (*is)(const char *pid, const char *what), const char *what)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;

    assert_non_null(dir);
    while (found == 0 && (entry = readdir(dir)) != NULL) {
        int pid = atoi(entry->d_name);

        found = pid > 0 && is(entry->d_name, what) ? pid : 0;
    }
    (void)closedir(dir);
    return found;
}

static bool is_in(const char *pid, const char *mnt)
{
    char path[300], link[64];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
    n = readlink(path, link, sizeof(link));
    return n > 0 && strncmp(link, mnt, (size_t)n) == 0;
}

/* The one that has this mount namespace: nobody else is left in there, or init, whose
 * number is the lowest. */
static pid_t find_init(const char *mnt)
{
    pid_t pid = find_process(is_in, mnt);

    assert_true(pid > 0);
    return pid;
}

/* init ends while it waits: the next call does not hear of it. */
static void init_killed_while_it_waits(void **state)
{
    uint64_t version = recycled_version();
    char *first = recycled_reply(version, RECYCLED_WHICH), *next;
    unsigned waiting = recycled_counts().waiting;
    (void)state;

    assert_int_equal(kill(find_init(first), SIGKILL), 0);
    WAIT_FOR(&bench, recycled_counts().waiting == waiting - 1);
    next = recycled_reply(version, RECYCLED_WHICH);
    assert_string_not_equal(first, next);
    free(first);
    free(next);
}

/* init ends during a call: that one fails, its sandbox is nobody's any more. */
static void init_killed_in_a_call(void **state)
{
    uint64_t version = recycled_version();
    const struct bench_request r = {.content_length = HTTP_BODY_CHUNKED};
    unsigned waiting = recycled_counts().waiting;
    struct bench_call c = {0};
    struct bench_instance i;
    char *before = recycled_reply(version, RECYCLED_WHICH), *after;
    (void)state;

    recycled_init(&i, version);
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(kill(find_init(before), SIGKILL), 0);
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_CRASHED);
    recycled_end(&i, &c);
    assert_int_equal(recycled_counts().waiting, waiting);
    after = recycled_reply(version, RECYCLED_WHICH);
    assert_string_not_equal(before, after);
    free(before);
    free(after);
}

/* --- what cannot be ended -------------------------------------------------------------
 */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool read_line(const char *path, const char *with, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    bool found = false;

    while (f != NULL && !found && fgets(line, (int)size, f) != NULL) {
        found = strstr(line, with) != NULL;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

static bool is_named(const char *pid, const char *name)
{
    char path[300], line[64];

    (void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    return read_line(path, name, line, sizeof(line));
}

/* A group below its own, whose processes stand still, and not even SIGKILL ends them:
 * only v1 has that. False: it is not there. */
static bool freeze_apart(pid_t pid, char group[static 400])
{
    char path[64], line[256], file[440], number[16];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    if (!read_line(path, ":freezer:", line, sizeof(line))) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(group, 400, "/sys/fs/cgroup/freezer%s/apart",
                   strstr(line, ":freezer:") + strlen(":freezer:"));
    if (mkdir(group, 0755) < 0) {
        return false;
    }
    (void)snprintf(file, sizeof(file), "%s/tasks", group);
    (void)snprintf(number, sizeof(number), "%d", pid);
    write_file(file, number);
    (void)snprintf(file, sizeof(file), "%s/freezer.state", group);
    write_file(file, "FROZEN");
    WAIT_FOR(&bench, read_line(file, "FROZEN", line, sizeof(line)));
    return true;
}

static void thaw(const char *group)
{
    char file[440];

    (void)snprintf(file, sizeof(file), "%s/freezer.state", group);
    write_file(file, "THAWED");
}

/* What is left and cannot be ended is not waited for: the sandbox goes, as soon as the
 * kernel lets it. */
static void the_undying_are_not_kept(void **state)
{
    static const char format[] =
        "import ctypes, os, time\n"
        "if not os.fork():\n"
        "    os.setsid(); ctypes.CDLL(None).prctl(15, b'%s')\n"
        "    open('/tmp/ready', 'w').close()\n"
        "    while True: time.sleep(1000)\n"
        "while not os.path.exists('/tmp/go'): time.sleep(0.01)\n";
    struct runtime_recycled before = recycled_counts();
    struct bench_request r = {0};
    struct bench_instance i;
    struct bench_call c = {0};
    char name[16], code[400], group[400], path[64];
    pid_t pid = 0;
    bool frozen;
    (void)state;

    (void)snprintf(name, sizeof(name), "undying%d", (int)getpid());
    (void)snprintf(code, sizeof(code), format, name);
    r.content_length = strlen(code);
    recycled_init(&i, recycled_version());
    bench_instance_run(&bench, &i);
    assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
    assert_int_equal(runtime_call_write(c.c, code, strlen(code)), 0);
    assert_int_equal(runtime_call_end(c.c), 0);
    WAIT_FOR(&bench, (pid = find_process(is_named, name)) > 0);
    frozen = freeze_apart(pid, group);
    (void)snprintf(path, sizeof(path), "/proc/%d/root/tmp/go", pid);
    write_file(path, "");
    WAIT_FOR(&bench, c.n_closed == 1);
    assert_int_equal(c.cause, CAUSE_NONE);
    runtime_instance_stop(i.in, 0);
    if (frozen) {
        WAIT_FOR(&bench, recycled_counts().refused == before.refused + 1);
        assert_true(recycled_counts().waiting <= before.waiting);
        thaw(group);
    }
    recycled_end(&i, &c);
    if (frozen) {
        (void)rmdir(group);
    }
}

/* Of its tests all, or those whose names match an argument. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_call_has_it),
        cmocka_unit_test(no_other_version_has_it),
        cmocka_unit_test(logs_are_whole),
        cmocka_unit_test(they_are_few),
        cmocka_unit_test(they_go),
        cmocka_unit_test(processor_time_is_told),
        cmocka_unit_test(init_killed_while_it_waits),
        cmocka_unit_test(init_killed_in_a_call),
        cmocka_unit_test(the_undying_are_not_kept),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, recycled_open, recycled_close);
}
