/* What the parts of the world share:
 *
 *   controller_core_world.c  a controller's life, and requests
 *   …_store.c                the store, and memory
 *   …_agents.c               what agents are told and say
 *   …_look.c                 what its views say
 *   …_check.c                what must be true */
#ifndef TESTS_UNIT_CONTROLLER_CORE_WORLD_PRIVATE_H
#define TESTS_UNIT_CONTROLLER_CORE_WORLD_PRIVATE_H

#include "tests/unit/controller_core_world.h"

/* Memory by a way that tests of a core without memory leave alone, and that no compiler
 * turns into a calloc as it does malloc and memset. */
void *world_take(size_t size); /* whatever was there before */
void *world_alloc(size_t size);
char *world_copy(const char *text); /* NULL: of NULL */

/* Whether it was made. */
bool store_model_commit(struct store_model *s, const struct txn *t);

struct model_agent *world_agent(struct world *w, const char *name); /* or NULL */

/* Of controller_io. */
void world_send_function(void *ctx, const char *node, const struct function_state *f);
void world_send_node(void *ctx, const char *node, const struct node_state *n);
void world_resync(void *ctx, const char *node);

#endif /* TESTS_UNIT_CONTROLLER_CORE_WORLD_PRIVATE_H */
