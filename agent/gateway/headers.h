/* Which headers cross the gateway, and those that it adds. */
#ifndef AGENT_GATEWAY_HEADERS_H
#define AGENT_GATEWAY_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "common/http/http.h"

#define HEADERS_FEW 40 /* so many need no memory of their own */

struct headers {              /* not to be copied: list may point into it */
    struct http_header *list; /* values point into what they were made from */
    size_t n;
    size_t capacity;
    struct http_header few[HEADERS_FEW];
};

/* Between agents: the number of the version that was picked by weight. Believed only
 * beside a trusted mark. */
#define HEADER_PICKED "X-Mayfly-Picked"

/* Between agents, beside a trusted mark: how a caller of Lambda's API named the function,
 * and that it wants the log's tail, which comes back in a header or trailer in base64. */
#define HEADER_ARN  "X-Mayfly-Invoked-Arn"
#define HEADER_TAIL "X-Mayfly-Log-Tail"

enum headers_direction {
    HEADERS_TO_FUNCTION,   /* nothing that begins with X-Mayfly-: those are ours to say */
    HEADERS_FROM_FUNCTION, /* neither */
    HEADERS_BETWEEN_AGENTS /* a mark goes alone (mark.h); the other agent's are right */
};

/* What may pass of `from`: connection-level headers stay behind. There is room for
 * `extra` more by headers_add(). 0 or -ENOMEM. */
int headers_pass(struct headers *ret, struct http_headers from,
                 enum headers_direction direction, size_t extra);

static inline void headers_put(struct headers *h, const char *name, struct http_str value)
{
    CHECK(h->n < h->capacity);
    h->list[h->n++] = (struct http_header){http_str(name), value};
}

static inline void headers_add(struct headers *h, const char *name, const char *value)
{
    headers_put(h, name, http_str(value));
}

struct http_headers headers_get(const struct headers *h);
void headers_free(struct headers *h);

#endif /* AGENT_GATEWAY_HEADERS_H */
