/* Which of the nodes that fit are better. The weights order the reasons: room for a firm
 * instance before everything, then a node that is not busy, then the package, then the
 * policy. docs/placement.md explains them. */
#include "controller/core/placement.h"

/* A soft grant books nothing, but calls will come: it weighs so much. */
#define GRANT_WEIGHT_BYTES ((double)(32 * 1024 * 1024))

#define ROOM_WEIGHT 8.0
#define NEAR_WEIGHT 0.5
/* Bin packing fills a node so far and then takes another; likewise it avoids a node whose
 * instances use more than that. The rest is for what soft promises bring. */
#define FULL 0.8
/* How much worse a node becomes beyond it: at 1.05 a full node is worse than an empty
 * one, and at 1.15 than an empty one without the package. */
#define OVER_WEIGHT 4.0

static double over(double share)
{
    return share > FULL ? (share - FULL) * OVER_WEIGHT : 0;
}

void placement_score(struct placement_pick_why *why, const struct placement_node *n,
                     const struct placement_request *r, uint64_t others_bytes,
                     const struct placement_caps *caps, bool is_near)
{
    double memory = (double)n->memory_bytes;
    double fill = ((double)others_bytes + n->n_grants * GRANT_WEIGHT_BYTES) / memory;
    double load = (double)n->used_bytes / memory;
    double score = is_near ? NEAR_WEIGHT : 0;

    if (caps->firm > 0) {
        score += ROOM_WEIGHT;
    }
    if (r->policy == SPEC_PLACEMENT_SPREAD) {
        score -= fill + load;
    } else {
        score += fill < FULL ? fill : FULL;
        score -= over(fill) + over(load);
    }
    why->near = is_near;
    why->score = (float)score;
    why->fill = (float)fill;
    why->load = (float)load;
}
