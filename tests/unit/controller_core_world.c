#include "tests/unit/controller_core_world_private.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"

/* --- io --------------------------------------------------------------------------- */

static uint64_t io_now(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static uint64_t io_wall(void *ctx)
{
    return 1700000000000ull + ((struct world *)ctx)->now_ms;
}

uint64_t world_random(struct world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t io_random(void *ctx)
{
    return world_random(ctx);
}

static void io_txn(void *ctx, uint64_t id, const struct core_compare *compares,
                   size_t n_compares, const struct core_op *ops, size_t n_ops)
{
    struct world *w = ctx;
    struct txn *t = world_alloc(sizeof(*t));

    CHECK(n_compares <= 4 && n_ops <= 128);
    t->id = id;
    t->n_compares = n_compares;
    for (size_t i = 0; i < n_compares; i++) {
        (void)stpcpy(t->compares[i].key, compares[i].key);
        t->compares[i].mod_revision = compares[i].mod_revision;
    }
    t->ops = world_alloc(n_ops * sizeof(*t->ops));
    t->n_ops = n_ops;
    for (size_t i = 0; i < n_ops; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(strcmp(ops[i].key, ops[j].key) != 0); /* store.h: once */
        }
        (void)stpcpy(t->ops[i].key, ops[i].key);
        t->ops[i].value = world_copy(ops[i].value);
    }
    list_push_back(&w->txns, &t->link);
    w->n_txns++;
}

static void txn_free(struct txn *t)
{
    list_remove(&t->link);
    for (size_t i = 0; i < t->n_ops; i++) {
        free(t->ops[i].value);
    }
    free(t->ops);
    free(t);
}

/* --- a controller's life ---------------------------------------------------------- */

static void new_core(struct world *w)
{
    struct controller_io io = {
        .ctx = w,
        .now_ms = io_now,
        .wall_ms = io_wall,
        .random = io_random,
        .txn = io_txn,
        .send_function = world_send_function,
        .send_node = world_send_node,
        .resync = world_resync,
    };
    struct controller_core_options options = {.settle_ms = w->settle_ms,
                                              .homes_max = w->homes_max};

    CHECK(controller_core_new(&w->core, &io, &options) == 0);
}

void world_open(struct world *w, struct store_model *s)
{
    uint64_t random = w->random;
    uint32_t settle_ms = w->settle_ms, homes_max = w->homes_max;

    *w = (struct world){.store = s,
                        .random = random,
                        .now_ms = 1000,
                        .settle_ms = settle_ms,
                        .homes_max = homes_max};
    list_init(&w->txns);
    new_core(w);
}

static void drop_txns(struct world *w)
{
    LIST_FOREACH_SAFE(it, &w->txns)
    {
        txn_free(container_of(it, struct txn, link));
    }
}

void world_close(struct world *w)
{
    w->core = controller_core_free(w->core);
    drop_txns(w);
    for (size_t i = 0; i < w->n_agents; i++) {
        free(w->agents[i].functions);
    }
}

void world_load(struct world *w)
{
    struct core_kv *kvs;
    size_t n = 0;

    LIST_FOREACH(it, &w->store->items)
    {
        n++;
    }
    kvs = world_alloc((n + 1) * sizeof(*kvs));
    n = 0;
    LIST_FOREACH(it, &w->store->items)
    {
        const struct item *i = container_of(it, struct item, link);

        kvs[n++] = (struct core_kv){.key = i->key,
                                    .value = i->value,
                                    .len = i->len,
                                    .mod_revision = i->mod_revision};
    }
    w->delivered = w->store->revision;
    controller_core_load(w->core, kvs, n, w->store->revision);
    free(kvs);
    world_store_up(w, true);
}

void world_store_up(struct world *w, bool up)
{
    w->store_up = up;
    controller_core_store_up(w->core, up);
}

void world_start(struct world *w, struct store_model *s)
{
    world_open(w, s);
    world_load(w);
    world_run(w);
    CHECK(controller_core_is_ready(w->core));
}

void world_restart(struct world *w)
{
    w->core = controller_core_free(w->core);
    drop_txns(w);
    for (size_t i = 0; i < w->n_agents; i++) {
        w->agents[i].connected = w->agents[i].wants_snapshot = false;
        w->agents[i].has_snapshot = false;
    }
    new_core(w);
    world_load(w);
    world_run(w);
}

static bool deliver_events(struct world *w)
{
    struct core_kv kvs[128];
    size_t n = 0;
    int64_t revision = 0;

    if (w->hold_events || !w->store_up) {
        return false;
    }
    LIST_FOREACH(it, &w->store->log)
    {
        const struct item *i = container_of(it, struct item, link);

        if (i->mod_revision <= w->delivered) {
            continue;
        }
        if (revision == 0) {
            revision = i->mod_revision;
        }
        if (i->mod_revision != revision) {
            break;
        }
        CHECK(n < 128);
        kvs[n++] = (struct core_kv){.key = i->key,
                                    .value = i->value,
                                    .len = i->len,
                                    .mod_revision = i->mod_revision};
    }
    if (n == 0) {
        return false;
    }
    w->delivered = revision;
    controller_core_events(w->core, kvs, n, revision);
    return true;
}

static bool decide_txn(struct world *w)
{
    struct txn *t;
    bool made, first = w->mode == TXN_DONE_FIRST;
    int64_t revision;
    uint64_t id;

    if (list_empty(&w->txns) || w->mode == TXN_HELD) {
        return false;
    }
    t = container_of(w->txns.next, struct txn, link);
    id = t->id;
    made = w->mode != TXN_FAILS && w->mode != TXN_UNKNOWN_LOST &&
           store_model_commit(w->store, t);
    revision = w->store->revision;
    txn_free(t);
    if (w->mode == TXN_FAILS) {
        controller_core_txn_done(w->core, id, -EHOSTUNREACH, false, 0, "no route to it");
    } else if (w->mode == TXN_UNKNOWN_MADE || w->mode == TXN_UNKNOWN_LOST) {
        controller_core_txn_done(w->core, id, -EINPROGRESS, false, 0, "cut off");
    } else {
        while (!first && deliver_events(w)) {
        }
        controller_core_txn_done(w->core, id, 0, made, revision, NULL);
    }
    return true;
}

static bool take_snapshot(struct world *w)
{
    for (size_t i = 0; i < w->n_agents; i++) {
        struct model_agent *a = &w->agents[i];

        if (!a->wants_snapshot) {
            continue;
        }
        a->wants_snapshot = false;
        for (size_t j = 0; j < a->n_functions; j++) {
            a->functions[j].named = false;
        }
        for (size_t j = 0; j < a->n_peers; j++) {
            a->peers[j].named = false;
        }
        controller_core_snapshot(w->core, a->name);
        for (size_t j = 0; j < a->n_functions; j++) {
            a->functions[j].deleted = a->functions[j].deleted || !a->functions[j].named;
        }
        for (size_t j = 0; j < a->n_peers; j++) {
            a->peers[j].usable = a->peers[j].usable && a->peers[j].named;
        }
        a->has_snapshot = true;
        a->n_snapshots++;
        return true;
    }
    return false;
}

bool world_step(struct world *w)
{
    bool did = deliver_events(w) || decide_txn(w) || take_snapshot(w);

    controller_core_invariant(w->core);
    return did;
}

void world_run(struct world *w)
{
    for (unsigned n = 0; world_step(w); n++) {
        CHECK(n < 1000000);
    }
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t until_ms = w->now_ms + ms;

    world_run(w);
    for (unsigned n = 0; controller_core_deadline_ms(w->core) <= until_ms; n++) {
        uint64_t due_ms = controller_core_deadline_ms(w->core);

        CHECK(n < 1000000);
        w->now_ms = due_ms > w->now_ms ? due_ms : w->now_ms;
        controller_core_tick(w->core);
        CHECK(controller_core_deadline_ms(w->core) > w->now_ms);
        controller_core_invariant(w->core);
        world_run(w);
    }
    w->now_ms = until_ms;
}

/* --- requests --------------------------------------------------------------------- */

void answer_cb(void *data, const struct core_reply *r)
{
    struct answer *a = data;

    a->n++;
    a->cause = r->cause;
    a->created = r->created;
    a->version = r->version;
    (void)snprintf(a->text, sizeof(a->text), "%s", r->text != NULL ? r->text : "");
}

void world_put(struct world *w, const char *name, const struct function_spec *spec,
               uint64_t if_revision, struct answer *a)
{
    struct package_ref p = {.bytes = 100, .format = SPEC_FORMAT_TAR};

    memset(p.digest, 'a', SPEC_DIGEST_LEN);
    controller_core_put_function(w->core, "default", name, spec, &p, if_revision,
                                 answer_cb, a);
}

void world_delete(struct world *w, const char *name, struct answer *a)
{
    controller_core_delete_function(w->core, "default", name, 0, answer_cb, a);
}

void world_put_alias(struct world *w, const char *name, const char *alias,
                     const struct alias_weight *weights, size_t n, struct answer *a)
{
    controller_core_put_alias(w->core, "default", name, alias, weights, n, NULL, 0,
                              answer_cb, a);
    world_run(w);
}

void world_publish(struct world *w, const char *name, uint64_t number, struct answer *a)
{
    controller_core_publish(w->core, "default", name, number, NULL, 0, answer_cb, a);
    world_run(w);
}

void world_rollback(struct world *w, const char *name, uint64_t number, struct answer *a)
{
    controller_core_rollback(w->core, "default", name, number, 0, answer_cb, a);
    world_run(w);
}

uint64_t world_deploy(struct world *w, const char *name, uint32_t memory_mib,
                      uint32_t max_scale, uint32_t min_scale)
{
    struct function_spec spec;
    struct answer a = {0};

    function_spec_init(&spec);
    spec.memory_mib = memory_mib;
    spec.max_scale = max_scale;
    spec.min_scale = min_scale;
    world_put(w, name, &spec, 0, &a);
    function_spec_free(&spec);
    world_run(w);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.text, "");
    assert_int_equal(a.cause, CAUSE_NONE);
    return a.version;
}

uint64_t world_deploy_ready(struct world *w, const char *name, uint32_t memory_mib,
                            uint32_t max_scale, uint32_t min_scale)
{
    uint64_t version = world_deploy(w, name, memory_mib, max_scale, min_scale);
    char node[SPEC_NODE_MAX + 1];

    world_proof_node(w, name, version, node);
    assert_string_not_equal(node, "");
    world_say(w, world_agent(w, node), name, version, true, CAUSE_NONE, NULL);
    assert_view(w, name, "state", "ready");
    return version;
}

/* --- fixture ---------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    struct fixture *f = world_alloc(sizeof(*f));

    store_model_init(&f->s);
    world_start(&f->w, &f->s);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    world_close(&f->w);
    store_model_free(&f->s);
    free(f);
    return 0;
}
