/* python and node: programs of the kind `lambda` that are ours (agent/runtimes), and call
 * the function of a module. */
#include <string.h>

#include "agent/runtime/runtime_private.h"

#define RUNTIME_DIR "/var/runtime" /* where the warden puts them */

bool managed_is(const struct function_spec *spec)
{
    return spec->runtime == SPEC_RUNTIME_PYTHON || spec->runtime == SPEC_RUNTIME_NODE;
}

/* As Lambda's console proposes them. */
const char *managed_handler(const struct function_spec *spec)
{
    return spec->runtime == SPEC_RUNTIME_PYTHON ? "lambda_function.lambda_handler"
           : spec->runtime == SPEC_RUNTIME_NODE ? "index.handler"
                                                : "bootstrap";
}

static bool node_has_heap_limit(const struct function_spec *spec)
{
    for (size_t i = 0; i < spec->n_env; i++) {
        const char *value = spec->env[i].value;

        if (strcmp(spec->env[i].name, "NODE_OPTIONS") == 0 &&
            (strstr(value, "--max-old-space-size") != NULL ||
             strstr(value, "--max_old_space_size") != NULL)) {
            return true;
        }
    }
    return false;
}

/* Without -E: PYTHONPATH and its like are the function's to set. Without `site` (-S),
 * which costs a tenth of a start: the runtime does what of it functions need. */
static int python_argv(struct strings *argv)
{
    int rc = strings_add(argv, "python3");

    rc = rc < 0 ? rc : strings_add(argv, "-S");
    return rc < 0 ? rc : strings_add(argv, RUNTIME_DIR "/python/main.py");
}

/* V8 sizes its heap by the host's memory: it must collect before the sandbox's is full.
 */
static int node_argv(struct strings *argv, const struct function_spec *spec)
{
    int rc = strings_add(argv, "node");

    if (rc == 0 && !node_has_heap_limit(spec)) {
        rc = strings_add(argv, "--max-old-space-size=%u", spec->memory_mib / 4 * 3);
    }
    return rc < 0 ? rc : strings_add(argv, RUNTIME_DIR "/node/index.js");
}

int managed_argv(struct strings *argv, const struct function_spec *spec)
{
    return spec->runtime == SPEC_RUNTIME_PYTHON ? python_argv(argv)
                                                : node_argv(argv, spec);
}
