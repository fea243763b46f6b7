/* Holds: what nodes may have of a version with a limit, whatever they shall have.
 *
 *   shall have less ──▶ told so ──▶ it says that it knows, and has no more ──▶ free:
 * others (each instance that goes counts at once)   are told of theirs
 *
 * A limit (max_scale, reserved) holds as a sum over the nodes at every moment, and not
 * only once all have heard the latest word. So a grant has two numbers: `max`, what was
 * decided, and `told`, what its node may be told now. What is taken from one node is told
 * at once; what another gets for it waits until the first has said, in a report that
 * names the function's revision (version_load.revision), that it has no more than it
 * should. Without anything taken away nothing waits.
 *
 * A node that is lost holds nothing: what it runs while it is cut off is what the
 * partition lets it run (docs/operations.md). When it comes back, what it says that it
 * has counts again. Agents that cannot confirm (node_hello.confirms) hold nothing either.
 */
#ifndef CONTROLLER_CORE_HOLDS_H
#define CONTROLLER_CORE_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/desired.h"
#include "common/list.h"

struct controller_core;
struct core_body;
struct core_function;
struct core_grant;
struct core_node;
struct core_target;

/* Embedded in a grant, whose end it may outlive: then it is the grant's memory's owner.
 */
struct core_hold {
    struct list of_function; /* core_function.holds, if the version has a limit */
    struct list of_node;     /* core_node.holds, likewise */
    struct core_function *f;
    struct core_node *node;
    uint64_t version;
    struct core_grant *grant; /* NULL: it has ended */
    uint32_t told;            /* the node was told, or will be at once */
    uint32_t most;            /* above told: it may still have so many; else 0 */
    uint64_t revision;        /* of most: what it says with this or a later one counts */
};

/* --- from targets ------------------------------------------------------------------- */

void holds_begin(struct core_grant *g); /* it is linked, and told nothing of yet */
void holds_end(struct core_grant *g);   /* it is unlinked: frees it, now or later */
/* An earlier controller has told the node of it. */
void holds_adopt(struct core_grant *g, uint32_t told);
uint32_t holds_told(const struct core_grant *g);

/* --- from follow -------------------------------------------------------------------- */

/* The target's limit (core_target.most) has been looked up: it may have come, or gone. */
void holds_limit(struct core_target *t);

/* --- from publish ------------------------------------------------------------------- */

/* Sets what may be told now. */
void holds_open(struct core_target *t);
/* All nodes were sent what there is, by f->revision_all. */
void holds_said(struct core_function *f);
/* Nodes without a grant of the target's that have to say that they have none: h NULL is
 * the first; NULL: no more. */
const struct core_hold *holds_next(const struct core_target *t,
                                   const struct core_hold *h);

/* --- from nodes --------------------------------------------------------------------- */

/* The node has said what it has; full: as after a time without a word. */
void holds_heard(struct controller_core *c, struct core_node *n, struct core_function *f,
                 const struct version_load *v, bool full);
/* It is in a new life: nothing of the one before is left. */
void holds_reborn(struct controller_core *c, struct core_node *n);
/* It is lost, without grants by now. */
void holds_lost(struct controller_core *c, struct core_node *n);

/* The function is gone, without grants by now; or (number not 0) one version of it. */
void holds_forget(struct core_function *f, uint64_t number);

void holds_invariant(const struct core_target *t);

#endif /* CONTROLLER_CORE_HOLDS_H */
