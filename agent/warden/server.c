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

#include "agent/warden/server_private.h"
#include "common/clock.h"
#include "common/log.h"

#define RETRY_MS       20
#define END_MS         5000
#define OOM_WAIT_MS    2000
#define MAKER_LEAST_MS 1000 /* that one lives, or no more are started */
#define MAKER_WORD_MS  1000

void server_say(struct server *sv, const struct warden_reply *reply, const int *fds,
                unsigned n_fds)
{
    if (sv->broken == 0) {
        sv->broken = channel_send(sv->fd, reply, fds, n_fds);
    }
}

/* --- requests ----------------------------------------------------------------- */

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
    server_say(sv, &reply, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Returns how often the kernel has killed in it for memory. */
static uint64_t put_usage(struct server *sv, const struct sandbox *s,
                          struct warden_reply *reply, struct cgroup_usage *u)
{
    cgroup_read(&sv->host->cgroups, s->group, u);
    reply->memory_bytes = u->memory_bytes;
    reply->memory_peak_bytes = u->memory_peak_bytes;
    reply->cpu_us = u->cpu_us > s->cpu_us ? u->cpu_us - s->cpu_us : 0;
    reply->pids = u->pids;
    reply->flags |= u->oom_kills > s->oom_kills ? WARDEN_FLAG_OOM : 0;
    return u->oom_kills;
}

static void on_usage(struct server *sv, const struct warden_request *r)
{
    struct warden_reply reply = {.type = WARDEN_USAGE_READ, .tag = r->tag, .id = r->id};
    const struct sandbox *s = find_alive(sv, r->id);
    struct cgroup_usage u;

    if (s == NULL) {
        reply.status = -ESRCH;
    } else {
        (void)put_usage(sv, s, &reply, &u);
    }
    server_say(sv, &reply, NULL, 0);
}

static void on_count(struct server *sv)
{
    struct warden_reply reply = {.type = WARDEN_BLANKS};

    server_put_blanks(sv, &reply);
    reply.blanks_making = sv->blanks.n_making;
    reply.blanks_memory_bytes = blanks_memory(&sv->blanks);
    seeds_count(&sv->seeds, reply.seeds);
    server_say(sv, &reply, NULL, 0);
}

static int on_request(struct server *sv, const struct warden_request *r)
{
    struct sandbox *s = find_alive(sv, r->id);

    switch (r->type) {
    case WARDEN_CREATE:
        server_create(sv, r);
        return 0;
    case WARDEN_SOCKET:
        on_socket(sv, r);
        return 0;
    case WARDEN_KILL:
        if (s != NULL) {
            s->released = true;
            sandbox_kill(sv->host, s);
        } else {
            server_cancel(sv, r->id);
        }
        return 0;
    case WARDEN_USAGE:
        on_usage(sv, r);
        return 0;
    case WARDEN_COUNT:
        on_count(sv);
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
    struct cgroup_usage u = {0};

    if (s->announced) {
        (void)put_usage(sv, s, &reply, &u);
    }
    seeds_drop(&sv->seeds, s);
    if (blanks_drop(&sv->blanks, s)) {
        struct error err;

        (void)error_set(&err, -ECHILD, "the sandbox's first process was killed");
        server_not_made(sv, &err);
    }
    if (s->announced) {
        server_say(sv, &reply, NULL, 0);
    }
    list_remove(&s->oom_list);
    if (s->oom >= 0) {
        (void)epoll_ctl(sv->epoll, EPOLL_CTL_DEL, s->oom, NULL);
    }
    if (!sv->ending && parts_keep(&sv->blanks.parts, sv->host, s, &u)) {
        sandbox_table_forget(&sv->table, s);
        return;
    }
    sandbox_close(s);
    sandbox_table_dead(&sv->table, s);
}

/* Killed, most likely for memory. What was ordered of it will not come. */
static void on_maker_dead(struct server *sv)
{
    struct error err;

    server_hear_maker(sv, 0);
    maker_close(&sv->host->maker);
    LIST_FOREACH_SAFE(it, &sv->blanks.making)
    {
        struct sandbox *s = container_of(it, struct sandbox, link);

        if (s->state == SANDBOX_ORDERED) {
            (void)error_set(&err, -EAGAIN, "the maker of sandboxes was killed");
            (void)blanks_drop(&sv->blanks, s);
            sandbox_close(s);
            sandbox_table_dead(&sv->table, s);
            server_not_made(sv, &err);
        }
    }
    if (sv->ending) {
        return;
    }
    log_warn("the maker of sandboxes was killed: starting another");
    if (clock_mono_ms() - sv->maker_began_ms < MAKER_LEAST_MS ||
        server_start_maker(sv, &err) < 0) {
        log_error("the maker of sandboxes does not stay alive");
        sv->ending = true;
    }
}

/* A new process may end before the maker's word of it is read. */
static void reap(struct server *sv)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        struct sandbox *s = sandbox_table_find_pid(&sv->table, info.si_pid);
        int status;

        for (int wait_ms = 0;
             s == NULL && info.si_pid != sv->host->maker.pid && wait_ms <= MAKER_WORD_MS;
             wait_ms += MAKER_WORD_MS) {
            server_hear_maker(sv, wait_ms);
            s = sandbox_table_find_pid(&sv->table, info.si_pid);
        }
        if (waitpid(info.si_pid, &status, WNOHANG) != info.si_pid) {
            break;
        }
        if (s != NULL) {
            on_dead(sv, s, status);
        } else if (info.si_pid == sv->host->maker.pid) {
            on_maker_dead(sv);
        }
        info = (siginfo_t){0};
    }
}

/* --- memory ------------------------------------------------------------------- */

/* v1 tells that memory ran out before it kills, v2 also tells when it did not need to:
 * what counts is the number of kills. False: none that has not been told. */
static bool tell_oom(struct server *sv, struct sandbox *s)
{
    struct warden_reply reply = {.type = WARDEN_OOM, .id = s->id};
    struct cgroup_usage u;
    uint64_t kills = put_usage(sv, s, &reply, &u);

    if (kills <= s->oom_told) {
        return false;
    }
    s->oom_told = kills;
    server_say(sv, &reply, NULL, 0);
    return true;
}

static void on_oom(struct server *sv, struct sandbox *s)
{
    char events[512];
    uint64_t n;

    if (s->oom < 0 || !s->announced) {
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

    sv->ending = true;
    server_hear_maker(sv, sv->host->maker.n_ordered > 0 ? MAKER_WORD_MS : 0);
    maker_close(&sv->host->maker); /* it ends with its connection */
    sandbox_table_kill_all(&sv->table, sv->host);
    while (sv->table.n > 0 && clock_mono_ms() < until_ms) {
        struct pollfd p = {.fd = sv->signals, .events = POLLIN};

        (void)poll(&p, 1, RETRY_MS);
        on_signal(sv);
        (void)sandbox_table_sweep(&sv->table, &sv->host->cgroups, SIZE_MAX);
    }
    server_forget_waiting(sv);
    blanks_free(&sv->blanks);
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

static void on_sandbox(struct server *sv, uint64_t wake)
{
    uint64_t group = (wake - BLANKS_WAKE_CONTROL(0)) / 2;
    struct sandbox *s = sandbox_table_find_group(&sv->table, group);

    if (s == NULL) {
        return; /* it went within this turn */
    }
    if (wake == BLANKS_WAKE_OOM(group)) {
        on_oom(sv, s);
        return;
    }
    if (s->state == SANDBOX_SEEDING || s->state == SANDBOX_SEEDED) {
        seeds_heard(&sv->seeds, s);
    } else {
        server_spoke(sv, s);
    }
}

/* 0, 1: the agent has gone, or its message was none. */
static int on_event(struct server *sv, uint64_t wake)
{
    switch (wake) {
    case WAKE_AGENT:
        return on_agent(sv);
    case WAKE_SIGNAL:
        on_signal(sv);
        return 0;
    case WAKE_MAKER:
        server_maker_spoke(sv);
        return 0;
    default:
        on_sandbox(sv, wake);
        return 0;
    }
}

static void give_up_late(struct server *sv)
{
    struct sandbox *s;
    struct error err;

    if (blanks_late(&sv->blanks) != NULL) {
        server_hear_maker(sv, 0);
    }
    while ((s = blanks_late(&sv->blanks)) != NULL) {
        (void)error_set(&err, -ETIMEDOUT, "the sandbox was not made within 5 s");
        (void)blanks_drop(&sv->blanks, s);
        sandbox_kill(sv->host, s);
        sandbox_close(s);
        server_not_made(sv, &err);
    }
}

/* What the agent keeps is given back as well. */
static void tell_short(struct server *sv)
{
    const struct warden_reply reply = {.type = WARDEN_SHORT};

    if (sv->blanks.is_short) {
        sv->blanks.is_short = false;
        server_say(sv, &reply, NULL, 0);
    }
}

/* In ms, for epoll. */
static int timeout(const struct server *sv, bool more)
{
    uint64_t now_ms = clock_mono_ms(), next_ms = blanks_next_ms(&sv->blanks);
    uint64_t seeds_ms = seeds_next_ms(&sv->seeds);

    next_ms = seeds_ms < next_ms ? seeds_ms : next_ms;
    if (more) {
        return 0;
    }
    if (!list_empty(&sv->table.leftovers) || !list_empty(&sv->oom)) {
        return RETRY_MS;
    }
    if (next_ms == UINT64_MAX) {
        return -1;
    }
    return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

static int serve(struct server *sv, struct error *err)
{
    bool more = false;

    while (!sv->ending && sv->broken == 0) {
        struct epoll_event events[64];
        int n = epoll_wait(sv->epoll, events, 64, timeout(sv, more));

        for (int i = 0; i < n; i++) {
            int rc = on_event(sv, events[i].data.u64);

            if (rc == 1) {
                return 0;
            }
            if (rc < 0) {
                sv->broken = rc;
                (void)shutdown(sv->fd, SHUT_RDWR);
                return error_set_errno(err, rc, "the agent's message");
            }
        }
        give_up_late(sv);
        look_for_kills(sv);
        seeds_tend(&sv->seeds);
        tell_short(sv);
        /* A little at a time: the next request does not wait for what could be later. */
        more = blanks_tend(&sv->blanks, sv->n_waiting) ||
               sandbox_table_sweep(&sv->table, &sv->host->cgroups, 1);
    }
    return sv->broken < 0 && sv->broken != -EPIPE
               ? error_set_errno(err, sv->broken, "answer the agent")
               : 0;
}

int server_run(struct sandbox_host *h, int fd, struct error *err)
{
    static struct server sv;
    struct warden_reply ready = {.type = WARDEN_READY};
    int rc;

    sv = (struct server){.host = h, .fd = fd, .epoll = -1, .signals = -1};
    sandbox_table_init(&sv.table);
    list_init(&sv.oom);
    list_init(&sv.waiting);
    rc = open_all(&sv, err);
    rc = rc < 0 ? rc : server_start_maker(&sv, err);
    if (rc == 0) {
        rc = blanks_init(&sv.blanks, h, &sv.table, sv.epoll);
        rc = rc < 0 ? error_set(err, rc, "out of memory") : 0;
        seeds_init(&sv.seeds, &sv.blanks);
    }
    if (rc == 0) {
        server_say(&sv, &ready, NULL, 0);
        (void)blanks_tend(&sv.blanks, 0);
        rc = serve(&sv, err);
        end_all(&sv);
    }
    (void)close(sv.epoll);
    (void)close(sv.signals);
    return rc;
}
