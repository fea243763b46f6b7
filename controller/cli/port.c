#include "controller/cli/port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/process.h"

#define STATE_LISTEN 0x0a /* in /proc/net/tcp */

static int make_address(const char *host, uint16_t port, struct sockaddr_storage *ret,
                        socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_len = sizeof(*v4);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *ret_len = sizeof(*v6);
        return 0;
    }
    return -EINVAL;
}

int port_try(const char *host, uint16_t port)
{
    _cleanup_close_ int fd = -1;
    struct sockaddr_storage address;
    socklen_t len;
    int on = 1;

    if (make_address(host, port, &address, &len) < 0) {
        return -EINVAL;
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    /* As the daemons do: what lingers of closed connections is no hindrance. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0) {
        return -errno;
    }
    return 0;
}

uint16_t port_other(const char *host, uint16_t wanted, const uint16_t *taken, size_t n)
{
    /* 8080 → 18080, 28080 …: easy to remember; then whatever follows. */
    for (uint32_t step = 10000; step >= 1; step = step == 10000 ? 1 : 0) {
        for (uint32_t i = 1; i <= 100; i++) {
            uint32_t port = wanted + i * step;
            bool is_taken = port > UINT16_MAX;

            for (size_t k = 0; k < n && !is_taken; k++) {
                is_taken = taken[k] == port;
            }
            if (!is_taken && port_try(host, (uint16_t)port) == 0) {
                return (uint16_t)port;
            }
        }
    }
    return 0;
}

/* The inode of a socket that listens on the port, in one of the kernel's tables. */
static unsigned long listener_in(const char *table, uint16_t port)
{
    _cleanup_fclose_ FILE *f = fopen(table, "re");
    char line[512];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        unsigned local_port, state;
        unsigned long inode;

        /* sl local rem st tx:rx tr:when retrnsmt uid timeout inode */
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu",
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == STATE_LISTEN) {
            return inode;
        }
    }
    return 0;
}

static bool has_socket(pid_t pid, const char *link)
{
    char path[64];
    _cleanup_closedir_ DIR *dir = NULL;
    struct dirent *e;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char target[64];
        ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

        if (len > 0) {
            target[len] = '\0';
            if (strcmp(target, link) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool port_holder(uint16_t port, struct port_holder *ret)
{
    unsigned long inode = listener_in("/proc/self/net/tcp", port);
    _cleanup_closedir_ DIR *dir = NULL;
    struct dirent *e;
    char link[64];

    *ret = (struct port_holder){.name = "another program"};
    inode = inode != 0 ? inode : listener_in("/proc/self/net/tcp6", port);
    if (inode == 0) {
        return false;
    }
    (void)snprintf(link, sizeof(link), "socket:[%lu]", inode);
    dir = opendir("/proc");
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)atoi(e->d_name);

        if (pid > 0 && has_socket(pid, link)) {
            ret->pid = pid;
            process_name(pid, ret->name);
            break;
        }
    }
    return true;
}
