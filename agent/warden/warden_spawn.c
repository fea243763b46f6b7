#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/warden/warden_client.h"

#define WARDEN_FD 3 /* where the warden finds its connection */

static void become_warden(const struct warden_spawn_options *o, int fd)
{
    char fd_text[16], uid_text[16], blanks_text[16];
    sigset_t none;

    (void)snprintf(fd_text, sizeof(fd_text), "%d", WARDEN_FD);
    (void)snprintf(uid_text, sizeof(uid_text), "%u", o->uid_base);
    (void)snprintf(blanks_text, sizeof(blanks_text), "%u", o->blanks);
    if (fd == WARDEN_FD ? 0 : dup2(fd, WARDEN_FD) < 0) {
        _exit(127);
    }
    (void)close_range(WARDEN_FD + 1, ~0u, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execl(o->program, "mayfly-warden", "--fd", fd_text, "--state-dir", o->state_dir,
                "--packages", o->packages, "--cgroup", o->cgroup, "--uid-base", uid_text,
                "--base", o->base, "--blanks", blanks_text, "--log-level", o->log_level,
                "--log-format", o->log_format, (char *)NULL);
    (void)fprintf(stderr, "mayfly-agent: cannot execute %s: %s\n", o->program,
                  strerror(errno));
    _exit(127);
}

int warden_spawn(const struct warden_spawn_options *options, pid_t *ret_pid, int *ret_fd,
                 struct error *err)
{
    int pair[2];
    pid_t pid;

    if (access(options->program, X_OK) < 0) {
        return error_set_errno(err, -errno, "the warden's program %s", options->program);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_set_errno(err, -errno, "connect to the warden");
    }
    pid = fork();
    if (pid == 0) {
        int fd = dup(pair[1]); /* without close-on-exec */

        become_warden(options, fd);
    }
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return error_set_errno(err, -errno, "start the warden");
    }
    *ret_pid = pid;
    *ret_fd = pair[0];
    return 0;
}
