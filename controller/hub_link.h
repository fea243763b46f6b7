/* Between the controller's core (and its logs, controller/api) and the agents: the core's
 * shapes are put on the wire and taken off it by proto/convert.h; nothing is decided
 * here.
 */
#ifndef CONTROLLER_HUB_LINK_H
#define CONTROLLER_HUB_LINK_H

#include "common/metrics.h"
#include "controller/api/api.h"
#include "controller/core/controller_core.h"
#include "controller/hub/hub.h"

struct hub_link {
    struct hub
        *hub; /* private; set by the owner once it is there, see hub_link_options() */
    struct controller_core *core;
    struct api *api;
    struct hub_node *last;         /* found last */
    struct hub_snapshot *snapshot; /* that the core is asked for just now, or NULL */
    struct metric *joined, *left, *bad_messages;
};

void hub_link_open(struct hub_link *l, struct controller_core *core, struct api *api,
                   struct metrics *metrics);
/* Fills in the callbacks. */
void hub_link_options(struct hub_link *l, struct hub_options *options);
void hub_link_set_hub(struct hub_link *l, struct hub *hub);

/* controller_io's part of it. */
void hub_link_send_function(struct hub_link *l, const char *node,
                            const struct function_state *f);
void hub_link_send_node(struct hub_link *l, const char *node, const struct node_state *n);
void hub_link_send_key(struct hub_link *l, const char *node, const struct key_state *k);
void hub_link_resync(struct hub_link *l, const char *node);

/* api_io's part of it. */
void hub_link_logs_ask(struct hub_link *l, const char *node, uint64_t id,
                       const struct api_log_query *q,
                       void (*asked)(void *data, const char *node), void *data);
void hub_link_logs_ack(struct hub_link *l, const char *node, uint64_t id);
void hub_link_logs_cancel(struct hub_link *l, const char *node, uint64_t id);

#endif /* CONTROLLER_HUB_LINK_H */
