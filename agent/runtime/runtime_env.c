/* What a function finds in its environment, and its command line. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/runtime_private.h"

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

static int add_lambda(struct strings *env, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    const char *region = in->host->region;
    char text[160];
    int rc;

    rc = strings_add(env, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001");
    rc = rc < 0
             ? rc
             : strings_add(env, "_HANDLER=%s",
                           spec->handler != NULL ? spec->handler : managed_handler(spec));
    rc = rc < 0 ? rc : strings_add(env, "LAMBDA_TASK_ROOT=/var/task");
    rc = rc < 0 ? rc : strings_add(env, "LAMBDA_RUNTIME_DIR=/var/runtime");
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_REGION", region);
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_DEFAULT_REGION", region);
    rc =
        rc < 0 ? rc : add_default(env, spec, "AWS_LAMBDA_FUNCTION_NAME", in->config.name);
    (void)snprintf(text, sizeof(text), "%u", spec->memory_mib);
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", text);
    (void)snprintf(text, sizeof(text), "%" PRIu64, in->config.version);
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_LAMBDA_FUNCTION_VERSION", text);
    if (rc == 0 && spec->concurrency > 1) { /* runtimes then ask for several at once */
        (void)snprintf(text, sizeof(text), "%u", spec->concurrency);
        rc = add_default(env, spec, "AWS_LAMBDA_MAX_CONCURRENCY", text);
    }
    (void)snprintf(text, sizeof(text), "/aws/lambda/%s", in->config.name);
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_LAMBDA_LOG_GROUP_NAME", text);
    (void)snprintf(text, sizeof(text), "%" PRIu64 "/%" PRIu64, in->config.version,
                   in->config.id);
    rc = rc < 0 ? rc : add_default(env, spec, "AWS_LAMBDA_LOG_STREAM_NAME", text);
    return rc < 0 ? rc
                  : add_default(env, spec, "AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
}

int runtime_env(struct strings *env, const struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < spec->n_env; i++) {
        rc = strings_add(env, "%s=%s", spec->env[i].name, spec->env[i].value);
    }
    rc = rc < 0 ? rc
                : add_default(env, spec, "PATH",
                              "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:"
                              "/sbin");
    rc = rc < 0 ? rc : add_default(env, spec, "HOME", "/tmp");
    rc = rc < 0 ? rc : add_default(env, spec, "TMPDIR", "/tmp");
    rc = rc < 0 ? rc : add_default(env, spec, "LANG", "C.UTF-8");
    rc = rc < 0 ? rc : add_default(env, spec, "TZ", "UTC");
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
        rc = add_default(env, spec, "NODE_PATH", "/opt/nodejs/node_modules");
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
