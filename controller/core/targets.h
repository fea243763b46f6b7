/* Targets: versions that shall run, their grants, and a candidate's way to its proof.
 *
 *   placed on a node with one instance kept ready
 *      ├─ it reports ready ──────────────▶ READY
 *      ├─ it reports a cause of the version's own ▶ FAILED
 *      ├─ it cannot (no room, lost, silent) ─▶ another node; when all were tried a pause,
 *      │                                     then all again
 *      └─ no node has room ─▶ waits for one
 *
 * Room may come: a node that is full, cordoned, draining or lost could have it one day.
 * For that it waits until the progress deadline (an option); without such a node, or
 * where nodes fail for another reason than room, TARGET_HOPELESS_MS ─▶ FAILED. */
#ifndef CONTROLLER_CORE_TARGETS_H
#define CONTROLLER_CORE_TARGETS_H

#include "controller/core/core_private.h"
#include "controller/core/target_books.h"

#define TARGET_HOPELESS_MS 10000 /* without hope for a place it fails after this */
#define TARGET_TRIED_MAX   32    /* nodes that a candidate is tried on in a round */

enum target_outcome {
    TARGET_MET,       /* has all that it wants, or is to have nothing */
    TARGET_SHORT,     /* not all: another node may help */
    TARGET_NO_MEMORY, /* of the controller's: grants are as they were */
};

struct core_target *target_new(struct core_function *f, uint64_t number);
/* All of a function's, each once: serving, candidate, others. t NULL: the first. */
struct core_target *target_next(const struct core_function *f,
                                const struct core_target *t);
void target_free(struct core_target *t); /* gives its grants back */
void target_set_body(struct core_target *t, const struct core_body *b);
int target_adopt(struct core_target *t, struct core_node *n, uint32_t max, uint32_t warm,
                 uint32_t reserved);

/* Gives it its grants, `warm` of them kept ready. */
enum target_outcome target_place(struct controller_core *c, struct core_target *t,
                                 uint32_t warm);
/* The same for the candidate: somewhere one instance is to show that it works. */
enum target_outcome target_prove(struct controller_core *c, struct core_target *t);
/* When target_prove() must look again; UINT64_MAX: only when something happens. */
uint64_t target_due_ms(const struct core_target *t);
/* When target_place() must look again at grants whose node does not fit any more. */
uint64_t target_leave_ms(const struct core_target *t);
/* Why the candidate is not ready yet, for people; "" while it is starting. *ret_cause:
 * what it is short of, or CAUSE_NONE. Returns ret. */
const char *target_pending(const struct core_target *t, enum cause *ret_cause, char *ret,
                           size_t size);
/* The candidate cannot work. Its grants go. */
void target_fail(struct core_target *t, enum cause cause, const char *text);
/* This node could not run it: others may. */
void target_avoid(struct core_target *t, const struct core_node *n, enum cause cause,
                  const char *text);

void target_invariant(const struct controller_core *c, const struct core_target *t);

#endif /* CONTROLLER_CORE_TARGETS_H */
