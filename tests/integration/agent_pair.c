/* Two real agents with a join token: calls that are forwarded, and what can go wrong with
 * them. Functions are granted to node 1; node 0 is asked. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "tests/lib/agents.h"

static struct agents bench;

static struct agents_function *deploy_there(const char *name, const char *text)
{
    struct agents_function *fn =
        agents_function(&bench, name, SPEC_RUNTIME_EXEC, text, 1, 2);

    agents_publish(&bench, fn);
    return fn;
}

/* Whichever gateway is called, the call reaches the node with the grant, and the reply
 * names that node, with one request id. */
static void a_call_is_forwarded_in_one_hop(void **state)
{
    struct agents_reply r;

    (void)deploy_there("there", "#!/bin/sh\nprintf '%s %s %s ' \"$PATH_INFO\" "
                                "\"$QUERY_STRING\" \"$REMOTE_ADDR\"\ncat\n");
    for (unsigned i = 0; i < 2; i++) {
        agents_call(&bench, &r, i, "POST", "/fn/there/p/q?x=1", "body");
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body.data, "/p/q x=1 127.0.0.1 body");
        assert_string_equal(agents_header(&r, "X-Mayfly-Node"), "node1");
        assert_int_equal(strlen(agents_header(&r, "X-Mayfly-Request-Id")), 36);
        agents_reply_free(&r);
    }
}

/* A client that writes the mark itself gains nothing: the call is forwarded as any other.
 */
static void a_forged_mark_changes_nothing(void **state)
{
    static const struct http_header forged[] = {
        {HTTP_STR("X-Mayfly-Forwarded"), HTTP_STR("1")},
        {HTTP_STR("X-Mayfly-Request-Id"), HTTP_STR("mine")},
    };
    static const struct http_header unsigned_mark[] = {
        {HTTP_STR("X-Mayfly-Forwarded"),
         HTTP_STR("v2 node9 00000000-0000-4000-8000-000000000000 5 5 wait 10.0.0.1 -")},
    };
    struct agents_reply r;

    (void)deploy_there("marked", "#!/bin/sh\necho \"$REMOTE_ADDR\"\n");
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "GET", "/fn/marked",
               (struct http_headers){forged, 2}, NULL, 0);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "127.0.0.1\n");
    assert_string_not_equal(agents_header(&r, "X-Mayfly-Request-Id"), "mine");
    agents_reply_free(&r);
    /* A well-formed one without a signature is only not forwarded again. */
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT + 1, "GET", "/fn/marked",
               (struct http_headers){unsigned_mark, 1}, NULL, 0);
    agents_await(&r);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "127.0.0.1\n");
    assert_string_not_equal(agents_header(&r, "X-Mayfly-Request-Id"),
                            "00000000-0000-4000-8000-000000000000");
    agents_reply_free(&r);
}

/* A body larger than any buffer streams through both gateways, both ways. */
static void bodies_stream_through_both(void **state)
{
    static char body[5 << 20];
    struct agents_reply r;
    size_t sent = 0;

    (void)deploy_there("cat", "#!/bin/sh\nexec cat\n");
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (char)(i * 31 + i / 997);
    }
    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "POST", "/fn/cat",
               (struct http_headers){NULL, 0}, NULL, HTTP_BODY_CHUNKED);
    while (sent < sizeof(body)) {
        assert_int_equal(http_call_write(r.call, body + sent, 65536), 0);
        sent += 65536;
    }
    assert_int_equal(http_call_end(r.call, (struct http_headers){NULL, 0}), 0);
    agents_await(&r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.body.len, sizeof(body));
    assert_memory_equal(r.body.data, body, sizeof(body));
    agents_reply_free(&r);
}

/* A cause that the other node found passes through as it is. */
static void a_cause_passes_through(void **state)
{
    struct agents_function *fn =
        agents_function(&bench, "slow", SPEC_RUNTIME_EXEC, "#!/bin/sh\nsleep 60\n", 1, 1);
    struct agents_reply r;

    fn->version.spec.timeout_ms = 300;
    agents_publish(&bench, fn);
    agents_call(&bench, &r, 0, "GET", "/fn/slow", NULL);
    assert_int_equal(r.status, 504);
    assert_string_equal(agents_header(&r, "X-Mayfly-Error"), "timeout");
    agents_reply_free(&r);
}

/* When the caller of one gateway hangs up, the work on the other node ends. */
static void hanging_up_stops_the_work_there(void **state)
{
    struct agents_function *fn = deploy_there("long", "#!/bin/sh\nsleep 60\n");
    static const char request[] = "GET /fn/long HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = agents_connect(0);

    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    agents_wait(&bench, agents_is_busy, fn);
    (void)close(fd);
    agents_wait(&bench, agents_is_idle, fn);
}

/* --- tunnels ------------------------------------------------------------------- */

/* Switches to "echo", and echoes until the other side ends. */
static const char echo[] =
    "#!/usr/bin/python3\n"
    "import os, socket, threading\n"
    "def serve(c):\n"
    "    head = b''\n"
    "    while not head.endswith(b'\\r\\n\\r\\n'):\n"
    "        some = c.recv(1)\n"
    "        if not some: return\n"
    "        head += some\n"
    "    c.sendall(b'HTTP/1.1 101 Switching\\r\\nConnection: upgrade\\r\\nUpgrade: "
    "echo\\r\\n\\r\\n')\n"
    "    while data := c.recv(65536): c.sendall(data)\n"
    "    c.close()\n"
    "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "while True:\n"
    "    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()\n";

static const struct http_header upgrade[] = {
    {HTTP_STR("Connection"), HTTP_STR("Upgrade")},
    {HTTP_STR("Upgrade"), HTTP_STR("echo")},
};

static struct agents_function *deploy_echo(const char *name)
{
    struct agents_function *fn =
        agents_function(&bench, name, SPEC_RUNTIME_HTTP, echo, 1, 1);

    fn->version.spec.timeout_ms = 600 * 1000;
    agents_publish(&bench, fn);
    return fn;
}

static bool has_begun(void *reply)
{
    return ((struct agents_reply *)reply)->status == 101;
}

static void open_tunnel(struct agents_reply *r, const char *target)
{
    agents_ask(&bench, r, AGENTS_GATEWAY_PORT, "GET", target,
               (struct http_headers){upgrade, 2}, NULL, 0);
    agents_wait(&bench, has_begun, r);
    assert_string_equal(agents_header(r, "X-Mayfly-Node"), "node1");
    assert_string_equal(agents_header(r, "Upgrade"), "echo");
}

/* A tunnel leads through both gateways, whole both ways, until its caller is done. */
static void a_tunnel_leads_through_both(void **state)
{
    static char data[3 << 20];
    struct agents_function *fn = deploy_echo("tunnel");
    struct agents_reply r;

    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 31 + i / 997);
    }
    open_tunnel(&r, "/fn/tunnel");
    agents_wait(&bench, agents_is_busy, fn);
    assert_int_equal(http_call_write(r.call, "a", 1), 0);
    agents_wait(&bench, agents_has_body, &r);
    assert_int_equal(http_call_write(r.call, data, sizeof(data)), 0);
    assert_int_equal(http_call_end(r.call, (struct http_headers){NULL, 0}), 0);
    agents_await(&r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.body.len, 1 + sizeof(data));
    assert_memory_equal(r.body.data + 1, data, sizeof(data));
    agents_reply_free(&r);
    agents_wait(&bench, agents_is_idle, fn);
}

/* A caller that hangs up ends it there as well. */
static void hanging_up_ends_the_tunnel_there(void **state)
{
    struct agents_function *fn = deploy_echo("hung");
    static const char request[] =
        "GET /fn/hung HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
        "echo\r\n\r\n";
    int fd = agents_connect(0);

    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    agents_wait(&bench, agents_is_busy, fn);
    (void)close(fd);
    agents_wait(&bench, agents_is_idle, fn);
}

/* A node that is lost ends its tunnels; to the caller it is an end like another: a
 * program that dies closes its connections as one that is done does. */
static void a_lost_node_ends_its_tunnels(void **state)
{
    struct agents_reply r;

    (void)deploy_echo("cut");
    open_tunnel(&r, "/fn/cut");
    assert_true(WIFSIGNALED(agents_end(&bench, 1, SIGKILL)));
    agents_await(&r);
    assert_true(r.error == 0 || r.error == -ECONNRESET);
    assert_int_equal(r.body.len, 0);
    agents_reply_free(&r);
    agents_start(&bench, 1);
    open_tunnel(&r, "/fn/cut");
    assert_int_equal(http_call_end(r.call, (struct http_headers){NULL, 0}), 0);
    agents_await(&r);
    assert_int_equal(r.error, 0);
    agents_reply_free(&r);
}

/* --- a storm
 * ---------------------------------------------------------------------------- */

static uint32_t dice_state = 1;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % sides;
}

/* Sends a part of a request or all of it, and hangs up in one of the ways there are. */
static void misbehave(void)
{
    static const char *const names[] = {"there", "cat", "slow", "nobody", "cat"};
    static const char block[20000];
    const struct linger now = {.l_onoff = 1};
    char head[256];
    int fd = agents_connect(dice(2));
    uint32_t announced = dice(3) * 30000;
    int n = snprintf(head, sizeof(head),
                     "POST /fn/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n",
                     names[dice(5)], announced);

    if (dice(8) == 0) {
        n = (int)dice((uint32_t)n); /* not even the head is whole */
    }
    (void)send(fd, head, (size_t)n, MSG_NOSIGNAL);
    if (announced > 0 && dice(2) == 0) {
        (void)send(fd, block, sizeof(block), MSG_NOSIGNAL);
    }
    for (uint32_t turns = dice(4); turns > 0; turns--) {
        agents_turn(&bench);
    }
    if (dice(3) == 0) {
        (void)shutdown(fd, SHUT_WR);
        agents_turn(&bench);
    }
    if (dice(2) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    (void)close(fd);
}

static bool nothing_in_flight(void *data)
{
    for (uint16_t i = 0; i < 2; i++) {
        struct agents_reply r;
        bool idle;

        agents_ask(&bench, &r, (uint16_t)(AGENTS_METRICS_PORT + i), "GET", "/metrics",
                   (struct http_headers){NULL, 0}, NULL, 0);
        agents_await(&r);
        idle = strstr(r.body.data, "mayfly_invocations_in_flight 0\n") != NULL &&
               strstr(r.body.data, "mayfly_queue_depth 0\n") != NULL &&
               strstr(r.body.data, "mayfly_instances{state=\"busy\"} 0\n") != NULL;
        agents_reply_free(&r);
        if (!idle) {
            return false;
        }
    }
    return true;
}

/* Whatever callers do and whenever they go, every call ends: nothing stays in flight, in
 * a queue or on an instance, and the next call is served. */
static void every_call_ends(void **state)
{
    struct agents_reply r;

    for (int i = 0; i < 300; i++) {
        misbehave();
    }
    agents_wait(&bench, nothing_in_flight, NULL);
    for (unsigned i = 0; i < 2; i++) {
        agents_call(&bench, &r, i, "POST", "/fn/cat", "calm");
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body.data, "calm");
        agents_reply_free(&r);
    }
}

/* The other agent is killed with the call: 503 node_lost, no hang. While it is down a
 * call for it is told so; what it left behind is gone when it has started again. */
static void a_lost_node_is_said(void **state)
{
    struct agents_function *fn = deploy_there("lost", "#!/bin/sh\nsleep 61\n");
    struct agents_reply r;

    agents_ask(&bench, &r, AGENTS_GATEWAY_PORT, "GET", "/fn/lost",
               (struct http_headers){NULL, 0}, NULL, 0);
    agents_wait(&bench, agents_is_busy, fn);
    assert_true(WIFSIGNALED(agents_end(&bench, 1, SIGKILL)));
    agents_await(&r);
    assert_int_equal(r.status, 503);
    assert_string_equal(agents_header(&r, "X-Mayfly-Error"), "node_lost");
    assert_non_null(agents_header(&r, "Retry-After"));
    agents_reply_free(&r);
    agents_call(&bench, &r, 0, "GET", "/fn/there", NULL);
    assert_int_equal(r.status, 503);
    agents_reply_free(&r);
    agents_start(&bench, 1);
    agents_call(&bench, &r, 0, "POST", "/fn/there/back", "");
    assert_int_equal(r.status, 200);
    agents_reply_free(&r);
}

static int set_up(void **state)
{
    agents_open(&bench, "a token of the test");
    agents_start(&bench, 0);
    agents_start(&bench, 1);
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
        cmocka_unit_test(a_call_is_forwarded_in_one_hop),
        cmocka_unit_test(a_forged_mark_changes_nothing),
        cmocka_unit_test(bodies_stream_through_both),
        cmocka_unit_test(a_cause_passes_through),
        cmocka_unit_test(hanging_up_stops_the_work_there),
        cmocka_unit_test(a_tunnel_leads_through_both),
        cmocka_unit_test(hanging_up_ends_the_tunnel_there),
        cmocka_unit_test(a_lost_node_ends_its_tunnels),
        cmocka_unit_test(every_call_ends),
        cmocka_unit_test(a_lost_node_is_said),
    };

    if (!agents_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent pair", tests, set_up, tear_down);
}
