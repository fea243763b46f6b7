/* Failures of calls, as AWS tells them. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"

/* "Runtime.TruncatedResponse: the answer is cut": the type stands in front. */
static size_t type_length(const char *text)
{
    size_t len = strcspn(text, ": ");

    return (strncmp(text, "Runtime.", 8) == 0 || strncmp(text, "Function.", 9) == 0) &&
                   text[len] == ':' && len < 64
               ? len
               : 0;
}

/* "RangeError: too far": the function's own word, behind the first bytes of a stream. */
static size_t own_type_length(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789._$");

    return text[0] >= 'A' && text[0] <= 'Z' && strncmp(text + len, ": ", 2) == 0 &&
                   len < 64
               ? len
               : 0;
}

/* AWS's words for how long it ran: the time-out stands in our text as "… of N ms". */
static double timeout_s(const char *text)
{
    const char *of = strstr(text, "timeout of ");

    return of != NULL ? strtod(of + strlen("timeout of "), NULL) / 1000.0 : 0;
}

char *lambda_function_failure(enum cause cause, const char *text, const char *request_id,
                              char ret_type[64])
{
    const char *type = "Runtime.ExitError", *why = text;
    char message[600];
    size_t len = type_length(text);
    json_t *json;
    char *body;

    (void)snprintf(message, sizeof(message), "RequestId: %s Error: %.400s", request_id,
                   text);
    if (cause == CAUSE_FUNCTION_ERROR && len == 0 && own_type_length(text) > 0) {
        len = own_type_length(text);
        (void)snprintf(message, sizeof(message), "%.400s", text + len + 2);
    }
    switch (cause) {
    case CAUSE_TIMEOUT:
        type = "Sandbox.Timedout";
        (void)snprintf(message, sizeof(message),
                       "RequestId: %s Error: Task timed out after %.2f seconds",
                       request_id, timeout_s(text));
        break;
    case CAUSE_OOM:
        why = "signal: killed";
        /* fall through */
    case CAUSE_CRASHED:
        (void)snprintf(message, sizeof(message),
                       "RequestId: %s Error: Runtime exited with error: %.400s",
                       request_id, why);
        break;
    case CAUSE_FUNCTION_ERROR:
    case CAUSE_INIT_FAILED:
        type = cause == CAUSE_INIT_FAILED ? "Runtime.ExitError" : "Runtime.Unknown";
        break;
    case CAUSE_START_FAILED:
        type = "Runtime.InvalidEntrypoint";
        break;
    default:
        return NULL;
    }
    (void)snprintf(ret_type, 64, "%.*s", len > 0 ? (int)len : (int)strlen(type),
                   len > 0 ? text : type);
    if (strcmp(ret_type, "Function.ResponseSizeTooLarge") == 0) {
        (void)snprintf(message, sizeof(message),
                       "Response payload size exceeded maximum allowed payload size (%d "
                       "bytes).",
                       LAMBDA_RESPONSE_MAX);
    }
    json = json_pack("{s:s, s:s}", "errorType", ret_type, "errorMessage", message);
    if (json == NULL) { /* the text is not UTF-8 */
        json =
            json_pack("{s:s, s:s}", "errorType", type, "errorMessage", cause_what(cause));
    }
    body = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(json);
    return body;
}

enum lambda_error lambda_call_error(enum cause cause, const char **ret_text,
                                    const char **ret_reason)
{
    enum lambda_error e = lambda_error_of_cause(cause);

    if (e == LAMBDA_E_THROTTLED) {
        *ret_text = "Rate Exceeded.";
        *ret_reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    } else if (e == LAMBDA_E_TOO_LARGE) {
        *ret_text =
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
    }
    return e;
}
