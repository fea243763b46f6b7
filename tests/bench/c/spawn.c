/* What it takes to start a program, again and again: to its first byte, and to its end.
 *
 *   bench_spawn COUNT [--seconds S] [--pause MS] [--sandbox ROOT] -- PROGRAM [ARG…]
 *
 * --seconds ends it before COUNT, --pause is before each but the first. An argument "{}"
 * becomes a name that no other run has.
 * --sandbox is the floor under every sandbox: clone3 with PID, mount, UTS and IPC
 * namespaces, an overlay over the folder ROOT with its upper layer on a tmpfs,
 * pivot_root, exec: no cgroup, no seccomp, no network namespace, no user. Prints one line
 * of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

#define SCRATCH "/tmp/bench-spawn" /* a mount point, in the child's own mounts only */

static struct histogram first_byte, whole;

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_spawn: %s: %s\n", what, strerror(errno));
    _exit(127);
}

static void enter(const char *root)
{
    char options[4096];

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") < 0 ||
        mkdir(SCRATCH "/upper", 0755) < 0 || mkdir(SCRATCH "/work", 0755) < 0 ||
        mkdir(SCRATCH "/root", 0755) < 0) {
        die("scratch");
    }
    (void)snprintf(options, sizeof(options),
                   "lowerdir=%s,upperdir=" SCRATCH "/upper,workdir=" SCRATCH "/work",
                   root);
    if (mount("overlay", SCRATCH "/root", "overlay", 0, options) < 0) {
        die("overlay");
    }
    if (chdir(SCRATCH "/root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
        die("pivot_root");
    }
}

static pid_t fork_for(const char *root)
{
    struct clone_args args = {.exit_signal = SIGCHLD};

    if (root != NULL) {
        args.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void run_one(char **argv, const char *root)
{
    char byte;
    int fds[2], status;
    bool any = false;
    uint64_t began;
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        die("pipe");
    }
    began = now_ns();
    pid = fork_for(root);
    if (pid == 0) {
        if (root != NULL) {
            enter(root);
        }
        (void)dup2(fds[1], 1);
        (void)execvp(argv[0], argv);
        die(argv[0]);
    }
    if (pid < 0) {
        die("clone");
    }
    (void)close(fds[1]);
    while ((n = read(fds[0], &byte, 1)) > 0) {
        if (!any) {
            histogram_add(&first_byte, now_ns() - began);
            any = true;
        }
    }
    (void)close(fds[0]);
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        (void)fprintf(stderr, "bench_spawn: %s ended with status %#x\n", argv[0], status);
        exit(1);
    }
    histogram_add(&whole, now_ns() - began);
}

struct order {
    unsigned count;
    uint64_t end_ns;
    unsigned pause_ms;
    const char *root;
    char **argv;
};

/* False: it is none. */
static bool order_parse(struct order *o, int argc, char **argv)
{
    static const struct option options[] = {{"sandbox", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"pause", required_argument, NULL, 'p'},
                                            {0}};
    int c;

    *o = (struct order){.end_ns = UINT64_MAX};
    o->count = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    optind = 2;
    while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
        if (c == 'r') {
            o->root = optarg;
        } else if (c == 's') {
            o->end_ns = now_ns() + (uint64_t)(atof(optarg) * 1e9);
        } else if (c == 'p') {
            o->pause_ms = (unsigned)atoi(optarg);
        } else {
            return false;
        }
    }
    o->argv = argv + optind;
    return o->count > 0 && optind < argc && strcmp(argv[optind - 1], "--") == 0;
}

static void pause_for(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
    static char number[32];
    struct order o;
    uint64_t began;
    double seconds;
    unsigned n = 0;

    if (!order_parse(&o, argc, argv)) {
        (void)fprintf(
            stderr,
            "usage: bench_spawn COUNT [--seconds S] [--pause MS] [--sandbox ROOT] "
            "-- PROGRAM [ARG...]\n");
        return 2;
    }
    for (char **arg = o.argv; *arg != NULL; arg++) {
        *arg = strcmp(*arg, "{}") == 0 ? number : *arg;
    }
    (void)mkdir(SCRATCH, 0700);
    began = now_ns();
    for (; n < o.count && now_ns() < o.end_ns; n++) {
        pause_for(n > 0 ? o.pause_ms : 0);
        (void)snprintf(number, sizeof(number), "bench-%d-%u", (int)getpid(), n);
        run_one(o.argv, o.root);
    }
    seconds = (double)(now_ns() - began) / 1e9;
    (void)printf("{\"rate\": %.2f, \"first_byte\": {", n / seconds);
    histogram_print(stdout, &first_byte);
    (void)printf("}, \"whole\": {");
    histogram_print(stdout, &whole);
    (void)printf("}}\n");
    return 0;
}
