/* Functions on fewer nodes than they may be: when nodes come they get more homes. Not at
 * once, since nodes come in crowds (a controller that starts anew), and a part of them at
 * a time, since there may be tens of thousands. */
#ifndef CONTROLLER_CORE_THIN_H
#define CONTROLLER_CORE_THIN_H

#include "controller/core/core_private.h"

void thin_init(struct controller_core *c);
/* It was placed: it may be one, or no more. */
void thin_follow(struct controller_core *c, struct core_function *f);
void thin_forget(struct controller_core *c, struct core_function *f);
void thin_node_came(struct controller_core *c);

#endif /* CONTROLLER_CORE_THIN_H */
