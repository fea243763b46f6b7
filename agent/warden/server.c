#include "agent/warden/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/warden/channel.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

#define BUCKETS          1024
#define RETRY_MS         20
#define END_MS           5000
#define RUNTIME_API_PORT 9001

/* epoll's data: what woke us. Sandboxes are told by their id, which is never 0 or 1. */
#define WAKE_AGENT  0
#define WAKE_SIGNAL 1
#define ID_OFFSET   2

struct server {
    const struct sandbox_host *host;
    int fd;
    int epoll;
    int signals;
    struct list by_id[BUCKETS];
    struct list leftovers; /* dead sandboxes whose cgroup the kernel still holds */
    size_t n;
    bool ending;
};

/* --- table -------------------------------------------------------------------- */

static struct sandbox *find(struct server *sv, uint64_t id)
{
    LIST_FOREACH(it, &sv->by_id[id % BUCKETS])
    {
        struct sandbox *s = container_of(it, struct sandbox, node);

        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

static struct sandbox *find_pid(struct server *sv, pid_t pid)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        LIST_FOREACH(it, &sv->by_id[i])
        {
            struct sandbox *s = container_of(it, struct sandbox, node);

            if (s->pid == pid) {
                return s;
            }
        }
    }
    return NULL;
}

/* --- requests ----------------------------------------------------------------- */

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

static int check_create(struct server *sv, const struct warden_request *r,
                        struct error *err)
{
    if (!in_range(r->memory_bytes, WARDEN_MEMORY_MIN, WARDEN_MEMORY_MAX, "memory", err) ||
        !in_range(r->tmp_bytes, WARDEN_TMP_MIN, WARDEN_TMP_MAX, "tmp", err) ||
        !in_range(r->cpu_millis, WARDEN_CPU_MIN, WARDEN_CPU_MAX, "cpu", err) ||
        !in_range(r->pids_max, WARDEN_PIDS_MIN, WARDEN_PIDS_MAX, "pids", err) ||
        !in_range(r->uid_index, 0, WARDEN_UID_INDEX_MAX, "uid index", err) ||
        !in_range(r->id, 1, UINT64_MAX - ID_OFFSET, "id", err)) {
        return -EINVAL;
    }
    if (r->package[0] != '\0' &&
        (strspn(r->package, "0123456789abcdef") != WARDEN_DIGEST_LEN ||
         strlen(r->package) != WARDEN_DIGEST_LEN)) {
        return error_set(err, -EINVAL, "package is not a digest");
    }
    if (find(sv, r->id) != NULL) {
        return error_set(err, -EEXIST, "there is a sandbox of this id");
    }
    if (sv->n >= WARDEN_SANDBOXES_MAX) {
        return error_set(err, -EAGAIN, "there are %d sandboxes already",
                         WARDEN_SANDBOXES_MAX);
    }
    return 0;
}

static int watch_oom(struct server *sv, struct sandbox *s)
{
    struct epoll_event e = {
        .events = s->oom_is_eventfd ? EPOLLIN : EPOLLPRI,
        .data.u64 = s->id + ID_OFFSET,
    };

    return s->oom < 0 || epoll_ctl(sv->epoll, EPOLL_CTL_ADD, s->oom, &e) == 0 ? 0
                                                                              : -errno;
}

static int create(struct server *sv, const struct warden_request *r, int fds[2],
                  struct error *err)
{
    struct sandbox_limits limits = {
        .cgroup = {r->memory_bytes, r->cpu_millis, r->pids_max},
        .tmp_bytes = r->tmp_bytes,
        .uid_index = r->uid_index,
    };
    struct sandbox *s;
    int rc = check_create(sv, r, err);

    if (rc < 0) {
        return rc;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->id = r->id;
    (void)snprintf(limits.package, sizeof(limits.package), "%s", r->package);
    rc = sandbox_start(sv->host, s, &limits, &fds[0], err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    list_push_back(&sv->by_id[s->id % BUCKETS], &s->node);
    sv->n++;
    (void)watch_oom(sv, s); /* without it the cause is still found at the end */
    if (r->flags & WARDEN_FLAG_RUNTIME_API) {
        fds[1] = sandbox_socket(sv->host, s, RUNTIME_API_PORT);
        if (fds[1] < 0) {
            rc = error_set_errno(err, fds[1], "listen for the Runtime API");
            sandbox_kill(sv->host, s);
            (void)close(fds[0]);
            fds[0] = -1;
        }
    }
    return rc;
}

static void on_create(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_CREATED, .tag = r->tag, .id = r->id};
    struct error err = {0};
    int fds[2] = {-1, -1};

    reply.status = create(sv, r, fds, &err);
    (void)snprintf(reply.text, sizeof(reply.text), "%s", err.text);
    channel_send(sv->fd, &reply, fds, fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2);
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

static void on_socket(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_SOCKET_MADE, .tag = r->tag, .id = r->id};
    struct sandbox *s = find(sv, r->id);
    int fd = s != NULL && !s->dead ? sandbox_socket(sv->host, s, 0) : -ESRCH;

    reply.status = fd < 0 ? fd : 0;
    channel_send(sv->fd, &reply, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void put_usage(struct server *sv, uint64_t id, struct warden_reply *reply)
{
    struct cgroup_usage u = {0};

    cgroup_read(&sv->host->cgroups, id, &u);
    reply->memory_bytes = u.memory_bytes;
    reply->memory_peak_bytes = u.memory_peak_bytes;
    reply->cpu_us = u.cpu_us;
    reply->pids = u.pids;
    reply->flags |= u.oom ? WARDEN_FLAG_OOM : 0;
}

static void on_usage(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_USAGE_READ, .tag = r->tag, .id = r->id};
    struct sandbox *s = find(sv, r->id);

    if (s == NULL) {
        reply.status = -ESRCH;
    } else {
        put_usage(sv, r->id, &reply);
    }
    channel_send(sv->fd, &reply, NULL, 0);
}

static int on_request(struct server *sv, const struct warden_request *r)
{
    struct sandbox *s = find(sv, r->id);

    switch (r->type) {
    case WARDEN_CREATE:
        on_create(sv, r);
        return 0;
    case WARDEN_SOCKET:
        on_socket(sv, r);
        return 0;
    case WARDEN_KILL:
        if (s != NULL) {
            sandbox_kill(sv->host, s);
        }
        return 0;
    case WARDEN_USAGE:
        on_usage(sv, r);
        return 0;
    case WARDEN_FREEZE:
        if (s != NULL && !s->dead) {
            bool frozen = (r->flags & WARDEN_FLAG_FROZEN) != 0;

            if (cgroup_freeze(&sv->host->cgroups, s->id, frozen) == 0) {
                s->frozen = frozen;
            }
        }
        return 0;
    default:
        return -EPROTO;
    }
}

/* --- ends --------------------------------------------------------------------- */

static void forget(struct server *sv, struct sandbox *s)
{
    list_remove(&s->node);
    free(s);
    sv->n--;
}

static void on_dead(struct server *sv, struct sandbox *s, int wait_status)
{
    struct warden_reply reply = {
        .type = WARDEN_EXIT, .id = s->id, .wait_status = wait_status};

    put_usage(sv, s->id, &reply);
    s->dead = true;
    sandbox_close(s); /* also takes it out of epoll */
    channel_send(sv->fd, &reply, NULL, 0);
    if (cgroup_remove(&sv->host->cgroups, s->id) == -EBUSY) {
        list_remove(&s->node);
        list_push_back(&sv->leftovers, &s->node);
    } else {
        forget(sv, s);
    }
}

static void reap(struct server *sv)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct sandbox *s = find_pid(sv, pid);

        if (s != NULL) {
            on_dead(sv, s, status);
        }
    }
}

static void remove_leftovers(struct server *sv)
{
    LIST_FOREACH_SAFE(it, &sv->leftovers)
    {
        struct sandbox *s = container_of(it, struct sandbox, node);

        if (cgroup_remove(&sv->host->cgroups, s->id) != -EBUSY) {
            forget(sv, s);
        }
    }
}

static void on_oom(struct server *sv, uint64_t id)
{
    struct sandbox *s = find(sv, id);
    struct warden_reply reply = {.type = WARDEN_OOM, .id = id};
    uint64_t n;

    if (s == NULL || s->oom < 0) {
        return;
    }
    if (s->oom_is_eventfd) {
        (void)!read(s->oom, &n, sizeof(n));
    } else {
        char text[256];

        (void)!pread(s->oom, text, sizeof(text), 0); /* arms it again */
    }
    put_usage(sv, id, &reply);
    if ((reply.flags & WARDEN_FLAG_OOM) || s->oom_is_eventfd) {
        reply.flags |= WARDEN_FLAG_OOM;
        channel_send(sv->fd, &reply, NULL, 0);
    }
}

static void on_signal(struct server *sv)
{
    struct signalfd_siginfo info;

    while (read(sv->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTERM) {
            sv->ending = true;
        }
    }
    reap(sv);
}

static void end_all(struct server *sv)
{
    uint64_t until_ms = clock_mono_ms() + END_MS;

    for (size_t i = 0; i < BUCKETS; i++) {
        LIST_FOREACH(it, &sv->by_id[i])
        {
            sandbox_kill(sv->host, container_of(it, struct sandbox, node));
        }
    }
    while (sv->n > 0 && clock_mono_ms() < until_ms) {
        struct epoll_event e;

        if (epoll_wait(sv->epoll, &e, 1, RETRY_MS) == 1 && e.data.u64 == WAKE_SIGNAL) {
            on_signal(sv);
        }
        reap(sv);
        remove_leftovers(sv);
    }
}

/* --- loop --------------------------------------------------------------------- */

static int add(struct server *sv, int fd, uint64_t wake)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = wake};

    return epoll_ctl(sv->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int open_all(struct server *sv, struct error *err)
{
    sigset_t set;
    int rc;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGINT, SIG_IGN); /* Ctrl-C is the agent's to act on */
    (void)signal(SIGPIPE, SIG_IGN);
    sv->epoll = epoll_create1(EPOLL_CLOEXEC);
    sv->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (sv->epoll < 0 || sv->signals < 0) {
        return error_set_errno(err, -errno, "open epoll and signalfd");
    }
    rc = add(sv, sv->fd, WAKE_AGENT);
    rc = rc < 0 ? rc : add(sv, sv->signals, WAKE_SIGNAL);
    return rc < 0 ? error_set_errno(err, rc, "epoll") : 0;
}

static int serve(struct server *sv, struct error *err)
{
    while (!sv->ending) {
        struct epoll_event events[64];
        int n =
            epoll_wait(sv->epoll, events, 64, list_empty(&sv->leftovers) ? -1 : RETRY_MS);

        for (int i = 0; i < n; i++) {
            struct warden_request r;
            int rc;

            if (events[i].data.u64 == WAKE_SIGNAL) {
                on_signal(sv);
                continue;
            }
            if (events[i].data.u64 != WAKE_AGENT) {
                on_oom(sv, events[i].data.u64 - ID_OFFSET);
                continue;
            }
            rc = channel_receive(sv->fd, &r);
            if (rc == 0) {
                rc = on_request(sv, &r);
            }
            if (rc == -ENODATA) {
                return 0; /* the agent has gone */
            }
            if (rc < 0 && rc != -EAGAIN) {
                return error_set_errno(err, rc, "the agent's message");
            }
        }
        remove_leftovers(sv);
    }
    return 0;
}

int server_run(const struct sandbox_host *h, int fd, struct error *err)
{
    struct server sv = {.host = h, .fd = fd, .epoll = -1, .signals = -1};
    struct warden_reply ready = {.type = WARDEN_READY};
    int rc;

    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&sv.by_id[i]);
    }
    list_init(&sv.leftovers);
    rc = open_all(&sv, err);
    if (rc == 0) {
        channel_send(fd, &ready, NULL, 0);
        rc = serve(&sv, err);
        end_all(&sv);
    }
    (void)close(sv.epoll);
    (void)close(sv.signals);
    return rc;
}
