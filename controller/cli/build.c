#include "controller/cli/build.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define BUILD_TIMEOUT_MS (30ULL * 60 * 1000)
#define OUTPUT_KEEP      (64U * 1024)

static void become_shell(const char *folder, const char *command, int out)
{
    int null = open("/dev/null", O_RDONLY);

    if (chdir(folder) < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) {
        _exit(126);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* Takes what is there to be read; only the last OUTPUT_KEEP bytes are kept. false: its
 * end. */
static bool take_output(int fd, struct buf *output)
{
    char part[4096];
    ssize_t n = read(fd, part, sizeof(part));

    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (buf_append(output, part, (size_t)n) == 0 && output->len > 2 * OUTPUT_KEEP) {
        buf_consume(output, output->len - OUTPUT_KEEP);
    }
    return true;
}

/* Until the shell ends: what it left running may hold the pipe for longer. */
static int wait_for(int pidfd, int out, struct buf *output, void (*waiting)(void *data),
                    void *data)
{
    uint64_t deadline = clock_mono_ms() + BUILD_TIMEOUT_MS;
    struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN},
                           {.fd = out, .events = POLLIN}};

    while (clock_mono_ms() < deadline) {
        int n = poll(fds, 2, 1000);

        if (fds[1].revents != 0 && !take_output(out, output)) {
            fds[1].fd = -1; /* closed: nothing more to come */
        } else if (n > 0 && fds[0].revents != 0 && fds[1].revents == 0) {
            return 0;
        }
        if (n == 0 && waiting != NULL) {
            waiting(data);
        }
    }
    return -ETIMEDOUT;
}

static int judge(int status, struct error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    return WIFSIGNALED(status)
               ? error_set(err, -ECHILD, "the build command was killed by signal %d (%s)",
                           WTERMSIG(status), strsignal(WTERMSIG(status)))
               : error_set(err, -ECHILD, "the build command ended with status %d",
                           WEXITSTATUS(status));
}

int build_run(const char *folder, const char *command, struct buf *output,
              void (*waiting)(void *data), void *data, struct error *err)
{
    _cleanup_close_ int out = -1, in = -1, pidfd = -1;
    int ends[2], status, rc;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_set_errno(err, -errno, "start the build");
    }
    out = ends[0];
    in = ends[1];
    (void)fcntl(out, F_SETFL, O_NONBLOCK);
    pid = fork();
    if (pid == 0) {
        become_shell(folder, command, in);
    }
    pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    (void)close(steal_fd(&in));
    rc = pidfd >= 0 ? wait_for(pidfd, out, output, waiting, data) : -errno;
    if (pid > 0) {
        if (rc < 0) {
            (void)kill(pid, SIGKILL);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (rc == -ETIMEDOUT) {
        return error_set(err, rc, "the build command did not end within 30 minutes");
    }
    return rc < 0 ? error_set_errno(err, rc, "run the build command")
                  : judge(status, err);
}
