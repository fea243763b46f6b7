/* What a call's time goes into. */
#include "agent/gateway/gateway_private.h"
#include "common/clock.h"

static uint64_t since(uint64_t from_us, uint64_t now_us)
{
    return now_us > from_us ? now_us - from_us : 0;
}

/* When it could have gone on. */
static uint64_t begun_us(const struct gateway_call *c)
{
    return c->arrived_us + c->timing.body_us;
}

static struct timing keep_body(const struct gateway_call *c)
{
    return (struct timing){.body_us = c->timing.body_us, .read = c->timing.read};
}

void call_timing_read(struct gateway_call *c)
{
    c->timing.read = true;
    c->timing.body_us = since(c->arrived_us, clock_mono_us());
}

void call_timing_dispatched(struct gateway_call *c)
{
    const struct instance *in = c->call.instance;
    const struct runtime_phases *p = runtime_instance_phases(in->edge);

    c->dispatched_us = c->call.dispatched_us; /* the core looked at the clock just now */
    c->timing = keep_body(c);
    timing_waited(&c->timing, begun_us(c), c->dispatched_us, in->ready_us, p->sandbox_us,
                  p->init_us);
}

void call_timing_ran(struct gateway_call *c)
{
    c->timing.run_us = since(c->dispatched_us, clock_mono_us());
    c->timing.ran = true;
}

size_t call_timing_find(struct http_headers headers)
{
    for (size_t i = headers.n; i > 0; i--) {
        if (http_str_ieq(headers.list[i - 1].name, "Server-Timing")) {
            return i - 1;
        }
    }
    return headers.n;
}

void call_timing_hop(struct gateway_call *c, struct http_headers headers)
{
    size_t at = call_timing_find(headers);
    struct timing t = {.queue_us = 0};

    if (at < headers.n) {
        (void)timing_read(&t, headers.list[at].value); /* else all of it is the hop's */
    }
    t.hopped = true;
    t.hop_us = 0;
    c->theirs_us = timing_total_us(&t);
    t.body_us = c->timing.body_us;
    t.read = c->timing.read;
    t.queue_us += since(begun_us(c), c->hop_began_us);
    c->timing = t;
}

/* Of one that nobody runs, or whose other agent has said nothing. */
static void still_on_its_way(struct gateway_call *c, uint64_t now_us)
{
    bool hops = c->phase == PHASE_HOP;

    c->timing = keep_body(c);
    c->timing.queue_us = since(begun_us(c), hops ? c->hop_began_us : now_us);
    c->timing.hopped = hops;
}

void call_timing_text(struct gateway_call *c, char ret[TIMING_SIZE])
{
    uint64_t now_us = clock_mono_us();

    if (c->dispatched_us > 0) {
        c->timing.run_us = since(c->dispatched_us, now_us);
        c->timing.ran = true;
    } else if (!c->timing.hopped) {
        still_on_its_way(c, now_us);
    }
    if (c->timing.hopped) {
        c->timing.hop_us = since(c->hop_began_us + c->theirs_us, now_us);
    }
    timing_format(ret, &c->timing);
}
