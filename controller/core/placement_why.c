#include "controller/core/placement_why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    static const char *const others[PLACEMENT_FILTER_COUNT] = {
        [PLACEMENT_LOST] = " lost",
        [PLACEMENT_DRAINING] = " draining",
        [PLACEMENT_CORDONED] = " cordoned",
        [PLACEMENT_TRIED] = " could not start it",
        [PLACEMENT_MEMORY] = " too small",
        [PLACEMENT_CPU] = " with too little CPU",
        [PLACEMENT_MEMORY_FULL] = " full",
        [PLACEMENT_CPU_FULL] = " with its CPU kept for others",
        [PLACEMENT_FITS] = " with room",
    };
    struct text t = {.at = ret, .left = size};

    say(&t, "%u node%s: ", why->n_nodes, why->n_nodes == 1 ? "" : "s");
    for (int i = PLACEMENT_FITS; i < PLACEMENT_FILTER_COUNT; i++) {
        if (i == PLACEMENT_LABELS) {
            say_labels(&t, why, spec);
        } else if (why->refused[i] > 0) {
            begin(&t, why->refused[i]);
            say(&t, "%s", others[i]);
        }
    }
    return ret;
}
