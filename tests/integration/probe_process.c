/* Attempts at system calls, namespaces, other processes and the network. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/probe.h"
#include "tests/integration/probe_calls.h"

static int of(long rc)
{
    return rc < 0 ? errno : 0;
}

/* --- system calls ------------------------------------------------------------- */

static const struct {
    const char *name;
    long number;
} calls[] = {
#define CALL(name, error) {#name, SYS_##name},
    PROBE_CALLS(CALL) PROBE_CALLS_HERE(CALL)
#undef CALL
};

static int call(const char *arg)
{
    /* Flags that are wrong but for personality, where they ask for a layout without
     * randomness. */
    return of(syscall(strtol(arg, NULL, 10), 0x0040000L, 0L, 0L, 0L, 0L, 0L));
}

static void run_calls(char **args)
{
    char number[24];

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        (void)snprintf(number, sizeof(number), "%ld", calls[i].number);
        probe_try(calls[i].name, call, number);
    }
}

#ifdef __x86_64__
static int call_i386(const char *arg)
{
    long result = 20; /* getpid */

    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result < 0 ? (int)-result : 0;
}

static int call_x32(const char *arg)
{
    return of(syscall(0x40000000L | SYS_getpid));
}
#endif

static void run_foreign(char **args)
{
#ifdef __x86_64__
    probe_try("i386", call_i386, NULL);
    probe_try("x32", call_x32, NULL);
#endif
}

/* --- who it is ---------------------------------------------------------------- */

static void print_lines(const char *path, const char *const *keys)
{
    FILE *f = fopen(path, "r");
    char line[512];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        for (const char *const *k = keys; *k != NULL; k++) {
            if (strncmp(line, *k, strlen(*k)) == 0) {
                (void)fputs(line, stdout);
            }
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static void run_status(char **args)
{
    static const char *const keys[] = {"Uid:",  "Gid:",     "Groups:", "Cap",
                                       "NoNew", "Seccomp:", NULL};

    print_lines("/proc/self/status", keys);
}

static void run_identity(char **args)
{
    struct utsname name;

    (void)uname(&name);
    (void)printf("uid %d %d gid %d %d host %s sid %d\n", (int)getuid(), (int)geteuid(),
                 (int)getgid(), (int)getegid(), name.nodename, (int)getsid(0));
}

static void run_namespaces(char **args)
{
    static const char *const kinds[] = {"cgroup", "ipc",  "mnt", "net",
                                        "pid",    "user", "uts"};
    char path[64], link[64];

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        n = readlink(path, link, sizeof(link) - 1);
        link[n < 0 ? 0 : n] = '\0';
        (void)printf("%s\n", link);
    }
}

/* --- new namespaces ----------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned long flag;
} kinds[] = {
    {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mnt", CLONE_NEWNS},
    {"net", CLONE_NEWNET},       {"pid", CLONE_NEWPID}, {"user", CLONE_NEWUSER},
    {"uts", CLONE_NEWUTS},       {"time", 0x80},
};

static int try_unshare(const char *arg)
{
    return of(unshare((int)strtol(arg, NULL, 10)));
}

static int try_clone(const char *arg)
{
    long pid = syscall(SYS_clone, strtoul(arg, NULL, 10) | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0) {
        _exit(0);
    }
    return of(pid);
}

static int try_setns(const char *arg)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", arg);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : of(setns(fd, 0));
}

static void run_new_namespaces(char **args)
{
    char name[32], flag[24];

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        (void)snprintf(flag, sizeof(flag), "%lu", kinds[i].flag);
        (void)snprintf(name, sizeof(name), "unshare-%s", kinds[i].name);
        probe_try(name, try_unshare, flag);
        if (kinds[i].flag > 0xff) { /* lower ones are clone(2)'s signal */
            (void)snprintf(name, sizeof(name), "clone-%s", kinds[i].name);
            probe_try(name, try_clone, flag);
        }
        (void)snprintf(name, sizeof(name), "setns-%s", kinds[i].name);
        probe_try(name, try_setns, kinds[i].name);
    }
}

/* --- other processes ---------------------------------------------------------- */

static void run_pids(char **args)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9') {
            (void)printf("%s\n", e->d_name);
        }
    }
}

static int trace(const char *arg)
{
    return of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int read_memory(const char *arg)
{
    char path[48], byte;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%s/mem", arg);
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? errno : of(read(fd, &byte, 1));
}

static void run_processes(char **args)
{
    probe_try("ptrace", trace, NULL);
    probe_try("memory-of-init", read_memory, "1");
}

/* Itself: an attempt of its own would take the probe with it. */
static void run_kill_all(char **args)
{
    (void)printf("kill-all %s\n", kill(-1, SIGKILL) == 0 ? "ok" : strerrorname_np(errno));
}

static int steal_terminal(const char *arg)
{
    return of(ioctl(0, (unsigned long)strtol(arg, NULL, 0), "x"));
}

static int open_terminal(const char *arg)
{
    int fd = open(arg, O_RDWR | O_CLOEXEC);

    return fd < 0 ? errno : 0;
}

static void run_terminal(char **args)
{
    probe_try("TIOCSTI", steal_terminal, "0x5412");
    probe_try("TIOCLINUX", steal_terminal, "0x541c");
    probe_try("TIOCSETD", steal_terminal, "0x5423");
    probe_try("/dev/tty", open_terminal, "/dev/tty");
    probe_try("/dev/console", open_terminal, "/dev/console");
    probe_try("/dev/ptmx", open_terminal, "/dev/ptmx");
}

/* --- what one may share with others --------------------------------------------- */

#define SHARED_KEY 0x6d617966

static int make_shm(const char *arg)
{
    return of(shmget(SHARED_KEY, 4096, IPC_CREAT | 0666));
}

static int find_shm(const char *arg)
{
    return of(shmget(SHARED_KEY, 4096, 0));
}

static int make_file(const char *arg)
{
    int fd = open(arg, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);

    return fd < 0 ? errno : of(write(fd, "x", 1));
}

static int find_file(const char *arg)
{
    return of(access(arg, F_OK));
}

static int make_queue(const char *arg)
{
    return of(mq_open("/mayfly", O_CREAT | O_RDWR, 0666, NULL));
}

static struct sockaddr_un abstract(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    (void)memcpy(a.sun_path, "\0mayfly-probe", 13);
    return a;
}

static int find_socket(const char *arg)
{
    struct sockaddr_un a = abstract();

    return of(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)));
}

/* Leaves one of everything, says so and stays. */
static void run_leave(char **args)
{
    struct sockaddr_un a = abstract();
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    probe_try("shm", make_shm, NULL);
    probe_try("mqueue", make_queue, NULL);
    probe_try("/tmp", make_file, "/tmp/left");
    probe_try("/dev/shm", make_file, "/dev/shm/left");
    (void)printf("socket %s\n",
                 bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 1) == 0
                     ? "ok"
                     : strerrorname_np(errno));
    (void)printf("staying\n");
    (void)sleep(1000);
}

static void run_find(char **args)
{
    probe_try("shm", find_shm, NULL);
    probe_try("/tmp", find_file, "/tmp/left");
    probe_try("/dev/shm", find_file, "/dev/shm/left");
    probe_try("socket", find_socket, NULL);
}

/* --- network ------------------------------------------------------------------ */

static int try_family(const char *arg)
{
    return of(socket((int)strtol(arg, NULL, 10), SOCK_DGRAM, 0));
}

static int try_type(const char *arg)
{
    int family, type, protocol;

    if (sscanf(arg, "%d %d %d", &family, &type, &protocol) != 3) {
        return EDOM;
    }
    return of(socket(family, type, protocol));
}

static void run_sockets(char **args)
{
    char number[16], name[32];

    for (int family = 0; family < 50; family++) {
        (void)snprintf(number, sizeof(number), "%d", family);
        (void)snprintf(name, sizeof(name), "family-%d", family);
        probe_try(name, try_family, number);
    }
    probe_try("raw", try_type, "2 3 6");
    probe_try("raw-ipv6", try_type, "10 3 58");
    probe_try("packet-of-old", try_type, "2 10 3");
    probe_try("sctp", try_type, "2 1 132");
    probe_try("sctp-seqpacket", try_type, "10 5 0");
    probe_try("dccp", try_type, "2 6 33");
    probe_try("mptcp", try_type, "2 1 262");
    probe_try("udplite", try_type, "2 2 136");
    probe_try("tcp", try_type, "2 1 6");
    probe_try("udp-ipv6", try_type, "10 2 17");
}

/* "ADDRESS,PORT", TCP; an address with a colon is IPv6. */
static int try_connect(const char *arg)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char address[64];
    unsigned port;

    if (sscanf(arg, "%63[^,],%u", address, &port) != 2) {
        return EDOM;
    }
    if (strchr(address, ':') == NULL) {
        v4.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
            return EDOM;
        }
        return of(
            connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&v4, sizeof(v4)));
    }
    v6.sin6_port = htons((uint16_t)port);
    v6.sin6_scope_id = if_nametoindex("lo");
    if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
        return EDOM;
    }
    return of(
        connect(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&v6, sizeof(v6)));
}

/* UDP would not say that nobody listens, but it says that there is no way. */
static int try_datagram(const char *arg)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};

    if (inet_pton(AF_INET, arg, &v4.sin_addr) != 1) {
        return EDOM;
    }
    return of(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&v4,
                     sizeof(v4)));
}

static int try_bind(const char *arg)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(8080)};

    (void)inet_pton(AF_INET, arg, &v4.sin_addr);
    return of(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&v4, sizeof(v4)));
}

static int add_address(const char *arg)
{
    struct ifreq r = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    (void)inet_pton(AF_INET, arg, &v4.sin_addr);
    (void)strcpy(r.ifr_name, "lo");
    memcpy(&r.ifr_addr, &v4, sizeof(v4));
    return of(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFADDR, &r));
}

static int be_transparent(const char *arg)
{
    int one = 1;

    return of(setsockopt(socket(AF_INET, SOCK_STREAM, 0), IPPROTO_IP, IP_TRANSPARENT,
                         &one, sizeof(one)));
}

static void run_connect(char **args)
{
    for (; *args != NULL; args++) {
        probe_try(*args, try_connect, *args);
    }
}

static void run_network(char **args)
{
    FILE *f = fopen("/proc/net/dev", "r");
    char line[256], name[32];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, " %31[^: |]:", name) == 1 && strchr(line, ':') != NULL) {
            (void)printf("interface %s\n", name);
        }
    }
    probe_try("dns", try_datagram, "8.8.8.8");
    probe_try("dns-metadata", try_datagram, "169.254.169.253");
    probe_try("bind-other", try_bind, "10.1.2.3");
    probe_try("add-address", add_address, "10.1.2.3");
    probe_try("transparent", be_transparent, NULL);
}

const struct probe_group probe_process_groups[] = {
    {"calls", run_calls},
    {"foreign", run_foreign},
    {"status", run_status},
    {"identity", run_identity},
    {"namespaces", run_namespaces},
    {"new-namespaces", run_new_namespaces},
    {"pids", run_pids},
    {"processes", run_processes},
    {"kill-all", run_kill_all},
    {"terminal", run_terminal},
    {"leave", run_leave},
    {"find", run_find},
    {"sockets", run_sockets},
    {"connect", run_connect},
    {"network", run_network},
    {NULL, NULL},
};
