/* A cluster without a cluster for the controller's core: a store in memory that decides
 * and delivers when the test says so, agents that note what they are told, and a clock
 * that only the test moves. Several cores may share a store. */
#ifndef TESTS_UNIT_CONTROLLER_CORE_WORLD_H
#define TESTS_UNIT_CONTROLLER_CORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "common/list.h"
#include "controller/core/controller_core.h"

#define MIB          (1024ull * 1024)
#define KEY_MAX      256
#define AGENTS_MAX   64
#define FUNCTIONS_IN 512 /* that a model agent can know */
#define VERSIONS_IN  24  /* of a function */
#define GRANTS_IN    (4 * AGENTS_MAX)
#define ALIASES_IN   8

/* --- the store -------------------------------------------------------------------- */

struct item {
    struct list link;
    char key[KEY_MAX];
    char *value; /* NULL: in the log, a deletion */
    size_t len;
    int64_t mod_revision;
};

struct store_model {
    struct list items;
    struct list log; /* item: every change there was, in order */
    int64_t revision;
};

void store_model_init(struct store_model *s);
void store_model_free(struct store_model *s);
/* As another controller, or a person with etcdctl, would do it. */
void store_model_put(struct store_model *s, const char *key, const char *value);
void store_model_delete(struct store_model *s, const char *key);
const char *store_model_get(const struct store_model *s, const char *key); /* or NULL */

/* --- a controller's surroundings -------------------------------------------------- */

enum txn_mode {
    TXN_NORMAL,       /* events, then done */
    TXN_DONE_FIRST,   /* done, then events */
    TXN_FAILS,        /* not done, and known not to be */
    TXN_UNKNOWN_MADE, /* done, but nobody knows */
    TXN_UNKNOWN_LOST, /* not done, but nobody knows */
    TXN_HELD,         /* not even looked at */
};

struct model_grant {
    char node[SPEC_NODE_MAX + 1];
    uint64_t version;
    uint32_t max, warm, reserved;
};

/* What an agent knows of a function. */
struct model_function {
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    uint64_t revision;
    bool deleted;
    bool stopped;
    enum cause failed;
    char failed_text[512];
    bool named; /* by the snapshot that is being taken */
    uint32_t namespace_index;
    uint64_t serving;
    uint64_t versions[VERSIONS_IN];
    uint64_t published[VERSIONS_IN];
    uint32_t memory_mib[VERSIONS_IN];
    size_t n_versions;
    struct model_grant grants[GRANTS_IN];
    size_t n_grants;
    struct {
        char name[ALIAS_NAME_MAX + 1];
        struct alias_weight weights[ALIAS_SPLIT_MAX];
        size_t n_weights;
    } aliases[ALIASES_IN];
    size_t n_aliases;
};

struct model_agent {
    char name[SPEC_NODE_MAX + 1];
    char boot[32];
    uint64_t memory_bytes;
    bool connected;
    bool wants_snapshot;
    bool has_snapshot; /* before it, what it knows is from another controller */
    unsigned n_snapshots;
    struct model_function *functions;
    size_t n_functions;
    struct {
        char node[SPEC_NODE_MAX + 1];
        uint64_t revision;
        bool deleted, usable, named;
    } peers[2 * AGENTS_MAX];
    size_t n_peers;
};

struct txn {
    struct list link;
    uint64_t id;
    struct item compares[4];
    size_t n_compares;
    struct item *ops;
    size_t n_ops;
};

struct world {
    struct store_model *store;
    struct controller_core *core;
    uint64_t now_ms;
    uint64_t random;
    enum txn_mode mode;
    bool hold_events;
    bool store_up;
    bool confirms;          /* agents that join say so (node_hello.confirms) */
    struct list txns;       /* not decided yet */
    int64_t delivered;      /* revision up to which events were given */
    size_t n_txns, n_sends; /* of functions */
    struct model_agent agents[AGENTS_MAX];
    size_t n_agents;
    uint32_t settle_ms, homes_max;
};

/* A core that has not heard of the store yet. */
void world_open(struct world *w, struct store_model *s);
void world_close(struct world *w);
void world_load(struct world *w); /* and the connection to the store is up */
void world_store_up(struct world *w, bool up);
/* A core that is ready, on an empty or a given store. */
void world_start(struct world *w, struct store_model *s);
/* Another controller with the same store; agents keep what they know and are cut off. */
void world_restart(struct world *w);
bool world_step(
    struct world *w);            /* one thing of what is to be done; false: nothing was */
void world_run(struct world *w); /* until nothing is to be done, without time passing */
void world_pass(struct world *w, uint64_t ms); /* with what is to be done on the way */
uint64_t world_random(struct world *w);

/* --- agents ----------------------------------------------------------------------- */

struct model_agent *world_join(struct world *w, const char *name, uint64_t memory_mib);
struct model_agent *world_rejoin(struct world *w, struct model_agent *a, bool new_boot);
void world_leave(struct world *w, struct model_agent *a);
void world_say(struct world *w, const struct model_agent *a, const char *function,
               uint64_t version, bool ready, enum cause cause, const char *text);
/* The agent that is to prove this version, which must be asked of one. */
struct model_agent *world_proof(struct world *w, const char *name, uint64_t version);
/* That one says that it cannot: "it says no". */
void world_refuse(struct world *w, const char *name, uint64_t version, enum cause cause);
/* One load of a report; grants as the agent knows them. */
void world_report_full(struct world *w, const struct model_agent *a);
const struct model_function *agent_function(const struct model_agent *a,
                                            const char *name);
/* What the agent knows of its grant for a version; NULL: none. */
const struct model_grant *agent_grant(const struct model_agent *a, const char *function,
                                      uint64_t version);

/* --- requests --------------------------------------------------------------------- */

struct answer {
    unsigned n;
    enum cause cause;
    char text[512];
    bool created;
    uint64_t version;
};
void answer_cb(void *data, const struct core_reply *r);

void world_put(struct world *w, const char *name, const struct function_spec *spec,
               uint64_t if_revision, struct answer *a);
void world_delete(struct world *w, const char *name, struct answer *a);
/* Splits "name" over versions: {version, weight} pairs. */
void world_put_alias(struct world *w, const char *name, const char *alias,
                     const struct alias_weight *weights, size_t n, struct answer *a);
void world_publish(struct world *w, const char *name, uint64_t number, struct answer *a);
void world_rollback(struct world *w, const char *name, uint64_t number, struct answer *a);
/* Deploys and runs; fails the test if it was refused. Returns the version. */
uint64_t world_deploy(struct world *w, const char *name, uint32_t memory_mib,
                      uint32_t max_scale, uint32_t min_scale);
/* Deploys, and the node that was asked says that it works. */
uint64_t world_deploy_ready(struct world *w, const char *name, uint32_t memory_mib,
                            uint32_t max_scale, uint32_t min_scale);
/* The node that keeps one ready of this version, as the core sees it; "" if none. */
void world_proof_node(struct world *w, const char *name, uint64_t version,
                      char ret[SPEC_NODE_MAX + 1]);

/* --- looking ---------------------------------------------------------------------- */

/* Members of the core's views, by path: "state", "versions.0.cause". */
void world_text(struct world *w, const char *name, const char *path, char ret[512]);
int64_t world_number(struct world *w, const char *name, const char *path);
#define assert_view(w, name, path, expected)       \
    do {                                           \
        char view_text_[512];                      \
        world_text(w, name, path, view_text_);     \
        assert_string_equal(view_text_, expected); \
    } while (0)
/* A list that has no pages and appends to *ret, an array. */
struct core_list world_collect(json_t **ret);
/* Functions of a namespace, or (NULL) of all; NULL: out of memory. */
json_t *world_functions(const struct world *w, const char *namespace_);
/* Sum of max, and of warm, of a version's grants; count of them. */
uint64_t world_sum_max(struct world *w, const char *name, uint64_t version);
uint64_t world_sum_warm(struct world *w, const char *name, uint64_t version);
size_t world_n_grants(struct world *w, const char *name, uint64_t version);
/* All that must be true when nothing is to be done. */
void world_check(struct world *w);

/* --- one world, one store, for a test (cmocka's setup and teardown) --------------- */

struct fixture {
    struct world w;
    struct store_model s;
};
int fixture_setup(void **state); /* a controller that has started on an empty store */
int fixture_teardown(void **state);

#endif /* TESTS_UNIT_CONTROLLER_CORE_WORLD_H */
