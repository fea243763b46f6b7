/* /v1/nodes */
#include <errno.h>
#include <string.h>

#include "controller/api/api_private.h"

static int list_all(const struct controller_core *c, const char *namespace_,
                    const struct core_list *list)
{
    return controller_core_nodes(c, list);
}

void api_list_nodes(struct api_request *r)
{
    api_reply_list(r, NULL, list_all);
}

static void reply_node(struct api_request *r)
{
    const char *name = r->match.params[0];
    json_t *json = controller_core_node(r->api->core, name);

    if (json != NULL) {
        api_reply_json(r, 200, json);
    } else {
        api_fail(r,
                 &(struct api_error){.cause = CAUSE_NOT_FOUND,
                                     .fix = "see `mayfly nodes` for those there are"},
                 "there is no node %.80s", name);
    }
}

void api_get_node(struct api_request *r)
{
    reply_node(r);
}

static void node_patched(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_node(r);
    }
}

void api_patch_node(struct api_request *r)
{
    static const char *const known[] = {"state", "labels", NULL};
    char field[INPUT_FIELD_MAX];
    struct error err;
    const json_t *state = json_object_get(r->json, "state");
    int rc = input_json_keys(r->json, known, "", field, &err);

    if (rc == 0 && state != NULL && !json_is_string(state)) {
        (void)strcpy(field, "state");
        rc = error_set(&err, -EINVAL, "state must be ready, cordoned or draining");
    }
    if (rc == 0 && state == NULL && json_object_get(r->json, "labels") == NULL) {
        (void)strcpy(field, "state");
        rc = error_set(&err, -EINVAL, "give state, labels or both");
    }
    if (rc < 0) {
        api_refuse(r, field, &err);
        return;
    }
    r->asked_core = true;
    controller_core_order_node(r->api->core, r->match.params[0], json_string_value(state),
                               json_object_get(r->json, "labels"), node_patched, r);
}
