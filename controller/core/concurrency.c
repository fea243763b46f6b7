#include "controller/core/concurrency.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool read_calls(const json_t *json, uint32_t *ret)
{
    const json_t *calls = json_object_get(json, "calls");
    json_int_t n = json_integer_value(calls);

    if (!json_is_integer(calls) || n < 0 || n > CONCURRENCY_MAX) {
        return false;
    }
    *ret = (uint32_t)n;
    return true;
}

bool concurrency_reserved(const struct record *r, uint32_t *ret_calls)
{
    return r->attributes != NULL &&
           read_calls(json_object_get(r->attributes, CORE_RESERVED), ret_calls);
}

/* The version's part of what an alias has, rounded up. */
static uint32_t share_of(const struct record_alias *a, uint64_t number, uint32_t calls)
{
    for (size_t i = 0; i < a->n_weights; i++) {
        if (a->weights[i].version == number) {
            return (uint32_t)(((uint64_t)calls * a->weights[i].weight + ALIAS_WHOLE - 1) /
                              ALIAS_WHOLE);
        }
    }
    return 0;
}

/* What is provisioned under a name; 0: nothing. */
static uint32_t under(const struct record *r, const char *name)
{
    char key[sizeof(CORE_PROVISIONED) + 1 + ALIAS_NAME_MAX];
    uint32_t calls = 0;

    (void)snprintf(key, sizeof(key), CORE_PROVISIONED ":%s", name);
    return read_calls(json_object_get(r->attributes, key), &calls) ? calls : 0;
}

uint32_t concurrency_provisioned(const struct record *r, uint64_t number)
{
    const struct record_version *v =
        r->attributes != NULL ? record_find(r, number) : NULL;
    char name[24];
    uint32_t sum = 0;

    if (v == NULL) {
        return 0;
    }
    if (v->published > 0) {
        (void)snprintf(name, sizeof(name), "%" PRIu64, v->published);
        sum = under(r, name);
    }
    for (size_t i = 0; i < r->n_aliases; i++) {
        sum += share_of(&r->aliases[i], number, under(r, r->aliases[i].name));
    }
    return sum;
}

uint64_t concurrency_taken(const struct record *r)
{
    static const char prefix[] = CORE_PROVISIONED ":";
    const char *key;
    const json_t *value;
    uint64_t sum = 0;
    uint32_t calls;

    if (concurrency_reserved(r, &calls)) {
        return calls;
    }
    json_object_foreach(r->attributes, key, value)
    {
        if (strncmp(key, prefix, sizeof(prefix) - 1) == 0 && read_calls(value, &calls)) {
            sum += calls;
        }
    }
    return sum;
}

uint32_t concurrency_instances(const struct function_spec *spec, uint32_t calls)
{
    return calls / spec->concurrency + (calls % spec->concurrency > 0);
}
