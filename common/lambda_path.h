/* AWS Lambda's HTTP paths: which operation a request is. Pure.
 *
 * Two operations have the path of another one and a query: ListLayers is also
 * GetLayerVersionByArn, GetProvisionedConcurrencyConfig also the list of them.
 * The dates in the paths differ from one operation to the next; a trailing slash makes no
 * difference; what stands for a function or an ARN is percent-decoded. */
#ifndef COMMON_LAMBDA_PATH_H
#define COMMON_LAMBDA_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* X(op, "method", "pattern", success status) */
#define LAMBDA_OPS(X)                                                                    \
    X(CreateFunction, "POST", "/2015-03-31/functions", 201)                              \
    X(ListFunctions, "GET", "/2015-03-31/functions", 200)                                \
    X(GetFunction, "GET", "/2015-03-31/functions/{}", 200)                               \
    X(DeleteFunction, "DELETE", "/2015-03-31/functions/{}", 204)                         \
    X(GetFunctionConfiguration, "GET", "/2015-03-31/functions/{}/configuration", 200)    \
    X(UpdateFunctionConfiguration, "PUT", "/2015-03-31/functions/{}/configuration", 200) \
    X(UpdateFunctionCode, "PUT", "/2015-03-31/functions/{}/code", 200)                   \
    X(PublishVersion, "POST", "/2015-03-31/functions/{}/versions", 201)                  \
    X(ListVersionsByFunction, "GET", "/2015-03-31/functions/{}/versions", 200)           \
    X(CreateAlias, "POST", "/2015-03-31/functions/{}/aliases", 201)                      \
    X(ListAliases, "GET", "/2015-03-31/functions/{}/aliases", 200)                       \
    X(GetAlias, "GET", "/2015-03-31/functions/{}/aliases/{}", 200)                       \
    X(UpdateAlias, "PUT", "/2015-03-31/functions/{}/aliases/{}", 200)                    \
    X(DeleteAlias, "DELETE", "/2015-03-31/functions/{}/aliases/{}", 204)                 \
    X(PutFunctionConcurrency, "PUT", "/2017-10-31/functions/{}/concurrency", 200)        \
    X(DeleteFunctionConcurrency, "DELETE", "/2017-10-31/functions/{}/concurrency", 204)  \
    X(GetFunctionConcurrency, "GET", "/2019-09-30/functions/{}/concurrency", 200)        \
    X(PutProvisionedConcurrencyConfig, "PUT",                                            \
      "/2019-09-30/functions/{}/provisioned-concurrency", 202)                           \
    X(GetProvisionedConcurrencyConfig, "GET",                                            \
      "/2019-09-30/functions/{}/provisioned-concurrency", 200)                           \
    X(DeleteProvisionedConcurrencyConfig, "DELETE",                                      \
      "/2019-09-30/functions/{}/provisioned-concurrency", 204)                           \
    X(Invoke, "POST", "/2015-03-31/functions/{}/invocations", 200)                       \
    X(InvokeAsync, "POST", "/2014-11-13/functions/{}/invoke-async", 202)                 \
    X(InvokeWithResponseStream, "POST",                                                  \
      "/2021-11-15/functions/{}/response-streaming-invocations", 200)                    \
    X(CreateFunctionUrlConfig, "POST", "/2021-10-31/functions/{}/url", 201)              \
    X(GetFunctionUrlConfig, "GET", "/2021-10-31/functions/{}/url", 200)                  \
    X(UpdateFunctionUrlConfig, "PUT", "/2021-10-31/functions/{}/url", 200)               \
    X(DeleteFunctionUrlConfig, "DELETE", "/2021-10-31/functions/{}/url", 204)            \
    X(ListFunctionUrlConfigs, "GET", "/2021-10-31/functions/{}/urls", 200)               \
    X(PutFunctionEventInvokeConfig, "PUT",                                               \
      "/2019-09-25/functions/{}/event-invoke-config", 200)                               \
    X(UpdateFunctionEventInvokeConfig, "POST",                                           \
      "/2019-09-25/functions/{}/event-invoke-config", 200)                               \
    X(GetFunctionEventInvokeConfig, "GET",                                               \
      "/2019-09-25/functions/{}/event-invoke-config", 200)                               \
    X(DeleteFunctionEventInvokeConfig, "DELETE",                                         \
      "/2019-09-25/functions/{}/event-invoke-config", 204)                               \
    X(ListFunctionEventInvokeConfigs, "GET",                                             \
      "/2019-09-25/functions/{}/event-invoke-config/list", 200)                          \
    X(ListEventSourceMappings, "GET", "/2015-03-31/event-source-mappings", 200)          \
    X(CreateEventSourceMapping, "POST", "/2015-03-31/event-source-mappings", 202)        \
    X(GetEventSourceMapping, "GET", "/2015-03-31/event-source-mappings/{}", 200)         \
    X(UpdateEventSourceMapping, "PUT", "/2015-03-31/event-source-mappings/{}", 202)      \
    X(DeleteEventSourceMapping, "DELETE", "/2015-03-31/event-source-mappings/{}", 202)   \
    X(ListTags, "GET", "/2017-03-31/tags/{}", 200)                                       \
    X(TagResource, "POST", "/2017-03-31/tags/{}", 204)                                   \
    X(UntagResource, "DELETE", "/2017-03-31/tags/{}", 204)                               \
    X(AddPermission, "POST", "/2015-03-31/functions/{}/policy", 201)                     \
    X(GetPolicy, "GET", "/2015-03-31/functions/{}/policy", 200)                          \
    X(RemovePermission, "DELETE", "/2015-03-31/functions/{}/policy/{}", 204)             \
    X(GetAccountSettings, "GET", "/2016-08-19/account-settings", 200)                    \
    X(ListLayers, "GET", "/2018-10-31/layers", 200)                                      \
    X(PublishLayerVersion, "POST", "/2018-10-31/layers/{}/versions", 201)                \
    X(ListLayerVersions, "GET", "/2018-10-31/layers/{}/versions", 200)                   \
    X(GetLayerVersion, "GET", "/2018-10-31/layers/{}/versions/{}", 200)                  \
    X(DeleteLayerVersion, "DELETE", "/2018-10-31/layers/{}/versions/{}", 204)            \
    X(AddLayerVersionPermission, "POST", "/2018-10-31/layers/{}/versions/{}/policy",     \
      201)                                                                               \
    X(GetLayerVersionPolicy, "GET", "/2018-10-31/layers/{}/versions/{}/policy", 200)     \
    X(RemoveLayerVersionPermission, "DELETE",                                            \
      "/2018-10-31/layers/{}/versions/{}/policy/{}", 204)

enum lambda_op {
    LAMBDA_OP_NONE, /* no operation has this path, or not with this method */
#define X(op, method, pattern, status) LAMBDA_##op,
    LAMBDA_OPS(X)
#undef X
        LAMBDA_OP_COUNT
};

#define LAMBDA_PARAMS_MAX 3
#define LAMBDA_PARAM_SIZE 512

struct lambda_path {
    enum lambda_op op;
    char params[LAMBDA_PARAMS_MAX][LAMBDA_PARAM_SIZE]; /* decoded */
    bool known;                                        /* some operation has this path */
};

/* Whether this is a path of this kind at all: "/2015-03-31/…". */
bool lambda_path_is(const char *path, size_t len);
/* -EINVAL: a parameter is badly encoded or too long. */
int lambda_path_parse(struct lambda_path *ret, const char *method, size_t method_len,
                      const char *path, size_t len);
const char *lambda_op_name(enum lambda_op op); /* "Invoke"; "" for NONE */
int lambda_op_status(enum lambda_op op);

#endif /* COMMON_LAMBDA_PATH_H */
