#include "common/http/http_signed.h"

static struct sigv4_str slice(struct http_str s)
{
    return (struct sigv4_str){s.at, s.len};
}

void http_signed_request(struct sigv4_request *ret,
                         struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX],
                         struct http_exchange *x)
{
    struct http_headers h = http_exchange_headers(x);

    *ret = (struct sigv4_request){.method = slice(http_exchange_method(x)),
                                  .path = slice(http_exchange_path(x)),
                                  .query = slice(http_exchange_query(x)),
                                  .headers = list};
    for (size_t i = 0; i < h.n && ret->n_headers < HTTP_SIGNED_HEADERS_MAX; i++) {
        list[ret->n_headers++] =
            (struct sigv4_header){slice(h.list[i].name), slice(h.list[i].value)};
    }
}
