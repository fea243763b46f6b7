/* Decisions per second of the real controller core: 5,000 nodes and 50,000 functions (or
 * as many as are given) on one core. Time is that of the processor, so that other
 * programs on the host do not count. Run by tests/bench/placement, which builds it for
 * release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define MIB  (1024ull * 1024)
#define TIME "2026-01-31T12:00:00.000Z"

struct bench {
    uint64_t now_ms;
    uint64_t random;
    uint64_t n_sent;
    uint64_t txn;
};

static uint64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t io_now(void *ctx)
{
    return ((struct bench *)ctx)->now_ms;
}

static uint64_t io_random(void *ctx)
{
    struct bench *b = ctx;
    uint64_t z = (b->random += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    return z ^ (z >> 27);
}

static void io_txn(void *ctx, uint64_t id, const struct core_compare *compares,
                   size_t n_compares, const struct core_op *ops, size_t n_ops)
{
    ((struct bench *)ctx)->txn = id;
}

static void io_send_function(void *ctx, const char *node, const struct function_state *f)
{
    ((struct bench *)ctx)->n_sent++;
}

static void io_send_node(void *ctx, const char *node, const struct node_state *n)
{
}

static void io_resync(void *ctx, const char *node)
{
}

/* --- the cluster ------------------------------------------------------------------ */

/* A fifth of them is constrained: half of those to a tenth, half to a hundredth of the
 * nodes. A hundredth is reserved. */
static const char *asked(size_t i)
{
    return i % 10 == 1 ? "\"disk=ssd\", \"zone!=z0\"" : i % 10 == 2 ? "\"gpu=~a|b\"" : "";
}

static void add_kv(struct core_kv *kv, char *key, char *value, int64_t revision)
{
    *kv = (struct core_kv){
        .key = key, .value = value, .len = strlen(value), .mod_revision = revision};
}

static struct core_kv *make_store(size_t n_functions)
{
    struct core_kv *kvs = calloc(2 * n_functions + 1, sizeof(*kvs));

    CHECK(kvs != NULL);
    for (size_t i = 0; i < n_functions; i++) {
        char *key, *value;

        CHECK(asprintf(&key, "/mayfly/functions/default/f%zu", i) > 0);
        CHECK(asprintf(&value,
                       "{\"created_at\":\"" TIME "\",\"updated_at\":\"" TIME
                       "\",\"latest\":1,\"serving\":1,\"versions\":[{\"number\":1,"
                       "\"state\":\"ready\",\"cause\":\"none\",\"message\":\"\","
                       "\"created_at\":\"" TIME "\"}]}") > 0);
        add_kv(&kvs[2 * i], key, value, (int64_t)i + 2);
        CHECK(asprintf(&key, "/mayfly/versions/default/f%zu/%020d", i, 1) > 0);
        CHECK(
            asprintf(&value,
                     "{\"spec\":{\"runtime\":\"http\",\"max_scale\":%d,\"min_scale\":%d,"
                     "\"reserved\":%d,\"constraints\":[%s]},"
                     "\"package\":{\"digest\":\"%064zx\",\"bytes\":1,\"format\":\"tar\","
                     "\"file_name\":\"\"}}",
                     i % 100 == 3 || i % 3 == 0 ? 0 : 20, i % 10 == 0 ? 2 : 0,
                     i % 100 == 3 ? 4 : 0, asked(i), i) > 0);
        add_kv(&kvs[2 * i + 1], key, value, (int64_t)i + 2);
    }
    return kvs;
}

static void join(struct controller_core *c, size_t i)
{
    char name[32], zone[16];
    const char *labels[4] = {zone};
    size_t n = 1;
    struct node_hello h = {.node = name,
                           .boot = "b",
                           .version = "1",
                           .gateway = "10.0.0.1:8080",
                           .memory_bytes = 65536 * MIB,
                           .cpu_millis = 32000,
                           .labels = labels};

    (void)snprintf(name, sizeof(name), "node-%zu", i);
    (void)snprintf(zone, sizeof(zone), "zone=z%zu", i % 3);
    labels[n++] = i % 10 == 0 ? "disk=ssd" : "disk=hdd";
    labels[n++] = i % 200 == 0 ? "gpu=a" : i % 200 == 100 ? "gpu=b" : NULL;
    controller_core_node_joined(c, &h);
}

static void take_epoch(struct bench *b, struct controller_core *c, int64_t revision)
{
    static const char ns[] = "{\"index\":1,\"created_at\":\"" TIME "\"}";
    struct core_kv kvs[] = {
        {.key = "/mayfly/epoch", .value = "{\"epoch\":1}", .len = 11},
        {.key = "/mayfly/namespace-index", .value = "{\"next\":2}", .len = 10},
        {.key = "/mayfly/namespaces/default", .value = ns, .len = sizeof(ns) - 1},
    };

    for (size_t i = 0; i < 3; i++) {
        kvs[i].mod_revision = revision;
    }
    controller_core_events(c, kvs, 3, revision);
    controller_core_txn_done(c, b->txn, 0, true, revision, NULL);
    CHECK(controller_core_is_ready(c));
}

/* --- the laps --------------------------------------------------------------------- */

static void lap(const char *what, uint64_t since_us, uint64_t n)
{
    uint64_t us = cpu_us() - since_us;

    (void)printf("%-48s %7llu in %7.1f ms, %6.2f us each, %8.0f/s\n", what,
                 (unsigned long long)n, (double)us / 1000,
                 (double)us / (double)(n > 0 ? n : 1),
                 (double)n * 1e6 / (double)(us > 0 ? us : 1));
}

/* The decision alone, for every function with (or without) constraints: `warm` changes.
 */
static uint64_t place_all(struct controller_core *c, uint32_t warm, bool constrained)
{
    struct core_namespace *ns =
        container_of(c->namespaces.next, struct core_namespace, link);
    uint64_t n = 0;

    LIST_FOREACH(it, &ns->functions)
    {
        struct core_target *t =
            container_of(it, struct core_function, of_namespace)->serving;

        if ((t->body->spec.n_constraints > 0) == constrained &&
            t->body->spec.reserved == 0) {
            CHECK(target_place(c, t, t->body->spec.min_scale + warm) != TARGET_NO_MEMORY);
            n++;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    size_t n_nodes = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000;
    size_t n_functions = argc > 2 ? strtoul(argv[2], NULL, 10) : 50000;
    struct bench b = {.now_ms = 1000, .random = 42};
    struct controller_io io = {.ctx = &b,
                               .now_ms = io_now,
                               .wall_ms = io_now,
                               .random = io_random,
                               .txn = io_txn,
                               .send_function = io_send_function,
                               .send_node = io_send_node,
                               .resync = io_resync};
    struct controller_core_options options = {0};
    struct core_kv *kvs = make_store(n_functions);
    struct controller_core *c;
    uint64_t since_us, before;

    CHECK(controller_core_new(&c, &io, &options) == 0);
    controller_core_load(c, kvs, 2 * n_functions, (int64_t)n_functions + 2);
    take_epoch(&b, c, (int64_t)n_functions + 3);
    for (size_t i = 0; i < n_nodes; i++) {
        join(c, i);
    }
    b.now_ms += 10000;
    since_us = cpu_us();
    controller_core_tick(c);
    lap("all placed, and the grants sent", since_us, n_functions);
    CHECK(b.n_sent >= n_functions);

    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {
            "one more kept warm, no constraints", "one more kept warm, with constraints",
            "one less kept warm, no constraints", "one less kept warm, with constraints"};
        uint64_t n;

        since_us = cpu_us();
        n = place_all(c, i < 2 ? 1 : 0, i % 2 == 1);
        lap(names[i], since_us, n);
    }

    before = b.n_sent;
    since_us = cpu_us();
    for (size_t i = 0; i < n_nodes / 100; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "node-%zu", i * 7 % n_nodes);
        controller_core_node_left(c, name, "test");
    }
    lap("placed anew as a hundredth of the nodes was lost", since_us, b.n_sent - before);
    controller_core_invariant(c);
    (void)controller_core_free(c);
    for (size_t i = 0; i < 2 * n_functions; i++) {
        free((void *)(uintptr_t)kvs[i].key);
        free((void *)(uintptr_t)kvs[i].value);
    }
    free(kvs);
    return 0;
}
