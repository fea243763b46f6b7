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

/* Whether the function says this itself; V8 takes '_' for '-'. */
static bool node_has(const struct function_spec *spec, const char *option,
                     const char *other)
{
    for (size_t i = 0; i < spec->n_env; i++) {
        const char *value = spec->env[i].value;

        if (strcmp(spec->env[i].name, "NODE_OPTIONS") == 0 &&
            (strstr(value, option) != NULL || strstr(value, other) != NULL)) {
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
 * The first collection of what is new comes after some 4 MiB of it rather than in the
 * middle of a start. */
static int node_argv(struct strings *argv, const struct function_spec *spec)
{
    int rc = strings_add(argv, "node");

    if (rc == 0 && !node_has(spec, "--max-old-space-size", "--max_old_space_size")) {
        rc = strings_add(argv, "--max-old-space-size=%u", spec->memory_mib / 4 * 3);
    }
    if (rc == 0 && !node_has(spec, "semi-space-size", "semi_space_size")) {
        rc = strings_add(argv, "--min-semi-space-size=4");
    }
    return rc < 0 ? rc : strings_add(argv, RUNTIME_DIR "/node/index.js");
}

/* Variables that are read when the program starts, or may be: with one of its own a
 * function's runtime starts with it, and not before. */
static bool read_at_start(const char *name)
{
    static const char *const prefixes[] = {
        "PYTHON", "NODE_",    "LD_",  "LC_", "MALLOC_", "GLIBC_",
        "GCONV_", "OPENSSL_", "SSL_", "UV_", "V8_",
    };
    static const char *const names[] = {"LANG", "LANGUAGE", "TZ",  "TZDIR",
                                        "HOME", "TMPDIR",   "PATH"};

    if (strcmp(name, "NODE_ENV") == 0) {
        return false; /* is its programs', not Node.js's */
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool put(struct warden_seed *seed, char *const *list, uint32_t *ret_n)
{
    *ret_n = 0;
    for (; *list != NULL; list++, ++*ret_n) {
        size_t len = strlen(*list) + 1;

        if (len > sizeof(seed->text) - seed->len) {
            return false;
        }
        memcpy(seed->text + seed->len, *list, len);
        seed->len += (uint32_t)len;
    }
    return true;
}

/* The word "--seed" tells it to wait for the function. */
bool managed_seed(struct warden_seed *ret, const struct function_spec *spec)
{
    struct strings argv = {0}, env = {0};
    bool done;

    *ret = (struct warden_seed){0};
    for (size_t i = 0; i < spec->n_env; i++) {
        if (read_at_start(spec->env[i].name)) {
            return false;
        }
    }
    done = managed_argv(&argv, spec) == 0 && strings_add(&argv, "--seed") == 0 &&
           runtime_env_start(&env, spec) == 0 && put(ret, argv.list, &ret->n_argv) &&
           put(ret, env.list, &ret->n_env);
    strings_free(&argv);
    strings_free(&env);
    return done;
}

int managed_argv(struct strings *argv, const struct function_spec *spec)
{
    return spec->runtime == SPEC_RUNTIME_PYTHON ? python_argv(argv)
                                                : node_argv(argv, spec);
}
