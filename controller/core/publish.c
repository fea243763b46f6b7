#include "controller/core/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define URL_FORMAT (JSON_COMPACT | JSON_SORT_KEYS)

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
        h = hash_number(h, (uint64_t)g->max << 32 | g->warm);
    }
    return h;
}

/* The one attribute that nodes need. */
static const json_t *url_of(const struct core_function *f)
{
    return json_object_get(f->record.attributes, "url");
}

/* 64 bits under a secret seed instead of a copy of all that was sent: that two different
 * contents look the same is less likely than a broken memory. */
static uint64_t content(const struct controller_core *c, const struct core_function *f)
{
    const json_t *url = url_of(f);
    uint64_t h = hash_number(c->seed, f->ns->index);
    char *text = url != NULL ? json_dumps(url, URL_FORMAT) : NULL;

    h = text != NULL ? keymap_hash_str(h, text) : h;
    free(text);
    return hash_target(hash_target(h, serving_of(f)), candidate_of(f));
}

static size_t fill_version(struct version_state *v, struct grant *grants,
                           const struct core_target *t)
{
    size_t n = 0;

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        grants[n] = (struct grant){.max = g->max, .warm = g->warm};
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
    _cleanup_free_ char *url =
        url_of(f) != NULL ? json_dumps(url_of(f), URL_FORMAT) : NULL;
    size_t used = 0;

    if (grants == NULL || (url == NULL && url_of(f) != NULL)) {
        return -ENOMEM;
    }
    state.url = url;
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

int publish(struct controller_core *c, struct core_function *f)
{
    uint64_t now = content(c, f);

    if (f->published && f->content == now) {
        return 0;
    }
    f->revision = core_next_revision(c);
    if (publish_to(c, f, NULL) < 0) {
        f->content = ~now;
        return -ENOMEM;
    }
    f->published = true;
    f->content = now;
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
