#include "common/call_why.h"

#include <string.h>

#include "common/check.h"

struct row {
    const char *name, *text;
};

#define X(NAME, name, text) {name, text},
static const struct row colds[COLD_REASONS_COUNT] = {COLD_REASONS(X)};
static const struct row waits[WAIT_REASONS_COUNT] = {WAIT_REASONS(X)};
#undef X

static unsigned find(const struct row *rows, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return i;
        }
    }
    return 0;
}

const char *cold_reason_name(enum cold_reason r)
{
    CHECK(r < COLD_REASONS_COUNT);
    return colds[r].name;
}

const char *cold_reason_text(enum cold_reason r)
{
    CHECK(r < COLD_REASONS_COUNT);
    return colds[r].text;
}

enum cold_reason cold_reason_parse(const char *name)
{
    return (enum cold_reason)find(colds, COLD_REASONS_COUNT, name);
}

const char *wait_reason_name(enum wait_reason r)
{
    CHECK(r < WAIT_REASONS_COUNT);
    return waits[r].name;
}

const char *wait_reason_text(enum wait_reason r)
{
    CHECK(r < WAIT_REASONS_COUNT);
    return waits[r].text;
}

enum wait_reason wait_reason_parse(const char *name)
{
    return (enum wait_reason)find(waits, WAIT_REASONS_COUNT, name);
}
