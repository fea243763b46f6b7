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

json_t *lambda_get(struct lambda *l)
{
    json_t *f = controller_core_function(l->r->api->core, l->namespace_, l->native);

    if (f == NULL) {
        lambda_not_found(l);
        return NULL;
    }
    /* Published versions and aliases have names of their own. */
    if (l->ref.qualifier[0] != '\0' && strcmp(l->ref.qualifier, LAMBDA_LATEST) != 0) {
        json_decref(f);
        lambda_not_found(l);
        return NULL;
    }
    return f;
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

bool lambda_precondition(struct lambda *l, const json_t *function)
{
    const char *want = json_string_value(json_object_get(l->json, "RevisionId"));
    char now[40];

    want = want != NULL ? want : lambda_query(l, "RevisionId");
    lambda_revision_id(
        now, (uint64_t)json_integer_value(json_object_get(function, "revision")));
    if (want == NULL || *want == '\0' || strcmp(want, now) == 0) {
        return true;
    }
    lambda_fail(l, LAMBDA_E_PRECONDITION,
                "The Revision Id provided does not match the latest Revision Id. Call "
                "the GetFunction/GetAlias API to retrieve the latest Revision Id");
    return false;
}

/* SHA-256 in base64, as CodeSha256 has it. */
static void code_sha256(char ret[48], const char *hex)
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

/* State, and how the last change ended. */
static void add_state(json_t *out, const json_t *function, const json_t *latest)
{
    bool serves = json_integer_value(json_object_get(function, "serving_version")) > 0;
    const char *state = text_of(latest, "state"), *why = text_of(latest, "message");
    bool busy = strcmp(state, "deploying") == 0, failed = strcmp(state, "failed") == 0;

    set(out, "State", json_string(serves ? "Active" : busy ? "Pending" : "Failed"));
    if (!serves) {
        set(out, "StateReason",
            busy ? json_string("The function is being created.") : json_string(why));
        set(out, "StateReasonCode", json_string(busy ? "Creating" : "FunctionError"));
    }
    set(out, "LastUpdateStatus",
        json_string(failed           ? "Failed"
                    : busy && serves ? "InProgress"
                                     : "Successful"));
    if (busy && serves) {
        set(out, "LastUpdateStatusReason", json_string("The function is being created."));
        set(out, "LastUpdateStatusReasonCode", json_string("Creating"));
    } else if (failed) {
        set(out, "LastUpdateStatusReason", json_string(why));
        set(out, "LastUpdateStatusReasonCode", json_string("FunctionError"));
    }
}

static json_t *annotation_json(const json_t *annotations, const char *key)
{
    const char *text = json_string_value(json_object_get(annotations, key));

    return text != NULL ? json_loads(text, 0, NULL) : NULL;
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

json_t *lambda_configuration(const struct lambda *l, const json_t *function)
{
    const json_t *latest = lambda_latest(function);
    const json_t *package = json_object_get(latest, "package");
    char name[LAMBDA_NAME_MAX + 1], arn[LAMBDA_ARN_SIZE], sha[48], time[40], revision[40];
    json_t *out = json_object();

    lambda_name_from_native(name, text_of(function, "name"));
    lambda_arn(arn, l->region, l->r->api->options.lambda_account, name, l->ref.qualifier);
    code_sha256(sha, text_of(package, "digest"));
    lambda_time(time, text_of(latest, "created_at"));
    lambda_revision_id(
        revision, (uint64_t)json_integer_value(json_object_get(function, "revision")));
    set(out, "FunctionName", json_string(name));
    set(out, "FunctionArn", json_string(arn));
    set(out, "Runtime", json_string(runtime_of(latest)));
    set(out, "CodeSize",
        json_integer(json_integer_value(json_object_get(package, "bytes"))));
    set(out, "CodeSha256", json_string(sha));
    set(out, "Version", json_string(LAMBDA_LATEST));
    set(out, "LastModified", json_string(time));
    set(out, "RevisionId", json_string(revision));
    add_settings(out, latest, name);
    add_state(out, function, latest);
    return out;
}
