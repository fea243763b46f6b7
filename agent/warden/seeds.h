/* Blanks in which a runtime is up (init_seed.h), for functions that say what theirs is.
 * What is started in one is the request's word; it runs where any function would, with no
 * more right, and before any function is there. */
#ifndef AGENT_WARDEN_SEEDS_H
#define AGENT_WARDEN_SEEDS_H

#include "agent/warden/blanks.h"

#define SEEDS_RECIPES WARDEN_RECIPES

/* A runtime that was asked for. */
struct recipe {
    uint32_t n_argv, n_env, len; /* len 0: free */
    char text[WARDEN_SEED_MAX];
    struct blank_policy policy;
    struct list ready;
    unsigned n_ready, n_making;
    uint64_t bytes; /* of memory that the last of them took; 0: none has been up */
    uint64_t used_ms;
    uint64_t rest_until_ms; /* it did not start */
};

struct seeds {
    struct blanks *blanks;
    struct recipe recipes[SEEDS_RECIPES];
    struct list making; /* the oldest first */
    unsigned n_making, n_making_max;
    unsigned n; /* ready and making */
};

void seeds_init(struct seeds *s, struct blanks *blanks);

/* Notes that one is needed, and gives it if there is one for so much memory; or NULL. If
 * none is up, one that is being made: it has done a part of what a start takes. */
struct sandbox *seeds_take(struct seeds *s, const struct warden_request *r);

/* Its connection has something. */
void seeds_heard(struct seeds *s, struct sandbox *sandbox);

/* It has gone, or is killed: forgets it if it is one of them. */
void seeds_drop(struct seeds *s, struct sandbox *sandbox);

/* Begins one if one is wanted and there is a blank for it, gives back what is not wanted.
 */
void seeds_tend(struct seeds *s);
uint64_t seeds_next_ms(const struct seeds *s); /* when to, at the latest */

void seeds_count(const struct seeds *s, struct warden_seeds ret[SEEDS_RECIPES]);

#endif /* AGENT_WARDEN_SEEDS_H */
