/* Documents that come from inside a sandbox over Lambda's Runtime and Extensions API,
 * read: the status and headers before a reply's body, and what an extension registers
 * for. Pure.
 */
#ifndef AGENT_RUNTIME_LAMBDA_DOCUMENT_H
#define AGENT_RUNTIME_LAMBDA_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/http/http.h"

/* Status and headers before a body: JSON, eight NULs, then the body
 * (application/vnd.awslambda.http-integration-response). */
#define LAMBDA_PRELUDE_END     8
#define LAMBDA_PRELUDE_HEADERS 128

struct lambda_prelude {
    int status;
    struct http_header
        list[LAMBDA_PRELUDE_HEADERS + 1]; /* into json; room for one more */
    size_t n;
    json_t *json;
};

/* {statusCode, headers, multiValueHeaders, cookies}, without the NULs. -EINVAL: it is
 * not, or a header has what none can have. *ret is to be freed in any case. */
int lambda_prelude_read(struct lambda_prelude *ret, const char *text, size_t len);
void lambda_prelude_free(struct lambda_prelude *p);

enum lambda_events_outcome {
    LAMBDA_EVENTS_GOOD,
    LAMBDA_EVENTS_NO_LIST,     /* the body is no object with a list */
    LAMBDA_EVENTS_UNKNOWN,     /* another event */
    LAMBDA_EVENTS_NO_SHUTDOWN, /* not for internal extensions */
};

/* {"events": ["INVOKE", "SHUTDOWN"]} */
enum lambda_events_outcome lambda_events_read(bool *ret_invoke, bool *ret_shutdown,
                                              bool internal, const char *text,
                                              size_t len);

#endif /* AGENT_RUNTIME_LAMBDA_DOCUMENT_H */
