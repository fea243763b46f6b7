/* Views: what there is as JSON (views.c), for what puts them in lists. NULL: no memory.
 */
#ifndef CONTROLLER_CORE_VIEWS_H
#define CONTROLLER_CORE_VIEWS_H

#include "controller/core/core_private.h"

json_t *views_namespace(const struct core_namespace *ns);
json_t *views_function(const struct core_function *f);

#endif /* CONTROLLER_CORE_VIEWS_H */
