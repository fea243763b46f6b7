/* Native functions as AWS Lambda shows them. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/api/lambda_private.h"

#define REVISION_FORM "00000000-0000-4000-8000-%012llx"

/* --- small forms ------------------------------------------------------------------ */

/* AWS's are UUIDs, of which clients know nothing but whether two are equal. */
void lambda_revision_id(char ret[40], uint64_t revision)
{
    (void)snprintf(ret, 40, REVISION_FORM,
                   (unsigned long long)(revision & 0xffffffffffffULL));
}

int lambda_revision_parse(const char *text, uint64_t *ret)
{
    char again[40];
    char *end;

    if (strlen(text) != 36) {
        return -EINVAL;
    }
    errno = 0;
    *ret = strtoull(text + 24, &end, 16);
    lambda_revision_id(again, *ret);
    return errno == 0 && *end == '\0' && strcmp(again, text) == 0 ? 0 : -EINVAL;
}

void lambda_time(char ret[40], const char *rfc3339)
{
    (void)snprintf(ret, 40, "%.23s+0000", rfc3339);
}

void lambda_now(char ret[40])
{
    char now[CLOCK_RFC3339_SIZE];

    clock_rfc3339(clock_wall_ms(), now);
    lambda_time(ret, now);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* --- functions -------------------------------------------------------------------- */

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

const json_t *lambda_native(const json_t *function, uint64_t number)
{
    const json_t *versions = json_object_get(function, "versions"), *v;
    size_t i;

    json_array_foreach(versions, i, v)
    {
        if (number_of(v, "number") == number) {
            return v;
        }
    }
    return NULL;
}

const json_t *lambda_published(const json_t *function, const char *number)
{
    const json_t *versions = json_object_get(function, "versions"), *v;
    uint64_t wanted;
    size_t i;

    if (input_u64(number, 1, INT64_MAX, &wanted) < 0) {
        return NULL;
    }
    json_array_foreach(versions, i, v)
    {
        if (number_of(v, "published") == wanted) {
            return v;
        }
    }
    return NULL;
}

size_t lambda_list_published(const json_t *function,
                             const json_t *ret[LAMBDA_PUBLISHED_MAX])
{
    const json_t *versions = json_object_get(function, "versions"), *v;
    size_t i, n = 0;

    json_array_foreach(versions, i, v)
    {
        uint64_t number = number_of(v, "published");
        size_t at = n;

        if (number == 0 || n == LAMBDA_PUBLISHED_MAX) {
            continue;
        }
        for (; at > 0 && number_of(ret[at - 1], "published") > number; at--) {
            ret[at] = ret[at - 1];
        }
        ret[at] = v;
        n++;
    }
    return n;
}

const json_t *lambda_alias_of(const json_t *function, const char *name)
{
    const json_t *aliases = json_object_get(function, "aliases"), *a;
    size_t i;

    json_array_foreach(aliases, i, a)
    {
        if (strcmp(text_of(a, "name"), name) == 0) {
            return a;
        }
    }
    return NULL;
}

/* An alias's first version is the one that AWS calls its own; others are additional. */
const json_t *lambda_alias_version(const json_t *function, const json_t *alias, size_t i)
{
    const json_t *weight = json_array_get(json_object_get(alias, "weights"), i);

    return weight != NULL ? lambda_native(function, number_of(weight, "version")) : NULL;
}

bool lambda_is_latest(const char *qualifier)
{
    return *qualifier == '\0' || strcmp(qualifier, LAMBDA_LATEST) == 0;
}

const json_t *lambda_meant(const json_t *function, const char *qualifier)
{
    if (lambda_is_latest(qualifier)) {
        return lambda_latest(function);
    }
    if (strspn(qualifier, "0123456789") == strlen(qualifier)) {
        return lambda_published(function, qualifier);
    }
    return lambda_alias_version(function, lambda_alias_of(function, qualifier), 0);
}

json_t *lambda_get(struct lambda *l)
{
    json_t *f = controller_core_function(l->r->api->core, l->namespace_, l->native);

    if (f == NULL || lambda_meant(f, l->ref.qualifier) == NULL) {
        json_decref(f);
        lambda_not_found(l);
        return NULL;
    }
    return f;
}

json_t *lambda_get_latest(struct lambda *l)
{
    if (!lambda_is_latest(l->ref.qualifier)) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "%s is of the function itself; name it without the qualifier %s.",
                    lambda_op_name(l->path.op), l->ref.qualifier);
        return NULL;
    }
    return lambda_get(l);
}

const json_t *lambda_latest(const json_t *function)
{
    const json_t *versions = json_object_get(function, "versions");
    size_t n = json_array_size(versions);

    return n > 0 ? json_array_get(versions, n - 1) : NULL;
}

json_t *lambda_annotations(const json_t *version)
{
    return json_object_get(json_object_get(version, "spec"), "annotations");
}

bool lambda_revision_check(struct lambda *l, const char *want, const char *now)
{
    if (want == NULL || *want == '\0' || strcmp(want, now) == 0) {
        return true;
    }
    lambda_fail(l, LAMBDA_E_PRECONDITION,
                "The Revision Id provided does not match the latest Revision Id. Call "
                "the GetFunction/GetAlias API to retrieve the latest Revision Id");
    return false;
}

bool lambda_precondition(struct lambda *l, const json_t *function)
{
    const char *want = json_string_value(json_object_get(l->json, "RevisionId"));
    char now[40];

    want = want != NULL ? want : lambda_query(l, "RevisionId");
    lambda_revision_id(
        now, (uint64_t)json_integer_value(json_object_get(function, "revision")));
    return lambda_revision_check(l, want, now);
}

/* SHA-256 in base64, as CodeSha256 has it. */
void lambda_code_sha256(char ret[48], const char *hex)
{
    unsigned char sum[32] = {0};

    for (size_t i = 0; i < sizeof(sum) && strlen(hex) == 64; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        sum[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    (void)EVP_EncodeBlock((unsigned char *)ret, sum, sizeof(sum));
}

static const char *runtime_of(const json_t *version)
{
    const json_t *spec = json_object_get(version, "spec");
    const char *said =
        json_string_value(json_object_get(lambda_annotations(version), "lambda.runtime"));
    const char *native = text_of(spec, "runtime");

    if (said != NULL) {
        return said;
    }
    return strcmp(native, "provided") == 0 ? "provided.al2023"
           : strcmp(native, "python") == 0 ? "python3.11"
           : strcmp(native, "node") == 0   ? "nodejs20.x"
                                           : native;
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void add_words(json_t *out, const char *what, const char *reason, const char *code)
{
    char key[48];

    (void)snprintf(key, sizeof(key), "%sReason", what);
    set(out, key, json_string(reason));
    (void)snprintf(key, sizeof(key), "%sReasonCode", what);
    set(out, key, json_string(code));
}

/* State, and how the last change ended. */
static void add_state(json_t *out, const json_t *function, const json_t *latest)
{
    bool serves = json_integer_value(json_object_get(function, "serving_version")) > 0;
    const char *state = text_of(latest, "state"), *why = text_of(latest, "message");
    bool busy = strcmp(state, "deploying") == 0, failed = strcmp(state, "failed") == 0;

    set(out, "State", json_string(serves ? "Active" : busy ? "Pending" : "Failed"));
    if (!serves) {
        add_words(out, "State", busy ? "The function is being created." : why,
                  busy ? "Creating" : "FunctionError");
    }
    set(out, "LastUpdateStatus",
        json_string(failed           ? "Failed"
                    : busy && serves ? "InProgress"
                                     : "Successful"));
    if (busy && serves) {
        add_words(out, "LastUpdateStatus", "The function is being created.", "Creating");
    } else if (failed) {
        add_words(out, "LastUpdateStatus", why, "FunctionError");
    }
}

/* Of one that was published: it is what it is, whatever the function does. */
static void add_version_state(json_t *out, const json_t *version)
{
    bool busy = strcmp(text_of(version, "state"), "deploying") == 0;
    bool good = json_is_true(json_object_get(version, "was_ready"));

    set(out, "State", json_string(busy ? "Pending" : good ? "Active" : "Failed"));
    set(out, "LastUpdateStatus",
        json_string(busy   ? "InProgress"
                    : good ? "Successful"
                           : "Failed"));
    if (busy) {
        add_words(out, "State", "The function is being created.", "Creating");
        add_words(out, "LastUpdateStatus", "The function is being created.", "Creating");
    } else if (!good) {
        add_words(out, "State", text_of(version, "message"), "FunctionError");
        add_words(out, "LastUpdateStatus", text_of(version, "message"), "FunctionError");
    }
}

static json_t *annotation_json(const json_t *annotations, const char *key)
{
    const char *text = json_string_value(json_object_get(annotations, key));

    return text != NULL ? json_loads(text, 0, NULL) : NULL;
}

static void add_layers(json_t *out, const struct lambda *l, const json_t *spec)
{
    const json_t *layers = json_object_get(spec, "layers"), *layer;
    json_t *list = json_array();
    size_t i;

    json_array_foreach(layers, i, layer)
    {
        char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE];
        const json_t *package = json_object_get(layer, "package");

        lambda_name_from_native(name, text_of(layer, "name"));
        lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, name,
                         number_of(layer, "version"));
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:I}", "Arn", arn, "CodeSize",
                                              (json_int_t)number_of(package, "bytes")));
    }
    if (json_array_size(list) > 0) {
        set(out, "Layers", list);
    } else {
        json_decref(list);
    }
}

static void add_settings(json_t *out, const json_t *latest, const char *name)
{
    const json_t *spec = json_object_get(latest, "spec"), *a = lambda_annotations(latest);
    const json_t *env = json_object_get(spec, "env");
    json_int_t timeout_ms = json_integer_value(json_object_get(spec, "timeout_ms"));
    json_t *logging = annotation_json(a, "lambda.logging");
    const char *tracing = text_of(a, "lambda.tracing"), *arch = text_of(a, "lambda.arch");

    set(out, "Role", json_string(text_of(a, "lambda.role")));
    set(out, "Handler", json_string(text_of(spec, "handler")));
    set(out, "Description", json_string(text_of(a, "lambda.description")));
    set(out, "Timeout", json_integer((timeout_ms + 999) / 1000));
    set(out, "MemorySize", json_incref(json_object_get(spec, "memory_mib")));
    if (json_object_size(env) > 0) {
        set(out, "Environment", json_pack("{s:O}", "Variables", env));
    }
    set(out, "TracingConfig",
        json_pack("{s:s}", "Mode", *tracing != '\0' ? tracing : "PassThrough"));
    set(out, "PackageType", json_string("Zip"));
    set(out, "Architectures", json_pack("[s]", *arch != '\0' ? arch : "x86_64"));
    set(out, "EphemeralStorage",
        json_pack("{s:O}", "Size", json_object_get(spec, "tmp_mib")));
    set(out, "SnapStart",
        json_pack("{s:s, s:s}", "ApplyOn", "None", "OptimizationStatus", "Off"));
    if (logging == NULL) {
        logging = json_pack("{s:s}", "LogFormat", "Text");
    }
    if (json_object_get(logging, "LogGroup") == NULL) {
        set(logging, "LogGroup", json_sprintf("/aws/lambda/%s", name));
    }
    set(out, "LoggingConfig", logging);
}

void lambda_version_name(char ret[32], const json_t *version, const json_t *function)
{
    uint64_t published = number_of(version, "published");

    if (published > 0) {
        (void)snprintf(ret, 32, "%llu", (unsigned long long)published);
    } else if (version == lambda_latest(function)) {
        (void)stpcpy(ret, LAMBDA_LATEST);
    } else { /* an alias that was made natively names it */
        (void)snprintf(ret, 32, "native-%llu",
                       (unsigned long long)number_of(version, "number"));
    }
}

uint64_t lambda_hash(const char *text, uint64_t h)
{
    for (; *text != '\0'; text++) { /* FNV-1a: it tells changes, it keeps no secrets */
        h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
    }
    return h;
}

/* That of a published version changes with its state alone. */
static uint64_t version_revision(const json_t *version)
{
    uint64_t h = lambda_hash(text_of(version, "created_at"), LAMBDA_HASH_BEGIN);

    h = lambda_hash(text_of(json_object_get(version, "package"), "digest"), h);
    return lambda_hash(text_of(version, "state"), h) ^ number_of(version, "published");
}

json_t *lambda_configuration(const struct lambda *l, const json_t *function,
                             const json_t *version, const char *qualifier)
{
    const json_t *package = json_object_get(version, "package");
    const char *described = text_of(version, "description");
    char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE], sha[48], time[40], revision[40];
    char number[32] = LAMBDA_LATEST;
    bool latest = lambda_is_latest(qualifier);
    json_t *out = json_object();

    if (!latest) {
        lambda_version_name(number, version, function);
    }
    lambda_name_from_native(name, text_of(function, "name"));
    lambda_arn(arn, l->region, l->r->api->options.lambda_account, name, qualifier);
    lambda_code_sha256(sha, text_of(package, "digest"));
    lambda_time(time, text_of(version, "created_at"));
    lambda_revision_id(revision, latest ? number_of(function, "revision")
                                        : version_revision(version));
    set(out, "FunctionName", json_string(name));
    set(out, "FunctionArn", json_string(arn));
    set(out, "Runtime", json_string(runtime_of(version)));
    set(out, "CodeSize", json_integer((json_int_t)number_of(package, "bytes")));
    set(out, "CodeSha256", json_string(sha));
    set(out, "Version", json_string(number));
    set(out, "LastModified", json_string(time));
    set(out, "RevisionId", json_string(revision));
    add_settings(out, version, name);
    add_layers(out, l, json_object_get(version, "spec"));
    if (latest) {
        add_state(out, function, version);
        return out;
    }
    if (*described != '\0') {
        set(out, "Description", json_string(described));
    }
    add_version_state(out, version);
    return out;
}
