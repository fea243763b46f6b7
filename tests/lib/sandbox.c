#include "tests/lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/warden/init_proto.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/fd_message.h"

#define LIMIT_MS 20000

bool sandbox_bench_possible(void)
{
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP sandboxes need root\n");
        return false;
    }
    return true;
}

static void on_ready(void *data)
{
    ((struct sandbox_bench *)data)->ready = true;
}

static void on_exit_event(void *data, uint64_t id, const struct sandbox_exit *e)
{
    struct sandbox_bench *b = data;

    b->exit_id = id;
    b->exit = *e;
    b->n_exits++;
    if (b->exit_hook != NULL) {
        b->exit_hook(b->hook_data, id, e);
    }
}

static void on_oom(void *data, uint64_t id)
{
    struct sandbox_bench *b = data;

    b->oom_id = id;
    b->n_ooms++;
    if (b->oom_hook != NULL) {
        b->oom_hook(b->hook_data, id);
    }
}

static void on_lost(void *data, const char *reason)
{
    struct sandbox_bench *b = data;

    b->lost = true;
    (void)snprintf(b->lost_reason, sizeof(b->lost_reason), "%s", reason);
}

static void nothing_cb(uv_timer_t *timer)
{
}

void sandbox_bench_turn(struct sandbox_bench *b)
{
    uv_timer_t limit;

    CHECK(uv_timer_init(&b->loop, &limit) == 0);
    uv_update_time(&b->loop); /* or it may be over before anything is waited for */
    (void)uv_timer_start(&limit, nothing_cb, 50, 0);
    (void)uv_run(&b->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    (void)uv_run(&b->loop, UV_RUN_NOWAIT);
}

/* --- what is left ------------------------------------------------------------- */

static void remove_group(const char *path)
{
    char pattern[400], command[512];
    glob_t below;

    (void)snprintf(pattern, sizeof(pattern), "%s/[0-9]*", path);
    if (glob(pattern, GLOB_ONLYDIR, NULL, &below) == 0) {
        for (size_t i = 0; i < below.gl_pathc; i++) {
            (void)snprintf(command, sizeof(command), "%s/freezer.state",
                           below.gl_pathv[i]);
            FILE *f = fopen(command, "we");

            if (f != NULL) {
                (void)fputs("THAWED", f);
                (void)fclose(f);
            }
            (void)rmdir(below.gl_pathv[i]);
        }
        globfree(&below);
    }
    (void)rmdir(path);
}

/* Groups that a killed warden left. True: there are none any more. */
static bool remove_groups(const char *name)
{
    bool none = true;

    for (int i = 0; i < 2; i++) {
        char pattern[256];
        glob_t found;

        (void)snprintf(pattern, sizeof(pattern),
                       i == 0 ? "/sys/fs/cgroup/%s" : "/sys/fs/cgroup/*/%s", name);
        if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0) {
            for (size_t k = 0; k < found.gl_pathc; k++) {
                remove_group(found.gl_pathv[k]);
                none = none && access(found.gl_pathv[k], F_OK) < 0;
            }
            globfree(&found);
        }
    }
    return none;
}

static int remove_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

/* Waits until the test process closes the pipe or dies, then for the warden, then removes
 * what they made. */
static void janitor_run(const struct sandbox_bench *b, int pipe_fd, int warden)
{
    struct pollfd p = {.fd = warden, .events = POLLIN};
    char byte;

    (void)setsid();
    (void)signal(SIGTERM, SIG_IGN);
    while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR) {
    }
    if (poll(&p, 1, LIMIT_MS) == 0) {
        (void)syscall(SYS_pidfd_send_signal, warden, SIGKILL, NULL, 0);
    }
    for (int i = 0; i < 500 && !remove_groups(b->cgroup); i++) {
        (void)poll(NULL, 0, 10);
    }
    (void)nftw(b->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    _exit(0);
}

static void janitor_start(struct sandbox_bench *b)
{
    int ends[2], warden = (int)syscall(SYS_pidfd_open, b->warden_pid, 0);

    CHECK(warden >= 0 && pipe2(ends, O_CLOEXEC) == 0);
    (void)fflush(NULL);
    b->janitor = fork();
    CHECK(b->janitor >= 0);
    if (b->janitor == 0) {
        /* Nothing that could keep the warden alive. */
        CHECK(dup2(ends[0], 3) == 3 && dup2(warden, 4) == 4);
        CHECK(close_range(5, ~0u, 0) == 0);
        janitor_run(b, 3, 4);
    }
    (void)close(ends[0]);
    (void)close(warden);
    b->janitor_fd = ends[1];
}

/* --- the bench ---------------------------------------------------------------- */

static void make_folders(struct sandbox_bench *b)
{
    char path[200];

    (void)strcpy(b->dir, "/tmp/mayfly-test-XXXXXX");
    CHECK(mkdtemp(b->dir) != NULL && chmod(b->dir, 0755) == 0);
    (void)snprintf(path, sizeof(path), "%s/packages", b->dir);
    CHECK(mkdir(path, 0755) == 0);
    (void)snprintf(path, sizeof(path), "%s/packages/%s", b->dir, BENCH_DIGEST);
    CHECK(mkdir(path, 0755) == 0);
}

static unsigned blanks_of(const struct sandbox_bench_options *o)
{
    const char *text = getenv("MAYFLY_TEST_BLANKS");

    return o->no_blanks    ? 0
           : o->blanks > 0 ? o->blanks
           : text != NULL  ? (unsigned)atoi(text)
                           : 0;
}

void sandbox_bench_open_with(struct sandbox_bench *b,
                             const struct sandbox_bench_options *o)
{
    static unsigned opened;
    char state[80], packages[96];
    const struct warden_spawn_options spawn = {
        .program = MAYFLY_AGENT_DIR "/mayfly-warden",
        .state_dir = state,
        .packages = packages,
        .cgroup = b->cgroup,
        .uid_base = BENCH_UID_BASE,
        .base = "host",
        .blanks = blanks_of(o),
        .log_level = "warn",
        .log_format = "human",
    };
    struct warden_client_options options = {.on_ready = on_ready,
                                            .on_exit = on_exit_event,
                                            .on_oom = on_oom,
                                            .on_lost = on_lost,
                                            .data = b};
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;
    struct error err;
    int fd;

    *b = (struct sandbox_bench){0};
    make_folders(b);
    /* Each bench has a group of its own, as each warden on a host must. */
    (void)snprintf(b->cgroup, sizeof(b->cgroup), "mayfly-test-%d-%u", (int)getpid(),
                   ++opened);
    if (o->cgroup != NULL) {
        (void)snprintf(b->cgroup, sizeof(b->cgroup), "%s", o->cgroup);
    }
    (void)snprintf(state, sizeof(state), "%s/warden", b->dir);
    (void)snprintf(packages, sizeof(packages), "%s/packages", b->dir);
    CHECK(uv_loop_init(&b->loop) == 0);
    if (warden_spawn(&spawn, &b->warden_pid, &fd, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    janitor_start(b);
    if (o->raw) {
        b->raw_fd = fd;
        return;
    }
    CHECK(warden_client_new(&b->warden, &b->loop, fd, &options, &err) == 0);
    while (!b->ready && !b->lost && clock_mono_ms() < until_ms) {
        sandbox_bench_turn(b);
    }
    if (!b->ready && !o->may_fail) {
        (void)fprintf(stderr, "the warden does not start: %s\n", b->lost_reason);
        abort();
    }
}

void sandbox_bench_open(struct sandbox_bench *b)
{
    sandbox_bench_open_with(b, &(struct sandbox_bench_options){0});
}

void sandbox_bench_close(struct sandbox_bench *b)
{
    if (b->warden != NULL) {
        warden_client_close(b->warden, NULL, NULL);
    }
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&b->loop) == 0);
    CHECK(waitpid(b->warden_pid, &b->warden_status, 0) == b->warden_pid);
    (void)close(b->janitor_fd);
    CHECK(waitpid(b->janitor, NULL, 0) == b->janitor);
}

static FILE *package_file(struct sandbox_bench *b, const char *name)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/packages/%s/%s", b->dir, BENCH_DIGEST, name);
    f = fopen(path, "we");
    CHECK(f != NULL && fchmod(fileno(f), 0755) == 0);
    return f;
}

void sandbox_bench_file(struct sandbox_bench *b, const char *name, const char *text)
{
    FILE *f = package_file(b, name);

    CHECK(fputs(text, f) >= 0 && fclose(f) == 0);
}

void sandbox_bench_layer(struct sandbox_bench *b, const char *digest, const char *name,
                         const char *text)
{
    char path[400];
    int len = snprintf(path, sizeof(path), "%s/packages/%s", b->dir, digest);
    FILE *f;

    (void)mkdir(path, 0755);
    if (strchr(name, '/') != NULL) {
        (void)snprintf(path + len, sizeof(path) - (size_t)len, "/%.*s",
                       (int)strcspn(name, "/"), name);
        (void)mkdir(path, 0755);
    }
    (void)snprintf(path + len, sizeof(path) - (size_t)len, "/%s", name);
    f = fopen(path, "we");
    CHECK(f != NULL && fputs(text, f) >= 0 && fchmod(fileno(f), 0755) == 0 &&
          fclose(f) == 0);
}

void sandbox_bench_copy(struct sandbox_bench *b, const char *path, const char *name)
{
    FILE *from = fopen(path, "re"), *to = package_file(b, name);
    char block[65536];
    size_t n;

    CHECK(from != NULL);
    while ((n = fread(block, 1, sizeof(block), from)) > 0) {
        CHECK(fwrite(block, 1, n, to) == n);
    }
    CHECK(fclose(from) == 0 && fclose(to) == 0);
}

/* --- sandboxes ---------------------------------------------------------------- */

struct sandbox_config sandbox_bench_config(void)
{
    return (struct sandbox_config){
        .package = BENCH_DIGEST,
        .memory_bytes = 64 << 20,
        .cpu_millis = 1000,
        .pids_max = 64,
        .tmp_bytes = 8 << 20,
    };
}

static void created(void *data, int status, const struct error *err,
                    const struct sandbox_fds *fds)
{
    struct bench_sandbox *s = data;

    s->status = status;
    s->err = *err;
    s->control = fds->control;
    s->listener = fds->listener;
    s->freezer = fds->freezer;
    s->seed_out = fds->out;
    s->seed_err = fds->err;
    s->done = true;
}

void bench_sandbox_end(struct sandbox_bench *b, struct bench_sandbox *s)
{
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;

    warden_kill(b->warden, s->id);
    while (b->exit_id != s->id) {
        sandbox_bench_turn(b);
        CHECK(clock_mono_ms() < until_ms);
    }
    (void)close(s->control);
    if (s->listener >= 0) {
        (void)close(s->listener);
    }
    if (s->freezer >= 0) {
        (void)close(s->freezer);
    }
}

static void send_run(struct bench_sandbox *s, const char *const *argv, const int fds[3],
                     int how)
{
    struct init_message m = {
        .type = INIT_RUN, .run = ++s->last_run, .value = how, .n_env = 2};
    struct buf text = {0};
    struct iovec parts[2];

    for (; argv[m.n_argv] != NULL; m.n_argv++) {
        CHECK(buf_append(&text, argv[m.n_argv], strlen(argv[m.n_argv]) + 1) == 0);
    }
    CHECK(buf_append(&text, "PATH=/usr/bin:/bin", 19) == 0);
    CHECK(buf_append(&text, "HOME=/tmp", 10) == 0);
    m.len = (uint32_t)text.len;
    parts[0] = (struct iovec){&m, sizeof(m)};
    parts[1] = (struct iovec){text.data, text.len};
    CHECK(fd_message_send(s->control, parts, 2, fds, 3, 0) > 0);
    buf_free(&text);
}

/* Reads init's next message about run `id`. False: it is over, or init is gone. */
static bool hear_init(const struct bench_sandbox *s, uint32_t id, struct bench_run *r)
{
    static char text[INIT_MESSAGE_MAX];
    struct init_message m;
    struct iovec parts[2] = {{&m, sizeof(m)}, {text, sizeof(text)}};
    struct msghdr head = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = recvmsg(s->control, &head, 0);

    if (n < (ssize_t)sizeof(m)) {
        r->value = -1;
        return false;
    }
    if (m.run != id) {
        return true;
    }
    if (m.type == INIT_STARTED) {
        r->started = true;
        return true;
    }
    r->value = m.value;
    r->cpu_us = m.cpu_us;
    if (m.type == INIT_FAILED) {
        r->failed = true;
        CHECK(buf_append(&r->out, text, m.len) == 0);
    }
    return false;
}

/* It has had another's call, of which init has cleared away what is left. */
static void use_once(struct bench_sandbox *s)
{
    static const char *const argv[] = {
        "/bin/sh", "-c", "echo left >/tmp/left; (sleep 1000 &); exit 0", NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct init_message m = {0};

    CHECK(null >= 0);
    send_run(s, argv, (int[]){null, null, null}, INIT_RUN_ONCE);
    (void)close(null);
    while (m.type != INIT_CLEAN) {
        struct pollfd p = {s->control, POLLIN, 0};

        CHECK(poll(&p, 1, LIMIT_MS) == 1);
        CHECK(recv(s->control, &m, sizeof(m), MSG_TRUNC) >= (ssize_t)sizeof(m));
        CHECK(m.type == INIT_EXITED || m.type == INIT_CLEAN);
    }
}

void bench_sandbox_make(struct sandbox_bench *b, struct bench_sandbox *s,
                        const struct sandbox_config *config)
{
    struct sandbox_config c = *config;
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;

    *s = (struct bench_sandbox){.id = ++b->last_id,
                                .control = -1,
                                .listener = -1,
                                .freezer = -1,
                                .seed_out = -1,
                                .seed_err = -1};
    c.id = s->id;
    warden_create(b->warden, &c, created, s);
    while (!s->done) {
        sandbox_bench_turn(b);
        CHECK(clock_mono_ms() < until_ms);
    }
    if (s->status == 0 && getenv("MAYFLY_TEST_RECYCLED") != NULL) {
        use_once(s);
    }
}

int bench_sandbox_spawn(struct bench_sandbox *s, const char *const *argv, int out)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct bench_run r = {0};

    CHECK(null >= 0);
    send_run(s, argv, (int[]){null, out, out}, 0);
    (void)close(null);
    while (!r.started) {
        struct pollfd p = {s->control, POLLIN, 0};

        CHECK(poll(&p, 1, LIMIT_MS) == 1);
        if (!hear_init(s, s->last_run, &r)) {
            bench_run_free(&r);
            return r.value > 0 ? -r.value : -EPIPE;
        }
    }
    return (int)s->last_run;
}

void bench_sandbox_run(struct sandbox_bench *b, struct bench_sandbox *s,
                       struct bench_run *r, const char *const *argv)
{
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;
    int out[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool more = true;

    *r = (struct bench_run){0};
    CHECK(null >= 0 && pipe2(out, O_CLOEXEC) == 0);
    send_run(s, argv, (int[]){null, out[1], out[1]}, 0);
    (void)close(out[1]);
    (void)close(null);
    while (more) {
        struct pollfd p[2] = {{s->control, POLLIN, 0}, {out[0], POLLIN, 0}};
        char block[4096];
        ssize_t n;

        CHECK(poll(p, 2, LIMIT_MS) > 0 && clock_mono_ms() < until_ms);
        if (p[1].revents != 0 && (n = read(out[0], block, sizeof(block))) > 0) {
            CHECK(buf_append(&r->out, block, (size_t)n) == 0);
        }
        if (p[0].revents != 0) {
            more = hear_init(s, s->last_run, r);
        }
    }
    (void)fcntl(out[0], F_SETFL, O_NONBLOCK);
    for (ssize_t n = 1; n > 0;) {
        char block[4096];

        n = read(out[0], block, sizeof(block));
        if (n > 0) {
            CHECK(buf_append(&r->out, block, (size_t)n) == 0);
        }
    }
    (void)close(out[0]);
    CHECK(buf_append(&r->out, "", 0) == 0);
}

void bench_run_free(struct bench_run *r)
{
    buf_free(&r->out);
}
