/* Nothing kept beyond the process: for tests and for trying out. */
#include "controller/store/local.h"

int store_memory_new(struct store **ret, uv_loop_t *loop, struct error *err)
{
    struct local_options options = {.name = "memory"};
    struct state *state;
    int rc = state_new(&state, &options.persist);

    if (rc < 0) {
        return error_set(err, rc, "out of memory");
    }
    return local_new(ret, loop, state, &options, err);
}
