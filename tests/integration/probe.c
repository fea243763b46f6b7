#include "tests/integration/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void probe_try(const char *name, probe_attempt attempt, const char *arg)
{
    int ends[2], result = -1, status = 0;
    const char *text;
    pid_t pid;

    if (pipe(ends) < 0 || (pid = fork()) < 0) {
        (void)printf("%s not tried: %s\n", name, strerror(errno));
        return;
    }
    if (pid == 0) {
        (void)alarm(10);
        result = attempt(arg);
        _exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
    }
    (void)close(ends[1]);
    (void)!read(ends[0], &result, sizeof(result));
    (void)close(ends[0]);
    (void)waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
        (void)printf("%s SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
        return;
    }
    text = result == 0 ? "ok" : strerrorname_np(result);
    (void)printf("%s %s\n", name, text != NULL ? text : "?");
}

static bool run_in(const struct probe_group *groups, char **args)
{
    for (; groups->name != NULL; groups++) {
        if (strcmp(groups->name, args[0]) == 0) {
            groups->run(args + 1);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 &&
        (run_in(probe_process_groups, argv + 1) || run_in(probe_file_groups, argv + 1) ||
         run_in(probe_resource_groups, argv + 1))) {
        return 0;
    }
    (void)fprintf(stderr, "probe: no such group\n");
    return 2;
}
