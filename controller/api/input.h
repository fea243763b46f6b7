/* What comes in a request, checked: JSON bodies, queries, headers, path segments. Pure.
 */
#ifndef CONTROLLER_API_INPUT_H
#define CONTROLLER_API_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/http/http.h"

#define INPUT_JSON_MAX   (1024 * 1024)
#define INPUT_DEPTH_MAX  32
#define INPUT_PARAMS_MAX 16
#define INPUT_FIELD_MAX  128 /* a field's name in an error, with its NUL */

/* A body that must be one JSON object: at most INPUT_DEPTH_MAX deep, no key twice, no NUL
 * in strings. `empty_ok`: no body at all is {}. -EINVAL says where and why. */
int input_json(const char *text, size_t len, bool empty_ok, json_t **ret,
               struct error *err);
/* Refuses keys of object that are not among `known` (NULL-terminated). prefix: "" or what
 * stands before the key in the field's name ("package."). */
int input_json_keys(const json_t *object, const char *const *known, const char *prefix,
                    char field[INPUT_FIELD_MAX], struct error *err);

/* Whether a body with this Content-Type (or none: len 0) may be taken for JSON: what says
 * that it is something else is refused, what says nothing useful is not. */
bool input_may_be_json(struct http_str content_type);

/* A query ("a=1&b=x%20y"), decoded. */
struct input_query {
    struct {
        char *name;
        char *value;
    } params[INPUT_PARAMS_MAX];
    size_t n;
};

/* Parameters that are not in `known`, or given twice, are refused by name. */
int input_query_parse(struct input_query *ret, struct http_str query,
                      const char *const *known, char field[INPUT_FIELD_MAX],
                      struct error *err);
void input_query_free(struct input_query *q);
const char *input_query_get(const struct input_query *q, const char *name); /* or NULL */
/* The parameter as a number, or dflt if it is not there. */
int input_query_u64(const struct input_query *q, const char *name, uint64_t min,
                    uint64_t max, uint64_t dflt, uint64_t *ret, struct error *err);
/* "1", "true", "0", "false" */
int input_query_bool(const struct input_query *q, const char *name, bool dflt, bool *ret,
                     struct error *err);

/* Decimal digits only, no sign, no space. -EINVAL, -ERANGE. */
int input_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* If-Match: "17" → 17. -EINVAL. */
int input_if_match(struct http_str value, uint64_t *ret, struct error *err);

/* %XX decoded (and '+' as a space, if asked); NULL: malformed, holds a NUL, or no memory.
 */
char *input_decode(struct http_str text, bool plus_is_space);

#endif /* CONTROLLER_API_INPUT_H */
