/* Which nodes may have a version, and how many instances of it. */
#include "common/check.h"
#include "controller/core/placement.h"

#define MAX_ON_NODE 100000u /* as spec.h's max_scale */

static bool is_avoided(const struct placement_request *r, const struct placement_node *n)
{
    for (size_t i = 0; i < r->n_avoid; i++) {
        if (r->avoid[i] == n) {
            return true;
        }
    }
    return false;
}

static uint32_t instances_in(uint64_t amount, uint64_t each)
{
    uint64_t n = each > 0 ? amount / each : MAX_ON_NODE;

    return n > MAX_ON_NODE ? MAX_ON_NODE : (uint32_t)n;
}

static uint64_t beyond(uint64_t amount, uint64_t taken)
{
    return amount > taken ? amount - taken : 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t cpu_each(const struct placement_node *n,
                         const struct placement_request *r)
{
    return n->cpu_millis > 0 ? r->instance_millis : 0;
}

enum placement_filter placement_fit(const struct placement_node *n,
                                    const struct placement_request *r,
                                    const struct placement_grant *own,
                                    struct placement_caps *ret, size_t *ret_constraint)
{
    uint64_t own_bytes = own != NULL ? own->own_bytes : 0;
    uint64_t own_millis = own != NULL ? own->own_millis : 0;
    uint64_t each_cpu = cpu_each(n, r);
    uint64_t free_bytes, free_millis;
    bool is_old = own != NULL && own->max > 0;

    CHECK(n->firm_bytes >= own_bytes && n->firm_millis >= own_millis);
    if (n->closed && !is_old) {
        return PLACEMENT_CORDONED;
    }
    for (size_t i = 0; i < r->n_constraints; i++) {
        if (!constraint_holds(&r->constraints[i], n->labels)) {
            *ret_constraint = i;
            return PLACEMENT_LABELS;
        }
    }
    if (is_avoided(r, n)) {
        return PLACEMENT_TRIED;
    }
    if (n->memory_bytes < r->instance_bytes) {
        return PLACEMENT_MEMORY;
    }
    if (each_cpu > n->cpu_millis) {
        return PLACEMENT_CPU;
    }
    ret->max = smaller(instances_in(n->memory_bytes, r->instance_bytes),
                       instances_in(n->cpu_millis, each_cpu));
    if (n->closed && own->max < ret->max) {
        ret->max = own->max;
    }
    free_bytes = beyond(n->memory_bytes, n->firm_bytes - own_bytes);
    free_millis = beyond(n->cpu_millis, n->firm_millis - own_millis);
    ret->firm = smaller(instances_in(free_bytes, r->instance_bytes),
                        instances_in(free_millis, each_cpu));
    ret->firm = smaller(ret->firm, ret->max);
    ret->warm = ret->firm;
    if (own != NULL) {
        ret->warm = smaller(
            ret->warm,
            smaller(instances_in(beyond(free_bytes, own->other_warm_bytes),
                                 r->instance_bytes),
                    instances_in(beyond(free_millis, own->other_warm_millis), each_cpu)));
    }
    if (r->reserved == 0) {
        ret->firm = ret->warm;
    }
    return PLACEMENT_FITS;
}

enum placement_filter placement_full(const struct placement_node *n,
                                     const struct placement_request *r,
                                     const struct placement_grant *own)
{
    uint64_t own_bytes = own != NULL ? own->own_bytes : 0;
    uint64_t own_millis = own != NULL ? own->own_millis : 0;

    if (beyond(n->memory_bytes, n->firm_bytes - own_bytes) < r->instance_bytes) {
        return PLACEMENT_MEMORY_FULL;
    }
    if (beyond(n->cpu_millis, n->firm_millis - own_millis) < cpu_each(n, r)) {
        return PLACEMENT_CPU_FULL;
    }
    return PLACEMENT_FITS;
}
