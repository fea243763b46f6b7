#include "agent/gateway/headers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "agent/gateway/mark.h"
#include "common/check.h"

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
    struct headers h = {.capacity = from.n + extra};

    h.list = calloc(h.capacity + 1, sizeof(*h.list));
    if (h.list == NULL) {
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
            h.list[h.n++] = from.list[i];
        }
    }
    *ret = h;
    return 0;
}

void headers_add(struct headers *h, const char *name, const char *value)
{
    headers_put(h, name, http_str(value));
}

void headers_put(struct headers *h, const char *name, struct http_str value)
{
    CHECK(h->n < h->capacity);
    h->list[h->n++] = (struct http_header){http_str(name), value};
}

struct http_headers headers_get(const struct headers *h)
{
    return (struct http_headers){h->list, h->n};
}

void headers_free(struct headers *h)
{
    free(h->list);
    *h = (struct headers){0};
}

/* --- timing ------------------------------------------------------------------- */

static int put_phase(char *at, size_t room, const char *name, uint64_t us, bool first)
{
    return snprintf(at, room, "%s%s;dur=%llu.%03u", first ? "" : ", ", name,
                    (unsigned long long)(us / 1000), (unsigned)(us % 1000));
}

void timing_format(char ret[TIMING_SIZE], const struct timing *t)
{
    size_t n = (size_t)put_phase(ret, TIMING_SIZE, "queue", t->queue_us, true);

    if (t->cold) {
        n += (size_t)put_phase(ret + n, TIMING_SIZE - n, "start", t->start_us, false);
        n += (size_t)put_phase(ret + n, TIMING_SIZE - n, "init", t->init_us, false);
    }
    if (t->ran) {
        (void)put_phase(ret + n, TIMING_SIZE - n, "run", t->run_us, false);
    }
}
