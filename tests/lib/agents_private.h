/* Shared by agents.c (the hub, the agents) and agents_function.c (what they run). */
#ifndef TESTS_LIB_AGENTS_PRIVATE_H
#define TESTS_LIB_AGENTS_PRIVATE_H

#include "tests/lib/agents.h"

/* to NULL: into the snapshot that is being put together. */
int agents_hub_send(struct agents *b, struct hub_node *to, const Mayfly__V1__Envelope *m);
void agents_send_function(struct agents *b, struct hub_node *to,
                          struct agents_function *fn);
/* As if that node had no grant; to it alone. */
void agents_send_without_grant(struct agents *b, const struct agents_node *n,
                               struct agents_function *fn);

#endif /* TESTS_LIB_AGENTS_PRIVATE_H */
