/* Layers: packages under a name of their namespace, in numbered versions, which functions
 * have at /opt. One record a layer:
 *
 *   /mayfly/layers/<ns>/<name>   {"latest", "versions": [{"number", "created_at",
 *                                 "description", "package", "attributes"}]}
 *
 * A number is never given twice: the record stays when its last version is deleted. A
 * version of a function keeps what its layers stood for when it was made. */
#ifndef CONTROLLER_CORE_LAYERS_H
#define CONTROLLER_CORE_LAYERS_H

#include "controller/core/keys.h"

#define LAYER_VERSIONS_MAX 500 /* of one layer: the record has a limit */

struct core_layer_version {
    uint64_t number;
    char created_at[CLOCK_RFC3339_SIZE];
    char *description; /* never NULL */
    struct package_ref package;
    json_t *attributes; /* object, never changed in place; NULL: none */
    struct core_package *counted;
};

struct core_layer {
    struct keymap_entry entry; /* c->layers */
    struct list link;          /* c->layer_list, in the order of their coming */
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    int64_t mod_revision;
    uint64_t latest;                     /* number ever given */
    struct core_layer_version *versions; /* ascending */
    size_t n_versions;
};

int layers_init(struct controller_core *c); /* -ENOMEM */
void layers_free(struct controller_core *c);

struct core_layer *layers_find(const struct controller_core *c, const char *namespace_,
                               const char *name); /* or NULL */
/* number 0: the newest. Or NULL. */
const struct core_layer_version *layers_version(const struct core_layer *l,
                                                uint64_t number);
/* Layers of the namespace that have a version. */
size_t layers_count(const struct controller_core *c, const char *namespace_);

/* From the store; value NULL: deleted. -EINVAL: it cannot be read, and counts as not
 * there. */
int layers_apply(struct controller_core *c, const struct parsed_key *k,
                 const struct core_kv *kv);
/* Layers whose key is not among those that are kept go. */
void layers_keep(struct controller_core *c,
                 bool (*is_there)(const void *data, const char *key), const void *data);

/* The record with one version more, or with the version gone (add NULL). NULL: out of
 * memory. */
char *layers_changed(const struct core_layer *l, const struct core_layer_version *add,
                     uint64_t gone);
/* The record in which one version has these attributes. NULL: out of memory. */
char *layers_edited(const struct core_layer *l, uint64_t number, json_t *attributes);

/* Looks the spec's layers up. was: the spec of the version before, which keeps what its
 * layers stood for though they are deleted; or NULL. -ENOENT: err names the one that is
 * not there. */
int layers_resolve(const struct controller_core *c, const char *namespace_,
                   struct function_spec *spec, const struct function_spec *was,
                   struct error *err);

#endif /* CONTROLLER_CORE_LAYERS_H */
