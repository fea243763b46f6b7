/* The warden's loop: the agent's requests, its children's deaths, memory running out. */
#ifndef AGENT_WARDEN_SERVER_H
#define AGENT_WARDEN_SERVER_H

#include "agent/warden/sandbox.h"

/* Serves fd until it ends, SIGTERM comes or a message is malformed; then ends every
 * sandbox. Returns 0, or a negative errno with a text. */
int server_run(struct sandbox_host *h, int fd, struct error *err);

#endif /* AGENT_WARDEN_SERVER_H */
