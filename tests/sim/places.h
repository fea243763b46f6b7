/* Where instances may be: labels, constraints, CPU and reservations in the simulated
 * world, and what must always be true of them. */
#ifndef TESTS_SIM_PLACES_H
#define TESTS_SIM_PLACES_H

#include "tests/sim/node.h"

/* What a node's agent tells, by its number from 0. */
const char *const *sim_places_labels(unsigned index);
/* An operator's labels, sometimes; or NULL. */
json_t *sim_places_order(struct sim *s);
/* A deployment's constraints, CPU and reservation, sometimes. Numbers go to *spec, and
 * constraints to *with. */
void sim_places_spec(struct sim *s, struct function_spec *spec,
                     struct function_spec *with);

/* A place may be missing: constraints, reservations or little CPU ask for much. */
bool sim_places_are_scarce(const struct sim *s);
/* Nodes that take new work and satisfy the constraints of this version's spec. */
uint64_t sim_places_open(struct sim *s, const json_t *spec);

/* Each says what is wrong on stderr. */
bool sim_places_check_start(const struct sim_node *n, const struct sim_instance *si);
bool sim_places_check_node_rest(const struct sim_node *n);
bool sim_places_check_function(struct sim *s, const json_t *function);
/* All that the function reserves is granted, and calls are to be answered. */
bool sim_places_are_reserved(const json_t *function);

#endif /* TESTS_SIM_PLACES_H */
