/* Which function a request's path means. Pure.
 *
 *     /fn/<namespace>/<name>/<path>     if there is such a function, else
 *     /fn/<name>/<path>                 in the namespace "default"
 *
 * <name> may be <name>:<qualifier>: an alias, a version's number, or "$LATEST".
 *
 * The long form wins, since it is what the controller gives out as a function's path: no
 * function of the namespace "default" can take it over. */
#ifndef AGENT_GATEWAY_ROUTE_H
#define AGENT_GATEWAY_ROUTE_H

#include <stdbool.h>

#include "common/alias.h"
#include "common/http/http.h"
#include "common/spec.h"

/* One reading of the path. */
struct route_target {
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    char qualifier[ALIAS_NAME_MAX + 1]; /* "": none */
    struct http_str path; /* below the function: "/" at least; points into the request */
};

struct route {
    struct route_target targets[2]; /* in the order to try */
    unsigned n;
};

/* 0; -ENOENT: not below /fn/, or what follows cannot be a function's name. */
int route_parse(struct route *ret, struct http_str path);

#endif /* AGENT_GATEWAY_ROUTE_H */
