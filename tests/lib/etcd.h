/* A real etcd for tests: one or more members on free loopback ports, with data in a
 * folder under /tmp. It dies with the test process. Every wait has a deadline. */
#ifndef TESTS_LIB_ETCD_H
#define TESTS_LIB_ETCD_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

struct etcd_server {
    pid_t pid; /* 0: not running */
    char dir[64];
    char url[48];      /* of clients, also while it is not running */
    char peer_url[48]; /* of other members */
    char name[16];
    int notify_fd;
};

/* False (and say why the test is skipped) if there is no etcd on this machine. */
bool etcd_server_available(void);

/* Starts n members that know each other and waits until all serve. */
int etcd_servers_start(struct etcd_server *s, int n, struct error *err);

void etcd_server_pause(struct etcd_server *s);  /* SIGSTOP, returns when it has stopped */
void etcd_server_resume(struct etcd_server *s); /* SIGCONT */
void etcd_server_kill(struct etcd_server *s);   /* SIGKILL, and waits for its end */
/* After a kill: same ports, same data. Waits until it serves, if wanted. */
int etcd_server_restart(struct etcd_server *s, bool wait_until_ready, struct error *err);

/* Kills it and removes its folder. */
void etcd_server_end(struct etcd_server *s);

#endif /* TESTS_LIB_ETCD_H */
