/* A version's instances on all nodes together stay within its max_scale. Not counted are
 * nodes that no controller reaches, or to which its latest word is still under way: the
 * controller moves grants without waiting for their old holder to hear of it, so that for
 * as long as that takes, what the holder was granted may be granted elsewhere too. */
#include "tests/sim/node.h"

#include <string.h>

static bool is_told(const struct sim_node *n, unsigned function)
{
    return n->core != NULL && n->joined && n->joined_boot == n->boots && n->connected &&
           n->informed && n->cut_until_us < n->sim->clock.now_us &&
           n->grants[function].revision >= n->grants[function].sent;
}

static const struct function_spec *spec_on(const struct sim_node *n, const char *function,
                                           uint64_t version)
{
    LIST_FOREACH(it, &n->instances)
    {
        const struct sim_instance *si = container_of(it, struct sim_instance, link);

        if (si->version == version && strcmp(si->function, function) == 0) {
            return version_spec(si->in->version);
        }
    }
    return NULL;
}

bool sim_scale_check(const struct sim_node *n, const char *function, uint64_t version)
{
    const struct function_spec *spec = spec_on(n, function, version);
    struct sim *s = n->sim;
    unsigned number = sim_function_number(function);
    unsigned sum = 0, max = spec != NULL ? function_spec_instances_max(spec) : 0;

    if (max == 0 || !is_told(n, number)) {
        return true;
    }
    for (unsigned i = 0; i < s->options.nodes; i++) {
        sum += is_told(s->nodes[i], number)
                   ? sim_node_instances(s->nodes[i], function, version)
                   : 0;
    }
    if (sum > max) {
        sim_say(
            s,
            "%s/%llu has %u instances on nodes that know their grants, max_scale is %u",
            function, (unsigned long long)version, sum, max);
    }
    return sum <= max;
}
