/* Function URLs: their configuration. Gateways serve them (docs/lambda.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "controller/api/lambda_private.h"

#define URL    "url" /* the attribute */
#define ID_LEN 32

static const char *const auth_types[] = {"NONE", "AWS_IAM", NULL};
static const char *const invoke_modes[] = {"BUFFERED", "RESPONSE_STREAM", NULL};

#define URLS_BYTES_MAX                                              \
    (60 * 1024) /* of a function: nodes are told all in one message \
                 */

/* A function has one URL, and each of its aliases may have one. */
static const json_t *url_of(const struct lambda *l, const json_t *function)
{
    return lambda_attribute(function, URL, l->ref.qualifier);
}

static bool take_gateway(void *data, const char *gateway)
{
    const char **ret = data;

    *ret = gateway;
    return false;
}

/* Where callers reach a gateway: the host that was asked, when a gateway passed the
 * request on; else any node's. */
static json_t *address(const struct lambda *l, const char *id)
{
    struct http_headers h = http_exchange_headers(l->r->x);
    const struct http_header *via = http_headers_find(h, "X-Mayfly-Via");
    const struct http_header *host = http_headers_find(h, "Host");
    const char *gateway = "localhost:8080";

    if (via != NULL && host != NULL) {
        return json_sprintf("http://%.*s/url/%s/", (int)host->value.len, host->value.at,
                            id);
    }
    controller_core_gateways(l->r->api->core, take_gateway, &gateway);
    return json_sprintf("http://%s/url/%s/", gateway, id);
}

static json_t *view(const struct lambda *l, const json_t *kept, const char *qualifier,
                    bool create)
{
    char arn[LAMBDA_ARN_SIZE];
    json_t *out = json_object();
    const json_t *cors = json_object_get(kept, "cors");

    lambda_own_arn(l, qualifier, arn);
    (void)json_object_set_new(out, "FunctionUrl",
                              address(l, json_string_value(json_object_get(kept, "id"))));
    (void)json_object_set_new(out, "FunctionArn", json_string(arn));
    (void)json_object_set(out, "AuthType", json_object_get(kept, "auth"));
    (void)json_object_set(out, "InvokeMode", json_object_get(kept, "mode"));
    (void)json_object_set(out, "CreationTime", json_object_get(kept, "created"));
    if (!create) {
        (void)json_object_set(out, "LastModifiedTime", json_object_get(kept, "modified"));
    }
    if (cors != NULL) {
        (void)json_object_set(out, "Cors", (json_t *)(uintptr_t)cors);
    }
    return out;
}

/* Lists of strings with AWS's limits: the number of items and the length of each. */
static const struct {
    const char *key, *field;
    size_t items, len;
} lists[] = {
    {"AllowHeaders", "cors.allowHeaders", 100, 1024},
    {"AllowMethods", "cors.allowMethods", 6, 6},
    {"AllowOrigins", "cors.allowOrigins", 100, 253},
    {"ExposeHeaders", "cors.exposeHeaders", 100, 1024},
};

static bool has_control(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < ' ' || *s == 0x7f) {
            return true;
        }
    }
    return false;
}

static void check_cors(struct lambda_checks *c, const json_t *cors)
{
    int64_t n;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const json_t *list = json_object_get(cors, lists[i].key), *item;
        size_t at;

        if (list == NULL || json_is_null(list)) {
            continue;
        }
        if (!json_is_array(list) || json_array_size(list) > lists[i].items) {
            lambda_check_add(c, "[]", lists[i].field,
                             "Member must have length less than or equal to %zu",
                             lists[i].items);
            continue;
        }
        json_array_foreach(list, at, item)
        {
            if (!json_is_string(item) || json_string_length(item) > lists[i].len ||
                has_control(json_string_value(item))) {
                lambda_check_add(c, json_is_string(item) ? json_string_value(item) : "",
                                 lists[i].field,
                                 "Member must satisfy constraint: [Member must have "
                                 "length less than or equal to %zu]",
                                 lists[i].len);
            }
        }
    }
    (void)lambda_check_number(c, cors, "MaxAge", "cors.maxAge", 0, 86400, &n);
}

static bool check(struct lambda *l, bool create)
{
    struct lambda_checks c = {0};
    const json_t *cors = json_object_get(l->json, "Cors");

    if (create && json_object_get(l->json, "AuthType") == NULL) {
        lambda_check_add(&c, "null", "authType", "Member must not be null");
    }
    (void)lambda_check_enum(&c, l->json, "AuthType", "authType", auth_types);
    (void)lambda_check_enum(&c, l->json, "InvokeMode", "invokeMode", invoke_modes);
    if (cors != NULL && !json_is_null(cors) && !json_is_object(cors)) {
        lambda_check_add(&c, "", "cors", "Member must be a structure");
    } else {
        check_cors(&c, cors);
    }
    return lambda_checks_end(&c, l);
}

/* The function itself or an alias can have a URL. NULL: answered. */
static json_t *get_named(struct lambda *l)
{
    const char *q = l->ref.qualifier;
    struct lambda_checks c = {0};

    if (*q != '\0' && !alias_name_valid(q, strlen(q))) {
        lambda_check_add(&c, q, "qualifier",
                         "Member must satisfy regular expression pattern: "
                         "((?!^\\d+$)^[0-9a-zA-Z-_]+$)");
        (void)lambda_checks_end(&c, l);
        return NULL;
    }
    return lambda_base(l, lambda_get(l));
}

static void merge(json_t *kept, const json_t *body)
{
    static const char *const keys[][2] = {
        {"auth", "AuthType"}, {"mode", "InvokeMode"}, {"cors", "Cors"}};

    for (size_t i = 0; i < 3; i++) {
        json_t *value = json_object_get(body, keys[i][1]);

        if (value != NULL && !json_is_null(value)) {
            (void)json_object_set(kept, keys[i][0], value);
        }
    }
}

static size_t bytes_of(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    size_t len = text != NULL ? strlen(text) : 0;

    free(text);
    return len;
}

/* With value in the place of the URL that the qualifier names. */
static size_t bytes_with(const struct lambda *l, const json_t *f, const json_t *value)
{
    size_t sum = bytes_of(value);
    const json_t *one;
    const char *qualifier;
    void *at = NULL;

    while ((qualifier = lambda_attribute_next(f, URL, &at, &one)) != NULL) {
        if (strcmp(qualifier, l->ref.qualifier) != 0) {
            sum += bytes_of(one);
        }
    }
    return sum;
}

static void change(struct lambda *l, const json_t *f, json_t *value,
                   void (*changed)(struct lambda *l))
{
    if (value != NULL && bytes_with(l, f, value) > URLS_BYTES_MAX) {
        json_decref(value);
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "The configurations of the function's URLs would take over %d bytes; "
                    "make the CORS lists shorter.",
                    URLS_BYTES_MAX);
        return;
    }
    lambda_change_qualified(l, URL, value, changed);
}

static void created(struct lambda *l)
{
    lambda_reply(l, view(l, l->value, l->ref.qualifier, true));
}

static void updated(struct lambda *l)
{
    lambda_reply(l, view(l, l->value, l->ref.qualifier, false));
}

static void missing(struct lambda *l)
{
    lambda_fail(l, LAMBDA_E_NOT_FOUND, "The resource you requested does not exist.");
}

static json_t *now_json(void)
{
    char now[40];

    lambda_now(now);
    return json_string(now);
}

void lambda_create_url(struct lambda *l)
{
    char uuid[RANDOM_UUID_SIZE], id[ID_LEN + 1];
    json_t *f, *kept;
    size_t n = 0;

    if (!check(l, true) || (f = get_named(l)) == NULL) {
        return;
    }
    if (url_of(l, f) != NULL) {
        char arn[LAMBDA_ARN_SIZE];

        lambda_own_arn(l, l->ref.qualifier, arn);
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "Failed to create function url config for [functionArn = %s]. Error "
                    "message:  FunctionUrlConfig exists for this Lambda function",
                    arn);
        json_decref(f);
        return;
    }
    random_uuid(uuid);
    for (const char *at = uuid; *at != '\0' && n < ID_LEN; at++) {
        if (*at != '-') {
            id[n++] = *at;
        }
    }
    id[n] = '\0';
    kept = json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", id, "auth", "NONE", "mode",
                     "BUFFERED", "created", now_json(), "modified", now_json());
    merge(kept, l->json);
    l->again = lambda_create_url;
    change(l, f, kept, created);
    json_decref(f);
}

void lambda_get_url(struct lambda *l)
{
    json_t *f = get_named(l);

    if (f != NULL && url_of(l, f) == NULL) {
        missing(l);
    } else if (f != NULL) {
        lambda_reply(l, view(l, url_of(l, f), l->ref.qualifier, false));
    }
    json_decref(f);
}

void lambda_update_url(struct lambda *l)
{
    json_t *f, *kept;

    if (!check(l, false) || (f = get_named(l)) == NULL) {
        return;
    }
    l->again = lambda_update_url;
    if (url_of(l, f) == NULL) {
        missing(l);
    } else {
        kept = json_deep_copy(url_of(l, f));
        merge(kept, l->json);
        (void)json_object_set_new(kept, "modified", now_json());
        change(l, f, kept, updated);
    }
    json_decref(f);
}

void lambda_delete_url(struct lambda *l)
{
    json_t *f = get_named(l);

    l->again = lambda_delete_url;
    if (f != NULL && url_of(l, f) == NULL) {
        missing(l);
    } else if (f != NULL) {
        change(l, f, NULL, lambda_reply_empty);
    }
    json_decref(f);
}

static json_t *listed(const struct lambda *l, const json_t *f, const char *qualifier,
                      const json_t *kept)
{
    return view(l, kept, qualifier, false);
}

void lambda_list_urls(struct lambda *l)
{
    lambda_reply_attributes(l, URL, "FunctionUrlConfigs", listed);
}
