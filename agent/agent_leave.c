/* Grants that end: those of an agent that is told to stop, which the controller gives to
 * others first, and those of a node that no controller has spoken to for too long. */
#include <systemd/sd-daemon.h>

#include "agent/agent.h"
#include "common/log.h"

#define LEAVE_MAX_MS      5000 /* for the controller to give the grants away */
#define GRANTS_DEFAULT_MS (3600u * 1000)

/* --- leaving
 * ---------------------------------------------------------------------------- */

void agent_leave_tell(struct agent *a)
{
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    Mayfly__V1__Leaving leaving = MAYFLY__V1__LEAVING__INIT;

    if (a->phase == AGENT_RUNNING || a->link == NULL) {
        return;
    }
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_LEAVING;
    m.leaving = &leaving;
    if (link_send(a->link, &m) < 0) {
        log_warn("the controller could not be told that the agent stops");
    }
}

void agent_leave_begin(struct agent *a)
{
    uint32_t notice_ms = a->config->stop_notice_ms;
    uint64_t now_ms = uv_now(&a->loop);

    a->phase = AGENT_LEAVING;
    a->notice_until_ms = now_ms + notice_ms;
    a->phase_until_ms = now_ms + (notice_ms > LEAVE_MAX_MS ? notice_ms : LEAVE_MAX_MS);
    (void)sd_notify(0, "STOPPING=1");
    log_info("stopping: the grants are given back", LOG_INT("notice_ms", notice_ms));
    gateway_leave(a->gateway);
    agent_leave_tell(a);
}

/* Without a controller nobody takes the grants over: there is nothing to wait for. */
bool agent_leave_is_over(struct agent *a)
{
    uint64_t now_ms = uv_now(&a->loop);
    bool waits = a->link != NULL && link_is_up(a->link) && agent_core_is_granted(a->core);

    return now_ms >= a->phase_until_ms || (now_ms >= a->notice_until_ms && !waits);
}

/* --- the grants' time to live
 * ------------------------------------------------------------ */

void agent_grants_alone(struct agent *a)
{
    if (a->down_ms == 0) {
        a->down_ms = uv_now(&a->loop) > 0 ? uv_now(&a->loop) : 1;
    }
}

void agent_grants_renewed(struct agent *a)
{
    a->down_ms = 0;
    agent_core_lapse(a->core, false);
}

uint64_t agent_grants_end_in_ms(const struct agent *a)
{
    uint64_t now_ms = uv_now(&a->loop), until_ms;

    if (a->down_ms == 0) {
        return UINT64_MAX;
    }
    until_ms = a->down_ms + (a->grants_ttl_ms > 0 ? a->grants_ttl_ms : GRANTS_DEFAULT_MS);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

void agent_grants_turn(struct agent *a)
{
    if (agent_grants_end_in_ms(a) > 0) {
        return;
    }
    a->down_ms = 0; /* once */
    if (agent_core_is_granted(a->core)) {
        log_warn("no controller for the grants' time to live: they have lapsed",
                 LOG_INT("grants_ttl_ms", a->grants_ttl_ms));
    }
    agent_core_lapse(a->core, true);
}
