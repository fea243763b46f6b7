/* How an agent ends: asked to, killed, and without a controller. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "tests/lib/agents.h"

static struct agents bench;

/* Is there a process whose command line has this word? */
static bool runs(const char *word)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    struct dirent *e;

    CHECK(proc != NULL);
    while ((e = readdir(proc)) != NULL) {
        char path[300], text[512] = "";
        _cleanup_fclose_ FILE *f = NULL;
        size_t n;

        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || (f = fopen(path, "re")) == NULL) {
            continue;
        }
        n = fread(text, 1, sizeof(text) - 1, f);
        if (memmem(text, n, word, strlen(word)) != NULL) {
            return true;
        }
    }
    return false;
}

static bool sleeps_no_more(void *data)
{
    return !runs("61.25");
}

static bool has_cgroup(const char *name)
{
    static const char *const at[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/memory",
                                     "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"};
    struct stat st;

    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", at[i], name);
        if (stat(path, &st) == 0) {
            return true;
        }
    }
    return false;
}

/* The agent does not run as root, and what it does not need it does not have. */
static void it_runs_without_privileges(void **state)
{
    char path[64], line[256];
    _cleanup_fclose_ FILE *f = NULL;
    unsigned seen = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)bench.nodes[0].pid);
    f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "Uid:", 4) == 0) {
            assert_string_equal(line, "Uid:\t64999\t64999\t64999\t64999\n");
            seen++;
        } else if (strncmp(line, "Groups:", 7) == 0) {
            assert_int_equal(strspn(line + 7, " \t\n"), strlen(line + 7));
            seen++;
        } else if (strncmp(line, "CapPrm:", 7) == 0 || strncmp(line, "CapBnd:", 7) == 0) {
            assert_string_equal(line + 7, "\t0000000000000000\n");
            seen++;
        } else if (strncmp(line, "NoNewPrivs:", 11) == 0) {
            assert_string_equal(line, "NoNewPrivs:\t1\n");
            seen++;
        }
    }
    assert_int_equal(seen, 5);
}

/* Asked to end, it lets the call that runs end first, leaves nothing, and exits with 0.
 */
static void a_call_ends_before_the_agent_does(void **state)
{
    struct agents_function *fn = agents_function(&bench, "last", SPEC_RUNTIME_EXEC,
                                                 "#!/bin/sh\nsleep 1\necho done\n", 0, 1);
    struct agents_reply r;
    int status;

    agents_publish(&bench, fn);
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "GET", "/fn/last",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_wait(&bench, agents_is_busy, fn);
    status = agents_end(&bench, 0, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "done\n");
    agents_reply_free(&r);
    assert_false(has_cgroup(bench.nodes[0].cgroup));
    fn->busy = 0;
    agents_start(&bench, 0);
}

/* Switches, says nothing, and on SIGTERM goodbye. */
static const char waits[] =
    "#!/usr/bin/python3\n"
    "import os, signal, socket\n"
    "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "def term(*a): c.sendall(b'goodbye'); os._exit(0)\n"
    "while True:\n"
    "    c = s.accept()[0]\n"
    "    if b'Upgrade: any' in c.recv(65536): break\n"
    "signal.signal(signal.SIGTERM, term)\n"
    "c.sendall(b'HTTP/1.1 101 Switching\\r\\nConnection: upgrade\\r\\nUpgrade: "
    "any\\r\\n\\r\\nhi ')\n"
    "c.recv(1); c.close(); signal.pause()\n";

static struct agents_function *open_tunnel(struct agents_reply *r, const char *name)
{
    static const struct http_header upgrade[] = {
        {HTTP_STR("Connection"), HTTP_STR("Upgrade")},
        {HTTP_STR("Upgrade"), HTTP_STR("any")},
    };
    struct agents_function *fn =
        agents_function(&bench, name, SPEC_RUNTIME_HTTP, waits, 0, 1);
    char target[80];

    fn->version.spec.timeout_ms = 600 * 1000;
    agents_publish(&bench, fn);
    (void)snprintf(target, sizeof(target), "/fn/%s", name);
    agents_ask(&bench, r, AGENTS_GATEWAY_PORT, "GET", target,
               (struct http_headers){upgrade, 2}, NULL, 0);
    agents_wait(&bench, agents_has_body, r);
    assert_int_equal(r->status, 101);
    return fn;
}

/* A tunnel without a byte either way ends after the time that the agent was told. */
static void an_idle_tunnel_ends(void **state)
{
    struct agents_reply r;
    struct agents_function *fn = open_tunnel(&r, "idle");

    agents_await(&r); /* by default it would take longer than a test may */
    assert_int_equal(r.body.len, 3);
    agents_reply_free(&r);
    agents_wait(&bench, agents_is_idle, fn);
}

/* Asked to end, the agent tells those who talk, and does not wait for them. */
static void a_tunnel_hears_of_the_end(void **state)
{
    struct agents_reply r;
    int status;

    (void)agents_end(&bench, 0, SIGTERM);
    bench.upgrade_idle = NULL;
    agents_start(&bench, 0);
    (void)open_tunnel(&r, "talks");
    status = agents_end(&bench, 0, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    agents_await(&r);
    assert_string_equal(r.body.data, "hi goodbye");
    agents_reply_free(&r);
    agents_start(&bench, 0);
}

/* Killed in a call, its sandboxes die with it; started and ended again, nothing is left.
 */
static void nothing_is_left_of_a_killed_agent(void **state)
{
    struct agents_function *fn = agents_function(&bench, "left", SPEC_RUNTIME_EXEC,
                                                 "#!/bin/sh\nsleep 61.25\n", 0, 1);
    struct agents_reply r;

    agents_publish(&bench, fn);
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "GET", "/fn/left",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_wait(&bench, agents_is_busy, fn);
    (void)agents_end(&bench, 0, SIGKILL);
    agents_await(&r);
    assert_int_not_equal(r.error, 0);
    agents_reply_free(&r);
    agents_wait(&bench, sleeps_no_more, NULL);
    agents_start(&bench, 0);
    assert_int_equal(agents_end(&bench, 0, SIGTERM), 0);
    assert_false(has_cgroup(bench.nodes[0].cgroup));
    agents_start(&bench, 0);
}

static bool has_joined(void *data)
{
    return bench.nodes[0].session != NULL;
}

/* Without a controller warm and cold calls go on, and the node stays ready. One that
 * comes back is told again what it must know. */
static void calls_go_on_without_a_controller(void **state)
{
    struct agents_function *warm = agents_function(&bench, "warm", SPEC_RUNTIME_EXEC,
                                                   "#!/bin/sh\necho warm\n", 0, 1);
    struct agents_function *cold = agents_function(&bench, "cold", SPEC_RUNTIME_EXEC,
                                                   "#!/bin/sh\necho cold\n", 0, 1);
    struct agents_reply r;

    agents_publish(&bench, warm);
    agents_publish(&bench, cold);
    for (int i = 0; i < 2; i++) {
        agents_call(&bench, &r, 0, "GET", i == 0 ? "/fn/warm" : "/fn/cold", NULL);
        assert_int_equal(r.status, 200);
        agents_reply_free(&r);
        if (i == 0) {
            agents_wait(&bench, agents_is_ready, warm);
            agents_hub_close(&bench);
        }
    }
    agents_ask(&bench, &r, AGENTS_METRICS_PORT, "GET", "/readyz",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
    agents_hub_open(&bench);
    agents_wait(&bench, has_joined, NULL);
    agents_wait(&bench, agents_is_ready, warm);
    agents_wait(&bench, agents_is_ready, cold);
}

static int set_up(void **state)
{
    agents_open(&bench, NULL);
    bench.upgrade_idle = "1s";
    agents_start(&bench, 0);
    return 0;
}

static int tear_down(void **state)
{
    agents_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_without_privileges),
        cmocka_unit_test(calls_go_on_without_a_controller),
        cmocka_unit_test(a_call_ends_before_the_agent_does),
        cmocka_unit_test(an_idle_tunnel_ends),
        cmocka_unit_test(a_tunnel_hears_of_the_end),
        cmocka_unit_test(nothing_is_left_of_a_killed_agent),
    };

    if (!agents_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent's end", tests, set_up, tear_down);
}
