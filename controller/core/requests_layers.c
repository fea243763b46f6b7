/* Requests: the doors of layers and access keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/requests.h"

static struct core_request *ask_layer(struct controller_core *c,
                                      const struct change_kind *kind,
                                      const char *namespace_, const char *name,
                                      core_reply_cb cb, void *data)
{
    struct core_request *r;

    if (!request_may_ask(c, cb, data) ||
        !request_name_ok(namespace_, "namespace", cb, data) ||
        !request_name_ok(name, "name", cb, data)) {
        return NULL;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED, "too many changes wait", NULL);
        return NULL;
    }
    r = core_request_new(kind, cb, data);
    if (r == NULL) {
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return NULL;
    }
    (void)snprintf(r->layer_namespace, sizeof(r->layer_namespace), "%s", namespace_);
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    return r;
}

void requests_publish_layer(struct controller_core *c, const char *namespace_,
                            const char *name, const struct package_ref *package,
                            const char *description, const json_t *attributes,
                            core_reply_cb cb, void *data)
{
    struct core_request *r =
        ask_layer(c, &change_publish_layer, namespace_, name, cb, data);

    if (r == NULL) {
        return;
    }
    r->package = *package;
    r->description = strdup(description);
    r->ordered = attributes != NULL ? json_deep_copy(attributes) : NULL;
    if (r->description == NULL || (attributes != NULL && r->ordered == NULL)) {
        core_request_free(r);
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    core_request_enqueue(c, r);
}

void requests_delete_layer(struct controller_core *c, const char *namespace_,
                           const char *name, uint64_t number, core_reply_cb cb,
                           void *data)
{
    struct core_request *r =
        ask_layer(c, &change_delete_layer, namespace_, name, cb, data);

    if (r != NULL) {
        r->number = number;
        core_request_enqueue(c, r);
    }
}

void requests_set_layer_attribute(struct controller_core *c, const char *namespace_,
                                  const char *name, uint64_t number,
                                  const char *attribute, const json_t *value,
                                  uint64_t if_revision, core_reply_cb cb, void *data)
{
    struct core_request *r =
        ask_layer(c, &change_layer_attribute, namespace_, name, cb, data);

    if (r == NULL) {
        return;
    }
    r->number = number;
    r->if_revision = if_revision;
    (void)snprintf(r->attribute, sizeof(r->attribute), "%s", attribute);
    r->ordered = value != NULL ? json_deep_copy(value) : NULL;
    if (value != NULL && r->ordered == NULL) {
        core_request_free(r);
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    core_request_enqueue(c, r);
}

static void ask_key(struct controller_core *c, const struct change_kind *kind,
                    const char *namespace_, const char *id, const char *secret,
                    core_reply_cb cb, void *data)
{
    struct core_request *r;

    if (!request_may_ask(c, cb, data) ||
        !request_name_ok(namespace_, "namespace", cb, data)) {
        return;
    }
    if (!access_key_id_valid(id)) {
        request_reply_now(cb, data, CAUSE_BAD_REQUEST,
                          "an access key's id has 4 to 128 letters, digits and _",
                          "access_key_id");
        return;
    }
    if (secret != NULL && !access_key_secret_valid(secret)) {
        request_reply_now(cb, data, CAUSE_BAD_REQUEST,
                          "a secret has 8 to 128 printable characters and no blanks",
                          "secret_access_key");
        return;
    }
    if (c->n_namespace_queue >= NAMESPACE_QUEUE_MAX) {
        request_reply_now(cb, data, CAUSE_THROTTLED, "too many changes wait", NULL);
        return;
    }
    r = core_request_new(kind, cb, data);
    if (r == NULL) {
        request_reply_now(cb, data, CAUSE_INTERNAL, "out of memory", NULL);
        return;
    }
    (void)stpcpy(r->key_id, id);
    (void)stpcpy(r->key_namespace, namespace_);
    (void)stpcpy(r->key_secret, secret != NULL ? secret : "");
    core_request_enqueue(c, r);
}

void requests_put_key(struct controller_core *c, const char *namespace_, const char *id,
                      const char *secret, core_reply_cb cb, void *data)
{
    ask_key(c, &change_put_key, namespace_, id, secret, cb, data);
}

void requests_delete_key(struct controller_core *c, const char *namespace_,
                         const char *id, core_reply_cb cb, void *data)
{
    ask_key(c, &change_delete_key, namespace_, id, NULL, cb, data);
}
