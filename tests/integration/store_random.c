#include "tests/integration/store_random.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the four above */

#include "common/clock.h"

#define KEYS 12 /* few, so that they meet */

struct model_key {
    char name[8];
    char value[16]; /* "" while create == 0 */
    int64_t create;
    int64_t mod;
};

struct model {
    struct model_key keys[KEYS];
    int64_t revision;
    struct event_list events; /* all there ever were */
};

static uint64_t seed;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static bool model_compare(const struct model_key *k, const struct store_compare *c)
{
    return (c->what == STORE_CREATE_REVISION ? k->create : k->mod) == c->equals;
}

static void model_event(struct model *m, const struct model_key *k, int64_t revision)
{
    struct store_event e = {.type = k->create != 0 ? STORE_EVENT_PUT : STORE_EVENT_DELETE,
                            .kv = {.key = k->name,
                                   .value = k->value,
                                   .len = strlen(k->value),
                                   .create_revision = k->create,
                                   .mod_revision = revision}};

    assert_int_equal(event_list_add(&m->events, &e), 0);
}

/* True if it changed the key. */
static bool model_op(struct model *m, struct model_key *k, const struct store_op *op)
{
    int64_t revision = m->revision + 1;

    if (op->type == STORE_PUT) {
        k->create = k->create != 0 ? k->create : revision;
        k->mod = revision;
        (void)snprintf(k->value, sizeof(k->value), "%s", (const char *)op->value);
    } else if (k->create != 0) {
        k->create = k->mod = 0;
        k->value[0] = '\0';
    } else {
        return false;
    }
    model_event(m, k, revision);
    return true;
}

struct step {
    struct store_compare compares[2];
    size_t n_compares;
    struct store_op ops[3];
    struct model_key *keys[3]; /* of the operations; NULL: all under the prefix */
    char values[3][16];
    size_t n_ops;
    bool holds; /* by the model */
};

static void make_step(struct model *m, struct step *s)
{
    unsigned first = below(KEYS);

    *s = (struct step){.n_compares = below(3), .n_ops = 1 + below(3), .holds = true};
    for (size_t i = 0; i < s->n_compares; i++) {
        struct model_key *k = &m->keys[below(KEYS)];

        s->compares[i] = (struct store_compare){
            .key = k->name,
            .what = below(2) != 0 ? STORE_CREATE_REVISION : STORE_MOD_REVISION};
        /* Mostly what holds; sometimes what does not. */
        s->compares[i].equals =
            s->compares[i].what == STORE_CREATE_REVISION ? k->create : k->mod;
        s->compares[i].equals += below(5) == 0 ? 1 : 0;
        s->holds = s->holds && model_compare(k, &s->compares[i]);
    }
    for (size_t i = 0; i < s->n_ops; i++) {
        s->keys[i] = &m->keys[(first + i) % KEYS];
        (void)snprintf(s->values[i], sizeof(s->values[i]), "%u", below(100000));
        s->ops[i] = below(3) == 0 ? op_delete(s->keys[i]->name)
                                  : op_put(s->keys[i]->name, s->values[i]);
    }
    if (below(8) == 0) {
        s->n_ops = 1;
        s->keys[0] = NULL;
        s->ops[0] = (struct store_op){.type = STORE_DELETE_PREFIX, .key = "r/1"};
    }
}

static void model_step(struct model *m, const struct step *s)
{
    bool changed = false;

    for (size_t i = 0; s->holds && i < s->n_ops; i++) {
        for (size_t k = 0; k < KEYS; k++) {
            bool meant =
                s->keys[i] == &m->keys[k] ||
                (s->keys[i] == NULL && strncmp(m->keys[k].name, s->ops[i].key, 3) == 0);

            if (meant && model_op(m, &m->keys[k], &s->ops[i])) {
                changed = true;
            }
        }
    }
    m->revision += changed ? 1 : 0;
}

static void compare_state(struct client *c, const struct model *m)
{
    struct answer a = client_range(c, "r/");
    size_t at = 0;

    assert_int_equal(a.revision, m->revision);
    for (size_t i = 0; i < KEYS; i++) {
        const struct model_key *k = &m->keys[i];
        const struct store_kv *kv;

        if (k->create == 0) {
            continue;
        }
        assert_true(at < a.kvs.n);
        kv = &a.kvs.items[at++];
        assert_string_equal(kv->key, k->name);
        assert_int_equal(kv->create_revision, k->create);
        assert_int_equal(kv->mod_revision, k->mod);
        assert_int_equal(kv->len, strlen(k->value));
        assert_memory_equal(kv->value, k->value, kv->len);
    }
    assert_int_equal(at, a.kvs.n);
    answer_free(&a);
}

static void compare_events(const struct model *m, const struct recorder *r)
{
    assert_int_equal(r->events.n, m->events.n);
    for (size_t i = 0; i < m->events.n; i++) {
        const struct store_event *a = &r->events.items[i];
        const struct store_event *b = &m->events.items[i];

        assert_int_equal(a->type, b->type);
        assert_string_equal(a->kv.key, b->kv.key);
        assert_int_equal(a->kv.mod_revision, b->kv.mod_revision);
        assert_int_equal(a->kv.create_revision, b->kv.create_revision);
        assert_int_equal(a->kv.len, b->kv.len);
        assert_memory_equal(a->kv.value, b->kv.value, a->kv.len);
    }
}

void store_random_run(struct client *c, int steps)
{
    struct model m = {0};
    struct recorder r = {0};
    const char *given = getenv("MAYFLY_SEED");
    int batches = 0;

    seed = given != NULL ? strtoull(given, NULL, 10) : clock_wall_ms();
    print_message("# MAYFLY_SEED=%" PRIu64 "\n", seed);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(m.keys[i].name, sizeof(m.keys[i].name), "r/%02u", i);
    }
    m.revision = client_put(c, "start", "x");
    (void)store_watch(c->store, "r/", m.revision + 1, &recorder_ops, &r);
    for (int i = 0; i < steps; i++) {
        struct step s;
        struct answer a;
        int64_t before = m.revision;

        make_step(&m, &s);
        model_step(&m, &s);
        a = client_txn(c, s.compares, s.n_compares, s.ops, s.n_ops);
        assert_int_equal(a.status, 0);
        assert_int_equal(a.succeeded, s.holds);
        assert_int_equal(a.revision, m.revision);
        batches += m.revision > before ? 1 : 0;
        compare_state(c, &m);
    }
    client_wait(c, &r.batches, batches);
    compare_events(&m, &r);
    event_list_free(&m.events);
    recorder_free(&r);
}
