#include "controller/api/lambda.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/http/http_signed.h"
#include "common/log.h"
#include "controller/api/lambda_private.h"

bool lambda_is_path(struct http_str path)
{
    return lambda_path_is(path.at, path.len);
}

/* --- which operation -------------------------------------------------------------- */

static lambda_handler *const handlers[LAMBDA_OP_COUNT] = {
    [LAMBDA_CreateFunction] = lambda_create_function,
    [LAMBDA_ListFunctions] = lambda_list_functions,
    [LAMBDA_GetFunction] = lambda_get_function,
    [LAMBDA_DeleteFunction] = lambda_delete_function,
    [LAMBDA_GetFunctionConfiguration] = lambda_get_configuration,
    [LAMBDA_UpdateFunctionConfiguration] = lambda_update_configuration,
    [LAMBDA_UpdateFunctionCode] = lambda_update_code,
    [LAMBDA_PutFunctionConcurrency] = lambda_put_concurrency,
    [LAMBDA_GetFunctionConcurrency] = lambda_get_concurrency,
    [LAMBDA_DeleteFunctionConcurrency] = lambda_delete_concurrency,
    [LAMBDA_GetAccountSettings] = lambda_account_settings,
    [LAMBDA_ListTags] = lambda_list_tags,
    [LAMBDA_TagResource] = lambda_tag,
    [LAMBDA_UntagResource] = lambda_untag,
    [LAMBDA_PutFunctionEventInvokeConfig] = lambda_put_event_invoke,
    [LAMBDA_UpdateFunctionEventInvokeConfig] = lambda_update_event_invoke,
    [LAMBDA_GetFunctionEventInvokeConfig] = lambda_get_event_invoke,
    [LAMBDA_DeleteFunctionEventInvokeConfig] = lambda_delete_event_invoke,
    [LAMBDA_ListFunctionEventInvokeConfigs] = lambda_list_event_invoke,
    [LAMBDA_AddPermission] = lambda_add_permission,
    [LAMBDA_GetPolicy] = lambda_get_policy,
    [LAMBDA_RemovePermission] = lambda_remove_permission,
    [LAMBDA_CreateFunctionUrlConfig] = lambda_create_url,
    [LAMBDA_GetFunctionUrlConfig] = lambda_get_url,
    [LAMBDA_UpdateFunctionUrlConfig] = lambda_update_url,
    [LAMBDA_DeleteFunctionUrlConfig] = lambda_delete_url,
    [LAMBDA_ListFunctionUrlConfigs] = lambda_list_urls,
    [LAMBDA_ListEventSourceMappings] = lambda_list_mappings,
    [LAMBDA_PublishVersion] = lambda_publish_version,
    [LAMBDA_ListVersionsByFunction] = lambda_list_versions,
    [LAMBDA_CreateAlias] = lambda_create_alias,
    [LAMBDA_GetAlias] = lambda_get_alias,
    [LAMBDA_UpdateAlias] = lambda_update_alias,
    [LAMBDA_DeleteAlias] = lambda_delete_alias,
    [LAMBDA_ListAliases] = lambda_list_aliases,
    [LAMBDA_PutProvisionedConcurrencyConfig] = lambda_put_provisioned,
    [LAMBDA_GetProvisionedConcurrencyConfig] = lambda_get_provisioned,
    [LAMBDA_DeleteProvisionedConcurrencyConfig] = lambda_delete_provisioned,
    [LAMBDA_ListLayers] = lambda_list_layers,
    [LAMBDA_PublishLayerVersion] = lambda_publish_layer,
    [LAMBDA_ListLayerVersions] = lambda_list_layer_versions,
    [LAMBDA_GetLayerVersion] = lambda_get_layer_version,
    [LAMBDA_DeleteLayerVersion] = lambda_delete_layer_version,
    [LAMBDA_AddLayerVersionPermission] = lambda_add_layer_permission,
    [LAMBDA_GetLayerVersionPolicy] = lambda_get_layer_policy,
    [LAMBDA_RemoveLayerVersionPermission] = lambda_remove_layer_permission,
};

static bool takes_code(enum lambda_op op)
{
    return op == LAMBDA_CreateFunction || op == LAMBDA_UpdateFunctionCode ||
           op == LAMBDA_PublishLayerVersion;
}

static bool has_body(const struct lambda *l)
{
    uint64_t len = http_exchange_content_length(l->r->x);

    return len > 0;
}

/* --- the signature ---------------------------------------------------------------- */

/* Whose request it says to be: before the body comes. False: answered. */
static bool read_claim(struct lambda *l)
{
    struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX];
    struct sigv4_request signed_;
    char text[SIGV4_TEXT_MAX];
    struct key_state key;
    enum sigv4_outcome o;

    (void)stpcpy(l->namespace_, "default");
    (void)stpcpy(l->region, "us-east-1");
    http_signed_request(&signed_, list, l->r->x);
    o = sigv4_claim(&l->claim, &signed_, text);
    l->claimed = o == SIGV4_GOOD;
    if (!l->claimed) {
        if (!l->r->api->options.lambda_auth_off) {
            lambda_fail(l, lambda_error_of_signature(o), "%s", text);
        }
        return l->r->api->options.lambda_auth_off;
    }
    (void)stpcpy(l->region, l->claim.region);
    if (controller_core_access_key(l->r->api->core, l->claim.key, &key)) {
        (void)stpcpy(l->namespace_, key.namespace_);
        return true;
    }
    if (!l->r->api->options.lambda_auth_off) {
        lambda_fail(l, LAMBDA_E_CLIENT,
                    "The security token included in the request is invalid.");
    }
    return l->r->api->options.lambda_auth_off;
}

/* When the body is whole. False: answered. */
static bool verify(struct lambda *l)
{
    struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX];
    struct sigv4_request signed_;
    char text[SIGV4_TEXT_MAX], hash[SIGV4_HASH_SIZE];
    unsigned char sum[EVP_MAX_MD_SIZE];
    struct key_state key;
    enum sigv4_outcome o;

    if (l->r->api->options.lambda_auth_off) {
        return true;
    }
    if (!controller_core_access_key(l->r->api->core, l->claim.key, &key)) {
        lambda_fail(l, LAMBDA_E_CLIENT,
                    "The security token included in the request is invalid.");
        return false;
    }
    (void)EVP_DigestFinal_ex(l->hash, sum, NULL);
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hash + 2 * i, 3, "%02x", sum[i]);
    }
    http_signed_request(&signed_, list, l->r->x);
    o = sigv4_verify(&l->claim, &signed_, "lambda", key.secret, hash,
                     clock_wall_ms() / 1000, text);
    if (o != SIGV4_GOOD) {
        lambda_fail(l, lambda_error_of_signature(o), "%s", text);
    }
    return o == SIGV4_GOOD;
}

/* --- which function --------------------------------------------------------------- */

static bool names_function(enum lambda_op op)
{
    switch (op) {
    case LAMBDA_CreateFunction:
    case LAMBDA_ListFunctions:
    case LAMBDA_GetAccountSettings:
    case LAMBDA_ListEventSourceMappings:
    case LAMBDA_CreateEventSourceMapping:
    case LAMBDA_GetEventSourceMapping:
    case LAMBDA_UpdateEventSourceMapping:
    case LAMBDA_DeleteEventSourceMapping:
    case LAMBDA_ListLayers:
    case LAMBDA_PublishLayerVersion:
    case LAMBDA_ListLayerVersions:
    case LAMBDA_GetLayerVersion:
    case LAMBDA_DeleteLayerVersion:
    case LAMBDA_AddLayerVersionPermission:
    case LAMBDA_GetLayerVersionPolicy:
    case LAMBDA_RemoveLayerVersionPermission:
        return false;
    default:
        return true;
    }
}

bool lambda_account_check(struct lambda *l)
{
    if (l->ref.account[0] == '\0' ||
        strcmp(l->ref.account, l->r->api->options.lambda_account) == 0) {
        return true;
    }
    lambda_fail(l, LAMBDA_E_DENIED, "The account %s is not this cluster's, which is %s.",
                l->ref.account, l->r->api->options.lambda_account);
    return false;
}

bool lambda_native_read(struct lambda *l, const char *what)
{
    if (lambda_name_to_native(l->native, l->ref.name) == 0) {
        return true;
    }
    lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                "The %s name %s is too long here: capitals, '_' and '-' count twice in "
                "names that have any of the first two.",
                what, l->ref.name);
    return false;
}

static bool read_function(struct lambda *l)
{
    bool tags = l->path.op == LAMBDA_ListTags || l->path.op == LAMBDA_TagResource ||
                l->path.op == LAMBDA_UntagResource;
    const char *text = l->path.params[0], *qualifier;
    struct lambda_checks c = {0};

    if (!names_function(l->path.op)) {
        return true;
    }
    if (lambda_ref_parse(&l->ref, text) < 0 || (tags && l->ref.region[0] == '\0')) {
        lambda_check_add(&c, text, tags ? "resource" : "functionName",
                         "Member must satisfy regular expression pattern: %s",
                         LAMBDA_NAME_PATTERN);
        return lambda_checks_end(&c, l);
    }
    if (!lambda_account_check(l)) {
        return false;
    }
    qualifier = lambda_query(l, "Qualifier");
    if (qualifier != NULL && l->ref.qualifier[0] != '\0' &&
        strcmp(qualifier, l->ref.qualifier) != 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "The derived qualifier from the function name does not match the "
                    "specified qualifier.");
        return false;
    }
    if (qualifier != NULL && !lambda_qualifier_valid(qualifier)) {
        lambda_check_add(&c, qualifier, "qualifier",
                         "Member must satisfy regular expression pattern: "
                         "(|[a-zA-Z0-9$_-]+)");
        return lambda_checks_end(&c, l);
    }
    if (qualifier != NULL) {
        (void)stpcpy(l->ref.qualifier, qualifier);
    }
    if (lambda_name_to_native(l->native, l->ref.name) < 0) {
        lambda_not_found(l);
        return false;
    }
    return true;
}

static void dispatch(struct lambda *l)
{
    lambda_handler *handler = handlers[l->path.op];

    if (!read_function(l)) {
        return;
    }
    if (handler == NULL) {
        lambda_fail(l, LAMBDA_E_UNSUPPORTED,
                    "%s is not supported by this cluster; docs/lambda.md has what is.",
                    lambda_op_name(l->path.op));
        return;
    }
    handler(l);
}

/* --- body ------------------------------------------------------------------------- */

static void parsed(struct lambda *l)
{
    buf_free(&l->r->body);
    if (l->work_rc < 0) {
        lambda_fail(l, l->work_rc == -ENOMEM ? LAMBDA_E_SERVICE : LAMBDA_E_SERIALIZATION,
                    "Could not parse request body into json: %s", l->work_err.text);
        return;
    }
    dispatch(l);
}

static void parse(struct lambda *l)
{
    const struct buf *b = &l->r->body;

    l->work_rc = input_json(b->data, b->len, true, &l->json, &l->work_err);
    if (l->work_rc == 0 && takes_code(l->path.op)) {
        lambda_code_decode(l);
    }
}

static void parse_thread(uv_work_t *work)
{
    parse(container_of(work, struct lambda, work));
}

static void lambda_free(struct lambda *l);

static void parse_thread_done(uv_work_t *work, int status)
{
    struct lambda *l = container_of(work, struct lambda, work);
    struct api_request *r = l->r;

    if (r->x == NULL) {
        r->state = NULL;
        lambda_free(l);
    } else {
        l->work.data = NULL;
        parsed(l);
    }
    api_request_release(r);
}

static void on_body(struct api_request *r, const char *data, size_t len)
{
    struct lambda *l = r->state;

    if (r->body.len + len > l->body_max) {
        lambda_fail(l, LAMBDA_E_ENTITY_TOO_LARGE,
                    "Request must be smaller than %zu bytes for the %s operation",
                    l->body_max, lambda_op_name(l->path.op));
    } else if (EVP_DigestUpdate(l->hash, data, len) != 1 ||
               buf_append(&r->body, data, len) < 0) {
        lambda_fail(l, LAMBDA_E_SERVICE, "out of memory");
    }
}

static void on_end(struct api_request *r)
{
    struct lambda *l = r->state;

    if (!verify(l)) {
        return;
    }
    if (r->body.len <= LAMBDA_LARGE_BYTES) {
        parse(l);
        parsed(l);
        return;
    }
    l->work.data = l; /* it is under way */
    api_request_hold(r);
    if (uv_queue_work(r->api->loop, &l->work, parse_thread, parse_thread_done) < 0) {
        l->work.data = NULL;
        lambda_fail(l, LAMBDA_E_SERVICE, "out of memory");
        api_request_release(r);
    }
}

/* --- life ------------------------------------------------------------------------- */

static void lambda_free(struct lambda *l)
{
    lambda_code_drop(l);
    if (l->large) {
        l->r->api->n_lambda_large--;
    }
    if (l->has_spec) {
        function_spec_free(&l->spec);
    }
    for (size_t i = 0; i < l->n_query; i++) {
        free(l->query[i].name);
        free(l->query[i].value);
    }
    EVP_MD_CTX_free(l->hash);
    json_decref(l->json);
    json_decref(l->value);
    free(l);
}

static void on_gone(struct api_request *r)
{
    struct lambda *l = r->state;

    if (l != NULL && l->work.data == NULL) {
        r->state = NULL;
        lambda_free(l);
    }
}

static const struct api_request_ops lambda_ops = {
    .on_body = on_body,
    .on_end = on_end,
    .on_gone = on_gone,
};

/* "a=1&a=2": parameters may come more than once (tagKeys). */
static int read_query(struct lambda *l)
{
    struct http_str q = http_exchange_query(l->r->x);

    for (size_t i = 0; i < q.len;) {
        const char *amp = memchr(q.at + i, '&', q.len - i);
        size_t end = amp != NULL ? (size_t)(amp - q.at) : q.len;
        const char *equals = memchr(q.at + i, '=', end - i);
        size_t n = equals != NULL ? (size_t)(equals - q.at) : end;
        size_t from = n + (equals != NULL);

        if (l->n_query == LAMBDA_QUERY_MAX) {
            return -EINVAL;
        }
        l->query[l->n_query].name =
            input_decode((struct http_str){q.at + i, n - i}, true);
        l->query[l->n_query].value =
            input_decode((struct http_str){q.at + from, end - from}, true);
        l->n_query++;
        if (l->query[l->n_query - 1].name == NULL ||
            l->query[l->n_query - 1].value == NULL) {
            return -EINVAL;
        }
        i = end + 1;
    }
    return 0;
}

/* All that needs no body. False: answered. */
static bool admit(struct lambda *l)
{
    struct http_exchange *x = l->r->x;
    struct http_str method = http_exchange_method(x), path = http_exchange_path(x);
    uint64_t len = http_exchange_content_length(x);

    if (!controller_core_is_ready(l->r->api->core)) {
        lambda_fail(l, LAMBDA_E_UNAVAILABLE,
                    "The controller has not read its store yet.");
        return false;
    }
    if (lambda_path_parse(&l->path, method.at, method.len, path.at, path.len) < 0 ||
        read_query(l) < 0) {
        lambda_fail(l, LAMBDA_E_VALIDATION, "The path or the query is badly encoded.");
        return false;
    }
    if (l->path.op == LAMBDA_OP_NONE) {
        lambda_fail(l, LAMBDA_E_UNKNOWN_OPERATION,
                    l->path.known ? "No operation of this path has the method %.*s."
                                  : "No operation has this path.",
                    (int)method.len, method.at);
        return false;
    }
    if (!read_claim(l)) {
        return false;
    }
    l->body_max = takes_code(l->path.op) ? LAMBDA_CODE_BODY_MAX : LAMBDA_BODY_MAX;
    if (len != HTTP_BODY_CHUNKED && len > l->body_max) {
        lambda_fail(l, LAMBDA_E_ENTITY_TOO_LARGE,
                    "Request must be smaller than %zu bytes for the %s operation",
                    l->body_max, lambda_op_name(l->path.op));
        return false;
    }
    if (has_body(l) && len > LAMBDA_LARGE_BYTES && takes_code(l->path.op)) {
        if (l->r->api->n_lambda_large >= LAMBDA_LARGE_MAX) {
            lambda_fail(l, LAMBDA_E_THROTTLED, "Too many uploads are under way.");
            return false;
        }
        l->large = true;
        l->r->api->n_lambda_large++;
    }
    return true;
}

static bool is_call(struct api_request *r)
{
    struct http_str m = http_exchange_method(r->x), path = http_exchange_path(r->x);
    struct lambda_path p;

    return lambda_path_parse(&p, m.at, m.len, path.at, path.len) == 0 &&
           (p.op == LAMBDA_Invoke || p.op == LAMBDA_InvokeWithResponseStream ||
            p.op == LAMBDA_InvokeAsync);
}

static void begin(struct api_request *r)
{
    struct lambda *l;

    if (is_call(r)) {
        lambda_relay_begin(r);
        return;
    }
    l = calloc(1, sizeof(*l));

    if (l == NULL || (l->hash = EVP_MD_CTX_new()) == NULL ||
        EVP_DigestInit_ex(l->hash, EVP_sha256(), NULL) != 1) {
        if (l != NULL) {
            EVP_MD_CTX_free(l->hash);
        }
        free(l);
        http_exchange_abort(r->x);
        return;
    }
    l->r = r;
    r->state = l;
    r->ops = &lambda_ops;
    (void)admit(l); /* the rest follows at the body's end, which comes without one, too */
}

const struct route lambda_route = {
    .method = "POST",
    .pattern = "lambda",
    .handler = begin,
    .body = BODY_STREAM,
};
