/* A call's time, phase by phase, as Server-Timing tells it
 * (https://www.w3.org/TR/server-timing/). Pure: the clock is read elsewhere. */
#ifndef AGENT_GATEWAY_TIMING_H
#define AGENT_GATEWAY_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http/http.h"

/* Microseconds, in the order in which the phases come; they add up to the whole. */
struct timing {
    uint64_t body_us;  /* Lambda's API: the event is read, its signature checked */
    uint64_t queue_us; /* waited for an instance, its start left out */
    uint64_t start_us; /* the sandbox, as far as the call waited for it */
    uint64_t init_us;  /* the program, to ready; likewise */
    uint64_t run_us;   /* to the head of the reply */
    uint64_t hop_us;   /* another node ran it: all that is not in that one's phases */
    bool read, cold, ran, hopped; /* body; start and init; run; hop are to be told */
};

/* The call waited from `from_us` to `now_us` for an instance that was ready at `ready_us`
 * and had taken so long for its start and init: what of it the call saw. */
void timing_waited(struct timing *t, uint64_t from_us, uint64_t now_us, uint64_t ready_us,
                   uint64_t start_us, uint64_t init_us);

uint64_t timing_total_us(const struct timing *t);

#define TIMING_SIZE 256
/* "queue;dur=0.012, start;dur=1.100, init;dur=8.000, run;dur=0.900, total;dur=10.012" */
void timing_format(char ret[TIMING_SIZE], const struct timing *t);
/* What another agent has formatted. Names that are not known, and the total, are passed
 * over. -EINVAL: it is something else. */
int timing_read(struct timing *ret, struct http_str text);

#endif /* AGENT_GATEWAY_TIMING_H */
