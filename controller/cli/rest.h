/* The controller's REST API, as the verbs ask it. */
#ifndef CLI_REST_H
#define CLI_REST_H

#include <jansson.h>
#include <stdint.h>

#include "controller/cli/cli.h"
#include "controller/cli/http.h"

#define REST_TIMEOUT_MS 30000

/* A path of the REST API, printf style, made and asked. 0 and *ret_json (NULL if the
 * reply had no JSON), or an exit code after the error was printed, beginning with "cannot
 * WHAT". body may be NULL; it is not freed. */
int rest_call(const struct cli *c, const char *what, const char *method,
              const json_t *body, json_t **ret_json, const char *path, ...)
    __attribute__((format(printf, 6, 7)));

/* The same without a word: for asking again. 0 with *ret (to be freed) whatever the
 * status, or as http_do(). */
int rest_ask(const struct cli *c, const char *method, const json_t *body,
             uint64_t timeout_ms, struct http_reply *ret, struct error *err,
             const char *path, ...) __attribute__((format(printf, 7, 8)));

/* The reply's body; NULL if it is no JSON. */
json_t *rest_json(const struct http_reply *r);

/* Prints what a reply with an error status says; returns the exit code. */
int rest_fail(const struct cli *c, const char *what, const struct http_reply *r);
/* The same for no reply at all. */
int rest_unreachable(const struct cli *c, const char *what, const char *url,
                     const char *from, const struct error *err);
bool rest_is_unreachable(int code); /* of http_do(): trying again may help */

/* The controller's version; malloc'ed, NULL: it does not answer. */
char *rest_version(const struct cli *c, uint64_t timeout_ms);
/* Warns if that version (it may be NULL) is another minor one than ours. */
void rest_warn_skew(const struct cli *c, const char *version);

#endif /* CLI_REST_H */
