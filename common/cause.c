#include "common/cause.h"

#include <stddef.h>
#include <string.h>

#include "common/check.h"

static const struct {
    const char *name;
    int status;
    const char *what;
    const char *fix;
} table[CAUSE_COUNT] = {
#define X(symbol, name, status, what, fix) {name, status, what, fix},
    CAUSE_TABLE(X)
#undef X
};

const char *cause_name(enum cause cause)
{
    CHECK(cause < CAUSE_COUNT);
    return table[cause].name;
}

int cause_http_status(enum cause cause)
{
    CHECK(cause < CAUSE_COUNT);
    return table[cause].status;
}

const char *cause_what(enum cause cause)
{
    CHECK(cause < CAUSE_COUNT);
    return table[cause].what;
}

const char *cause_fix(enum cause cause)
{
    CHECK(cause < CAUSE_COUNT);
    return table[cause].fix;
}

enum cause cause_from_name(const char *name)
{
    for (size_t i = 0; i < CAUSE_COUNT; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return (enum cause)i;
        }
    }
    return CAUSE_COUNT;
}
