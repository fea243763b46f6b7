#include "controller/cli/process.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "common/cleanup.h"

#define KILL_WAIT_MS 10000 /* for a process that was killed to be gone */
#define ARGV_BYTES   16384
#define ARGV_MAX     64

/* Reads a file of /proc/PID whole, NUL-terminated; its length or -1. */
static ssize_t read_proc(pid_t pid, const char *file, char *ret, size_t size)
{
    char path[64];
    _cleanup_fclose_ FILE *f = NULL;
    size_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    f = fopen(path, "re");
    if (f == NULL) {
        return -1;
    }
    n = fread(ret, 1, size - 1, f);
    ret[n] = '\0';
    return ferror(f) ? -1 : (ssize_t)n;
}

struct process process_of(pid_t pid)
{
    const struct process none = {0};
    struct process p = {.pid = pid};
    char text[1024];
    char *at;
    char state;

    if (pid <= 0 || read_proc(pid, "stat", text, sizeof(text)) <= 0) {
        return none;
    }
    at = strrchr(text, ')'); /* the name before it may have anything in it */
    if (at == NULL || sscanf(at + 1, " %c", &state) != 1 || state == 'Z' ||
        state == 'X') {
        return none;
    }
    for (unsigned field = 2; field < 22; field++) { /* starttime is the 22nd */
        at = strchr(at + 1, ' ');
        if (at == NULL) {
            return none;
        }
    }
    p.start = strtoull(at, NULL, 10);
    return p;
}

bool process_is_alive(const struct process *p)
{
    struct process now = process_of(p->pid);

    return p->pid > 0 && now.pid == p->pid && now.start == p->start;
}

static bool ends_within(int pidfd, uint64_t ms)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};
    int n;

    do {
        n = poll(&fd, 1, (int)ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

int process_end(const struct process *p, uint64_t grace_ms)
{
    _cleanup_close_ int pidfd = p->pid > 0 ? pidfd_open(p->pid, 0) : -1;

    /* The fd holds on to whoever has the pid; then it is known who that is. */
    if (pidfd < 0 || !process_is_alive(p)) {
        return 0;
    }
    if (grace_ms > 0) {
        if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
            return -errno;
        }
        if (ends_within(pidfd, grace_ms)) {
            return 0;
        }
    }
    if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
        return -errno;
    }
    return ends_within(pidfd, KILL_WAIT_MS) ? 0 : -ETIMEDOUT;
}

static void visit(pid_t pid, char *text,
                  void (*found)(void *data, const struct process *p, const char *name,
                                char *const *argv),
                  void *data)
{
    ssize_t len = read_proc(pid, "cmdline", text, ARGV_BYTES);
    struct process p = process_of(pid);
    char *argv[ARGV_MAX + 1];
    size_t n = 0;
    const char *slash;

    if (len <= 0 || p.pid == 0) {
        return;
    }
    for (char *at = text; at < text + len && n < ARGV_MAX; at += strlen(at) + 1) {
        argv[n++] = at;
    }
    argv[n] = NULL;
    slash = strrchr(argv[0], '/');
    found(data, &p, slash != NULL ? slash + 1 : argv[0], argv);
}

void process_each(void (*found)(void *data, const struct process *p, const char *name,
                                char *const *argv),
                  void *data)
{
    _cleanup_free_ char *text = malloc(ARGV_BYTES);
    _cleanup_closedir_ DIR *dir = opendir("/proc");
    struct dirent *e;

    while (text != NULL && dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[strspn(e->d_name, "0123456789")] == '\0') {
            visit((pid_t)atoi(e->d_name), text, found, data);
        }
    }
}

void process_name(pid_t pid, char ret[NAME_MAX + 1])
{
    if (read_proc(pid, "comm", ret, NAME_MAX + 1) <= 0) {
        (void)strcpy(ret, "?");
    }
    ret[strcspn(ret, "\n")] = '\0';
}
