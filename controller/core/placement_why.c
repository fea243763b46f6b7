#include "controller/core/placement_why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

struct row {
    const char *name, *text;
};

#define X(NAME, name, text) {name, text},
static const struct row filters[PLACEMENT_FILTER_COUNT] = {PLACEMENT_FILTERS(X)};
static const struct row reasons[PLACEMENT_REASON_COUNT] = {PLACEMENT_REASONS(X)};
#undef X

const char *placement_filter_name(enum placement_filter f)
{
    CHECK(f < PLACEMENT_FILTER_COUNT);
    return filters[f].name;
}

const char *placement_filter_text(enum placement_filter f)
{
    CHECK(f < PLACEMENT_FILTER_COUNT);
    return filters[f].text;
}

const char *placement_reason_name(enum placement_reason r)
{
    CHECK(r < PLACEMENT_REASON_COUNT);
    return reasons[r].name;
}

const char *placement_reason_text(enum placement_reason r)
{
    CHECK(r < PLACEMENT_REASON_COUNT);
    return reasons[r].text;
}

struct text {
    char *at;
    size_t left;
    bool any;
};

static void say(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->at, t->left, fmt, ap);
    va_end(ap);
    if (n > 0) {
        size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;

        t->at += used;
        t->left -= used;
    }
}

static void begin(struct text *t, uint32_t n)
{
    say(t, "%s%u", t->any ? ", " : "", n);
    t->any = true;
}

static void say_labels(struct text *t, const struct placement_why *why,
                       const struct function_spec *spec)
{
    for (size_t i = 0; i < spec->n_constraints; i++) {
        const struct constraint *c = &spec->constraints[i];
        uint32_t n = why->by_constraint[i];

        if (n == 0) {
            continue;
        }
        begin(t, n);
        if (c->op == CONSTRAINT_IS_NOT) {
            say(t, " %s label %.*s=%.80s", n == 1 ? "has" : "have", (int)c->key_len,
                c->text, c->value);
        } else {
            say(t, " %s label %.120s", n == 1 ? "lacks" : "lack", c->text);
        }
    }
}

const char *placement_why_text(const struct placement_why *why,
                               const struct function_spec *spec, char *ret, size_t size)
{
    struct text t = {.at = ret, .left = size};

    say(&t, "%u node%s: ", why->n_nodes, why->n_nodes == 1 ? "" : "s");
    for (int i = PLACEMENT_FITS; i < PLACEMENT_FILTER_COUNT; i++) {
        if (i == PLACEMENT_LABELS) {
            say_labels(&t, why, spec);
        } else if (why->refused[i] > 0) {
            begin(&t, why->refused[i]);
            say(&t, " %s", placement_filter_text((enum placement_filter)i));
        }
    }
    return ret;
}
