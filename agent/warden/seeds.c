#include "agent/warden/seeds.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/warden/init_proto.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define LEAST         1
#define SPAN_MS       1000   /* longer than one takes to start on a busy host */
#define SHARE         4      /* a quarter of the blanks at most, of each runtime */
#define USED_MS       600000 /* for so long after it was asked for last there is one */
#define REST_MS       10000
#define MAKING_MS     10000
#define MAKING_BYTES  (512ULL << 20) /* limits while it starts */
#define MAKING_PIDS   128
#define MAKING_MILLIS 2000
#define TIMES_BYTES   2 /* a function has at least so many times what its runtime takes */
#define UNKNOWN_BYTES (64ULL << 20) /* while none of a kind has been up */

void seeds_init(struct seeds *s, struct blanks *blanks)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    /* More at once would only make the first of them later. */
    *s = (struct seeds){.blanks = blanks, .n_making_max = cpus > 1 ? (unsigned)cpus : 1};
    list_init(&s->making);
    for (size_t i = 0; i < SEEDS_RECIPES; i++) {
        list_init(&s->recipes[i].ready);
    }
}

/* --- lists
 * ------------------------------------------------------------------------------ */

static void leave(struct seeds *s, struct sandbox *sandbox)
{
    struct recipe *r = sandbox->recipe;

    if (sandbox->state == SANDBOX_SEEDED) {
        r->n_ready--;
    } else {
        r->n_making--;
        s->n_making--;
    }
    CHECK(s->n > 0);
    s->n--;
    list_remove(&sandbox->link);
    sandbox->state = SANDBOX_RUNNING;
}

void seeds_drop(struct seeds *s, struct sandbox *sandbox)
{
    if (sandbox->state == SANDBOX_SEEDING || sandbox->state == SANDBOX_SEEDED) {
        leave(s, sandbox);
    }
}

static void kill_it(struct seeds *s, struct sandbox *sandbox)
{
    leave(s, sandbox);
    sandbox_kill(s->blanks->host, sandbox);
    sandbox_close(sandbox);
}

/* It did not start: the next is not begun at once. */
static void give_up(struct seeds *s, struct sandbox *sandbox)
{
    sandbox->recipe->rest_until_ms = clock_mono_ms() + REST_MS;
    kill_it(s, sandbox);
}

static struct sandbox *first(const struct recipe *r)
{
    return container_of(r->ready.next, struct sandbox, link);
}

/* --- recipes
 * ---------------------------------------------------------------------------- */

static bool is_recipe(const struct recipe *r, const struct warden_request *q)
{
    return r->len == q->seed_len && r->n_argv == q->seed_argv &&
           memcmp(r->text, q->seed, r->len) == 0;
}

/* Takes the place of what was asked for least lately. NULL: those are all being made. */
static struct recipe *new_recipe(struct seeds *s, const struct warden_request *q)
{
    unsigned max = s->blanks->host->blanks_max;
    struct recipe *r = NULL;

    for (size_t i = 0; i < SEEDS_RECIPES; i++) {
        struct recipe *other = &s->recipes[i];

        if (other->n_making == 0 && (r == NULL || other->used_ms < r->used_ms)) {
            r = other;
        }
    }
    if (r == NULL) {
        return NULL;
    }
    while (r->n_ready > 0) {
        kill_it(s, first(r));
    }
    r->n_argv = q->seed_argv;
    r->n_env = q->seed_env;
    r->len = q->seed_len;
    memcpy(r->text, q->seed, q->seed_len);
    r->rest_until_ms = 0;
    r->bytes = 0;
    blank_policy_init(&r->policy, LEAST, max / SHARE > 0 ? max / SHARE : max, SPAN_MS);
    return r;
}

static struct recipe *find(struct seeds *s, const struct warden_request *q)
{
    for (size_t i = 0; i < SEEDS_RECIPES; i++) {
        if (is_recipe(&s->recipes[i], q)) {
            return &s->recipes[i];
        }
    }
    return new_recipe(s, q);
}

/* The one that has waited longest, else the one that will be up first. */
static struct sandbox *best(const struct seeds *s, const struct recipe *r)
{
    if (r->n_ready > 0) {
        return first(r);
    }
    LIST_FOREACH(it, &s->making)
    {
        struct sandbox *sandbox = container_of(it, struct sandbox, link);

        if (sandbox->recipe == r) {
            return sandbox;
        }
    }
    return NULL;
}

static void measure(struct seeds *s, struct sandbox *sandbox)
{
    struct cgroup_usage usage;

    cgroup_read(&s->blanks->host->cgroups, sandbox->group, &usage);
    sandbox->cpu_us = usage.cpu_us;
    sandbox->seed_bytes = usage.memory_bytes;
    sandbox->recipe->bytes = usage.memory_bytes;
}

/* Nothing of it is heard any more, and it stands back no more. */
static int settle(struct seeds *s, struct sandbox *sandbox)
{
    const struct cgroup_root *cgroups = &s->blanks->host->cgroups;

    sandbox->settled = true;
    (void)epoll_ctl(s->blanks->epoll, EPOLL_CTL_DEL, sandbox->control, NULL);
    return cgroup_serve(cgroups, sandbox->group, MAKING_MILLIS, NULL);
}

/* What it has taken of the processor so far is not the function's. */
static struct sandbox *give(struct seeds *s, struct sandbox *sandbox)
{
    const struct cgroup_root *cgroups = &s->blanks->host->cgroups;

    if (!sandbox->settled) {
        sandbox->cpu_us = cgroup_cpu_us(cgroups, sandbox->group);
        if (settle(s, sandbox) < 0) {
            kill_it(s, sandbox);
            return NULL;
        }
    }
    leave(s, sandbox);
    return sandbox;
}

struct sandbox *seeds_take(struct seeds *s, const struct warden_request *q)
{
    struct recipe *r = q->seed_len > 0 ? find(s, q) : NULL;
    struct sandbox *sandbox;
    uint64_t bytes;

    if (r == NULL) {
        return NULL;
    }
    r->used_ms = clock_mono_ms();
    blank_policy_begun(&r->policy, r->used_ms);
    sandbox = best(s, r);
    bytes = sandbox != NULL && sandbox->seed_bytes > 0 ? sandbox->seed_bytes
            : r->bytes > 0                             ? r->bytes
                                                       : UNKNOWN_BYTES;
    if (sandbox == NULL || bytes * TIMES_BYTES > q->memory_bytes) {
        return NULL;
    }
    return give(s, sandbox);
}

/* --- making
 * ----------------------------------------------------------------------------- */

static int send_seed(const struct sandbox *sandbox, const struct recipe *r,
                     const int fds[3])
{
    struct init_message m = {
        .type = INIT_SEED, .n_argv = r->n_argv, .n_env = r->n_env, .len = r->len};
    struct iovec parts[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)r->text, r->len}};
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr head = {.msg_iov = parts,
                          .msg_iovlen = 2,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&head);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, 3 * sizeof(int));
    return sendmsg(sandbox->control, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The agent will read what it prints; nobody does before. */
static int start(struct sandbox *sandbox, const struct recipe *r)
{
    _cleanup_close_ int null = open(ROOTFS_TEMPLATE "/dev/null", O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = -1, err = -1;
    int ends[2];

    if (null < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    sandbox->out = ends[0];
    out = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    sandbox->err = ends[0];
    err = ends[1];
    return send_seed(sandbox, r, (const int[3]){null, out, err});
}

static int prepare(struct seeds *s, struct sandbox *sandbox, const struct recipe *r)
{
    const struct cgroup_root *cgroups = &s->blanks->host->cgroups;
    const struct cgroup_limits limits = {MAKING_BYTES, MAKING_MILLIS, MAKING_PIDS};
    struct epoll_event e = {.events = EPOLLIN,
                            .data.u64 = BLANKS_WAKE_CONTROL(sandbox->group)};
    int rc =
        cgroup_limit(cgroups, sandbox->group, &sandbox->limits.cgroup, &limits, NULL);

    sandbox->limits.cgroup = rc < 0 ? (struct cgroup_limits){0} : limits;
    if (rc < 0) {
        return rc;
    }
    cgroup_stand_back(cgroups, sandbox->group, true);
    if (epoll_ctl(s->blanks->epoll, EPOLL_CTL_ADD, sandbox->control, &e) < 0) {
        return -errno;
    }
    return start(sandbox, r);
}

static void begin(struct seeds *s, struct recipe *r)
{
    struct sandbox *sandbox = blanks_take(s->blanks);

    if (sandbox == NULL) {
        return;
    }
    sandbox->recipe = r;
    sandbox->state = SANDBOX_SEEDING;
    sandbox->ordered_ms = clock_mono_ms();
    list_push_back(&s->making, &sandbox->link);
    r->n_making++;
    s->n_making++;
    s->n++;
    if (prepare(s, sandbox, r) < 0) {
        give_up(s, sandbox);
    }
}

/* The type of init's next word, or a negative errno: -EAGAIN: there is none. */
static int hear(const struct sandbox *sandbox)
{
    struct init_message m;
    ssize_t n = recv(sandbox->control, &m, sizeof(m), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return -EAGAIN;
    }
    if (n != sizeof(m) || m.value != 0) {
        return -ECHILD;
    }
    return m.type == INIT_SEEDED || m.type == INIT_SETTLED ? (int)m.type : -EPROTO;
}

static void is_up(struct seeds *s, struct sandbox *sandbox)
{
    struct recipe *r = sandbox->recipe;

    list_remove(&sandbox->link);
    list_push_back(&r->ready, &sandbox->link);
    sandbox->state = SANDBOX_SEEDED;
    r->n_making--;
    s->n_making--;
    r->n_ready++;
    measure(s, sandbox);
}

void seeds_heard(struct seeds *s, struct sandbox *sandbox)
{
    int word = hear(sandbox);

    if (word == -EAGAIN) {
        return;
    }
    if (word == INIT_SEEDED && sandbox->state == SANDBOX_SEEDING) {
        is_up(s, sandbox);
    } else if (word == INIT_SETTLED && sandbox->state == SANDBOX_SEEDED &&
               settle(s, sandbox) == 0) {
        measure(s, sandbox);
    } else {
        give_up(s, sandbox);
    }
}

/* --- as many as are wanted
 * -------------------------------------------------------------- */

static unsigned wanted(const struct seeds *s, struct recipe *r, uint64_t now_ms)
{
    bool used = r->len > 0 && now_ms - r->used_ms < USED_MS;

    return used && now_ms >= s->blanks->policy.short_until_ms
               ? blank_policy_want(&r->policy, now_ms)
               : 0;
}

static void tend(struct seeds *s, struct recipe *r)
{
    uint64_t now_ms = clock_mono_ms();
    unsigned want = wanted(s, r, now_ms);

    while (r->n_ready > want) {
        kill_it(s, first(r));
    }
    if (r->n_ready + r->n_making < want && s->n_making < s->n_making_max &&
        now_ms >= r->rest_until_ms) {
        begin(s, r);
    }
}

void seeds_tend(struct seeds *s)
{
    for (size_t i = 0; i < SEEDS_RECIPES; i++) {
        tend(s, &s->recipes[i]);
    }
    while (clock_mono_ms() >= seeds_next_ms(s)) {
        struct sandbox *late = container_of(s->making.next, struct sandbox, link);

        give_up(s, late);
    }
}

uint64_t seeds_next_ms(const struct seeds *s)
{
    return list_empty(&s->making)
               ? UINT64_MAX
               : container_of(s->making.next, struct sandbox, link)->ordered_ms +
                     MAKING_MS;
}

/* --- what there are ------------------------------------------------------------------
 */

static void count(const struct recipe *r, struct warden_seeds *ret)
{
    size_t len = strnlen(r->text, sizeof(ret->program));

    *ret = (struct warden_seeds){.ready = r->n_ready, .making = r->n_making};
    memcpy(ret->program, r->text, len);
    LIST_FOREACH(it, &r->ready)
    {
        ret->memory_bytes += container_of(it, struct sandbox, link)->seed_bytes;
    }
}

void seeds_count(const struct seeds *s, struct warden_seeds ret[SEEDS_RECIPES])
{
    for (size_t i = 0; i < SEEDS_RECIPES; i++) {
        ret[i] = (struct warden_seeds){0};
        if (s->recipes[i].len > 0) {
            count(&s->recipes[i], &ret[i]);
        }
    }
}
