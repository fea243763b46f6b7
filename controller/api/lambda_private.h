/* AWS Lambda's control API: what its files share. A façade: all there is stands in the
 * controller's core, as native functions, versions and their attributes.
 *
 *   lambda.c         a request: head, body, signature, which operation
 *   lambda_reply.c   replies and errors             lambda_checks.c    rules for values
 *   lambda_view.c    native functions as AWS's      lambda_config.c    and the way back
 *   lambda_code.c    zip files                      lambda_functions.c functions
 *   lambda_settings.c, lambda_policy.c, lambda_url.c: what is kept with a function
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
    const char *attribute;
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

/* --- views (lambda_view.c) ------------------------------------------------------------
 */
/* The native function that the path names; NULL: the request was answered. */
json_t *lambda_get(struct lambda *l);
/* A function's configuration, from its native view. NULL: out of memory. */
json_t *lambda_configuration(const struct lambda *l, const json_t *function);
const json_t *lambda_latest(const json_t *function); /* version that $LATEST is */
void lambda_revision_id(char ret[40], uint64_t revision);
int lambda_revision_parse(const char *text, uint64_t *ret);
/* The revision that the caller wants (RevisionId of body or query) is this one's? False:
 * answered. */
bool lambda_precondition(struct lambda *l, const json_t *function);
json_t *lambda_annotations(const json_t *version);   /* borrowed; NULL: none */
void lambda_time(char ret[40], const char *rfc3339); /* "…+0000" */
void lambda_now(char ret[40]);

/* --- the way back (lambda_config.c) ---------------------------------------------------
 */
/* Fills in l->spec: from defaults (function NULL) or the latest version. False: answered.
 */
bool lambda_config_read(struct lambda *l, const json_t *function);

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

/* --- changes --------------------------------------------------------------------------
 */
/* Sets l->attribute to l->value on the path's function; then changed(), which replies.
 * When the function was changed meanwhile, again(). */
void lambda_set_attribute(struct lambda *l);
/* l->spec and l->package become the next version; then changed(). */
void lambda_put(struct lambda *l);

typedef void lambda_handler(struct lambda *l);
lambda_handler lambda_create_function, lambda_get_function, lambda_list_functions,
    lambda_delete_function, lambda_get_configuration, lambda_update_configuration,
    lambda_update_code, lambda_put_concurrency, lambda_get_concurrency,
    lambda_delete_concurrency, lambda_account_settings, lambda_list_tags, lambda_tag,
    lambda_untag, lambda_put_event_invoke, lambda_update_event_invoke,
    lambda_get_event_invoke, lambda_delete_event_invoke, lambda_list_event_invoke,
    lambda_add_permission, lambda_get_policy, lambda_remove_permission, lambda_create_url,
    lambda_get_url, lambda_update_url, lambda_delete_url, lambda_list_urls,
    lambda_list_mappings;

#endif /* CONTROLLER_API_LAMBDA_PRIVATE_H */
