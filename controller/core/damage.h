/* Keys whose values cannot be read: what they hold is left out, and nothing that it may
 * need is thrown away. Part of registry. */
#ifndef CONTROLLER_CORE_DAMAGE_H
#define CONTROLLER_CORE_DAMAGE_H

#include "controller/core/core_private.h"

void damage_set(struct controller_core *c, const struct core_kv *kv, bool damaged);
bool damage_has_versions(const struct controller_core *c); /* of functions or layers */
void damage_forget(struct controller_core *c);

#endif /* CONTROLLER_CORE_DAMAGE_H */
