/* What a report says of one version; of convert.h's part only. */
#ifndef PROTO_CONVERT_LOAD_H
#define PROTO_CONVERT_LOAD_H

#include "common/desired.h"
#include "common/error.h"
#include "proto/mayfly.pb-c.h"

/* A load with the messages in it: one block each; wire is its first member. */
struct convert_load {
    Mayfly__V1__VersionLoad wire;
    Mayfly__V1__LastColdStart cold;
    Mayfly__V1__LastWait wait;
    Mayfly__V1__LastRefusal refused;
};

/* Lends from's strings and counts; ret must stay where it is. */
void convert_load_to_wire(struct convert_load *ret, const struct version_load *from);
/* All but namespace and name, which are the caller's to check. Lends from's. */
int convert_load_from_wire(struct version_load *ret, const Mayfly__V1__VersionLoad *from,
                           struct error *err);

#endif /* PROTO_CONVERT_LOAD_H */
