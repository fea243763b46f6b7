/* Lists, in pages. A page's marker is the name of its last item: what comes or goes in
 * between moves nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

/* --- pages of what fits in memory ------------------------------------------------- */

static int compare(const char *a, const char *b, enum lambda_order order)
{
    unsigned long long x = strtoull(a, NULL, 10), y = strtoull(b, NULL, 10);
    int numbers = x < y ? -1 : x > y;

    return order == LAMBDA_BY_TEXT     ? strcmp(a, b)
           : order == LAMBDA_BY_NUMBER ? numbers
                                       : -numbers;
}

/* The text under key, or its number as text. "$LATEST" counts as 0: it comes first. */
static const char *key_of(const json_t *item, const char *key, char ret[32])
{
    const json_t *value = json_object_get(item, key);

    if (json_is_integer(value)) {
        (void)snprintf(ret, 32, "%lld", (long long)json_integer_value(value));
        return ret;
    }
    return strcmp(json_string_value(value), LAMBDA_LATEST) == 0
               ? "0"
               : json_string_value(value);
}

static void sort(json_t *items, const char *key, enum lambda_order order)
{
    size_t n = json_array_size(items);
    char text[32], other[32];

    for (size_t i = 1; i < n; i++) { /* most are in order already */
        json_t *item = json_incref(json_array_get(items, i));
        const char *name = key_of(item, key, text);
        size_t at = i;

        while (at > 0 && compare(key_of(json_array_get(items, at - 1), key, other), name,
                                 order) > 0) {
            at--;
        }
        if (at < i) {
            (void)json_array_remove(items, i);
            (void)json_array_insert(items, at, item);
        }
        json_decref(item);
    }
}

void lambda_reply_page(struct lambda *l, const char *member, json_t *items,
                       const char *key, enum lambda_order order, int64_t most)
{
    json_t *page = json_array(), *out, *item;
    const char *marker;
    char text[32], last[32];
    const char *next = NULL, *before = NULL;
    int64_t max;
    size_t i;

    if (!lambda_page(l, most, &max, &marker)) {
        json_decref(page);
        json_decref(items);
        return;
    }
    sort(items, key, order);
    json_array_foreach(items, i, item)
    {
        if (marker != NULL && compare(key_of(item, key, text), marker, order) <= 0) {
            continue;
        }
        if ((int64_t)json_array_size(page) == max) {
            next = before;
            break;
        }
        before = key_of(item, key, last);
        (void)json_array_append(page, item);
    }
    out = json_pack("{s:o}", member, page);
    if (next != NULL) {
        (void)json_object_set_new(out, "NextMarker", json_string(next));
    }
    lambda_reply(l, out);
    json_decref(items);
}

/* --- functions -------------------------------------------------------------------- */

static const char *name_of(const json_t *function)
{
    return json_string_value(json_object_get(function, "name"));
}

/* A page under way. Marker: "name", or with FunctionVersion=ALL "name:2"; "name:0" stands
 * for $LATEST. */
struct page {
    struct lambda *l;
    json_t *items;
    int64_t max;
    char after[SPEC_NAME_MAX + 1];
    uint64_t after_version;
    bool all;
    char last[SPEC_NAME_MAX + 24];
    bool more;
};

/* False: the page is full, and there is more. */
static bool emit(struct page *p, const json_t *function, const json_t *version,
                 uint64_t published)
{
    char qualifier[32] = "";

    if (strcmp(name_of(function), p->after) == 0 &&
        (!p->all || published <= p->after_version)) {
        return true; /* on the page before */
    }
    if ((int64_t)json_array_size(p->items) == p->max) {
        p->more = true;
        return false;
    }
    if (published > 0) {
        (void)snprintf(qualifier, sizeof(qualifier), "%llu",
                       (unsigned long long)published);
    } else if (p->all) {
        (void)stpcpy(qualifier, LAMBDA_LATEST);
    }
    (void)snprintf(p->last, sizeof(p->last), p->all ? "%s:%llu" : "%s", name_of(function),
                   (unsigned long long)published);
    (void)json_array_append_new(p->items,
                                lambda_configuration(p->l, function, version, qualifier));
    return true;
}

static bool emit_function(struct page *p, const json_t *function)
{
    const json_t *published[LAMBDA_PUBLISHED_MAX];
    size_t n;

    if (!emit(p, function, lambda_latest(function), 0)) {
        return false;
    }
    if (!p->all) {
        return true;
    }
    n = lambda_list_published(function, published);
    for (size_t i = 0; i < n; i++) {
        uint64_t number =
            (uint64_t)json_integer_value(json_object_get(published[i], "published"));

        if (!emit(p, function, published[i], number)) {
            return false;
        }
    }
    return true;
}

static bool each(void *data, const char *namespace_, const char *name, json_t *function)
{
    bool goes_on = emit_function(data, function);

    json_decref(function);
    return goes_on;
}

/* One more than the page takes is asked for: it tells that there is more. */
static void emit_all(struct page *p)
{
    const struct controller_core *core = p->l->r->api->core;
    struct core_list list = {.after = p->after[0] != '\0' ? p->after : NULL,
                             .after_namespace = p->l->namespace_,
                             .limit = (size_t)p->max + 1,
                             .each = each,
                             .data = p};
    json_t *begun =
        p->all ? controller_core_function(core, p->l->namespace_, p->after) : NULL;

    if (begun == NULL || emit_function(p, begun)) {
        (void)controller_core_functions(core, p->l->namespace_, &list);
    }
    json_decref(begun);
}

static bool read_query(struct page *p)
{
    const char *version = lambda_query(p->l, "FunctionVersion");
    struct lambda_checks c = {0};
    const char *marker, *colon;
    size_t len;

    p->all = version != NULL && strcmp(version, "ALL") == 0;
    if (version != NULL && !p->all) {
        lambda_check_add(&c, version, "functionVersion",
                         "Member must satisfy enum value set: [ALL]");
        return lambda_checks_end(&c, p->l);
    }
    if (!lambda_page(p->l, 50, &p->max, &marker)) {
        return false;
    }
    if (marker == NULL) {
        return true;
    }
    colon = strchr(marker, ':');
    len = colon != NULL ? (size_t)(colon - marker) : strlen(marker);
    if (len >= sizeof(p->after)) {
        len = sizeof(p->after) - 1;
    }
    memcpy(p->after, marker, len);
    p->after_version = colon != NULL ? strtoull(colon + 1, NULL, 10) : UINT64_MAX;
    return true;
}

void lambda_list_functions(struct lambda *l)
{
    struct page p = {.l = l, .items = json_array()};
    json_t *out;

    if (!read_query(&p)) {
        json_decref(p.items);
        return;
    }
    emit_all(&p);
    out = json_pack("{s:o}", "Functions", p.items);
    if (p.more) {
        (void)json_object_set_new(out, "NextMarker", json_string(p.last));
    }
    lambda_reply(l, out);
}
