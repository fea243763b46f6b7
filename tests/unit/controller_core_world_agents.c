#include "tests/unit/controller_core_world_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* --- what they are told ----------------------------------------------------------- */

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
    f->failed = s->failed;
    (void)snprintf(f->failed_text, sizeof(f->failed_text), "%s",
                   s->failed_text != NULL ? s->failed_text : "");
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

void world_send_function(void *ctx, const char *node, const struct function_state *f)
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

void world_send_node(void *ctx, const char *node, const struct node_state *n)
{
    struct world *w = ctx;

    for (size_t i = 0; i < w->n_agents; i++) {
        struct model_agent *a = &w->agents[i];

        if (a->connected && (node == NULL || strcmp(node, a->name) == 0)) {
            agent_meets(a, n);
        }
    }
}

struct model_agent *world_agent(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_agents; i++) {
        if (strcmp(w->agents[i].name, name) == 0) {
            return &w->agents[i];
        }
    }
    return NULL;
}

void world_resync(void *ctx, const char *node)
{
    struct model_agent *a = world_agent(ctx, node);

    CHECK(a != NULL);
    a->wants_snapshot = a->connected;
}

/* --- what they say ------------------------------------------------------------------ */

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

    CHECK(w->n_agents < AGENTS_MAX && world_agent(w, name) == NULL);
    a = &w->agents[w->n_agents++];
    *a = (struct model_agent){.memory_bytes = memory_mib * MIB};
    (void)snprintf(a->name, sizeof(a->name), "%s", name);
    (void)snprintf(a->boot, sizeof(a->boot), "boot-1");
    a->functions = world_take(FUNCTIONS_IN * sizeof(*a->functions)); /* large; few used */
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

struct model_agent *world_proof(struct world *w, const char *name, uint64_t version)
{
    char node[SPEC_NODE_MAX + 1];

    world_proof_node(w, name, version, node);
    for (size_t i = 0; i < w->n_agents; i++) {
        if (strcmp(w->agents[i].name, node) == 0) {
            return &w->agents[i];
        }
    }
    fail_msg("%s is to prove %s", *node != '\0' ? node : "nobody", name);
    return NULL;
}

void world_refuse(struct world *w, const char *name, uint64_t version, enum cause cause)
{
    world_say(w, world_proof(w, name, version), name, version, false, cause,
              "it says no");
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
