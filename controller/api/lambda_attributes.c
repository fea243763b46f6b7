/* What is kept with a function, its aliases and published versions, as attributes of its
 * record. */
#include <stdio.h>
#include <string.h>

#include "controller/api/lambda_private.h"

const char *lambda_attribute_of(const char *what, const char *qualifier,
                                char ret[CORE_ATTRIBUTE_MAX + 1])
{
    bool latest = lambda_is_latest(qualifier);

    (void)snprintf(ret, CORE_ATTRIBUTE_MAX + 1, "%s%s%s", what, latest ? "" : ":",
                   latest ? "" : qualifier);
    return ret;
}

const json_t *lambda_attribute(const json_t *function, const char *what,
                               const char *qualifier)
{
    char name[CORE_ATTRIBUTE_MAX + 1];

    return json_object_get(json_object_get(function, "attributes"),
                           lambda_attribute_of(what, qualifier, name));
}

/* The qualifier in an attribute's name, "" if it has none; NULL: it is another's. */
static const char *qualifier_in(const char *name, const char *what)
{
    size_t len = strlen(what);

    if (strncmp(name, what, len) != 0) {
        return NULL;
    }
    return name[len] == ':' ? name + len + 1 : name[len] == '\0' ? name + len : NULL;
}

const char *lambda_attribute_next(const json_t *function, const char *what, void **at,
                                  const json_t **ret_value)
{
    json_t *attributes = json_object_get(function, "attributes");
    const char *qualifier = NULL;

    do {
        *at = *at == NULL ? json_object_iter(attributes)
                          : json_object_iter_next(attributes, *at);
        if (*at != NULL) {
            qualifier = qualifier_in(json_object_iter_key(*at), what);
        }
    } while (*at != NULL && qualifier == NULL);
    if (*at != NULL) {
        *ret_value = json_object_iter_value(*at);
    }
    return *at != NULL ? qualifier : NULL;
}

void lambda_reply_attributes(struct lambda *l, const char *what, const char *member,
                             json_t *(*view)(const struct lambda *l,
                                             const json_t *function,
                                             const char *qualifier, const json_t *value))
{
    json_t *f = lambda_get_latest(l), *list, *one;
    const char *qualifier;
    const json_t *value;
    void *at = NULL;

    if (f == NULL) {
        return;
    }
    list = json_array();
    while ((qualifier = lambda_attribute_next(f, what, &at, &value)) != NULL) {
        one = view(l, f, qualifier, value);
        if (one != NULL) {
            (void)json_array_append_new(list, one);
        }
    }
    json_decref(f);
    lambda_reply_page(l, member, list, "FunctionArn", LAMBDA_BY_TEXT, 50);
}

/* --- changes ---------------------------------------------------------------------- */

json_t *lambda_base(struct lambda *l, json_t *function)
{
    if (function != NULL) {
        l->if_revision =
            (uint64_t)json_integer_value(json_object_get(function, "revision"));
    }
    return function;
}

void lambda_change_attribute(struct lambda *l, const char *name, json_t *value,
                             void (*changed)(struct lambda *l))
{
    json_decref(l->value);
    l->value = value;
    l->changed = changed;
    (void)snprintf(l->attribute, sizeof(l->attribute), "%s", name);
    l->r->asked_core = true;
    controller_core_set_attribute(l->r->api->core, l->namespace_, l->native, l->attribute,
                                  l->value, l->if_revision, lambda_was_changed, l->r);
}

void lambda_change_qualified(struct lambda *l, const char *what, json_t *value,
                             void (*changed)(struct lambda *l))
{
    char name[CORE_ATTRIBUTE_MAX + 1];

    lambda_change_attribute(l, lambda_attribute_of(what, l->ref.qualifier, name), value,
                            changed);
}
