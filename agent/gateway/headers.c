#include "agent/gateway/headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/mark.h"

#define OURS "X-Mayfly-"

static bool is_ours(struct http_str name)
{
    return name.len >= sizeof(OURS) - 1 &&
           strncasecmp(name.at, OURS, sizeof(OURS) - 1) == 0;
}

int headers_pass(struct headers *ret, struct http_headers from,
                 enum headers_direction direction, size_t extra)
{
    const struct http_header *connection = http_headers_find(from, "Connection");
    struct http_str listed = connection != NULL ? connection->value : HTTP_STR("");
    size_t capacity = from.n + extra;
    struct http_header *list =
        capacity <= HEADERS_FEW ? ret->few : calloc(capacity, sizeof(*list));
    size_t n = 0;

    if (list == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < from.n; i++) {
        struct http_str name = from.list[i].name;
        bool stays = http_header_is_hop(name, listed);

        if (is_ours(name)) {
            stays = direction != HEADERS_BETWEEN_AGENTS ||
                    http_str_ieq(name, MARK_HEADER) ||
                    http_str_ieq(name, MARK_REPLY_HEADER) ||
                    http_str_ieq(name, HEADER_PICKED) || http_str_ieq(name, HEADER_ARN) ||
                    http_str_ieq(name, HEADER_TAIL);
        } else if (http_str_ieq(name, "Date") && direction != HEADERS_TO_FUNCTION) {
            stays = true; /* the server adds its own */
        }
        if (!stays) {
            list[n++] = from.list[i];
        }
    }
    ret->list = list;
    ret->n = n;
    ret->capacity = capacity;
    return 0;
}

struct http_headers headers_get(const struct headers *h)
{
    return (struct http_headers){h->list, h->n};
}

void headers_free(struct headers *h)
{
    if (h->list != h->few) {
        free(h->list);
    }
    h->list = NULL;
    h->n = h->capacity = 0;
}
