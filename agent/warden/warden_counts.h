/* What the agent knows of the warden's blanks: what it was told, and what it met. Pure.
 */
#ifndef AGENT_WARDEN_COUNTS_H
#define AGENT_WARDEN_COUNTS_H

#include "agent/warden/warden_client.h"
#include "agent/warden/warden_proto.h"

/* A sandbox was given. program: of the runtime that was to be up in it, or "". */
void warden_counts_given(struct warden_blanks *b, const char *program, bool found);

/* An answer of the warden's. */
void warden_counts_told(struct warden_blanks *b, const struct warden_reply *r);

#endif /* AGENT_WARDEN_COUNTS_H */
