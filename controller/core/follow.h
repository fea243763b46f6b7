/* Follow: a function's targets, brought in line with its record: which of its versions
 * may run, and as what. */
#ifndef CONTROLLER_CORE_FOLLOW_H
#define CONTROLLER_CORE_FOLLOW_H

#include "controller/core/core_private.h"

/* A version goes on with the grants that it has, whatever it was before. */
void follow_record(const struct controller_core *c, struct core_function *f);
void follow_release(struct core_function *f); /* all of them go */
void follow_body_gone(struct core_function *f, const struct core_body *b);

#endif /* CONTROLLER_CORE_FOLLOW_H */
