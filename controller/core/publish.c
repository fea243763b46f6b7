#include "controller/core/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/core/holds.h"
#include "controller/core/rollouts.h"
#include "controller/core/scaling_floor.h"
#include "controller/core/targets.h"
#include "controller/core/traffic.h"

#define URL_FORMAT (JSON_COMPACT | JSON_SORT_KEYS)

/* Of a failed candidate nodes need to know nothing. */
static bool is_told(const struct core_function *f, const struct core_target *t)
{
    return t->body != NULL && (t != f->candidate || t->proof != PROOF_FAILED);
}

static uint64_t hash_number(uint64_t h, uint64_t n)
{
    return keymap_hash(h, &n, sizeof(n));
}

static uint64_t published_as(const struct core_target *t)
{
    const struct record_version *v = record_find(&t->f->record, t->number);

    return v != NULL ? v->published : 0;
}

static uint32_t told(const struct core_grant *g, uint32_t firm)
{
    return firm < holds_told(g) ? firm : holds_told(g);
}

/* What concerns every node: the version, and who may run how many of it. */
static uint64_t hash_target(uint64_t h, const struct core_target *t)
{
    h = hash_number(h, t->number);
    h = hash_number(h, published_as(t));
    h = hash_number(h, (uint64_t)t->body->mod_revision);
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        h = keymap_hash_str(h, g->node->name);
        h = hash_number(h, holds_told(g));
    }
    return h;
}

/* What concerns those alone that have a grant; the order is that of the other hash. */
static uint64_t hash_warm(uint64_t h, const struct core_target *t)
{
    h = hash_number(h, scaling_least(t));
    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        h = hash_number(h, (uint64_t)told(g, g->warm) << 32 | told(g, g->reserved));
    }
    return h;
}

static uint64_t hash_aliases(uint64_t h, const struct record *r)
{
    const struct record_rollout *o = rollout_running(r);

    for (size_t i = 0; i < r->n_aliases; i++) {
        h = keymap_hash_str(h, r->aliases[i].name);
        h = keymap_hash(h, r->aliases[i].weights,
                        r->aliases[i].n_weights * sizeof(r->aliases[i].weights[0]));
    }
    return o != NULL ? hash_number(hash_number(h, o->version), o->plan.steps[o->step])
                     : h;
}

/* The one attribute that nodes need: the function's URL, and those of its aliases, which
 * stand under "url:<alias>". */
static json_t *list_urls(const struct core_function *f)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach(f->record.attributes, key, value)
    {
        if (strcmp(key, "url") == 0) {
            (void)json_array_append(list, value);
        } else if (strncmp(key, "url:", 4) == 0) {
            json_t *one = json_copy(value);

            (void)json_object_set_new(one, "qualifier", json_string(key + 4));
            (void)json_array_append_new(list, one);
        }
    }
    return list;
}

/* JSON of a list; *ret NULL: there is none. -ENOMEM. */
static int urls_text(const struct core_function *f, char **ret)
{
    json_t *list;
    size_t n;

    *ret = NULL;
    if (f->record.attributes == NULL) {
        return 0;
    }
    list = list_urls(f);
    n = json_array_size(list);
    if (n > 0) {
        *ret = json_dumps(list, URL_FORMAT);
    }
    json_decref(list);
    return n > 0 && *ret == NULL ? -ENOMEM : 0;
}

/* Why no version serves, if the latest one's failure is the reason. */
static enum cause failure(const struct core_function *f, const char **ret_text)
{
    const struct core_target *t = f->candidate;
    const struct record_version *v = record_find(&f->record, f->record.latest);

    *ret_text = "";
    if (f->serving != NULL || f->record.serving != 0) {
        return CAUSE_NONE;
    }
    if (t != NULL && t->proof == PROOF_FAILED) { /* the store will say the same */
        *ret_text = t->text;
        return t->cause;
    }
    if (v == NULL || v->state != RECORD_FAILED) {
        return CAUSE_NONE;
    }
    *ret_text = v->message;
    return v->cause;
}

/* 64 bits under a secret seed instead of a copy of all that was sent: that two different
 * contents look the same is less likely than a broken memory. */
static uint64_t content(const struct controller_core *c, const struct core_function *f)
{
    uint64_t h = hash_number(c->seed, f->ns->index);
    const char *why;
    enum cause failed = failure(f, &why);
    char *text;

    h = hash_number(h, f->serving != NULL && is_told(f, f->serving) ? f->serving->number
                                                                    : 0);
    if (urls_text(f, &text) < 0) { /* told, and looked at again */
        h = hash_number(h, c->io.random(c->io.ctx));
    }
    h = text != NULL ? keymap_hash_str(h, text) : h;
    h = f->stopped ? hash_number(h, UINT64_MAX) : h;
    h = failed != CAUSE_NONE ? keymap_hash_str(hash_number(h, failed), why) : h;
    free(text);
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        h = is_told(f, t) ? hash_target(h, t) : h;
    }
    return hash_aliases(h, &f->record);
}

static uint64_t warm_content(const struct controller_core *c,
                             const struct core_function *f)
{
    uint64_t h = c->seed;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        h = is_told(f, t) ? hash_warm(h, t) : h;
    }
    return h;
}

static void set_node(struct grant *g, const struct core_node *n)
{
    static_assert(sizeof(g->node) == sizeof(n->name), "one is copied whole");
    memcpy(g->node, n->name, sizeof(g->node));
}

static size_t fill_version(struct version_state *v, struct grant *grants,
                           const struct core_target *t)
{
    size_t n = 0;

    LIST_FOREACH(it, &t->grants)
    {
        const struct core_grant *g = container_of(it, struct core_grant, of_target);

        grants[n] = (struct grant){.max = holds_told(g),
                                   .warm = told(g, g->warm),
                                   .reserved = told(g, g->reserved)};
        set_node(&grants[n++], g->node);
    }
    for (const struct core_hold *h = holds_next(t, NULL); h != NULL;
         h = holds_next(t, h)) {
        grants[n] = (struct grant){.max = 0};
        set_node(&grants[n++], h->node);
    }
    *v = (struct version_state){.number = t->number,
                                .spec = t->body->spec,
                                .package = t->body->package,
                                .published = published_as(t),
                                .least = scaling_least(t),
                                .id = (uint64_t)t->body->mod_revision,
                                .grants = grants,
                                .n_grants = n};
    return n;
}

/* The running rollout first, as the split of calls that name nothing. */
static size_t fill_aliases(struct alias_state *aliases, struct alias_weight rollout[2],
                           const struct record *r)
{
    const struct record_rollout *o = rollout_running(r);
    size_t n = 0;

    if (o != NULL) {
        uint32_t share = o->plan.steps[o->step];

        rollout[0] = (struct alias_weight){o->from, ALIAS_WHOLE - share};
        rollout[1] = (struct alias_weight){o->version, share};
        aliases[n++] =
            (struct alias_state){.name = "", .weights = rollout, .n_weights = 2};
    }
    for (size_t i = 0; i < r->n_aliases; i++) {
        aliases[n++] = (struct alias_state){.name = r->aliases[i].name,
                                            .weights = r->aliases[i].weights,
                                            .n_weights = r->aliases[i].n_weights};
    }
    return n;
}

int publish_to(struct controller_core *c, struct core_function *f, const char *node)
{
    size_t n_grants = 0, n_versions = 0, used = 0;
    _cleanup_free_ struct grant *grants = NULL;
    _cleanup_free_ struct version_state *versions = NULL;
    _cleanup_free_ struct alias_state *aliases = NULL;
    struct alias_weight rollout[2];
    struct function_state state = {.namespace_ = f->ns->name,
                                   .name = f->name,
                                   .revision = f->revision,
                                   .namespace_index = f->ns->index,
                                   .stopped = f->stopped};
    _cleanup_free_ char *urls = NULL;

    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        n_grants += t->n_grants;
        n_versions++;
    }
    LIST_FOREACH(it, &f->holds)
    {
        n_grants += container_of(it, struct core_hold, of_function)->grant == NULL;
    }
    grants = calloc(n_grants + 1, sizeof(*grants));
    versions = calloc(n_versions + 1, sizeof(*versions));
    aliases = calloc(f->record.n_aliases + 1, sizeof(*aliases));
    if (grants == NULL || versions == NULL || aliases == NULL ||
        urls_text(f, &urls) < 0) {
        return -ENOMEM;
    }
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        if (is_told(f, t)) {
            used += fill_version(&versions[state.n_versions++], grants + used, t);
            state.serving = t == f->serving ? t->number : state.serving;
        }
    }
    state.urls = urls;
    state.failed = failure(f, &state.failed_text);
    state.versions = versions;
    state.n_aliases = fill_aliases(aliases, rollout, &f->record);
    state.aliases = aliases;
    c->io.send_function(c->io.ctx, node, &state);
    return 0;
}

static bool has_grant(const struct core_target *t, const struct core_node *n)
{
    LIST_FOREACH(it, &t->grants)
    {
        if (container_of(it, struct core_grant, of_target)->node == n) {
            return true;
        }
    }
    return false;
}

/* Whether a version before `last` has a grant on the node. */
static bool was_told(const struct core_function *f, const struct core_target *last,
                     const struct core_node *n)
{
    for (const struct core_target *t = target_next(f, NULL); t != last;
         t = target_next(f, t)) {
        if (is_told(f, t) && has_grant(t, n)) {
            return true;
        }
    }
    return false;
}

/* Those with a grant, each once. They are few; a cluster has thousands of nodes, and how
 * many of its own a node keeps warm is the others' matter in no way. */
static int publish_to_holders(struct controller_core *c, struct core_function *f)
{
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        if (!is_told(f, t)) {
            continue;
        }
        LIST_FOREACH(it, &t->grants)
        {
            const struct core_node *n =
                container_of(it, struct core_grant, of_target)->node;

            if (!was_told(f, t, n) && publish_to(c, f, n->name) < 0) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

int publish(struct controller_core *c, struct core_function *f)
{
    uint64_t now, warm;
    bool all;

    for (struct core_target *t = target_next(f, NULL); t != NULL; t = target_next(f, t)) {
        holds_open(t);
    }
    now = content(c, f);
    warm = warm_content(c, f);
    all = !f->published || f->content != now;
    if (!all && f->warm_content == warm) {
        return 0;
    }
    f->revision = core_next_revision(c);
    if ((all ? publish_to(c, f, NULL) : publish_to_holders(c, f)) < 0) {
        f->content = all ? ~now : now;
        f->warm_content = ~warm;
        return -ENOMEM;
    }
    if (all) {
        f->revision_all = f->revision;
        holds_said(f);
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
