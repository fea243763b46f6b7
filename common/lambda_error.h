/* AWS Lambda's errors: code, status and body, once for the control API and for Invoke.
 * Pure. The body is {"Type", "Message" or "message", "Reason"?}; the code is in the
 * header x-amzn-ErrorType. */
#ifndef COMMON_LAMBDA_ERROR_H
#define COMMON_LAMBDA_ERROR_H

#include "common/cause.h"
#include "common/sigv4.h"

/* X(name, "code", status, "key of the text", "type" or NULL) */
#define LAMBDA_ERRORS(X)                                                               \
    X(MISSING_TOKEN, "MissingAuthenticationTokenException", 403, "message", NULL)      \
    X(INCOMPLETE, "IncompleteSignatureException", 403, "message", NULL)                \
    X(SIGNATURE, "InvalidSignatureException", 403, "message", NULL)                    \
    X(CLIENT, "UnrecognizedClientException", 403, "message", NULL)                     \
    X(DENIED, "AccessDeniedException", 403, "Message", NULL)                           \
    X(UNKNOWN_OPERATION, "UnknownOperationException", 404, "message", NULL)            \
    X(NOT_FOUND, "ResourceNotFoundException", 404, "Message", "User")                  \
    X(NO_PROVISIONED, "ProvisionedConcurrencyConfigNotFoundException", 404, "message", \
      "User")                                                                          \
    X(CONFLICT, "ResourceConflictException", 409, "message", "User")                   \
    X(PRECONDITION, "PreconditionFailedException", 412, "message", "User")             \
    X(INVALID_PARAMETER, "InvalidParameterValueException", 400, "message", "User")     \
    X(VALIDATION, "ValidationException", 400, "message", NULL)                         \
    X(SERIALIZATION, "SerializationException", 400, "Message", "User")                 \
    X(CONTENT, "InvalidRequestContentException", 400, "message", "User")               \
    X(NO_ZIP, "InvalidZipFileException", 502, "Message", "User")                       \
    X(CODE_STORAGE, "CodeStorageExceededException", 400, "message", "User")            \
    X(ENTITY_TOO_LARGE, "RequestEntityTooLargeException", 413, "message", NULL)        \
    X(TOO_LARGE, "RequestTooLargeException", 413, "message", "User")                   \
    X(THROTTLED, "TooManyRequestsException", 429, "message", "User")                   \
    X(SERVICE, "ServiceException", 500, "Message", "Service")                          \
    X(UNAVAILABLE, "ServiceUnavailableException", 503, "Message", "Service")           \
    X(UNSUPPORTED, "UnsupportedOperationException", 501, "message", "User")

enum lambda_error {
    LAMBDA_OK,
#define X(name, code, status, key, type) LAMBDA_E_##name,
    LAMBDA_ERRORS(X)
#undef X
        LAMBDA_E_COUNT
};

const char *lambda_error_code(enum lambda_error e);
int lambda_error_status(enum lambda_error e);
/* JSON, the caller's to free; NULL: out of memory. reason may be NULL. */
char *lambda_error_body(enum lambda_error e, const char *text, const char *reason);

/* What a failure of ours is called there. */
enum lambda_error lambda_error_of_cause(enum cause cause);
/* What it is called that a signature is not good. */
enum lambda_error lambda_error_of_signature(enum sigv4_outcome outcome);

#endif /* COMMON_LAMBDA_ERROR_H */
