/* Keys: where in the store what stands (controller_core.h lists them). */
#ifndef CONTROLLER_CORE_KEYS_H
#define CONTROLLER_CORE_KEYS_H

#include "controller/core/core_private.h"

#define KEYS_MAX 256 /* with NUL */

#define KEYS_EPOCH     CORE_PREFIX "epoch"
#define KEYS_INDEX     CORE_PREFIX "namespace-index"
#define KEYS_NAMESPACE CORE_PREFIX "namespaces/"
#define KEYS_FUNCTION  CORE_PREFIX "functions/"
#define KEYS_VERSION   CORE_PREFIX "versions/"
#define KEYS_LAYER     CORE_PREFIX "layers/"
#define KEYS_NODE      CORE_PREFIX "nodes/"
#define KEYS_ACCESS    CORE_PREFIX "keys/"

void keys_namespace(const char *name, char ret[KEYS_MAX]);
void keys_layer(const char *namespace_, const char *name, char ret[KEYS_MAX]);
void keys_node(const char *name, char ret[KEYS_MAX]);
void keys_access_key(const char *id, char ret[KEYS_MAX]);
void keys_function(const struct core_function *f, char ret[KEYS_MAX]);
void keys_version(const struct core_function *f, uint64_t number, char ret[KEYS_MAX]);

struct parsed_key {
    enum {
        KEY_OTHER,
        KEY_EPOCH,
        KEY_INDEX,
        KEY_NAMESPACE,
        KEY_FUNCTION,
        KEY_VERSION,
        KEY_LAYER,
        KEY_NODE,
        KEY_ACCESS
    } kind;
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];   /* of the function, layer or node */
    char id[ACCESS_KEY_ID_MAX + 1]; /* of the access key */
    uint64_t number;
};

/* Keys that are not ours (a later program's, perhaps) are KEY_OTHER. */
struct parsed_key keys_parse(const char *key);
/* What follows the prefix, or NULL if the key has another one. */
const char *keys_after(const char *key, const char *prefix);

#endif /* CONTROLLER_CORE_KEYS_H */
