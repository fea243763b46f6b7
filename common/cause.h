/* Cause codes: why a call or a request failed. One table, from which come the enum, the
 * names in replies, logs and metrics, the HTTP status and docs/errors.md (a test
 * compares them). A failure has exactly one cause.
 *
 * X(SYMBOL, "name", HTTP status, "what happened", "what to do") */
#ifndef COMMON_CAUSE_H
#define COMMON_CAUSE_H

#define CAUSE_TABLE(X)                                                                   \
    X(NONE, "none", 200, "no failure", "nothing")                                        \
    X(BAD_REQUEST, "bad_request", 400, "the request is malformed or a value is invalid", \
      "mend the field that the message names")                                           \
    X(UNAUTHORIZED, "unauthorized", 401, "no valid credentials were given",              \
      "send a valid token")                                                              \
    X(FORBIDDEN, "forbidden", 403, "the credentials do not allow this",                  \
      "ask the namespace's owner for access")                                            \
    X(NOT_FOUND, "not_found", 404, "no such function, version or namespace",             \
      "check the name: `mayfly list`, `mayfly namespaces`, `mayfly nodes`")              \
    X(CONFLICT, "conflict", 409, "the object exists or was changed meanwhile",           \
      "do what the message says, or read it again and repeat the change")                \
    X(PAYLOAD_TOO_LARGE, "payload_too_large", 413, "the body is over the limit",         \
      "send less, or pass a reference to the data")                                      \
    X(PACKAGE_INVALID, "package_invalid", 422,                                           \
      "the package cannot be unpacked safely or does not match its digest",              \
      "mend the entry that the message names and deploy again")                          \
    X(THROTTLED, "throttled", 429, "the function's concurrency limit is reached",        \
      "retry after the time in Retry-After, or raise max_scale")                         \
    X(QUEUE_TIMEOUT, "queue_timeout", 429, "the call waited too long for an instance",   \
      "retry after the time in Retry-After, or raise max_scale or concurrency")          \
    X(INTERNAL, "internal", 500, "mayfly itself failed",                                 \
      "see the daemon's log for the request id")                                         \
    X(FUNCTION_ERROR, "function_error", 502, "the function reported an error",           \
      "see `mayfly logs` for the function")                                              \
    X(CRASHED, "crashed", 502, "the function exited before it replied",                  \
      "see `mayfly logs`; the message has the exit status")                              \
    X(OOM, "oom", 502, "the function used more memory than its limit",                   \
      "raise --memory above the peak in the message, or use less")                       \
    X(START_FAILED, "start_failed", 502, "the sandbox or the program could not start",   \
      "check the handler's path and mode; the message says which step failed")           \
    X(INIT_FAILED, "init_failed", 502,                                                   \
      "the program started but never became ready, or reported an init error",           \
      "see `mayfly logs` for what it printed while starting")                            \
    X(STORE_UNAVAILABLE, "store_unavailable", 503, "the store cannot be reached",        \
      "check the store; running functions go on, repeat the change later")               \
    X(NO_CAPACITY, "no_capacity", 503, "no node has room for another instance",          \
      "add a node, or lower memory or max_scale of functions")                           \
    X(NODE_LOST, "node_lost", 503, "the node that ran the call was lost",                \
      "retry if the call is idempotent")                                                 \
    X(TIMEOUT, "timeout", 504, "the function ran past its timeout and was killed",       \
      "raise --timeout, or make the function faster")                                    \
    X(DISK_FULL, "disk_full", 507, "no disk space is left for the package",              \
      "free space in the state folder and repeat")

enum cause {
#define X(symbol, name, status, what, fix) CAUSE_##symbol,
    CAUSE_TABLE(X)
#undef X
        CAUSE_COUNT
};

const char *cause_name(enum cause cause); /* "oom" */
int cause_http_status(enum cause cause);
const char *cause_what(enum cause cause);
const char *cause_fix(enum cause cause);

/* CAUSE_COUNT if there is no such name. */
enum cause cause_from_name(const char *name);

#endif /* COMMON_CAUSE_H */
