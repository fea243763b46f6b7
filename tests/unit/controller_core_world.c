#include "tests/unit/controller_core_world.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/core_private.h"
#include "controller/core/rollouts.h"
#include "controller/core/targets.h"

/* By a way that tests of a core without memory leave alone, and that no compiler turns
 * into a calloc as it does malloc and memset. */
static void *must_take(size_t size) /* whatever was there before */
{
    void *p = NULL;

    CHECK(posix_memalign(&p, _Alignof(max_align_t), size) == 0);
    return p;
}

static void *must_alloc(size_t size)
{
    return memset(must_take(size), 0, size);
}

static char *copy_of(const char *text)
{
    return text != NULL ? memcpy(must_alloc(strlen(text) + 1), text, strlen(text) + 1)
                        : NULL;
}

/* --- the store -------------------------------------------------------------------- */

static struct item *item_new(const char *key, const char *value, int64_t mod_revision)
{
    struct item *i = must_alloc(sizeof(*i));

    CHECK(strlen(key) < KEY_MAX);
    (void)stpcpy(i->key, key);
    i->value = copy_of(value);
    i->len = value != NULL ? strlen(value) : 0;
    i->mod_revision = mod_revision;
    return i;
}

static void item_free(struct item *i)
{
    list_remove(&i->link);
    free(i->value);
    free(i);
}

static struct item *find_item(const struct store_model *s, const char *key)
{
    LIST_FOREACH(it, &s->items)
    {
        struct item *i = container_of(it, struct item, link);

        if (strcmp(i->key, key) == 0) {
            return i;
        }
    }
    return NULL;
}

void store_model_init(struct store_model *s)
{
    list_init(&s->items);
    list_init(&s->log);
    s->revision = 1;
}

void store_model_free(struct store_model *s)
{
    LIST_FOREACH_SAFE(it, &s->items)
    {
        item_free(container_of(it, struct item, link));
    }
    LIST_FOREACH_SAFE(it, &s->log)
    {
        item_free(container_of(it, struct item, link));
    }
}

/* Part of the transaction that makes `revision`. */
static void change(struct store_model *s, const char *key, const char *value,
                   int64_t revision)
{
    struct item *old = find_item(s, key);

    if (old != NULL) {
        item_free(old);
    }
    if (value != NULL) {
        list_push_back(&s->items, &item_new(key, value, revision)->link);
    }
    list_push_back(&s->log, &item_new(key, value, revision)->link);
}

void store_model_put(struct store_model *s, const char *key, const char *value)
{
    change(s, key, value, ++s->revision);
}

void store_model_delete(struct store_model *s, const char *key)
{
    change(s, key, NULL, ++s->revision);
}

const char *store_model_get(const struct store_model *s, const char *key)
{
    const struct item *i = find_item(s, key);

    return i != NULL ? i->value : NULL;
}

static bool commit(struct store_model *s, const struct txn *t)
{
    for (size_t i = 0; i < t->n_compares; i++) {
        const struct item *now = find_item(s, t->compares[i].key);

        if ((now != NULL ? now->mod_revision : 0) != t->compares[i].mod_revision) {
            return false;
        }
    }
    s->revision++;
    for (size_t i = 0; i < t->n_ops; i++) {
        change(s, t->ops[i].key, t->ops[i].value, s->revision);
    }
    return true;
}

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
    struct txn *t = must_alloc(sizeof(*t));

    CHECK(n_compares <= 4 && n_ops <= 128);
    t->id = id;
    t->n_compares = n_compares;
    for (size_t i = 0; i < n_compares; i++) {
        (void)stpcpy(t->compares[i].key, compares[i].key);
        t->compares[i].mod_revision = compares[i].mod_revision;
    }
    t->ops = must_alloc(n_ops * sizeof(*t->ops));
    t->n_ops = n_ops;
    for (size_t i = 0; i < n_ops; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(strcmp(ops[i].key, ops[j].key) != 0); /* store.h: once */
        }
        (void)stpcpy(t->ops[i].key, ops[i].key);
        t->ops[i].value = copy_of(ops[i].value);
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

static struct model_function *want_function(struct model_agent *a, const char *namespace_,
                                            const char *name)
{
    struct model_function *f;

    for (size_t i = 0; i < a->n_functions; i++) {
        f = &a->functions[i];
        if (strcmp(f->namespace_, namespace_) == 0 && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    CHECK(a->n_functions < FUNCTIONS_IN);
    f = &a->functions[a->n_functions++];
    *f = (struct model_function){.deleted = true};
    (void)stpcpy(f->namespace_, namespace_);
    (void)stpcpy(f->name, name);
    return f;
}

static void agent_takes(struct model_agent *a, const struct function_state *s)
{
    struct model_function *f = want_function(a, s->namespace_, s->name);

    /* Nothing that is older than what is known may come from this controller. */
    CHECK(!a->has_snapshot || s->revision >= f->revision);
    CHECK(s->revision > 0);
    f->named = true;
    if (s->revision < f->revision) {
        return;
    }
    f->revision = s->revision;
    f->deleted = s->deleted;
    f->serving = s->serving;
    f->stopped = !s->deleted && s->stopped;
    f->namespace_index = s->namespace_index;
    f->n_versions = f->n_grants = f->n_aliases = 0;
    CHECK(s->n_versions <= VERSIONS_IN && s->n_aliases <= ALIASES_IN);
    for (size_t i = 0; !s->deleted && i < s->n_aliases; i++) {
        const struct alias_state *alias = &s->aliases[i];

        (void)stpcpy(f->aliases[i].name, alias->name);
        memcpy(f->aliases[i].weights, alias->weights,
               alias->n_weights * sizeof(*alias->weights));
        f->aliases[i].n_weights = alias->n_weights;
        f->n_aliases++;
    }
    for (size_t i = 0; !s->deleted && i < s->n_versions; i++) {
        const struct version_state *v = &s->versions[i];

        CHECK(f->n_grants + v->n_grants <= GRANTS_IN);
        f->published[f->n_versions] = v->published;
        f->versions[f->n_versions] = v->number;
        f->memory_mib[f->n_versions++] = v->spec.memory_mib;
        for (size_t j = 0; j < v->n_grants; j++) {
            struct model_grant *g;

            if (v->grants[j].max == 0) {
                continue; /* it is only asked what it has */
            }
            g = &f->grants[f->n_grants++];
            *g = (struct model_grant){.version = v->number,
                                      .max = v->grants[j].max,
                                      .warm = v->grants[j].warm,
                                      .reserved = v->grants[j].reserved};
            (void)stpcpy(g->node, v->grants[j].node);
        }
    }
}

static void io_send_function(void *ctx, const char *node, const struct function_state *f)
{
    struct world *w = ctx;

    w->n_sends++;
    for (size_t i = 0; i < w->n_agents; i++) {
        struct model_agent *a = &w->agents[i];

        if (a->connected && (node == NULL || strcmp(node, a->name) == 0)) {
            agent_takes(a, f);
        }
    }
}

static void agent_meets(struct model_agent *a, const struct node_state *n)
{
    size_t i = 0;

    while (i < a->n_peers && strcmp(a->peers[i].node, n->node) != 0) {
        i++;
    }
    if (i == a->n_peers) {
        CHECK(i < sizeof(a->peers) / sizeof(a->peers[0]));
        a->n_peers++;
        memset(&a->peers[i], 0, sizeof(a->peers[i]));
        (void)stpcpy(a->peers[i].node, n->node);
    }
    CHECK(n->revision > 0);
    CHECK(!a->has_snapshot || n->revision >= a->peers[i].revision);
    a->peers[i].named = true;
    if (n->revision >= a->peers[i].revision) {
        a->peers[i].revision = n->revision;
        a->peers[i].deleted = n->deleted;
        a->peers[i].usable = n->usable && !n->deleted;
    }
}

static void io_send_node(void *ctx, const char *node, const struct node_state *n)
{
    struct world *w = ctx;

    for (size_t i = 0; i < w->n_agents; i++) {
        struct model_agent *a = &w->agents[i];

        if (a->connected && (node == NULL || strcmp(node, a->name) == 0)) {
            agent_meets(a, n);
        }
    }
}

static struct model_agent *find_agent(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_agents; i++) {
        if (strcmp(w->agents[i].name, name) == 0) {
            return &w->agents[i];
        }
    }
    return NULL;
}

static void io_resync(void *ctx, const char *node)
{
    struct model_agent *a = find_agent(ctx, node);

    CHECK(a != NULL);
    a->wants_snapshot = a->connected;
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
        .send_function = io_send_function,
        .send_node = io_send_node,
        .resync = io_resync,
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
    kvs = must_alloc((n + 1) * sizeof(*kvs));
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
    made = w->mode != TXN_FAILS && w->mode != TXN_UNKNOWN_LOST && commit(w->store, t);
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

/* --- agents ----------------------------------------------------------------------- */

static void hello(struct world *w, struct model_agent *a)
{
    static const char *const labels[] = {"zone=a", "no-value", NULL};
    char gateway[SPEC_NODE_MAX + 8];
    struct node_hello h = {.node = a->name,
                           .boot = a->boot,
                           .version = "0.1.0",
                           .gateway = gateway,
                           .memory_bytes = a->memory_bytes,
                           .cpu_millis = 4000,
                           .labels = labels,
                           .confirms = w->confirms};

    (void)snprintf(gateway, sizeof(gateway), "%s:8080", a->name);
    a->connected = true;
    a->has_snapshot = false;
    controller_core_node_joined(w->core, &h);
    world_run(w);
}

struct model_agent *world_join(struct world *w, const char *name, uint64_t memory_mib)
{
    struct model_agent *a;

    CHECK(w->n_agents < AGENTS_MAX && find_agent(w, name) == NULL);
    a = &w->agents[w->n_agents++];
    *a = (struct model_agent){.memory_bytes = memory_mib * MIB};
    (void)snprintf(a->name, sizeof(a->name), "%s", name);
    (void)snprintf(a->boot, sizeof(a->boot), "boot-1");
    a->functions = must_take(FUNCTIONS_IN * sizeof(*a->functions)); /* large; few used */
    hello(w, a);
    return a;
}

struct model_agent *world_rejoin(struct world *w, struct model_agent *a, bool new_boot)
{
    if (new_boot) {
        (void)snprintf(a->boot, sizeof(a->boot), "boot-%u", (unsigned)world_random(w));
        a->n_functions = a->n_peers = 0;
    }
    hello(w, a);
    return a;
}

void world_leave(struct world *w, struct model_agent *a)
{
    a->connected = a->wants_snapshot = a->has_snapshot = false;
    controller_core_node_left(w->core, a->name, "gone");
    world_run(w);
}

void world_say(struct world *w, const struct model_agent *a, const char *function,
               uint64_t version, bool ready, enum cause cause, const char *text)
{
    struct version_report r = {.namespace_ = "default",
                               .name = function,
                               .version = version,
                               .ready = ready,
                               .cause = cause,
                               .text = text};

    controller_core_version_report(w->core, a->name, &r);
    world_run(w);
}

void world_report_full(struct world *w, const struct model_agent *a)
{
    struct version_load loads[FUNCTIONS_IN];
    struct node_report r = {.full = true, .loads = loads};

    for (size_t i = 0; i < a->n_functions; i++) {
        const struct model_function *f = &a->functions[i];

        for (size_t j = 0; !f->deleted && j < f->n_grants; j++) {
            if (strcmp(f->grants[j].node, a->name) != 0) {
                continue;
            }
            CHECK(r.n_loads < FUNCTIONS_IN);
            loads[r.n_loads++] =
                (struct version_load){.namespace_ = f->namespace_,
                                      .name = f->name,
                                      .version = f->grants[j].version,
                                      .grant_max = f->grants[j].max,
                                      .grant_warm = f->grants[j].warm,
                                      .grant_reserved = f->grants[j].reserved};
        }
    }
    controller_core_node_report(w->core, a->name, &r);
    world_run(w);
}

const struct model_function *agent_function(const struct model_agent *a, const char *name)
{
    for (size_t i = 0; i < a->n_functions; i++) {
        if (strcmp(a->functions[i].name, name) == 0 && !a->functions[i].deleted) {
            return &a->functions[i];
        }
    }
    return NULL;
}

const struct model_grant *agent_grant(const struct model_agent *a, const char *function,
                                      uint64_t version)
{
    const struct model_function *f = agent_function(a, function);

    for (size_t i = 0; f != NULL && i < f->n_grants; i++) {
        if (f->grants[i].version == version && strcmp(f->grants[i].node, a->name) == 0) {
            return &f->grants[i];
        }
    }
    return NULL;
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
    world_say(w, find_agent(w, node), name, version, true, CAUSE_NONE, NULL);
    assert_view(w, name, "state", "ready");
    return version;
}

/* --- looking ---------------------------------------------------------------------- */

static json_t *function_of(struct world *w, const char *name)
{
    return controller_core_function(w->core, "default", name);
}

static const json_t *walk(const json_t *at, const char *path)
{
    char copy[128];
    char *save = NULL;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    for (char *part = strtok_r(copy, ".", &save); part != NULL;
         part = strtok_r(NULL, ".", &save)) {
        at = json_is_array(at) ? json_array_get(at, strtoul(part, NULL, 10))
                               : json_object_get(at, part);
    }
    return at;
}

void world_text(struct world *w, const char *name, const char *path, char ret[512])
{
    json_t *f = function_of(w, name);
    const char *text = json_string_value(walk(f, path));

    (void)snprintf(ret, 512, "%s", text != NULL ? text : "(nothing)");
    json_decref(f);
}

int64_t world_number(struct world *w, const char *name, const char *path)
{
    json_t *f = function_of(w, name);
    const json_t *value = walk(f, path);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;

    json_decref(f);
    return n;
}

static bool collect(void *data, const char *namespace_, const char *name, json_t *item)
{
    json_t **all = data;

    return json_array_append_new(*all, item) == 0;
}

struct core_list world_collect(json_t **ret)
{
    *ret = json_array();
    return (struct core_list){.limit = SIZE_MAX, .each = collect, .data = ret};
}

json_t *world_functions(const struct world *w, const char *namespace_)
{
    json_t *all;
    struct core_list list = world_collect(&all);

    if (controller_core_functions(w->core, namespace_, &list) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static uint64_t sum(struct world *w, const char *name, uint64_t version, const char *what,
                    size_t *ret_n)
{
    json_t *f = function_of(w, name);
    const json_t *grants = json_object_get(f, "grants");
    uint64_t total = 0;
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);

        if ((uint64_t)json_integer_value(json_object_get(g, "version")) == version) {
            total += (uint64_t)json_integer_value(json_object_get(g, what));
            n++;
        }
    }
    json_decref(f);
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return total;
}

uint64_t world_sum_max(struct world *w, const char *name, uint64_t version)
{
    return sum(w, name, version, "max", NULL);
}

uint64_t world_sum_warm(struct world *w, const char *name, uint64_t version)
{
    return sum(w, name, version, "warm", NULL);
}

size_t world_n_grants(struct world *w, const char *name, uint64_t version)
{
    size_t n;

    (void)sum(w, name, version, "max", &n);
    return n;
}

void world_proof_node(struct world *w, const char *name, uint64_t version,
                      char ret[SPEC_NODE_MAX + 1])
{
    json_t *f = function_of(w, name);
    const json_t *grants = json_object_get(f, "grants");

    *ret = '\0';
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);

        if ((uint64_t)json_integer_value(json_object_get(g, "version")) == version &&
            json_integer_value(json_object_get(g, "warm")) > 0) {
            (void)snprintf(ret, SPEC_NODE_MAX + 1, "%s",
                           json_string_value(json_object_get(g, "node")));
        }
    }
    json_decref(f);
}

/* --- what must be true ------------------------------------------------------------ */

/* What others keep warm it need not know. */
static void check_grants(const struct model_agent *a, const struct model_function *m,
                         const struct core_target *t)
{
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);
        uint32_t told = holds_told(g), warm = g->warm < told ? g->warm : told;
        bool found = told == 0;

        for (size_t i = 0; i < m->n_grants; i++) {
            const struct model_grant *k = &m->grants[i];

            found = found || (k->version == t->number && k->max == told &&
                              (k->warm == warm || strcmp(k->node, a->name) != 0) &&
                              strcmp(k->node, g->node->name) == 0);
        }
        CHECK(found);
    }
}

static size_t count_told(const struct core_target *t)
{
    size_t n = 0;

    LIST_FOREACH(it, &t->grants)
    {
        n += holds_told(container_of(it, struct core_grant, of_target)) > 0;
    }
    return n;
}

static void check_told(const struct model_agent *a, const struct model_function *m,
                       const struct core_function *f)
{
    const struct record_rollout *o = rollout_running(&f->record);
    size_t n_grants = 0;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        check_grants(a, m, t);
        n_grants += count_told(t);
    }
    CHECK(m->n_grants == n_grants);
    CHECK(m->n_aliases == f->record.n_aliases + (o != NULL ? 1 : 0));
    CHECK(o == NULL || (*m->aliases[0].name == '\0' &&
                        m->aliases[0].weights[1].version == o->version));
}

/* What an agent was told last is what the core wants. */
static void check_agent(const struct world *w, const struct model_agent *a)
{
    size_t n = 0;

    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);
            const struct model_function *m = NULL;

            for (size_t i = 0; i < a->n_functions; i++) {
                if (strcmp(a->functions[i].name, f->name) == 0 &&
                    strcmp(a->functions[i].namespace_, f->ns->name) == 0) {
                    m = &a->functions[i];
                }
            }
            if (!f->present || !f->ns->present) {
                continue;
            }
            n++;
            CHECK(m != NULL && !m->deleted);
            CHECK(m->namespace_index == f->ns->index);
            CHECK(m->serving == (f->serving != NULL && f->serving->body != NULL
                                     ? f->serving->number
                                     : 0));
            check_told(a, m, f);
        }
    }
    for (size_t i = 0; i < a->n_functions; i++) {
        n -= a->functions[i].deleted ? 0 : 1;
    }
    CHECK(n == 0); /* it knows nothing more */
    for (size_t i = 0; i < a->n_peers; i++) {
        bool ready = false;

        LIST_FOREACH(it, &w->core->nodes_ready)
        {
            const struct core_node *node = container_of(it, struct core_node, link);

            ready =
                ready || (!node->draining && strcmp(node->name, a->peers[i].node) == 0);
        }
        CHECK(a->peers[i].usable == ready);
    }
}

/* What is reserved for one function, others cannot have. */
static bool any_reserved(const struct world *w)
{
    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);

            for (const struct core_target *t = target_next(f, NULL); t != NULL;
                 t = target_next(f, t)) {
                if (t->reserved > 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* A limited version has its limit, or all that the nodes can hold of it. */
static void check_limits(const struct world *w, const struct core_target *t, bool exact)
{
    uint64_t possible = 0, max = 0, bytes;

    if (t == NULL || t->body == NULL || t->most == 0) {
        return;
    }
    bytes = t->body->spec.memory_mib * MIB;
    LIST_FOREACH(it, &w->core->nodes_ready)
    {
        possible += container_of(it, struct core_node, link)->place.memory_bytes / bytes;
    }
    LIST_FOREACH(it, &t->grants)
    {
        max += container_of(it, struct core_grant, of_target)->max;
    }
    if (possible > t->most) {
        possible = t->most;
    }
    CHECK(max <= t->most);
    CHECK(!exact || max == possible || t->body->spec.n_constraints > 0 ||
          any_reserved(w));
}

void world_check(struct world *w)
{
    controller_core_invariant(w->core);
    if (!core_placing(w->core)) {
        return;
    }
    LIST_FOREACH(it, &w->core->namespaces)
    {
        LIST_FOREACH(at, &container_of(it, struct core_namespace, link)->functions)
        {
            const struct core_function *f =
                container_of(at, struct core_function, of_namespace);

            for (const struct core_target *t = target_next(f, NULL);
                 f->ns->present && t != NULL; t = target_next(f, t)) {
                check_limits(w, t, t != f->candidate); /* which may avoid nodes */
            }
        }
    }
    for (size_t i = 0; i < w->n_agents; i++) {
        if (w->agents[i].connected && w->agents[i].has_snapshot) {
            check_agent(w, &w->agents[i]);
        }
    }
}

/* --- fixture ---------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    struct fixture *f = must_alloc(sizeof(*f));

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
