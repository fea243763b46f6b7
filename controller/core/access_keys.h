/* Access keys: with which AWS's clients sign what they ask of a namespace. Kept in the
 * store and told to every node, whose gateways verify calls themselves: the secret is
 * needed there, since a signature is made with it. */
#ifndef CONTROLLER_CORE_ACCESS_KEYS_H
#define CONTROLLER_CORE_ACCESS_KEYS_H

#include "controller/core/core_private.h"

#define ACCESS_KEYS_MAX 1000 /* of a namespace */

struct access_key {
    struct keymap_entry entry; /* c->access_keys */
    char id[ACCESS_KEY_ID_MAX + 1];
    char namespace_[SPEC_NAME_MAX + 1];
    char secret[ACCESS_KEY_SECRET_MAX + 1];
    char created_at[CLOCK_RFC3339_SIZE];
    int64_t mod_revision;
    uint64_t revision; /* of what nodes were told */
};

int access_keys_init(struct controller_core *c); /* -ENOMEM */
void access_keys_free(struct controller_core *c);

/* NULL: there is none. */
const struct access_key *access_key_find(const struct controller_core *c, const char *id);
size_t access_keys_of(const struct controller_core *c, const char *namespace_);

/* From the store; value NULL: deleted. Nodes are told. -EINVAL: it cannot be read, and
 * counts as not there. */
int access_key_apply(struct controller_core *c, const char *id, const struct core_kv *kv);
/* Those whose key is not among those that are kept go. */
void access_keys_keep(struct controller_core *c,
                      bool (*is_there)(const void *data, const char *key),
                      const void *data);
/* All of them to one node. */
void access_keys_send_all(struct controller_core *c, const char *node);

json_t *access_key_value(const char *namespace_, const char *secret, const char *now);

#endif /* CONTROLLER_CORE_ACCESS_KEYS_H */
