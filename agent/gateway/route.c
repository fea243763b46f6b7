#include "agent/gateway/route.h"

#include <errno.h>
#include <string.h>

/* Takes "/<name>" off the front of *rest. False: no valid name there. */
static bool take_name(struct http_str *rest, char ret[SPEC_NAME_MAX + 1])
{
    const char *slash;
    size_t len;

    if (rest->len < 2 || rest->at[0] != '/') {
        return false;
    }
    slash = memchr(rest->at + 1, '/', rest->len - 1);
    len = slash != NULL ? (size_t)(slash - rest->at) - 1 : rest->len - 1;
    if (len > SPEC_NAME_MAX) {
        return false;
    }
    memcpy(ret, rest->at + 1, len);
    ret[len] = '\0';
    rest->at += len + 1;
    rest->len -= len + 1;
    return memchr(ret, '\0', len) == NULL && spec_name_valid(ret);
}

static struct http_str or_root(struct http_str path)
{
    return path.len > 0 ? path : HTTP_STR("/");
}

int route_parse(struct route *ret, struct http_str path)
{
    char first[SPEC_NAME_MAX + 1], second[SPEC_NAME_MAX + 1];
    struct route_target *t = ret->targets;
    struct http_str rest = path, below;

    if (rest.len < 3 || memcmp(rest.at, "/fn", 3) != 0) {
        return -ENOENT;
    }
    rest.at += 3;
    rest.len -= 3;
    if (!take_name(&rest, first)) {
        return -ENOENT;
    }
    below = rest;
    if (take_name(&rest, second)) {
        memcpy(t->namespace_, first, sizeof(first));
        memcpy(t->name, second, sizeof(second));
        t->path = or_root(rest);
        t++;
    }
    memcpy(t->namespace_, "default", sizeof("default"));
    memcpy(t->name, first, sizeof(first));
    t->path = or_root(below);
    ret->n = (unsigned)(t - ret->targets) + 1;
    return 0;
}
