#include "controller/core/node_labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/clean.h"
#include "controller/core/node_order.h"

void node_labels_free(char **labels)
{
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i++) {
        free(labels[i]);
    }
    free(labels);
}

char **node_labels_copy(const char *const *labels)
{
    char **copy;
    size_t n = 0;

    while (labels != NULL && labels[n] != NULL && n < CORE_LABELS_MAX) {
        n++;
    }
    copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        char clean[CORE_TEXT_MAX];

        clean_text(clean, sizeof(clean), labels[i]);
        copy[i] = strdup(clean);
        if (copy[i] == NULL) {
            node_labels_free(copy);
            return NULL;
        }
    }
    return copy;
}

static bool is_ordered(const struct node_order *o, const char *label)
{
    char key[CORE_TEXT_MAX];

    (void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(label, "="), label);
    return o != NULL && json_object_get(o->labels, key) != NULL;
}

static char *ordered(const char *key, const json_t *value)
{
    size_t size = strlen(key) + json_string_length(value) + 2;
    char *label = calloc(1, size);

    if (label != NULL) {
        (void)snprintf(label, size, "%s=%s", key, json_string_value(value));
    }
    return label;
}

/* The operator's come first, so that they count. NULL: out of memory. */
static char **merge(const struct node_order *o, char *const *told)
{
    size_t n = o != NULL ? json_object_size(o->labels) : 0;
    size_t n_told = 0, at = 0;
    const char *key;
    json_t *value;
    char **all;

    while (told != NULL && told[n_told] != NULL) {
        n_told++;
    }
    all = calloc(n + n_told + 1, sizeof(*all));
    if (all == NULL) {
        return NULL;
    }
    if (o != NULL) {
        json_object_foreach(o->labels, key, value)
        {
            all[at] = ordered(key, value);
            if (all[at++] == NULL) {
                node_labels_free(all);
                return NULL;
            }
        }
    }
    for (size_t i = 0; i < n_told; i++) {
        if (is_ordered(o, told[i])) {
            continue;
        }
        all[at] = strdup(told[i]);
        if (all[at++] == NULL) {
            node_labels_free(all);
            return NULL;
        }
    }
    return all;
}

static bool same(char *const *a, char *const *b)
{
    size_t i = 0;

    if (a == NULL || b == NULL) {
        return a == b;
    }
    for (; a[i] != NULL && b[i] != NULL; i++) {
        if (strcmp(a[i], b[i]) != 0) {
            return false;
        }
    }
    return a[i] == b[i];
}

int node_labels_update(struct controller_core *c, struct core_node *n)
{
    char **all = merge(node_order_find(c, n->name), n->told_labels);

    if (all == NULL) {
        return -ENOMEM;
    }
    if (same(all, n->labels)) {
        node_labels_free(all);
        return 0;
    }
    if (placement_nodes_relabel(&c->usable, &n->place, (const char *const *)all) < 0) {
        node_labels_free(all);
        return -ENOMEM;
    }
    node_labels_free(n->labels);
    n->labels = all;
    return 1;
}
