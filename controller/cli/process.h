/* Processes that outlive whoever notes them down: a pid alone may by then be another's,
 * so it is kept together with the time the process began. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid;      /* 0: none */
    uint64_t start; /* clock ticks since the host's start, as in /proc/PID/stat */
};

/* The process that has that pid now; .pid is 0 if there is none (or only its remains). */
struct process process_of(pid_t pid);
bool process_is_alive(const struct process *p);

/* SIGTERM, then SIGKILL if it lives on after grace_ms (0: SIGKILL at once); waits for its
 * end. 0 also if it was gone; -EPERM; -ETIMEDOUT: it cannot be ended. Never hits another
 * process that got the pid meanwhile. */
int process_end(const struct process *p, uint64_t grace_ms);

/* Calls found() for every process: name is the last part of its argv[0]. */
void process_each(void (*found)(void *data, const struct process *p, const char *name,
                                char *const *argv),
                  void *data);
/* "nginx" of pid; "?" */
void process_name(pid_t pid, char ret[NAME_MAX + 1]);

#endif /* CLI_PROCESS_H */
