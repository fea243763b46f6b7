#include "tests/lib/agents.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "proto/convert.h"
#include "tests/lib/agents_guard.h"
#include "tests/lib/agents_private.h"

#define TEST_USER "64999" /* nobody's on any host */

bool agents_possible(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    _cleanup_close_ int fd = -1;

    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP an agent needs root\n");
        return false;
    }
    if (unshare(CLONE_NEWNET) < 0) {
        (void)printf("1..0 # SKIP no network namespace: %s\n", strerror(errno));
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
    agents_guard_start();
    return true;
}

/* --- the loop
 * --------------------------------------------------------------------------- */

static void nothing_cb(uv_timer_t *timer)
{
}

void agents_turn(struct agents *b)
{
    uv_timer_t limit;

    CHECK(uv_timer_init(&b->loop, &limit) == 0);
    (void)uv_timer_start(&limit, nothing_cb, 20, 0);
    (void)uv_run(&b->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&b->loop, UV_RUN_NOWAIT);
}

static void say_what_there_is(const struct agents *b)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        const struct agents_node *n = &b->nodes[i];

        (void)fprintf(stderr, "# %s: pid %d, %s, %llu reports%s\n", n->name, (int)n->pid,
                      n->session != NULL ? "joined" : "not joined",
                      (unsigned long long)n->reports, n->leaving ? ", leaving" : "");
    }
    for (size_t i = 0; i < b->n_functions; i++) {
        const struct agents_function *fn = &b->functions[i];

        (void)fprintf(
            stderr, "# %s: known to %x of %x, %s, %s, %u busy; granted %u %u %u\n",
            fn->name, fn->known, fn->wanted, fn->reported ? "reported" : "not reported",
            fn->ready ? "ready" : cause_name(fn->cause), fn->busy, fn->granted[0],
            fn->granted[1], fn->granted[2]);
    }
}

void agents_wait(struct agents *b, bool (*done)(void *data), void *data)
{
    uint64_t until_ms = clock_mono_ms() + AGENTS_LIMIT_MS;

    while (!done(data)) {
        agents_turn(b);
        if (clock_mono_ms() >= until_ms) {
            say_what_there_is(b);
            CHECK(clock_mono_ms() < until_ms); /* what is waited for did not happen */
        }
    }
}

/* --- the controller's side
 * ---------------------------------------------------------------- */

static struct agents_node *node_named(struct agents *b, const char *name)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (strcmp(b->nodes[i].name, name) == 0) {
            return &b->nodes[i];
        }
    }
    return NULL;
}

int agents_hub_send(struct agents *b, struct hub_node *to, const Mayfly__V1__Envelope *m)
{
    return to != NULL ? hub_send(b->hub, to, m) : hub_snapshot_add(b->snapshot, m);
}

static void send_peer(struct agents *b, struct hub_node *to, const struct agents_node *n)
{
    char gateway[32];
    const struct node_state state = {n->name, ++b->revision, false, gateway,
                                     n->session != NULL && !n->leaving};
    Mayfly__V1__NodeState wire;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;

    (void)snprintf(gateway, sizeof(gateway), "127.0.0.1:%u",
                   AGENTS_GATEWAY_PORT + (unsigned)(n - b->nodes));
    convert_node_to_wire(&wire, &state);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_NODE;
    m.node = &wire;
    CHECK(agents_hub_send(b, to, &m) == 0);
}

static void on_join(void *data, struct hub_node *session, const Mayfly__V1__Hello *hello)
{
    struct agents *b = data;
    struct agents_node *n = node_named(b, hello->node);

    CHECK(n != NULL);
    n->session = session;
    n->leaving = false;
    hub_node_set_data(session, n);
    hub_resync(b->hub, session);
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (b->nodes[i].session != NULL && b->nodes[i].session != session) {
            send_peer(b, b->nodes[i].session, n);
        }
    }
    hub_resync(b->hub, session);
}

static void on_snapshot(void *data, struct hub_snapshot *s)
{
    struct agents *b = data;

    b->snapshot = s;

    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (b->nodes[i].session != NULL) {
            send_peer(b, NULL, &b->nodes[i]);
        }
    }
    for (size_t i = 0; i < b->n_functions; i++) {
        if (b->functions[i].state.revision > 0) {
            agents_send_function(b, NULL, &b->functions[i]);
        }
    }
    b->snapshot = NULL;
}

static void on_leave(void *data, struct hub_node *session, const char *reason)
{
    struct agents_node *n = hub_node_data(session);

    n->session = NULL;
}

static struct agents_function *function_named(struct agents *b, const char *name)
{
    for (size_t i = 0; i < b->n_functions; i++) {
        if (strcmp(b->functions[i].name, name) == 0) {
            return &b->functions[i];
        }
    }
    return NULL;
}

static void on_verdict(struct agents *b, const Mayfly__V1__VersionReport *m)
{
    struct agents_function *fn = function_named(b, m->name);

    CHECK(fn != NULL && m->version == fn->version.number);
    fn->reported = true;
    fn->ready = m->ready;
    fn->cause = m->ready ? CAUSE_NONE : cause_from_name(m->cause);
}

static void on_report(struct agents *b, unsigned node, const Mayfly__V1__NodeReport *m)
{
    for (size_t i = 0; i < m->n_loads; i++) {
        struct agents_function *fn = function_named(b, m->loads[i]->name);

        CHECK(fn != NULL);
        fn->known |= 1u << node;
        fn->granted[node] = m->loads[i]->grant_max;
        if (m->loads[i]->grant_max > 0) {
            fn->busy = m->loads[i]->busy;
            fn->frozen = m->loads[i]->starting + m->loads[i]->idle + m->loads[i]->busy > 0
                             ? 0
                             : m->loads[i]->frozen;
        }
    }
}

static void on_leaving(struct agents *b, struct agents_node *n)
{
    n->leaving = true;
    for (size_t i = 0; i < b->n_functions; i++) {
        if (b->functions[i].state.revision > 0) {
            agents_send_without_grant(b, n, &b->functions[i]);
        }
    }
}

static void on_chunk(struct agents *b, struct hub_node *to, const Mayfly__V1__LogChunk *c)
{
    Mayfly__V1__LogAck ack = MAYFLY__V1__LOG_ACK__INIT;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;

    for (size_t i = 0; i < c->n_lines; i++) {
        CHECK(buf_printf(&b->log_text, "%s: %.*s\n", c->lines[i]->stream,
                         (int)c->lines[i]->text.len, c->lines[i]->text.data) == 0);
    }
    b->log_end = c->end;
    ack.id = c->id;
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_ACK;
    m.log_ack = &ack;
    (void)hub_send(b->hub, to, &m);
}

static void on_message(void *data, struct hub_node *session,
                       const Mayfly__V1__Envelope *m)
{
    struct agents *b = data;
    struct agents_node *n = hub_node_data(session);

    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_REPORT) {
        n->reports++;
        on_report(b, (unsigned)(n - b->nodes), m->report);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT) {
        on_verdict(b, m->version_report);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_LEAVING) {
        on_leaving(b, n);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_LOG_CHUNK) {
        on_chunk(b, session, m->log_chunk);
    }
}

static void on_package_request(struct http_server *s, struct http_exchange *x)
{
    struct agents *b = s->data;
    struct http_str path = http_exchange_path(x);
    const struct http_headers none = {NULL, 0};

    for (size_t i = 0; i < b->n_functions; i++) {
        const struct agents_function *fn = &b->functions[i];

        if (path.len > SPEC_DIGEST_LEN &&
            memcmp(path.at + path.len - SPEC_DIGEST_LEN, fn->version.package.digest,
                   SPEC_DIGEST_LEN) == 0) {
            (void)http_exchange_reply(x, 200, none, fn->package.data, fn->package.len);
            return;
        }
    }
    (void)http_exchange_reply(x, 404, none, "", 0);
}

/* --- life -----------------------------------------------------------------------------
 */

static void write_token(struct agents *b, const char *token)
{
    FILE *f;

    (void)snprintf(b->token_file, sizeof(b->token_file), "/tmp/mayfly-token-%d",
                   (int)getpid());
    f = fopen(b->token_file, "we");
    CHECK(f != NULL && fchmod(fileno(f), 0600) == 0 && fprintf(f, "%s\n", token) > 0 &&
          fclose(f) == 0);
}

void agents_hub_open(struct agents *b)
{
    const struct hub_options options = {
        .listen = b->hub_url[0] != '\0' ? b->hub_url : "tcp://127.0.0.1:0",
        .controller_name = "test",
        .packages_url = b->packages_url,
        .token = b->token,
        .heartbeat_ms = 600, /* a busy machine may keep an agent off for a second */
        .resume_ms = 2000,
        .on_join = on_join,
        .on_snapshot = on_snapshot,
        .on_message = on_message,
        .on_leave = on_leave,
        .data = b,
    };
    struct error err = {0};

    CHECK(hub_new(&b->hub, &b->loop, &options, &err) == 0);
    (void)snprintf(b->hub_url, sizeof(b->hub_url), "tcp://127.0.0.1:%u",
                   hub_port(b->hub));
}

static void hub_closed(void *data)
{
    ((struct agents *)data)->hub = NULL;
}

static bool has_no_hub(void *data)
{
    return ((struct agents *)data)->hub == NULL;
}

void agents_hub_close(struct agents *b)
{
    hub_close(b->hub, hub_closed, b);
    agents_wait(b, has_no_hub, b);
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        b->nodes[i].session = NULL;
    }
    for (size_t i = 0; i < b->n_functions; i++) {
        b->functions[i].reported = b->functions[i].ready = false;
    }
}

void agents_open(struct agents *b, const char *token)
{
    const struct http_server_options packages = {.on_request = on_package_request,
                                                 .data = b};
    struct error err = {0};

    *b = (struct agents){.token = token};
    CHECK(uv_loop_init(&b->loop) == 0);
    CHECK(http_server_open(&b->packages, &b->loop, &packages) == 0);
    CHECK(http_server_listen_tcp(&b->packages, "127.0.0.1", 0, &b->packages_port, &err) ==
          0);
    (void)snprintf(b->packages_url, sizeof(b->packages_url), "http://127.0.0.1:%u",
                   b->packages_port);
    agents_hub_open(b);
    if (token != NULL) {
        write_token(b, token);
    }
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        struct agents_node *n = &b->nodes[i];

        n->bench = b;
        (void)snprintf(n->name, sizeof(n->name), "node%u", i);
        (void)snprintf(n->cgroup, sizeof(n->cgroup), "mayfly-test-%d-%u", (int)getpid(),
                       i);
    }
}

void agents_close(struct agents *b)
{
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (b->nodes[i].pid > 0) {
            (void)agents_end(b, i, SIGTERM);
        }
    }
    agents_hub_close(b);
    http_server_close(&b->packages, NULL);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&b->loop) == 0);
    for (size_t i = 0; i < b->n_functions; i++) {
        function_spec_free(&b->functions[i].version.spec);
        buf_free(&b->functions[i].package);
    }
    buf_free(&b->log_text);
    if (b->token_file[0] != '\0') {
        (void)unlink(b->token_file);
    }
}

/* --- agents
 * ----------------------------------------------------------------------------- */

static void become_agent(const struct agents_node *n)
{
    struct agents *b = n->bench;
    unsigned i = (unsigned)(n - b->nodes);
    char sets[16][160], *argv[40] = {(char *)(uintptr_t) "mayfly-agent"};
    unsigned k = 0, argc = 1;

#define SET(...) (void)snprintf(sets[k++], sizeof(sets[0]), __VA_ARGS__)
    SET("node=%s", n->name);
    SET("controllers=%s", b->hub_url);
    SET("token_file=%s", b->token_file);
    SET("gateway.host=127.0.0.1");
    SET("gateway.port=%u", AGENTS_GATEWAY_PORT + i);
    SET("metrics.host=127.0.0.1");
    SET("metrics.port=%u", AGENTS_METRICS_PORT + i);
    SET("state_dir=%s/state", n->dir);
    SET("user=" TEST_USER);
    SET("memory=2Gi");
    SET("stop_notice=%s", b->stop_notice != NULL ? b->stop_notice : "0s");
    SET("gateway.upgrade_idle=%s", b->upgrade_idle != NULL ? b->upgrade_idle : "10m");
    SET("cgroup=%s", n->cgroup);
    SET("uid_base=%u", 2010000000 + i * 100000);
    SET("log.level=%s", getenv("MAYFLY_TEST_LOG") != NULL ? "debug" : "error");
    SET("log.format=human");
#undef SET
    for (unsigned s = 0; s < k; s++) {
        argv[argc++] = (char *)(uintptr_t) "--set";
        argv[argc++] = sets[s];
    }
    (void)execv(MAYFLY_AGENT, argv);
    (void)fprintf(stderr, "%s: %s\n", MAYFLY_AGENT, strerror(errno));
    _exit(127);
}

void agents_launch(struct agents *b, unsigned i)
{
    struct agents_node *n = &b->nodes[i];

    CHECK(n->pid == 0);
    if (n->dir[0] == '\0') {
        char base[40];

        agents_guard_folder(base);
        (void)snprintf(n->dir, sizeof(n->dir), "%s/%u", base, i);
        CHECK((mkdir(base, 0755) == 0 || errno == EEXIST) && mkdir(n->dir, 0755) == 0);
    }
    n->pid = fork();
    CHECK(n->pid >= 0);
    if (n->pid == 0) {
        become_agent(n);
    }
    agents_guard_tell(n->pid);
}

static bool joined_and_reported(void *data)
{
    struct agents_node *n = data;

    CHECK(waitpid(n->pid, NULL, WNOHANG) == 0); /* ended already */
    if (n->session == NULL || n->reports == 0) {
        return false;
    }
    for (size_t i = 0; i < n->bench->n_functions; i++) {
        const struct agents_function *fn = &n->bench->functions[i];

        if (fn->state.revision > 0 && !(fn->known & 1u << (n - n->bench->nodes))) {
            return false;
        }
    }
    return true;
}

void agents_start(struct agents *b, unsigned i)
{
    b->nodes[i].reports = 0;
    for (size_t k = 0; k < b->n_functions; k++) {
        b->functions[k].known &= ~(1u << i);
    }
    agents_launch(b, i);
    agents_wait(b, joined_and_reported, &b->nodes[i]);
}

struct ending {
    pid_t pid;
    int status;
};

static bool has_ended(void *data)
{
    struct ending *e = data;

    return waitpid(e->pid, &e->status, WNOHANG) == e->pid;
}

static bool has_left(void *data)
{
    return ((struct agents_node *)data)->session == NULL;
}

int agents_end(struct agents *b, unsigned i, int signal)
{
    struct ending e = {.pid = b->nodes[i].pid};

    CHECK(e.pid > 0 && kill(e.pid, signal) == 0);
    agents_wait(b, has_ended, &e);
    agents_guard_tell(-e.pid);
    b->nodes[i].pid = 0;
    agents_wait(b, has_left, &b->nodes[i]);
    return e.status;
}
