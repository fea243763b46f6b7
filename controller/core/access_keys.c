#include "controller/core/access_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/keys.h"
#include "controller/core/page.h"

int access_keys_init(struct controller_core *c)
{
    return keymap_init(&c->access_keys);
}

static void drop(struct controller_core *c, struct access_key *k)
{
    keymap_remove(&c->access_keys, &k->entry);
    explicit_bzero(k->secret, sizeof(k->secret));
    free(k);
}

void access_keys_free(struct controller_core *c)
{
    for (size_t i = 0; c->access_keys.n > 0 && i < c->access_keys.n_buckets; i++) {
        while (c->access_keys.buckets[i] != NULL) {
            drop(c, container_of(c->access_keys.buckets[i], struct access_key, entry));
        }
    }
    keymap_free(&c->access_keys);
}

const struct access_key *access_key_find(const struct controller_core *c, const char *id)
{
    struct keymap_entry *e = keymap_find(&c->access_keys, keymap_hash_str(c->seed, id));

    for (; e != NULL; e = keymap_next(e)) {
        const struct access_key *k = container_of(e, struct access_key, entry);

        if (strcmp(k->id, id) == 0) {
            return k;
        }
    }
    return NULL;
}

size_t access_keys_of(const struct controller_core *c, const char *namespace_)
{
    size_t n = 0;

    for (size_t i = 0; i < c->access_keys.n_buckets; i++) {
        for (struct keymap_entry *e = c->access_keys.buckets[i]; e != NULL; e = e->next) {
            const struct access_key *k = container_of(e, struct access_key, entry);

            n += strcmp(k->namespace_, namespace_) == 0;
        }
    }
    return n;
}

/* --- to the nodes ----------------------------------------------------------------- */

static void send(struct controller_core *c, const char *node, const struct access_key *k,
                 bool deleted)
{
    const struct key_state s = {.id = k->id,
                                .revision = k->revision,
                                .deleted = deleted,
                                .namespace_ = k->namespace_,
                                .secret = k->secret};

    if (c->io.send_key != NULL) {
        c->io.send_key(c->io.ctx, node, &s);
    }
}

/* Before the epoch is taken no node is there that could be told. */
static void tell(struct controller_core *c, struct access_key *k, bool deleted)
{
    if (c->epoch != 0) {
        k->revision = core_next_revision(c);
        send(c, NULL, k, deleted);
    }
}

static void each(struct controller_core *c,
                 void (*f)(struct controller_core *c, struct access_key *k,
                           const void *data),
                 const void *data)
{
    for (size_t i = 0; i < c->access_keys.n_buckets; i++) {
        struct keymap_entry *e = c->access_keys.buckets[i];

        while (e != NULL) {
            struct access_key *k = container_of(e, struct access_key, entry);

            e = e->next;
            f(c, k, data);
        }
    }
}

static void send_one(struct controller_core *c, struct access_key *k, const void *data)
{
    k->revision = k->revision != 0 ? k->revision : core_next_revision(c);
    send(c, data, k, false);
}

void access_keys_send_all(struct controller_core *c, const char *node)
{
    each(c, send_one, node);
}

/* --- from the store --------------------------------------------------------------- */

json_t *access_key_value(const char *namespace_, const char *secret, const char *now)
{
    return json_pack("{s:s, s:s, s:s}", "namespace", namespace_, "secret", secret,
                     "created_at", now);
}

static int parse(struct access_key *k, const struct core_kv *kv)
{
    json_t *json = json_loadb(kv->value, kv->len, JSON_REJECT_DUPLICATES, NULL);
    const char *ns = json_string_value(json_object_get(json, "namespace"));
    const char *secret = json_string_value(json_object_get(json, "secret"));
    const char *at = json_string_value(json_object_get(json, "created_at"));
    int rc = -EINVAL;

    if (ns != NULL && spec_name_valid(ns) && secret != NULL &&
        access_key_secret_valid(secret) && at != NULL &&
        strlen(at) == CLOCK_RFC3339_SIZE - 1) {
        (void)stpcpy(k->namespace_, ns);
        (void)stpcpy(k->secret, secret);
        (void)stpcpy(k->created_at, at);
        rc = 0;
    }
    json_decref(json);
    return rc;
}

int access_key_apply(struct controller_core *c, const char *id, const struct core_kv *kv)
{
    const struct access_key *found = access_key_find(c, id);
    struct access_key *k =
        found != NULL ? container_of(&found->entry, struct access_key, entry) : NULL;
    struct access_key next = {.mod_revision = kv->mod_revision};
    int rc = kv->value != NULL ? parse(&next, kv) : 0;

    if (rc < 0 || kv->value == NULL) {
        if (k != NULL) {
            tell(c, k, true);
            drop(c, k);
        }
        return rc;
    }
    if (k != NULL && k->mod_revision == kv->mod_revision) {
        return 0;
    }
    if (k == NULL) {
        k = calloc(1, sizeof(*k));
        if (k == NULL) {
            return -ENOMEM;
        }
        (void)snprintf(k->id, sizeof(k->id), "%s", id);
        keymap_add(&c->access_keys, &k->entry, keymap_hash_str(c->seed, id));
    }
    memcpy(k->namespace_, next.namespace_, sizeof(k->namespace_));
    memcpy(k->secret, next.secret, sizeof(k->secret));
    memcpy(k->created_at, next.created_at, sizeof(k->created_at));
    k->mod_revision = next.mod_revision;
    explicit_bzero(next.secret, sizeof(next.secret));
    tell(c, k, false);
    return 0;
}

struct kept {
    bool (*is_there)(const void *data, const char *key);
    const void *data;
};

static void keep_one(struct controller_core *c, struct access_key *k, const void *data)
{
    const struct kept *kept = data;
    char key[KEYS_MAX];

    keys_access_key(k->id, key);
    if (!kept->is_there(kept->data, key)) {
        tell(c, k, true);
        drop(c, k);
    }
}

void access_keys_keep(struct controller_core *c,
                      bool (*is_there)(const void *data, const char *key),
                      const void *data)
{
    const struct kept kept = {is_there, data};

    each(c, keep_one, &kept);
}

/* --- reading ---------------------------------------------------------------------- */

static json_t *listed(const struct controller_core *c, const void *item)
{
    const struct access_key *k = item;

    return json_pack("{s:s, s:s, s:s}", "access_key_id", k->id, "namespace",
                     k->namespace_, "created_at", k->created_at);
}

int controller_core_access_keys(const struct controller_core *c, const char *namespace_,
                                const struct core_list *list)
{
    struct page p;

    page_init(&p, list);
    for (size_t i = 0; i < c->access_keys.n_buckets; i++) {
        for (struct keymap_entry *e = c->access_keys.buckets[i]; e != NULL; e = e->next) {
            const struct access_key *k = container_of(e, struct access_key, entry);

            if (strcmp(k->namespace_, namespace_) == 0) {
                page_offer(&p, k->namespace_, k->id, k);
            }
        }
    }
    return page_show(&p, c, listed);
}

bool controller_core_access_key(const struct controller_core *c, const char *id,
                                struct key_state *ret)
{
    const struct access_key *k = access_key_find(c, id);

    if (k != NULL) {
        *ret = (struct key_state){
            .id = k->id, .namespace_ = k->namespace_, .secret = k->secret};
    }
    return k != NULL;
}
