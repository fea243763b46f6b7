#include "controller/core/near.h"

void near_init(struct core_package *p)
{
    for (size_t i = 0; i < CORE_NEAR_MAX; i++) {
        list_init(&p->near[i].of_node);
    }
}

static void clear(struct core_near *e)
{
    list_remove(&e->of_node);
    e->node = NULL;
}

void near_free(struct core_package *p)
{
    for (size_t i = 0; i < CORE_NEAR_MAX; i++) {
        clear(&p->near[i]);
    }
}

void near_note(struct core_package *p, struct core_node *n)
{
    struct core_near *e;

    for (size_t i = 0; i < CORE_NEAR_MAX; i++) {
        if (p->near[i].node == n) {
            return;
        }
    }
    e = &p->near[p->near_next];
    p->near_next = (p->near_next + 1) % CORE_NEAR_MAX;
    clear(e);
    e->node = n;
    list_push_back(&n->near, &e->of_node);
}

void near_forget(struct core_node *n)
{
    LIST_FOREACH_SAFE(it, &n->near)
    {
        clear(container_of(it, struct core_near, of_node));
    }
}

size_t near_nodes(const struct core_package *p, struct placement_node *ret[CORE_NEAR_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < CORE_NEAR_MAX; i++) {
        if (p->near[i].node != NULL) {
            ret[n++] = &p->near[i].node->place;
        }
    }
    return n;
}
