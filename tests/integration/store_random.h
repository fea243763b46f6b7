/* Random transactions on a store, compared step by step with a model: an array of keys.
 */
#ifndef TESTS_INTEGRATION_STORE_RANDOM_H
#define TESTS_INTEGRATION_STORE_RANDOM_H

#include "tests/integration/store_client.h"

/* Prints its seed; MAYFLY_SEED repeats one. */
void store_random_run(struct client *c, int steps);

#endif /* TESTS_INTEGRATION_STORE_RANDOM_H */
