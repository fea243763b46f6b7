/* Why a version is where it is: what placement counted and weighed at its last look. For
 * people who ask; nothing is decided by it. */
#ifndef CONTROLLER_CORE_PLACEMENT_WHY_H
#define CONTROLLER_CORE_PLACEMENT_WHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/spec.h"

/* In the order in which they are asked; a node is counted under the first that refuses.
 */
#define PLACEMENT_FILTERS(X) /* X(NAME, "name", "text for a person") */                  \
    X(FITS, "fits", "with room")                                                         \
    X(LOST, "lost", "lost")                                                              \
    X(DRAINING, "draining", "draining")                                                  \
    X(CORDONED, "cordoned", "cordoned")                                                  \
    X(LABELS, "labels", "its labels do not fit") /* a constraint does not hold */        \
    X(TRIED, "tried", "could not start it")                                              \
    X(MEMORY, "memory", "too small")     /* an instance is larger than all its memory */ \
    X(CPU, "cpu", "with too little CPU") /* … or than its CPU with the overcommit */   \
    X(MEMORY_FULL, "memory_full", "full") /* its memory is promised to others */         \
    X(CPU_FULL, "cpu_full", "with its CPU kept for others")

enum placement_filter {
#define X(NAME, name, text) PLACEMENT_##NAME,
    PLACEMENT_FILTERS(X)
#undef X
        PLACEMENT_FILTER_COUNT
};
const char *placement_filter_name(enum placement_filter f);
const char *placement_filter_text(enum placement_filter f);

/* Why a node has a grant: X(NAME, "name", "text for a person") */
#define PLACEMENT_REASONS(X)                                                     \
    X(BINPACK, "binpack", "bin-packed")                                          \
    X(SPREAD, "spread", "spread")                                                \
    X(ZONE, "new_zone", "in a zone that had none yet")                           \
    X(NEAR, "near", "the package was already there")                             \
    X(KEPT, "kept", "it was there before")                                       \
    X(LEAVING, "leaving",                                                        \
      "its node is not for it any more, so it leaves when it is replaced")       \
    X(WAITING, "waiting", "it gets the rest when another node has let go of it") \
    X(ENDED, "ended", "the grant has ended, and so does what still runs there")

enum placement_reason {
#define X(NAME, name, text) PLACEMENT_REASON_##NAME,
    PLACEMENT_REASONS(X)
#undef X
        PLACEMENT_REASON_COUNT
};
const char *placement_reason_name(enum placement_reason r);
const char *placement_reason_text(enum placement_reason r);

/* Of one look for a version. */
struct placement_why {
    uint32_t n_nodes;   /* usable ones in the cluster */
    uint32_t n_indexed; /* of them, those that the labels' index left to look at */
    uint32_t n_looked;  /* of those, looked at: all, or a sample */
    uint32_t refused[PLACEMENT_FILTER_COUNT];     /* [PLACEMENT_FITS]: candidates */
    uint32_t by_constraint[SPEC_CONSTRAINTS_MAX]; /* of refused[PLACEMENT_LABELS] */
    enum spec_placement policy;                   /* BINPACK or SPREAD */
    uint32_t max_missing, firm_missing;           /* instances without a place */
};

/* Of one grant. */
struct placement_pick_why {
    bool kept;     /* it was here before */
    bool near;     /* the package is here */
    bool new_zone; /* chosen because its zone had none yet */
    float score;   /* higher is better; compared only if not kept */
    float fill;    /* 0 … 1 and more: memory promised to others, and their grants */
    float load;    /* 0 … 1: memory of instances that were running */
};

/* "3 nodes: 2 lack label disk=ssd, 1 cordoned". why: over all nodes there are, also lost
 * ones (n_nodes). Returns ret. */
const char *placement_why_text(const struct placement_why *why,
                               const struct function_spec *spec, char *ret, size_t size);

#endif /* CONTROLLER_CORE_PLACEMENT_WHY_H */
