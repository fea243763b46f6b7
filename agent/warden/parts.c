#include "agent/warden/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"

/* What a function leaves charged to its group (files that it was the first to read) would
 * be the next one's. */
#define LEFT_BYTES_MAX (1 << 20)

/* --- network namespaces
 * ----------------------------------------------------------------- */

/* All that the kernel shows of a namespace's network to those in it and counts; and what
 * outlives the socket that made it, without a packet: leases of IPv6 flow labels. */
static const char *const counted[] = {"dev", "snmp", "netstat", "snmp6", "ip6_flowlabel"};

static size_t read_net(const char *file, char *buf, size_t size)
{
    char path[64];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/self/net/%s", file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

    n = fd < 0 ? -1 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* 0: something is missing, or too long. */
static size_t read_counted(char *buf, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        size_t n = read_net(counted[i], buf + len, size - len);

        if (n == 0 || len + n + 1 >= size) {
            return 0;
        }
        len += n;
    }
    return len;
}

/* As the warden's own, in which nothing ever happens: no packet has passed, nothing that
 * was sent failed, no socket is left (one may be on its way between two that are). */
static bool is_unused(const struct parts *p)
{
    static const char none[] = "sockets: used 0\n";
    char text[PARTS_NET_BYTES];

    return read_net("sockstat", text, sizeof(text)) > 0 &&
           strncmp(text, none, sizeof(none) - 1) == 0 &&
           read_counted(text, sizeof(text)) == p->unused_len &&
           memcmp(text, p->unused, p->unused_len) == 0;
}

int parts_init(struct parts *p, unsigned max)
{
    *p = (struct parts){.max = max};
    p->unused_len = read_counted(p->unused, sizeof(p->unused));
    if (max == 0) {
        return 0;
    }
    p->groups = calloc(max, sizeof(*p->groups));
    p->nets = calloc(max, sizeof(*p->nets));
    return p->groups != NULL && p->nets != NULL ? 0 : -ENOMEM;
}

static void keep_net(struct parts *p, const struct sandbox_host *h, struct sandbox *s)
{
    bool unused;

    if (s->net < 0 || p->n_nets >= p->max || p->unused_len == 0 ||
        setns(s->net, CLONE_NEWNET) < 0) {
        return;
    }
    unused = is_unused(p);
    CHECK(setns(h->own_net, CLONE_NEWNET) == 0);
    if (unused) {
        p->nets[p->n_nets++] = steal_fd(&s->net);
    }
}

int parts_net(struct parts *p)
{
    return p->n_nets > 0 ? p->nets[--p->n_nets] : -1;
}

/* --- control groups
 * --------------------------------------------------------------------- */

/* Not one of which the agent may think that it is still there to be frozen. */
static bool keep_group(struct parts *p, const struct sandbox_host *h, struct sandbox *s,
                       const struct cgroup_usage *usage)
{
    if (!s->released || s->oom < 0 || p->n_groups >= p->max ||
        usage->memory_bytes > LEFT_BYTES_MAX || usage->pids > 0 ||
        cgroup_renew(&h->cgroups, s->group) < 0) {
        return false;
    }
    p->groups[p->n_groups++] = (struct part_group){
        .number = s->group,
        .limits = s->limits.cgroup,
        .oom = steal_fd(&s->oom),
        .oom_kills = usage->oom_kills,
    };
    return true;
}

bool parts_group(struct parts *p, struct part_group *ret)
{
    if (p->n_groups == 0) {
        return false;
    }
    *ret = p->groups[--p->n_groups];
    return true;
}

bool parts_keep(struct parts *p, const struct sandbox_host *h, struct sandbox *s,
                const struct cgroup_usage *usage)
{
    if (p->max == 0) {
        return false;
    }
    keep_net(p, h, s);
    return keep_group(p, h, s, usage);
}

bool parts_trim(struct parts *p, const struct cgroup_root *cgroups, unsigned max)
{
    struct part_group group;

    if (p->n_groups > max && parts_group(p, &group)) {
        (void)close(group.oom);
        (void)cgroup_remove(cgroups, group.number);
    }
    if (p->n_nets > max) {
        (void)close(parts_net(p));
    }
    return p->n_groups > max || p->n_nets > max;
}

void parts_free(struct parts *p, const struct cgroup_root *cgroups)
{
    while (parts_trim(p, cgroups, 0)) {
    }
    free(p->groups);
    free(p->nets);
    *p = (struct parts){0};
}
