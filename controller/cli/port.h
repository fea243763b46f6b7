/* TCP ports of this host: which are free, and who has those that are not. */
#ifndef CLI_PORT_H
#define CLI_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* 0: something may listen there; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EINVAL (host is
 * no address). */
int port_try(const char *host, uint16_t port);
/* A free one near to the wanted, that is none of the n taken; 0: there is none. */
uint16_t port_other(const char *host, uint16_t wanted, const uint16_t *taken, size_t n);

struct port_holder {
    pid_t pid; /* 0: it cannot be told */
    char name[256];
};

/* Whether something listens on the port, and who. */
bool port_holder(uint16_t port, struct port_holder *ret);

#endif /* CLI_PORT_H */
