#include "agent/warden/init_seed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WORDS 2 /* that it is up, that it waits */

static struct {
    pid_t pid; /* 0: there is none */
    int link;
    int fds[3];
    unsigned n_awaited; /* of its words */
} seed = {.link = -1, .fds = {-1, -1, -1}};

static void close_one(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void seed_close(void)
{
    close_one(&seed.link);
    for (int i = 0; i < 3; i++) {
        close_one(&seed.fds[i]);
    }
    seed.n_awaited = 0;
}

void seed_start(char *const *argv, char *const *envp, const int fds[3])
{
    int pair[2], error = 0;

    if (seed.pid != 0 || seed.fds[0] >= 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        init_tell_seeded(EBUSY);
        return;
    }
    seed.link = pair[0];
    for (int i = 0; i < 3; i++) {
        seed.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
    }
    seed.pid =
        init_spawn(argv, envp, (const int[4]){fds[0], fds[1], fds[2], pair[1]}, &error);
    (void)close(pair[1]);
    if (error != 0) {
        seed.pid = 0; /* what it was to be started with stays, for who takes its place */
        init_tell_seeded(error);
        return;
    }
    seed.n_awaited = WORDS;
}

int seed_fd(void)
{
    return seed.n_awaited > 0 ? seed.link : -1;
}

void seed_heard(void)
{
    char word;
    bool alive = read(seed.link, &word, 1) == 1;

    if (!alive || seed.n_awaited == WORDS) {
        init_tell_seeded(alive ? 0 : ECHILD);
    } else {
        init_tell_settled();
    }
    seed.n_awaited = alive ? seed.n_awaited - 1 : 0;
}

void seed_hush(void)
{
    seed.n_awaited = 0;
}

void seed_ended(pid_t pid)
{
    if (pid == seed.pid) {
        seed.pid = 0;
    }
}

void seed_limit(const struct rlimit *file)
{
    if (seed.pid > 0) {
        (void)prlimit(seed.pid, RLIMIT_FSIZE, file, NULL);
    }
}

const int *seed_fds(void)
{
    return seed.fds;
}

/* The package comes first where programs are looked for. */
static bool is_in_package(const char *program)
{
    char path[300];

    (void)snprintf(path, sizeof(path), "/var/task/%s", program);
    return access(path, F_OK) == 0;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

pid_t seed_take(const char *program, const char *env, uint32_t env_len)
{
    pid_t pid = seed.pid;

    seed.pid = 0;
    if (pid <= 0) {
        return 0;
    }
    if (!is_in_package(program) &&
        write_all(seed.link, (const char *)&env_len, sizeof(env_len)) &&
        write_all(seed.link, env, env_len)) {
        return pid;
    }
    (void)kill(-pid, SIGKILL);
    return 0;
}
