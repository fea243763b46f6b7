/* A node's world without a node: io for the agent core that writes down what it is told,
 * on a clock that only the test moves. */
#ifndef TESTS_UNIT_AGENT_CORE_WORLD_H
#define TESTS_UNIT_AGENT_CORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "agent/core/agent_core_private.h"

#define WORLD_INSTANCES_MAX 64 /* at once, in tests that look at them one by one */
#define MIB                 (1024ull * 1024)

enum outcome { NO_OUTCOME, DISPATCHED, FORWARDED, REJECTED, TIMED_OUT };

struct test_call {
    struct call call;
    enum outcome outcome; /* the last thing that happened to it */
    unsigned n_ends;      /* rejected or timed out: at most 1 */
    enum cause cause;
    char text[512];
    uint32_t retry_after_s;
    char node[SPEC_NODE_MAX + 1];
};

struct test_instance {
    struct instance *in; /* NULL: gone */
    enum stop_reason why;
    bool stopped;
    bool frozen;
};

struct world {
    struct agent_core *core;
    struct agent_io io;
    uint64_t now_us;
    uint64_t random;
    bool steady_random; /* io->random gives `random` as it is */

    struct test_instance
        instances[WORLD_INSTANCES_MAX]; /* in the order of their starts */
    unsigned n_instances;
    unsigned n_reports_soon;
    unsigned n_wants, n_drops;
    unsigned n_left; /* versions without instances to be */
    uint64_t left;   /* the last one's number */
    char wanted[SPEC_DIGEST_LEN + 1], dropped[SPEC_DIGEST_LEN + 1]; /* the last */
    unsigned n_ready, n_failed;                                     /* version reports */
    uint64_t reported; /* number of the last reported version */
    enum cause failed_cause;
    char failed_text[CORE_TEXT_MAX];
    int freeze_result, thaw_result; /* what io gives; 0: done */
    unsigned n_freezes, n_thaws;    /* asked for */
    uint64_t revision;
    void (*on_start)(struct world *w, struct instance *in); /* may be NULL */
    void *data;
};

/* memory_mib 0: plenty. */
struct world *world_new(uint64_t memory_mib, uint32_t instances_max);
void world_free(struct world *w);
void world_forget(struct world *w); /* the instances that are gone */
uint64_t world_ms(const struct world *w);
void world_pass_ms(struct world *w, uint64_t ms); /* ticks at every deadline on the way */
uint64_t world_random(struct world *w);

/* A function's state in the making. */
struct deploy {
    const char *namespace_;
    const char *name;
    uint64_t serving;
    struct version_state versions[3];
    struct grant grants[3][4];
    size_t n;
    const struct alias_state *aliases;
    size_t n_aliases;
    bool stopped;
    enum cause failed;
};
/* Version 1 serves, with `max` instances on this node, which is "here". */
struct deploy deploy_one(const char *name, uint32_t max, uint32_t warm);
struct version_state *deploy_version(struct deploy *d, uint64_t number);
void deploy_grant(struct deploy *d, size_t at, const char *node, uint32_t max,
                  uint32_t warm);
void deploy_drop(struct deploy *d, size_t at);       /* takes the version out */
void world_apply(struct world *w, struct deploy *d); /* with the next revision */
int world_try(struct world *w, struct deploy *d, uint64_t revision);
void world_package(struct world *w, uint64_t number); /* that version's is ready */
/* Both: the function is deployed and its package is there. */
void world_deploy(struct world *w, struct deploy *d);

/* A world with one version on this node and `max` instances of it, all ready and idle. */
struct world *world_warm(struct deploy *d, unsigned max);
void world_peer(struct world *w, const char *node,
                bool usable); /* another node is told */

void world_call(struct world *w, struct test_call *c, const char *name);
void world_call_version(struct world *w, struct test_call *c, const char *name,
                        uint64_t version, bool forwarded);
void world_call_named(struct world *w, struct test_call *c, const char *name,
                      const char *qualifier, uint64_t picked);
void world_done_with(struct world *w, struct test_call *c, enum cause cause);
void world_done(struct world *w, struct test_call *c);

/* The core was made without freezing: this begins it. */
void world_freeze_after(struct world *w, uint32_t ms);

/* By the order of their starts since the last world_forget(). */
struct instance *world_instance(struct world *w, unsigned at);
void world_ready(struct world *w, unsigned at);
void world_fail(struct world *w, unsigned at, enum cause cause, const char *text);
void world_gone(struct world *w, unsigned at);
unsigned world_stopped(const struct world *w); /* told to, not gone yet */
/* The load of version `number`; zero if it is not named. */
struct version_load world_load(struct world *w, const char *name, uint64_t number);
void world_tell(struct world *w); /* the controller hears of all loads */

#define assert_outcome(c, o) assert_int_equal((c)->outcome, o)
#define assert_rejected(c, why)                                       \
    do {                                                              \
        assert_int_equal((c)->outcome, REJECTED);                     \
        assert_string_equal(cause_name((c)->cause), cause_name(why)); \
    } while (0)
#define assert_stopped(w, at, reason)                     \
    do {                                                  \
        assert_true((w)->instances[at].stopped);          \
        assert_int_equal((w)->instances[at].why, reason); \
    } while (0)

#endif /* TESTS_UNIT_AGENT_CORE_WORLD_H */
