/* What the tests of the Runtime API share: a bench, and a bootstrap in Python that does
 * what its event's first word says. */
#ifndef TESTS_INTEGRATION_RUNTIME_LAMBDA_FIXTURE_H
#define TESTS_INTEGRATION_RUNTIME_LAMBDA_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "tests/lib/runtime.h"

extern struct runtime_bench bench;

int lambda_bench_open(
    void **state); /* cmocka's group set-up: the package is the bootstrap */
int lambda_bench_close(void **state);

/* An instance that is ready. */
void lambda_run(struct bench_instance *i, uint32_t concurrency);
/* A call with this event, which goes on. */
void lambda_begin(struct bench_instance *i, struct bench_call *c, const char *event);
/* A call whose instance ends with it, for the same cause. */
void lambda_dies(struct bench_call *c, const char *event);

#endif /* TESTS_INTEGRATION_RUNTIME_LAMBDA_FIXTURE_H */
