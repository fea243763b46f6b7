/* Between the wire's shapes and the program's (common/spec.h). */
#ifndef PROTO_CONVERT_H
#define PROTO_CONVERT_H

#include "common/desired.h"
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

/* --- whole messages (common/desired.h) ------------------------------------------------
 *
 * to_wire: makes a message that points into *from; the struct stays the caller's and must
 * outlive it. 0 or -ENOMEM; then convert_*_free() frees what was made.
 * from_wire: fills a struct that points into the message, and what must be made for it
 * (`convert_*_release()` frees that). Everything is checked; -EINVAL, -ERANGE, -ENOMEM.
 */
int convert_function_to_wire(Mayfly__V1__FunctionState *ret,
                             const struct function_state *from);
void convert_function_free(Mayfly__V1__FunctionState *m);
int convert_function_from_wire(struct function_state *ret,
                               const Mayfly__V1__FunctionState *from, struct error *err);
void convert_function_release(struct function_state *f);

void convert_node_to_wire(Mayfly__V1__NodeState *ret, const struct node_state *from);
int convert_node_from_wire(struct node_state *ret, const Mayfly__V1__NodeState *from,
                           struct error *err);

void convert_key_to_wire(Mayfly__V1__KeyState *ret, const struct key_state *from);
int convert_key_from_wire(struct key_state *ret, const Mayfly__V1__KeyState *from,
                          struct error *err);

int convert_report_to_wire(Mayfly__V1__NodeReport *ret, const struct node_report *from);
void convert_report_free(Mayfly__V1__NodeReport *m);
int convert_report_from_wire(struct node_report *ret, const Mayfly__V1__NodeReport *from,
                             struct error *err);
void convert_report_release(struct node_report *r);

void convert_version_report_to_wire(Mayfly__V1__VersionReport *ret,
                                    const struct version_report *from);
int convert_version_report_from_wire(struct version_report *ret,
                                     const Mayfly__V1__VersionReport *from,
                                     struct error *err);

#endif /* PROTO_CONVERT_H */
