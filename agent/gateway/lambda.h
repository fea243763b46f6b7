/* AWS Lambda's API on the gateway (docs/lambda.md): Invoke here, control operations
 * passed on to a controller, function URLs. */
#ifndef AGENT_GATEWAY_LAMBDA_H
#define AGENT_GATEWAY_LAMBDA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http/http_server.h"
#include "common/list.h"

#define LAMBDA_BUCKETS 256

struct gateway;

struct lambda_state {
    struct list keys[LAMBDA_BUCKETS];
    struct list urls[LAMBDA_BUCKETS];
    uint64_t snapshot; /* the current one's number */
    uint64_t held;     /* bytes of bodies that requests hold */
    char *controller;  /* "host:port"; NULL: not known yet */
    char *account;
    bool auth_off;
};

/* False: the request is none of these. */
bool lambda_takes(struct gateway *g, struct http_exchange *x, struct http_str path);

#endif /* AGENT_GATEWAY_LAMBDA_H */
