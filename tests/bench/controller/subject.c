#include "subject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPLOYING 64 /* requests at a time, each on its connection */

static const char package[] = "#!/bin/sh\necho hi\n";

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_controller: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint16_t free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        die("a free port");
    }
    (void)close(fd);
    return ntohs(addr.sin_port);
}

static int dial(const struct subject *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(s->rest_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void child(const struct subject *s, const char *program, const char *store,
                  int cpu)
{
    char rest[48], hub[48], dir[96], engine[48];
    cpu_set_t set;
    int quiet;

    (void)snprintf(rest, sizeof(rest), "rest.port=%u", s->rest_port);
    (void)snprintf(hub, sizeof(hub), "hub.port=%u", s->hub_port);
    (void)snprintf(dir, sizeof(dir), "state_dir=%s", s->dir);
    (void)snprintf(engine, sizeof(engine), "store.engine=%s", store);
    if (cpu >= 0) {
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0) {
            die("pin the controller");
        }
    }
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(quiet, STDOUT_FILENO);
    if (getenv("MAYFLY_BENCH_LOG") == NULL) { /* any value: its log is shown */
        (void)dup2(quiet, STDERR_FILENO);
    }
    (void)execl(program, program, "--config", "/dev/null", "--set", rest, "--set", hub,
                "--set", dir, "--set", engine, "--set", "settle=500ms", "--set",
                "hub.heartbeat=4s", "--set", "hub.resume=60s", (char *)NULL);
    die(program);
}

void subject_start(struct subject *s, const char *program, const char *store, int cpu)
{
    struct rlimit files;
    int fd = -1;

    *s = (struct subject){.rest_port = free_port(), .hub_port = free_port()};
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/mayfly-bench-XXXXXX");
    (void)snprintf(s->hub_url, sizeof(s->hub_url), "tcp://127.0.0.1:%u", s->hub_port);
    if (mkdtemp(s->dir) == NULL) {
        die("a state folder");
    }
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    s->pid = fork();
    if (s->pid == 0) {
        child(s, program, store, cpu);
    }
    for (int i = 0; i < 1000 && fd < 0; i++) {
        fd = dial(s);
        if (fd < 0) {
            (void)usleep(20000);
        }
    }
    if (fd < 0) {
        die("the controller does not answer");
    }
    (void)close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void subject_stop(struct subject *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t subject_cpu_us(const struct subject *s)
{
    unsigned long long user, system;
    char path[64], line[1024];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)s->pid);
    f = fopen(path, "re");
    if (f == NULL || fgets(line, sizeof(line), f) == NULL ||
        sscanf(strrchr(line, ')') + 2,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &system) != 2) {
        die(path);
    }
    (void)fclose(f);
    return (user + system) * 1000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t subject_rss_bytes(const struct subject *s)
{
    unsigned long long pages;
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)s->pid);
    f = fopen(path, "re");
    if (f == NULL || fscanf(f, "%*u %llu", &pages) != 1) {
        die(path);
    }
    (void)fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- functions ------------------------------------------------------------------ */

static void put(int fd, const char *path, const char *type, const char *body)
{
    char request[2048];
    int n = snprintf(request, sizeof(request),
                     "PUT %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     path, type, strlen(body), body);

    if (n < 0 || (size_t)n >= sizeof(request) || write(fd, request, (size_t)n) != n) {
        die("send a request");
    }
}

/* To the end of its body, which has a length. */
static void expect_done(int fd)
{
    char reply[8192];
    size_t len = 0, want = SIZE_MAX;

    while (len < want) {
        ssize_t n = read(fd, reply + len, sizeof(reply) - 1 - len);
        const char *end, *length;

        if (n <= 0) {
            die("read a reply");
        }
        len += (size_t)n;
        reply[len] = '\0';
        end = strstr(reply, "\r\n\r\n");
        length = strcasestr(reply, "content-length:");
        if (end != NULL && length != NULL) {
            want = (size_t)(end - reply) + 4 + strtoul(length + 15, NULL, 10);
        }
    }
    if (strncmp(reply, "HTTP/1.1 20", 11) != 0) {
        (void)fprintf(stderr, "%s\n", reply);
        die("the controller refuses");
    }
}

static void digest(char ret[65])
{
    unsigned char sum[32];

    if (EVP_Digest(package, strlen(package), sum, NULL, EVP_sha256(), NULL) != 1) {
        die("SHA-256");
    }
    for (size_t i = 0; i < sizeof(sum); i++) {
        (void)sprintf(ret + 2 * i, "%02x", sum[i]);
    }
}

void subject_deploy(const struct subject *s, unsigned n)
{
    char sum[65], path[160], body[512];
    int fds[DEPLOYING];

    digest(sum);
    for (size_t i = 0; i < DEPLOYING; i++) {
        fds[i] = dial(s);
        if (fds[i] < 0) {
            die("connect to REST");
        }
    }
    (void)snprintf(path, sizeof(path), "/v1/packages/%s?format=file&file_name=run.sh",
                   sum);
    put(fds[0], path, "application/octet-stream", package);
    expect_done(fds[0]);
    (void)snprintf(
        body, sizeof(body),
        "{\"spec\":{\"runtime\":\"exec\",\"handler\":\"run.sh\",\"env\":{\"STAGE\":"
        "\"production\",\"TABLE\":\"orders\"}},\"package\":{\"digest\":\"%s\","
        "\"format\":\"file\",\"file_name\":\"run.sh\"}}",
        sum);
    for (unsigned i = 0; i < n; i += DEPLOYING) {
        unsigned m = n - i < DEPLOYING ? n - i : DEPLOYING;

        for (unsigned j = 0; j < m; j++) {
            (void)snprintf(path, sizeof(path), "/v1/namespaces/default/functions/f%06u",
                           i + j);
            put(fds[j], path, "application/json", body);
        }
        for (unsigned j = 0; j < m; j++) {
            expect_done(fds[j]);
        }
    }
    for (size_t i = 0; i < DEPLOYING; i++) {
        (void)close(fds[i]);
    }
}
