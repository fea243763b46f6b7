/* What the core says about a call. */
#include <stdio.h>
#include <string.h>

#include "agent/gateway/gateway_private.h"
#include "common/check.h"

/* Within the core's io: the call starts at once, but if that fails the core hears of it
 * only from the loop. */
static void decided(struct gateway_call *c, enum call_todo todo)
{
    if (c->todo == TODO_FAIL) {
        return; /* it is lost already, and the core hears of it next */
    }
    if (c->asking) {
        c->todo = todo;
    } else {
        call_go(c, todo);
    }
}

void gateway_call_dispatch(struct gateway *g, struct call *call)
{
    struct gateway_call *c = gateway_call_of(call);

    decided(c, TODO_DISPATCH);
}

void gateway_call_forward(struct gateway *g, struct call *call, const char *node,
                          const char *gateway)
{
    struct gateway_call *c = gateway_call_of(call);

    (void)snprintf(c->hop_node, sizeof(c->hop_node), "%s", node);
    (void)snprintf(c->hop_gateway, sizeof(c->hop_gateway), "%s", gateway);
    decided(c, TODO_FORWARD);
}

/* The path had two readings, and neither is there: names the one that was meant. A first
 * word "default" is a namespace, hardly a function of that name. */
static void fail_unknown(struct gateway_call *c)
{
    const struct route_target *first = &c->route.targets[0];

    if (*first->qualifier != '\0') {
        call_fail_later(c, CAUSE_NOT_FOUND,
                        "there is no function %s/%s, or it has no alias or version %s",
                        first->namespace_, first->name, first->qualifier);
        return;
    }
    if (strcmp(first->namespace_, "default") == 0) {
        call_fail_later(c, CAUSE_NOT_FOUND, "there is no function %s/%s",
                        first->namespace_, first->name);
    } else {
        call_fail_later(c, CAUSE_NOT_FOUND, "there is no function %s/%s, nor default/%s",
                        first->namespace_, first->name, first->namespace_);
    }
}

void gateway_call_reject(struct gateway *g, struct call *call, enum cause cause,
                         const char *text, uint32_t retry_after_s)
{
    struct gateway_call *c = gateway_call_of(call);

    CHECK(c->core_open);
    c->core_open = false;
    if (cause == CAUSE_NOT_FOUND && call->picked && c->n_again == 0) {
        /* The version that was picked went while the call waited: another is. */
        c->picked = 0;
        call_again_later(c, 1, cause, "%s", text);
        return;
    }
    if (cause == CAUSE_NOT_FOUND && c->reading + 1 < c->route.n) {
        c->reading++;
        call_later(c, TODO_ASK);
        return;
    }
    if (cause == CAUSE_NOT_FOUND && !g->informed && c->trust != MARK_TRUSTED) {
        call_fail_later(c, CAUSE_NO_CAPACITY,
                        "node %s has started and does not know yet what there is",
                        g->node);
        return;
    }
    if (cause == CAUSE_NOT_FOUND && c->reading > 0) {
        fail_unknown(c);
        return;
    }
    if (c->trust == MARK_TRUSTED) {
        c->said = (struct mark_reply){.room = agent_core_room(g->core, call->version),
                                      .verdict = call->verdict};
    }
    call_fail_later(c, cause, "%s", text);
    c->retry_after_s = retry_after_s;
}

void gateway_call_timeout(struct gateway *g, struct call *call)
{
    struct gateway_call *c = gateway_call_of(call);

    CHECK(c->core_open);
    c->core_open = false;
    if (c->phase == PHASE_RUN && c->run != NULL && call_run_withdraw(c)) {
        /* The program was still busy with the call before; its instance is stopped. */
        call_again_later(c, AGAIN_INSTANCE_MAX, CAUSE_TIMEOUT,
                         "the function did not take the call in its timeout of %u ms",
                         version_spec(call->version)->timeout_ms);
        return;
    }
    if (c->phase == PHASE_HOP && !c->replied) { /* its timeout is the other's to tell */
        (void)call_drop_work(c);
        call_fail_later(c, CAUSE_NODE_LOST,
                        "%s has the call, and does not answer in its time", c->hop_node);
        return;
    }
    (void)call_drop_work(c);      /* the core stops the instance if it must be */
    if (c->phase == PHASE_OVER) { /* its caller has the reply */
        call_maybe_free(c);
        return;
    }
    if (call->version != NULL) {
        call_fail_later(c, CAUSE_TIMEOUT, "the function ran past its timeout of %u ms",
                        version_spec(call->version)->timeout_ms);
    } else {
        call_fail_later(c, CAUSE_TIMEOUT, "the function ran past its timeout");
    }
}
