/* What is kept with a function: tags, the configuration of asynchronous calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/api/lambda_private.h"

#define TAGS_MAX 50

/* --- tags ------------------------------------------------------------------------- */

void lambda_list_tags(struct lambda *l)
{
    json_t *f = lambda_get_latest(l);

    if (f != NULL) {
        const json_t *tags = lambda_attribute(f, "tags", "");

        lambda_reply(l, json_pack("{s:o}", "Tags",
                                  tags != NULL ? json_deep_copy(tags) : json_object()));
    }
    json_decref(f);
}

static bool check_tags(struct lambda *l, const json_t *tags)
{
    struct lambda_checks c = {0};
    const char *key;
    const json_t *value;

    if (!json_is_object(tags)) {
        lambda_check_add(&c, "null", "tags", "Member must not be null");
    }
    json_object_foreach((json_t *)(uintptr_t)tags, key, value)
    {
        if (!json_is_string(value) || json_string_length(value) > 256 ||
            strlen(key) > 128 || *key == '\0') {
            lambda_check_add(&c, key, "tags",
                             "Map keys must have 1 to 128 characters and map values at "
                             "most 256");
        }
    }
    return lambda_checks_end(&c, l);
}

void lambda_tag(struct lambda *l)
{
    const json_t *more = json_object_get(l->json, "Tags"), *now;
    json_t *f, *tags;

    if (!check_tags(l, more) || (f = lambda_base(l, lambda_get(l))) == NULL) {
        return;
    }
    now = lambda_attribute(f, "tags", "");
    tags = now != NULL ? json_deep_copy(now) : json_object();
    (void)json_object_update(tags, (json_t *)(uintptr_t)more);
    l->again = lambda_tag;
    if (json_object_size(tags) > TAGS_MAX) {
        json_decref(tags);
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Number of tags exceeds resource tag "
                    "limit.");
    } else {
        lambda_change_attribute(l, "tags", tags, lambda_reply_empty);
    }
    json_decref(f);
}

void lambda_untag(struct lambda *l)
{
    json_t *f, *tags;
    const json_t *now;

    if (lambda_query(l, "tagKeys") == NULL) {
        struct lambda_checks c = {0};

        lambda_check_add(&c, "null", "tagKeys", "Member must not be null");
        (void)lambda_checks_end(&c, l);
        return;
    }
    f = lambda_base(l, lambda_get(l));
    if (f == NULL) {
        return;
    }
    now = lambda_attribute(f, "tags", "");
    tags = now != NULL ? json_deep_copy(now) : json_object();
    for (size_t i = 0; i < l->n_query; i++) {
        if (strcmp(l->query[i].name, "tagKeys") == 0) {
            (void)json_object_del(tags, l->query[i].value);
        }
    }
    l->again = lambda_untag;
    lambda_change_attribute(l, "tags", tags, lambda_reply_empty);
    json_decref(f);
}

/* --- asynchronous calls: kept, as there is no queue yet ---------------------------- */

#define EVENT_INVOKE "event_invoke"

static const char *qualifier_of(const struct lambda *l)
{
    return l->ref.qualifier[0] != '\0' ? l->ref.qualifier : LAMBDA_LATEST;
}

static const json_t *event_of(const struct lambda *l, const json_t *function)
{
    return lambda_attribute(function, EVENT_INVOKE, l->ref.qualifier);
}

static json_t *event_view(const struct lambda *l, const json_t *kept,
                          const char *qualifier)
{
    char arn[LAMBDA_ARN_SIZE];
    json_t *out = json_deep_copy(kept);

    lambda_own_arn(l, qualifier, arn);
    (void)json_object_set_new(out, "FunctionArn", json_string(arn));
    return out;
}

static void event_put(struct lambda *l)
{
    lambda_reply(l, event_view(l, l->value, qualifier_of(l)));
}

static void event_missing(struct lambda *l)
{
    char arn[LAMBDA_ARN_SIZE];

    lambda_own_arn(l, qualifier_of(l), arn);
    lambda_fail(l, LAMBDA_E_NOT_FOUND,
                "The function %s doesn't have an EventInvokeConfig", arn);
}

static bool check_event(struct lambda *l)
{
    struct lambda_checks c = {0};
    bool any = json_is_object(json_object_get(l->json, "DestinationConfig"));
    int64_t n;

    any |= lambda_check_number(&c, l->json, "MaximumRetryAttempts",
                               "maximumRetryAttempts", 0, 2, &n);
    any |= lambda_check_number(&c, l->json, "MaximumEventAgeInSeconds",
                               "maximumEventAgeInSeconds", 60, 21600, &n);
    if (c.n == 0 && !any) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "You must specify at least one of error handling or destination "
                    "setting.");
        return false;
    }
    return lambda_checks_end(&c, l);
}

static void put_event(struct lambda *l, bool update)
{
    static const char *const keys[] = {"MaximumRetryAttempts", "MaximumEventAgeInSeconds",
                                       "DestinationConfig"};
    const json_t *before;
    json_t *f, *one;

    if (!check_event(l) || (f = lambda_base(l, lambda_get(l))) == NULL) {
        return;
    }
    before = event_of(l, f);
    if (update && before == NULL) {
        event_missing(l);
        json_decref(f);
        return;
    }
    one = update ? json_deep_copy(before)
                 : json_pack("{s:{s:{}, s:{}}}", "DestinationConfig", "OnSuccess",
                             "OnFailure");
    for (size_t i = 0; i < 3; i++) {
        json_t *value = json_object_get(l->json, keys[i]);

        if (value != NULL && !json_is_null(value)) {
            (void)json_object_set(one, keys[i], value);
        }
    }
    (void)json_object_set_new(one, "LastModified",
                              json_real((double)clock_wall_ms() / 1000.0));
    lambda_change_qualified(l, EVENT_INVOKE, one, event_put);
    json_decref(f);
}

void lambda_put_event_invoke(struct lambda *l)
{
    l->again = lambda_put_event_invoke;
    put_event(l, false);
}

void lambda_update_event_invoke(struct lambda *l)
{
    l->again = lambda_update_event_invoke;
    put_event(l, true);
}

void lambda_get_event_invoke(struct lambda *l)
{
    json_t *f = lambda_get(l);
    const json_t *one = event_of(l, f);

    if (f != NULL && one == NULL) {
        event_missing(l);
    } else if (f != NULL) {
        lambda_reply(l, event_view(l, one, qualifier_of(l)));
    }
    json_decref(f);
}

static json_t *listed(const struct lambda *l, const json_t *f, const char *qualifier,
                      const json_t *kept)
{
    return event_view(l, kept, *qualifier != '\0' ? qualifier : LAMBDA_LATEST);
}

void lambda_list_event_invoke(struct lambda *l)
{
    lambda_reply_attributes(l, EVENT_INVOKE, "FunctionEventInvokeConfigs", listed);
}

void lambda_delete_event_invoke(struct lambda *l)
{
    json_t *f = lambda_base(l, lambda_get(l));

    l->again = lambda_delete_event_invoke;
    if (f != NULL && event_of(l, f) == NULL) {
        event_missing(l);
    } else if (f != NULL) {
        lambda_change_qualified(l, EVENT_INVOKE, NULL, lambda_reply_empty);
    }
    json_decref(f);
}

/* --- event source mappings --------------------------------------------------------- */

/* There can be none, which is an answer. */
void lambda_list_mappings(struct lambda *l)
{
    lambda_reply(l, json_pack("{s:[]}", "EventSourceMappings"));
}
