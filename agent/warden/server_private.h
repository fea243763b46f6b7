/* What the parts of the warden's server share: server.c (the loop, ends, memory),
 * server_maker.c, and server_create.c (a function's sandbox from the request to the
 * answer). */
#ifndef AGENT_WARDEN_SERVER_PRIVATE_H
#define AGENT_WARDEN_SERVER_PRIVATE_H

#include "agent/warden/blanks.h"
#include "agent/warden/channel.h"
#include "agent/warden/seeds.h"
#include "agent/warden/server.h"
#include "agent/warden/warden_proto.h"

/* epoll's data: what woke us; sandboxes' are in blanks.h. */
#define WAKE_AGENT  0
#define WAKE_SIGNAL 1
#define WAKE_MAKER  2

struct server {
    struct sandbox_host *host;
    int fd;
    int epoll;
    int signals;
    struct sandbox_table table;
    struct blanks blanks;
    struct seeds seeds;
    struct list waiting; /* requests for a sandbox, until one is made */
    unsigned n_waiting;
    struct list oom;         /* sandboxes whose kill by the kernel is awaited */
    uint64_t maker_began_ms; /* when it was started */
    bool ending;
    int broken; /* what made the connection end, or 0 */
};

/* A request that waits for a sandbox to be made. */
struct waiting {
    struct list link;
    struct warden_request request;
};

/* server.c */
void server_say(struct server *sv, const struct warden_reply *reply, const int *fds,
                unsigned n_fds);

/* server_maker.c: the maker's word of a new process, and the process's own. */
int server_start_maker(struct server *sv, struct error *err);
void server_hear_maker(struct server *sv, int wait_ms); /* all that it has said */
void server_maker_spoke(struct server *sv);
void server_spoke(struct server *sv, struct sandbox *s); /* one that is made */

/* server_create.c */
void server_create(struct server *sv, const struct warden_request *r);
/* Nobody wants it any more: if it still waits it is refused. Else one would be made for
 * it, and those who still wait would wait for that. */
void server_cancel(struct server *sv, uint64_t id);
void server_put_blanks(const struct server *sv, struct warden_reply *reply);
void server_made(struct server *sv, struct sandbox *s); /* its connection has something */
/* One that is made died, or takes too long. err: why. */
void server_not_made(struct server *sv, const struct error *err);
void server_forget_waiting(struct server *sv);

#endif /* AGENT_WARDEN_SERVER_PRIVATE_H */
