/* What was learned of functions' calls in an agent's earlier life. It is there before the
 * controller has said what functions there are: each takes its own when it comes. What
 * none has come for is kept for a while, then it is dropped. */
#include "agent/core/agent_core_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_MAX    10000
#define UNKNOWN_FOR_MS (24ull * 3600 * 1000)

struct memory {
    struct name_map_node by_name;
    struct list all;
    uint64_t since_ms; /* it is here */
    const char *name;  /* in `names` */
    struct keepalive_memory learned;
    char names[];
};

struct key {
    const char *namespace_, *name;
};

static bool match(const struct name_map_node *node, const void *key)
{
    const struct memory *m = container_of(node, struct memory, by_name);
    const struct key *k = key;

    return strcmp(m->names, k->namespace_) == 0 && strcmp(m->name, k->name) == 0;
}

static uint64_t hash(const struct agent_core *a, const char *namespace_, const char *name)
{
    return name_map_hash(name_map_hash(a->seed, namespace_), name);
}

static struct memory *find(const struct agent_core *a, const char *namespace_,
                           const char *name)
{
    const struct key key = {namespace_, name};
    struct name_map_node *node =
        name_map_find(&a->memories, hash(a, namespace_, name), match, &key);

    return node != NULL ? container_of(node, struct memory, by_name) : NULL;
}

static void forget(struct agent_core *a, struct memory *m)
{
    name_map_remove(&a->memories, &m->by_name);
    list_remove(&m->all);
    free(m);
}

void catalog_memories_free(struct agent_core *a)
{
    LIST_FOREACH_SAFE(it, &a->all_memories)
    {
        forget(a, container_of(it, struct memory, all));
    }
    name_map_free(&a->memories);
}

static int keep(struct agent_core *a, const char *namespace_, const char *name,
                const struct keepalive_memory *learned)
{
    size_t len = strlen(namespace_) + 1;
    struct memory *m;

    if (a->memories.n >= UNKNOWN_MAX) {
        return -ENOSPC;
    }
    if (name_map_reserve(&a->memories) < 0 ||
        (m = calloc(1, sizeof(*m) + len + strlen(name) + 1)) == NULL) {
        return -ENOMEM;
    }
    memcpy(m->names, namespace_, len);
    memcpy(m->names + len, name, strlen(name) + 1);
    m->name = m->names + len;
    m->learned = *learned;
    m->since_ms = a->now_ms;
    name_map_insert(&a->memories, &m->by_name, hash(a, namespace_, name));
    list_push_back(&a->all_memories, &m->all);
    return 0;
}

int agent_core_recall(struct agent_core *a, const char *namespace_, const char *name,
                      const struct keepalive_memory *learned)
{
    struct keepalive tried;
    struct function *f;
    int rc = 0;

    agent_enter(a);
    keepalive_init(&tried, 0, false);
    f = catalog_find(a, namespace_, name);
    if (!keepalive_recall(&tried, a->now_ms, learned)) {
        rc = -EINVAL;
    } else if (f != NULL && !f->deleted) {
        if (keepalive_recall(&f->keepalive, a->now_ms, learned)) {
            pool_idle_plan(f);
        }
    } else {
        struct memory *old = find(a, namespace_, name);

        if (old != NULL) {
            forget(a, old);
        }
        rc = keep(a, namespace_, name, learned);
    }
    agent_leave(a);
    return rc;
}

/* As it is now, that is: so much longer ago. */
static bool is_worth(const struct memory *m, uint64_t now_ms,
                     struct keepalive_memory *ret)
{
    *ret = m->learned;
    ret->ago_ms += now_ms - m->since_ms;
    return ret->ago_ms <= KEEPALIVE_FORGET_MS && now_ms - m->since_ms <= UNKNOWN_FOR_MS;
}

void catalog_memory_claim(struct function *f)
{
    struct agent_core *a = f->core;
    struct memory *m = find(a, f->namespace_, f->name);
    struct keepalive_memory learned;

    if (m == NULL) {
        return;
    }
    if (is_worth(m, a->now_ms, &learned) &&
        keepalive_recall(&f->keepalive, a->now_ms, &learned)) {
        pool_idle_plan(f);
    }
    forget(a, m);
}

void agent_core_learned(struct agent_core *a,
                        void (*each)(void *data, const char *namespace_, const char *name,
                                     const struct keepalive_memory *learned),
                        void *data)
{
    uint64_t now_ms = a->io.now_us(a->io.ctx) / 1000;
    struct keepalive_memory learned;

    LIST_FOREACH(it, &a->functions)
    {
        const struct function *f = container_of(it, struct function, all);

        if (keepalive_remember(&f->keepalive, now_ms, &learned)) {
            each(data, f->namespace_, f->name, &learned);
        }
    }
    LIST_FOREACH_SAFE(it, &a->all_memories)
    {
        struct memory *m = container_of(it, struct memory, all);

        if (is_worth(m, now_ms, &learned)) {
            each(data, m->names, m->name, &learned);
        } else {
            forget(a, m);
        }
    }
}

size_t agent_core_patterns(const struct agent_core *a)
{
    size_t n = 0;

    LIST_FOREACH(it, &a->functions)
    {
        n += keepalive_has_pattern(&container_of(it, struct function, all)->keepalive);
    }
    return n;
}
