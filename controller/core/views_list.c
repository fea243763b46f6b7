/* Lists of namespaces and of functions, of which there may be very many: a page goes by
 * their order and costs what it shows. Other lists are gathered for each page (page.h).
 */
#include <errno.h>
#include <string.h>

#include "controller/core/registry.h"
#include "controller/core/views.h"

struct lister {
    const struct core_list *list;
    size_t n;
    bool enough; /* each() wants no more */
    int rc;      /* as controller_core_functions() says */
};

/* Whether another one may follow; else it is known that there are more. */
static bool has_place(struct lister *l)
{
    if (l->enough || l->n == l->list->limit) {
        l->rc = 1;
        return false;
    }
    return true;
}

static bool give(struct lister *l, const char *namespace_, const char *name, json_t *item)
{
    if (item == NULL) {
        l->rc = -ENOMEM;
        return false;
    }
    l->n++;
    l->enough = !l->list->each(l->list->data, namespace_, name, item);
    return true;
}

static bool list_namespace(void *data, struct name_order_node *node)
{
    const struct core_namespace *ns = container_of(node, struct core_namespace, in_order);
    struct lister *l = data;

    return !ns->present || (has_place(l) && give(l, "", ns->name, views_namespace(ns)));
}

int controller_core_namespaces(const struct controller_core *c,
                               const struct core_list *list)
{
    struct lister l = {.list = list};

    name_order_walk(&c->namespaces_in_order, list->after, false, list_namespace, &l);
    return l.rc;
}

static bool list_function(void *data, struct name_order_node *node)
{
    const struct core_function *f = container_of(node, struct core_function, in_order);
    struct lister *l = data;

    return !f->present ||
           (has_place(l) && give(l, f->ns->name, f->name, views_function(f)));
}

/* What comes after `after`, which is in the namespace `after_namespace`. */
static bool list_functions(struct lister *l, const struct core_namespace *ns)
{
    const struct core_list *list = l->list;
    const char *where = list->after_namespace != NULL ? list->after_namespace : "";
    int by_namespace = list->after != NULL ? strcmp(ns->name, where) : 1;

    if (by_namespace >= 0) {
        name_order_walk(&ns->functions_by_name, by_namespace == 0 ? list->after : NULL,
                        false, list_function, l);
    }
    return l->rc == 0;
}

static bool list_functions_of(void *data, struct name_order_node *node)
{
    return list_functions(data, container_of(node, struct core_namespace, in_order));
}

int controller_core_functions(const struct controller_core *c, const char *namespace_,
                              const struct core_list *list)
{
    const struct core_namespace *ns =
        namespace_ != NULL ? registry_namespace(c, namespace_) : NULL;
    struct lister l = {.list = list};

    if (ns != NULL) {
        (void)list_functions(&l, ns);
    } else if (namespace_ == NULL) {
        name_order_walk(&c->namespaces_in_order,
                        list->after != NULL ? list->after_namespace : NULL, true,
                        list_functions_of, &l);
    }
    return l.rc;
}
