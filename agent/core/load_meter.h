/* Load meter: how much load there was, as a counter. It sums the number of calls that
 * wait or run over time, so that who reads it twice knows the exact average in between,
 * whatever came and went meanwhile. Pure; times are those of one clock in microseconds,
 * and one that goes back counts as standing still. */
#ifndef AGENT_CORE_LOAD_METER_H
#define AGENT_CORE_LOAD_METER_H

#include <stdint.h>

struct load_meter {    /* {0} is one without load */
    uint64_t load_us;  /* calls times microseconds, up to since_us */
    uint64_t since_us; /* from then on there are */
    uint32_t level;    /* so many calls */
    uint64_t begun;    /* calls given to an instance */
};

void load_meter_add(struct load_meter *m, uint64_t now_us);    /* a call more */
void load_meter_remove(struct load_meter *m, uint64_t now_us); /* there is one */
/* The counter as it is now. */
uint64_t load_meter_read(const struct load_meter *m, uint64_t now_us);

#endif /* AGENT_CORE_LOAD_METER_H */
