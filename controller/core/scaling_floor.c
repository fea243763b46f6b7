#include "controller/core/scaling_floor.h"

#include "controller/core/concurrency.h"
#include "controller/core/rollout.h"
#include "controller/core/scaling_config.h"
#include "controller/core/traffic.h"

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

bool scaling_takes_calls(const struct core_target *t)
{
    const struct core_function *f = t->f;

    return t == f->serving ||
           (t != f->candidate &&
            (rollout_share(f, t->number) > 0 || traffic_is_named(&f->record, t->number)));
}

uint32_t scaling_cap(const struct core_target *t, uint32_t n)
{
    n = scaling_config_cap(&t->body->spec, n);
    return t->most > 0 && n > t->most ? t->most : n;
}

/* Instances that are kept ready under one of the version's names. */
static uint32_t provisioned(const struct core_target *t)
{
    uint32_t calls = concurrency_provisioned(&t->f->record, t->number);

    return calls > 0 && t->body->spec.reuse
               ? scaling_cap(t, concurrency_instances(&t->body->spec, calls))
               : 0;
}

uint32_t scaling_floor(const struct core_target *t)
{
    const struct core_function *f = t->f;
    uint32_t least, share, kept;

    if (t->body == NULL) {
        return 0;
    }
    least = scaling_config_floor(&t->body->spec, &f->core->options.autoscaler);
    kept = provisioned(t);
    if (t == f->serving || t == f->candidate) {
        return max_u32(least, kept);
    }
    /* One that is rolled out has its share, and one at least; what is only named, none.
     */
    share = rollout_share(f, t->number);
    least = (uint32_t)(((uint64_t)least * share + ALIAS_WHOLE - 1) / ALIAS_WHOLE);
    return max_u32(share > 0 && least == 0 ? 1 : least, kept);
}

uint32_t scaling_least(const struct core_target *t)
{
    return t == t->f->serving || t == t->f->candidate
               ? max_u32(scaling_config_min(&t->body->spec), provisioned(t))
               : scaling_floor(t);
}
