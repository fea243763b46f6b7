/* Random events, thousands of them, and after each what must hold whatever comes: every
 * call ends exactly once and in time, memory and grants are kept, nothing is lost, and no
 * call waits beside a free slot. Seeds are printed; MAYFLY_SEED repeats one, MAYFLY_RUNS
 * (or the first argument) says how many there are. */
#include "tests/unit/agent_core_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS  5
#define CALLS      150
#define PACKAGES   6
#define STEPS      1500
#define MEMORY_MIB 1024
#define INSTANCES  24

static const char *const names[FUNCTIONS] = {"a", "b", "c", "d", "e"};
static const char *const nodes[] = {"here", "n1", "n2"};
static unsigned n_runs = 40;

struct model {
    struct world *w;
    struct deploy deploys[FUNCTIONS]; /* n 0: not deployed */
    bool live[FUNCTIONS];
    uint64_t next_number[FUNCTIONS];
    struct test_call calls[CALLS];
    bool used[CALLS];
    bool draining;
    bool started_wrong;
};

static unsigned below(struct model *m, unsigned n)
{
    return (unsigned)(world_random(m->w) % n);
}

static bool one_in(struct model *m, unsigned n)
{
    return below(m, n) == 0;
}

/* --- what must hold -------------------------------------------------------------------
 */

static const struct version_state *version_of(const struct model *m,
                                              const struct instance *in,
                                              uint32_t *ret_max)
{
    const struct function *f = version_function(in->version);

    *ret_max = 0;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        const struct deploy *d = &m->deploys[i];

        if (!m->live[i] || strcmp(d->name, function_name(f)) != 0) {
            continue;
        }
        for (size_t v = 0; v < d->n; v++) {
            if (d->versions[v].number == version_number(in->version)) {
                for (size_t g = 0; g < d->versions[v].n_grants; g++) {
                    if (strcmp(d->grants[v][g].node, "here") == 0) {
                        *ret_max = d->grants[v][g].max;
                    }
                }
                return &d->versions[v];
            }
        }
    }
    return NULL;
}

/* At no start are there more instances of a version than were granted, gone ones aside.
 */
static void on_start(struct world *w, struct instance *in)
{
    struct model *m = w->data;
    unsigned n = 0;
    uint32_t max;

    assert_non_null(version_of(m, in, &max));
    for (unsigned i = 0; i < w->n_instances; i++) {
        n += w->instances[i].in != NULL && w->instances[i].in->version == in->version;
    }
    assert_true(n <= max);
    assert_false(m->draining);
}

static void check_instances(struct model *m)
{
    struct world *w = m->w;
    uint64_t memory = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < w->n_instances; i++) {
        struct instance *in = w->instances[i].in;
        unsigned active = 0;
        uint32_t max;

        if (in == NULL) {
            continue;
        }
        n++;
        memory += version_spec(in->version)->memory_mib * MIB;
        assert_int_equal(w->instances[i].stopped, in->state == INSTANCE_STOPPING);
        (void)version_of(m, in, &max);
        for (unsigned j = 0; j < w->n_instances; j++) {
            const struct instance *other = w->instances[j].in;

            active += other != NULL && other->version == in->version &&
                      other->state < INSTANCE_DRAINING;
        }
        assert_true(active <= max);
    }
    LIST_FOREACH(it, &w->core->gate.waiting)
    {
        memory += pool_memory(container_of(it, struct instance, gate)->version);
        n++;
    }
    assert_true(n <= INSTANCES);
    assert_true(memory <= MEMORY_MIB * MIB);
    assert_int_equal(memory, agent_core_memory_reserved(w->core));
}

static void check_calls(struct model *m)
{
    for (unsigned i = 0; i < CALLS; i++) {
        const struct test_call *c = &m->calls[i];

        if (!m->used[i]) {
            continue;
        }
        assert_true(c->n_ends <= 1);
        if (c->outcome == REJECTED || c->outcome == TIMED_OUT) {
            assert_int_equal(c->call.state, CALL_ENDED);
            assert_true(c->outcome == TIMED_OUT || c->text[0] != '\0');
            if (c->outcome == REJECTED && (cause_http_status(c->cause) == 429 ||
                                           cause_http_status(c->cause) == 503)) {
                assert_true(c->retry_after_s > 0);
            }
            m->used[i] = false;
        } else if (c->outcome == NO_OUTCOME) {
            assert_int_equal(c->call.state, CALL_QUEUED);
            assert_true(c->call.queue_deadline_ms + 1000 > world_ms(m->w));
        } else {
            assert_int_equal(c->call.state,
                             c->outcome == DISPATCHED ? CALL_DISPATCHED : CALL_FORWARDED);
            assert_false(c->outcome == FORWARDED && c->call.forwarded_here);
        }
    }
}

struct named {
    uint64_t versions[64];
    unsigned n;
};

static void each_load(void *data, const struct version_load *l)
{
    struct named *named = data;

    for (unsigned f = 0; f < FUNCTIONS; f++) {
        if (strcmp(names[f], l->name) == 0) {
            for (unsigned i = 0; i < named[f].n; i++) {
                assert_int_not_equal(named[f].versions[i], l->version);
            }
            assert_true(named[f].n < 64);
            named[f].versions[named[f].n++] = l->version;
        }
    }
}

/* Loads name no version twice, whatever was deployed again meanwhile. */
static void check_loads(struct model *m)
{
    struct named named[FUNCTIONS] = {{{0}, 0}};

    agent_core_loads(m->w->core, each_load, named);
}

static void check(struct model *m)
{
    check_loads(m);
    assert_true(agent_core_check(m->w->core));
    check_instances(m);
    check_calls(m);
    world_forget(m->w);
}

/* After time has passed nothing is overdue. */
static void check_deadlines(struct model *m)
{
    uint64_t now_ms = world_ms(m->w);

    for (unsigned i = 0; i < CALLS; i++) {
        const struct call *c = &m->calls[i].call;

        if (m->used[i]) {
            assert_true(c->state != CALL_QUEUED || c->queue_deadline_ms > now_ms);
            assert_true(c->state == CALL_QUEUED || c->state == CALL_ENDED ||
                        c->deadline_ms > now_ms);
        }
    }
    assert_true(agent_core_deadline_ms(m->w->core) > now_ms);
}

/* --- functions ------------------------------------------------------------------------
 */

static void random_spec(struct model *m, struct version_state *v)
{
    static const uint32_t memories[] = {64, 128, 256, 700, 2000};

    v->spec.memory_mib = memories[below(m, one_in(m, 10) ? 5 : 4)];
    v->spec.runtime = (enum spec_runtime)below(m, SPEC_RUNTIME_COUNT);
    v->spec.reuse = v->spec.runtime == SPEC_RUNTIME_HTTP || !one_in(m, 4);
    v->spec.concurrency = v->spec.reuse && one_in(m, 2) ? 1 + below(m, 4) : 1;
    v->spec.timeout_ms = 10 + below(m, 5000);
    v->spec.idle_ms = one_in(m, 5) ? 0 : below(m, 8000);
    v->spec.keep_alive = (enum spec_keep_alive)below(m, SPEC_KEEP_ALIVE_COUNT);
    v->spec.queue_max = one_in(m, 5) ? 0 : below(m, 10);
    v->spec.queue_timeout_ms = one_in(m, 5) ? 0 : below(m, 5000);
    v->spec.init_timeout_ms = 10 + below(m, 1000);
    (void)snprintf(v->package.digest, sizeof(v->package.digest), "%064u",
                   below(m, PACKAGES));
}

static void random_grants(struct model *m, struct deploy *d, size_t at)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!one_in(m, 3)) {
            uint32_t max = below(m, 6);

            deploy_grant(d, at, nodes[i], max,
                         one_in(m, 3) && max > 0 ? below(m, max) : 0);
        }
    }
}

static void new_version(struct model *m, unsigned f)
{
    struct deploy *d = &m->deploys[f];

    if (d->n == 3) {
        deploy_drop(d, below(m, 3));
    }
    random_spec(m, deploy_version(d, m->next_number[f]++));
    random_grants(m, d, d->n - 1);
}

static void change_function(struct model *m)
{
    unsigned f = below(m, FUNCTIONS);
    struct deploy *d = &m->deploys[f];

    if (!m->live[f]) {
        *d = (struct deploy){.namespace_ = "default", .name = names[f]};
        m->live[f] = true;
        m->next_number[f] = 1;
    }
    if (d->n == 0 || one_in(m, 4)) {
        new_version(m, f);
    }
    if (one_in(m, 8)) {
        deploy_drop(d, below(m, (unsigned)d->n));
    }
    if (d->n > 0) {
        random_grants(m, d, below(m, (unsigned)d->n));
        d->serving = one_in(m, 6) ? 0 : d->versions[below(m, (unsigned)d->n)].number;
    }
    world_apply(m->w, d);
}

static void delete_function(struct model *m)
{
    unsigned f = below(m, FUNCTIONS);

    agent_core_function_deleted(m->w->core, "default", names[f], ++m->w->revision);
    m->live[f] = false;
}

/* Old news changes nothing: checked by the model, which does not hear of it. */
static void stale_function(struct model *m)
{
    unsigned f = below(m, FUNCTIONS);
    struct deploy d = {.namespace_ = "default", .name = names[f], .serving = 99};

    if (m->live[f]) {
        (void)deploy_version(&d, 99);
        deploy_grant(&d, 0, "here", 5, 5);
        assert_int_equal(world_try(m->w, &d, 1), 0);
    }
}

static void peers(struct model *m)
{
    const char *node = nodes[1 + below(m, 2)];

    if (one_in(m, 4)) {
        agent_core_peer_deleted(m->w->core, node);
    } else {
        assert_int_equal(
            agent_core_peer(m->w->core, node, "10.0.0.1:8080", !one_in(m, 3)), 0);
    }
}

static void snapshot(struct model *m)
{
    bool lost[FUNCTIONS] = {false};

    agent_core_snapshot_begin(m->w->core);
    if (one_in(m, 5)) {
        agent_core_snapshot_begin(m->w->core);
    }
    peers(m);
    for (unsigned f = 0; f < FUNCTIONS; f++) {
        if (m->live[f] && one_in(m, 10)) {
            lost[f] = true; /* gone at the end, not before */
        } else if (m->live[f]) {
            world_apply(m->w, &m->deploys[f]);
        }
    }
    agent_core_snapshot_end(m->w->core);
    for (unsigned f = 0; f < FUNCTIONS; f++) {
        m->live[f] = m->live[f] && !lost[f];
    }
}

static void package(struct model *m)
{
    static const enum cause causes[] = {CAUSE_PACKAGE_INVALID, CAUSE_DISK_FULL};
    char digest[SPEC_DIGEST_LEN + 1];

    (void)snprintf(digest, sizeof(digest), "%064u", below(m, PACKAGES));
    if (one_in(m, 6)) {
        agent_core_package_failed(m->w->core, digest, causes[below(m, 2)], "bad");
    } else {
        agent_core_package_ready(m->w->core, digest);
    }
}

/* --- calls and instances --------------------------------------------------------------
 */

/* One that another node forwarded, and takes back. */
static void hop(struct model *m, struct test_call *c, const char *name)
{
    const struct call_hop says = {
        .may_wait = one_in(m, 2),
        .queue_left_ms = one_in(m, 4) ? UINT64_MAX : below(m, 3000),
    };

    *c = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call_hop(m->w->core, &c->call, NULL, name, &says);
}

/* A forwarded call's reply has begun, or it comes back. False: it is over. */
static bool hop_answers(struct model *m, struct test_call *c)
{
    const struct hop_room room = {.free = below(m, 4), .load_permille = below(m, 1000)};
    char node[sizeof(c->node)];

    memcpy(node, c->node, sizeof(node));
    if (one_in(m, 2)) {
        agent_core_hop_room(m->w->core, &c->call, node, &room);
        return false;
    }
    c->outcome = NO_OUTCOME;
    agent_core_call_returned(m->w->core, &c->call, node,
                             one_in(m, 2) ? VERDICT_BUSY : VERDICT_CANNOT,
                             one_in(m, 2) ? CAUSE_NO_CAPACITY : CAUSE_NODE_LOST);
    return true;
}

static void call(struct model *m)
{
    unsigned f = below(m, FUNCTIONS);

    for (unsigned i = 0; i < CALLS; i++) {
        if (!m->used[i] && one_in(m, 5)) {
            m->used[i] = true;
            hop(m, &m->calls[i], names[f]);
            return;
        }
        if (!m->used[i]) {
            m->used[i] = true;
            world_call_version(m->w, &m->calls[i], names[f],
                               one_in(m, 8) ? 1 + below(m, 4) : 0, one_in(m, 4));
            return;
        }
    }
}

static void end_call(struct model *m, unsigned i)
{
    static const enum cause causes[] = {CAUSE_NONE, CAUSE_NONE, CAUSE_FUNCTION_ERROR};
    struct test_call *c = &m->calls[i];

    if (!m->used[i]) {
        return;
    }
    if (c->outcome == FORWARDED && one_in(m, 2) && hop_answers(m, c)) {
        return;
    }
    if (one_in(m, 5)) {
        agent_core_call_cancel(m->w->core, &c->call, one_in(m, 2));
    } else if (c->outcome != NO_OUTCOME) {
        agent_core_call_done(m->w->core, &c->call, causes[below(m, 3)], 10);
    } else {
        return;
    }
    assert_int_equal(c->call.state, CALL_ENDED);
    m->used[i] = false;
}

static void instance_event(struct model *m)
{
    static const enum cause causes[] = {CAUSE_START_FAILED, CAUSE_INIT_FAILED, CAUSE_OOM,
                                        CAUSE_NO_CAPACITY, CAUSE_INTERNAL};
    struct world *w = m->w;
    unsigned at;

    if (w->n_instances == 0) {
        return;
    }
    at = below(m, w->n_instances);
    if (w->instances[at].stopped && !one_in(m, 4)) {
        world_gone(w, at);
    } else if (one_in(m, 8)) {
        world_fail(w, at, causes[below(m, 5)], "it broke");
    } else if (w->instances[at].in->state == INSTANCE_STARTING) {
        world_ready(w, at);
    }
}

static void pass_time(struct model *m)
{
    uint64_t us = below(m, 1000) * (one_in(m, 6) ? 3000000u : 10000u) / 10;

    if (one_in(m, 40)) {
        us += 70000000; /* past the lingering of ended versions */
    }
    if (one_in(m, 10)) {
        us += 60000000ull * 8 * below(m, 3); /* for patterns to show */
    }
    while (us > 0) { /* checked on the way as well */
        uint64_t step_us = us < 100000000 ? 500000 : 30000000;
        uint64_t part = us < step_us ? us : step_us;

        m->w->now_us += part % 1000;
        world_pass_ms(m->w, part / 1000);
        us -= part;
        agent_core_tick(m->w->core);
        check_calls(m);
        check_deadlines(m);
        check_instances(m);
    }
}

static void step(struct model *m)
{
    m->w->freeze_result = one_in(m, 10) ? -EBUSY : 0;
    m->w->thaw_result = one_in(m, 10) ? -EIO : 0;
    switch (below(m, 30)) {
    case 0:
    case 1:
        change_function(m);
        break;
    case 2:
        one_in(m, 4) ? delete_function(m) : peers(m);
        break;
    case 3:
        one_in(m, 5) ? snapshot(m) : stale_function(m);
        break;
    case 4:
        package(m);
        if (one_in(m, 3)) {
            agent_core_lapse(m->w->core, one_in(m, 3));
        }
        break;
    case 5:
    case 6:
    case 7:
        pass_time(m);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        instance_event(m);
        break;
    case 14:
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
        end_call(m, below(m, CALLS / (1 + below(m, 10))));
        break;
    default:
        call(m);
        break;
    }
    check(m);
}

/* --- the end --------------------------------------------------------------------------
 */

/* Everything that is out is answered, well. */
static void answer_all(struct model *m)
{
    struct world *w = m->w;
    char digest[SPEC_DIGEST_LEN + 1];

    for (unsigned i = 0; i < PACKAGES; i++) {
        (void)snprintf(digest, sizeof(digest), "%064u", i);
        agent_core_package_ready(w->core, digest);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        if (m->used[i] && m->calls[i].outcome != NO_OUTCOME) {
            agent_core_call_done(w->core, &m->calls[i].call, CAUSE_NONE, 0);
            m->used[i] = false;
        }
        check_calls(m);
    }
    for (unsigned i = 0; i < w->n_instances; i++) {
        if (w->instances[i].in == NULL) {
            continue;
        }
        if (w->instances[i].stopped) {
            world_gone(w, i);
        } else if (w->instances[i].in->state == INSTANCE_STARTING) {
            world_ready(w, i);
        }
    }
    check(m);
}

static void settle(struct model *m)
{
    m->w->freeze_result = m->w->thaw_result = 0;
    for (unsigned i = 0; i < 100; i++) {
        answer_all(m);
        world_pass_ms(m->w, 1000);
        check(m);
    }
    /* Until no pattern expects a call any more. */
    for (unsigned i = 0; i < KEEPALIVE_BINS * 11 / 10 + 10; i++) {
        answer_all(m);
        world_pass_ms(m->w, KEEPALIVE_BIN_MS);
        world_tell(m->w);
        check(m);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        assert_false(m->used[i]); /* each had its end */
    }
}

/* What `warm` asks for is there, if memory and number allow. */
static void check_warm(struct model *m)
{
    const struct agent_core *a = m->w->core;

    LIST_FOREACH(it, &a->functions)
    {
        const struct function *f = container_of(it, struct function, all);

        LIST_FOREACH(version, &f->versions)
        {
            const struct version *v = container_of(version, struct version, link);

            assert_true(v->wanted);
            assert_true(pool_starts_wanted(v) == 0 || !list_empty(&v->starved));
            assert_true(pool_idle(v) <= v->grant_warm);
            assert_int_equal(pool_idle(v), v->n_instances);
        }
    }
}

static void finish(struct model *m)
{
    struct world *w = m->w;

    agent_core_lapse(w->core, false);
    settle(m);
    check_warm(m);
    if (one_in(m, 2)) {
        for (unsigned f = 0; f < FUNCTIONS; f++) {
            m->live[f] = false;
            agent_core_function_deleted(w->core, "default", names[f], ++w->revision);
        }
    } else {
        for (unsigned i = 0; i < 20; i++) {
            call(m);
        }
        m->draining = true;
        agent_core_drain(w->core);
        if (one_in(m, 2)) {
            agent_core_stop_all(w->core);
        }
        for (unsigned i = 0; i < 20; i++) {
            call(m);
        }
        check(m);
    }
    settle(m);
    assert_true(agent_core_is_empty(w->core));
    assert_int_equal(agent_core_memory_reserved(w->core), 0);
    if (!m->draining) {
        assert_int_equal(w->core->packages.n, 0);
    }
}

static void run(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->w = world_new(MEMORY_MIB, INSTANCES);
    m->w->random = seed;
    world_freeze_after(m->w, one_in(m, 4) ? 0 : 1 + below(m, 2000));
    m->w->core->gate.max = one_in(m, 2) ? 0 : (uint32_t)(1 + below(m, 4));
    m->w->data = m;
    m->w->on_start = on_start;
    for (unsigned i = 0; i < STEPS; i++) {
        step(m);
    }
    finish(m);
    world_free(m->w);
    free(m);
}

static void holds_whatever_comes(void **state)
{
    const char *text = getenv("MAYFLY_SEED");
    uint64_t first = text != NULL ? strtoull(text, NULL, 10) : 1;

    for (uint64_t seed = first; seed < first + (text != NULL ? 1 : n_runs); seed++) {
        (void)printf("MAYFLY_SEED=%" PRIu64 "\n", seed);
        (void)fflush(stdout);
        run(seed);
    }
}

int main(int argc, char **argv)
{
    const char *runs = argc > 1 ? argv[1] : getenv("MAYFLY_RUNS");
    const struct CMUnitTest tests[] = {cmocka_unit_test(holds_whatever_comes)};

    if (runs != NULL) {
        n_runs = (unsigned)strtoul(runs, NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
