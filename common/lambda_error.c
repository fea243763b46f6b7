#include "common/lambda_error.h"

#include <jansson.h>

static const struct {
    const char *code;
    int status;
    const char *key, *type;
} errors[LAMBDA_E_COUNT] = {[LAMBDA_OK] = {"", 200, "message", NULL},
#define X(name, code, status, key, type) [LAMBDA_E_##name] = {code, status, key, type},
                            LAMBDA_ERRORS(X)
#undef X
};

const char *lambda_error_code(enum lambda_error e)
{
    return errors[e].code;
}

int lambda_error_status(enum lambda_error e)
{
    return errors[e].status;
}

char *lambda_error_body(enum lambda_error e, const char *text, const char *reason)
{
    json_t *json = json_object(), *message = json_string(text);
    char *body;

    if (message == NULL) { /* not UTF-8: it quotes what came from outside */
        message = json_string("The request could not be understood.");
    }
    if (errors[e].type != NULL) {
        (void)json_object_set_new(json, "Type", json_string(errors[e].type));
    }
    (void)json_object_set_new(json, errors[e].key, message);
    if (reason != NULL) {
        (void)json_object_set_new(json, "Reason", json_string(reason));
    }
    body = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(json);
    return body;
}

enum lambda_error lambda_error_of_cause(enum cause cause)
{
    switch (cause) {
    case CAUSE_NONE:
        return LAMBDA_OK;
    case CAUSE_NOT_FOUND:
        return LAMBDA_E_NOT_FOUND;
    case CAUSE_CONFLICT:
        return LAMBDA_E_CONFLICT;
    case CAUSE_BAD_REQUEST:
        return LAMBDA_E_INVALID_PARAMETER;
    case CAUSE_PACKAGE_INVALID:
        return LAMBDA_E_INVALID_PARAMETER;
    case CAUSE_PAYLOAD_TOO_LARGE:
        return LAMBDA_E_TOO_LARGE;
    case CAUSE_THROTTLED:
    case CAUSE_NO_CAPACITY:
    case CAUSE_QUEUE_TIMEOUT:
        return LAMBDA_E_THROTTLED;
    case CAUSE_STORE_UNAVAILABLE:
    case CAUSE_NODE_LOST:
        return LAMBDA_E_UNAVAILABLE;
    default:
        return LAMBDA_E_SERVICE;
    }
}

enum lambda_error lambda_error_of_signature(enum sigv4_outcome outcome)
{
    return outcome == SIGV4_MISSING      ? LAMBDA_E_MISSING_TOKEN
           : outcome == SIGV4_INCOMPLETE ? LAMBDA_E_INCOMPLETE
           : outcome == SIGV4_NO_MEMORY  ? LAMBDA_E_SERVICE
                                         : LAMBDA_E_SIGNATURE;
}
