/* Messages between the agent and the warden, from the warden's side. */
#ifndef AGENT_WARDEN_CHANNEL_H
#define AGENT_WARDEN_CHANNEL_H

#include "agent/warden/warden_proto.h"

/* 0; -EAGAIN; -ENODATA: the agent has gone; -EPROTO: malformed.
 * Descriptors that come along are dropped. */
int channel_receive(int fd, struct warden_request *ret);

/* Blocks while the agent does not read, at most ten seconds: -ETIMEDOUT. Nothing may be
 * left out, so any failure means that the connection is over. */
int channel_send(int fd, const struct warden_reply *reply, const int *fds,
                 unsigned n_fds);

#endif /* AGENT_WARDEN_CHANNEL_H */
