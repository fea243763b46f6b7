#include "proto/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

struct session_body *session_body_new(size_t len)
{
    struct session_body *b = malloc(sizeof(*b) + len);

    if (b != NULL) {
        b->refs = 1;
        b->len = len;
    }
    return b;
}

struct session_body *session_body_ref(struct session_body *b)
{
    b->refs++;
    return b;
}

void session_body_unref(struct session_body *b)
{
    if (b != NULL && --b->refs == 0) {
        free(b);
    }
}

/* --- keys --------------------------------------------------------------------- */

static size_t bucket_of(const char *key)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (const char *c = key; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    return hash % SESSION_BUCKETS;
}

static void key_remove(struct session *s, struct session_item *item)
{
    struct session_item **at;

    if (item->key[0] == '\0') {
        return;
    }
    for (at = &s->keys[bucket_of(item->key)]; *at != NULL; at = &(*at)->next_same_hash) {
        if (*at == item) {
            *at = item->next_same_hash;
            return;
        }
    }
}

static struct session_item *key_find(const struct session *s, const char *key)
{
    for (struct session_item *i = s->keys[bucket_of(key)]; i != NULL;
         i = i->next_same_hash) {
        if (strcmp(i->key, key) == 0) {
            return i;
        }
    }
    return NULL;
}

/* --- life --------------------------------------------------------------------- */

void session_init(struct session *s, size_t items_max)
{
    *s = (struct session){.items_max = items_max};
    list_init(&s->sent);
    list_init(&s->unsent);
}

static void item_free(struct session *s, struct session_item *item)
{
    list_remove(&item->node);
    session_body_unref(item->body);
    free(item);
    s->n_items--;
}

void session_reset(struct session *s)
{
    LIST_FOREACH_SAFE(it, &s->sent)
    {
        item_free(s, container_of(it, struct session_item, node));
    }
    LIST_FOREACH_SAFE(it, &s->unsent)
    {
        item_free(s, container_of(it, struct session_item, node));
    }
    CHECK(s->n_items == 0);
    session_init(s, s->items_max);
}

/* --- out ---------------------------------------------------------------------- */

int session_queue(struct session *s, const char *key, struct session_body *body)
{
    struct session_item *item = *key != '\0' ? key_find(s, key) : NULL;
    size_t len = strlen(key);

    if (item != NULL) {
        session_body_unref(item->body);
        item->body = session_body_ref(body);
        return 0;
    }
    if (s->items_max > 0 && s->n_items >= s->items_max) {
        return -ENOBUFS;
    }
    item = calloc(1, sizeof(*item) + len + 1);
    if (item == NULL) {
        return -ENOMEM;
    }
    memcpy(item->key, key, len);
    item->body = session_body_ref(body);
    list_push_back(&s->unsent, &item->node);
    s->n_items++;
    if (len > 0) {
        struct session_item **bucket = &s->keys[bucket_of(key)];

        item->next_same_hash = *bucket;
        *bucket = item;
    }
    return 0;
}

void session_barrier(struct session *s)
{
    memset(s->keys, 0, sizeof(s->keys));
}

void session_drop_unsent_keys(struct session *s, const char *after)
{
    const struct session_item *kept = key_find(s, after);

    LIST_FOREACH_SAFE(it, &s->unsent)
    {
        struct session_item *item = container_of(it, struct session_item, node);

        if (kept != NULL) {
            kept = item == kept ? NULL : kept;
        } else if (item->seq == 0 && item->key[0] != '\0') {
            key_remove(s, item);
            item_free(s, item);
        }
    }
}

bool session_has_unsent(const struct session *s, const char *key)
{
    return key_find(s, key) != NULL;
}

const struct session_item *session_next(struct session *s)
{
    struct session_item *item;

    if (list_empty(&s->unsent)) {
        return NULL;
    }
    item = container_of(s->unsent.next, struct session_item, node);
    if (item->seq == 0) {
        key_remove(s, item);
        item->seq = ++s->last_seq;
    }
    list_remove(&item->node);
    list_push_back(&s->sent, &item->node);
    return item;
}

int session_ack(struct session *s, uint64_t seq)
{
    if (seq > s->last_seq) {
        return -EPROTO;
    }
    while (!list_empty(&s->sent)) {
        struct session_item *item = container_of(s->sent.next, struct session_item, node);

        if (item->seq > seq) {
            break;
        }
        item_free(s, item);
    }
    if (seq > s->acked) {
        s->acked = seq;
    }
    return 0;
}

int session_resume(struct session *s, uint64_t peer_received)
{
    if (peer_received < s->acked || peer_received > s->last_seq) {
        return -ESTALE;
    }
    (void)session_ack(s, peer_received);
    while (!list_empty(&s->sent)) { /* newest first, each to the front */
        struct list *node = s->sent.prev;

        list_remove(node);
        list_push_front(&s->unsent, node);
    }
    return 0;
}

/* --- in ----------------------------------------------------------------------- */

int session_receive(struct session *s, uint64_t seq)
{
    if (seq <= s->received) {
        return 0;
    }
    if (seq != s->received + 1) {
        return -EPROTO;
    }
    s->received = seq;
    return 1;
}
