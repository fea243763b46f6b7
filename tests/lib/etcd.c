#include "tests/lib/etcd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define READY_TIMEOUT_MS 30000
#define MEMBERS_MAX      5
#define PROGRAM          "/usr/bin/etcd"

/* Members have to be told about each other before any of them runs. */
static char cluster[MEMBERS_MAX * 80];

bool etcd_server_available(void)
{
    return access(PROGRAM, X_OK) == 0;
}

static int free_port(void)
{
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    return ntohs(addr.sin_port);
}

/* etcd tells "READY=1" to the socket in $NOTIFY_SOCKET, as to systemd. */
static int open_notify(struct etcd_server *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", s->dir);
    (void)unlink(addr.sun_path);
    s->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->notify_fd < 0 ||
        bind(s->notify_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return -errno;
    }
    return 0;
}

static void run_etcd(struct etcd_server *s, pid_t parent)
{
    char notify[80];
    char data[80];
    char log[80];
    int fd;

    (void)snprintf(notify, sizeof(notify), "%s/notify", s->dir);
    (void)snprintf(data, sizeof(data), "%s/data", s->dir);
    (void)snprintf(log, sizeof(log), "%s/log", s->dir);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 ||
        setenv("NOTIFY_SOCKET", notify, 1) < 0) {
        _exit(126);
    }
    /* A short election time also allows leases of one second. */
    (void)execl(PROGRAM, "etcd", "--name", s->name, "--data-dir", data,
                "--heartbeat-interval", "20", "--election-timeout", "200",
                "--listen-client-urls", s->url, "--advertise-client-urls", s->url,
                "--listen-peer-urls", s->peer_url, "--initial-advertise-peer-urls",
                s->peer_url, "--initial-cluster", cluster, (char *)NULL);
    _exit(127);
}

static int launch(struct etcd_server *s, struct error *err)
{
    pid_t parent = getpid();
    int rc = open_notify(s);

    if (rc < 0) {
        return error_set_errno(err, rc, "make the socket for etcd's READY");
    }
    s->pid = fork();
    if (s->pid < 0) {
        return error_set_errno(err, -errno, "fork");
    }
    if (s->pid == 0) {
        run_etcd(s, parent);
    }
    return 0;
}

static int wait_ready(struct etcd_server *s, struct error *err)
{
    uint64_t deadline_ms = clock_mono_ms() + READY_TIMEOUT_MS;
    char text[256];

    for (;;) {
        struct pollfd p = {.fd = s->notify_fd, .events = POLLIN};
        uint64_t now_ms = clock_mono_ms();
        ssize_t n;

        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return error_set(err, -ECHILD, "etcd ended at once: see %s/log", s->dir);
        }
        if (now_ms >= deadline_ms) {
            return error_set(err, -ETIMEDOUT, "etcd is not ready: see %s/log", s->dir);
        }
        /* In slices, to notice its end. */
        if (poll(&p, 1, 200) > 0 &&
            (n = recv(s->notify_fd, text, sizeof(text) - 1, 0)) > 0) {
            text[n] = '\0';
            if (strstr(text, "READY=1") != NULL) {
                return 0;
            }
        }
    }
}

int etcd_servers_start(struct etcd_server *s, int n, struct error *err)
{
    size_t len = 0;
    int rc = 0;

    CHECK(n <= MEMBERS_MAX);
    for (int i = 0; i < n; i++) {
        s[i] = (struct etcd_server){.notify_fd = -1};
        (void)snprintf(s[i].dir, sizeof(s[i].dir), "/tmp/mayfly-etcd-XXXXXX");
        CHECK(mkdtemp(s[i].dir) != NULL);
        (void)snprintf(s[i].name, sizeof(s[i].name), "m%d", i);
        (void)snprintf(s[i].url, sizeof(s[i].url), "http://127.0.0.1:%d", free_port());
        (void)snprintf(s[i].peer_url, sizeof(s[i].peer_url), "http://127.0.0.1:%d",
                       free_port());
        len += (size_t)snprintf(cluster + len, sizeof(cluster) - len, "%s%s=%s",
                                i > 0 ? "," : "", s[i].name, s[i].peer_url);
    }
    for (int i = 0; rc == 0 && i < n; i++) {
        rc = launch(&s[i], err);
    }
    for (int i = 0; rc == 0 && i < n; i++) {
        rc = wait_ready(&s[i], err);
    }
    return rc;
}

static void wait_for(struct etcd_server *s, int options)
{
    pid_t pid;

    do {
        pid = waitpid(s->pid, NULL, options);
    } while (pid < 0 && errno == EINTR);
}

void etcd_server_pause(struct etcd_server *s)
{
    CHECK(s->pid > 0 && kill(s->pid, SIGSTOP) == 0);
    wait_for(s, WUNTRACED);
}

void etcd_server_resume(struct etcd_server *s)
{
    CHECK(s->pid > 0 && kill(s->pid, SIGCONT) == 0);
}

void etcd_server_kill(struct etcd_server *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        wait_for(s, 0);
        s->pid = 0;
    }
    if (s->notify_fd >= 0) {
        (void)close(s->notify_fd);
        s->notify_fd = -1;
    }
}

int etcd_server_restart(struct etcd_server *s, bool wait_until_ready, struct error *err)
{
    int rc;

    CHECK(s->pid == 0);
    rc = launch(s, err);
    return rc == 0 && wait_until_ready ? wait_ready(s, err) : rc;
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
    return remove(path);
}

void etcd_server_end(struct etcd_server *s)
{
    etcd_server_kill(s);
    if (s->dir[0] != '\0') {
        (void)nftw(s->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
}
