/* The controller as a whole: core in the middle, store, hub and API around it.
 *
 *   controller_new ──▶ start ──▶ (loop runs) ──▶ stop ──▶ (loop runs out) ──▶ free
 *
 * This file only wires: every decision is the core's. */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include <uv.h>

#include "common/error.h"
#include "controller/controller_config.h"

struct controller;

/* config must stay. on_ready: the store has been read, agents may join. */
int controller_new(struct controller **ret, uv_loop_t *loop,
                   const struct controller_config *config, void (*on_ready)(void *data),
                   void *data, struct error *err);
/* Opens the store and listens. On failure only stop and free remain. */
int controller_start(struct controller *c, struct error *err);
uint16_t controller_rest_port(const struct controller *c);
uint16_t controller_hub_port(const struct controller *c);
/* In order: requests, agents, store. The loop runs out when all is closed. */
void controller_stop(struct controller *c);
/* After the loop has run out. Takes NULL. */
struct controller *controller_free(struct controller *c);

#endif /* CONTROLLER_CONTROLLER_H */
