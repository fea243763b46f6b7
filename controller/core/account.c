/* What a namespace's functions take of what an account has. */
#include <string.h>

#include "controller/core/concurrency.h"
#include "controller/core/core_private.h"
#include "controller/core/layers.h"
#include "controller/core/registry.h"

/* Of the latest version and of those that are published. */
static uint64_t code_bytes(const struct core_function *f)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < f->record.n_versions; i++) {
        const struct record_version *v = &f->record.versions[i];
        const struct core_body *b = registry_body(f, v->number);
        uint64_t times = (i + 1 == f->record.n_versions ? 1U : 0) + (v->published > 0);

        bytes += b != NULL ? times * b->package.bytes : 0;
    }
    return bytes;
}

static uint64_t layer_bytes(const struct controller_core *c, const char *namespace_)
{
    uint64_t bytes = 0;

    LIST_FOREACH(it, &c->layer_list)
    {
        const struct core_layer *l = container_of(it, struct core_layer, link);

        for (size_t i = 0; strcmp(l->namespace_, namespace_) == 0 && i < l->n_versions;
             i++) {
            bytes += l->versions[i].package.bytes;
        }
    }
    return bytes;
}

struct core_account controller_core_account(const struct controller_core *c,
                                            const char *namespace_)
{
    const struct core_namespace *ns = registry_namespace(c, namespace_);
    struct core_account a = {.package_bytes = layer_bytes(c, namespace_)};

    if (ns == NULL) {
        return a;
    }
    LIST_FOREACH(it, &ns->functions)
    {
        const struct core_function *f =
            container_of(it, struct core_function, of_namespace);

        if (f->present) {
            a.functions++;
            a.calls += concurrency_taken(&f->record);
            a.package_bytes += code_bytes(f);
        }
    }
    return a;
}
