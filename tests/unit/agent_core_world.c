#include "tests/unit/agent_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- io -------------------------------------------------------------------------------
 */

static uint64_t now_us(void *ctx)
{
    return ((struct world *)ctx)->now_us;
}

uint64_t world_random(struct world *w)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return w->random >> 24;
}

static uint64_t io_random(void *ctx)
{
    struct world *w = ctx;

    return w->steady_random ? w->random : world_random(w);
}

static void instance_start(void *ctx, struct instance *in)
{
    struct world *w = ctx;

    assert_true(w->n_instances < WORLD_INSTANCES_MAX);
    w->instances[w->n_instances++].in = in;
    if (w->on_start != NULL) {
        w->on_start(w, in);
    }
}

static void instance_stop(void *ctx, struct instance *in, enum stop_reason why)
{
    struct world *w = ctx;

    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in == in) {
            assert_false(w->instances[i].stopped);
            w->instances[i].stopped = true;
            w->instances[i].why = why;
            return;
        }
    }
    fail_msg("stop of an instance that was never started");
}

static struct test_instance *instance_of(struct world *w, const struct instance *in)
{
    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in == in) {
            return &w->instances[i];
        }
    }
    fail_msg("an instance that was never started");
    return NULL;
}

static int instance_freeze(void *ctx, struct instance *in)
{
    struct world *w = ctx;
    struct test_instance *t = instance_of(w, in);

    assert_int_equal(in->state, INSTANCE_IDLE);
    assert_false(t->frozen || t->stopped);
    w->n_freezes++;
    t->frozen = w->freeze_result == 0;
    return w->freeze_result;
}

static int instance_thaw(void *ctx, struct instance *in)
{
    struct world *w = ctx;
    struct test_instance *t = instance_of(w, in);

    assert_int_equal(in->state, INSTANCE_FROZEN);
    assert_true(t->frozen && !t->stopped);
    w->n_thaws++;
    t->frozen = w->thaw_result != 0;
    return w->thaw_result;
}

static struct test_call *of(struct call *c)
{
    return container_of(c, struct test_call, call);
}

static void call_dispatch(void *ctx, struct call *c)
{
    assert_non_null(c->instance);
    assert_int_equal(c->instance->state, INSTANCE_BUSY);
    assert_false(instance_of(ctx, c->instance)->frozen);
    assert_int_equal(of(c)->n_ends, 0);
    of(c)->outcome = DISPATCHED;
}

static void call_forward(void *ctx, struct call *c, const char *node, const char *gateway)
{
    assert_int_equal(of(c)->n_ends, 0);
    assert_true(gateway[0] != '\0');
    of(c)->outcome = FORWARDED;
    (void)snprintf(of(c)->node, sizeof(of(c)->node), "%s", node);
}

static void call_reject(void *ctx, struct call *c, enum cause cause, const char *text,
                        uint32_t retry_after_s)
{
    of(c)->outcome = REJECTED;
    assert_int_equal(of(c)->n_ends++, 0);
    of(c)->cause = cause;
    (void)snprintf(of(c)->text, sizeof(of(c)->text), "%s", text);
    of(c)->retry_after_s = retry_after_s;
}

static void call_timeout(void *ctx, struct call *c)
{
    of(c)->outcome = TIMED_OUT;
    assert_int_equal(of(c)->n_ends++, 0);
}

static void package_want(void *ctx, const struct package_ref *p)
{
    struct world *w = ctx;

    w->n_wants++;
    memcpy(w->wanted, p->digest, sizeof(w->wanted));
}

static void package_drop(void *ctx, const char *digest)
{
    struct world *w = ctx;

    w->n_drops++;
    (void)snprintf(w->dropped, sizeof(w->dropped), "%s", digest);
}

static void version_left(void *ctx, const struct version *v)
{
    struct world *w = ctx;

    w->n_left++;
    w->left = version_number(v);
}

static void report_version(void *ctx, const struct version *v, bool ready,
                           enum cause cause, const char *text)
{
    struct world *w = ctx;

    w->reported = version_number(v);
    if (ready) {
        w->n_ready++;
        return;
    }
    w->n_failed++;
    w->failed_cause = cause;
    (void)snprintf(w->failed_text, sizeof(w->failed_text), "%s", text);
}

static void report_soon(void *ctx)
{
    ((struct world *)ctx)->n_reports_soon++;
}

/* --- world ----------------------------------------------------------------------------
 */

struct world *world_new(uint64_t memory_mib, uint32_t instances_max)
{
    struct world *w = calloc(1, sizeof(*w));
    struct agent_core_options options = {
        .node = "here",
        .memory_bytes = (memory_mib > 0 ? memory_mib : 1024 * 1024) * MIB,
        .instances_max = instances_max,
    };

    assert_non_null(w);
    w->now_us = 1000000;
    w->io = (struct agent_io){.ctx = w,
                              .now_us = now_us,
                              .random = io_random,
                              .instance_start = instance_start,
                              .instance_stop = instance_stop,
                              .instance_freeze = instance_freeze,
                              .instance_thaw = instance_thaw,
                              .call_dispatch = call_dispatch,
                              .call_forward = call_forward,
                              .call_reject = call_reject,
                              .call_timeout = call_timeout,
                              .package_want = package_want,
                              .package_drop = package_drop,
                              .version_left = version_left,
                              .report_version = report_version,
                              .report_soon = report_soon};
    assert_int_equal(agent_core_new(&w->core, &w->io, &options), 0);
    return w;
}

void world_freeze_after(struct world *w, uint32_t ms)
{
    w->core->freeze_after_ms = ms;
}

void world_free(struct world *w)
{
    assert_true(agent_core_check(w->core));
    assert_null(agent_core_free(w->core));
    free(w);
}

void world_forget(struct world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in != NULL) {
            w->instances[n++] = w->instances[i];
        }
    }
    memset(&w->instances[n], 0, (w->n_instances - n) * sizeof(w->instances[0]));
    w->n_instances = n;
}

uint64_t world_ms(const struct world *w)
{
    return w->now_us / 1000;
}

void world_pass_ms(struct world *w, uint64_t ms)
{
    uint64_t until_us = w->now_us + ms * 1000;

    for (;;) {
        uint64_t due_ms = agent_core_deadline_ms(w->core);

        if (due_ms > until_us / 1000) {
            break;
        }
        if (due_ms * 1000 > w->now_us) {
            w->now_us = due_ms * 1000;
        }
        agent_core_tick(w->core);
        assert_true(agent_core_check(w->core));
        assert_true(agent_core_deadline_ms(w->core) > w->now_us / 1000);
    }
    w->now_us = until_us;
}

/* --- functions ------------------------------------------------------------------------
 */

struct version_state *deploy_version(struct deploy *d, uint64_t number)
{
    struct version_state *v = &d->versions[d->n++];

    assert_true(d->n <= 3);
    *v = (struct version_state){.number = number};
    function_spec_init(&v->spec);
    v->spec.runtime = SPEC_RUNTIME_HTTP;
    (void)snprintf(v->package.digest, sizeof(v->package.digest), "%064u",
                   (unsigned)number);
    return v;
}

void deploy_grant(struct deploy *d, size_t at, const char *node, uint32_t max,
                  uint32_t warm)
{
    struct version_state *v = &d->versions[at];
    size_t i;

    for (i = 0; i < v->n_grants && strcmp(d->grants[at][i].node, node) != 0; i++) {
    }
    assert_true(i < 4);
    if (i == v->n_grants) {
        v->n_grants++;
    }
    d->grants[at][i] = (struct grant){.max = max, .warm = warm};
    (void)snprintf(d->grants[at][i].node, sizeof(d->grants[at][i].node), "%s", node);
}

void deploy_drop(struct deploy *d, size_t at)
{
    for (d->n--; at < d->n; at++) {
        d->versions[at] = d->versions[at + 1];
        memcpy(d->grants[at], d->grants[at + 1], sizeof(d->grants[at]));
    }
}

struct deploy deploy_one(const char *name, uint32_t max, uint32_t warm)
{
    struct deploy d = {.namespace_ = "default", .name = name, .serving = 1};

    (void)deploy_version(&d, 1);
    if (max > 0) {
        deploy_grant(&d, 0, "here", max, warm);
    }
    return d;
}

int world_try(struct world *w, struct deploy *d, uint64_t revision)
{
    struct function_state s = {.namespace_ = d->namespace_,
                               .name = d->name,
                               .revision = revision,
                               .namespace_index = 7,
                               .serving = d->serving,
                               .versions = d->versions,
                               .n_versions = d->n,
                               .aliases = d->aliases,
                               .n_aliases = d->n_aliases,
                               .stopped = d->stopped,
                               .failed = d->failed,
                               .failed_text = "it printed this"};

    for (size_t i = 0; i < d->n; i++) {
        d->versions[i].grants = d->grants[i];
    }
    return agent_core_function(w->core, &s);
}

void world_apply(struct world *w, struct deploy *d)
{
    assert_int_equal(world_try(w, d, ++w->revision), 0);
    assert_true(agent_core_check(w->core));
}

void world_package(struct world *w, uint64_t number)
{
    char digest[SPEC_DIGEST_LEN + 1];

    (void)snprintf(digest, sizeof(digest), "%064u", (unsigned)number);
    agent_core_package_ready(w->core, digest);
}

void world_deploy(struct world *w, struct deploy *d)
{
    world_apply(w, d);
    for (size_t i = 0; i < d->n; i++) {
        agent_core_package_ready(w->core, d->versions[i].package.digest);
    }
    assert_true(agent_core_check(w->core));
}

/* --- calls and instances --------------------------------------------------------------
 */

void world_call_version(struct world *w, struct test_call *c, const char *name,
                        uint64_t version, bool forwarded)
{
    *c = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call(w->core, &c->call, NULL, name, version, forwarded);
    assert_true(agent_core_check(w->core));
}

void world_call_named(struct world *w, struct test_call *c, const char *name,
                      const char *qualifier, uint64_t picked)
{
    *c = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call_named(w->core, &c->call, NULL, name, qualifier, picked, picked != 0);
    assert_true(agent_core_check(w->core));
}

void world_call(struct world *w, struct test_call *c, const char *name)
{
    world_call_version(w, c, name, 0, false);
}

void world_done_with(struct world *w, struct test_call *c, enum cause cause)
{
    agent_core_call_done(w->core, &c->call, cause, 0);
    assert_true(agent_core_check(w->core));
}

void world_done(struct world *w, struct test_call *c)
{
    world_done_with(w, c, CAUSE_NONE);
}

struct instance *world_instance(struct world *w, unsigned at)
{
    assert_true(at < w->n_instances);
    assert_non_null(w->instances[at].in);
    return w->instances[at].in;
}

void world_ready(struct world *w, unsigned at)
{
    agent_core_instance_ready(w->core, world_instance(w, at));
    assert_true(agent_core_check(w->core));
}

void world_fail(struct world *w, unsigned at, enum cause cause, const char *text)
{
    agent_core_instance_failed(w->core, world_instance(w, at), cause, text);
    assert_true(agent_core_check(w->core));
}

void world_gone(struct world *w, unsigned at)
{
    struct instance *in = world_instance(w, at);

    assert_true(w->instances[at].stopped);
    w->instances[at].in = NULL;
    agent_core_instance_gone(w->core, in);
    assert_true(agent_core_check(w->core));
}

unsigned world_stopped(const struct world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->n_instances; i++) {
        n += w->instances[i].in != NULL && w->instances[i].stopped;
    }
    return n;
}

struct wanted_load {
    const char *name;
    uint64_t number;
    unsigned n;
    struct version_load load;
};

static void each_load(void *data, const struct version_load *l)
{
    struct wanted_load *wanted = data;

    if (strcmp(l->name, wanted->name) == 0 && l->version == wanted->number) {
        wanted->load = *l;
        wanted->n++;
    }
}

struct version_load world_load(struct world *w, const char *name, uint64_t number)
{
    struct wanted_load wanted = {.name = name, .number = number};

    agent_core_loads(w->core, each_load, &wanted);
    assert_true(wanted.n <= 1);
    return wanted.load;
}

static void each_told(void *data, const struct version_load *l)
{
}

void world_tell(struct world *w)
{
    (void)agent_core_loads_changed(w->core, false, each_told, NULL);
}

struct world *world_warm(struct deploy *d, unsigned max)
{
    struct world *w = world_new(0, 0);

    deploy_grant(d, 0, "here", max, max);
    world_deploy(w, d);
    for (unsigned i = 0; i < max; i++) {
        world_ready(w, i);
    }
    return w;
}

void world_peer(struct world *w, const char *node, bool usable)
{
    assert_int_equal(agent_core_peer(w->core, node, "10.0.0.9:8080", usable), 0);
    assert_true(agent_core_check(w->core));
}
