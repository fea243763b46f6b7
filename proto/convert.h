/* Between the wire's shapes and the program's (common/spec.h). */
#ifndef PROTO_CONVERT_H
#define PROTO_CONVERT_H

#include "common/error.h"
#include "common/spec.h"
#include "proto/mayfly.pb-c.h"

/* A Spec that points into *from, ready to pack; *from must outlive it and stay unchanged.
 * -ENOMEM. convert_spec_free() frees what it made. */
int convert_spec_to_wire(Mayfly__V1__Spec *ret, const struct function_spec *from);
void convert_spec_free(Mayfly__V1__Spec *spec);

/* Copies. Nothing from the wire is believed: ranges, names and limits are checked as for
 * JSON (-EINVAL, -ERANGE), since a sandbox is made from it. *ret is untouched on failure;
 * otherwise what it held is overwritten, not freed. */
int convert_spec_from_wire(struct function_spec *ret, const Mayfly__V1__Spec *from,
                           struct error *err);

void convert_package_to_wire(Mayfly__V1__Package *ret, const struct package_ref *from);
int convert_package_from_wire(struct package_ref *ret, const Mayfly__V1__Package *from,
                              struct error *err);

#endif /* PROTO_CONVERT_H */
