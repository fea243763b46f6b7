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
enum placement_filter {
    PLACEMENT_FITS,
    PLACEMENT_LOST,
    PLACEMENT_DRAINING,
    PLACEMENT_CORDONED,
    PLACEMENT_LABELS,      /* a constraint does not hold */
    PLACEMENT_TRIED,       /* it could not start the version */
    PLACEMENT_MEMORY,      /* an instance is larger than all its memory */
    PLACEMENT_CPU,         /* … or than its CPU with the overcommit */
    PLACEMENT_MEMORY_FULL, /* its memory is promised to others */
    PLACEMENT_CPU_FULL,
    PLACEMENT_FILTER_COUNT
};

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
