#include "controller/core/scaling_record.h"

#include <stdlib.h>

static const struct {
    const char *name, *text;
} reasons[SCALING_REASONS_COUNT] = {
#define X(NAME, name, text) {name, text},
    SCALING_REASONS(X)
#undef X
};

const char *scaling_reason_name(enum scaling_reason r)
{
    return reasons[r].name;
}

const char *scaling_reason_text(enum scaling_reason r)
{
    return reasons[r].text;
}

void scaling_records_add(struct scaling_records *rs, const struct scaling_record *r)
{
    if (rs->ring == NULL) {
        rs->ring = calloc(SCALING_RECORDS_MAX, sizeof(*rs->ring));
    }
    if (rs->ring != NULL) {
        rs->ring[rs->n++ % SCALING_RECORDS_MAX] = *r;
    }
}

void scaling_records_free(struct scaling_records *rs)
{
    free(rs->ring);
    *rs = (struct scaling_records){0};
}

size_t scaling_records_get(const struct scaling_records *rs, struct scaling_record *ret,
                           size_t most)
{
    size_t n = rs->n < SCALING_RECORDS_MAX ? (size_t)rs->n : SCALING_RECORDS_MAX;

    n = n < most ? n : most;
    for (size_t i = 0; i < n; i++) {
        ret[i] = rs->ring[(rs->n - 1 - i) % SCALING_RECORDS_MAX];
    }
    return n;
}
