/* How long the agent core takes over a warm call, with many functions around it. Not a
 * test: it prints, and asserts nothing but that it did what it measured.
 *
 *     agent_core_speed [functions] [calls] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/core/agent_core.h"
#include "common/check.h"

struct ctx {
    struct agent_core *core;
    struct instance **started;
    size_t n_started;
    uint64_t now_us;
    uint64_t random;
    uint64_t n_dispatched;
};

static uint64_t now_us(void *ctx)
{
    return ((struct ctx *)ctx)->now_us;
}

static uint64_t next_random(void *ctx)
{
    struct ctx *c = ctx;

    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return c->random >> 24;
}

static void instance_start(void *ctx, struct instance *in)
{
    struct ctx *c = ctx;

    c->started[c->n_started++] = in;
}

static void instance_stop(void *ctx, struct instance *in, enum stop_reason why)
{
}

static void call_dispatch(void *ctx, struct call *c)
{
    ((struct ctx *)ctx)->n_dispatched++;
}

static void call_forward(void *ctx, struct call *c, const char *node, const char *gateway)
{
}

static void call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                        uint32_t retry_after_s)
{
    CHECK(false);
}

static void call_timeout(void *ctx, struct call *c)
{
    CHECK(false);
}

static void package_want(void *ctx, const struct package_ref *p)
{
}

static void package_drop(void *ctx, const char *digest)
{
}

static void report_version(void *ctx, const struct version *v, bool ready,
                           enum cause cause, const char *text)
{
}

static void report_soon(void *ctx)
{
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void deploy(struct ctx *c, size_t at, char name[24])
{
    struct grant grant = {.node = "here", .max = 4, .warm = 1};
    struct version_state v = {.number = 1, .grants = &grant, .n_grants = 1};
    struct function_state f = {.namespace_ = "default",
                               .name = name,
                               .revision = 1,
                               .serving = 1,
                               .versions = &v,
                               .n_versions = 1};

    (void)snprintf(name, 24, "f-%zu", at);
    function_spec_init(&v.spec);
    v.spec.memory_mib = 16;
    (void)snprintf(v.package.digest, sizeof(v.package.digest), "%064u", 1);
    CHECK(agent_core_function(c->core, &f) == 0);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    uint64_t n_calls = argc > 2 ? strtoul(argv[2], NULL, 10) : 3000000;
    struct ctx c = {.now_us = 1000000, .random = 1};
    struct agent_io io = {.ctx = &c,
                          .now_us = now_us,
                          .random = next_random,
                          .instance_start = instance_start,
                          .instance_stop = instance_stop,
                          .call_dispatch = call_dispatch,
                          .call_forward = call_forward,
                          .call_reject = call_reject,
                          .call_timeout = call_timeout,
                          .package_want = package_want,
                          .package_drop = package_drop,
                          .report_version = report_version,
                          .report_soon = report_soon};
    struct agent_core_options options = {
        .node = "here", .memory_bytes = UINT64_MAX / 2, .instances_max = UINT32_MAX};
    char(*names)[24] = calloc(n, sizeof(*names));
    uint64_t began_ns;
    uint64_t n_ticks = 0;

    c.started = calloc(n * 4, sizeof(struct instance *));
    CHECK(names != NULL && c.started != NULL);
    CHECK(agent_core_new(&c.core, &io, &options) == 0);
    began_ns = clock_ns();
    for (size_t i = 0; i < n; i++) {
        deploy(&c, i, names[i]);
    }
    (void)printf("deploy: %.0f ns a function\n",
                 (double)(clock_ns() - began_ns) / (double)n);
    agent_core_package_ready(
        c.core, "0000000000000000000000000000000000000000000000000000000000000001");
    for (size_t i = 0; i < c.n_started; i++) {
        agent_core_instance_ready(c.core, c.started[i]);
    }
    began_ns = clock_ns();
    for (uint64_t i = 0; i < n_calls; i++) {
        struct call call;

        agent_core_call(c.core, &call, NULL, names[next_random(&c) % n], 0, false);
        c.now_us += 10;
        agent_core_call_done(c.core, &call, CAUSE_NONE, 1);
        if (agent_core_deadline_ms(c.core) <= c.now_us / 1000) {
            agent_core_tick(c.core);
            n_ticks++;
        }
    }
    (void)printf("warm call: %.0f ns (%zu functions, %" PRIu64 " calls, %" PRIu64
                 " ticks)\n",
                 (double)(clock_ns() - began_ns) / (double)n_calls, n, n_calls, n_ticks);
    CHECK(c.n_dispatched == n_calls);
    agent_core_free(c.core);
    free(c.started);
    free(names);
    return 0;
}
