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

struct loads {
    struct version_load *list; /* what it points to is lent by the core */
    size_t n, capacity;
    bool failed; /* out of memory: not all that there is to say */
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
    bool full; /* the next names everything */
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

    if (v->n == v->capacity) {
        size_t capacity = v->capacity == 0 ? 32 : v->capacity * 2;
        struct version_load *grown = reallocarray(v->list, capacity, sizeof(*grown));

        if (grown == NULL) {
            v->failed = true;
            return;
        }
        v->list = grown;
        v->capacity = capacity;
    }
    v->list[v->n++] = *l;
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

/* As the warden said last. */
static void add_blanks(struct agent *a, struct node_report *r)
{
    const struct warden_blanks *b;

    if (a->warden == NULL) {
        return;
    }
    b = warden_blanks(a->warden);
    for (unsigned i = 0; i < b->n_kinds && r->n_blanks < BLANKS_KINDS_MAX; i++) {
        const struct warden_blank_kind *kind = &b->kinds[i];
        struct blanks_state *to = &r->blanks[r->n_blanks++];

        (void)snprintf(to->kind, sizeof(to->kind), "%s",
                       agent_status_kind(kind->program));
        to->ready = kind->ready;
        to->memory_bytes = kind->memory_bytes;
    }
}

static void say(struct agent *a)
{
    struct agent_reports *r = a->reports;
    uint64_t offset_ms = clock_wall_ms() - clock_mono_ms(); /* wraps round, and back */
    struct loads now = {0};
    struct node_report report = {
        .full = agent_core_loads_changed(a->core, r->full, collect, &now),
        .memory_reserved_bytes = agent_core_memory_reserved(a->core),
        .instances = agent_core_instances(a->core),
        .loads = now.list,
        .n_loads = now.n,
    };

    for (size_t i = 0; i < now.n; i++) {
        to_wall(&now.list[i], offset_ms);
    }
    add_blanks(a, &report);
    r->soon = false;
    r->sent_ms = uv_now(&a->loop);
    /* What could not be said is said at the next beat, with all else. */
    r->full = now.failed || send_report(a, &report) < 0;
    free(now.list);
}

static void beat_cb(uv_timer_t *timer)
{
    struct agent *a = container_of(timer, struct agent, beat);

    if (a->link != NULL && link_is_up(a->link)) {
        say(a);
    }
    if (a->warden != NULL) {
        warden_count(a->warden); /* the next report has what it says */
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
        free(a->reports);
        a->reports = NULL;
    }
}
