/* Traffic as JSON: what of a record says who takes calls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/controller_core.h"
#include "controller/core/records_json.h"
#include "controller/core/traffic.h"

/* --- a record's parts ------------------------------------------------------------- */

static int parse_alias(struct record_alias *a, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *description = json_string_value(json_object_get(json, "description"));
    const json_t *weights = json_object_get(json, "weights");

    if (name == NULL || !alias_name_valid(name, strlen(name)) ||
        record_get_time(json, "updated_at", a->updated_at) < 0 ||
        json_array_size(weights) == 0 || json_array_size(weights) > ALIAS_SPLIT_MAX) {
        return -EINVAL;
    }
    (void)snprintf(a->name, sizeof(a->name), "%s", name);
    for (; a->n_weights < json_array_size(weights); a->n_weights++) {
        const json_t *item = json_array_get(weights, a->n_weights);
        struct alias_weight *w = &a->weights[a->n_weights];

        if (record_get_number(item, "version", RECORD_NUMBER_MAX, &w->version) < 0 ||
            core_percent_from_json(&w->weight, json_object_get(item, "weight")) < 0) {
            return -EINVAL;
        }
    }
    a->description = record_clean_copy(description, TRAFFIC_DESCRIPTION_MAX);
    return a->description != NULL ? 0 : -ENOMEM;
}

int traffic_parse(struct record *r, const json_t *json)
{
    const json_t *aliases = json_object_get(json, "aliases");
    size_t n = json_array_size(aliases);

    if (record_get_number_or_0(json, "previous", RECORD_NUMBER_MAX, &r->previous) < 0 ||
        record_get_number_or_0(json, "published_last", RECORD_NUMBER_MAX,
                               &r->published_last) < 0 ||
        record_get_number_or_0(json, "edit", RECORD_NUMBER_MAX, &r->edit) < 0 ||
        n > TRAFFIC_ALIASES_MAX) {
        return -EINVAL;
    }
    if (n > 0) {
        r->aliases = calloc(n, sizeof(*r->aliases));
        if (r->aliases == NULL) {
            return -ENOMEM;
        }
    }
    while (r->n_aliases < n) {
        size_t at = r->n_aliases++;
        int rc = parse_alias(&r->aliases[at], json_array_get(aliases, at));

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

json_t *traffic_weights_to_json(const struct record_alias *a)
{
    json_t *weights = json_array();

    for (size_t i = 0; i < a->n_weights; i++) {
        json_t *item =
            json_pack("{s:I, s:o}", "version", (json_int_t)a->weights[i].version,
                      "weight", core_percent_to_json(a->weights[i].weight));

        if (json_array_append_new(weights, item) < 0) {
            json_decref(weights);
            return NULL;
        }
    }
    return weights;
}

static int set_number(json_t *json, const char *key, uint64_t n)
{
    return n > 0 ? json_object_set_new(json, key, json_integer((json_int_t)n)) : 0;
}

int traffic_format(const struct record *r, json_t *json)
{
    json_t *aliases;

    if (set_number(json, "previous", r->previous) < 0 ||
        set_number(json, "published_last", r->published_last) < 0 ||
        set_number(json, "edit", r->edit) < 0) {
        return -ENOMEM;
    }
    if (r->n_aliases == 0) {
        return 0;
    }
    aliases = json_array();
    for (size_t i = 0; i < r->n_aliases; i++) {
        const struct record_alias *a = &r->aliases[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:o}", "name", a->name, "description",
                                 a->description, "updated_at", a->updated_at, "weights",
                                 traffic_weights_to_json(a));

        if (json_array_append_new(aliases, item) < 0) {
            json_decref(aliases);
            return -ENOMEM;
        }
    }
    return json_object_set_new(json, "aliases", aliases);
}

int traffic_copy(struct record *ret, const struct record *from)
{
    ret->aliases = NULL;
    ret->n_aliases = 0;
    if (from->n_aliases == 0) {
        return 0;
    }
    ret->aliases = calloc(from->n_aliases, sizeof(*ret->aliases));
    if (ret->aliases == NULL) {
        return -ENOMEM;
    }
    while (ret->n_aliases < from->n_aliases) {
        struct record_alias *a = &ret->aliases[ret->n_aliases];

        *a = from->aliases[ret->n_aliases];
        a->description = strdup(a->description);
        ret->n_aliases++;
        if (a->description == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

void traffic_free(struct record *r)
{
    for (size_t i = 0; i < r->n_aliases; i++) {
        free(r->aliases[i].description);
    }
    free(r->aliases);
    r->aliases = NULL;
    r->n_aliases = 0;
}

bool traffic_is_sound(const struct record *r)
{
    for (size_t i = 0; i < r->n_versions; i++) {
        if (r->versions[i].published > r->published_last) {
            return false;
        }
    }
    for (size_t i = 0; i < r->n_aliases; i++) {
        const struct record_alias *a = &r->aliases[i];
        uint64_t sum = 0;

        for (size_t j = 0; j < a->n_weights; j++) {
            const struct record_version *v = record_find(r, a->weights[j].version);

            if (v == NULL || !v->was_ready) {
                return false;
            }
            sum += a->weights[j].weight;
        }
        if (sum != ALIAS_WHOLE ||
            (i > 0 && strcmp(r->aliases[i - 1].name, a->name) >= 0)) {
            return false;
        }
    }
    return true;
}
