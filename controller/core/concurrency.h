/* Concurrency that is promised to a function, whatever its versions say: attributes of
 * its record, of which versions' specs know nothing, so that none has to be made
 * for a change of them.
 *
 *   "reserved"          {"calls": N}: room for N calls at once and no more, in place of
 *                       what its versions' specs say; 0: calls are refused
 *   "provisioned:1"     {"calls": N}: instances that are kept ready for so many calls of
 *                       the version that was published under this number,
 *   "provisioned:live"  or of the alias's versions, by their weights
 *
 * Pure; what cannot be read counts as not there. */
#ifndef CONTROLLER_CORE_CONCURRENCY_H
#define CONTROLLER_CORE_CONCURRENCY_H

#include "controller/core/controller_core.h"
#include "controller/core/records.h"
#include "controller/core/traffic.h"

#define CONCURRENCY_MAX 100000 /* calls: what a spec may reserve */

/* False: nothing is reserved. */
bool concurrency_reserved(const struct record *r, uint32_t *ret_calls);
/* Calls at once of this version that instances are kept ready for. */
uint32_t concurrency_provisioned(const struct record *r, uint64_t number);
/* Calls that are kept for it: what is reserved, which contains what is provisioned. */
uint64_t concurrency_taken(const struct record *r);
/* Instances that so many calls take; 0 for 0. */
uint32_t concurrency_instances(const struct function_spec *spec, uint32_t calls);

#endif /* CONTROLLER_CORE_CONCURRENCY_H */
