/* What every engine must do: the conformance suite of controller/store/store.h. */
#ifndef TESTS_INTEGRATION_STORE_SUITE_H
#define TESTS_INTEGRATION_STORE_SUITE_H

#include "tests/integration/store_client.h"

struct suite_engine {
    const char *name;
    /* A store without keys. */
    int (*open)(struct store **ret, uv_loop_t *loop, struct error *err);
    /* Makes the store forget its history; all that is there stays. */
    void (*compact)(struct client *c);
    /* Undoes open, after the store was closed. May be NULL. */
    void (*cleanup)(void);
};

/* Runs all tests on the engine: number of failures. */
int store_suite_run(const struct suite_engine *engine);

#endif /* TESTS_INTEGRATION_STORE_SUITE_H */
