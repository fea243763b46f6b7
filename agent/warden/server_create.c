/* A function's sandbox: a blank that is ready is taken, else one is waited for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/warden/server_private.h"
#include "common/clock.h"

#define RUNTIME_API_PORT 9001
#define DESCRIPTORS_KEPT 128

/* --- what is asked for -------------------------------------------------------------- */

static bool in_range(uint64_t value, uint64_t min, uint64_t max, const char *field,
                     struct error *err)
{
    if (value >= min && value <= max) {
        return true;
    }
    (void)error_set(err, -EINVAL, "%s %llu is not within %llu to %llu", field,
                    (unsigned long long)value, (unsigned long long)min,
                    (unsigned long long)max);
    return false;
}

/* How many sandboxes there may be. Each holds two descriptors of the warden's, a blank
 * up to seven, and some are kept for starting, reading and ending: those must not fail
 * for want of one. */
static size_t room(const struct server *sv)
{
    struct rlimit l;
    size_t n;
    rlim_t kept = DESCRIPTORS_KEPT + 7 * sv->host->blanks_max;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur <= kept) {
        return 0;
    }
    n = (l.rlim_cur - kept) / 2;
    return n < WARDEN_SANDBOXES_MAX ? n : WARDEN_SANDBOXES_MAX;
}

/* Or nothing. */
static bool is_digest(const char *s)
{
    return *s == '\0' || (strspn(s, "0123456789abcdef") == WARDEN_DIGEST_LEN &&
                          strlen(s) == WARDEN_DIGEST_LEN);
}

static bool is_waiting(const struct server *sv, uint64_t id)
{
    LIST_FOREACH(it, &sv->waiting)
    {
        if (container_of(it, struct waiting, link)->request.id == id) {
            return true;
        }
    }
    return false;
}

/* Those that have a function, those whose remains are still there, and those to come. */
static size_t count(const struct server *sv)
{
    return sv->table.n - sv->blanks.n_making - sv->blanks.n_ready - sv->seeds.n +
           sv->n_waiting;
}

static int check_create(struct server *sv, const struct warden_request *r,
                        struct error *err)
{
    if (!in_range(r->memory_bytes, WARDEN_MEMORY_MIN, WARDEN_MEMORY_MAX, "memory", err) ||
        !in_range(r->tmp_bytes, WARDEN_TMP_MIN, WARDEN_TMP_MAX, "tmp", err) ||
        !in_range(r->cpu_millis, WARDEN_CPU_MIN, WARDEN_CPU_MAX, "cpu", err) ||
        !in_range(r->pids_max, WARDEN_PIDS_MIN, WARDEN_PIDS_MAX, "pids", err) ||
        !in_range(r->id, 1, UINT64_MAX, "id", err)) {
        return -EINVAL;
    }
    if (!is_digest(r->package)) {
        return error_set(err, -EINVAL, "package is not a digest");
    }
    for (size_t i = 0; i < WARDEN_LAYERS_MAX; i++) {
        if (!is_digest(r->layers[i])) {
            return error_set(err, -EINVAL, "a layer is not a digest");
        }
    }
    if (sandbox_table_find(&sv->table, r->id) != NULL || is_waiting(sv, r->id)) {
        return error_set(err, -EEXIST, "there is a sandbox of this id");
    }
    if (count(sv) >= room(sv)) {
        return error_set(err, -EAGAIN, "there are %zu sandboxes already", count(sv));
    }
    return 0;
}

static struct sandbox_function function_of(const struct warden_request *r)
{
    struct sandbox_function f = {
        .limits =
            {
                .cgroup = {r->memory_bytes, r->cpu_millis, r->pids_max},
                .tmp_bytes = r->tmp_bytes,
            },
    };

    (void)snprintf(f.package, sizeof(f.package), "%s", r->package);
    for (size_t i = 0; i < WARDEN_LAYERS_MAX; i++) {
        (void)snprintf(f.layers[i], sizeof(f.layers[i]), "%s", r->layers[i]);
    }
    return f;
}

/* --- a blank becomes a function's -----------------------------------------------------
 */

static int watch_oom(struct server *sv, struct sandbox *s)
{
    struct epoll_event e = {
        .events = s->oom_is_eventfd ? EPOLLIN : EPOLLPRI,
        .data.u64 = BLANKS_WAKE_OOM(s->group),
    };

    return epoll_ctl(sv->epoll, EPOLL_CTL_ADD, s->oom, &e) < 0 ? -errno : 0;
}

static int begin(struct server *sv, struct sandbox *s, const struct warden_request *r,
                 int *ret_listener, struct error *err)
{
    const struct sandbox_function f = function_of(r);
    int rc;

    sandbox_table_set_id(&sv->table, s, r->id);
    sv->blanks.limits = f.limits;
    rc = sandbox_begin(sv->host, s, &f, err);
    if (rc < 0) {
        return rc;
    }
    rc = watch_oom(sv, s);
    if (rc < 0) {
        return error_set_errno(err, rc, "watch for out-of-memory");
    }
    if (r->flags & WARDEN_FLAG_RUNTIME_API) {
        rc = sandbox_socket(sv->host, s, RUNTIME_API_PORT);
        if (rc < 0) {
            return error_set_errno(err, rc, "listen for the Runtime API");
        }
        *ret_listener = rc;
    }
    return 0;
}

/* A sandbox that cannot be frozen is as good as any. */
static unsigned put_freezer(struct sandbox *s, struct warden_reply *reply, int *ret_fd)
{
    *ret_fd = s->freezer;
    s->freezer = -1;
    if (*ret_fd >= 0) {
        reply->flags |= WARDEN_FLAG_FREEZER;
        return 1;
    }
    reply->flags |= *ret_fd == -ENOTSUP ? WARDEN_FLAG_NO_FREEZER : 0;
    return 0;
}

void server_put_blanks(const struct server *sv, struct warden_reply *reply)
{
    reply->blanks_ready = sv->blanks.n_ready;
    reply->blanks_made = sv->blanks.n_made;
}

static void refuse(struct server *sv, const struct warden_request *r, int status,
                   const struct error *err)
{
    struct warden_reply reply = {
        .type = WARDEN_CREATED, .tag = r->tag, .id = r->id, .status = status};

    server_put_blanks(sv, &reply);
    (void)snprintf(reply.text, sizeof(reply.text), "%s", err->text);
    server_say(sv, &reply, NULL, 0);
}

/* s is no blank any more. */
static void give(struct server *sv, struct sandbox *s, const struct warden_request *r,
                 bool waited)
{
    struct warden_reply reply = {.type = WARDEN_CREATED, .tag = r->tag, .id = r->id};
    int fds[WARDEN_FDS_MAX], listener = -1, rc;
    struct error err = {0};
    unsigned n = 0;

    blank_policy_begun(&sv->blanks.policy, clock_mono_ms());
    rc = begin(sv, s, r, &listener, &err);
    if (rc < 0) {
        sandbox_kill(sv->host, s);
        sandbox_close(s);
        refuse(sv, r, rc, &err);
        return;
    }
    s->announced = true;
    fds[n++] = s->control;
    if (listener >= 0) {
        fds[n++] = listener;
    }
    n += put_freezer(s, &reply, &fds[n]);
    if (s->out >= 0) {
        reply.flags |= WARDEN_FLAG_SEED;
        fds[n++] = s->out;
        fds[n++] = s->err;
    }
    reply.flags |= waited ? 0 : WARDEN_FLAG_BLANK;
    server_put_blanks(sv, &reply);
    server_say(sv, &reply, fds, n);
    s->control = s->out = s->err = -1;
    for (unsigned i = 0; i < n; i++) {
        (void)close(fds[i]);
    }
}

/* --- waiting for one ------------------------------------------------------------------
 */

static void wait_no_more(struct server *sv, struct waiting *w)
{
    list_remove(&w->link);
    sv->n_waiting--;
    free(w);
}

/* Whoever has waited longest. */
static struct waiting *first(const struct server *sv)
{
    return list_empty(&sv->waiting)
               ? NULL
               : container_of(sv->waiting.next, struct waiting, link);
}

void server_made(struct server *sv, struct sandbox *s)
{
    struct waiting *w;
    struct error err;
    int rc = blanks_heard(&sv->blanks, s, &err);

    if (rc == -EAGAIN) {
        return;
    }
    if (rc < 0) {
        (void)blanks_drop(&sv->blanks, s);
        sandbox_kill(sv->host, s);
        sandbox_close(s);
        if (s->pid == 0) {
            sandbox_table_dead(&sv->table, s);
        }
        server_not_made(sv, &err);
        return;
    }
    w = first(sv);
    if (w != NULL) {
        give(sv, blanks_take(&sv->blanks), &w->request, true);
        wait_no_more(sv, w);
    }
}

/* Somebody hears of it, but not all at once: the next one may succeed. */
void server_not_made(struct server *sv, const struct error *err)
{
    struct waiting *w = first(sv);

    if (w != NULL) {
        refuse(sv, &w->request, err->code, err);
        wait_no_more(sv, w);
    }
}

void server_cancel(struct server *sv, uint64_t id)
{
    LIST_FOREACH_SAFE(it, &sv->waiting)
    {
        struct waiting *w = container_of(it, struct waiting, link);

        if (w->request.id == id) {
            struct error err;

            (void)error_set(&err, -ECANCELED, "it was given up before it was made");
            refuse(sv, &w->request, err.code, &err);
            wait_no_more(sv, w);
            return;
        }
    }
}

void server_forget_waiting(struct server *sv)
{
    while (first(sv) != NULL) {
        wait_no_more(sv, first(sv));
    }
}

static int wait_for_one(struct server *sv, const struct warden_request *r,
                        struct error *err)
{
    struct waiting *w = malloc(sizeof(*w));
    int rc = 0;

    if (w == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (sv->blanks.n_making <= sv->n_waiting) {
        if (sv->n_waiting == 0) {
            sv->blanks.limits = function_of(r).limits;
        }
        rc = blanks_order(&sv->blanks, err);
    }
    if (rc < 0) {
        free(w);
        return rc;
    }
    w->request = *r;
    list_push_back(&sv->waiting, &w->link);
    sv->n_waiting++;
    return 0;
}

void server_create(struct server *sv, const struct warden_request *r)
{
    struct sandbox *s = NULL;
    struct error err;
    int rc = check_create(sv, r, &err);

    if (rc == 0) {
        s = seeds_take(&sv->seeds, r);
    }
    if (rc == 0 && s == NULL && sv->n_waiting == 0) {
        s = blanks_take(&sv->blanks);
    }
    if (s != NULL) {
        give(sv, s, r, false);
        return;
    }
    rc = rc < 0 ? rc : wait_for_one(sv, r, &err);
    if (rc < 0) {
        refuse(sv, r, rc, &err);
    }
}
