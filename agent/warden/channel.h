/* Messages between the agent and the warden, from the warden's side. */
#ifndef AGENT_WARDEN_CHANNEL_H
#define AGENT_WARDEN_CHANNEL_H

#include "agent/warden/warden_proto.h"

/* 0; -EAGAIN; -ENODATA: the agent has gone; -EPROTO: malformed. */
int channel_receive(int fd, struct warden_request *ret);

/* Blocks while the agent does not read. If it has gone, the next receive says so. */
void channel_send(int fd, const struct warden_reply *reply, const int *fds,
                  unsigned n_fds);

#endif /* AGENT_WARDEN_CHANNEL_H */
