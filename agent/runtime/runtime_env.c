/* What a function finds in its environment, and its command line. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"
#include "common/clock.h"

#define LIBRARY_PATH \
    "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
#define NODE_LAYERS "/opt/nodejs/node_modules"

int strings_add(struct strings *s, const char *fmt, ...)
{
    char **grown = reallocarray(s->list, s->n + 2, sizeof(char *));
    va_list ap;
    int len;

    if (grown == NULL) {
        return -ENOMEM;
    }
    s->list = grown;
    va_start(ap, fmt);
    len = vasprintf(&s->list[s->n], fmt, ap);
    va_end(ap);
    if (len < 0) {
        s->list[s->n] = NULL;
        return -ENOMEM;
    }
    s->list[++s->n] = NULL;
    return 0;
}

void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i]);
    }
    free(s->list);
    *s = (struct strings){0};
}

static bool user_has(const struct function_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_env; i++) {
        if (strcmp(spec->env[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A default that the function's own environment may replace. */
static int add_default(struct strings *env, const struct function_spec *spec,
                       const char *name, const char *value)
{
    return user_has(spec, name) ? 0 : strings_add(env, "%s=%s", name, value);
}

/* As the Knative runtime contract names them. */
static int add_http(struct strings *env, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    char revision[SPEC_NAME_MAX + 24];
    int rc = strings_add(env, "PORT=%d", RUNTIME_PORT);

    (void)snprintf(revision, sizeof(revision), "%s-%05" PRIu64, in->config.name,
                   in->config.version);
    rc = rc < 0 ? rc : add_default(env, spec, "K_SERVICE", in->config.name);
    rc = rc < 0 ? rc : add_default(env, spec, "K_CONFIGURATION", in->config.name);
    return rc < 0 ? rc : add_default(env, spec, "K_REVISION", revision);
}

void runtime_lambda_name(char ret[LAMBDA_NAME_MAX + 1], const struct runtime_instance *in)
{
    lambda_name_from_native(ret, in->config.name);
}

void runtime_lambda_version(char ret[24], const struct runtime_instance *in)
{
    if (in->config.published > 0) {
        (void)snprintf(ret, 24, "%" PRIu64, in->config.published);
    } else {
        (void)stpcpy(ret, LAMBDA_LATEST);
    }
}

/* "2026/01/31/[3]0000000000000000000000000000002a": day, version, instance. */
static int add_log_stream(struct strings *env, const struct runtime_instance *in)
{
    char when[CLOCK_RFC3339_SIZE], text[96], version[24];

    clock_rfc3339(clock_wall_ms(), when);
    runtime_lambda_version(version, in);
    (void)snprintf(text, sizeof(text), "%.4s/%.2s/%.2s/[%s]%032" PRIx64, when, when + 5,
                   when + 8, version, in->config.id);
    return add_default(env, in->config.spec, "AWS_LAMBDA_LOG_STREAM_NAME", text);
}

/* As Lambda sets it
 * (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html). */
static int add_lambda(struct strings *env, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    char memory[16], version[24], most[16], name[LAMBDA_NAME_MAX + 1];
    char group[LAMBDA_NAME_MAX + 16];
    const struct {
        const char *name;
        const char *value; /* NULL: not set */
    } defaults[] = {
        {"AWS_REGION", in->host->region},
        {"AWS_DEFAULT_REGION", in->host->region},
        {"AWS_LAMBDA_FUNCTION_NAME", name},
        {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory},
        {"AWS_LAMBDA_FUNCTION_VERSION", version},
        /* runtimes then ask for several at once */
        {"AWS_LAMBDA_MAX_CONCURRENCY", spec->concurrency > 1 ? most : NULL},
        {"AWS_LAMBDA_LOG_GROUP_NAME", group},
        {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
        {"AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"},
        {"LD_LIBRARY_PATH", LIBRARY_PATH},
    };
    int rc = strings_add(env, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001");

    (void)snprintf(memory, sizeof(memory), "%u", spec->memory_mib);
    runtime_lambda_name(name, in);
    runtime_lambda_version(version, in);
    (void)snprintf(most, sizeof(most), "%u", spec->concurrency);
    (void)snprintf(group, sizeof(group), "/aws/lambda/%s", name);
    rc = rc < 0
             ? rc
             : strings_add(env, "_HANDLER=%s",
                           spec->handler != NULL ? spec->handler : managed_handler(spec));
    rc = rc < 0 ? rc : strings_add(env, "LAMBDA_TASK_ROOT=/var/task");
    rc = rc < 0 ? rc : strings_add(env, "LAMBDA_RUNTIME_DIR=/var/runtime");
    for (size_t i = 0; rc == 0 && i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (defaults[i].value != NULL) {
            rc = add_default(env, spec, defaults[i].name, defaults[i].value);
        }
    }
    return rc < 0 ? rc : add_log_stream(env, in);
}

/* What is the function's alone, not its extensions'. */
static bool is_function_only(const char *variable)
{
    static const char *const names[] = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);

        if (strncmp(variable, names[i], len) == 0 && variable[len] == '=') {
            return true;
        }
    }
    return false;
}

int runtime_env_extension(struct strings *env, const struct runtime_instance *in)
{
    struct strings all = {0};
    int rc = runtime_env(&all, in);

    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        if (!is_function_only(all.list[i])) {
            rc = strings_add(env, "%s", all.list[i]);
        }
    }
    strings_free(&all);
    return rc;
}

/* What every function has that it does not set itself. */
static int add_usual(struct strings *env, const struct function_spec *spec)
{
    int rc = add_default(env, spec, "PATH",
                         "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:"
                         "/sbin:/opt/bin");

    rc = rc < 0 ? rc : add_default(env, spec, "HOME", "/tmp");
    rc = rc < 0 ? rc : add_default(env, spec, "TMPDIR", "/tmp");
    rc = rc < 0 ? rc : add_default(env, spec, "LANG", "C.UTF-8");
    return rc < 0 ? rc : add_default(env, spec, "TZ", "UTC");
}

int runtime_env_start(struct strings *env, const struct function_spec *spec)
{
    int rc = add_usual(env, spec);

    rc = rc < 0 ? rc : strings_add(env, "LD_LIBRARY_PATH=" LIBRARY_PATH);
    return rc < 0 || spec->runtime != SPEC_RUNTIME_NODE
               ? rc
               : strings_add(env, "NODE_PATH=" NODE_LAYERS);
}

int runtime_env(struct strings *env, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < spec->n_env; i++) {
        rc = strings_add(env, "%s=%s", spec->env[i].name, spec->env[i].value);
    }
    rc = rc < 0 ? rc : add_usual(env, spec);
    rc = rc < 0 ? rc : add_default(env, spec, "MAYFLY_NAMESPACE", in->config.namespace_);
    rc = rc < 0 ? rc : add_default(env, spec, "MAYFLY_FUNCTION", in->config.name);
    if (rc == 0 && !user_has(spec, "MAYFLY_VERSION")) {
        rc = strings_add(env, "MAYFLY_VERSION=%" PRIu64, in->config.version);
    }
    if (rc == 0 && spec->runtime == SPEC_RUNTIME_HTTP) {
        rc = add_http(env, in);
    } else if (rc == 0 && spec_runtime_takes_events(spec->runtime)) {
        rc = add_lambda(env, in);
    }
    if (rc == 0 && spec->runtime == SPEC_RUNTIME_NODE) { /* read when Node.js starts */
        rc = add_default(env, spec, "NODE_PATH", NODE_LAYERS);
    }
    return rc;
}

/* One word from *at into out; 1 if there was one, 0 at the end. */
static int next_word(const char **at, char *out)
{
    const char *p = *at + strspn(*at, " \t");
    char quote = '\0';

    if (*p == '\0') {
        return 0;
    }
    for (; *p != '\0' && (quote != '\0' || (*p != ' ' && *p != '\t')); p++) {
        if (quote == '\0' && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (*p == quote && quote != '\0') {
            quote = '\0';
        } else if (*p == '\\' && quote != '\'' && p[1] != '\0') {
            *out++ = *++p;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    *at = p;
    return quote != '\0' ? -EINVAL : 1;
}

int runtime_argv(struct strings *argv, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    const struct package_ref *package = in->config.package;
    const char *at = spec->handler;
    char word[SPEC_HANDLER_MAX + 1];
    int rc;

    if (managed_is(spec)) {
        return managed_argv(argv, spec);
    }
    /* provided: the handler is for the bootstrap to read, as in Lambda. */
    if (at == NULL || spec->runtime == SPEC_RUNTIME_PROVIDED) {
        return strings_add(argv, "./%s",
                           package->format == SPEC_FORMAT_FILE ? package->file_name
                                                               : "bootstrap");
    }
    if (strlen(at) > SPEC_HANDLER_MAX) {
        return -EINVAL;
    }
    while ((rc = next_word(&at, word)) > 0) {
        rc = strings_add(argv, "%s", word);
        if (rc < 0) {
            return rc;
        }
    }
    return rc < 0 || argv->n == 0 ? -EINVAL : 0;
}
