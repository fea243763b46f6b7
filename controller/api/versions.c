/* /v1/namespaces/{namespace}/functions/{name}/versions, /aliases, /rollback */
#include <errno.h>
#include <string.h>

#include "controller/api/api_private.h"

#define NUMBER_MAX (1LL << 53)

/* NULL: there is no such function. */
static void reply_list(struct api_request *r, json_t *json)
{
    if (json != NULL) {
        api_reply_items(r, json);
    } else {
        api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
                 "there is no function %s/%s", r->match.params[0], r->match.params[1]);
    }
}

/* A number of a version in the body; 0: the key is not there. False: refused. */
static bool read_number(struct api_request *r, const char *key, uint64_t *ret)
{
    const json_t *json = json_object_get(r->json, key);
    struct error err;

    *ret = 0;
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_integer(json) || json_integer_value(json) < 1 ||
        json_integer_value(json) > NUMBER_MAX) {
        (void)error_set(&err, -EINVAL, "%s is not a version; give a number from 1", key);
        api_refuse(r, key, &err);
        return false;
    }
    *ret = (uint64_t)json_integer_value(json);
    return true;
}

/* NULL: none. */
static bool read_description(struct api_request *r, const char **ret)
{
    const json_t *json = json_object_get(r->json, "description");
    struct error err;

    *ret = json_string_value(json);
    if (json != NULL && (*ret == NULL || strlen(*ret) > 1024)) {
        (void)error_set(&err, -EINVAL,
                        "description is not a text of at most 1024 bytes; shorten it");
        api_refuse(r, "description", &err);
        return false;
    }
    return true;
}

static bool known_keys(struct api_request *r, const char *const *known)
{
    char field[INPUT_FIELD_MAX];
    struct error err;

    if (input_json_keys(r->json, known, "", field, &err) < 0) {
        api_refuse(r, field, &err);
        return false;
    }
    return true;
}

/* --- versions ----------------------------------------------------------------- */

void api_list_versions(struct api_request *r)
{
    const char *ns, *name;

    if (api_function_params(r, &ns, &name)) {
        reply_list(r, controller_core_versions(r->api->core, ns, name));
    }
}

static void published(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    json_t *json;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
        return;
    }
    json = controller_core_version(r->api->core, r->match.params[0], r->match.params[1],
                                   reply->version);
    if (json != NULL) {
        api_reply_json(r, reply->created ? 201 : 200, json);
    } else {
        reply_list(r, NULL); /* deleted in between */
    }
}

void api_publish_version(struct api_request *r)
{
    static const char *const known[] = {"version", "description", NULL};
    const char *ns, *name, *description;
    uint64_t revision, number;

    if (api_function_params(r, &ns, &name) && api_if_match(r, &revision) &&
        known_keys(r, known) && read_number(r, "version", &number) &&
        read_description(r, &description)) {
        r->asked_core = true;
        controller_core_publish(r->api->core, ns, name, number, description, revision,
                                published, r);
    }
}

void api_delete_version(struct api_request *r)
{
    const char *ns, *name;
    struct error err;
    uint64_t number;

    if (!api_function_params(r, &ns, &name)) {
        return;
    }
    if (input_u64(r->match.params[2], 1, NUMBER_MAX, &number) < 0) {
        (void)error_set(&err, -EINVAL, "version is \"%.40s\"; give a number from 1",
                        r->match.params[2]);
        api_refuse(r, "version", &err);
        return;
    }
    r->asked_core = true;
    controller_core_delete_version(r->api->core, ns, name, number, api_core_gone, r);
}

/* --- aliases ------------------------------------------------------------------ */

static bool alias_param(struct api_request *r, const char **ret)
{
    struct error err;

    *ret = r->match.params[2];
    if (alias_name_valid(*ret, strlen(*ret))) {
        return true;
    }
    (void)error_set(
        &err, -EINVAL,
        "alias is \"%.40s\"; a name has 1 to %d of A-Z, a-z, 0-9, - and _, and "
        "not digits alone",
        *ret, ALIAS_NAME_MAX);
    api_refuse(r, "alias", &err);
    return false;
}

static void reply_alias(struct api_request *r, int status)
{
    json_t *json = controller_core_alias(r->api->core, r->match.params[0],
                                         r->match.params[1], r->match.params[2]);

    if (json != NULL) {
        api_reply_json(r, status, json);
    } else {
        api_fail(r, &(struct api_error){.cause = CAUSE_NOT_FOUND},
                 "function %s/%s has no alias %.128s", r->match.params[0],
                 r->match.params[1], r->match.params[2]);
    }
}

void api_list_aliases(struct api_request *r)
{
    const char *ns, *name;

    if (api_function_params(r, &ns, &name)) {
        reply_list(r, controller_core_aliases(r->api->core, ns, name));
    }
}

void api_get_alias(struct api_request *r)
{
    const char *ns, *name, *alias;

    if (api_function_params(r, &ns, &name) && alias_param(r, &alias)) {
        reply_alias(r, 200);
    }
}

static bool read_weights(struct api_request *r, struct alias_weight *ret, size_t *ret_n)
{
    static const char form[] = "[{\"version\": 1, \"weight\": 100}]";
    const json_t *list = json_object_get(r->json, "weights");
    struct error err;

    if (!json_is_array(list) || json_array_size(list) == 0 ||
        json_array_size(list) > ALIAS_SPLIT_MAX) {
        (void)error_set(&err, -EINVAL,
                        "weights is not a list of 1 to %d versions; give for instance %s",
                        ALIAS_SPLIT_MAX, form);
        api_refuse(r, "weights", &err);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *version = json_object_get(item, "version");

        if (!json_is_integer(version) || json_integer_value(version) < 1 ||
            json_integer_value(version) > NUMBER_MAX ||
            core_percent_from_json(&ret[i].weight, json_object_get(item, "weight")) < 0) {
            (void)error_set(&err, -EINVAL,
                            "weights: item %zu is not a version with a weight from 0 to "
                            "100; give for instance %s",
                            i + 1, form);
            api_refuse(r, "weights", &err);
            return false;
        }
        ret[i].version = (uint64_t)json_integer_value(version);
    }
    *ret_n = json_array_size(list);
    return true;
}

static void alias_put(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        reply_alias(r, reply->created ? 201 : 200);
    }
}

void api_put_alias(struct api_request *r)
{
    static const char *const known[] = {"weights", "description", NULL};
    struct alias_weight weights[ALIAS_SPLIT_MAX];
    const char *ns, *name, *alias, *description;
    uint64_t revision;
    size_t n;

    if (api_function_params(r, &ns, &name) && alias_param(r, &alias) &&
        api_if_match(r, &revision) && known_keys(r, known) &&
        read_weights(r, weights, &n) && read_description(r, &description)) {
        r->asked_core = true;
        controller_core_put_alias(r->api->core, ns, name, alias, weights, n, description,
                                  revision, alias_put, r);
    }
}

void api_delete_alias(struct api_request *r)
{
    const char *ns, *name, *alias;
    uint64_t revision;

    if (api_function_params(r, &ns, &name) && alias_param(r, &alias) &&
        api_if_match(r, &revision)) {
        r->asked_core = true;
        controller_core_delete_alias(r->api->core, ns, name, alias, revision,
                                     api_core_gone, r);
    }
}

/* --- rollback ----------------------------------------------------------------- */

static void rolled_back(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    json_t *json;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
        return;
    }
    json = controller_core_function(r->api->core, r->match.params[0], r->match.params[1]);
    if (json != NULL) {
        api_reply_function(r, 200, json);
    } else {
        reply_list(r, NULL);
    }
}

void api_rollback(struct api_request *r)
{
    static const char *const known[] = {"to", NULL};
    const char *ns, *name;
    uint64_t revision, number;

    if (api_function_params(r, &ns, &name) && api_if_match(r, &revision) &&
        known_keys(r, known) && read_number(r, "to", &number)) {
        r->asked_core = true;
        controller_core_rollback(r->api->core, ns, name, number, revision, rolled_back,
                                 r);
    }
}
