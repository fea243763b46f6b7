#include "agent/warden/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/warden/channel.h"
#include "agent/warden/sandbox_table.h"
#include "common/clock.h"

#define RETRY_MS         20
#define END_MS           5000
#define OOM_WAIT_MS      2000
#define RUNTIME_API_PORT 9001
#define DESCRIPTORS_KEPT 128

/* epoll's data: what woke us. Sandboxes are told by their id, which is never 0 or 1. */
#define WAKE_AGENT  0
#define WAKE_SIGNAL 1
#define ID_OFFSET   2

struct server {
    const struct sandbox_host *host;
    int fd;
    int epoll;
    int signals;
    struct sandbox_table table;
    struct list oom; /* sandboxes whose kill by the kernel is awaited */
    bool ending;
    int broken; /* what made the connection end, or 0 */
};

static void say(struct server *sv, const struct warden_reply *reply, const int *fds,
                unsigned n_fds)
{
    if (sv->broken == 0) {
        sv->broken = channel_send(sv->fd, reply, fds, n_fds);
    }
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

/* How many sandboxes there may be. Each holds two descriptors of the warden's, and some
 * are kept for starting, reading and ending: those must not fail for want of one. */
static size_t room(void)
{
    struct rlimit l;
    size_t n;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur <= DESCRIPTORS_KEPT) {
        return 0;
    }
    n = (l.rlim_cur - DESCRIPTORS_KEPT) / 2;
    return n < WARDEN_SANDBOXES_MAX ? n : WARDEN_SANDBOXES_MAX;
}

/* Or nothing. */
static bool is_digest(const char *s)
{
    return *s == '\0' || (strspn(s, "0123456789abcdef") == WARDEN_DIGEST_LEN &&
                          strlen(s) == WARDEN_DIGEST_LEN);
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
    if (!is_digest(r->package)) {
        return error_set(err, -EINVAL, "package is not a digest");
    }
    for (size_t i = 0; i < WARDEN_LAYERS_MAX; i++) {
        if (!is_digest(r->layers[i])) {
            return error_set(err, -EINVAL, "a layer is not a digest");
        }
    }
    if (sandbox_table_find(&sv->table, r->id) != NULL) {
        return error_set(err, -EEXIST, "there is a sandbox of this id");
    }
    if (sv->table.n >= room()) {
        return error_set(err, -EAGAIN, "there are %zu sandboxes already", sv->table.n);
    }
    return 0;
}

static int watch_oom(struct server *sv, struct sandbox *s)
{
    struct epoll_event e = {
        .events = s->oom_is_eventfd ? EPOLLIN : EPOLLPRI,
        .data.u64 = s->id + ID_OFFSET,
    };

    return epoll_ctl(sv->epoll, EPOLL_CTL_ADD, s->oom, &e) < 0 ? -errno : 0;
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
    for (size_t i = 0; i < WARDEN_LAYERS_MAX; i++) {
        (void)snprintf(limits.layers[i], sizeof(limits.layers[i]), "%s", r->layers[i]);
    }
    rc = sandbox_start(sv->host, s, &limits, &fds[0], err);
    sandbox_table_add(&sv->table, s); /* also a failed one, until it has gone */
    if (rc < 0) {
        return rc;
    }
    rc = watch_oom(sv, s);
    if (rc < 0) {
        rc = error_set_errno(err, rc, "watch for out-of-memory");
    } else if (r->flags & WARDEN_FLAG_RUNTIME_API) {
        fds[1] = sandbox_socket(sv->host, s, RUNTIME_API_PORT);
        rc = fds[1] < 0 ? error_set_errno(err, fds[1], "listen for the Runtime API") : 0;
    }
    s->announced = rc == 0;
    if (rc < 0) {
        sandbox_kill(sv->host, s);
        (void)close(fds[0]);
        fds[0] = -1;
    }
    return rc;
}

/* A sandbox that cannot be frozen is as good as any. */
static void on_create(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_CREATED, .tag = r->tag, .id = r->id};
    struct error err = {0};
    int fds[WARDEN_FDS_MAX] = {-1, -1, -1};
    unsigned n = 0;

    reply.status = create(sv, r, fds, &err);
    (void)snprintf(reply.text, sizeof(reply.text), "%s", err.text);
    if (reply.status == 0) {
        n = fds[1] < 0 ? 1 : 2;
        fds[n] = cgroup_freezer_open(&sv->host->cgroups, r->id);
        if (fds[n] >= 0) {
            reply.flags = WARDEN_FLAG_FREEZER;
            n++;
        } else if (fds[n] == -ENOTSUP) {
            reply.flags = WARDEN_FLAG_NO_FREEZER;
        }
    }
    say(sv, &reply, fds, n);
    for (unsigned i = 0; i < n; i++) {
        (void)close(fds[i]);
    }
}

/* The one that is meant, if it is alive. */
static struct sandbox *find_alive(struct server *sv, uint64_t id)
{
    struct sandbox *s = sandbox_table_find(&sv->table, id);

    return s != NULL && s->pid > 0 && s->announced ? s : NULL;
}

static void on_socket(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_SOCKET_MADE, .tag = r->tag, .id = r->id};
    struct sandbox *s = find_alive(sv, r->id);
    int fd = s != NULL ? sandbox_socket(sv->host, s, 0) : -ESRCH;

    reply.status = fd < 0 ? fd : 0;
    say(sv, &reply, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Returns how often the kernel has killed in it for memory. */
static uint64_t put_usage(struct server *sv, uint64_t id, struct warden_reply *reply)
{
    struct cgroup_usage u = {0};

    cgroup_read(&sv->host->cgroups, id, &u);
    reply->memory_bytes = u.memory_bytes;
    reply->memory_peak_bytes = u.memory_peak_bytes;
    reply->cpu_us = u.cpu_us;
    reply->pids = u.pids;
    reply->flags |= u.oom_kills > 0 ? WARDEN_FLAG_OOM : 0;
    return u.oom_kills;
}

static void on_usage(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_USAGE_READ, .tag = r->tag, .id = r->id};

    if (find_alive(sv, r->id) == NULL) {
        reply.status = -ESRCH;
    } else {
        (void)put_usage(sv, r->id, &reply);
    }
    say(sv, &reply, NULL, 0);
}

static int on_request(struct server *sv, const struct warden_request *r)
{
    struct sandbox *s = find_alive(sv, r->id);

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
    default:
        return -EPROTO;
    }
}

/* --- ends --------------------------------------------------------------------- */

static void on_dead(struct server *sv, struct sandbox *s, int wait_status)
{
    struct warden_reply reply = {
        .type = WARDEN_EXIT, .id = s->id, .wait_status = wait_status};

    (void)put_usage(sv, s->id, &reply);
    sandbox_close(s); /* also takes it out of epoll */
    sandbox_table_dead(&sv->table, s);
    if (s->announced) {
        say(sv, &reply, NULL, 0);
    }
}

static void reap(struct server *sv)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct sandbox *s = sandbox_table_find_pid(&sv->table, pid);

        if (s != NULL) {
            on_dead(sv, s, status);
        }
    }
}

/* --- memory ------------------------------------------------------------------- */

/* v1 tells that memory ran out before it kills, v2 also tells when it did not need to:
 * what counts is the number of kills. False: none that has not been told. */
static bool tell_oom(struct server *sv, struct sandbox *s)
{
    struct warden_reply reply = {.type = WARDEN_OOM, .id = s->id};
    uint64_t kills = put_usage(sv, s->id, &reply);

    if (kills <= s->oom_told) {
        return false;
    }
    s->oom_told = kills;
    say(sv, &reply, NULL, 0);
    return true;
}

static void on_oom(struct server *sv, uint64_t id)
{
    struct sandbox *s = find_alive(sv, id);
    char events[512];
    uint64_t n;

    if (s == NULL || s->oom < 0) {
        return;
    }
    if (s->oom_is_eventfd) {
        (void)!read(s->oom, &n, sizeof(n));
    } else {
        (void)!pread(s->oom, events, sizeof(events), 0); /* arms it again */
    }
    if (!tell_oom(sv, s)) {
        s->oom_end_ms = clock_mono_ms() + OOM_WAIT_MS;
        list_remove(&s->oom_list);
        list_push_back(&sv->oom, &s->oom_list);
    }
}

static void look_for_kills(struct server *sv)
{
    LIST_FOREACH_SAFE(it, &sv->oom)
    {
        struct sandbox *s = container_of(it, struct sandbox, oom_list);

        if (tell_oom(sv, s) || clock_mono_ms() >= s->oom_end_ms) {
            list_remove(it);
        }
    }
}

/* --- loop --------------------------------------------------------------------- */

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

    sandbox_table_kill_all(&sv->table, sv->host);
    while (sv->table.n > 0 && clock_mono_ms() < until_ms) {
        struct pollfd p = {.fd = sv->signals, .events = POLLIN};

        (void)poll(&p, 1, RETRY_MS);
        on_signal(sv);
        sandbox_table_sweep(&sv->table, &sv->host->cgroups);
    }
    sandbox_table_free(&sv->table);
}

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

/* One message. 1: the agent has gone. */
static int on_agent(struct server *sv)
{
    struct warden_request r;
    int rc = channel_receive(sv->fd, &r);

    rc = rc == 0 ? on_request(sv, &r) : rc;
    return rc == -ENODATA ? 1 : rc == -EAGAIN ? 0 : rc;
}

static int serve(struct server *sv, struct error *err)
{
    while (!sv->ending && sv->broken == 0) {
        struct epoll_event events[64];
        bool again = !list_empty(&sv->table.leftovers) || !list_empty(&sv->oom);
        int n = epoll_wait(sv->epoll, events, 64, again ? RETRY_MS : -1);

        for (int i = 0; i < n; i++) {
            int rc;

            if (events[i].data.u64 == WAKE_SIGNAL) {
                on_signal(sv);
                continue;
            }
            if (events[i].data.u64 != WAKE_AGENT) {
                on_oom(sv, events[i].data.u64 - ID_OFFSET);
                continue;
            }
            rc = on_agent(sv);
            if (rc == 1) {
                return 0;
            }
            if (rc < 0) {
                sv->broken = rc;
                (void)shutdown(sv->fd, SHUT_RDWR);
                return error_set_errno(err, rc, "the agent's message");
            }
        }
        sandbox_table_sweep(&sv->table, &sv->host->cgroups);
        look_for_kills(sv);
    }
    return sv->broken < 0 && sv->broken != -EPIPE
               ? error_set_errno(err, sv->broken, "answer the agent")
               : 0;
}

int server_run(const struct sandbox_host *h, int fd, struct error *err)
{
    struct server sv = {.host = h, .fd = fd, .epoll = -1, .signals = -1};
    struct warden_reply ready = {.type = WARDEN_READY};
    int rc;

    sandbox_table_init(&sv.table);
    list_init(&sv.oom);
    rc = open_all(&sv, err);
    if (rc == 0) {
        say(&sv, &ready, NULL, 0);
        rc = serve(&sv, err);
        end_all(&sv);
    }
    (void)close(sv.epoll);
    (void)close(sv.signals);
    return rc;
}
