#include "agent/gateway/route.h"

#include <errno.h>
#include <string.h>

/* A segment of the path: a name, and what may follow it after a colon. */
struct named {
    char name[SPEC_NAME_MAX + 1];
    char qualifier[ALIAS_NAME_MAX + 1];
};

static bool take_qualifier(char ret[ALIAS_NAME_MAX + 1], const char *at, size_t len)
{
    bool digits = len > 0 && len <= 20;

    for (size_t i = 0; i < len && digits; i++) {
        digits = at[i] >= '0' && at[i] <= '9';
    }
    if (!digits && !alias_name_valid(at, len) &&
        !(len == sizeof("$LATEST") - 1 && memcmp(at, "$LATEST", len) == 0)) {
        return false;
    }
    memcpy(ret, at, len);
    ret[len] = '\0';
    return true;
}

/* Takes "/<name>" or "/<name>:<qualifier>" off the front of *rest. False: neither is
 * there. */
static bool take_name(struct http_str *rest, struct named *ret)
{
    const char *begin = rest->at + 1, *slash, *colon;
    size_t len, name_len;

    if (rest->len < 2 || rest->at[0] != '/') {
        return false;
    }
    slash = memchr(begin, '/', rest->len - 1);
    len = slash != NULL ? (size_t)(slash - begin) : rest->len - 1;
    colon = memchr(begin, ':', len);
    name_len = colon != NULL ? (size_t)(colon - begin) : len;
    if (name_len > SPEC_NAME_MAX || memchr(begin, '\0', name_len) != NULL) {
        return false;
    }
    ret->qualifier[0] = '\0';
    memcpy(ret->name, begin, name_len);
    ret->name[name_len] = '\0';
    if (colon != NULL && !take_qualifier(ret->qualifier, colon + 1, len - name_len - 1)) {
        return false;
    }
    rest->at += len + 1;
    rest->len -= len + 1;
    return spec_name_valid(ret->name);
}

static struct http_str or_root(struct http_str path)
{
    return path.len > 0 ? path : HTTP_STR("/");
}

static void set(struct route_target *t, const char *namespace_, const struct named *n,
                struct http_str path)
{
    (void)stpcpy(t->namespace_, namespace_);
    (void)stpcpy(t->name, n->name);
    (void)stpcpy(t->qualifier, n->qualifier);
    t->path = or_root(path);
}

int route_parse(struct route *ret, struct http_str path)
{
    struct named first, second;
    struct http_str rest = path, below;

    ret->n = 0;
    if (rest.len < 3 || memcmp(rest.at, "/fn", 3) != 0) {
        return -ENOENT;
    }
    rest.at += 3;
    rest.len -= 3;
    if (!take_name(&rest, &first)) {
        return -ENOENT;
    }
    below = rest;
    if (*first.qualifier == '\0' && take_name(&rest, &second)) {
        set(&ret->targets[ret->n++], first.name, &second, rest);
    }
    set(&ret->targets[ret->n++], "default", &first, below);
    return 0;
}
