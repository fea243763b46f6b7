/* The mark on a call that one agent forwards to another: one header,
 *
 *     X-Mayfly-Forwarded: v2 <node> <request id> <ms left> <ms to wait> <wait|now>
 *                         <caller's address> <signature>
 *
 * signed with HMAC-SHA256 under the cluster's join token over those fields, the method
 * and the target. Only a signed mark is believed (request id, caller's address,
 * deadline). One that is well-formed but signed wrongly does one thing: the call is not
 * forwarded again, so that agents whose tokens differ cannot send a call round in
 * circles, and a client that forges it harms itself alone. Anything else in this header
 * is ignored. A cluster without a token believes every well-formed mark.
 *
 * The reply to a marked call bears the other agent's word, for the first agent alone:
 *
 *     X-Mayfly-Hop: v1 <free slots> <load in thousandths> <done|busy|cannot>
 *
 * busy and cannot: the call has not begun there, and is the first agent's again. Pure. */
#ifndef AGENT_GATEWAY_MARK_H
#define AGENT_GATEWAY_MARK_H

#include <stdint.h>

#include "agent/core/agent_core.h"
#include "common/http/http.h"
#include "common/random.h"
#include "common/spec.h"

#define MARK_HEADER    "X-Mayfly-Forwarded"
#define MARK_PEER_MAX  46 /* an IPv6 address, with NUL */
#define MARK_SIZE      384
#define MARK_LEFT_NONE UINT64_MAX /* no deadline known */

struct mark {
    char node[SPEC_NODE_MAX + 1]; /* that forwards */
    char request_id[RANDOM_UUID_SIZE];
    uint64_t left_ms; /* until the caller's gateway gives up; or MARK_LEFT_NONE */
    uint64_t wait_ms; /* that it may wait for an instance; or MARK_LEFT_NONE */
    bool may_wait;    /* where nothing is free */
    bool only_idle;   /* not where there are instances, but none of them is free */
    char peer[MARK_PEER_MAX];
};

#define MARK_REPLY_HEADER "X-Mayfly-Hop"
#define MARK_REPLY_SIZE   64

struct mark_reply {
    struct hop_room room;
    enum call_verdict verdict;
};

void mark_reply_write(char ret[MARK_REPLY_SIZE], const struct mark_reply *r);
/* 0, or -EINVAL: *ret is as it was. */
int mark_reply_read(struct mark_reply *ret, struct http_str value);

enum mark_trust { MARK_NONE, MARK_UNSIGNED, MARK_TRUSTED };

/* secret NULL: none. -EINVAL: a field does not fit. */
int mark_write(char ret[MARK_SIZE], const struct mark *m, const char *secret,
               struct http_str method, struct http_str target);
/* Fills in *ret only if it is trusted. */
enum mark_trust mark_read(struct mark *ret, struct http_str value, const char *secret,
                          struct http_str method, struct http_str target);

#endif /* AGENT_GATEWAY_MARK_H */
