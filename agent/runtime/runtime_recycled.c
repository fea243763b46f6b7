/* Sandboxes that the next call of the same version may have: their call is over, and init
 * has found nothing left of it (agent/warden/init_clean.h). They are like blanks, made
 * for one version: the core does not know them, each of its instances is a new one.
 *
 *   instance ──its call is over, INIT_CLEAN──▶ waits ──the version's next──▶ instance
 *                                                └──late, pressed out, short──▶ killed
 *
 * Bounded by number, in all and of a version: the one that waits longest makes way. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/runtime/runtime_private.h"
#include "common/check.h"
#include "common/log.h"

#define IDLE_MS 60000

struct recycled {
    struct list link; /* in host.recycled, who waits longest first; or .recycled_ending */
    struct runtime_host *host;
    uint64_t version_id;
    uint64_t sandbox_id;
    struct channel *channel;
    int freezer;
    uint64_t told_us;  /* of the sandbox's processor time: instance_usage.told_us */
    uint64_t until_ms; /* uv_now */
    bool closed;       /* the channel is */
    bool ended;        /* the sandbox has */
};

static void late_cb(uv_timer_t *timer);

static void arm(struct runtime_host *h)
{
    uint64_t now_ms = uv_now(h->loop), next_ms = UINT64_MAX;

    LIST_FOREACH(it, &h->recycled)
    {
        uint64_t until_ms = container_of(it, struct recycled, link)->until_ms;

        next_ms = until_ms < next_ms ? until_ms : next_ms;
    }
    if (next_ms == UINT64_MAX) {
        (void)uv_timer_stop(&h->recycled_late);
    } else {
        CHECK(uv_timer_start(&h->recycled_late, late_cb,
                             next_ms > now_ms ? next_ms - now_ms : 0, 0) == 0);
    }
}

static void leave(struct recycled *r)
{
    CHECK(r->host->n_recycled > 0);
    list_remove(&r->link);
    r->host->n_recycled--;
}

static void free_ended(struct recycled *r)
{
    struct runtime_host *h = r->host;

    if (r->closed && r->ended) {
        list_remove(&r->link);
        h->n_recycled_ending--;
        free(r);
        host_check_closed(h);
    }
}

static void closed_cb(void *data)
{
    struct recycled *r = data;

    r->closed = true;
    free_ended(r);
}

static void drop(struct recycled *r)
{
    struct runtime_host *h = r->host;

    leave(r);
    list_push_back(&h->recycled_ending, &r->link);
    h->n_recycled_ending++;
    warden_kill(h->options.warden, r->sandbox_id);
    if (r->freezer >= 0) {
        (void)close(r->freezer);
    }
    channel_close(r->channel, closed_cb);
}

static void late_cb(uv_timer_t *timer)
{
    struct runtime_host *h = container_of(timer, struct runtime_host, recycled_late);

    LIST_FOREACH_SAFE(it, &h->recycled)
    {
        struct recycled *r = container_of(it, struct recycled, link);

        if (r->until_ms <= uv_now(h->loop)) {
            drop(r);
        }
    }
    arm(h);
}

static void on_message(void *data, const struct init_message *m, const char *text)
{
    drop(data); /* it has nothing to say */
}

static void on_lost(void *data)
{
    drop(data);
}

/* --- waiting ----------------------------------------------------------------------- */

static struct recycled *oldest(const struct runtime_host *h, const uint64_t *version_id)
{
    LIST_FOREACH(it, &h->recycled)
    {
        struct recycled *r = container_of(it, struct recycled, link);

        if (version_id == NULL || r->version_id == *version_id) {
            return r;
        }
    }
    return NULL;
}

static unsigned count(const struct runtime_host *h, uint64_t version_id)
{
    unsigned n = 0;

    LIST_FOREACH(it, &h->recycled)
    {
        n += container_of(it, struct recycled, link)->version_id == version_id;
    }
    return n;
}

/* Of a version half of them at most: others have some as well. */
static void make_way(struct runtime_host *h, uint64_t version_id)
{
    unsigned max = h->options.recycled_max;

    if (count(h, version_id) >= (max + 1) / 2) {
        drop(oldest(h, &version_id));
    }
    if (h->n_recycled >= max) {
        drop(oldest(h, NULL));
    }
}

bool recycled_wanted(const struct runtime_instance *in)
{
    return in->host->options.recycled_max > 0 && in->config.version_id != 0 &&
           !in->config.spec->reuse && in->config.spec->idle_ms > 0;
}

bool recycled_keep(struct runtime_instance *in)
{
    static const struct channel_ops ops = {.on_message = on_message, .on_lost = on_lost};
    uint64_t idle_ms = in->config.spec->idle_ms;
    struct runtime_host *h = in->host;
    struct recycled *r = NULL;

    if (!h->closing && recycled_wanted(in)) {
        r = calloc(1, sizeof(*r));
    }
    if (r == NULL) {
        return false;
    }
    make_way(h, in->config.version_id);
    *r = (struct recycled){
        .host = h,
        .version_id = in->config.version_id,
        .sandbox_id = in->sandbox_id,
        .channel = in->channel,
        .freezer = in->freezer,
        .told_us = in->usage.told_us,
        .until_ms = uv_now(h->loop) + (idle_ms < IDLE_MS ? idle_ms : IDLE_MS),
    };
    channel_hand_over(r->channel, &ops, r);
    list_push_back(&h->recycled, &r->link);
    if (h->n_recycled++ == 0) {
        arm(h);
    }
    in->channel = NULL;
    in->freezer = -EBADF;
    in->sandbox = false;
    return true;
}

bool recycled_take(struct runtime_instance *in, const struct channel_ops *ops)
{
    struct runtime_host *h = in->host;

    /* The hottest: who waits longest is not needed. */
    for (struct list *it = h->recycled.prev; it != &h->recycled; it = it->prev) {
        struct recycled *r = container_of(it, struct recycled, link);

        if (r->version_id == in->config.version_id) {
            leave(r);
            in->sandbox = true;
            in->sandbox_id = r->sandbox_id;
            in->channel = r->channel;
            in->freezer = r->freezer;
            in->usage.told_us = r->told_us;
            channel_hand_over(in->channel, ops, in);
            h->n_recycled_used++;
            free(r);
            return true;
        }
    }
    return false;
}

void recycled_refused(struct runtime_instance *in, const char *why)
{
    in->host->n_recycled_refused++;
    log_debug("a sandbox is not as it was before its call, and goes",
              LOG_INT("instance", in->config.id), LOG_STR("left", why));
}

/* --- the end -------------------------------------------------------------------------
 */

void recycled_drop_all(struct runtime_host *h)
{
    LIST_FOREACH_SAFE(it, &h->recycled)
    {
        drop(container_of(it, struct recycled, link));
    }
    arm(h);
}

void runtime_host_on_short(struct runtime_host *h)
{
    recycled_drop_all(h);
}

void runtime_host_on_version_left(struct runtime_host *h, uint64_t version_id)
{
    LIST_FOREACH_SAFE(it, &h->recycled)
    {
        struct recycled *r = container_of(it, struct recycled, link);

        if (r->version_id == version_id) {
            drop(r);
        }
    }
}

static struct recycled *find(const struct list *list, uint64_t sandbox_id)
{
    LIST_FOREACH(it, list)
    {
        struct recycled *r = container_of(it, struct recycled, link);

        if (r->sandbox_id == sandbox_id) {
            return r;
        }
    }
    return NULL;
}

void recycled_on_exit(struct runtime_host *h, uint64_t id, const struct sandbox_exit *e)
{
    struct recycled *r = find(&h->recycled, id);

    if (r != NULL) {
        drop(r);
    } else {
        r = find(&h->recycled_ending, id);
    }
    if (r == NULL) {
        return;
    }
    if (e->cpu_us > r->told_us && h->options.on_cpu != NULL) {
        h->options.on_cpu(h->options.data, NULL, e->cpu_us - r->told_us);
    }
    r->ended = true;
    free_ended(r);
}

void recycled_on_oom(struct runtime_host *h, uint64_t id)
{
    struct recycled *r = find(&h->recycled, id);

    if (r != NULL) {
        drop(r);
    }
}

bool recycled_is_empty(const struct runtime_host *h)
{
    return list_empty(&h->recycled) && list_empty(&h->recycled_ending);
}

struct runtime_recycled runtime_host_recycled(const struct runtime_host *h)
{
    return (struct runtime_recycled){
        .waiting = h->n_recycled,
        .ending = h->n_recycled_ending,
        .used = h->n_recycled_used,
        .refused = h->n_recycled_refused,
    };
}
