#include "proto/convert_load.h"

#include <errno.h>

#include "common/latency.h"

/* protobuf-c's structs have no const; nothing here writes through these. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s != NULL ? s : "");
}

#define LOAD_FIELDS(X) \
    X(version)         \
    X(starting)        \
    X(idle)            \
    X(frozen)          \
    X(busy)            \
    X(queued)          \
    X(in_flight)       \
    X(invocations)     \
    X(cold_starts)     \
    X(errors)          \
    X(gb_ms)           \
    X(cpu_us)          \
    X(load_us)         \
    X(begun)           \
    X(grant_max)       \
    X(grant_warm)      \
    X(grant_reserved)  \
    X(stopping)        \
    X(revision)        \
    X(id)

static void last_to_wire(struct convert_load *ret, const struct version_load *from)
{
    if (from->last_cold.at_ms != 0) {
        mayfly__v1__last_cold_start__init(&ret->cold);
        ret->cold.at_ms = from->last_cold.at_ms;
        ret->cold.reason = text(cold_reason_name(from->last_cold.reason));
        ret->cold.start_ms = from->last_cold.start_ms;
        ret->cold.waited_ms = from->last_cold.waited_ms;
        ret->wire.last_cold_start = &ret->cold;
    }
    if (from->last_wait.at_ms != 0) {
        mayfly__v1__last_wait__init(&ret->wait);
        ret->wait.at_ms = from->last_wait.at_ms;
        ret->wait.reason = text(wait_reason_name(from->last_wait.reason));
        ret->wait.waited_ms = from->last_wait.waited_ms;
        ret->wire.last_wait = &ret->wait;
    }
    if (from->last_refused.at_ms != 0) {
        mayfly__v1__last_refusal__init(&ret->refused);
        ret->refused.at_ms = from->last_refused.at_ms;
        ret->refused.cause = text(cause_name(from->last_refused.cause));
        ret->refused.text = text(from->last_refused.text);
        ret->wire.last_refusal = &ret->refused;
    }
}

void convert_load_to_wire(struct convert_load *ret, const struct version_load *from)
{
    mayfly__v1__version_load__init(&ret->wire);
    ret->wire.namespace_ = text(from->namespace_);
    ret->wire.name = text(from->name);
#define X(field) ret->wire.field = from->field;
    LOAD_FIELDS(X)
#undef X
    ret->wire.latency = (uint64_t *)(uintptr_t)from->latency;
    ret->wire.n_latency = from->n_latency;
    last_to_wire(ret, from);
}

/* A reason that this controller does not know is from a newer agent: NONE. */
static int last_from_wire(struct version_load *ret, const Mayfly__V1__VersionLoad *from,
                          struct error *err)
{
    const Mayfly__V1__LastColdStart *cold = from->last_cold_start;
    const Mayfly__V1__LastWait *wait = from->last_wait;
    const Mayfly__V1__LastRefusal *refused = from->last_refusal;

    if (cold != NULL) {
        ret->last_cold = (struct cold_start){cold->at_ms, cold_reason_parse(cold->reason),
                                             cold->start_ms, cold->waited_ms};
    }
    if (wait != NULL) {
        ret->last_wait = (struct call_wait){wait->at_ms, wait_reason_parse(wait->reason),
                                            wait->waited_ms};
    }
    if (refused != NULL) {
        enum cause cause = cause_from_name(refused->cause);

        if (cause == CAUSE_COUNT) {
            return error_set(err, -EINVAL, "cause \"%.40s\" is not known",
                             refused->cause);
        }
        ret->last_refused = (struct call_refusal){refused->at_ms, cause, refused->text};
    }
    return 0;
}

int convert_load_from_wire(struct version_load *ret, const Mayfly__V1__VersionLoad *from,
                           struct error *err)
{
    *ret = (struct version_load){.namespace_ = from->namespace_, .name = from->name};
#define X(field) ret->field = from->field;
    LOAD_FIELDS(X)
#undef X
    if (from->n_latency > LATENCY_BUCKETS) {
        return error_set(err, -ERANGE, "latency has too many counts");
    }
    ret->latency = from->latency;
    ret->n_latency = from->n_latency;
    return last_from_wire(ret, from, err);
}
