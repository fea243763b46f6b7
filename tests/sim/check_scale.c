/* A version's instances on all nodes together stay within its max_scale. Not counted are
 * nodes that no controller reaches, or to which its latest word is still under way: the
 * controller moves grants without waiting for their old holder to hear of it, so that for
 * as long as that takes, what the holder was granted may be granted elsewhere too. */
#include "tests/sim/node.h"

static bool is_told(const struct sim_node *n, unsigned function)
{
    return n->core != NULL && n->joined && n->joined_boot == n->boots && n->connected &&
           n->informed && n->cut_until_us < n->sim->clock.now_us &&
           n->grants[function].revision >= n->grants[function].sent;
}

bool sim_scale_check(const struct sim_node *n, const char *function, uint64_t version)
{
    const struct node_grant *own = sim_grant_of(n, function, version);
    struct sim *s = n->sim;
    unsigned number = sim_function_number(function);
    unsigned sum = 0, max = own != NULL ? own->limit : 0;

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
    for (unsigned i = 0; sum > max && i < s->options.nodes; i++) {
        const struct node_grant *g = sim_grant_of(s->nodes[i], function, version);

        if (is_told(s->nodes[i], number)) {
            sim_say(s, "  %s has %u, granted %u by revision %llx", s->nodes[i]->name,
                    sim_node_instances(s->nodes[i], function, version),
                    g != NULL ? g->max : 0,
                    (unsigned long long)s->nodes[i]->grants[number].revision);
        }
    }
    return sum <= max;
}
