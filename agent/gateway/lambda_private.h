/* AWS Lambda's API on the gateway: what its files share.
 *
 *   lambda.c         a request: its body, its signature, where it goes
 *   lambda_sign.c    whose it is, and whether that is true
 *   lambda_keys.c    access keys and function URLs, as the controller tells them
 *   lambda_relay.c   control operations: passed on to a controller
 *   lambda_invoke.c  Invoke                lambda_stream.c  InvokeWithResponseStream
 *   lambda_url.c     function URLs         lambda_event.c   their events and replies
 * (pure) lambda_error.c   failures of calls as AWS tells them (pure)
 *
 * A call is the gateway's own (call.c), on an instance here or on another agent, with
 * another face towards its caller (struct call_face). */
#ifndef AGENT_GATEWAY_LAMBDA_PRIVATE_H
#define AGENT_GATEWAY_LAMBDA_PRIVATE_H

#include <jansson.h>
#include <openssl/evp.h>

#include "agent/gateway/gateway_private.h"
#include "agent/gateway/lambda.h"
#include "common/lambda_error.h"
#include "common/lambda_name.h"
#include "common/lambda_path.h"
#include "common/sigv4.h"

#define LAMBDA_REQUEST_MAX  6291456 /* bytes of an event */
#define LAMBDA_RESPONSE_MAX 6291556 /* and of an answer that is not streamed */
#define LAMBDA_HELD_MAX     (256ull * 1024 * 1024) /* of all bodies that are held */

enum lambda_mode { LAMBDA_MODE_INVOKE, LAMBDA_MODE_STREAM, LAMBDA_MODE_URL };

/* A request, from its head until its exchange has closed. */
struct invoke {
    struct gateway *gateway;
    struct http_exchange *exchange;
    enum lambda_mode mode;
    struct lambda_path path;
    struct lambda_ref ref;
    char namespace_[SPEC_NAME_MAX + 1];
    char native[SPEC_NAME_MAX + 1];
    char qualifier[LAMBDA_QUALIFIER_MAX + 1]; /* as native calls have it */
    char region[LAMBDA_REGION_MAX + 1];
    char arn[LAMBDA_ARN_SIZE]; /* of the function, as it is named */
    struct sigv4_claim claim;
    EVP_MD_CTX *hash;
    struct buf body;
    uint64_t held;                 /* counted in gateway.lambda.held */
    bool answered;                 /* before it became a call */
    struct http_header headers[8]; /* that the function sees */
    size_t n_headers;

    /* the answer */
    bool tail;       /* X-Amz-Log-Type: Tail */
    enum cause told; /* what X-Mayfly-Error said */
    struct buf reply;
    bool too_large, begun;

    /* a function URL */
    struct lambda_url_entry *url; /* its configuration, held */
    struct http_str below;        /* path below the URL */
    char *cors_origin;
    char *content_type; /* of the function's answer */
    int status;
};

/* What the controller told. */
struct lambda_url_entry {
    struct list link;
    unsigned refs;
    uint64_t snapshot;
    char id[64];
    char namespace_[SPEC_NAME_MAX + 1];
    char native[SPEC_NAME_MAX + 1];
    char qualifier[ALIAS_NAME_MAX + 1]; /* an alias; "": the function itself */
    json_t *config;
};

/* --- lambda.c */
void invoke_error(struct invoke *i, enum lambda_error e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void invoke_free(void *data);
int invoke_hold(struct invoke *i, struct buf *b, const char *data, size_t len);
void invoke_add_header(struct invoke *i, struct http_str name, struct http_str value);
/* Becomes a call with its body as the event. */
void invoke_call(struct invoke *i, const struct call_face *face);
/* From now on the request's body is taken; then lambda_url_call(). */
void lambda_collect_url(struct invoke *i);
struct invoke *invoke_new(struct gateway *g, struct http_exchange *x);

/* --- lambda_sign.c */
/* Verifies the signature over the whole body. False: answered. */
bool invoke_verify(struct invoke *i);
/* Whose request it says to be; also without a signature if that is allowed. False:
 * answered. */
bool invoke_claim(struct invoke *i);

/* --- lambda_keys.c */
const struct lambda_key *lambda_key_find(const struct gateway *g, const char *id);
const char *lambda_key_secret(const struct lambda_key *k);
const char *lambda_key_namespace(const struct lambda_key *k);
struct lambda_url_entry *lambda_url_find(struct gateway *g, const char *id, size_t len);
void lambda_url_unref(struct lambda_url_entry *u);
void lambda_tables_free(struct gateway *g);

/* --- lambda_relay.c */
void lambda_relay_begin(struct gateway *g, struct http_exchange *x);

/* --- faces */
extern const struct call_face lambda_invoke_face, lambda_stream_face, lambda_url_face;
void invoke_head_common(struct invoke *i, const struct gateway_call *c,
                        struct http_headers headers);
/* The published number of the version that ran, if the caller named one or an alias; else
 * "$LATEST". */
void invoke_executed_version(char ret[24], const struct gateway_call *c);
/* The log's tail in base64, the caller's to free; NULL: it is not wanted. */
char *invoke_log_result(struct gateway_call *c);
/* What was gathered is mayfly's own word about a failure (of another agent)? Then it
 * becomes the call's cause and text. */
bool invoke_reply_is_failure(struct invoke *i, struct gateway_call *c);

/* --- lambda_error.c */
/* A failure that AWS tells as the function's: document (the caller's to free). NULL: it
 * is none, see lambda_call_error(). */
char *lambda_function_failure(enum cause cause, const char *text, const char *request_id,
                              char ret_type[64]);
/* The others: error code, text and reason of a refused call. */
enum lambda_error lambda_call_error(enum cause cause, const char **ret_text,
                                    const char **ret_reason);

/* --- lambda_url.c */
bool lambda_url_is(struct http_exchange *x, struct http_str path);
void lambda_url_begin(struct gateway *g, struct http_exchange *x);
void lambda_url_call(struct invoke *i);

#endif /* AGENT_GATEWAY_LAMBDA_PRIVATE_H */
