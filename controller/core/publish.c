#include "controller/core/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

/* Of a failed candidate nodes need to know nothing. */
static const struct core_target *candidate_of(const struct core_function *f)
{
    return f->candidate != NULL && f->candidate->proof != PROOF_FAILED &&
                   f->candidate->body != NULL
               ? f->candidate
               : NULL;
}

static const struct core_target *serving_of(const struct core_function *f)
{
    return f->serving != NULL && f->serving->body != NULL ? f->serving : NULL;
}

static uint64_t hash_number(uint64_t h, uint64_t n)
{
    return keymap_hash(h, &n, sizeof(n));
}

/* What concerns every node: the version, and who may run how many of it. */
static uint64_t hash_target(uint64_t h, const struct core_target *t)
{
    if (t == NULL) {
        return hash_number(h, 0);
    }
    h = hash_number(h, t->number);
    h = hash_number(h, (uint64_t)t->body->mod_revision);
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        h = keymap_hash_str(h, g->node->name);
        h = hash_number(h, g->max);
    }
    return h;
}

/* What concerns those alone that have a grant; the order is that of the other hash. */
static uint64_t hash_warm(uint64_t h, const struct core_target *t)
{
    if (t != NULL) {
        LIST_FOREACH(it, &t->grants)
        {
            const struct core_grant *g = container_of(it, struct core_grant, of_target);

            h = hash_number(h, (uint64_t)g->warm << 32 | g->reserved);
        }
    }
    return h;
}

/* 64 bits under a secret seed instead of a copy of all that was sent: that two different
 * contents look the same is less likely than a broken memory. */
static uint64_t content(const struct controller_core *c, const struct core_function *f)
{
    uint64_t h = hash_number(c->seed, f->ns->index);

    return hash_target(hash_target(h, serving_of(f)), candidate_of(f));
}

static uint64_t warm_content(const struct controller_core *c,
                             const struct core_function *f)
{
    return hash_warm(hash_warm(c->seed, serving_of(f)), candidate_of(f));
}

static size_t fill_version(struct version_state *v, struct grant *grants,
                           const struct core_target *t)
{
    size_t n = 0;

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        grants[n] =
            (struct grant){.max = g->max, .warm = g->warm, .reserved = g->reserved};
        (void)snprintf(grants[n].node, sizeof(grants[n].node), "%s", g->node->name);
        n++;
    }
    *v = (struct version_state){.number = t->number,
                                .spec = t->body->spec,
                                .package = t->body->package,
                                .grants = grants,
                                .n_grants = n};
    return n;
}

int publish_to(struct controller_core *c, struct core_function *f, const char *node)
{
    const struct core_target *serving = serving_of(f), *candidate = candidate_of(f);
    size_t n = (serving != NULL ? serving->n_grants : 0) +
               (candidate != NULL ? candidate->n_grants : 0);
    _cleanup_free_ struct grant *grants = calloc(n + 1, sizeof(*grants));
    struct version_state versions[2];
    struct function_state state = {.namespace_ = f->ns->name,
                                   .name = f->name,
                                   .revision = f->revision,
                                   .namespace_index = f->ns->index,
                                   .versions = versions};
    size_t used = 0;

    if (grants == NULL) {
        return -ENOMEM;
    }
    if (serving != NULL) {
        state.serving = serving->number;
        used = fill_version(&versions[state.n_versions++], grants, serving);
    }
    if (candidate != NULL) {
        (void)fill_version(&versions[state.n_versions++], grants + used, candidate);
    }
    c->io.send_function(c->io.ctx, node, &state);
    return 0;
}

static bool has_grant(const struct core_target *t, const struct core_node *n)
{
    if (t != NULL) {
        LIST_FOREACH(it, &t->grants)
        {
            if (container_of(it, struct core_grant, of_target)->node == n) {
                return true;
            }
        }
    }
    return false;
}

/* Those with a grant, each once. They are few; a cluster has thousands of nodes, and how
 * many of its own a node keeps warm is the others' matter in no way. */
static int publish_to_holders(struct controller_core *c, struct core_function *f)
{
    const struct core_target *targets[] = {serving_of(f), candidate_of(f)};

    for (size_t i = 0; i < 2; i++) {
        if (targets[i] == NULL) {
            continue;
        }
        LIST_FOREACH(it, &targets[i]->grants)
        {
            const struct core_node *n =
                container_of(it, struct core_grant, of_target)->node;

            if ((i == 0 || !has_grant(targets[0], n)) && publish_to(c, f, n->name) < 0) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

int publish(struct controller_core *c, struct core_function *f)
{
    uint64_t now = content(c, f), warm = warm_content(c, f);
    bool all = !f->published || f->content != now;

    if (!all && f->warm_content == warm) {
        return 0;
    }
    f->revision = core_next_revision(c);
    if ((all ? publish_to(c, f, NULL) : publish_to_holders(c, f)) < 0) {
        f->content = all ? ~now : now;
        f->warm_content = ~warm;
        return -ENOMEM;
    }
    f->published = true;
    f->content = now;
    f->warm_content = warm;
    return 0;
}

void publish_deleted(struct controller_core *c, struct core_function *f)
{
    struct function_state state = {
        .namespace_ = f->ns->name, .name = f->name, .deleted = true};

    if (f->published) {
        f->published = false;
        state.revision = f->revision = core_next_revision(c);
        c->io.send_function(c->io.ctx, NULL, &state);
    }
}
