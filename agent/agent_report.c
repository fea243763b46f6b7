/* What this node tells the controller: how loaded its versions are (what changed, or all
 * in a new session), and which versions can start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "proto/convert.h"

#define BEAT_MS  1000
#define SOON_MS  10 /* between two that cannot wait */
#define TEXT_MAX 400

struct load {
    struct version_load load; /* its strings are those below */
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
};

struct loads {
    struct load *list; /* sorted once it is whole */
    size_t n;
    size_t capacity;
    bool failed; /* out of memory: not whole */
};

/* What was found out about a version, kept as long as it is wanted: a controller in a new
 * session has to be told again. */
struct verdict {
    struct list link;
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    uint64_t version;
    bool ready;
    enum cause cause;
    char text[TEXT_MAX];
};

struct agent_reports {
    struct loads said; /* what the controller has */
    bool full;         /* the next names everything */
    bool soon;
    uint64_t sent_ms; /* uv_now */
    uint32_t every_ms;
    struct list verdicts;
};

/* --- loads
 * ------------------------------------------------------------------------------ */

static void collect(void *data, const struct version_load *l)
{
    struct loads *v = data;
    struct load *slot;

    if (v->n == v->capacity) {
        size_t capacity = v->capacity == 0 ? 32 : v->capacity * 2;
        struct load *grown = reallocarray(v->list, capacity, sizeof(*grown));

        if (grown == NULL) {
            v->failed = true;
            return;
        }
        v->list = grown;
        v->capacity = capacity;
    }
    slot = &v->list[v->n++];
    slot->load = *l;
    (void)snprintf(slot->namespace_, sizeof(slot->namespace_), "%s", l->namespace_);
    (void)snprintf(slot->name, sizeof(slot->name), "%s", l->name);
}

static int compare(const void *a, const void *b)
{
    const struct load *x = a, *y = b;
    int order = strcmp(x->namespace_, y->namespace_);

    order = order != 0 ? order : strcmp(x->name, y->name);
    if (order == 0 && x->load.version != y->load.version) {
        order = x->load.version < y->load.version ? -1 : 1;
    }
    return order;
}

static bool same(const struct version_load *a, const struct version_load *b)
{
    return a->starting == b->starting && a->idle == b->idle && a->frozen == b->frozen &&
           a->busy == b->busy && a->queued == b->queued && a->in_flight == b->in_flight &&
           a->invocations == b->invocations && a->cold_starts == b->cold_starts &&
           a->errors == b->errors && a->gb_ms == b->gb_ms && a->cpu_us == b->cpu_us &&
           a->load_us == b->load_us && a->begun == b->begun &&
           a->grant_max == b->grant_max && a->grant_warm == b->grant_warm &&
           a->grant_reserved == b->grant_reserved && a->stopping == b->stopping &&
           a->revision == b->revision && a->last_cold.at_ms == b->last_cold.at_ms &&
           a->last_wait.at_ms == b->last_wait.at_ms &&
           a->last_refused.at_ms == b->last_refused.at_ms;
}

/* What the controller has been told of already is not said again. */
static void drop_said(struct version_load *l, const struct version_load *said)
{
    if (l->last_cold.at_ms == said->last_cold.at_ms) {
        l->last_cold.at_ms = 0;
    }
    if (l->last_wait.at_ms == said->last_wait.at_ms) {
        l->last_wait.at_ms = 0;
    }
    if (l->last_refused.at_ms == said->last_refused.at_ms) {
        l->last_refused.at_ms = 0;
    }
}

/* The core knows no other clock than its own. */
static void to_wall(struct version_load *l, uint64_t offset_ms)
{
    uint64_t *const times[] = {&l->last_cold.at_ms, &l->last_wait.at_ms,
                               &l->last_refused.at_ms};

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (*times[i] != 0) {
            *times[i] += offset_ms;
        }
    }
}

/* Puts what is new or changed into out, which has room for all of now. False: something
 * is there no more, which only a full report can say. */
static bool difference(const struct loads *before, const struct loads *now,
                       struct version_load *out, size_t *ret_n)
{
    size_t i = 0, n = 0;

    for (size_t k = 0; k < now->n; k++) {
        int order = i < before->n ? compare(&before->list[i], &now->list[k]) : 1;

        if (order < 0) {
            return false;
        }
        if (order > 0 || !same(&before->list[i].load, &now->list[k].load)) {
            out[n] = now->list[k].load;
            if (order == 0) {
                drop_said(&out[n], &before->list[i].load);
            }
            n++;
        }
        i += order == 0;
    }
    *ret_n = n;
    return i == before->n;
}

/* --- sending
 * ---------------------------------------------------------------------------- */

static int send_report(struct agent *a, const struct node_report *r)
{
    Mayfly__V1__NodeReport wire;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    int rc = convert_report_to_wire(&wire, r);

    if (rc < 0) {
        return rc;
    }
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_REPORT;
    m.report = &wire;
    rc = link_send(a->link, &m);
    convert_report_free(&wire);
    return rc;
}

static uint32_t n_instances(const struct loads *v)
{
    uint32_t n = 0;

    for (size_t i = 0; i < v->n; i++) {
        const struct version_load *l = &v->list[i].load;

        n += l->starting + l->idle + l->frozen + l->busy;
    }
    return n;
}

static int report(struct agent *a, const struct loads *now)
{
    struct agent_reports *r = a->reports;
    struct version_load *out = calloc(now->n + 1, sizeof(*out));
    struct node_report report = {
        .full = r->full,
        .memory_reserved_bytes = agent_core_memory_reserved(a->core),
        .instances = n_instances(now),
        .loads = out,
    };
    uint64_t offset_ms = clock_wall_ms() - clock_mono_ms(); /* wraps round, and back */
    int rc = -1;

    if (out == NULL || now->failed) {
        free(out);
        return rc;
    }
    if (!r->full && !difference(&r->said, now, out, &report.n_loads)) {
        report.full = true;
    }
    if (report.full) {
        report.n_loads = now->n;
        for (size_t i = 0; i < now->n; i++) {
            out[i] = now->list[i].load;
        }
    }
    for (size_t i = 0; i < report.n_loads; i++) {
        to_wall(&out[i], offset_ms);
    }
    rc = send_report(a, &report);
    free(out);
    return rc;
}

/* What the core lent for the report. */
static void forget_lent(struct loads *v)
{
    for (size_t i = 0; i < v->n; i++) {
        v->list[i].load.latency = NULL;
        v->list[i].load.n_latency = 0;
        v->list[i].load.last_refused.text = NULL;
    }
}

static void say(struct agent *a)
{
    struct agent_reports *r = a->reports;
    struct loads now = {0};

    agent_core_loads(a->core, collect, &now);
    if (now.n > 1) {
        qsort(now.list, now.n, sizeof(*now.list), compare);
    }
    for (size_t i = 0; i < now.n; i++) { /* where they are now, to stay */
        now.list[i].load.namespace_ = now.list[i].namespace_;
        now.list[i].load.name = now.list[i].name;
    }
    r->soon = false;
    r->sent_ms = uv_now(&a->loop);
    if (report(a, &now) == 0) {
        free(r->said.list);
        forget_lent(&now);
        r->said = now;
        r->full = false;
    } else {
        r->full = true; /* again at the next beat, whole */
        free(now.list);
    }
}

static void beat_cb(uv_timer_t *timer)
{
    struct agent *a = container_of(timer, struct agent, beat);

    if (a->link != NULL && link_is_up(a->link)) {
        say(a);
    }
    (void)uv_timer_start(&a->beat, beat_cb, a->reports->every_ms, 0);
}

void agent_reports_beat(struct agent *a, uint32_t every_ms)
{
    a->reports->every_ms = every_ms >= 100 && every_ms < BEAT_MS ? every_ms : BEAT_MS;
    (void)uv_timer_start(&a->beat, beat_cb, 0, 0);
}

void agent_reports_soon(struct agent *a)
{
    a->reports->soon = true;
}

/* Coalesces: whatever asked for it within a turn of the loop, and then within SOON_MS. */
void agent_reports_turn(struct agent *a)
{
    struct agent_reports *r = a->reports;
    uint64_t now_ms = uv_now(&a->loop);

    if (!r->soon || a->link == NULL || !link_is_up(a->link)) {
        return;
    }
    if (now_ms - r->sent_ms >= SOON_MS) {
        say(a);
        (void)uv_timer_start(&a->beat, beat_cb, r->every_ms, 0);
    } else {
        (void)uv_timer_start(&a->beat, beat_cb, r->sent_ms + SOON_MS - now_ms, 0);
        r->soon = false; /* the timer has it */
    }
}

/* --- verdicts
 * ----------------------------------------------------------------------------- */

static void send_verdict(struct agent *a, const struct verdict *v)
{
    const struct version_report r = {v->namespace_, v->name,  v->version,
                                     v->ready,      v->cause, v->text};
    Mayfly__V1__VersionReport wire;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;

    if (a->link == NULL) {
        return;
    }
    /* Also while the connection is down: it goes out when the session is resumed; in a
     * new one all are said again. */
    convert_version_report_to_wire(&wire, &r);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT;
    m.version_report = &wire;
    if (link_send(a->link, &m) < 0) {
        log_error("a version's report does not fit the outbox",
                  LOG_STR("function", v->name), LOG_INT("version", v->version));
    }
}

static struct verdict *find(struct agent_reports *r, const char *namespace_,
                            const char *name, uint64_t version)
{
    LIST_FOREACH(it, &r->verdicts)
    {
        struct verdict *v = container_of(it, struct verdict, link);

        if (v->version == version && strcmp(v->name, name) == 0 &&
            strcmp(v->namespace_, namespace_) == 0) {
            return v;
        }
    }
    return NULL;
}

void agent_reports_version(struct agent *a, const struct version *version, bool ready,
                           enum cause cause, const char *text)
{
    const char *namespace_ = function_namespace(version_function(version));
    const char *name = function_name(version_function(version));
    uint64_t number = version_number(version);
    struct verdict *v = find(a->reports, namespace_, name, number);

    if (ready) {
        log_info("version ready", LOG_STR("namespace", namespace_),
                 LOG_STR("function", name), LOG_INT("version", number));
    } else {
        log_warn("version cannot start", LOG_STR("namespace", namespace_),
                 LOG_STR("function", name), LOG_INT("version", number),
                 LOG_STR("cause", cause_name(cause)), LOG_STR("text", text));
    }
    if (v == NULL) {
        v = calloc(1, sizeof(*v));
        if (v == NULL) {
            return;
        }
        list_push_back(&a->reports->verdicts, &v->link);
    }
    v->version = number;
    v->ready = ready;
    v->cause = cause;
    (void)snprintf(v->namespace_, sizeof(v->namespace_), "%s", namespace_);
    (void)snprintf(v->name, sizeof(v->name), "%s", name);
    (void)snprintf(v->text, sizeof(v->text), "%s", text != NULL ? text : "");
    send_verdict(a, v);
}

static bool is_kept(uint64_t version, const struct version_state *keep, size_t n_keep)
{
    for (size_t i = 0; i < n_keep; i++) {
        if (keep[i].number == version) {
            return true;
        }
    }
    return false;
}

void agent_reports_retire(struct agent *a, const char *namespace_, const char *name,
                          const struct version_state *keep, size_t n_keep)
{
    LIST_FOREACH_SAFE(it, &a->reports->verdicts)
    {
        struct verdict *v = container_of(it, struct verdict, link);

        if (strcmp(v->name, name) == 0 && strcmp(v->namespace_, namespace_) == 0 &&
            !is_kept(v->version, keep, n_keep)) {
            list_remove(it);
            free(v);
        }
    }
}

void agent_reports_session(struct agent *a)
{
    a->reports->full = true;
    LIST_FOREACH(it, &a->reports->verdicts)
    {
        send_verdict(a, container_of(it, struct verdict, link));
    }
}

/* --- life -----------------------------------------------------------------------------
 */

int agent_reports_new(struct agent *a)
{
    a->reports = calloc(1, sizeof(*a->reports));
    if (a->reports == NULL) {
        return -1;
    }
    a->reports->full = true;
    a->reports->every_ms = BEAT_MS;
    list_init(&a->reports->verdicts);
    return 0;
}

void agent_reports_free(struct agent *a)
{
    if (a->reports != NULL) {
        LIST_FOREACH_SAFE(it, &a->reports->verdicts)
        {
            free(container_of(it, struct verdict, link));
        }
        free(a->reports->said.list);
        free(a->reports);
        a->reports = NULL;
    }
}
