/* What is kept with a function: concurrency, tags, the configuration of asynchronous
 * calls; and the account's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/api/lambda_private.h"

#define CONCURRENCY_MAX 1000 /* of the account, as AWS's default */
#define UNRESERVED_MIN  100
#define TAGS_MAX        50

static const json_t *attribute(const json_t *function, const char *name)
{
    return json_object_get(json_object_get(function, "attributes"), name);
}

/* The function as it is, and what a change of it is based on. NULL: answered. */
static json_t *get_based(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL) {
        l->if_revision = (uint64_t)json_integer_value(json_object_get(f, "revision"));
    }
    return f;
}

static void change(struct lambda *l, const char *name, json_t *value,
                   void (*changed)(struct lambda *l))
{
    json_decref(l->value);
    l->value = value;
    l->attribute = name;
    l->changed = changed;
    lambda_set_attribute(l);
}

/* --- reserved concurrency --------------------------------------------------------- */

static int reserved_of(const json_t *function)
{
    const char *text = json_string_value(
        json_object_get(lambda_annotations(lambda_latest(function)), "lambda.reserved"));

    return text != NULL ? atoi(text) : 0;
}

/* What other functions of the namespace have reserved. */
static int64_t reserved_by_others(const struct lambda *l)
{
    json_t *all = controller_core_functions(l->r->api->core, l->namespace_);
    int64_t sum = 0;
    size_t i;
    json_t *f;

    json_array_foreach(all, i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "name")), l->native) != 0) {
            sum += reserved_of(f);
        }
    }
    json_decref(all);
    return sum;
}

/* The next version has the limit n, or none (0). */
static void limit(struct lambda *l, const json_t *f, int64_t n,
                  void (*changed)(struct lambda *l))
{
    json_t *latest = (json_t *)(uintptr_t)lambda_latest(f);
    json_t *spec = json_object_get(latest, "spec");
    json_t *a = json_object_get(spec, "annotations");
    struct error err;
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)n);
    if (a == NULL) {
        a = json_object();
        (void)json_object_set_new(spec, "annotations", a);
    }
    if (n > 0) {
        (void)json_object_set_new(a, "lambda.reserved", json_string(text));
    } else {
        (void)json_object_del(a, "lambda.reserved");
    }
    (void)json_object_set_new(spec, "max_scale", json_integer(n));
    if (json_is_null(json_object_get(spec, "handler"))) {
        (void)json_object_del(spec, "handler");
    }
    if (l->has_spec) {
        function_spec_free(&l->spec);
    }
    function_spec_init(&l->spec);
    l->has_spec = true;
    if (function_spec_from_json(&l->spec, spec, &err) < 0 ||
        function_spec_validate(&l->spec, &err) < 0 ||
        package_ref_from_json(&l->package, json_object_get(latest, "package"), &err) <
            0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, "%s", err.text);
        return;
    }
    l->changed = changed;
    lambda_put(l);
}

static void concurrency_put(struct lambda *l)
{
    lambda_reply(l, json_pack("{s:O}", "ReservedConcurrentExecutions",
                              json_object_get(l->json, "ReservedConcurrentExecutions")));
}

void lambda_put_concurrency(struct lambda *l)
{
    struct lambda_checks c = {0};
    json_t *f;
    int64_t n = -1;

    if (!lambda_check_number(&c, l->json, "ReservedConcurrentExecutions",
                             "reservedConcurrentExecutions", 0, INT32_MAX, &n) &&
        c.n == 0) {
        lambda_check_add(&c, "null", "reservedConcurrentExecutions",
                         "Member must not be null");
    }
    if (!lambda_checks_end(&c, l)) {
        return;
    }
    if (n == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "ReservedConcurrentExecutions 0, which stops a function, is not "
                    "supported by this cluster; give 1 or more.");
        return;
    }
    if (n + reserved_by_others(l) > CONCURRENCY_MAX - UNRESERVED_MIN) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Specified ReservedConcurrentExecutions for function decreases "
                    "account's UnreservedConcurrentExecution below its minimum value of "
                    "[%d].",
                    UNRESERVED_MIN);
        return;
    }
    f = get_based(l);
    l->again = lambda_put_concurrency;
    if (f != NULL) {
        limit(l, f, n, concurrency_put);
    }
    json_decref(f);
}

void lambda_get_concurrency(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL) {
        int n = reserved_of(f);

        lambda_reply(l, n > 0 ? json_pack("{s:i}", "ReservedConcurrentExecutions", n)
                              : json_object());
    }
    json_decref(f);
}

void lambda_delete_concurrency(struct lambda *l)
{
    json_t *f = get_based(l);

    l->again = lambda_delete_concurrency;
    if (f != NULL && reserved_of(f) == 0) {
        lambda_reply_empty(l);
    } else if (f != NULL) {
        limit(l, f, 0, lambda_reply_empty);
    }
    json_decref(f);
}

void lambda_account_settings(struct lambda *l)
{
    json_t *all = controller_core_functions(l->r->api->core, l->namespace_), *f;
    json_int_t bytes = 0, reserved = 0;
    size_t i;

    json_array_foreach(all, i, f)
    {
        bytes += json_integer_value(
            json_object_get(json_object_get(lambda_latest(f), "package"), "bytes"));
        reserved += reserved_of(f);
    }
    lambda_reply(l, json_pack("{s:{s:I, s:i, s:i, s:i, s:I}, s:{s:I, s:I}}",
                              "AccountLimit", "TotalCodeSize", (json_int_t)80530636800,
                              "CodeSizeUnzipped", 262144000, "CodeSizeZipped",
                              LAMBDA_ZIP_MAX, "ConcurrentExecutions", CONCURRENCY_MAX,
                              "UnreservedConcurrentExecutions",
                              CONCURRENCY_MAX - reserved, "AccountUsage", "TotalCodeSize",
                              bytes, "FunctionCount", (json_int_t)json_array_size(all)));
    json_decref(all);
}

/* --- tags ------------------------------------------------------------------------- */

void lambda_list_tags(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL) {
        const json_t *tags = attribute(f, "tags");

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

    if (!check_tags(l, more) || (f = get_based(l)) == NULL) {
        return;
    }
    now = attribute(f, "tags");
    tags = now != NULL ? json_deep_copy(now) : json_object();
    (void)json_object_update(tags, (json_t *)(uintptr_t)more);
    l->again = lambda_tag;
    if (json_object_size(tags) > TAGS_MAX) {
        json_decref(tags);
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Number of tags exceeds resource tag "
                    "limit.");
    } else {
        change(l, "tags", tags, lambda_reply_empty);
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
    f = get_based(l);
    if (f == NULL) {
        return;
    }
    now = attribute(f, "tags");
    tags = now != NULL ? json_deep_copy(now) : json_object();
    for (size_t i = 0; i < l->n_query; i++) {
        if (strcmp(l->query[i].name, "tagKeys") == 0) {
            (void)json_object_del(tags, l->query[i].value);
        }
    }
    l->again = lambda_untag;
    change(l, "tags", tags, lambda_reply_empty);
    json_decref(f);
}

/* --- asynchronous calls: kept, as there is no queue yet ---------------------------- */

static const char *qualifier_of(const struct lambda *l)
{
    return l->ref.qualifier[0] != '\0' ? l->ref.qualifier : LAMBDA_LATEST;
}

static json_t *event_view(const struct lambda *l, const json_t *kept)
{
    char arn[LAMBDA_ARN_SIZE];
    json_t *out = json_deep_copy(kept);

    lambda_own_arn(l, qualifier_of(l), arn);
    (void)json_object_set_new(out, "FunctionArn", json_string(arn));
    return out;
}

static void event_put(struct lambda *l)
{
    lambda_reply(l, event_view(l, json_object_get(l->value, qualifier_of(l))));
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
    json_t *f, *all, *one;
    const json_t *now, *before;

    if (!check_event(l) || (f = get_based(l)) == NULL) {
        return;
    }
    now = attribute(f, "event_invoke");
    before = json_object_get(now, qualifier_of(l));
    if (update && before == NULL) {
        event_missing(l);
        json_decref(f);
        return;
    }
    all = now != NULL ? json_deep_copy(now) : json_object();
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
    (void)json_object_set_new(all, qualifier_of(l), one);
    change(l, "event_invoke", all, event_put);
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
    const json_t *one = json_object_get(attribute(f, "event_invoke"), qualifier_of(l));

    if (f != NULL && one == NULL) {
        event_missing(l);
    } else if (f != NULL) {
        lambda_reply(l, event_view(l, one));
    }
    json_decref(f);
}

void lambda_list_event_invoke(struct lambda *l)
{
    json_t *f = lambda_get(l), *list;
    const json_t *one = json_object_get(attribute(f, "event_invoke"), LAMBDA_LATEST);

    if (f != NULL) {
        list = json_array();
        if (one != NULL) {
            (void)json_array_append_new(list, event_view(l, one));
        }
        lambda_reply(l, json_pack("{s:o}", "FunctionEventInvokeConfigs", list));
    }
    json_decref(f);
}

void lambda_delete_event_invoke(struct lambda *l)
{
    json_t *f = get_based(l), *all;
    const json_t *now = attribute(f, "event_invoke");

    if (f == NULL) {
        return;
    }
    l->again = lambda_delete_event_invoke;
    if (json_object_get(now, qualifier_of(l)) == NULL) {
        event_missing(l);
    } else {
        all = json_deep_copy(now);
        (void)json_object_del(all, qualifier_of(l));
        change(l, "event_invoke", all, lambda_reply_empty);
    }
    json_decref(f);
}

/* --- event source mappings --------------------------------------------------------- */

/* There can be none, which is an answer. */
void lambda_list_mappings(struct lambda *l)
{
    lambda_reply(l, json_pack("{s:[]}", "EventSourceMappings"));
}
