/* The warden's blanks: sandboxes that are made ahead, for whichever function is next. */
#ifndef AGENT_WARDEN_BLANKS_H
#define AGENT_WARDEN_BLANKS_H

#include "agent/warden/blank_policy.h"
#include "agent/warden/parts.h"
#include "agent/warden/sandbox_table.h"

struct blanks {
    struct sandbox_host *host;
    struct sandbox_table *table;
    int epoll;
    struct blank_policy policy;
    struct parts parts;
    struct sandbox_limits limits; /* of the function that was begun last: the next is
                                     often the same, and then they are right already */
    struct list making;           /* ORDERED or MAKING, the oldest first */
    struct list ready;            /* BLANK, likewise */
    unsigned n_making;
    unsigned n_ready;
    uint64_t n_made;
    uint64_t rest_until_ms; /* making failed: none ahead until then */
    uint64_t look_ms;       /* at how much memory is left, next */
    bool is_short;          /* there was too little when it last looked */
};

/* epoll's data for a sandbox's connection and for its memory. */
#define BLANKS_WAKE_CONTROL(group) ((group)*2 + 16)
#define BLANKS_WAKE_OOM(group)     ((group)*2 + 17)

/* -ENOMEM. */
int blanks_init(struct blanks *b, struct sandbox_host *host, struct sandbox_table *table,
                int epoll);
void blanks_free(struct blanks *b); /* the parts; not those in the table */

/* One, or NULL: there is none. The caller's to begin or to kill. */
struct sandbox *blanks_take(struct blanks *b);

/* Orders one. */
int blanks_order(struct blanks *b, struct error *err);

/* The maker has answered. */
void blanks_ordered(struct blanks *b, const struct maker_reply *reply);

/* s->control has something: 0: it is ready, or why it will not be. -EAGAIN: not yet. */
int blanks_heard(struct blanks *b, struct sandbox *s, struct error *err);

/* It has gone, or is killed: forgets it. True: it was of the ones that are made. */
bool blanks_drop(struct blanks *b, struct sandbox *s);

/* Makes one if the policy wants more, with n_wanted of those that are made spoken for;
 * gives those back that are too many. Failing is not told: who needs one hears of it.
 * True: there is more to do. */
bool blanks_tend(struct blanks *b, unsigned n_wanted);
/* When to call that again, though nothing happened; UINT64_MAX: never. That is also when
 * what depends on its policy is to be looked at (seeds.h). */
uint64_t blanks_next_ms(const struct blanks *b);

/* What those that are ready take, by one of them: they are all the same. */
uint64_t blanks_memory(const struct blanks *b);

/* The oldest of those that are made, if it takes too long. */
struct sandbox *blanks_late(const struct blanks *b);

#endif /* AGENT_WARDEN_BLANKS_H */
