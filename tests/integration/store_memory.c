/* The conformance suite on the memory engine. */
#include <stdio.h>

#include "controller/store/history.h"
#include "tests/integration/store_suite.h"

static int open_store(struct store **ret, uv_loop_t *loop, struct error *err)
{
    return store_memory_new(ret, loop, err);
}

/* More changes than the history keeps. */
static void compact(struct client *c)
{
    for (int i = 0; i < HISTORY_EVENTS_MAX; i++) {
        (void)client_put(c, "compact", "x");
    }
}

int main(void)
{
    static const struct suite_engine memory = {
        .name = "store_memory", .open = open_store, .compact = compact};

    return store_suite_run(&memory);
}
