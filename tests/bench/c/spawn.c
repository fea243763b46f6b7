/* What it takes to start a program, again and again: to its first byte, and to its end.
 *
 *   bench_spawn COUNT [--sandbox ROOT] [--pause MS] -- PROGRAM [ARG…]
 *
 * An argument "{}" becomes a name that no other run has. --sandbox is the floor under
 * every sandbox: clone3 with PID, mount, UTS and IPC namespaces, an overlay over the
 * folder ROOT with its upper layer on a tmpfs, pivot_root, exec: no cgroup, no seccomp,
 * no network namespace, no user. --pause: before each but the first. Prints one line of
 * JSON. */
#include <errno.h>
#include <fcntl.h>
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

static void pause_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
    static char number[32];
    const char *root = NULL;
    unsigned count, pause = 0;
    int at = 2;

    count = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    if (argc > 3 && strcmp(argv[at], "--sandbox") == 0) {
        root = argv[at + 1];
        at += 2;
    }
    if (argc > at + 1 && strcmp(argv[at], "--pause") == 0) {
        pause = (unsigned)atoi(argv[at + 1]);
        at += 2;
    }
    if (count == 0 || at + 1 >= argc || strcmp(argv[at], "--") != 0) {
        (void)fprintf(stderr,
                      "usage: bench_spawn COUNT [--sandbox ROOT] [--pause MS] -- PROGRAM "
                      "[ARG...]\n");
        return 2;
    }
    for (int i = at + 1; i < argc; i++) {
        if (strcmp(argv[i], "{}") == 0) {
            argv[i] = number;
        }
    }
    (void)mkdir(SCRATCH, 0700);
    for (unsigned i = 0; i < count; i++) {
        pause_ms(i > 0 ? pause : 0);
        (void)snprintf(number, sizeof(number), "bench-%d-%u", (int)getpid(), i);
        run_one(argv + at + 1, root);
    }
    (void)printf("{\"first_byte\": {");
    histogram_print(stdout, &first_byte);
    (void)printf("}, \"whole\": {");
    histogram_print(stdout, &whole);
    (void)printf("}}\n");
    return 0;
}
