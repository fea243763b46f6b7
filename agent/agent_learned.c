/* What was learned of calls, from one life of the agent to the next: read before the
 * controller has said anything, written now and then and when the agent ends in order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "agent/core/keepalive.h"
#include "agent/learned/learned.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define SAVE_MS 300000

struct agent_learned {
    struct agent *agent;
    uv_timer_t timer;
    uv_work_t work; /* writes `text` */
    bool writing;
    struct buf text;
    uint64_t calls; /* that were known of when it was last written */
    char path[PATH_MAX];
    struct error err;
};

/* --- reading --------------------------------------------------------------------------
 */

void agent_learned_load(struct agent *a)
{
    struct learned l = {0};
    struct buf text = {0};
    struct error err = {0};
    size_t n = 0;
    int rc = learned_read(a->learned->path, &text, &err);

    rc = rc < 0 ? rc : learned_unpack(&l, text.data, text.len, clock_wall_ms(), &err);
    if (rc < 0 && rc != -ENOENT) {
        log_warn("what was learned of calls cannot be used: it is learned anew",
                 LOG_STR("file", a->learned->path), LOG_STR("error", err.text));
    }
    for (size_t i = 0; i < l.n; i++) {
        const struct learned_function *f = &l.list[i];

        n += agent_core_recall(a->core, f->namespace_, f->name, &f->memory) == 0;
    }
    if (rc == 0) {
        log_info("what was learned of calls is known again", LOG_INT("functions", n));
    }
    learned_free(&l);
    buf_free(&text);
}

/* --- writing --------------------------------------------------------------------------
 */

static void collect(void *data, const char *namespace_, const char *name,
                    const struct keepalive_memory *m)
{
    (void)learned_add(data, namespace_, name, m); /* as many as there is room for */
}

static int pack(struct agent *a, struct buf *ret, bool orderly)
{
    struct learned l = {0};
    int rc;

    agent_core_learned(a->core, collect, &l);
    rc = learned_pack(ret, &l, clock_wall_ms(), orderly);
    learned_free(&l);
    return rc;
}

static void say_failure(const struct agent_learned *s)
{
    log_warn("what was learned of calls cannot be kept", LOG_STR("error", s->err.text));
}

static void write_work(uv_work_t *work)
{
    struct agent_learned *s = container_of(work, struct agent_learned, work);

    (void)learned_write(s->path, s->text.data, s->text.len, &s->err);
}

static void written_cb(uv_work_t *work, int status)
{
    struct agent_learned *s = container_of(work, struct agent_learned, work);

    if (s->err.code < 0) {
        say_failure(s);
    }
    buf_free(&s->text);
    s->err = (struct error){0};
    s->writing = false;
}

static void save_cb(uv_timer_t *timer)
{
    struct agent_learned *s = container_of(timer, struct agent_learned, timer);
    uint64_t calls = agent_core_counts(s->agent->core).idle_times;

    if (s->writing || calls == s->calls || pack(s->agent, &s->text, false) < 0) {
        return;
    }
    s->writing = uv_queue_work(&s->agent->loop, &s->work, write_work, written_cb) == 0;
    if (s->writing) {
        s->calls = calls;
    } else {
        buf_free(&s->text);
    }
}

/* Nothing else is open any more, and no call comes. */
static void save_last(struct agent_learned *s)
{
    if (pack(s->agent, &s->text, true) == 0 &&
        learned_write(s->path, s->text.data, s->text.len, &s->err) < 0) {
        say_failure(s);
    }
}

/* --- life -----------------------------------------------------------------------------
 */

int agent_learned_open(struct agent *a)
{
    struct agent_learned *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return -ENOMEM;
    }
    s->agent = a;
    (void)snprintf(s->path, sizeof(s->path), "%s/learned/calls", a->config->state_dir);
    a->learned = s;
    (void)uv_timer_init(&a->loop, &s->timer);
    return uv_timer_start(&s->timer, save_cb, SAVE_MS, SAVE_MS);
}

static void timer_closed(uv_handle_t *handle)
{
}

void agent_learned_close(struct agent *a)
{
    if (a->learned != NULL) {
        uv_close((uv_handle_t *)&a->learned->timer, timer_closed);
    }
}

void agent_learned_free(struct agent *a)
{
    struct agent_learned *s = a->learned;

    if (s == NULL) {
        return;
    }
    if (a->exit_code == 0) {
        save_last(s);
    }
    buf_free(&s->text);
    free(s);
    a->learned = NULL;
}
