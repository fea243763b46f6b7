#include "agent/runtime/lambda_error.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "exit status 3" and "killed by signal 9 (SIGKILL)", also in a longer sentence, are told
 * as AWS tells them. False: text says neither. */
static bool exit_message(const char *text, char *ret, size_t size)
{
    const char *status = strstr(text, "status ");
    const char *signal = strstr(text, "killed by signal ");
    long n = strtol(status != NULL ? status + strlen("status ") : "0", NULL, 10);

    if (signal != NULL) {
        const char *name =
            sigdescr_np((int)strtol(signal + strlen("killed by signal "), NULL, 10));
        int len = snprintf(ret, size, "Runtime exited with error: signal: ");

        for (; name != NULL && *name != '\0' && len + 1 < (int)size; name++, len++) {
            ret[len] = (char)tolower((unsigned char)*name);
        }
        ret[len] = '\0';
        return true;
    }
    if (status == NULL) {
        return false;
    }
    if (n == 0) {
        (void)snprintf(ret, size, "Runtime exited without providing a reason");
    } else {
        (void)snprintf(ret, size, "Runtime exited with error: exit status %ld", n);
    }
    return true;
}

static void set(struct lambda_error *e, const char *type, const char *request_id,
                const char *message)
{
    (void)snprintf(e->type, sizeof(e->type), "%s", type);
    (void)snprintf(e->message, sizeof(e->message), "RequestId: %s Error: %s", request_id,
                   message);
}

/* The function's, or the platform's, own "Type: message". False: it is no such text. */
static bool own_words(struct lambda_error *e, const char *text)
{
    const char *colon = strstr(text, ": ");
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);

    if (len == 0 || len >= sizeof(e->type) || memchr(text, ' ', len) != NULL) {
        return false;
    }
    (void)snprintf(e->type, sizeof(e->type), "%.*s", (int)len, text);
    (void)snprintf(e->message, sizeof(e->message), "%s", colon != NULL ? colon + 2 : "");
    return true;
}

void lambda_error_of(struct lambda_error *ret, enum cause cause, const char *text,
                     const char *request_id, uint32_t timeout_ms)
{
    char words[320];

    (void)snprintf(words, sizeof(words), "%s", text);
    switch (cause) {
    case CAUSE_TIMEOUT:
        (void)snprintf(words, sizeof(words), "Task timed out after %u.%02u seconds",
                       timeout_ms / 1000, timeout_ms % 1000 / 10);
        set(ret, "Sandbox.Timedout", request_id, words);
        break;
    case CAUSE_OOM:
        set(ret, "Runtime.ExitError", request_id,
            "Runtime exited with error: signal: killed");
        break;
    case CAUSE_START_FAILED:
        if (strncmp(text, "Extension.", 10) != 0 || !own_words(ret, text)) {
            set(ret, "Runtime.InvalidEntrypoint", request_id, words);
        }
        break;
    case CAUSE_CRASHED:
    case CAUSE_INIT_FAILED:
        if (strncmp(text, "Extension.", 10) == 0 && own_words(ret, text)) {
            break;
        }
        if (exit_message(text, words, sizeof(words))) {
            set(ret, "Runtime.ExitError", request_id, words);
        } else if (strncmp(text, "not ready within", 16) == 0) {
            set(ret, "Sandbox.Timedout", request_id, words);
        } else if (!own_words(ret, text)) {
            set(ret, "Runtime.Unknown", request_id, words);
        }
        break;
    case CAUSE_FUNCTION_ERROR:
        if (!own_words(ret, text)) {
            set(ret, "Runtime.Unknown", request_id, words);
        }
        break;
    default:
        set(ret, "Sandbox.Failure", request_id, words);
        break;
    }
}

int lambda_error_document(struct buf *ret, const struct lambda_error *e)
{
    json_t *json =
        json_pack("{s:s, s:s}", "errorType", e->type, "errorMessage", e->message);
    char *text =
        json != NULL ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    int rc = text != NULL ? buf_append_str(ret, text) : -ENOMEM;

    json_decref(json);
    free(text);
    return rc;
}
