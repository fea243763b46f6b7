/* A cluster's life at random, from a seed that is printed when something is wrong: nodes
 * join, are lost and come back, functions are deployed and deleted, the store fails, is
 * slow or does not say what it did, and controllers are restarted. Whatever happened, the
 * parts fit together at every step; agents know what the core wants; and every request is
 * answered once. Run with a seed to see one life: test_controller_core_random SEED. */
#include "tests/unit/controller_core_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define SEEDS         60
#define STEPS         400
#define FUNCTIONS     12
#define REQUESTS      (STEPS + 1)
#define AGENTS_WANTED 10

struct life {
    struct world w;
    struct store_model s;
    struct answer answers[REQUESTS];
    size_t n_answers;
    size_t lost_before; /* answers of controllers that are no more */
};

static uint64_t below(struct life *l, uint64_t n)
{
    return world_random(&l->w) % n;
}

static const char *a_function(struct life *l, char name[16])
{
    (void)snprintf(name, 16, "f%u", (unsigned)below(l, FUNCTIONS));
    return name;
}

static struct answer *an_answer(struct life *l)
{
    CHECK(l->n_answers < REQUESTS);
    return &l->answers[l->n_answers++];
}

static struct model_agent *an_agent(struct life *l, bool connected)
{
    struct model_agent *a;

    if (l->w.n_agents == 0) {
        return NULL;
    }
    a = &l->w.agents[below(l, l->w.n_agents)];
    return a->connected == connected ? a : NULL;
}

/* --- what may happen -------------------------------------------------------------- */

static void deploy(struct life *l)
{
    static const uint32_t memory[] = {16, 64, 128, 500, 1024, 3000};
    static const uint32_t max[] = {0, 1, 2, 5, 40};
    struct function_spec spec;
    char name[16];

    function_spec_init(&spec);
    spec.memory_mib = memory[below(l, 6)];
    spec.max_scale = max[below(l, 5)];
    spec.min_scale = below(l, 3) == 0 ? (uint32_t)below(l, 5) : 0;
    if (spec.max_scale > 0 && spec.min_scale > spec.max_scale) {
        spec.min_scale = spec.max_scale;
    }
    world_put(&l->w, a_function(l, name), &spec, below(l, 10) == 0 ? below(l, 100) : 0,
              an_answer(l));
    function_spec_free(&spec);
}

static void delete (struct life *l)
{
    char name[16];

    world_delete(&l->w, a_function(l, name), an_answer(l));
}

static void roll_out(struct life *l)
{
    const struct rollout_plan plan = {
        .steps = {1000, 5000}, .n_steps = 2, .step_ms = 2000, .max_error = 3000};
    struct package_ref p = {.bytes = 100, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    char name[16];

    memset(p.digest, 'b', SPEC_DIGEST_LEN);
    function_spec_init(&spec);
    spec.max_scale = (uint32_t)below(l, 4);
    controller_core_roll_out(l->w.core, "default", a_function(l, name), &spec, &p, &plan,
                             0, answer_cb, an_answer(l));
    function_spec_free(&spec);
}

static void traffic(struct life *l)
{
    static const char *const aliases[] = {"live", "beta"};
    uint64_t first = 1 + below(l, 5);
    const struct alias_weight weights[2] = {{first, 7500}, {first + 1, 2500}};
    const struct alias_weight whole[1] = {{first, ALIAS_WHOLE}};
    const char *alias = aliases[below(l, 2)];
    bool split = below(l, 2) == 0;
    char name[16];

    (void)a_function(l, name);
    switch (below(l, 6)) {
    case 0:
        controller_core_publish(l->w.core, "default", name, below(l, 4), "a text", 0,
                                answer_cb, an_answer(l));
        break;
    case 1:
        controller_core_delete_version(l->w.core, "default", name, first, answer_cb,
                                       an_answer(l));
        break;
    case 2:
        controller_core_delete_alias(l->w.core, "default", name, alias, 0, answer_cb,
                                     an_answer(l));
        break;
    case 3:
        controller_core_rollback(l->w.core, "default", name, below(l, 3), 0, answer_cb,
                                 an_answer(l));
        break;
    default:
        controller_core_put_alias(l->w.core, "default", name, alias,
                                  split ? weights : whole, split ? 2 : 1, NULL, 0,
                                  answer_cb, an_answer(l));
    }
}

/* What is promised to a function comes, changes and goes. */
static void promise(struct life *l)
{
    static const char *const keys[] = {CORE_RESERVED, CORE_PROVISIONED ":1",
                                       CORE_PROVISIONED ":live"};
    json_t *value = json_pack("{s:I}", "calls", (json_int_t)below(l, 9));
    char name[16];

    controller_core_set_attribute(l->w.core, "default", a_function(l, name),
                                  keys[below(l, 3)], below(l, 4) == 0 ? NULL : value, 0,
                                  answer_cb, an_answer(l));
    json_decref(value);
}

static void deploy_published(struct life *l)
{
    struct package_ref p = {.bytes = 100, .format = SPEC_FORMAT_TAR};
    struct function_spec spec;
    char name[16];

    memset(p.digest, 'c', SPEC_DIGEST_LEN);
    function_spec_init(&spec);
    spec.concurrency = 1 + (uint32_t)below(l, 3);
    spec.max_scale = (uint32_t)below(l, 4);
    controller_core_put_published(l->w.core, "default", a_function(l, name), &spec, &p,
                                  NULL, 0, answer_cb, an_answer(l));
    function_spec_free(&spec);
}

static void wait(struct life *l)
{
    char name[16];

    controller_core_wait_version(l->w.core, "default", a_function(l, name),
                                 1 + below(l, 5), below(l, 9000), answer_cb,
                                 an_answer(l));
}

static void namespace(struct life *l)
{
    const char *name = below(l, 2) == 0 ? "red" : "blue";

    if (below(l, 2) == 0) {
        controller_core_put_namespace(l->w.core, name, answer_cb, an_answer(l));
    } else {
        controller_core_delete_namespace(l->w.core, name, answer_cb, an_answer(l));
    }
}

static void join(struct life *l)
{
    char name[16];

    if (l->w.n_agents < AGENTS_WANTED) {
        (void)snprintf(name, sizeof(name), "n%zu", l->w.n_agents);
        (void)world_join(&l->w, name, 256ull << below(l, 5));
    }
}

static void leave(struct life *l)
{
    struct model_agent *a = an_agent(l, true);

    if (a != NULL) {
        world_leave(&l->w, a);
    }
}

static void rejoin(struct life *l)
{
    struct model_agent *a = an_agent(l, below(l, 5) == 0);

    if (a != NULL) {
        if (below(l, 4) == 0) {
            a->memory_bytes = (256ull << below(l, 5)) * MIB;
        }
        (void)world_rejoin(&l->w, a, below(l, 2) == 0);
        world_report_full(&l->w, a);
    }
}

static void report(struct life *l)
{
    struct model_agent *a = an_agent(l, true);
    struct version_load loads[4];
    struct node_report r = {.full = below(l, 2) == 0, .loads = loads};
    char names[4][16];

    if (a == NULL) {
        return;
    }
    for (; r.n_loads < below(l, 4); r.n_loads++) {
        loads[r.n_loads] = (struct version_load){.namespace_ = "default",
                                                 .name = a_function(l, names[r.n_loads]),
                                                 .version = below(l, 6),
                                                 .busy = below(l, 20) == 0,
                                                 .queued = (uint32_t)below(l, 9),
                                                 .invocations = below(l, 1000),
                                                 .errors = below(l, 300),
                                                 .grant_max = (uint32_t)below(l, 4),
                                                 .grant_warm = (uint32_t)below(l, 4)};
    }
    controller_core_node_report(l->w.core, a->name, &r);
}

static void say(struct life *l)
{
    static const enum cause causes[] = {CAUSE_NO_CAPACITY, CAUSE_CRASHED, CAUSE_INTERNAL,
                                        CAUSE_OOM};
    char name[16], node[SPEC_NODE_MAX + 1];
    int64_t latest = world_number(&l->w, a_function(l, name), "latest_version");

    if (latest <= 0) {
        return;
    }
    world_proof_node(&l->w, name, (uint64_t)latest, node);
    for (size_t i = 0; i < l->w.n_agents; i++) {
        if (strcmp(l->w.agents[i].name, node) == 0) {
            world_say(&l->w, &l->w.agents[i], name, (uint64_t)latest, below(l, 3) != 0,
                      causes[below(l, 4)], "so it is");
        }
    }
}

static void store(struct life *l)
{
    static const enum txn_mode modes[] = {TXN_NORMAL, TXN_NORMAL,       TXN_DONE_FIRST,
                                          TXN_FAILS,  TXN_UNKNOWN_MADE, TXN_UNKNOWN_LOST,
                                          TXN_HELD};

    l->w.mode = modes[below(l, 7)];
    l->w.hold_events = below(l, 5) == 0;
    world_store_up(&l->w, below(l, 6) != 0);
}

/* Someone else writes a record as it is: only its revision is another one. */
static void meddle(struct life *l)
{
    char key[64], name[16];
    char *value;

    (void)snprintf(key, sizeof(key), "/mayfly/functions/default/%s", a_function(l, name));
    if (store_model_get(&l->s, key) != NULL) {
        value = strdup(store_model_get(&l->s, key));
        CHECK(value != NULL);
        store_model_put(&l->s, key, below(l, 20) == 0 ? "{" : value);
        free(value);
    }
}

static void heal(struct life *l)
{
    l->w.mode = TXN_NORMAL;
    l->w.hold_events = false;
    world_store_up(&l->w, true);
}

static void restart(struct life *l)
{
    heal(l);
    l->lost_before = l->n_answers;
    world_restart(&l->w);
}

static void reload(struct life *l)
{
    if (l->w.store_up) {
        world_load(&l->w);
    }
}

static void pass(struct life *l)
{
    world_pass(&l->w, below(l, 20) == 0 ? 700000 : below(l, 4000));
}

static void check(struct life *l)
{
    world_run(&l->w);
    world_check(&l->w);
}

static void live(struct life *l)
{
    static const struct {
        unsigned weight;
        void (*happens)(struct life *l);
    } things[] = {
        {20, deploy}, {4, delete},   {4, wait},     {3, namespace}, {6, join},
        {5, leave},   {8, rejoin},   {8, report},   {20, say},      {6, store},
        {3, meddle},  {2, restart},  {2, reload},   {15, pass},     {10, check},
        {5, heal},    {6, roll_out}, {12, traffic}, {8, promise},   {5, deploy_published},
    };
    uint64_t sum = 0, at;

    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        sum += things[i].weight;
    }
    at = below(l, sum);
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        if (at < things[i].weight) {
            things[i].happens(l);
            break;
        }
        at -= things[i].weight;
    }
    if (below(l, 3) == 0) {
        world_run(&l->w);
    }
}

/* When all is well again, all comes to rest: answered, decided, placed and known. */
static void rest(struct life *l)
{
    json_t *all;

    heal(l);
    world_pass(&l->w, 30000);
    world_check(&l->w);
    for (size_t i = l->lost_before; i < l->n_answers; i++) {
        CHECK(l->answers[i].n == 1);
    }
    for (size_t i = 0; i < l->n_answers; i++) {
        CHECK(l->answers[i].n <= 1);
    }
    all = world_functions(&l->w, NULL);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *name =
            json_string_value(json_object_get(json_array_get(all, i), "name"));
        struct answer a = {0};

        world_delete(&l->w, name, &a);
        world_run(&l->w);
        CHECK(a.n == 1 && a.cause == CAUSE_NONE);
    }
    json_decref(all);
    world_check(&l->w);
    CHECK(controller_core_counts(l->w.core).versions == 0);
    CHECK(controller_core_counts(l->w.core).functions == 0);
}

static void one_life(uint64_t seed)
{
    struct life *l = calloc(1, sizeof(*l));

    CHECK(l != NULL);
    store_model_init(&l->s);
    l->w.random = seed;
    l->w.homes_max = 1 + (uint32_t)(seed % 5);
    world_start(&l->w, &l->s);
    for (int i = 0; i < STEPS; i++) {
        live(l);
    }
    rest(l);
    world_close(&l->w);
    store_model_free(&l->s);
    free(l);
}

static uint64_t current;

static void say_seed(void)
{
    if (current != 0) {
        (void)fprintf(stderr, "seed %llu\n", (unsigned long long)current);
    }
}

static void many_lives(void **state)
{
    for (current = 1; current <= SEEDS; current++) {
        one_life(current);
    }
    current = 0;
}

static void on_abort(int sig)
{
    say_seed();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_lives)};

    (void)signal(SIGABRT, on_abort);
    if (argc > 1) {
        uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

        current = strtoull(argv[1], NULL, 10);
        do {
            one_life(current);
        } while (current++ < last);
        return 0;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("controller core: random", tests, NULL, NULL);
}
