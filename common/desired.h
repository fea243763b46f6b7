/* What controller and agents tell each other, as the program's own shapes: both cores use
 * these, proto/convert.h puts them on the wire. All strings are borrowed. */
#ifndef COMMON_DESIRED_H
#define COMMON_DESIRED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/alias.h"
#include "common/call_why.h"
#include "common/cause.h"
#include "common/spec.h"

/* --- controller to agents ----------------------------------------------------------- */

/* "Node `node` may run up to `max` instances of this version, keeps `warm` ready, and has
 * memory for `reserved` that no other function gets, whether they run or not." max 0: it
 * is to say when it has no more than that, or will be given some as soon as another node
 * has said so. */
struct grant {
    char node[SPEC_NODE_MAX + 1];
    uint32_t max;
    uint32_t warm;
    uint32_t reserved;
};

struct version_state {
    uint64_t number;
    struct function_spec spec;
    struct package_ref package;
    uint64_t published; /* its number as a published version; 0: it is not published */
    uint32_t least; /* ready whatever the load, on all nodes: they make way for nobody */
    /* Another for each version that ever was: numbers begin anew when a function was
     * deleted and is deployed again. */
    uint64_t id;
    const struct grant *grants;
    size_t n_grants;
};

/* A name for a split over versions. name "": the calls that name nothing. */
struct alias_state {
    const char *name;
    const struct alias_weight *weights;
    size_t n_weights;
};

/* All that agents know of a function. A higher revision replaces a lower one. */
struct function_state {
    const char *namespace_;
    const char *name;
    uint64_t revision;
    bool deleted;             /* only the three above count */
    uint32_t namespace_index; /* unique per namespace in the cluster */
    uint64_t serving; /* number of the version that takes the calls; 0: none yet */
    /* Serving, candidate and all that may be named; others are retired. */
    const struct version_state *versions;
    bool stopped; /* takes no calls: its reserved concurrency is 0 */
    /* Why no version serves: the latest one failed so. CAUSE_NONE: that is not so. */
    enum cause failed;
    const char *failed_text;
    const char *urls; /* JSON: a list of its URLs' configurations; NULL: it has none */
    size_t n_versions;
    const struct alias_state *aliases;
    size_t n_aliases;
};

/* A node as other nodes need to know it. */
struct node_state {
    const char *node;
    uint64_t revision;
    bool deleted;        /* only the two above count */
    const char *gateway; /* "host:port" */
    bool usable;         /* takes new work */
};

/* An access key with which requests are signed. A higher revision replaces a lower one.
 */
struct key_state {
    const char *id;
    uint64_t revision;
    bool deleted; /* only the three above count */
    const char *namespace_;
    const char *secret;
};

/* --- agents to controller ------------------------------------------------------------
 */

struct version_load {
    const char *namespace_;
    const char *name;
    uint64_t version;
    uint32_t starting, idle, busy, queued, in_flight;
    uint64_t invocations, cold_starts, errors; /* since the agent's boot */
    uint64_t gb_ms; /* milliseconds times 1/1024 GiB, rounded up a call */
    uint64_t cpu_us;
    uint64_t load_us; /* sum over time of (queued + in_flight), since boot */
    uint64_t begun;   /* calls given to an instance, since boot */
    uint32_t grant_max, grant_warm, grant_reserved; /* what the node has for it */
    uint32_t frozen;   /* instances without calls, not counted as idle */
    uint32_t stopping; /* those that are going, in no other count */
    /* Of the function's state that the node has taken over; 0: it has no part in it. */
    uint64_t revision;
    uint64_t id; /* version_state.id; 0: not known */
    /* Calls that ended here by how long they took (common/latency.h), since boot; the
     * last counts that are 0 are left out. */
    const uint64_t *latency;
    size_t n_latency;
    struct cold_start last_cold;
    struct call_wait last_wait;
    struct call_refusal last_refused;
};

/* Sandboxes that were made ahead, of one kind: "plain", or the runtime whose
 * interpreter is up in them. */
#define BLANKS_KIND_MAX  19
#define BLANKS_KINDS_MAX 16 /* that a report may name */
struct blanks_state {
    char kind[BLANKS_KIND_MAX + 1];
    uint32_t ready;
    uint64_t memory_bytes;
};

struct node_report {
    bool full; /* names every version there is; else those that changed */
    uint64_t memory_reserved_bytes;
    uint32_t instances;
    const struct version_load *loads;
    size_t n_loads;
    struct blanks_state blanks[BLANKS_KINDS_MAX];
    size_t n_blanks;
};

/* A version's first instance became ready on a node, or could not. */
struct version_report {
    const char *namespace_;
    const char *name;
    uint64_t version;
    bool ready;
    enum cause cause; /* when not ready */
    const char *text;
};

#endif /* COMMON_DESIRED_H */
