/* A one-host cluster: `mayfly dev`.
 *
 *     dev.c         the verb: options, start, stop, what is said
 *     dev_state.c   what is written down about the one that runs; its lock
 *     dev_config.c  folders, ports, token and the daemons' configuration
 *     dev_run.c     the supervisor, in the foreground or detached
 *     dev_clean.c   what a killed one left behind
 *
 * One state folder has one cluster: its supervisor holds a lock on FOLDER/lock as long as
 * it lives, and writes FOLDER/dev.json with the pids and addresses. */
#ifndef CLI_DEV_H
#define CLI_DEV_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "controller/cli/cli.h"
#include "controller/cli/process.h"

#define DEV_DIR_DEFAULT "/var/lib/mayfly-dev"

/* Members "url" and "gateway" of the cluster that runs (its folder: MAYFLY_DEV_DIR or the
 * default one); NULL: none does. */
json_t *dev_endpoints_read(void);

/* --- within dev*.c ------------------------------------------------------------ */

enum dev_port { DEV_GATEWAY, DEV_REST, DEV_HUB, DEV_METRICS, DEV_PORTS };
enum dev_daemon { DEV_CONTROLLER, DEV_AGENT, DEV_DAEMONS };

extern const char *const dev_daemon_names[DEV_DAEMONS];

struct dev {
    struct cli *c;
    char *dir; /* absolute, without links */
    const char *host;
    char cgroup[64];
    bool detach;
    uint64_t ready_ms;
    struct {
        uint16_t port;
        bool given; /* by an option: no other may be taken */
    } ports[DEV_PORTS];
    char *programs[DEV_DAEMONS];
    int lock; /* fd that holds the lock, or -1 */
    uint64_t began_ms;
};

/* What FOLDER/dev.json says. */
struct dev_state {
    struct process supervisor;
    struct process daemons[DEV_DAEMONS];
    bool ready;
    uint16_t ports[DEV_PORTS];
    char host[64]; /* as in a URL, for callers on this host */
};

/* A file or folder in the state folder; malloc'ed or NULL. */
char *dev_path(const char *dir, const char *name);

/* dev.c. Says where the cluster is that runs, and what to do next. */
/* How AWS's tools reach it: said on stderr; a key for them is made the first time. */
void dev_aws(const struct dev *d, const struct dev_state *s);
void dev_announce(const struct dev *d, const struct dev_state *s, bool started);

/* dev_state.c. -ENOENT: there is none. */
int dev_state_read(const char *dir, struct dev_state *ret);
int dev_state_write(const char *dir, const struct dev_state *s, struct error *err);
void dev_state_remove(const char *dir);
/* -EWOULDBLOCK: another holds it for longer than wait_ms. */
int dev_lock(const char *dir, uint64_t wait_ms, int *ret_fd, struct error *err);

/* dev_config.c. The first settles ports and says which others were taken; exit codes. */
int dev_config_ports(struct dev *d);
/* Whether the agent's unprivileged user gets into that folder. */
bool dev_config_is_reachable(const char *dir);
int dev_config_write(const struct dev *d, struct error *err);
void dev_config_remove(const char *dir);
/* "127.0.0.1", "[::1]": how callers on this host reach what listens on host. */
void dev_config_url_host(const char *host, char ret[64]);
/* The control group of that folder's sandboxes. */
void dev_config_cgroup(const char *dir, char ret[64]);

/* dev_run.c. Runs the daemons until a signal; report: fd that gets "ready\n" or a reason,
 * or -1. Exit code. */
int dev_run(struct dev *d, int report);
#define DEV_READY "ready\n"

/* dev_clean.c. Ends processes, removes groups and mounts of that folder's cluster; state
 * may be NULL. 1: there was something, 0: nothing, or -errno. */
int dev_clean(const char *dir, const struct dev_state *state, struct error *err);

#endif /* CLI_DEV_H */
