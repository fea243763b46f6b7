/* Alarms: who wants to be called when. An intrusive pairing heap
 * (https://en.wikipedia.org/wiki/Pairing_heap): setting and clearing never fail, the next
 * one is found at once. Alarms are embedded in what they wake; {0} is one that is not
 * set.
 */
#ifndef CONTROLLER_CORE_ALARMS_H
#define CONTROLLER_CORE_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

struct controller_core;

struct alarm {
    void (*fire)(struct controller_core *c, struct alarm *a); /* it is clear again then */
    uint64_t at_ms;
    bool set; /* private from here on */
    struct alarm *child;
    struct alarm *next; /* sibling */
    struct alarm *prev; /* sibling, or the parent of a first child */
};

struct alarms {
    struct alarm *root;
};

void alarms_set(struct alarms *as, struct alarm *a, uint64_t at_ms); /* or moves it */
void alarms_clear(struct alarms *as, struct alarm *a);
uint64_t alarms_next_ms(const struct alarms *as); /* UINT64_MAX: none is set */
/* Takes one that is due off, or returns NULL. */
struct alarm *alarms_take(struct alarms *as, uint64_t now_ms);

#endif /* CONTROLLER_CORE_ALARMS_H */
