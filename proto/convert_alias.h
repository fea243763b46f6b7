/* Aliases of a function's state; of convert.h's part only. */
#ifndef PROTO_CONVERT_ALIAS_H
#define PROTO_CONVERT_ALIAS_H

#include "common/desired.h"
#include "common/error.h"
#include "proto/mayfly.pb-c.h"

#define CONVERT_ALIASES_MAX 100

/* -ENOMEM: what was made is left in *ret for convert_aliases_free(). */
int convert_aliases_to_wire(Mayfly__V1__FunctionState *ret,
                            const struct function_state *from);
void convert_aliases_free(Mayfly__V1__FunctionState *m);
/* Names and weights are checked. On failure nothing is left in *ret. */
int convert_aliases_from_wire(struct function_state *ret,
                              const Mayfly__V1__FunctionState *from, struct error *err);
void convert_aliases_release(struct function_state *f);

#endif /* PROTO_CONVERT_ALIAS_H */
