/* A process that is made speaks of itself when it is a blank; the maker has told its pid
 * by then, unless it had no processor to do so. So nobody is woken by the maker's word:
 * it is read when the process speaks, and only if it is late it is waited for. */
#include <sys/epoll.h>

#include "agent/warden/server_private.h"
#include "common/clock.h"

static void listen_to_maker(struct server *sv, int operation, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u64 = WAKE_MAKER};

    (void)epoll_ctl(sv->epoll, operation, sv->host->maker.fd, &e);
}

static void wait_for_maker(struct server *sv)
{
    if (sv->host->maker.n_ordered > 0) {
        listen_to_maker(sv, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT);
    }
}

int server_start_maker(struct server *sv, struct error *err)
{
    struct sandbox_host *h = sv->host;
    int rc = maker_start(&h->maker, h->init_fd, h->filters, &h->cgroups, err);

    if (rc == 0) {
        listen_to_maker(sv, EPOLL_CTL_ADD, 0);
    }
    sv->maker_began_ms = clock_mono_ms();
    return rc;
}

void server_hear_maker(struct server *sv, int wait_ms)
{
    struct maker_reply reply;

    while (maker_hear(&sv->host->maker, &reply, wait_ms) == 0) {
        struct sandbox *s = sandbox_table_find_group(&sv->table, reply.group);

        blanks_ordered(&sv->blanks, &reply);
        if (s != NULL && s->state == SANDBOX_MAKING && s->spoke) {
            server_made(sv, s);
        }
    }
}

void server_maker_spoke(struct server *sv)
{
    server_hear_maker(sv, 0);
    wait_for_maker(sv);
}

void server_spoke(struct server *sv, struct sandbox *s)
{
    s->spoke = true;
    if (s->state == SANDBOX_MAKING) {
        server_made(sv, s);
        return;
    }
    server_hear_maker(sv, 0);
    if (s->state == SANDBOX_ORDERED) {
        wait_for_maker(sv);
    }
}
