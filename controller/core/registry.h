/* Registry: what the store holds, as far as its watch has told; nothing else. Only load()
 * and apply() change it. What they touch, the scheduler is told. */
#ifndef CONTROLLER_CORE_REGISTRY_H
#define CONTROLLER_CORE_REGISTRY_H

#include "controller/core/core_private.h"

int registry_init(struct controller_core *c); /* -ENOMEM */
void registry_free(struct controller_core *c);

void registry_load(struct controller_core *c, const struct core_kv *kvs, size_t n);
void registry_apply(struct controller_core *c, const struct core_kv *kv);

/* NULL: not known. What is found may be not `present`. */
struct core_namespace *registry_namespace(const struct controller_core *c,
                                          const char *name);
struct core_function *registry_function(const struct controller_core *c,
                                        const char *namespace_, const char *name);
/* Finds or makes. NULL: out of memory, or the names are not valid. */
struct core_function *registry_want_function(struct controller_core *c,
                                             const char *namespace_, const char *name);
const struct core_body *registry_body(const struct core_function *f, uint64_t number);
/* The same, to count its calls in. */
struct core_body *registry_body_of(struct core_function *f, uint64_t number);
/* Frees what nothing needs any more. */
void registry_collect(struct controller_core *c, struct core_function *f);

/* The revision of a key whose value could not be read; 0: there is no such. */
int64_t registry_damaged_revision(const struct controller_core *c, const char *key);
/* Whether any version needs it. One that cannot be read may need any. */
/* One more, or one less, needs this package. NULL: out of memory. */
struct core_package *registry_count_package(struct controller_core *c,
                                            const char *digest);
void registry_uncount_package(struct controller_core *c, struct core_package *p);
bool registry_uses_package(const struct controller_core *c, const char *digest);

#endif /* CONTROLLER_CORE_REGISTRY_H */
