/* The books: what a target's grants keep of their nodes' memory and CPU. Part of targets.
 */
#ifndef CONTROLLER_CORE_TARGET_BOOKS_H
#define CONTROLLER_CORE_TARGET_BOOKS_H

#include "controller/core/core_private.h"

/* A new grant, of nothing yet: target_book() says of what. */
void target_link_grant(struct core_target *t, struct core_node *n, struct core_grant *g);
void target_drop_grant(struct core_grant *g);
void target_drop_grants(struct core_target *t); /* all of them */
/* Of a node's memory and CPU. */
struct target_booking {
    uint64_t bytes, millis;
};
/* What its node keeps for it: warm or reserved, running or not; and of it, for warm ones.
 */
struct target_booking target_firm(const struct core_grant *g);
struct target_booking target_warm(const struct core_grant *g);
/* What it adds to its node's books: less, if it shares with the function's other version.
 */
struct target_booking target_booked(const struct core_grant *g);
/* Both of them. */
struct target_booking target_booked_together(const struct core_grant *g);
/* Changes the grant, and its node's books with it. */
void target_book(struct core_grant *g, uint32_t max, uint32_t warm, uint32_t reserved);
/* The function's other version of the two that may share a reservation, the serving one
 * and the candidate; NULL: there is none. */
struct core_target *target_partner(const struct core_target *t);
/* Before the function's targets change their parts, and after it: what they share depends
 * on those. In between no grant may change. */
void target_books_close(struct core_function *f);
void target_books_open(struct core_function *f);
/* For one that has no part any more: its grants stand alone, and can be dropped. */
void target_books_leave(struct core_target *t);
/* The grant of the function's other version on the same node, if the two share what they
 * book there (one of them is reserved), or NULL. */
struct core_grant *target_sibling(const struct core_grant *g);

#endif /* CONTROLLER_CORE_TARGET_BOOKS_H */
