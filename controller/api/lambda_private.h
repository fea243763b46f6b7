/* AWS Lambda's control API: what its files share. A façade: all there is stands in the
 * controller's core, as native functions, versions and their attributes.
 *
 *   lambda.c         a request: head, body, signature, which operation
 *   lambda_reply.c   replies and errors             lambda_checks.c    rules for values
 *   lambda_view.c    native functions as AWS's      lambda_config.c    and the way back
 *   lambda_code.c    zip files                      lambda_functions.c functions
 *   lambda_versions.c, lambda_aliases.c, lambda_list.c
 *   lambda_settings.c, lambda_concurrency.c, lambda_policy.c, lambda_url.c: what is kept
 *   with a function
 *   lambda_layers.c, lambda_layer_policy.c: layers
 *
 *   HEAD ──▶ BODY ──▶ (parse) ──▶ handler ──▶ (core, package store …) ──▶ reply      */
#ifndef CONTROLLER_API_LAMBDA_PRIVATE_H
#define CONTROLLER_API_LAMBDA_PRIVATE_H

#include <openssl/evp.h>

#include "common/lambda_error.h"
#include "common/lambda_name.h"
#include "common/lambda_path.h"
#include "common/sigv4.h"
#include "controller/api/api_private.h"
#include "controller/api/lambda.h"

#define LAMBDA_CODE_BODY_MAX 70167211 /* of CreateFunction and UpdateFunctionCode */
#define LAMBDA_ZIP_MAX       52428800
#define LAMBDA_UNZIPPED_MAX  262144000 /* of a package and its layers together */
#define LAMBDA_LAYERS_MAX    5
#define LAMBDA_BODY_MAX      (1024 * 1024) /* of all others */
#define LAMBDA_LARGE_BYTES   (256 * 1024)  /* a larger body is parsed by a thread */
#define LAMBDA_LARGE_MAX     4             /* of these at once */
#define LAMBDA_ATTEMPTS      8 /* of a change that others' changes come before */
#define LAMBDA_QUERY_MAX     64

struct lambda {
    struct api_request *r;
    struct lambda_path path;
    struct lambda_ref ref; /* of the function that the path names */
    char native[SPEC_NAME_MAX + 1];
    char namespace_[SPEC_NAME_MAX + 1];
    char region[LAMBDA_REGION_MAX + 1];
    bool claimed;
    struct sigv4_claim claim;
    EVP_MD_CTX *hash; /* of the body */
    size_t body_max;
    bool large; /* it counts in api.n_lambda_large */
    struct {
        char *name, *value;
    } query[LAMBDA_QUERY_MAX];
    size_t n_query;
    json_t *json; /* the body: an object */

    /* a zip file on its way into the package store */
    uv_work_t work;
    int work_rc;
    struct error work_err;
    unsigned char *zip;
    size_t zip_len, zip_at;
    bool zip_bad; /* ZipFile is no base64 */
    struct package_upload *upload;
    struct package_ref package;
    bool pinned;
    void (*stored)(struct lambda *l);

    struct function_spec spec;
    bool has_spec;
    uint64_t if_revision;
    unsigned attempts;
    uint64_t number; /* that the core replied: a native version's, or a layer's */
    char attribute[CORE_ATTRIBUTE_MAX + 1];
    json_t *value; /* what it shall be; NULL: removed */
    void (*changed)(struct lambda *l);
    void (*again)(struct lambda *l); /* when others changed the function meanwhile */
};

/* --- replies (lambda_reply.c): each ends the request ----------------------------------
 */
void lambda_reply(struct lambda *l, json_t *json); /* with the operation's status */
void lambda_reply_empty(struct lambda *l);
void lambda_fail(struct lambda *l, enum lambda_error e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void lambda_fail_core(struct lambda *l, const struct core_reply *reply);
void lambda_not_found(struct lambda *l); /* the function that the path names */
/* The ARN of the path's function; qualifier may be NULL. */
void lambda_own_arn(const struct lambda *l, const char *qualifier,
                    char ret[LAMBDA_ARN_SIZE]);
const char *lambda_query(const struct lambda *l, const char *name); /* or NULL */

/* --- rules (lambda_checks.c) ----------------------------------------------------------
 */
struct lambda_checks {
    unsigned n;
    struct buf text;
};
/* value as it is shown; constraint: AWS's words after "constraint: ". */
void lambda_check_add(struct lambda_checks *c, const char *value, const char *field,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* NULL: not given, or of another type (which is added). */
const char *lambda_check_text(struct lambda_checks *c, const json_t *object,
                              const char *key, const char *field, size_t min, size_t max);
/* What the statements of all policies have: their names, and an identifier. */
void lambda_check_statement(struct lambda_checks *c, const json_t *json);
/* Where the statement is in its policy; the policy's size: it is not there. */
size_t lambda_find_statement(const json_t *list, const char *sid);
const char *lambda_check_enum(struct lambda_checks *c, const json_t *object,
                              const char *key, const char *field,
                              const char *const *values);
/* False: not given. */
bool lambda_check_number(struct lambda_checks *c, const json_t *object, const char *key,
                         const char *field, int64_t min, int64_t max, int64_t *ret);
/* Frees. False: the request was answered with what is wrong. */
bool lambda_checks_end(struct lambda_checks *c, struct lambda *l);
/* MaxItems and Marker of a list. False: answered. */
bool lambda_page(struct lambda *l, int64_t most, int64_t *ret_max,
                 const char **ret_marker);
/* Replies with a page of items, in the order of their texts or numbers under `key`. Takes
 * them over. */
enum lambda_order { LAMBDA_BY_TEXT, LAMBDA_BY_NUMBER, LAMBDA_BY_NUMBER_DOWN };
void lambda_reply_page(struct lambda *l, const char *member, json_t *items,
                       const char *key, enum lambda_order order, int64_t most);

/* --- views (lambda_view.c) ------------------------------------------------------------
 */
/* The native function that the path names, which has what the qualifier means; NULL: the
 * request was answered. */
json_t *lambda_get(struct lambda *l);
/* The same of operations that know no qualifier but $LATEST. */
json_t *lambda_get_latest(struct lambda *l);
/* l->native from l->ref. what: "function", "layer". False: answered. */
bool lambda_native_read(struct lambda *l, const char *what);
/* Whether what was named is of the cluster's account; false: answered. */
bool lambda_account_check(struct lambda *l);
/* A version's configuration, from its native view. The qualifier by which it was asked
 * for stands in its ARN; with "" or $LATEST it is the function's. NULL: out of memory. */
json_t *lambda_configuration(const struct lambda *l, const json_t *function,
                             const json_t *version, const char *qualifier);
const json_t *lambda_latest(const json_t *function); /* version that $LATEST is */
bool lambda_is_latest(const char *qualifier);
/* The version that a qualifier means (of an alias, the one that is not additional). All
 * of these are borrowed; NULL: there is none. */
const json_t *lambda_meant(const json_t *function, const char *qualifier);
const json_t *lambda_published(const json_t *function, const char *number);
const json_t *lambda_native(const json_t *function, uint64_t number);
/* All that are published, by their numbers; returns how many. */
#define LAMBDA_PUBLISHED_MAX 256 /* more than the core keeps */
size_t lambda_list_published(const json_t *function,
                             const json_t *ret[LAMBDA_PUBLISHED_MAX]);
const json_t *lambda_alias_of(const json_t *function, const char *name);
const json_t *lambda_alias_version(const json_t *function, const json_t *alias, size_t i);
/* "3", or "$LATEST" of one that is not published. */
void lambda_version_name(char ret[32], const json_t *version, const json_t *function);
#define LAMBDA_HASH_BEGIN 0xcbf29ce484222325ULL
uint64_t lambda_hash(const char *text, uint64_t h);
void lambda_code_sha256(char ret[48], const char *digest); /* as CodeSha256 has it */
void lambda_revision_id(char ret[40], uint64_t revision);
int lambda_revision_parse(const char *text, uint64_t *ret);
/* What the caller wants (or NULL, "") is the revision that there is. False: answered. */
bool lambda_revision_check(struct lambda *l, const char *want, const char *now);
/* The revision that the caller wants (RevisionId of body or query) is this one's? False:
 * answered. */
bool lambda_precondition(struct lambda *l, const json_t *function);
const json_t *lambda_reserved(const json_t *function); /* a number; NULL: none */
json_t *lambda_package_url(const struct lambda *l, const json_t *package);
json_t *lambda_annotations(const json_t *version);   /* borrowed; NULL: none */
void lambda_time(char ret[40], const char *rfc3339); /* "…+0000" */
void lambda_now(char ret[40]);

/* --- the way back (lambda_config.c) ---------------------------------------------------
 */
/* The architecture that the body names is the cluster's; package and layers of l->spec
 * are not too large. False: answered. */
bool lambda_architecture_check(struct lambda *l);
bool lambda_size_check(struct lambda *l);
/* Fills in l->spec: from defaults (function NULL) or the latest version. False: answered.
 */
bool lambda_config_read(struct lambda *l, const json_t *function);

/* Layers of the body (lambda_layers.c): there are such versions, each layer once. False:
 * answered. */
bool lambda_layers_check(struct lambda *l);
/* The layer and version of the path: l->ref, l->native. False: answered. */
bool lambda_layer_read(struct lambda *l, uint64_t *ret_version);
void lambda_layer_missing(struct lambda *l);
/* As lambda_was_changed(), of a layer. */
void lambda_layer_changed(void *data, const struct core_reply *reply);
/* The same as natively: ["tools:3"]. */
json_t *lambda_layers_spec(const json_t *body);

/* --- zip files (lambda_code.c) --------------------------------------------------------
 */
/* Stores the body's ZipFile, then calls stored(). */
void lambda_code_store(struct lambda *l, void (*stored)(struct lambda *l));
/* In a thread or not: takes ZipFile out of the body. */
void lambda_code_decode(struct lambda *l);
void lambda_code_drop(struct lambda *l);

/* --- calls (lambda_relay.c): passed on to a node -------------------------------------
 */
void lambda_relay_begin(struct api_request *r);

/* --- what is kept with a function (lambda_attributes.c) --------------------------------
 */
/* What is kept with an alias or a published version has "<what>:<qualifier>" as its name,
 * and goes with it. */
const char *lambda_attribute_of(const char *what, const char *qualifier,
                                char ret[CORE_ATTRIBUTE_MAX + 1]);
const json_t *lambda_attribute(const json_t *function, const char *what,
                               const char *qualifier); /* or NULL */
/* Each qualifier that something of that kind is kept with ("": the function itself), and
 * its value. *at begins as NULL. NULL: there are no more. */
const char *lambda_attribute_next(const json_t *function, const char *what, void **at,
                                  const json_t **ret_value);
/* Replies with a page of what is kept of that kind, by FunctionArn; view NULL: not that
 * one. */
void lambda_reply_attributes(struct lambda *l, const char *what, const char *member,
                             json_t *(*view)(const struct lambda *l,
                                             const json_t *function,
                                             const char *qualifier, const json_t *value));
/* Sets one of the function's attributes; takes value over; NULL removes it. */
void lambda_change_attribute(struct lambda *l, const char *name, json_t *value,
                             void (*changed)(struct lambda *l));
/* The same of the one that is kept with the path's qualifier. */
void lambda_change_qualified(struct lambda *l, const char *what, json_t *value,
                             void (*changed)(struct lambda *l));

/* --- changes --------------------------------------------------------------------------
 */
/* The core has done what it was asked, or not: then changed(), which replies, or the
 * error. When the function was changed meanwhile, again(). For l->r. */
void lambda_was_changed(void *data, const struct core_reply *reply);
/* What follows is based on this function (or NULL), which is returned: when others have
 * changed it by then, l->again(). */
json_t *lambda_base(struct lambda *l, json_t *function);
/* l->spec and l->package become the next version, and a published one if the body says
 * Publish; then changed(). */
void lambda_put(struct lambda *l);
/* The function as it is, for a change of its versions: none is under way, and the
 * caller's RevisionId is its own. NULL: answered. */
json_t *lambda_get_settled(struct lambda *l);

typedef void lambda_handler(struct lambda *l);
lambda_handler lambda_create_function, lambda_get_function, lambda_list_functions,
    lambda_delete_function, lambda_get_configuration, lambda_update_configuration,
    lambda_update_code, lambda_put_concurrency, lambda_get_concurrency,
    lambda_delete_concurrency, lambda_account_settings, lambda_list_tags, lambda_tag,
    lambda_untag, lambda_put_event_invoke, lambda_update_event_invoke,
    lambda_get_event_invoke, lambda_delete_event_invoke, lambda_list_event_invoke,
    lambda_add_permission, lambda_get_policy, lambda_remove_permission, lambda_create_url,
    lambda_get_url, lambda_update_url, lambda_delete_url, lambda_list_urls,
    lambda_list_mappings, lambda_publish_version, lambda_list_versions,
    lambda_create_alias, lambda_get_alias, lambda_update_alias, lambda_delete_alias,
    lambda_list_aliases, lambda_put_provisioned, lambda_get_provisioned,
    lambda_delete_provisioned, lambda_list_layers, lambda_publish_layer,
    lambda_list_layer_versions, lambda_get_layer_version, lambda_delete_layer_version,
    lambda_add_layer_permission, lambda_get_layer_policy, lambda_remove_layer_permission;

#endif /* CONTROLLER_API_LAMBDA_PRIVATE_H */
