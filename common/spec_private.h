/* What the parts of a spec share:
 *
 *   spec.c            its life               spec_json.c       from JSON and back
 *   spec_names.c      names                  spec_rules.c      rules between fields
 *   spec_numbers.c    numbers and units      spec_package.c    references to packages
 *   spec_placement.c  where it may run       spec_layers.c     what is at /opt */
#ifndef COMMON_SPEC_PRIVATE_H
#define COMMON_SPEC_PRIVATE_H

#include "common/spec.h"

/* --- numbers: SPEC_NUMBERS and SPEC_DECIMALS as a table
 * ---------------------------------------------- */

struct spec_number {
    const char *key;
    const char *flag;
    uint64_t min, max;
    uint32_t dflt;
    uint32_t scale; /* so many of the member's are 1: 1, or 100 with decimals */
    const char *unit;
    size_t offset; /* in struct function_spec */
};
extern const struct spec_number spec_numbers[]; /* ends with key NULL */

const struct spec_number *spec_number_find(const char *name); /* key or flag; or NULL */
void spec_numbers_init(struct function_spec *s);              /* defaults */
json_t *spec_number_to_json(const struct function_spec *s, const struct spec_number *n);
/* -EINVAL, -ERANGE. */
int spec_number_from_json(struct function_spec *s, const struct spec_number *n,
                          const char *key, const json_t *value, struct error *err);
/* From a person's text; -EINVAL, -ERANGE. */
int spec_number_set(struct function_spec *s, const struct spec_number *n,
                    const char *text, struct error *err);

/* --- environment ------------------------------------------------------------------- */

void spec_env_clear(struct function_spec *s);

#endif /* COMMON_SPEC_PRIVATE_H */
