/* How AWS Lambda names functions, and how mayfly names the same ones. Pure.
 *
 * Lambda's names may have capitals, '_' and any place for '-'; mayfly's are DNS labels
 * (common/spec.h). A name that is one already stays as it is; any other is written in one
 * reversible way: "l--" and then, for a capital, '-' and the small letter; "-0" for '_';
 * "-1" for '-'. MyFunc is l---my-func, my_func is l--my-0func. */
#ifndef COMMON_LAMBDA_NAME_H
#define COMMON_LAMBDA_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/spec.h"

#define LAMBDA_NAME_MAX      64
#define LAMBDA_QUALIFIER_MAX 128
#define LAMBDA_REGION_MAX    32
#define LAMBDA_ACCOUNT_LEN   12
#define LAMBDA_ARN_SIZE      384
#define LAMBDA_REF_MAX       256
#define LAMBDA_LATEST        "$LATEST"

/* The pattern that AWS's validation messages name. */
#define LAMBDA_NAME_PATTERN                                                         \
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:)?" \
    "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"

/* A function as a caller names it: "f", "f:prod", "123456789012:function:f", an ARN. What
 * is not said is "". */
struct lambda_ref {
    char region[LAMBDA_REGION_MAX + 1];
    char account[LAMBDA_ACCOUNT_LEN + 1];
    char name[LAMBDA_NAME_MAX + 1];
    char qualifier[LAMBDA_QUALIFIER_MAX + 1];
};

/* -EINVAL: it is none of these, or a part is too long. */
int lambda_ref_parse(struct lambda_ref *ret, const char *text);

bool lambda_name_valid(const char *name);           /* a plain name */
bool lambda_qualifier_valid(const char *qualifier); /* $LATEST, a number, an alias */

/* -ENAMETOOLONG: mayfly's form of it is over SPEC_NAME_MAX. -EINVAL: not a name. */
int lambda_name_to_native(char ret[SPEC_NAME_MAX + 1], const char *name);
/* Every native name has a Lambda name. */
void lambda_name_from_native(char ret[LAMBDA_NAME_MAX + 1], const char *native);

/* "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]"; qualifier may be NULL or "".
 */
void lambda_arn(char ret[LAMBDA_ARN_SIZE], const char *region, const char *account,
                const char *name, const char *qualifier);

/* A layer: "tools", an ARN "arn:aws:lambda:REGION:ACCOUNT:layer:tools", or (*ret_version
 * not 0) one of its versions, "…:layer:tools:3". -EINVAL: none of these. */
int lambda_layer_parse(struct lambda_ref *ret, uint64_t *ret_version, const char *text);
/* version 0: of the layer itself. */
void lambda_layer_arn(char ret[LAMBDA_ARN_SIZE], const char *region, const char *account,
                      const char *name, uint64_t version);

#endif /* COMMON_LAMBDA_NAME_H */
