#include "tests/unit/controller_core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static json_t *function_of(struct world *w, const char *name)
{
    return controller_core_function(w->core, "default", name);
}

static const json_t *walk(const json_t *at, const char *path)
{
    char copy[128];
    char *save = NULL;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    for (char *part = strtok_r(copy, ".", &save); part != NULL;
         part = strtok_r(NULL, ".", &save)) {
        at = json_is_array(at) ? json_array_get(at, strtoul(part, NULL, 10))
                               : json_object_get(at, part);
    }
    return at;
}

void world_text(struct world *w, const char *name, const char *path, char ret[512])
{
    json_t *f = function_of(w, name);
    const char *text = json_string_value(walk(f, path));

    (void)snprintf(ret, 512, "%s", text != NULL ? text : "(nothing)");
    json_decref(f);
}

int64_t world_number(struct world *w, const char *name, const char *path)
{
    json_t *f = function_of(w, name);
    const json_t *value = walk(f, path);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;

    json_decref(f);
    return n;
}

static bool collect(void *data, const char *namespace_, const char *name, json_t *item)
{
    json_t **all = data;

    return json_array_append_new(*all, item) == 0;
}

struct core_list world_collect(json_t **ret)
{
    *ret = json_array();
    return (struct core_list){.limit = SIZE_MAX, .each = collect, .data = ret};
}

json_t *world_functions(const struct world *w, const char *namespace_)
{
    json_t *all;
    struct core_list list = world_collect(&all);

    if (controller_core_functions(w->core, namespace_, &list) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static uint64_t sum(struct world *w, const char *name, uint64_t version, const char *what,
                    size_t *ret_n)
{
    json_t *f = function_of(w, name);
    const json_t *grants = json_object_get(f, "grants");
    uint64_t total = 0;
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);

        if ((uint64_t)json_integer_value(json_object_get(g, "version")) == version) {
            total += (uint64_t)json_integer_value(json_object_get(g, what));
            n++;
        }
    }
    json_decref(f);
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return total;
}

uint64_t world_sum_max(struct world *w, const char *name, uint64_t version)
{
    return sum(w, name, version, "max", NULL);
}

uint64_t world_sum_warm(struct world *w, const char *name, uint64_t version)
{
    return sum(w, name, version, "warm", NULL);
}

size_t world_n_grants(struct world *w, const char *name, uint64_t version)
{
    size_t n;

    (void)sum(w, name, version, "max", &n);
    return n;
}

void world_proof_node(struct world *w, const char *name, uint64_t version,
                      char ret[SPEC_NODE_MAX + 1])
{
    json_t *f = function_of(w, name);
    const json_t *grants = json_object_get(f, "grants");

    *ret = '\0';
    for (size_t i = 0; i < json_array_size(grants); i++) {
        const json_t *g = json_array_get(grants, i);

        if ((uint64_t)json_integer_value(json_object_get(g, "version")) == version &&
            json_integer_value(json_object_get(g, "warm")) > 0) {
            (void)snprintf(ret, SPEC_NODE_MAX + 1, "%s",
                           json_string_value(json_object_get(g, "node")));
        }
    }
    json_decref(f);
}
