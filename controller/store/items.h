/* Owned lists of keys and events: deep copies, each freed with its list. */
#ifndef CONTROLLER_STORE_ITEMS_H
#define CONTROLLER_STORE_ITEMS_H

#include "controller/store/store.h"

struct kv_list { /* {0} is an empty one */
    struct store_kv *items;
    size_t n;
    size_t capacity;
};

struct event_list { /* kv.mod_revision never decreases from one event to the next */
    struct store_event *items;
    size_t n;
    size_t capacity;
};

/* Both copy key and value. 0 or -ENOMEM. */
int kv_list_add(struct kv_list *l, const struct store_kv *kv);
int event_list_add(struct event_list *l, const struct store_event *event);
/* Room for n more events. 0 or -ENOMEM. */
int event_list_reserve(struct event_list *l, size_t n);
/* All events of src to the end of dst, which has room for them. */
void event_list_move(struct event_list *dst, struct event_list *src);

void kv_list_free(struct kv_list *l);
void event_list_free(struct event_list *l);

/* Events from index `at` on that belong to one revision. */
size_t event_list_run(const struct event_list *l, size_t at);

#endif /* CONTROLLER_STORE_ITEMS_H */
