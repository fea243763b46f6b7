/* Constraints: which nodes a function may run on, by their labels.
 *
 *     disk=ssd        the node has this label with this value
 *     zone!=a         it has it with another value, or not at all
 *     arch=~amd64|arm one of these values
 *
 * Labels are "key=value" texts, as agents tell them and operators set them. */
#ifndef COMMON_CONSTRAINT_H
#define COMMON_CONSTRAINT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define CONSTRAINT_TEXT_MAX 255 /* bytes */

enum constraint_op { CONSTRAINT_IS, CONSTRAINT_IS_NOT, CONSTRAINT_ONE_OF };

struct constraint {
    char *text; /* as above; of CONSTRAINT_IS it is the label itself */
    size_t key_len;
    enum constraint_op op;
    const char *value; /* in text; of CONSTRAINT_ONE_OF with '|' between them */
};

/* Keys and values have letters, digits and ._/- (a value may be empty). -EINVAL: err has
 * the text and how to write one; -ENOMEM. constraint_free() is the caller's. */
int constraint_parse(struct constraint *ret, const char *text, struct error *err);
/* Rules for what is asked anew; what is stored may break them. -EINVAL, with the fix: an
 * empty value among those of a CONSTRAINT_ONE_OF; constraints on one label of which no
 * value could satisfy all. err begins with "constraints". */
int constraints_check(const struct constraint *all, size_t n, struct error *err);
void constraint_free(struct constraint *c);
int constraint_copy(struct constraint *dst, const struct constraint *src); /* -ENOMEM */

/* labels: NULL-terminated, or NULL for none. If a key stands there twice the first
 * counts.
 */
bool constraint_holds(const struct constraint *c, const char *const *labels);
/* The value of the label with this key, or NULL. */
const char *constraint_label(const char *const *labels, const char *key, size_t key_len);

/* Whether `value` is one of those of a CONSTRAINT_ONE_OF. */
bool constraint_has_value(const struct constraint *c, const char *value);

#endif /* COMMON_CONSTRAINT_H */
