/* AWS Lambda's control API behind its signature: one operation on a cluster that has a
 * function with two published versions, an alias and a layer. The input: a byte that says
 * which operation, what stands in the path up to a newline, the query up to the next, and
 * a JSON body. Whatever comes, the core stays sound and the request is answered once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "controller/api/lambda_private.h"
#include "tests/unit/controller_core_world.h"

#define PARAMS LAMBDA_PARAMS_MAX

static const struct {
    lambda_handler *handler;
    enum lambda_op op;
} operations[] = {
    {lambda_create_function, LAMBDA_CreateFunction},
    {lambda_update_configuration, LAMBDA_UpdateFunctionConfiguration},
    {lambda_publish_version, LAMBDA_PublishVersion},
    {lambda_list_versions, LAMBDA_ListVersionsByFunction},
    {lambda_list_functions, LAMBDA_ListFunctions},
    {lambda_create_alias, LAMBDA_CreateAlias},
    {lambda_update_alias, LAMBDA_UpdateAlias},
    {lambda_list_aliases, LAMBDA_ListAliases},
    {lambda_delete_alias, LAMBDA_DeleteAlias},
    {lambda_put_concurrency, LAMBDA_PutFunctionConcurrency},
    {lambda_put_provisioned, LAMBDA_PutProvisionedConcurrencyConfig},
    {lambda_get_provisioned, LAMBDA_GetProvisionedConcurrencyConfig},
    {lambda_tag, LAMBDA_TagResource},
    {lambda_put_event_invoke, LAMBDA_PutFunctionEventInvokeConfig},
    {lambda_list_event_invoke, LAMBDA_ListFunctionEventInvokeConfigs},
    {lambda_add_permission, LAMBDA_AddPermission},
    {lambda_get_policy, LAMBDA_GetPolicy},
    {lambda_publish_layer, LAMBDA_PublishLayerVersion},
    {lambda_list_layers, LAMBDA_ListLayers},
    {lambda_list_layer_versions, LAMBDA_ListLayerVersions},
    {lambda_add_layer_permission, LAMBDA_AddLayerVersionPermission},
    {lambda_get_layer_policy, LAMBDA_GetLayerVersionPolicy},
    {lambda_remove_layer_permission, LAMBDA_RemoveLayerVersionPermission},
    {lambda_delete_function, LAMBDA_DeleteFunction},
    {lambda_account_settings, LAMBDA_GetAccountSettings},
};

static void cluster_open(struct world *w, struct store_model *s)
{
    const struct alias_weight split[] = {{1, 9000}, {2, 1000}};
    struct package_ref p = {.bytes = 7, .format = SPEC_FORMAT_ZIP};
    struct answer a = {0};

    store_model_init(s);
    *w = (struct world){.random = 1};
    world_start(w, s);
    (void)world_join(w, "n1", 4096);
    for (uint64_t i = 1; i <= 2; i++) {
        (void)world_deploy_ready(w, "f", (uint32_t)(128 * i), 0, 0);
        world_publish(w, "f", i, &a);
    }
    world_put_alias(w, "f", "live", split, 2, &a);
    memset(p.digest, 'a', SPEC_DIGEST_LEN);
    controller_core_publish_layer(w->core, "default", "l", &p, "", NULL, answer_cb, &a);
    world_run(w);
}

/* One for all inputs, with nothing in it. */
static struct package_store *packages(void)
{
    static char folder[] = "/tmp/mayfly-fuzz-XXXXXX";
    static struct package_store *store;
    static uv_loop_t loop;
    struct error err;

    if (store == NULL) {
        CHECK(mkdtemp(folder) != NULL && uv_loop_init(&loop) == 0);
        CHECK(package_store_new(&store, &loop, folder, &err) == 0);
        CHECK(rmdir(folder) == 0); /* nothing is stored */
    }
    return store;
}

/* Up to the newline, which is taken as well. */
static char *take_line(const char **at, size_t *len)
{
    const char *end = memchr(*at, '\n', *len);
    size_t n = end != NULL ? (size_t)(end - *at) : *len;
    char *line = malloc(n + 1);

    CHECK(line != NULL);
    memcpy(line, *at, n);
    line[n] = '\0';
    *at += n + (end != NULL);
    *len -= n + (end != NULL);
    return line;
}

/* "f/live": what the path has in its places. */
static void set_path(struct lambda *l, const char *text)
{
    for (size_t i = 0; i < PARAMS && text != NULL; i++) {
        size_t n = strcspn(text, "/");

        n = n < LAMBDA_PARAM_SIZE ? n : LAMBDA_PARAM_SIZE - 1;
        memcpy(l->path.params[i], text, n);
        text = strchr(text, '/');
        text = text != NULL ? text + 1 : NULL;
    }
    if (lambda_ref_parse(&l->ref, l->path.params[0]) < 0 ||
        lambda_name_to_native(l->native, l->ref.name) < 0) {
        (void)lambda_ref_parse(&l->ref, "f");
        (void)stpcpy(l->native, "f");
    }
}

static void set_query(struct lambda *l, const char *text)
{
    while (*text != '\0' && l->n_query < 4) {
        size_t n = strcspn(text, "&"), equals = strcspn(text, "=");

        if (equals < n) {
            l->query[l->n_query].name = strndup(text, equals);
            l->query[l->n_query++].value = strndup(text + equals + 1, n - equals - 1);
        }
        text += n + (text[n] == '&');
    }
}

static void run(struct world *w, lambda_handler *handler, struct lambda *l)
{
    handler(l);
    world_run(w);
    controller_core_cancel(w->core, l->r);
    world_run(w);
    world_check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data + 1;
    size_t len = size - 1;
    struct store_model s;
    struct world w;
    struct api api = {.options = {.lambda_account = "000000000000"}};
    struct api_request r = {.api = &api, .id = "id"};
    struct lambda l = {.r = &r, .namespace_ = "default", .region = "us-east-1"};
    char *path, *query;
    struct error err;
    size_t at_op;

    if (size < 1) {
        return 0;
    }
    at_op = data[0] % (sizeof(operations) / sizeof(operations[0]));
    path = take_line(&at, &len);
    query = take_line(&at, &len);
    if (input_json(at, len, true, &l.json, &err) == 0) {
        cluster_open(&w, &s);
        api.core = w.core;
        api.packages = packages();
        r.state = &l;
        set_path(&l, path);
        set_query(&l, query);
        l.path.op = operations[at_op].op;
        run(&w, operations[at_op].handler, &l);
        if (l.has_spec) {
            function_spec_free(&l.spec);
        }
        json_decref(l.value);
        world_close(&w);
        store_model_free(&s);
    }
    for (size_t i = 0; i < l.n_query; i++) {
        free(l.query[i].name);
        free(l.query[i].value);
    }
    json_decref(l.json);
    free(path);
    free(query);
    return 0;
}
