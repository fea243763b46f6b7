#include "controller/core/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "controller/core/clean.h"
#include "controller/core/rollouts.h"
#include "controller/core/traffic.h"

#define JOURNAL_TEXT_MAX 256

typedef unsigned long long ull;

struct journal_event {
    uint64_t id;
    uint64_t wall_ms;
    enum event_kind kind;
    uint64_t version;
    const char *namespace_, *name; /* "": of a node; as the next, in strings */
    const char *node;              /* "": of none */
    const char *text;
    char strings[];
};

static const char *const kind_names[] = {
#define X(symbol, name) [EVENT_##symbol] = (name),
    EVENT_KINDS(X)
#undef X
};

int journal_init(struct controller_core *c)
{
    c->journal.events = calloc(JOURNAL_MAX, sizeof(*c->journal.events));
    return c->journal.events != NULL ? 0 : -ENOMEM;
}

void journal_free(struct controller_core *c)
{
    for (size_t i = 0; c->journal.events != NULL && i < JOURNAL_MAX; i++) {
        free(c->journal.events[i]);
    }
    free(c->journal.events);
    c->journal.events = NULL;
}

/* The event number `i` since the start, from 0. */
static const struct journal_event *at(const struct controller_core *c, uint64_t i)
{
    return c->journal.events[i % JOURNAL_MAX];
}

static uint64_t first(const struct controller_core *c)
{
    return c->journal.n > JOURNAL_MAX ? c->journal.n - JOURNAL_MAX : 0;
}

static const char *put(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *put = memcpy(*at, text, size);

    *at += size;
    return put;
}

/* Without memory for it the event is not told: it is for people. */
__attribute__((format(printf, 3, 0))) static void add(struct controller_core *c,
                                                      const struct journal_event *like,
                                                      const char *fmt, va_list args)
{
    char raw[JOURNAL_TEXT_MAX], text[JOURNAL_TEXT_MAX];
    struct journal_event **place = &c->journal.events[c->journal.n % JOURNAL_MAX];
    struct journal_event *e;
    char *strings;

    (void)vsnprintf(raw, sizeof(raw), fmt, args);
    clean_text(text, sizeof(text), raw); /* cut, it must still be UTF-8 */
    e = malloc(sizeof(*e) + strlen(like->namespace_) + strlen(like->name) +
               strlen(like->node) + strlen(text) + 4);
    if (e == NULL) {
        return;
    }
    *e = *like;
    strings = e->strings;
    e->namespace_ = put(&strings, like->namespace_);
    e->name = put(&strings, like->name);
    e->node = put(&strings, like->node);
    e->text = put(&strings, text);
    e->wall_ms = c->io.wall_ms(c->io.ctx);
    e->id = (c->epoch << 32) + ++c->journal.n;
    free(*place);
    *place = e;
}

void journal_node(struct controller_core *c, enum event_kind kind, const char *node,
                  const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(c,
        &(struct journal_event){.kind = kind, .namespace_ = "", .name = "", .node = node},
        fmt, args);
    va_end(args);
}

void journal_function(struct controller_core *c, enum event_kind kind,
                      const struct core_function *f, uint64_t version, const char *fmt,
                      ...)
{
    va_list args;

    va_start(args, fmt);
    add(c,
        &(struct journal_event){.kind = kind,
                                .version = version,
                                .namespace_ = f->ns->name,
                                .name = f->name,
                                .node = ""},
        fmt, args);
    va_end(args);
}

/* --- what becomes of a function ---------------------------------------------------- */

static void tell_version(struct controller_core *c, const struct core_function *f,
                         const struct record_version *v)
{
    const struct record_version *was = record_find(&f->record, v->number);

    if (v->state == RECORD_FAILED && (was == NULL || was->state != v->state)) {
        journal_function(c, EVENT_FAILED, f, v->number, "cannot serve (%s): %s",
                         cause_name(v->cause), v->message);
    }
    if (v->published > 0 && (was == NULL || was->published != v->published)) {
        journal_function(c, EVENT_PUBLISHED, f, v->number, "was published as %llu",
                         (ull)v->published);
    }
}

/* Also at the end of a rollout, and when somebody goes back. */
static void tell_serving(struct controller_core *c, const struct core_function *f,
                         const struct record *next)
{
    uint64_t before = f->record.serving;

    if (next->serving == before || next->serving == 0) {
        return;
    }
    if (before == 0) {
        journal_function(c, EVENT_READY, f, next->serving, "takes the calls");
    } else {
        journal_function(c, EVENT_READY, f, next->serving,
                         "takes the calls%s in place of version %llu",
                         next->serving < before ? " again" : "", (ull)before);
    }
}

static void tell_rollout(struct controller_core *c, const struct core_function *f,
                         const struct record *next)
{
    const struct record_rollout *was = f->record.rollout, *o = next->rollout;

    if (o != NULL && (was == NULL || was->version != o->version ||
                      was->state != o->state || was->step != o->step)) {
        journal_function(c, EVENT_ROLLOUT, f, o->version, "its rollout is %s: %s",
                         rollout_state_name(o->state), o->text);
    }
}

static bool is_same_split(const struct record_alias *a, const struct record_alias *b)
{
    bool same = a != NULL && b != NULL && a->n_weights == b->n_weights;

    for (size_t i = 0; same && i < a->n_weights; i++) {
        same = a->weights[i].version == b->weights[i].version &&
               a->weights[i].weight == b->weights[i].weight;
    }
    return same;
}

/* "version 3", "90 % of version 3, 10 % of version 4" */
static void split_text(const struct record_alias *a, char *ret, size_t size)
{
    size_t len = 0;

    *ret = '\0';
    for (size_t i = 0; i < a->n_weights && len < size; i++) {
        char share[ALIAS_PERCENT_SIZE];

        alias_percent_format(share, a->weights[i].weight);
        len += (size_t)snprintf(ret + len, size - len, "%s%s%sversion %llu",
                                i > 0 ? ", " : "", a->n_weights > 1 ? share : "",
                                a->n_weights > 1 ? " % of " : "",
                                (ull)a->weights[i].version);
    }
}

static void tell_aliases(struct controller_core *c, const struct core_function *f,
                         const struct record *next)
{
    char split[128];

    for (size_t i = 0; i < next->n_aliases; i++) {
        const struct record_alias *a = &next->aliases[i];

        if (!is_same_split(traffic_alias(&f->record, a->name), a)) {
            split_text(a, split, sizeof(split));
            journal_function(c, EVENT_ALIAS, f, 0, "alias %s means %s", a->name, split);
        }
    }
    for (size_t i = 0; i < f->record.n_aliases; i++) {
        if (traffic_alias(next, f->record.aliases[i].name) == NULL) {
            journal_function(c, EVENT_ALIAS, f, 0, "alias %s was deleted",
                             f->record.aliases[i].name);
        }
    }
}

void journal_record(struct controller_core *c, const struct core_function *f,
                    const struct record *next)
{
    bool anew = next != NULL && strcmp(f->record.created_at, next->created_at) != 0;

    if (c->epoch == 0) {
        return; /* the store is being read */
    }
    if (next == NULL) {
        if (f->present) {
            journal_function(c, EVENT_DELETED, f, 0, "was deleted");
        }
        return;
    }
    if (next->latest > f->record.latest || (anew && next->latest > 0)) {
        journal_function(c, EVENT_DEPLOYED, f, next->latest, "was deployed");
    }
    for (size_t i = 0; i < next->n_versions; i++) {
        tell_version(c, f, &next->versions[i]);
    }
    tell_rollout(c, f, next);
    tell_serving(c, f, next);
    tell_aliases(c, f, next);
}

/* --- reading ---------------------------------------------------------------------- */

static bool matches(const struct journal_event *e, const struct core_event_query *q)
{
    if (q->namespace_ != NULL && e->namespace_[0] != '\0' &&
        strcmp(q->namespace_, e->namespace_) != 0) {
        return false;
    }
    if (q->name != NULL && strcmp(q->name, e->name) != 0) {
        return false;
    }
    return q->node == NULL || strcmp(q->node, e->node) == 0;
}

static json_t *view(const struct journal_event *e)
{
    char ts[CLOCK_RFC3339_SIZE];
    json_t *json;
    int bad = 0;

    clock_rfc3339(e->wall_ms, ts);
    json = json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)e->id, "ts", ts, "kind",
                     kind_names[e->kind], "text", e->text);
    if (json != NULL && e->namespace_[0] != '\0') {
        bad |= json_object_set_new(json, "namespace", json_string(e->namespace_));
        bad |= json_object_set_new(json, "function", json_string(e->name));
    }
    if (json != NULL && e->version != 0) {
        bad |= json_object_set_new(json, "version", json_integer((json_int_t)e->version));
    }
    if (json != NULL && e->node[0] != '\0') {
        bad |= json_object_set_new(json, "node", json_string(e->node));
    }
    if (bad != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

uint64_t controller_core_event_last(const struct controller_core *c)
{
    return c->journal.n > 0 ? at(c, c->journal.n - 1)->id : 0;
}

uint64_t controller_core_event_tail(const struct controller_core *c,
                                    const struct core_event_query *q, uint64_t n)
{
    uint64_t i = c->journal.n;

    if (n == 0) {
        return controller_core_event_last(c);
    }
    while (i > first(c) && n > 0) {
        i--;
        n -= matches(at(c, i), q);
    }
    return n == 0 ? at(c, i)->id - 1 : 0;
}

/* The oldest kept one after `id`: they are in order, so it is found by halving. */
static uint64_t place_after(const struct controller_core *c, uint64_t id)
{
    uint64_t low = first(c), high = c->journal.n;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (at(c, middle)->id <= id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

json_t *controller_core_event_next(const struct controller_core *c,
                                   const struct core_event_query *q, uint64_t *after)
{
    for (uint64_t i = place_after(c, *after); i < c->journal.n; i++) {
        const struct journal_event *e = at(c, i);
        json_t *json;

        if (!matches(e, q)) {
            *after = e->id;
            continue;
        }
        json = view(e);
        if (json != NULL) {
            *after = e->id;
        }
        return json;
    }
    return NULL;
}

bool controller_core_event_lost(const struct controller_core *c, uint64_t after)
{
    return after != 0 && c->journal.n > JOURNAL_MAX && at(c, first(c))->id > after + 1;
}
