/* Calls of versions that want a fresh sandbox for each, as the core makes them: an
 * instance, its call, its end. */
#ifndef TESTS_INTEGRATION_RUNTIME_RECYCLED_FIXTURE_H
#define TESTS_INTEGRATION_RUNTIME_RECYCLED_FIXTURE_H

#include "tests/lib/runtime.h"

extern struct runtime_bench bench;

int recycled_open(void **state);
int recycled_close(void **state);

uint64_t recycled_version(void); /* another one each time */
void recycled_init(struct bench_instance *i, uint64_t version_id);
/* code: in Python. */
void recycled_run(struct bench_instance *i, const char *code, struct bench_call *c);
void recycled_end(struct bench_instance *i, struct bench_call *c);
/* The reply of a call that succeeds, the caller's to free. */
char *recycled_reply(uint64_t version_id, const char *code);
struct runtime_recycled recycled_counts(void);

/* Says which sandbox it is in: a namespace's number is given again when it has gone, and
 * then to one whose init began later. */
#define RECYCLED_WHICH                          \
    "import os\n"                               \
    "print(os.readlink('/proc/self/ns/mnt'),\n" \
    "      open('/proc/1/stat').read().split()[21])\n"

#endif /* TESTS_INTEGRATION_RUNTIME_RECYCLED_FIXTURE_H */
