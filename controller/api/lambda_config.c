/* What AWS says of a function, as a native spec. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define MEMORY_MAX  10240
#define TIMEOUT_MAX 900
#define STORAGE_MIN 512
#define STORAGE_MAX 10240

#if defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "x86_64"
#endif

/* AWS's names by what they begin with; none is checked for its number: what there is of
 * an interpreter is the nodes' matter. */
static const struct {
    const char *prefix, *native;
} runtimes[] = {
    {"provided", "provided"},
    {"python3", "python"},
    {"nodejs", "node"},
};

static const char *native_runtime(const char *name)
{
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
        if (strncmp(name, runtimes[i].prefix, strlen(runtimes[i].prefix)) == 0) {
            return runtimes[i].native;
        }
    }
    return NULL;
}

/* --- what AWS calls a ValidationException ----------------------------------------- */

static void check_role(struct lambda_checks *c, const json_t *body, bool needed)
{
    static const char pattern[] =
        "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
    const char *role = lambda_check_text(c, body, "Role", "role", 0, 2048);
    const char *at = role;

    if (role == NULL) {
        if (needed && json_object_get(body, "Role") == NULL) {
            lambda_check_add(c, "null", "role", "Member must not be null");
        }
        return;
    }
    at = strncmp(at, "arn:aws", 7) == 0 ? strstr(at, ":iam::") : NULL;
    if (at == NULL || strspn(at + 6, "0123456789") != 12 ||
        strncmp(at + 18, ":role/", 6) != 0 || at[24] == '\0') {
        lambda_check_add(c, role, "role",
                         "Member must satisfy regular expression pattern: %s", pattern);
    }
}

static void check_env(struct lambda_checks *c, const json_t *body)
{
    const json_t *env =
        json_object_get(json_object_get(body, "Environment"), "Variables");
    const char *name;
    const json_t *value;

    if (env != NULL && !json_is_object(env)) {
        lambda_check_add(c, "", "environment.variables", "Member must be a map");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)env, name, value)
    {
        if (!json_is_string(value)) {
            lambda_check_add(c, name, "environment.variables",
                             "Member must be a map of strings");
        }
    }
}

static void check_architectures(struct lambda_checks *c, const json_t *body)
{
    const json_t *list = json_object_get(body, "Architectures");
    const char *name = json_string_value(json_array_get(list, 0));

    if (list != NULL && (json_array_size(list) != 1 || name == NULL ||
                         (strcmp(name, "x86_64") != 0 && strcmp(name, "arm64") != 0))) {
        lambda_check_add(c, name != NULL ? name : "[]", "architectures",
                         "Member must satisfy constraint: [Member must satisfy enum "
                         "value set: [x86_64, arm64]]");
    }
}

static bool check(struct lambda *l, bool create)
{
    static const char *const packages[] = {"Zip", "Image", NULL};
    static const char *const tracing[] = {"Active", "PassThrough", NULL};
    const json_t *b = l->json;
    struct lambda_checks c = {0};
    int64_t n;

    if (create && json_object_get(b, "FunctionName") == NULL) {
        lambda_check_add(&c, "null", "functionName", "Member must not be null");
    }
    if (create && !json_is_object(json_object_get(b, "Code"))) {
        lambda_check_add(&c, "null", "code", "Member must not be null");
    }
    check_role(&c, b, create);
    (void)lambda_check_text(&c, b, "Handler", "handler", 0, 128);
    (void)lambda_check_text(&c, b, "Description", "description", 0, 256);
    (void)lambda_check_text(&c, b, "Runtime", "runtime", 1, 64);
    (void)lambda_check_number(&c, b, "MemorySize", "memorySize", 128, MEMORY_MAX, &n);
    (void)lambda_check_number(&c, b, "Timeout", "timeout", 1, TIMEOUT_MAX, &n);
    (void)lambda_check_number(&c, json_object_get(b, "EphemeralStorage"), "Size",
                              "ephemeralStorage.size", STORAGE_MIN, STORAGE_MAX, &n);
    (void)lambda_check_enum(&c, b, "PackageType", "packageType", packages);
    (void)lambda_check_enum(&c, json_object_get(b, "TracingConfig"), "Mode",
                            "tracingConfig.mode", tracing);
    check_architectures(&c, b);
    check_env(&c, b);
    return lambda_checks_end(&c, l);
}

/* --- what this cluster does not do ------------------------------------------------ */

static bool has_items(const json_t *value)
{
    const char *key;
    const json_t *item;

    if (json_is_array(value)) {
        return json_array_size(value) > 0;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (json_is_string(item) ? json_string_length(item) > 0
                                 : json_is_array(item) && json_array_size(item) > 0) {
            return true;
        }
    }
    return false;
}

bool lambda_architecture_check(struct lambda *l)
{
    const char *arch =
        json_string_value(json_array_get(json_object_get(l->json, "Architectures"), 0));

    if (arch != NULL && strcmp(arch, ARCHITECTURE) != 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Architecture %s is not that of this cluster, which is %s.", arch,
                    ARCHITECTURE);
        return false;
    }
    return true;
}

static bool check_supported(struct lambda *l)
{
    static const char *const none[] = {"VpcConfig",         "DeadLetterConfig",
                                       "FileSystemConfigs", "ImageConfig",
                                       "DurableConfig",     "CapacityProviderConfig"};
    const json_t *b = l->json;
    const char *type = json_string_value(json_object_get(b, "PackageType"));
    const char *snap =
        json_string_value(json_object_get(json_object_get(b, "SnapStart"), "ApplyOn"));

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (has_items(json_object_get(b, none[i]))) {
            lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                        "%s is not supported by this cluster.", none[i]);
            return false;
        }
    }
    if (type != NULL && strcmp(type, "Image") == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "PackageType Image is not supported by this cluster; use Zip.");
        return false;
    }
    if (!lambda_architecture_check(l)) {
        return false;
    }
    if (snap != NULL && strcmp(snap, "None") != 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "SnapStart is not supported by this cluster.");
        return false;
    }
    return true;
}

/* --- the spec --------------------------------------------------------------------- */

static void copy_text(json_t *to, const char *key, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);

    if (json_is_string(value)) {
        (void)json_object_set(to, key, (json_t *)(uintptr_t)value);
    }
}

static json_t *annotations(const struct lambda *l, const json_t *latest)
{
    const json_t *b = l->json, *logging = json_object_get(b, "LoggingConfig");
    const json_t *before = lambda_annotations(latest);
    json_t *a = before != NULL ? json_copy((json_t *)(uintptr_t)before) : json_object();
    const json_t *arch = json_array_get(json_object_get(b, "Architectures"), 0);
    char *text;

    copy_text(a, "lambda.runtime", b, "Runtime");
    copy_text(a, "lambda.role", b, "Role");
    copy_text(a, "lambda.description", b, "Description");
    copy_text(a, "lambda.kms", b, "KMSKeyArn");
    copy_text(a, "lambda.tracing", json_object_get(b, "TracingConfig"), "Mode");
    if (arch != NULL) {
        (void)json_object_set(a, "lambda.arch", (json_t *)(uintptr_t)arch);
    }
    if (json_is_object(logging)) {
        text = json_dumps(logging, JSON_COMPACT);
        (void)json_object_set_new(a, "lambda.logging", json_string(text));
        free(text);
    }
    return a;
}

static void set_number(json_t *spec, const char *key, const json_t *value,
                       json_int_t unit)
{
    if (json_is_integer(value)) {
        (void)json_object_set_new(spec, key,
                                  json_integer(json_integer_value(value) * unit));
    }
}

/* The native spec as JSON: what was there, and over it what the body says. */
static json_t *spec_json(struct lambda *l, const json_t *latest)
{
    const json_t *b = l->json, *before = json_object_get(latest, "spec");
    const json_t *env = json_object_get(json_object_get(b, "Environment"), "Variables");
    const char *runtime = json_string_value(json_object_get(b, "Runtime"));
    json_t *s = before != NULL ? json_deep_copy(before)
                               : json_pack("{s:i, s:i, s:i}", "memory_mib", 128,
                                           "timeout_ms", 3000, "tmp_mib", STORAGE_MIN);

    if (json_is_null(json_object_get(s, "handler"))) {
        (void)json_object_del(s, "handler");
    }
    if (runtime != NULL) {
        (void)json_object_set_new(s, "runtime", json_string(native_runtime(runtime)));
    }
    set_number(s, "memory_mib", json_object_get(b, "MemorySize"), 1);
    set_number(s, "timeout_ms", json_object_get(b, "Timeout"), 1000);
    set_number(s, "tmp_mib",
               json_object_get(json_object_get(b, "EphemeralStorage"), "Size"), 1);
    copy_text(s, "handler", b, "Handler");
    if (json_is_object(json_object_get(b, "Environment"))) {
        (void)json_object_set_new(s, "env",
                                  env != NULL ? json_deep_copy(env) : json_object());
    }
    if (json_is_array(json_object_get(b, "Layers"))) {
        (void)json_object_set_new(s, "layers", lambda_layers_spec(b));
    }
    (void)json_object_set_new(s, "annotations", annotations(l, latest));
    return s;
}

/* The native rules' refusal. */
static void refuse(struct lambda *l, const struct error *err)
{
    lambda_fail(l, err->code == -ENOMEM ? LAMBDA_E_SERVICE : LAMBDA_E_INVALID_PARAMETER,
                "%s", err->text);
}

/* AWS lets nobody set these; natively all but a few are allowed. Credentials are, since
 * functions have none from the platform. */
static bool check_reserved(struct lambda *l)
{
    static const char *const reserved[] = {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    };
    const json_t *env =
        json_object_get(json_object_get(l->json, "Environment"), "Variables");
    char used[sizeof(reserved) / sizeof(reserved[0]) * 40] = "";
    char *end = used;

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (json_object_get(env, reserved[i]) != NULL) {
            end = stpcpy(stpcpy(end, end == used ? "" : ", "), reserved[i]);
        }
    }
    if (end != used) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Lambda was unable to configure your environment variables because "
                    "the environment variables you have provided contains reserved keys "
                    "that are currently not supported for modification. Reserved keys "
                    "used in this request: %s",
                    used);
    }
    return end == used;
}

static bool check_runtime(struct lambda *l, bool create)
{
    const char *runtime = json_string_value(json_object_get(l->json, "Runtime"));
    const char *native = runtime != NULL ? native_runtime(runtime) : NULL;
    const char *handler = json_string_value(json_object_get(l->json, "Handler"));

    if (runtime == NULL && create) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Runtime and Handler are mandatory parameters for functions created "
                    "with deployment packages.");
        return false;
    }
    if (runtime == NULL) {
        return true;
    }
    if (native == NULL || spec_runtime_parse(native) < 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Value %s at 'runtime' failed to satisfy constraint: this cluster "
                    "has no such runtime; use provided.al2023, python3* or nodejs*.",
                    runtime);
        return false;
    }
    if (create && (handler == NULL || *handler == '\0')) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Runtime and Handler are mandatory parameters for functions created "
                    "with deployment packages.");
        return false;
    }
    return true;
}

bool lambda_config_read(struct lambda *l, const json_t *function)
{
    const json_t *latest = function != NULL ? lambda_latest(function) : NULL;
    struct error err = {0};
    json_t *json;
    int rc;

    if (!check(l, function == NULL) || !check_supported(l) ||
        !check_runtime(l, function == NULL) || !check_reserved(l) ||
        !lambda_layers_check(l)) {
        return false;
    }
    if (l->has_spec) {
        function_spec_free(&l->spec);
    }
    function_spec_init(&l->spec);
    l->has_spec = true;
    json = spec_json(l, latest);
    rc = json != NULL ? function_spec_from_json(&l->spec, json, &err)
                      : error_set(&err, -ENOMEM, "out of memory");
    json_decref(json);
    rc = rc < 0 ? rc : function_spec_validate(&l->spec, &err);
    if (rc < 0) {
        refuse(l, &err);
    }
    return rc == 0;
}
