#include "controller/core/thin.h"

#include "controller/core/scheduler.h"
#include "controller/core/targets.h"

#define THIN_WAIT_MS  1000
#define THIN_PAUSE_MS 20
#define THIN_BATCH    256

static void set(struct controller_core *c, struct core_function *f, bool thin)
{
    if (!list_empty(&f->thin)) {
        list_remove(&f->thin);
        c->n_thin--;
    }
    if (thin) {
        list_push_back(&c->thin, &f->thin);
        c->n_thin++;
    }
}

static void fire(struct controller_core *c, struct alarm *a)
{
    for (int i = 0; i < THIN_BATCH && c->thin_left > 0 && !list_empty(&c->thin); i++) {
        struct core_function *f = container_of(c->thin.next, struct core_function, thin);

        c->thin_left--;
        set(c, f, true); /* to the end; the look may take it off */
        scheduler_touch(c, f);
    }
    if (c->thin_left > 0 && !list_empty(&c->thin)) {
        alarms_set(&c->alarms, a, core_now_ms(c) + THIN_PAUSE_MS);
    }
}

void thin_node_came(struct controller_core *c)
{
    c->thin_left = c->n_thin;
    if (c->n_thin > 0 && !c->thin_alarm.set) {
        alarms_set(&c->alarms, &c->thin_alarm, core_now_ms(c) + THIN_WAIT_MS);
    }
}

static bool is_thin_target(const struct controller_core *c, const struct core_target *t)
{
    uint32_t homes = c->options.homes_max;

    if (t->body == NULL) {
        return false;
    }
    if (t->most > 0 && t->most < homes) {
        homes = t->most;
    }
    return t->n_grants < homes;
}

static bool is_thin(const struct controller_core *c, const struct core_function *f)
{
    for (const struct core_target *t = target_next(f, NULL); t != NULL;
         t = target_next(f, t)) {
        if (t != f->candidate && is_thin_target(c, t)) {
            return true;
        }
    }
    return false;
}

void thin_init(struct controller_core *c)
{
    list_init(&c->thin);
    c->thin_alarm.fire = fire;
}

void thin_follow(struct controller_core *c, struct core_function *f)
{
    set(c, f, core_placing(c) && is_thin(c, f));
}

void thin_forget(struct controller_core *c, struct core_function *f)
{
    set(c, f, false);
}
