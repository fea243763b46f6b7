#include "controller/core/records.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/spec_layers.h"
#include "controller/core/clean.h"
#include "controller/core/records_json.h"
#include "controller/core/rollouts.h"
#include "controller/core/traffic.h"

#define VERSIONS_PARSE_MAX 1000

static const char *const state_names[RECORD_STATES] = {
    [RECORD_DEPLOYING] = "deploying",
    [RECORD_READY] = "ready",
    [RECORD_FAILED] = "failed",
    [RECORD_RETIRED] = "retired",
};

const char *record_state_name(enum record_state s)
{
    return state_names[s];
}

/* --- reading ---------------------------------------------------------------------- */

static int load_object(const void *value, size_t len, json_t **ret)
{
    json_error_t error;
    json_t *json;

    if (value == NULL || len > RECORD_VALUE_MAX) {
        return -EINVAL;
    }
    json = json_loadb(value, len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return -EINVAL;
    }
    *ret = json;
    return 0;
}

int record_get_number(const json_t *json, const char *key, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(json, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return -EINVAL;
    }
    *ret = (uint64_t)json_integer_value(value);
    return 0;
}

int record_get_number_or_0(const json_t *json, const char *key, uint64_t max,
                           uint64_t *ret)
{
    *ret = 0;
    return json_object_get(json, key) != NULL ? record_get_number(json, key, max, ret)
                                              : 0;
}

/* As clock_rfc3339() writes it: "2026-01-31T12:00:00.123Z". */
int record_get_time(const json_t *json, const char *key, char ret[CLOCK_RFC3339_SIZE])
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    const char *text = json_string_value(json_object_get(json, key));

    if (text == NULL || strlen(text) != sizeof(form) - 1) {
        return -EINVAL;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';

        if (form[i] == 'd' ? !digit : text[i] != form[i]) {
            return -EINVAL;
        }
    }
    memcpy(ret, text, CLOCK_RFC3339_SIZE);
    return 0;
}

static int get_state(const json_t *json, enum record_state *ret)
{
    const char *name = json_string_value(json_object_get(json, "state"));

    for (int i = 0; name != NULL && i < RECORD_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret = (enum record_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

char *record_clean_copy(const char *text, size_t max)
{
    char *clean = calloc(1, max + 1);

    if (clean != NULL) {
        clean_text(clean, max + 1, text);
    }
    return clean;
}

/* What only a published version has; and whether it was ready, which older programs did
 * not write: a retired one without a message had served. */
static int parse_publication(struct record_version *v, const json_t *json)
{
    const json_t *was_ready = json_object_get(json, "was_ready");
    const char *description = json_string_value(json_object_get(json, "description"));

    v->was_ready =
        v->state == RECORD_READY ||
        (was_ready != NULL ? json_is_true(was_ready)
                           : v->state == RECORD_RETIRED && *v->message == '\0');
    if (record_get_number_or_0(json, "published", RECORD_NUMBER_MAX, &v->published) < 0) {
        return -EINVAL;
    }
    if (v->published > 0 && description != NULL) {
        v->description = record_clean_copy(description, TRAFFIC_DESCRIPTION_MAX);
        return v->description != NULL ? 0 : -ENOMEM;
    }
    return 0;
}

static int parse_version(struct record_version *v, const json_t *json)
{
    const char *cause = json_string_value(json_object_get(json, "cause"));
    const char *message = json_string_value(json_object_get(json, "message"));

    if (record_get_number(json, "number", RECORD_NUMBER_MAX, &v->number) < 0 ||
        get_state(json, &v->state) < 0 ||
        record_get_time(json, "created_at", v->created_at) < 0 || cause == NULL ||
        message == NULL) {
        return -EINVAL;
    }
    v->cause = cause_from_name(cause);
    if (v->cause == CAUSE_COUNT) {
        return -EINVAL;
    }
    v->message = record_clean_copy(message, RECORD_MESSAGE_MAX);
    return v->message != NULL ? parse_publication(v, json) : -ENOMEM;
}

/* Rules between the fields. */
static bool is_sound(const struct record *r)
{
    const struct record_version *serving = record_find(r, r->serving);

    if (r->latest == 0 || r->n_versions == 0) {
        return false;
    }
    for (size_t i = 0; i < r->n_versions; i++) {
        uint64_t before = i > 0 ? r->versions[i - 1].number : 0;

        if (r->versions[i].number <= before || r->versions[i].number > r->latest) {
            return false;
        }
    }
    return (r->serving == 0 || (serving != NULL && serving->state == RECORD_READY)) &&
           traffic_is_sound(r) && rollout_is_sound(r);
}

static int parse_members(struct record *r, const json_t *json)
{
    const json_t *versions = json_object_get(json, "versions");
    size_t n = json_array_size(versions);
    int rc;

    if (record_get_time(json, "created_at", r->created_at) < 0 ||
        record_get_time(json, "updated_at", r->updated_at) < 0 ||
        record_get_number(json, "latest", RECORD_NUMBER_MAX, &r->latest) < 0 ||
        record_get_number(json, "serving", RECORD_NUMBER_MAX, &r->serving) < 0 ||
        n == 0 || n > VERSIONS_PARSE_MAX) {
        return -EINVAL;
    }
    r->versions = calloc(n, sizeof(*r->versions));
    if (r->versions == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        r->n_versions++;
        rc = parse_version(&r->versions[i], json_array_get(versions, i));
        if (rc < 0) {
            return rc;
        }
    }
    rc = traffic_parse(r, json);
    rc = rc < 0 ? rc : rollout_parse(r, json);
    if (json_is_object(json_object_get(json, "attributes"))) {
        r->attributes = json_incref(json_object_get(json, "attributes"));
    }
    return rc < 0 ? rc : is_sound(r) ? 0 : -EINVAL;
}

int record_parse(struct record *ret, const void *value, size_t len)
{
    struct record r = {0};
    json_t *json;
    int rc = load_object(value, len, &json);

    if (rc < 0) {
        return rc;
    }
    rc = parse_members(&r, json);
    json_decref(json);
    if (rc < 0) {
        record_free(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

int record_body_parse(struct function_spec *spec, struct package_ref *package,
                      const void *value, size_t len)
{
    struct package_ref p;
    struct function_spec s;
    struct error err = {0};
    json_t *json;
    int rc = load_object(value, len, &json);

    if (rc < 0) {
        return rc;
    }
    function_spec_init(&s);
    rc = function_spec_from_json(&s, json_object_get(json, "spec"), &err);
    if (rc == 0) {
        rc = function_spec_validate(&s, &err);
    }
    for (size_t i = 0; rc == 0 && i < s.n_layers; i++) {
        rc = spec_layer_resolved(&s.layers[i]) ? 0 : -EINVAL;
    }
    if (rc == 0) {
        rc = package_ref_from_json(&p, json_object_get(json, "package"), &err);
    }
    json_decref(json);
    if (rc < 0) {
        function_spec_free(&s);
        return rc;
    }
    *spec = s;
    *package = p;
    return 0;
}

int record_number_parse(uint64_t *ret, const char *key, uint64_t max, const void *value,
                        size_t len)
{
    json_t *json;
    uint64_t n = 0;
    int rc = load_object(value, len, &json);

    if (rc < 0) {
        return rc;
    }
    rc = record_get_number(json, key, max, &n);
    json_decref(json);
    if (rc < 0 || n == 0) {
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

int record_namespace_parse(uint32_t *ret_index, char ret_created_at[CLOCK_RFC3339_SIZE],
                           const void *value, size_t len)
{
    json_t *json;
    uint64_t index = 0;
    int rc = load_object(value, len, &json);

    if (rc < 0) {
        return rc;
    }
    rc = record_get_number(json, "index", UINT32_MAX, &index);
    if (rc == 0 && index > 0) {
        rc = record_get_time(json, "created_at", ret_created_at);
    }
    json_decref(json);
    if (rc < 0 || index == 0) {
        return -EINVAL;
    }
    *ret_index = (uint32_t)index;
    return 0;
}

/* --- writing ---------------------------------------------------------------------- */

static char *dump(json_t *json)
{
    char *text =
        json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

    json_decref(json);
    return text;
}

static int add_publication(json_t *json, const struct record_version *v)
{
    int rc = 0;

    if (v->was_ready && v->state != RECORD_READY) {
        rc |= json_object_set_new(json, "was_ready", json_true());
    }
    if (v->state == RECORD_RETIRED && !v->was_ready && *v->message == '\0') {
        rc |= json_object_set_new(json, "was_ready", json_false());
    }
    if (v->published > 0) {
        rc |= json_object_set_new(json, "published",
                                  json_integer((json_int_t)v->published));
    }
    if (v->description != NULL) {
        rc |= json_object_set_new(json, "description", json_string(v->description));
    }
    return rc;
}

char *record_format(const struct record *r)
{
    json_t *versions = json_array(), *json;

    for (size_t i = 0; i < r->n_versions; i++) {
        const struct record_version *v = &r->versions[i];

        json = json_pack("{s:I, s:s, s:s, s:s, s:s}", "number", (json_int_t)v->number,
                         "state", state_names[v->state], "cause", cause_name(v->cause),
                         "message", v->message, "created_at", v->created_at);
        if (json == NULL || add_publication(json, v) < 0) {
            json_decref(json);
            json = NULL;
        }
        if (json_array_append_new(versions, json) < 0) {
            json_decref(versions);
            return NULL;
        }
    }
    json = json_pack("{s:s, s:s, s:I, s:I, s:o}", "created_at", r->created_at,
                     "updated_at", r->updated_at, "latest", (json_int_t)r->latest,
                     "serving", (json_int_t)r->serving, "versions", versions);
    if (json != NULL && ((r->attributes != NULL &&
                          json_object_set(json, "attributes", r->attributes) < 0) ||
                         traffic_format(r, json) < 0 || rollout_format(r, json) < 0)) {
        json_decref(json);
        json = NULL;
    }
    return dump(json);
}

char *record_body_format(const struct function_spec *spec,
                         const struct package_ref *package)
{
    return dump(json_pack("{s:o, s:o}", "spec", function_spec_to_json(spec), "package",
                          package_ref_to_json(package)));
}

/* --- a record's life -------------------------------------------------------------- */

void record_free(struct record *r)
{
    for (size_t i = 0; i < r->n_versions; i++) {
        free(r->versions[i].message);
        free(r->versions[i].description);
    }
    free(r->versions);
    traffic_free(r);
    free(r->rollout);
    json_decref(r->attributes);
    *r = (struct record){0};
}

int record_copy(struct record *ret, const struct record *from)
{
    struct record r = *from;

    r.n_versions = 0;
    r.aliases = NULL;
    r.n_aliases = 0;
    r.rollout = NULL;
    r.attributes = NULL;
    r.versions = calloc(from->n_versions + 1, sizeof(*r.versions));
    if (r.versions == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_versions; i++) {
        const struct record_version *v = &from->versions[i];

        r.versions[i] = *v;
        r.versions[i].message = strdup(v->message);
        r.versions[i].description =
            v->description != NULL ? strdup(v->description) : NULL;
        r.n_versions++;
        if (r.versions[i].message == NULL ||
            (r.versions[i].description == NULL) != (v->description == NULL)) {
            record_free(&r);
            return -ENOMEM;
        }
    }
    if (traffic_copy(&r, from) < 0 || rollout_copy(&r, from) < 0) {
        record_free(&r);
        return -ENOMEM;
    }
    r.attributes = json_incref(from->attributes);
    *ret = r;
    return 0;
}

int record_set_attribute(struct record *r, const char *name, const json_t *value)
{
    json_t *next = r->attributes != NULL ? json_copy(r->attributes) : json_object();
    json_t *copy = value != NULL ? json_deep_copy(value) : NULL;
    int rc = next != NULL && (value == NULL || copy != NULL) ? 0 : -ENOMEM;

    if (rc == 0 && value == NULL) {
        (void)json_object_del(next, name);
    } else if (rc == 0) {
        rc = json_object_set(next, name, copy) < 0 ? -ENOMEM : 0;
    }
    json_decref(copy);
    if (rc < 0) {
        json_decref(next);
        return rc;
    }
    json_decref(r->attributes);
    r->attributes = next;
    return 0;
}

struct record_version *record_find(const struct record *r, uint64_t number)
{
    size_t low = 0, high = r->n_versions;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (r->versions[mid].number < number) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < r->n_versions && r->versions[low].number == number ? &r->versions[low]
                                                                    : NULL;
}

const struct record_version *record_candidate(const struct record *r)
{
    const struct record_version *v = record_find(r, r->latest);

    return v != NULL && v->state == RECORD_DEPLOYING ? v : NULL;
}

/* --- changes ---------------------------------------------------------------------- */

int record_set_outcome(struct record_version *v, enum record_state state,
                       enum cause cause, const char *message)
{
    char *copy = record_clean_copy(message, RECORD_MESSAGE_MAX);

    if (copy == NULL) {
        return -ENOMEM;
    }
    free(v->message);
    v->message = copy;
    v->state = state;
    v->cause = cause;
    v->was_ready = v->was_ready || state == RECORD_READY;
    return 0;
}

int record_serve(struct record *r, uint64_t number, const char *message)
{
    struct record_version *former = record_find(r, r->serving);
    struct record_version *next = record_find(r, number);

    CHECK(next != NULL);
    if (next == former) {
        return 0;
    }
    if (record_set_outcome(next, RECORD_READY, CAUSE_NONE, "") < 0 ||
        (former != NULL &&
         record_set_outcome(former, RECORD_RETIRED, CAUSE_NONE, message) < 0)) {
        return -ENOMEM;
    }
    r->previous = r->serving;
    r->serving = number;
    return 0;
}

int record_add_version(struct record *r, const char *now)
{
    struct record_version *grown =
        reallocarray(r->versions, r->n_versions + 1, sizeof(*grown));
    struct record_version *v;
    char text[64];

    if (grown == NULL) {
        return -ENOMEM;
    }
    r->versions = grown;
    (void)snprintf(text, sizeof(text), "superseded by version %llu",
                   (unsigned long long)(r->latest + 1));
    for (size_t i = 0; i < r->n_versions; i++) {
        if (r->versions[i].state == RECORD_DEPLOYING &&
            record_set_outcome(&r->versions[i], RECORD_RETIRED, CAUSE_NONE, text) < 0) {
            return -ENOMEM;
        }
    }
    if (rollout_end(r, text, now) < 0) {
        return -ENOMEM;
    }
    v = &r->versions[r->n_versions];
    *v = (struct record_version){.number = r->latest + 1, .message = strdup("")};
    if (v->message == NULL) {
        return -ENOMEM;
    }
    (void)stpcpy(v->created_at, now);
    (void)stpcpy(r->updated_at, now);
    if (r->n_versions++ == 0) {
        (void)stpcpy(r->created_at, now);
    }
    r->latest++;
    return 0;
}

size_t record_trim(struct record *r, size_t keep, uint64_t *dropped, size_t most)
{
    size_t n = 0, kept = 0;
    size_t over = r->n_versions > keep ? r->n_versions - keep : 0;

    for (size_t i = 0; i < r->n_versions; i++) {
        struct record_version *v = &r->versions[i];

        if (n < over && n < most && !traffic_is_kept(r, v->number)) {
            dropped[n++] = v->number;
            free(v->message);
            free(v->description);
        } else {
            r->versions[kept++] = *v;
        }
    }
    r->n_versions = kept;
    return n;
}

int record_decide(struct record *r, uint64_t number, bool ready, enum cause cause,
                  const char *message, const char *now)
{
    struct record_version *v = record_find(r, number);

    CHECK(v != NULL && number != r->serving);
    (void)stpcpy(r->updated_at, now);
    if (!ready) {
        return rollout_end(r, message, now) < 0
                   ? -ENOMEM
                   : record_set_outcome(v, RECORD_FAILED, cause, message);
    }
    if (rollout_begin(r, now)) {
        return record_set_outcome(v, RECORD_READY, CAUSE_NONE, message);
    }
    return record_serve(r, number, "");
}
