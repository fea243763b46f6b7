#include "tests/lib/agents_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/check.h"

#define KNOWN_MAX 16

static int guard_fd = -1;
static pid_t owner;

void agents_guard_folder(char ret[40])
{
    (void)snprintf(ret, 40, "/tmp/mayfly-agents-%d", (int)owner);
}

static void clean(void)
{
    char command[512];

    /* Wardens end by themselves, and take their groups along; up to 10 s for that. */
    (void)snprintf(
        command, sizeof(command),
        "for i in $(seq 100); do ls -d /sys/fs/cgroup/mayfly-test-%1$d-* "
        "/sys/fs/cgroup/*/mayfly-test-%1$d-* 2>/dev/null | grep -q . || break; "
        "sleep 0.1; done; rm -rf /tmp/mayfly-agents-%1$d /tmp/mayfly-token-%1$d",
        (int)owner);
    if (system(command) != 0) {
        (void)fprintf(stderr, "the bench's guard: not all could be removed\n");
    }
}

static void guard(int fd)
{
    pid_t known[KNOWN_MAX] = {0}, pid;

    (void)setsid();
    while (read(fd, &pid, sizeof(pid)) == (ssize_t)sizeof(pid)) {
        for (unsigned i = 0; i < KNOWN_MAX; i++) {
            if (known[i] == (pid > 0 ? 0 : -pid)) {
                known[i] = pid > 0 ? pid : 0;
                break;
            }
        }
    }
    for (unsigned i = 0; i < KNOWN_MAX; i++) {
        if (known[i] > 0) {
            (void)kill(known[i], SIGKILL);
        }
    }
    clean();
    _exit(0);
}

void agents_guard_start(void)
{
    int ends[2];
    pid_t pid;

    owner = getpid();
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)close(ends[1]);
        guard(ends[0]);
    }
    (void)close(ends[0]);
    guard_fd = ends[1];
}

void agents_guard_tell(pid_t pid)
{
    CHECK(write(guard_fd, &pid, sizeof(pid)) == (ssize_t)sizeof(pid));
}
