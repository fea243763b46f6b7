/* Three real agents: calls that come back from an agent that cannot take them, and where
 * they go then. Node 0 is asked; it believes what it was told of node 1 and node 2, which
 * the test can make untrue. Functions run until the test ends their request's body: no
 * test depends on how long anything takes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/check.h"
#include "tests/lib/agents.h"

#define HELD "#!/bin/sh\necho begun\nexec cat\n"

static struct agents bench;

static const struct http_headers no_headers = {NULL, 0};

/* Granted to node 1 far more than to node 2, so that node 1 is asked first. */
static struct agents_function *granted_to_both(const char *name)
{
    struct agents_function *fn =
        agents_function(&bench, name, SPEC_RUNTIME_EXEC, HELD, 1, 50);

    agents_grant(fn, 2, 2);
    fn->version.spec.timeout_ms = 600 * 1000;
    fn->version.spec.queue_timeout_ms = 300 * 1000;
    return fn;
}

/* A call that runs until release(): it is seen to have begun by what it says. */
static void hold(struct agents_reply *r, unsigned node, const char *target)
{
    agents_ask(&bench, r, (uint16_t)(AGENTS_GATEWAY_PORT + node), "POST", target,
               no_headers, NULL, HTTP_BODY_CHUNKED);
    agents_wait(&bench, agents_has_body, r);
}

static void release(struct agents_reply *r)
{
    assert_int_equal(http_call_end(r->call, no_headers), 0);
    agents_await(r);
    assert_int_equal(r->error, 0);
    assert_int_equal(r->status, 200);
    agents_reply_free(r);
}

static void assert_served(unsigned asked, const char *target, const char *by)
{
    struct agents_reply r;

    agents_call(&bench, &r, asked, "POST", target, "body");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "begun\nbody");
    assert_string_equal(agents_header(&r, "X-Mayfly-Node"), by);
    assert_null(agents_header(&r, "X-Mayfly-Hop")); /* between agents */
    agents_reply_free(&r);
}

/* All of node 1's memory goes to a call that is held there. */
static struct agents_function *fill_node1(struct agents_reply *held, const char *name)
{
    struct agents_function *fn =
        agents_function(&bench, name, SPEC_RUNTIME_EXEC, HELD, 1, 1);
    char target[80];

    fn->version.spec.memory_mib = 2000;
    fn->version.spec.timeout_ms = 600 * 1000;
    agents_publish(&bench, fn);
    (void)snprintf(target, sizeof(target), "/fn/%s", name);
    hold(held, 1, target);
    return fn;
}

/* A grant that has moved away without node 0 knowing: the call is given back and goes to
 * the other node, with its body. */
static void a_moved_grant_loses_no_call(void **state)
{
    struct agents_function *fn = granted_to_both("moved");

    agents_publish(&bench, fn);
    agents_revoke(&bench, fn, 1);
    for (int i = 0; i < 5; i++) {
        assert_served(0, "/fn/moved", "node2");
    }
}

/* Nor is any of a body lost that is larger than any buffer: it is sent only to the node
 * that takes the call. */
static void a_large_body_is_sent_once(void **state)
{
    static char body[1 << 20];
    struct agents_function *fn = granted_to_both("large");
    struct agents_reply r;
    size_t sent = 0;

    agents_publish(&bench, fn);
    agents_revoke(&bench, fn, 1);
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (char)(i * 31 + i / 997);
    }
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/large", no_headers, NULL,
               HTTP_BODY_CHUNKED);
    while (sent < sizeof(body)) {
        assert_int_equal(http_call_write(r.call, body + sent, 65536), 0);
        sent += 65536;
    }
    assert_int_equal(http_call_end(r.call, no_headers), 0);
    agents_await(&r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, sizeof(body) + 6);
    assert_memory_equal(r.body.data + 6, body, sizeof(body));
    assert_string_equal(agents_header(&r, "X-Mayfly-Node"), "node2");
    agents_reply_free(&r);
}

/* A node that has the grant and no memory gives the call back at once. */
static void a_node_without_room_gives_back(void **state)
{
    struct agents_function *fn = granted_to_both("roomy");
    struct agents_reply held;

    fn->version.spec.memory_mib = 256;
    agents_publish(&bench, fn);
    (void)fill_node1(&held, "fill1");
    for (int i = 0; i < 3; i++) {
        assert_served(0, "/fn/roomy", "node2");
    }
    release(&held);
}

/* If no node has room, the call waits at the node that was asked, and runs when there is
 * room somewhere. */
static void it_waits_until_there_is_room(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "patient", SPEC_RUNTIME_EXEC, HELD, 1, 1);
    struct agents_reply held, r;

    fn->version.spec.memory_mib = 256;
    fn->version.spec.queue_timeout_ms = 300 * 1000;
    agents_publish(&bench, fn);
    (void)fill_node1(&held, "fill2");
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/patient", no_headers, "body",
               4);
    for (int i = 0; i < 20; i++) {
        agents_turn(&bench);
    }
    assert_false(r.done);
    release(&held);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    assert_string_equal(agents_header(&r, "X-Mayfly-Node"), "node1");
    agents_reply_free(&r);
}

/* It waits no longer than its function's queue_timeout, wherever it waits: at the node
 * that was asked, as the other has no room; or at the other, behind a call that runs. */
static void a_deadline_goes_along(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "hurried", SPEC_RUNTIME_EXEC, HELD, 1, 1);
    struct agents_reply held, r;

    fn->version.spec.memory_mib = 256;
    fn->version.spec.queue_timeout_ms = 500;
    fn->version.spec.timeout_ms = 600 * 1000;
    agents_publish(&bench, fn);
    (void)fill_node1(&held, "fill3");
    agents_call(&bench, &r, 0, "GET", "/fn/hurried", NULL);
    assert_int_equal(r.status, 503);
    assert_string_equal(agents_header(&r, "X-Mayfly-Error"), "no_capacity");
    assert_non_null(agents_header(&r, "Retry-After"));
    agents_reply_free(&r);
    release(&held);
    hold(&held, 1, "/fn/hurried");
    agents_call(&bench, &r, 0, "GET", "/fn/hurried", NULL);
    assert_int_equal(r.status, 429);
    assert_string_equal(agents_header(&r, "X-Mayfly-Error"), "queue_timeout");
    assert_non_null(agents_header(&r, "Retry-After"));
    agents_reply_free(&r);
    release(&held);
}

/* An agent that is told to stop says so, goes on with what runs, and gives back what
 * others still send it; nobody's call fails. */
static void a_stopping_agent_loses_no_call(void **state)
{
    struct agents_function *fn = granted_to_both("stopping");
    struct agents_reply held, r;
    int status;

    agents_publish(&bench, fn);
    hold(&held, 0, "/fn/stopping");
    assert_string_equal(agents_header(&held, "X-Mayfly-Node"), "node1");
    assert_int_equal(kill(bench.nodes[1].pid, SIGTERM), 0);
    agents_wait(&bench, agents_is_leaving, &bench.nodes[1]);
    agents_call(&bench, &r, 1, "GET", "/healthz", NULL);
    assert_int_equal(r.status, 503);
    agents_reply_free(&r);
    for (int i = 0; i < 10; i++) {
        agents_call(&bench, &r, (unsigned)i % 2, "POST", "/fn/stopping", "body");
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body.data, "begun\nbody");
        agents_reply_free(&r);
    }
    release(&held);
    status = agents_end(&bench, 1, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (int i = 0; i < 5; i++) { /* node 0 still believes in it */
        assert_served(0, "/fn/stopping", "node2");
    }
    agents_start(&bench, 1);
}

/* An agent that is killed takes no call with it that it had not begun. */
static void a_killed_agent_takes_only_its_own(void **state)
{
    struct agents_function *fn = granted_to_both("killed");

    agents_publish(&bench, fn);
    assert_served(0, "/fn/killed", "node1"); /* there is a connection to it */
    assert_true(WIFSIGNALED(agents_end(&bench, 1, SIGKILL)));
    for (int i = 0; i < 5; i++) {
        assert_served(0, "/fn/killed", "node2");
    }
    agents_start(&bench, 1);
}

static int set_up(void **state)
{
    agents_open(&bench, "a token of the test");
    bench.stop_notice = "10m"; /* until it is told to stop once more */
    for (unsigned i = 0; i < 3; i++) {
        agents_start(&bench, i);
    }
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (bench.nodes[i].pid > 0) {
            (void)kill(bench.nodes[i].pid, SIGTERM);
            agents_wait(&bench, agents_is_leaving, &bench.nodes[i]);
        }
    }
    agents_close(&bench); /* the second signal */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moved_grant_loses_no_call),
        cmocka_unit_test(a_large_body_is_sent_once),
        cmocka_unit_test(a_node_without_room_gives_back),
        cmocka_unit_test(it_waits_until_there_is_room),
        cmocka_unit_test(a_deadline_goes_along),
        cmocka_unit_test(a_stopping_agent_loses_no_call),
        cmocka_unit_test(a_killed_agent_takes_only_its_own),
    };

    if (!agents_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent hops", tests, set_up, tear_down);
}
