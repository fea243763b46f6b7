#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define LAYERS   "/v1/namespaces/{namespace}/layers"
#define FUNCTION "/v1/namespaces/{namespace}/functions/{name}"

static const char *const package_query[] = {"format", "file_name", NULL};
static const char *const version_query[] = {"wait_ms", NULL};
static const char *const events_query[] = {"follow",   "tail", "after", "namespace",
                                           "function", "node", NULL};
static const char *const list_query[] = {"limit", "after", NULL};
static const char *const logs_query[] = {"follow", "tail", "version", NULL};

/* clang-format off */
#define ROUTE(method_, pattern_, handler_, ...)                                          \
    {.method = method_, .pattern = pattern_, .handler = handler_, __VA_ARGS__}

static const struct route routes[] = {
    ROUTE("GET",    "/healthz", api_get_healthz, .always = true),
    ROUTE("GET",    "/readyz", api_get_readyz, .always = true),
    ROUTE("GET",    "/metrics", api_get_metrics, .always = true),
    ROUTE("GET",    "/v1/version", api_get_version, .always = true),
    ROUTE("GET",    "/v1/status", api_get_status, .always = true),
    ROUTE("GET",    "/v1/namespaces", api_list_namespaces, .query = list_query),
    ROUTE("GET",    "/v1/namespaces/{namespace}", api_get_namespace),
    ROUTE("PUT",    "/v1/namespaces/{namespace}", api_put_namespace, .body = BODY_JSON_OR_EMPTY),
    ROUTE("DELETE", "/v1/namespaces/{namespace}", api_delete_namespace),
    ROUTE("GET",    "/v1/namespaces/{namespace}/functions", api_list_functions, .query = list_query),
    ROUTE("GET",    FUNCTION, api_get_function),
    ROUTE("GET",    FUNCTION "/explain", api_explain_function),
    ROUTE("PUT",    FUNCTION, api_put_function, .body = BODY_JSON),
    ROUTE("DELETE", FUNCTION, api_delete_function),
    ROUTE("GET",    FUNCTION "/versions/{version}", api_get_function_version, .query = version_query),
    ROUTE("DELETE", FUNCTION "/versions/{version}", api_delete_version),
    ROUTE("GET",    FUNCTION "/versions", api_list_versions),
    ROUTE("POST",   FUNCTION "/versions", api_publish_version, .body = BODY_JSON_OR_EMPTY),
    ROUTE("GET",    FUNCTION "/aliases", api_list_aliases),
    ROUTE("GET",    FUNCTION "/aliases/{alias}", api_get_alias),
    ROUTE("PUT",    FUNCTION "/aliases/{alias}", api_put_alias, .body = BODY_JSON),
    ROUTE("DELETE", FUNCTION "/aliases/{alias}", api_delete_alias),
    ROUTE("POST",   FUNCTION "/rollback", api_rollback, .body = BODY_JSON_OR_EMPTY),
    ROUTE("GET",    FUNCTION "/logs", api_get_logs, .query = logs_query),
    ROUTE("GET",    "/v1/events", api_get_events, .query = events_query),
    ROUTE("GET",    LAYERS, api_list_layers, .query = list_query),
    ROUTE("GET",    LAYERS "/{name}", api_get_layer),
    ROUTE("POST",   LAYERS "/{name}/versions", api_publish_layer, .body = BODY_JSON),
    ROUTE("GET",    LAYERS "/{name}/versions/{version}", api_get_layer_version),
    ROUTE("DELETE", LAYERS "/{name}/versions/{version}", api_delete_layer_version),
    ROUTE("GET",    "/v1/namespaces/{namespace}/keys", api_list_keys, .query = list_query),
    ROUTE("POST",   "/v1/namespaces/{namespace}/keys", api_create_key, .body = BODY_JSON_OR_EMPTY),
    ROUTE("DELETE", "/v1/namespaces/{namespace}/keys/{id}", api_delete_key),
    ROUTE("GET",    "/v1/packages/{digest}", api_get_package),
    ROUTE("PUT",    "/v1/packages/{digest}", api_put_package, .query = package_query, .body = BODY_STREAM),
    ROUTE("GET",    "/v1/nodes", api_list_nodes, .query = list_query),
    ROUTE("GET",    "/v1/nodes/{node}", api_get_node),
    ROUTE("PATCH",  "/v1/nodes/{node}", api_patch_node, .body = BODY_JSON),
};
/* clang-format on */
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

/* The segment after *at's slash; *at moves to the next slash or the end. */
static struct http_str segment(const char **at, const char *end)
{
    const char *begin = *at + 1;
    const char *slash = memchr(begin, '/', (size_t)(end - begin));

    *at = slash != NULL ? slash : end;
    return (struct http_str){begin, (size_t)(*at - begin)};
}

/* Whether path has the shape of pattern; params gets the segments that stand for {…}. */
static bool matches(const char *pattern, struct http_str path,
                    struct http_str params[ROUTE_PARAMS_MAX])
{
    const char *p = pattern, *p_end = pattern + strlen(pattern);
    const char *at = path.at, *end = path.at + path.len;
    size_t n = 0;

    while (p < p_end && at < end && *at == '/') {
        struct http_str want = segment(&p, p_end);
        struct http_str have = segment(&at, end);

        if (want.len > 0 && want.at[0] == '{') {
            if (have.len == 0) {
                return false;
            }
            params[n++] = have;
        } else if (want.len != have.len || memcmp(want.at, have.at, have.len) != 0) {
            return false;
        }
    }
    return p == p_end && at == end;
}

static void note_method(struct route_match *m, const char *method)
{
    size_t len = strlen(m->allow);

    (void)snprintf(m->allow + len, sizeof(m->allow) - len, "%s%s%s", len > 0 ? ", " : "",
                   method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int routes_match(struct route_match *ret, struct http_str method, struct http_str path)
{
    struct http_str get = HTTP_STR("GET");
    struct http_str params[ROUTE_PARAMS_MAX] = {{NULL, 0}};

    *ret = (struct route_match){.route = NULL};
    if (http_str_eq(method, "HEAD")) {
        method = get;
    }
    for (size_t i = 0; i < N_ROUTES; i++) {
        struct http_str found[ROUTE_PARAMS_MAX] = {{NULL, 0}};

        if (!matches(routes[i].pattern, path, found)) {
            continue;
        }
        note_method(ret, routes[i].method);
        if (http_str_eq(method, routes[i].method)) {
            ret->route = &routes[i];
            memcpy(params, found, sizeof(params));
        }
    }
    for (size_t i = 0; ret->route != NULL && i < ROUTE_PARAMS_MAX; i++) {
        if (params[i].at == NULL) {
            break;
        }
        ret->params[i] = input_decode(params[i], false);
        if (ret->params[i] == NULL) {
            route_match_free(ret);
            return -EINVAL;
        }
    }
    return 0;
}

void route_match_free(struct route_match *m)
{
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++) {
        free(m->params[i]);
        m->params[i] = NULL;
    }
    m->route = NULL;
}
