/* Aliases: names for one version of a function, or for a split over several. What the
 * controller, the agents and the CLI share about them. */
#ifndef COMMON_ALIAS_H
#define COMMON_ALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALIAS_NAME_MAX  128   /* A-Z, a-z, 0-9, - and _; not digits alone */
#define ALIAS_SPLIT_MAX 8     /* versions that one alias is split over */
#define ALIAS_WHOLE     10000 /* weights of an alias add up to this: units of 0.01 % */

/* Share of the calls that goes to a version. */
struct alias_weight {
    uint64_t version;
    uint32_t weight; /* 0 … ALIAS_WHOLE */
};

/* len without a NUL. A name of digits alone would be a version's number. */
bool alias_name_valid(const char *name, size_t len);

/* "90", "12.5" (percent, two decimals at most, a % sign may follow) in units of 0.01 %.
 * -EINVAL: not such a number; -ERANGE: over 100. */
int alias_percent_parse(uint32_t *ret, const char *text, size_t len);
/* "90", "12.5": as it is parsed. */
#define ALIAS_PERCENT_SIZE 16
void alias_percent_format(char ret[ALIAS_PERCENT_SIZE], uint32_t weight);

#endif /* COMMON_ALIAS_H */
