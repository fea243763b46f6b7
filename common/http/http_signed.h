/* A server's request as sigv4.h checks it. */
#ifndef COMMON_HTTP_HTTP_SIGNED_H
#define COMMON_HTTP_HTTP_SIGNED_H

#include "common/http/http_server.h"
#include "common/sigv4.h"

#define HTTP_SIGNED_HEADERS_MAX 128 /* more are left out */

/* Method, path, query and headers point into the request; headers also into list. */
void http_signed_request(struct sigv4_request *ret,
                         struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX],
                         struct http_exchange *x);

#endif /* COMMON_HTTP_HTTP_SIGNED_H */
