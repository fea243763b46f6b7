/* Scheduler: which versions run with which grants, and what nodes are told. It compares
 * what a function should have with what it has; whoever changes something that matters
 * touches the function, and scheduler_run() looks at the touched ones only.
 *
 * While a version is deployed two exist: the serving one, and the candidate that must
 * prove itself. Each is granted its max_scale: for that time the function may have twice
 * as many instances, so that calls find the new version warm when it takes over. So is
 * each version that calls may name: published ones, those that an alias names, one that
 * is rolled out, and for a while the one that served before. */
#ifndef CONTROLLER_CORE_SCHEDULER_H
#define CONTROLLER_CORE_SCHEDULER_H

#include "controller/core/core_private.h"

void scheduler_init(struct controller_core *c);
void scheduler_init_function(struct core_function *f);
void scheduler_free(struct controller_core *c); /* all grants */

/* Takes it off the scheduler's lists. */
void scheduler_forget(struct controller_core *c, struct core_function *f);

void scheduler_touch(struct controller_core *c, struct core_function *f);
void scheduler_run(struct controller_core *c);

/* The epoch is taken: listen first, if there is anything that nodes may be running. */
void scheduler_begin(struct controller_core *c);

/* The node must be placed anew: it came with more or less memory, or it is lost. */
void scheduler_node_came(struct controller_core *c, struct core_node *n);
void scheduler_node_gone(struct controller_core *c, struct core_node *n);
/* It drains: what it has shall be elsewhere first (target_leave.h). */
void scheduler_node_drains(struct controller_core *c, struct core_node *n);
/* While settling: it will say anew what it has; what it said before does not count. */
void scheduler_node_claims(struct controller_core *c, struct core_node *n);
/* While settling: the node goes on with a grant of an earlier controller. */
void scheduler_adopt(struct controller_core *c, struct core_node *n,
                     struct core_function *f, uint64_t version, uint32_t max,
                     uint32_t warm, uint32_t reserved);

/* A node says whether the version's first instance became ready. */
void scheduler_proof(struct controller_core *c, struct core_node *n,
                     struct core_function *f, uint64_t version, bool ready,
                     enum cause cause, const char *text);
/* Outcomes that are not in the store yet are written now. */
void scheduler_store_up(struct controller_core *c);
/* The attempt to write the outcome is over; the record shows whether it worked. */
void scheduler_decided(struct controller_core *c, struct core_function *f, bool done);

/* Tells one node what all were told last. */
void scheduler_send(struct controller_core *c, const char *node, struct core_function *f);
void scheduler_invariant(const struct controller_core *c);

#endif /* CONTROLLER_CORE_SCHEDULER_H */
