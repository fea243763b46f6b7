#include "controller/core/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- keys ------------------------------------------------------------------------- */

void keys_namespace(const char *name, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_NAMESPACE "%s", name);
}

void keys_node(const char *name, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_NODE "%s", name);
}

void keys_layer(const char *namespace_, const char *name, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_LAYER "%s/%s", namespace_, name);
}

void keys_access_key(const char *id, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_ACCESS "%s", id);
}

void keys_function(const struct core_function *f, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_FUNCTION "%s/%s", f->ns->name, f->name);
}

void keys_version(const struct core_function *f, uint64_t number, char ret[KEYS_MAX])
{
    (void)snprintf(ret, KEYS_MAX, KEYS_VERSION "%s/%s/%020llu", f->ns->name, f->name,
                   (unsigned long long)number);
}

/* The next part of a path: a valid name up to a slash or the end. */
static const char *take_name(const char *at, char ret[SPEC_NAME_MAX + 1])
{
    size_t len = strcspn(at, "/");

    if (len > SPEC_NAME_MAX) {
        return NULL;
    }
    memcpy(ret, at, len);
    ret[len] = '\0';
    return spec_name_valid(ret) ? at + len : NULL;
}

const char *keys_after(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

/* Node names are host names, so they may have dots and capitals. */
static bool take_node(struct parsed_key *k, const char *at)
{
    size_t len = strlen(at);

    if (len == 0 || len > SPEC_NODE_MAX ||
        strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            len) {
        return false;
    }
    memcpy(k->name, at, len + 1);
    return true;
}

/* "<ns>/<name>" and, for a version, "/<20 digits>". */
static bool parse_path(struct parsed_key *k, const char *at, bool numbered)
{
    at = take_name(at, k->namespace_);
    if (at == NULL || *at != '/') {
        return false;
    }
    at = take_name(at + 1, k->name);
    if (at == NULL || !numbered) {
        return at != NULL && *at == '\0';
    }
    if (*at != '/' || strlen(at + 1) != 20 || strspn(at + 1, "0123456789") != 20) {
        return false;
    }
    errno = 0;
    k->number = strtoull(at + 1, NULL, 10);
    return errno == 0 && k->number > 0 && k->number <= RECORD_NUMBER_MAX;
}

struct parsed_key keys_parse(const char *key)
{
    struct parsed_key k = {.kind = KEY_OTHER};
    const char *at;

    if (strcmp(key, KEYS_EPOCH) == 0) {
        k.kind = KEY_EPOCH;
    } else if (strcmp(key, KEYS_INDEX) == 0) {
        k.kind = KEY_INDEX;
    } else if ((at = keys_after(key, KEYS_NAMESPACE)) != NULL) {
        at = take_name(at, k.namespace_);
        k.kind = at != NULL && *at == '\0' ? KEY_NAMESPACE : KEY_OTHER;
    } else if ((at = keys_after(key, KEYS_FUNCTION)) != NULL) {
        k.kind = parse_path(&k, at, false) ? KEY_FUNCTION : KEY_OTHER;
    } else if ((at = keys_after(key, KEYS_VERSION)) != NULL) {
        k.kind = parse_path(&k, at, true) ? KEY_VERSION : KEY_OTHER;
    } else if ((at = keys_after(key, KEYS_LAYER)) != NULL) {
        k.kind = parse_path(&k, at, false) ? KEY_LAYER : KEY_OTHER;
    } else if ((at = keys_after(key, KEYS_NODE)) != NULL) {
        k.kind = take_node(&k, at) ? KEY_NODE : KEY_OTHER;
    } else if ((at = keys_after(key, KEYS_ACCESS)) != NULL && access_key_id_valid(at)) {
        (void)stpcpy(k.id, at);
        k.kind = KEY_ACCESS;
    }
    return k;
}
