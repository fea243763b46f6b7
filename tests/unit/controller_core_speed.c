/* How fast the controller's core is, on a cluster of 1,000 nodes and 10,000 functions (or
 * as many as are given). Run by hand: controller_core_speed [NODES [FUNCTIONS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "controller/core/scheduler.h"

#define MIB (1024ull * 1024)

struct bench {
    uint64_t now_ms;
    uint64_t random;
    uint64_t n_functions_sent, n_resyncs;
    uint64_t txn;
    int64_t revision;
    char *epoch, *index, *namespace_;
};

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
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
    ((struct bench *)ctx)->n_functions_sent++;
}

static void io_send_node(void *ctx, const char *node, const struct node_state *n)
{
}

static void io_resync(void *ctx, const char *node)
{
    ((struct bench *)ctx)->n_resyncs++;
}

static struct core_kv *make_store(size_t n_functions)
{
    static const char time[] = "2026-01-31T12:00:00.000Z";
    struct core_kv *kvs = calloc(2 * n_functions + 1, sizeof(*kvs));
    char digest[SPEC_DIGEST_LEN + 1];

    CHECK(kvs != NULL);
    memset(digest, 'd', SPEC_DIGEST_LEN);
    digest[SPEC_DIGEST_LEN] = '\0';
    for (size_t i = 0; i < n_functions; i++) {
        char *keys[2], *values[2];

        CHECK(asprintf(&keys[0], "/mayfly/functions/default/f%zu", i) > 0);
        CHECK(asprintf(&values[0],
                       "{\"created_at\":\"%s\",\"updated_at\":\"%s\",\"latest\":1,"
                       "\"serving\":1,\"versions\":[{\"number\":1,\"state\":\"ready\","
                       "\"cause\":\"none\",\"message\":\"\",\"created_at\":\"%s\"}]}",
                       time, time, time) > 0);
        CHECK(asprintf(&keys[1], "/mayfly/versions/default/f%zu/%020d", i, 1) > 0);
        CHECK(
            asprintf(&values[1],
                     "{\"spec\":{\"runtime\":\"http\",\"max_scale\":%d,\"min_scale\":%d},"
                     "\"package\":{\"digest\":\"%s\",\"bytes\":1,\"format\":\"tar\","
                     "\"file_name\":\"\"}}",
                     i % 3 == 0 ? 0 : 20, i % 10 == 0 ? 2 : 0, digest) > 0);
        for (size_t j = 0; j < 2; j++) {
            kvs[2 * i + j] = (struct core_kv){.key = keys[j],
                                              .value = values[j],
                                              .len = strlen(values[j]),
                                              .mod_revision = (int64_t)i + 2};
        }
    }
    return kvs;
}

static void lap(const char *what, uint64_t since_us, size_t n)
{
    uint64_t us = now_us() - since_us;

    (void)printf("%-44s %8.1f ms, %8.2f us each, %9.0f/s\n", what, (double)us / 1000,
                 (double)us / (double)n, (double)n * 1e6 / (double)(us > 0 ? us : 1));
}

static void join(struct controller_core *c, size_t i)
{
    char name[32];
    struct node_hello h = {.node = name,
                           .boot = "b",
                           .version = "1",
                           .gateway = "10.0.0.1:8080",
                           .memory_bytes = 16384 * MIB,
                           .cpu_millis = 8000};

    (void)snprintf(name, sizeof(name), "node-%zu", i);
    controller_core_node_joined(c, &h);
}

static void take_epoch(struct bench *b, struct controller_core *c, int64_t revision)
{
    static const char ns[] = "{\"index\":1,\"created_at\":\"2026-01-31T12:00:00.000Z\"}";
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

static void report_load(struct controller_core *c, size_t function, size_t node,
                        uint32_t calls, uint64_t second)
{
    char name[32], host[32];
    struct version_load l = {.namespace_ = "default",
                             .name = name,
                             .version = 1,
                             .busy = calls,
                             .in_flight = calls,
                             .load_us = second * calls * 1000000};
    struct node_report r = {.loads = &l, .n_loads = 1};

    (void)snprintf(name, sizeof(name), "f%zu", function);
    (void)snprintf(host, sizeof(host), "node-%zu", node);
    controller_core_node_report(c, host, &r);
}

/* A tenth of the functions have load, reported each second, and are decided on. */
static void scale(struct bench *b, struct controller_core *c, size_t n_functions,
                  size_t n_nodes)
{
    size_t n = n_functions / 10, sent = b->n_functions_sent;
    uint64_t since_us = now_us(), decisions = controller_core_counts(c).decisions;

    for (uint64_t second = 1; second <= 20; second++) {
        for (size_t i = 0; i < n; i++) {
            report_load(c, i * 10 + 1, i % n_nodes, (uint32_t)(i + second) % 5 + 1,
                        second);
        }
        b->now_ms += 1000;
        controller_core_tick(c);
    }
    decisions = controller_core_counts(c).decisions - decisions;
    lap("reports of load, with the decisions", since_us, 20 * n);
    (void)printf("  %llu decisions, %zu states sent, %llu instances desired\n",
                 (unsigned long long)decisions, b->n_functions_sent - sent,
                 (unsigned long long)controller_core_counts(c).desired);
}

struct reader {
    char last[SPEC_NAME_MAX + 1];
    size_t n;
};

static bool read_one(void *data, const char *namespace_, const char *name, json_t *item)
{
    struct reader *r = data;

    (void)snprintf(r->last, sizeof(r->last), "%s", name);
    r->n++;
    json_decref(item);
    return true;
}

/* All functions, in pages of `limit`: what a page costs beside its own items shows where
 * they are few. */
static void list(const struct controller_core *c, size_t limit)
{
    struct reader r = {.n = 0};
    uint64_t since_us = now_us();
    size_t pages = 0;
    char what[64];
    int more = 1;

    while (more == 1 && pages < 500) {
        char after[SPEC_NAME_MAX + 1];
        struct core_list l = {.after = r.n > 0 ? after : NULL,
                              .after_namespace = "default",
                              .limit = limit,
                              .each = read_one,
                              .data = &r};

        (void)stpcpy(after, r.last);
        more = controller_core_functions(c, "default", &l);
        pages++;
    }
    CHECK(more >= 0);
    (void)snprintf(what, sizeof(what), "pages of %zu functions", limit);
    lap(what, since_us, pages);
}

int main(int argc, char **argv)
{
    size_t n_nodes = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    size_t n_functions = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;
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
    uint64_t since_us = now_us(), sent;

    CHECK(controller_core_new(&c, &io, &options) == 0);
    controller_core_load(c, kvs, 2 * n_functions, (int64_t)n_functions + 2);
    lap("functions loaded", since_us, n_functions);
    take_epoch(&b, c, (int64_t)n_functions + 3);
    since_us = now_us();
    for (size_t i = 0; i < n_nodes; i++) {
        join(c, i);
    }
    lap("nodes joined while settling", since_us, n_nodes);
    b.now_ms += 10000;
    since_us = now_us();
    controller_core_tick(c);
    lap("functions placed and sent at its end", since_us, n_functions);
    CHECK(b.n_functions_sent >= n_functions);

    sent = b.n_functions_sent;
    since_us = now_us();
    for (size_t i = 0; i < n_nodes / 10; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "node-%zu", i);
        controller_core_node_left(c, name, "test");
    }
    lap("functions placed again as nodes were lost", since_us, b.n_functions_sent - sent);
    since_us = now_us();
    for (size_t i = 0; i < n_nodes / 10; i++) {
        join(c, i);
    }
    lap("nodes back", since_us, n_nodes / 10);

    since_us = now_us();
    for (size_t i = 0; i < 100000; i++) {
        struct version_load l = {.namespace_ = "default",
                                 .version = 1,
                                 .busy = (uint32_t)(i % 7),
                                 .invocations = i};
        struct node_report r = {.loads = &l, .n_loads = 1};
        char function[32], node[32];

        (void)snprintf(function, sizeof(function), "f%zu", i * 7 % n_functions);
        (void)snprintf(node, sizeof(node), "node-%zu", i % n_nodes);
        l.name = function;
        controller_core_node_report(c, node, &r);
    }
    lap("reports", since_us, 100000);
    list(c, 1);
    list(c, 100);
    scale(&b, c, n_functions, n_nodes);
    controller_core_invariant(c);
    (void)controller_core_free(c);
    for (size_t i = 0; i < 2 * n_functions; i++) {
        free((void *)(uintptr_t)kvs[i].key);
        free((void *)(uintptr_t)kvs[i].value);
    }
    free(kvs);
    return 0;
}
