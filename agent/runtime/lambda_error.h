/* What Lambda's clients read about a call that failed: error types and texts as AWS has
 * them (https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html, and
 * recorded answers), from the cause and text that a runtime's on_close tells. */
#ifndef AGENT_RUNTIME_LAMBDA_ERROR_H
#define AGENT_RUNTIME_LAMBDA_ERROR_H

#include <stdint.h>

#include "common/buf.h"
#include "common/cause.h"

struct lambda_error {
    char type[80]; /* "Runtime.ExitError" */
    char
        message[400]; /* "RequestId: … Error: Runtime exited with error: exit status 3" */
};

/* timeout_ms: the function's, for CAUSE_TIMEOUT. cause: not CAUSE_NONE. */
void lambda_error_of(struct lambda_error *ret, enum cause cause, const char *text,
                     const char *request_id, uint32_t timeout_ms);
/* Appends {"errorType": …, "errorMessage": …}. -ENOMEM. */
int lambda_error_document(struct buf *ret, const struct lambda_error *e);

#endif /* AGENT_RUNTIME_LAMBDA_ERROR_H */
