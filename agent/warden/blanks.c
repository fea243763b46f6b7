#include "agent/warden/blanks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/warden/memory_room.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define LEAST       4
#define SPAN_MS     100
#define MAKING_MS   5000
#define AT_ONCE_MAX 8    /* that are made at a time: they share locks of the kernel's */
#define REST_MS     1000 /* after a failure */
#define LOOK_MS     1000 /* at how much memory is left */

int blanks_init(struct blanks *b, struct sandbox_host *host, struct sandbox_table *table,
                int epoll)
{
    *b = (struct blanks){.host = host, .table = table, .epoll = epoll};
    b->limits = (struct sandbox_limits){
        .cgroup = {.memory_bytes = 128 << 20, .cpu_millis = 1000, .pids_max = 64},
        .tmp_bytes = 64 << 20,
    };
    list_init(&b->making);
    list_init(&b->ready);
    blank_policy_init(&b->policy, LEAST, host->blanks_max, SPAN_MS);
    return parts_init(&b->parts, host->blanks_max);
}

void blanks_free(struct blanks *b)
{
    parts_free(&b->parts, &b->host->cgroups);
}

static void leave(struct blanks *b, struct sandbox *s)
{
    if (s->state == SANDBOX_BLANK) {
        CHECK(b->n_ready > 0);
        b->n_ready--;
    } else {
        CHECK(b->n_making > 0);
        b->n_making--;
    }
    list_remove(&s->link);
}

struct sandbox *blanks_take(struct blanks *b)
{
    struct sandbox *s;

    if (list_empty(&b->ready)) {
        return NULL;
    }
    s = container_of(b->ready.next, struct sandbox, link);
    leave(b, s);
    s->state = SANDBOX_RUNNING;
    return s;
}

/* Once for each message: it may come before the maker's word of who speaks. */
static int watch(const struct blanks *b, int fd, uint64_t wake)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = wake};

    return epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int blanks_order(struct blanks *b, struct error *err)
{
    struct sandbox *s = sandbox_table_add(b->table);
    struct part_group group;
    int net, rc;

    if (s == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (parts_group(&b->parts, &group)) {
        sandbox_table_set_group(b->table, s, group.number);
        s->limits.cgroup = group.limits;
        s->oom = group.oom;
        s->oom_is_eventfd = true;
        s->oom_kills = s->oom_told = group.oom_kills;
    }
    net = parts_net(&b->parts);
    rc = sandbox_order(b->host, s, &b->limits, net, err);
    if (net >= 0) {
        (void)close(net);
    }
    if (rc < 0) {
        sandbox_table_dead(b->table, s);
        return rc;
    }
    if (watch(b, s->control, BLANKS_WAKE_CONTROL(s->group)) < 0) {
        s->state = SANDBOX_RUNNING; /* killed when it is known */
        sandbox_close(s);
        return error_set(err, -ENOMEM, "out of memory");
    }
    list_push_back(&b->making, &s->link);
    b->n_making++;
    return 0;
}

/* It was given up before it was known: nobody waits for it. */
static void end_unknown(struct blanks *b, struct sandbox *s, pid_t pid)
{
    if (pid < 0) {
        sandbox_table_dead(b->table, s);
    } else {
        sandbox_table_set_pid(b->table, s, pid);
        sandbox_kill(b->host, s);
    }
}

void blanks_ordered(struct blanks *b, const struct maker_reply *reply)
{
    struct sandbox *s = sandbox_table_find_group(b->table, reply->group);

    if (s == NULL || s->pid != 0 || s->state == SANDBOX_DEAD) {
        return;
    }
    if (s->state != SANDBOX_ORDERED) {
        end_unknown(b, s, reply->pid);
        return;
    }
    s->state = SANDBOX_MAKING;
    if (reply->pid < 0) {
        s->failed = reply->pid; /* told when its connection is found closed */
    } else {
        sandbox_table_set_pid(b->table, s, reply->pid);
    }
    if (s->doomed) {
        sandbox_kill(b->host, s);
    }
}

int blanks_heard(struct blanks *b, struct sandbox *s, struct error *err)
{
    int rc = sandbox_made(b->host, s, err);

    if (rc == -EAGAIN) {
        return rc;
    }
    (void)epoll_ctl(b->epoll, EPOLL_CTL_DEL, s->control, NULL);
    if (rc < 0) {
        b->rest_until_ms = clock_mono_ms() + REST_MS;
        return rc;
    }
    leave(b, s);
    s->state = SANDBOX_BLANK;
    list_push_back(&b->ready, &s->link);
    b->n_ready++;
    b->n_made++;
    return 0;
}

bool blanks_drop(struct blanks *b, struct sandbox *s)
{
    bool made = s->state == SANDBOX_ORDERED || s->state == SANDBOX_MAKING;

    if (made || s->state == SANDBOX_BLANK) {
        leave(b, s);
        s->state = SANDBOX_RUNNING;
    }
    return made;
}

/* As many of those that are made as are waited for are made before anything else. */
static void hurry(struct blanks *b, unsigned n_wanted)
{
    LIST_FOREACH(it, &b->making)
    {
        struct sandbox *s = container_of(it, struct sandbox, link);

        if (n_wanted-- == 0) {
            return;
        }
        if (!s->hurried) {
            s->hurried = true;
            cgroup_stand_back(&b->host->cgroups, s->group, false);
        }
    }
}

static bool memory_is_short(const struct sandbox_host *host)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
    char text[2048];
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    struct memory_room room;

    text[n] = '\0';
    room = memory_room_host(text);
    return memory_room_is_short(&room) || cgroup_is_short(&host->cgroups);
}

static void give_back(struct blanks *b)
{
    struct sandbox *s = blanks_take(b);

    sandbox_kill(b->host, s);
    sandbox_close(s);
}

static bool may_make(const struct blanks *b, unsigned n_wanted, unsigned want)
{
    return b->n_making < n_wanted + AT_ONCE_MAX &&
           b->n_ready + b->n_making < n_wanted + want &&
           clock_mono_ms() >= b->rest_until_ms;
}

bool blanks_tend(struct blanks *b, unsigned n_wanted)
{
    uint64_t now_ms = clock_mono_ms();
    struct error err;
    unsigned want;
    bool more;

    if (now_ms >= b->look_ms) {
        b->look_ms = b->host->blanks_max > 0 ? now_ms + LOOK_MS : UINT64_MAX;
        b->is_short = memory_is_short(b->host);
        if (b->is_short) {
            blank_policy_short(&b->policy, now_ms);
        }
    }
    want = blank_policy_want(&b->policy, now_ms);
    while (b->n_ready > want) {
        give_back(b);
    }
    if (may_make(b, n_wanted, want) && blanks_order(b, &err) < 0) {
        b->rest_until_ms = now_ms + REST_MS;
    }
    hurry(b, n_wanted);
    more = parts_trim(&b->parts, &b->host->cgroups, want);
    return may_make(b, n_wanted, want) || more;
}

uint64_t blanks_next_ms(const struct blanks *b)
{
    uint64_t next_ms = UINT64_MAX;

    if (!list_empty(&b->making)) {
        next_ms =
            container_of(b->making.next, struct sandbox, link)->ordered_ms + MAKING_MS;
    } else if (b->host->blanks_max > 0 && clock_mono_ms() < b->rest_until_ms) {
        next_ms = b->rest_until_ms;
    }
    return b->look_ms < next_ms ? b->look_ms : next_ms;
}

struct sandbox *blanks_late(const struct blanks *b)
{
    struct sandbox *s = list_empty(&b->making)
                            ? NULL
                            : container_of(b->making.next, struct sandbox, link);

    return s != NULL && clock_mono_ms() >= s->ordered_ms + MAKING_MS ? s : NULL;
}

uint64_t blanks_memory(const struct blanks *b)
{
    struct cgroup_usage usage = {0};

    if (!list_empty(&b->ready)) {
        cgroup_read(&b->host->cgroups,
                    container_of(b->ready.next, struct sandbox, link)->group, &usage);
    }
    return usage.memory_bytes * b->n_ready;
}
