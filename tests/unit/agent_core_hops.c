/* Calls between nodes: who gets them, what comes back without having begun, and where it
 * goes then. Every test is at "here"; n1 and n2 are other nodes. */
#include <string.h>

#include "tests/unit/agent_core_world.h"

/* Version 1 of "f": `here` instances on this node, as many as that on n1 and n2. Without
 * reuse, so that no node is asked for an idle one. */
static struct deploy everywhere(struct world *w, uint32_t here, uint32_t n1, uint32_t n2)
{
    struct deploy d = deploy_one("f", here, 0);

    world_peer(w, "n1", true);
    world_peer(w, "n2", true);
    deploy_grant(&d, 0, "n1", n1, 0);
    deploy_grant(&d, 0, "n2", n2, 0);
    d.versions[0].spec.reuse = false;
    return d;
}

static void room(struct world *w, struct test_call *c, uint32_t free, uint32_t load)
{
    const struct hop_room r = {.free = free, .load_permille = load};

    agent_core_hop_room(w->core, &c->call, c->node, &r);
    world_done(w, c);
}

static void returned(struct world *w, struct test_call *c, enum call_verdict verdict,
                     enum cause cause)
{
    char node[sizeof(c->node)];

    memcpy(node, c->node, sizeof(node));
    c->outcome = NO_OUTCOME;
    agent_core_call_returned(w->core, &c->call, node, verdict, cause);
    assert_true(agent_core_check(w->core));
}

static void arrives(struct world *w, struct test_call *c, bool may_wait, uint64_t left_ms)
{
    const struct call_hop hop = {.may_wait = may_wait, .queue_left_ms = left_ms};

    *c = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call_hop(w->core, &c->call, NULL, "f", &hop);
    assert_true(agent_core_check(w->core));
}

/* --- who gets a call
 * ------------------------------------------------------------------ */

/* Of two nodes the one that said it has more free slots; what was sent there since counts
 * against it. */
static void more_room_gets_the_call(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 4, 4);
    struct test_call c[2];
    unsigned n1 = 0;

    world_deploy(w, &d);
    world_call(w, &c[0], "f");
    world_call(w, &c[1], "f");
    assert_string_not_equal(c[0].node,
                            c[1].node); /* one each: then they are even again */
    for (unsigned i = 0; i < 2; i++) {
        room(w, &c[i], strcmp(c[i].node, "n1") == 0 ? 3 : 1, 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        world_call(w, &c[0], "f");
        assert_outcome(&c[0], FORWARDED);
        n1 += strcmp(c[0].node, "n1") == 0;
        world_done(w, &c[0]);
    }
    assert_int_equal(n1, 3);
    world_free(w);
}

/* As much room: the node with more memory left. */
static void as_much_room_goes_by_load(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 4, 4);
    struct test_call c[2];

    world_deploy(w, &d);
    for (unsigned round = 0; round < 20; round++) {
        world_call(w, &c[0], "f");
        world_call(w, &c[1], "f");
        for (unsigned i = 0; i < 2; i++) {
            room(w, &c[i], 3, strcmp(c[i].node, "n1") == 0 ? 900 : 100);
        }
        if (round > 0) {
            assert_string_equal(c[0].node, "n2");
        }
        world_pass_ms(w, 1);
    }
    world_free(w);
}

/* What was said fades: a node that was full is tried again though nobody said anything.
 */
static void what_was_said_fades(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 0, 0);
    struct test_call c;

    world_peer(w, "n1", true);
    deploy_grant(&d, 0, "n1", 2, 0);
    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_false(c.call.may_wait);
    room(w, &c, 0, 0);
    world_call(w, &c, "f");
    assert_true(c.call.may_wait); /* it is full, and may keep the call all the same */
    world_done(w, &c);
    world_pass_ms(w, CORE_ROOM_MS);
    world_call(w, &c, "f");
    assert_false(c.call.may_wait);
    world_done(w, &c);
    world_free(w);
}

/* --- idle instances elsewhere
 * ---------------------------------------------------------- */

/* n1, n2, here: in this order, 2 instances each. */
static struct deploy three(struct world *w)
{
    struct deploy d = deploy_one("f", 0, 0);

    world_peer(w, "n1", true);
    world_peer(w, "n2", true);
    d.versions[0].n_grants = 0;
    deploy_grant(&d, 0, "n1", 2, 0);
    deploy_grant(&d, 0, "n2", 2, 0);
    deploy_grant(&d, 0, "here", 2, 0);
    return d;
}

/* While nothing runs here, the first node with a grant is asked whether it has an idle
 * instance; when its instances are busy, one is started here, which takes the next. */
static void asks_before_it_starts(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = three(w);
    struct test_call c, next;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    assert_outcome(&c, FORWARDED);
    assert_string_equal(c.node, "n1");
    assert_true(c.call.only_idle);
    world_call(w, &next, "f");
    assert_outcome(&next, FORWARDED);
    world_done(w, &next);
    returned(w, &c, VERDICT_BUSY, CAUSE_THROTTLED);
    assert_outcome(&c, NO_OUTCOME);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    world_call(w, &next, "f"); /* 2 may be here: not asked again */
    assert_outcome(&next, NO_OUTCOME);
    world_ready(w, 1);
    world_done(w, &c);
    world_done(w, &next);
    world_free(w);
}

/* It asks the one that is to keep some, though another comes first, and though itself
 * does; nobody, if that is itself, or if it comes first and none is to. */
static void asks_who_keeps_some(void **state)
{
    static const struct {
        const char *first, *second;
        uint32_t warm1, warm2;
        const char *asked;
    } rows[] = {
        {"n1", "here", 0, 0, "n1"}, {"here", "n1", 0, 0, NULL},
        {"here", "n1", 0, 1, "n1"}, {"n1", "here", 0, 1, NULL},
        {"n2", "n1", 0, 1, "n1"},   {"n2", "n1", 1, 1, "n2"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_new(0, 0);
        struct deploy d = three(w);
        struct test_call c;

        d.versions[0].n_grants = 0;
        deploy_grant(&d, 0, rows[i].first, 2, rows[i].warm1);
        deploy_grant(&d, 0, rows[i].second, 2, rows[i].warm2);
        world_deploy(w, &d);
        world_call(w, &c, "f");
        if (rows[i].asked != NULL) {
            assert_outcome(&c, FORWARDED);
            assert_string_equal(c.node, rows[i].asked);
            world_done(w, &c);
        } else {
            assert_outcome(&c, NO_OUTCOME);
            world_ready(w, 0);
            world_done(w, &c);
        }
        world_free(w);
    }
}

/* With load a node has its own: so many asks a second, and none after a vain one. */
static void asks_are_few(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = three(w);
    struct test_call c[CORE_ASKS_MAX + 1];

    world_deploy(w, &d);
    for (unsigned i = 0; i < CORE_ASKS_MAX; i++) {
        world_call(w, &c[i], "f");
        assert_outcome(&c[i], FORWARDED);
        room(w, &c[i], 1, 0);
    }
    world_call(w, &c[CORE_ASKS_MAX], "f");
    assert_outcome(&c[CORE_ASKS_MAX], NO_OUTCOME);
    agent_core_call_cancel(w->core, &c[CORE_ASKS_MAX].call, true);
    world_ready(w, 0);
    world_pass_ms(w, 100 * CORE_ASKS_MS);
    while (world_stopped(w) > 0) {
        world_gone(w, 0);
    }
    world_free(w);
}

/* Who is asked gives the call an idle instance, or starts the first; what would have to
 * wait, or start another, it gives back. */
static void answers_who_asks(void **state)
{
    const struct call_hop hop = {.only_idle = true, .queue_left_ms = 1000};
    struct world *w = world_new(0, 0);
    struct deploy d = three(w);
    struct test_call c = {.outcome = NO_OUTCOME}, next = {.outcome = NO_OUTCOME};

    world_deploy(w, &d);
    agent_core_call_hop(w->core, &c.call, NULL, "f", &hop);
    assert_outcome(&c, NO_OUTCOME);
    agent_core_call_hop(w->core, &next.call, NULL, "f", &hop);
    assert_outcome(&next, REJECTED);
    assert_int_equal(next.call.verdict, VERDICT_BUSY);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    next = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call_hop(w->core, &next.call, NULL, "f", &hop);
    assert_outcome(&next, REJECTED);
    world_done(w, &c);
    next = (struct test_call){.outcome = NO_OUTCOME};
    agent_core_call_hop(w->core, &next.call, NULL, "f", &hop);
    assert_outcome(&next, DISPATCHED);
    world_done(w, &next);
    world_free(w);
}

/* --- what comes back
 * ------------------------------------------------------------------ */

/* A node that could not take a call is left out for a while; the call goes to the next,
 * and to an instance here when there is one. */
static void a_returned_call_goes_elsewhere(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 4, 4);
    struct test_call c, next;
    char first[sizeof(c.node)];

    world_deploy(w, &d);
    world_call(w, &c, "f");
    memcpy(first, c.node, sizeof(first));
    returned(w, &c, VERDICT_CANNOT, CAUSE_NO_CAPACITY);
    assert_outcome(&c, FORWARDED);
    assert_string_not_equal(c.node, first);
    world_call(w, &next, "f");
    assert_string_not_equal(next.node, first);
    deploy_grant(&d, 0, "here", 1, 0);
    world_apply(w, &d);
    world_package(w, 1);
    returned(w, &c, VERDICT_CANNOT, CAUSE_NO_CAPACITY);
    assert_outcome(&c, NO_OUTCOME);
    world_ready(w, 0);
    assert_outcome(&c, DISPATCHED);
    world_free(w);
}

/* A node that would make it wait gets it only when no other has a free slot, and is then
 * told that it may. */
static void a_busy_node_is_the_last_choice(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 4, 4);
    struct test_call c;
    char first[sizeof(c.node)];

    world_deploy(w, &d);
    world_call(w, &c, "f");
    memcpy(first, c.node, sizeof(first));
    returned(w, &c, VERDICT_BUSY, CAUSE_THROTTLED);
    assert_outcome(&c, FORWARDED);
    assert_string_not_equal(c.node, first);
    assert_false(c.call.may_wait);
    returned(w, &c, VERDICT_BUSY, CAUSE_THROTTLED);
    assert_outcome(&c, FORWARDED);
    assert_true(c.call.may_wait);
    world_done(w, &c);
    world_free(w);
}

/* If none can take it, it waits here, is tried again, and its time is that of its
 * arrival. */
static void it_waits_where_it_came_first(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 1, 1);
    struct test_call c;
    unsigned tries = 0;
    uint64_t left_ms = d.versions[0].spec.queue_timeout_ms;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    for (uint64_t ms = 0; c.outcome != REJECTED && ms < 2 * left_ms; ms++) {
        if (c.outcome == FORWARDED) {
            assert_int_equal(agent_core_queue_left_ms(w->core, &c.call),
                             left_ms > ms ? left_ms - ms : 0);
            tries++;
            returned(w, &c, VERDICT_CANNOT, CAUSE_NO_CAPACITY);
            assert_true(ms < left_ms);
        }
        if (c.outcome != REJECTED) {
            world_pass_ms(w, 1);
        }
    }
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(world_ms(w), 1000 + left_ms);
    assert_in_range(tries, 4, CORE_HOPS_MAX);
    world_free(w);
}

/* News that a node has room moves what waits here at once. */
static void news_of_room_moves_what_waits(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 1, 2, 0);
    struct test_call here, there, waits;

    world_deploy(w, &d);
    world_call(w, &here, "f");
    world_ready(w, 0);
    world_call(w, &there, "f");
    assert_outcome(&there, FORWARDED);
    world_call(w, &waits, "f");
    assert_outcome(&waits, FORWARDED);
    returned(w, &waits, VERDICT_BUSY, CAUSE_THROTTLED);
    assert_outcome(&waits, NO_OUTCOME); /* an instance here will take it */
    room(w, &there, 1, 0);
    assert_outcome(&waits, FORWARDED);
    world_free(w);
}

/* A function that was deleted meanwhile is not there for what comes back. */
static void deleted_meanwhile(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    agent_core_function_deleted(w->core, "default", "f", ++w->revision);
    returned(w, &c, VERDICT_CANNOT, CAUSE_NOT_FOUND);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    world_free(w);
}

/* A version that is retired while its call is away is gone for good: the call waits for
 * the next one (it once kept a pointer to it). */
static void retired_meanwhile(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 0, 1, 1);
    struct test_call c;

    world_deploy(w, &d);
    world_call(w, &c, "f");
    deploy_drop(&d, 0);
    d.serving = 0;
    (void)deploy_version(&d, 2);
    world_deploy(w, &d);
    returned(w, &c, VERDICT_CANNOT, CAUSE_NO_CAPACITY);
    assert_outcome(&c, NO_OUTCOME);
    assert_null(c.call.version);
    deploy_grant(&d, 0, "n1", 1, 0);
    d.serving = 2;
    world_deploy(w, &d);
    assert_outcome(&c, FORWARDED);
    assert_int_equal(version_number(c.call.version), 2);
    world_free(w);
}

/* A version with a shorter queue timeout that serves meanwhile is the one whose time
 * counts, and it may be over when the call comes back: it ends then (it once went into
 * the queue past its deadline). So with one that is not ready to serve yet. */
static void a_shorter_time_meanwhile(void **state)
{
    for (uint64_t serving = 0; serving <= 2; serving += 2) {
        struct world *w = world_new(0, 0);
        struct deploy d = everywhere(w, 0, 1, 1);
        struct test_call c;

        world_deploy(w, &d);
        world_call(w, &c, "f");
        deploy_drop(&d, 0);
        deploy_version(&d, 2)->spec.queue_timeout_ms = 100;
        deploy_grant(&d, 0, "here", 1, 0);
        d.serving = serving;
        world_apply(w, &d);
        world_pass_ms(w, 100);
        returned(w, &c, VERDICT_CANNOT, CAUSE_NO_CAPACITY);
        assert_rejected(&c, CAUSE_NO_CAPACITY);
        world_free(w);
    }
}

/* --- what is given back
 * --------------------------------------------------------------- */

/* A node gives back what it cannot run: no grant, no memory, a drain, no such function.
 */
static void gives_back_what_it_cannot_run(void **state)
{
    struct world *w = world_new(256, 0);
    struct deploy big = deploy_one("big", 1, 1);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    arrives(w, &c, true, 1000);
    assert_rejected(&c, CAUSE_NOT_FOUND);
    assert_int_equal(c.call.verdict, VERDICT_CANNOT);
    big.versions[0].spec.memory_mib = 200;
    d.versions[0].spec.memory_mib = 100;
    world_deploy(w, &big);
    world_deploy(w, &d);
    arrives(w, &c, true, 1000);
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(c.call.verdict, VERDICT_CANNOT);
    deploy_grant(&d, 0, "here", 0, 0);
    world_apply(w, &d);
    arrives(w, &c, true, 1000);
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(c.call.verdict, VERDICT_CANNOT);
    agent_core_drain(w->core);
    arrives(w, &c, true, 1000);
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(c.call.verdict, VERDICT_CANNOT);
    world_call(w, &c, "f"); /* a client's own call is answered */
    assert_int_equal(c.call.verdict, VERDICT_FINAL);
    world_free(w);
}

/* What would have to wait is given back, unless the other node said that it may; then it
 * waits no longer than that node lets it, and that is the end of it. */
static void waits_only_if_it_may(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 1);
    struct test_call runs, c;

    world_deploy(w, &d);
    world_ready(w, 0);
    arrives(w, &runs, false, 1000);
    assert_outcome(&runs, DISPATCHED);
    arrives(w, &c, false, 1000);
    assert_rejected(&c, CAUSE_THROTTLED);
    assert_int_equal(c.call.verdict, VERDICT_BUSY);
    arrives(w, &c, true, 70);
    assert_outcome(&c, NO_OUTCOME);
    world_pass_ms(w, 69);
    assert_outcome(&c, NO_OUTCOME);
    world_pass_ms(w, 1);
    assert_rejected(&c, CAUSE_QUEUE_TIMEOUT);
    assert_int_equal(c.call.verdict, VERDICT_FINAL);
    world_free(w);
}

/* What waits here is given back as soon as nothing here will take it any more. */
static void gives_back_what_waits_in_vain(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call runs, c;

    world_deploy(w, &d);
    arrives(w, &runs, false, 1000);
    world_ready(w, 0);
    arrives(w, &c, true, 5000);
    deploy_grant(&d, 0, "here", 0, 0);
    world_apply(w, &d);
    assert_rejected(&c, CAUSE_NO_CAPACITY);
    assert_int_equal(c.call.verdict, VERDICT_CANNOT);
    assert_outcome(&runs, DISPATCHED);
    world_done(w, &runs);
    world_gone(w, 0);
    world_free(w);
}

/* The function's own fault is the same anywhere: the caller is told. */
static void own_faults_are_final(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = deploy_one("f", 1, 0);
    struct test_call c;

    world_deploy(w, &d);
    arrives(w, &c, true, 60000);
    for (unsigned i = 0; i < CORE_FAILURES_PATIENCE; i++) {
        assert_outcome(&c, NO_OUTCOME);
        world_fail(w, i, CAUSE_INIT_FAILED, "exit status 1");
        if (c.outcome == NO_OUTCOME) {
            world_gone(w, i);
            world_pass_ms(w, CORE_START_PAUSE_MAX_MS / 100);
        }
    }
    assert_rejected(&c, CAUSE_INIT_FAILED);
    assert_int_equal(c.call.verdict, VERDICT_FINAL);
    world_free(w);
}

/* What another node's call waits for at a node that drains will never come: it is given
 * back at once, and not when its time is over. */
static void a_draining_node_keeps_nothing(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 1, 1, 1);
    struct test_call running, waiting;

    world_deploy(w, &d);
    world_call(w, &running, "f");
    world_ready(w, 0);
    assert_outcome(&running, DISPATCHED);
    arrives(w, &waiting, true, 1000);
    assert_outcome(&waiting, NO_OUTCOME);
    agent_core_drain(w->core);
    assert_rejected(&waiting, CAUSE_NO_CAPACITY);
    assert_int_equal(waiting.call.verdict, VERDICT_CANNOT);
    world_done(w, &running);
    world_gone(w, 0);
    world_free(w);
}

/* A node that drains hands its own calls on, also while the others cannot take them just
 * then. */
static void a_draining_node_keeps_trying(void **state)
{
    struct world *w = world_new(0, 0);
    struct deploy d = everywhere(w, 1, 1, 0);
    struct test_call c;

    world_deploy(w, &d);
    agent_core_drain(w->core);
    world_call(w, &c, "f");
    assert_outcome(&c, FORWARDED);
    returned(w, &c, VERDICT_CANNOT, CAUSE_NODE_LOST);
    assert_outcome(&c, NO_OUTCOME);
    world_pass_ms(w, CORE_AVOID_MIN_MS + CORE_OFFLOAD_MS);
    assert_outcome(&c, FORWARDED);
    world_done(w, &c);
    world_free(w);
}

/* --- room ----------------------------------------------------------------------------
 */

/* Free slots are those of instances that are up, frozen or not, and of those that could
 * start. */
static void room_is_what_could_be_taken(void **state)
{
    struct world *w = world_new(350, 0);
    struct deploy d = deploy_one("f", 5, 1);
    struct test_call c;
    const struct version *v;

    d.versions[0].spec.memory_mib = 100;
    d.versions[0].spec.concurrency = 2;
    world_freeze_after(w, 10);
    world_deploy(w, &d);
    world_ready(w, 0);
    v = world_instance(w, 0)->version;
    assert_int_equal(agent_core_room(w->core, v).free, 6); /* three fit */
    world_pass_ms(w, 10);
    assert_int_equal(world_instance(w, 0)->state, INSTANCE_FROZEN);
    assert_int_equal(agent_core_room(w->core, v).free, 6);
    world_call(w, &c, "f");
    assert_int_equal(agent_core_room(w->core, v).free, 5);
    assert_in_range(agent_core_room(w->core, v).load_permille, 280, 290);
    assert_int_equal(agent_core_room(w->core, NULL).free, 0);
    agent_core_drain(w->core);
    assert_int_equal(agent_core_room(w->core, v).free, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_room_gets_the_call),
        cmocka_unit_test(as_much_room_goes_by_load),
        cmocka_unit_test(what_was_said_fades),
        cmocka_unit_test(asks_before_it_starts),
        cmocka_unit_test(asks_who_keeps_some),
        cmocka_unit_test(asks_are_few),
        cmocka_unit_test(answers_who_asks),
        cmocka_unit_test(a_returned_call_goes_elsewhere),
        cmocka_unit_test(a_busy_node_is_the_last_choice),
        cmocka_unit_test(it_waits_where_it_came_first),
        cmocka_unit_test(news_of_room_moves_what_waits),
        cmocka_unit_test(deleted_meanwhile),
        cmocka_unit_test(retired_meanwhile),
        cmocka_unit_test(a_shorter_time_meanwhile),
        cmocka_unit_test(gives_back_what_it_cannot_run),
        cmocka_unit_test(waits_only_if_it_may),
        cmocka_unit_test(gives_back_what_waits_in_vain),
        cmocka_unit_test(own_faults_are_final),
        cmocka_unit_test(a_draining_node_keeps_nothing),
        cmocka_unit_test(a_draining_node_keeps_trying),
        cmocka_unit_test(room_is_what_could_be_taken),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("agent core: hops", tests, NULL, NULL);
}
