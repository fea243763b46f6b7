/* Whole messages of convert.h: what the two cores tell each other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/convert.h"
#include "proto/convert_alias.h"
#include "proto/convert_load.h"

#define GRANTS_MAX   10000 /* nodes a version may be granted to */
#define VERSIONS_MAX 100   /* as many as a controller keeps of a function */
#define URL_MAX      (64 * 1024)
#define LOADS_MAX    100000 /* in a report; a frame has no room for more */

/* protobuf-c's structs have no const; nothing here writes through these. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s != NULL ? s : "");
}

static int check_name(const char *what, const char *name, struct error *err)
{
    return spec_name_valid(name)
               ? 0
               : error_set(err, -EINVAL, "%s \"%.64s\" is not a name", what, name);
}

/* Node names are host names: what a function's name may be, and dots. */
static int check_node(const char *node, struct error *err)
{
    size_t len = strlen(node);

    if (len == 0 || len > SPEC_NODE_MAX ||
        strspn(node,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
            len) {
        return error_set(err, -EINVAL, "node \"%.64s\" is not a name", node);
    }
    return 0;
}

/* --- functions ------------------------------------------------------------------------
 */

static void version_to_wire_free(Mayfly__V1__Version *v)
{
    if (v != NULL) {
        if (v->spec != NULL) {
            convert_spec_free(v->spec);
        }
        free(v->spec);
        free(v->package);
        free(v->n_grants > 0 ? v->grants[0] : NULL); /* one block */
        free(v->grants);
        free(v);
    }
}

static int grants_to_wire(Mayfly__V1__Version *v, const struct version_state *from)
{
    Mayfly__V1__Grant *block;

    if (from->n_grants == 0) {
        return 0;
    }
    v->grants = calloc(from->n_grants, sizeof(*v->grants));
    block = calloc(from->n_grants, sizeof(*block));
    if (v->grants == NULL || block == NULL) {
        free(block);
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_grants; i++) {
        mayfly__v1__grant__init(&block[i]);
        block[i].node = text(from->grants[i].node);
        block[i].max = from->grants[i].max;
        block[i].warm = from->grants[i].warm;
        block[i].reserved = from->grants[i].reserved;
        v->grants[i] = &block[i];
    }
    v->n_grants = from->n_grants;
    return 0;
}

static int version_to_wire(Mayfly__V1__Version **ret, const struct version_state *from)
{
    Mayfly__V1__Version *v = calloc(1, sizeof(*v));

    if (v == NULL) {
        return -ENOMEM;
    }
    mayfly__v1__version__init(v);
    v->number = from->number;
    v->published = from->published;
    v->least = from->least;
    v->id = from->id;
    v->spec = calloc(1, sizeof(*v->spec));
    v->package = calloc(1, sizeof(*v->package));
    if (v->spec == NULL || v->package == NULL ||
        convert_spec_to_wire(v->spec, &from->spec) < 0 || grants_to_wire(v, from) < 0) {
        version_to_wire_free(v);
        return -ENOMEM;
    }
    convert_package_to_wire(v->package, &from->package);
    *ret = v;
    return 0;
}

int convert_function_to_wire(Mayfly__V1__FunctionState *ret,
                             const struct function_state *from)
{
    mayfly__v1__function_state__init(ret);
    ret->namespace_ = text(from->namespace_);
    ret->name = text(from->name);
    ret->revision = from->revision;
    ret->deleted = from->deleted;
    if (from->deleted) {
        return 0;
    }
    ret->namespace_index = from->namespace_index;
    ret->serving = from->serving;
    if (convert_aliases_to_wire(ret, from) < 0) {
        convert_function_free(ret);
        return -ENOMEM;
    }
    ret->urls = text(from->urls);
    ret->stopped = from->stopped;
    if (from->failed != CAUSE_NONE) {
        ret->failed = text(cause_name(from->failed));
        ret->failed_text = text(from->failed_text);
    }
    if (from->n_versions == 0) {
        return 0;
    }
    ret->versions = calloc(from->n_versions, sizeof(*ret->versions));
    if (ret->versions == NULL) {
        convert_function_free(ret);
        return -ENOMEM;
    }
    for (; ret->n_versions < from->n_versions; ret->n_versions++) {
        if (version_to_wire(&ret->versions[ret->n_versions],
                            &from->versions[ret->n_versions]) < 0) {
            convert_function_free(ret);
            return -ENOMEM;
        }
    }
    return 0;
}

void convert_function_free(Mayfly__V1__FunctionState *m)
{
    for (size_t i = 0; i < m->n_versions; i++) {
        version_to_wire_free(m->versions[i]);
    }
    free(m->versions);
    m->versions = NULL;
    m->n_versions = 0;
    convert_aliases_free(m);
}

static int grants_from_wire(struct version_state *ret, const Mayfly__V1__Version *from,
                            struct error *err)
{
    struct grant *grants;

    if (from->n_grants > GRANTS_MAX) {
        return error_set(err, -ERANGE, "version %llu has too many grants",
                         (unsigned long long)from->number);
    }
    grants = calloc(from->n_grants + 1, sizeof(*grants));
    if (grants == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    ret->grants = grants;
    ret->n_grants = from->n_grants;
    for (size_t i = 0; i < from->n_grants; i++) {
        int rc = check_node(from->grants[i]->node, err);

        if (rc < 0) {
            return rc;
        }
        (void)stpcpy(grants[i].node, from->grants[i]->node);
        grants[i].max = from->grants[i]->max;
        grants[i].warm = from->grants[i]->warm;
        grants[i].reserved = from->grants[i]->reserved;
        if (grants[i].warm > grants[i].max || grants[i].reserved > grants[i].max) {
            return error_set(err, -EINVAL,
                             "grant for node %s: warm or reserved is over max",
                             grants[i].node);
        }
    }
    return 0;
}

static int version_from_wire(struct version_state *ret, const Mayfly__V1__Version *from,
                             struct error *err)
{
    int rc;

    function_spec_init(&ret->spec);
    if (from->number == 0 || from->spec == NULL || from->package == NULL) {
        return error_set(err, -EINVAL, "a version lacks its number, spec or package");
    }
    ret->number = from->number;
    ret->published = from->published;
    ret->least = from->least;
    ret->id = from->id;
    rc = convert_spec_from_wire(&ret->spec, from->spec, err);
    rc = rc < 0 ? rc : convert_package_from_wire(&ret->package, from->package, err);
    return rc < 0 ? rc : grants_from_wire(ret, from, err);
}

/* Of a cause that only a newer controller knows nothing is said. */
static enum cause failed_from_wire(const char *name)
{
    enum cause cause = cause_from_name(name);

    return cause != CAUSE_COUNT ? cause : CAUSE_NONE;
}

int convert_function_from_wire(struct function_state *ret,
                               const Mayfly__V1__FunctionState *from, struct error *err)
{
    struct version_state *versions;
    int rc = check_name("namespace", from->namespace_, err);

    rc = rc < 0 ? rc : check_name("function", from->name, err);
    if (rc < 0) {
        return rc;
    }
    *ret = (struct function_state){
        .namespace_ = from->namespace_,
        .name = from->name,
        .revision = from->revision,
        .deleted = from->deleted,
    };
    if (from->deleted) {
        return 0;
    }
    ret->namespace_index = from->namespace_index;
    ret->serving = from->serving;
    if (strlen(from->urls) > URL_MAX) {
        return error_set(err, -ERANGE,
                         "function %s: its URLs' configurations are over %d bytes",
                         from->name, URL_MAX);
    }
    ret->urls = *from->urls != '\0' ? from->urls : NULL;
    ret->stopped = from->stopped;
    ret->failed = failed_from_wire(from->failed);
    ret->failed_text = from->failed_text;
    if (from->n_versions > VERSIONS_MAX) {
        return error_set(err, -ERANGE, "function %s has too many versions", from->name);
    }
    versions = calloc(from->n_versions + 1, sizeof(*versions));
    if (versions == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    ret->versions = versions;
    for (size_t i = 0; rc == 0 && i < from->n_versions; i++) {
        ret->n_versions++;
        rc = version_from_wire(&versions[i], from->versions[i], err);
    }
    rc = rc < 0 ? rc : convert_aliases_from_wire(ret, from, err);
    if (rc < 0) {
        convert_function_release(ret);
        return error_wrap(err, rc, "function %s/%s", from->namespace_, from->name);
    }
    return 0;
}

void convert_function_release(struct function_state *f)
{
    struct version_state *versions = (struct version_state *)(uintptr_t)f->versions;

    for (size_t i = 0; i < f->n_versions; i++) {
        function_spec_free(&versions[i].spec);
        free((struct grant *)(uintptr_t)versions[i].grants);
    }
    free(versions);
    f->versions = NULL;
    f->n_versions = 0;
    convert_aliases_release(f);
}

/* --- access keys ----------------------------------------------------------------------
 */

void convert_key_to_wire(Mayfly__V1__KeyState *ret, const struct key_state *from)
{
    mayfly__v1__key_state__init(ret);
    ret->id = text(from->id);
    ret->revision = from->revision;
    ret->deleted = from->deleted;
    if (!from->deleted) {
        ret->namespace_ = text(from->namespace_);
        ret->secret = text(from->secret);
    }
}

int convert_key_from_wire(struct key_state *ret, const Mayfly__V1__KeyState *from,
                          struct error *err)
{
    int rc = 0;

    if (!access_key_id_valid(from->id)) {
        return error_set(err, -EINVAL, "an access key's id is none");
    }
    if (!from->deleted) {
        rc = check_name("namespace", from->namespace_, err);
        if (rc == 0 && !access_key_secret_valid(from->secret)) {
            rc = error_set(err, -EINVAL, "access key %s: its secret is none", from->id);
        }
    }
    if (rc == 0) {
        *ret = (struct key_state){.id = from->id,
                                  .revision = from->revision,
                                  .deleted = from->deleted,
                                  .namespace_ = from->namespace_,
                                  .secret = from->secret};
    }
    return rc;
}

/* --- nodes -----------------------------------------------------------------------------
 */

void convert_node_to_wire(Mayfly__V1__NodeState *ret, const struct node_state *from)
{
    mayfly__v1__node_state__init(ret);
    ret->node = text(from->node);
    ret->revision = from->revision;
    ret->deleted = from->deleted;
    ret->gateway = text(from->gateway);
    ret->state = text(from->usable ? "ready" : "lost");
}

int convert_node_from_wire(struct node_state *ret, const Mayfly__V1__NodeState *from,
                           struct error *err)
{
    int rc = check_node(from->node, err);

    if (rc < 0) {
        return rc;
    }
    if (strlen(from->gateway) > 300) {
        return error_set(err, -EINVAL, "node %s: gateway is too long", from->node);
    }
    *ret = (struct node_state){
        .node = from->node,
        .revision = from->revision,
        .deleted = from->deleted,
        .gateway = from->gateway,
        .usable = strcmp(from->state, "ready") == 0,
    };
    return 0;
}

/* --- reports
 * ---------------------------------------------------------------------------- */

/* One block: the pointers, then what they point to. */
static int blanks_to_wire(Mayfly__V1__NodeReport *ret, const struct node_report *from)
{
    struct blanks {
        Mayfly__V1__Blanks *list[BLANKS_KINDS_MAX];
        Mayfly__V1__Blanks kinds[BLANKS_KINDS_MAX];
    } *all = from->n_blanks > 0 ? calloc(1, sizeof(*all)) : NULL;

    if (all == NULL) {
        return from->n_blanks > 0 ? -ENOMEM : 0;
    }
    for (size_t i = 0; i < from->n_blanks; i++) {
        mayfly__v1__blanks__init(&all->kinds[i]);
        all->kinds[i].kind = text(from->blanks[i].kind);
        all->kinds[i].ready = from->blanks[i].ready;
        all->kinds[i].memory_bytes = from->blanks[i].memory_bytes;
        all->list[i] = &all->kinds[i];
    }
    ret->blanks = all->list;
    ret->n_blanks = from->n_blanks;
    return 0;
}

int convert_report_to_wire(Mayfly__V1__NodeReport *ret, const struct node_report *from)
{
    struct convert_load *block;

    mayfly__v1__node_report__init(ret);
    ret->full = from->full;
    ret->memory_reserved_bytes = from->memory_reserved_bytes;
    ret->instances = from->instances;
    if (blanks_to_wire(ret, from) < 0) {
        return -ENOMEM;
    }
    if (from->n_loads == 0) {
        return 0;
    }
    ret->loads = calloc(from->n_loads, sizeof(*ret->loads));
    block = calloc(from->n_loads, sizeof(*block));
    if (ret->loads == NULL || block == NULL) {
        free(ret->loads);
        free(block);
        ret->loads = NULL;
        convert_report_free(ret);
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n_loads; i++) {
        convert_load_to_wire(&block[i], &from->loads[i]);
        ret->loads[i] = &block[i].wire;
    }
    ret->n_loads = from->n_loads;
    return 0;
}

void convert_report_free(Mayfly__V1__NodeReport *m)
{
    free(m->n_loads > 0 ? m->loads[0] : NULL); /* one block */
    free(m->loads);
    free(m->blanks);
    m->loads = NULL;
    m->blanks = NULL;
    m->n_loads = m->n_blanks = 0;
}

/* For people: what is too much, or has too long a name, is left out. */
static void blanks_from_wire(struct node_report *ret, const Mayfly__V1__NodeReport *from)
{
    for (size_t i = 0; i < from->n_blanks && ret->n_blanks < BLANKS_KINDS_MAX; i++) {
        const Mayfly__V1__Blanks *b = from->blanks[i];
        struct blanks_state *to = &ret->blanks[ret->n_blanks];

        if (strlen(b->kind) <= BLANKS_KIND_MAX) {
            (void)stpcpy(to->kind, b->kind);
            to->ready = b->ready;
            to->memory_bytes = b->memory_bytes;
            ret->n_blanks++;
        }
    }
}

int convert_report_from_wire(struct node_report *ret, const Mayfly__V1__NodeReport *from,
                             struct error *err)
{
    struct version_load *loads;

    if (from->n_loads > LOADS_MAX) {
        return error_set(err, -ERANGE, "a report names too many versions");
    }
    loads = calloc(from->n_loads + 1, sizeof(*loads));
    if (loads == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < from->n_loads; i++) {
        const Mayfly__V1__VersionLoad *l = from->loads[i];
        int rc = check_name("namespace", l->namespace_, err);

        rc = rc < 0 ? rc : check_name("function", l->name, err);
        rc = rc < 0 ? rc : convert_load_from_wire(&loads[i], l, err);
        if (rc < 0) {
            free(loads);
            return error_wrap(err, rc, "report");
        }
    }
    *ret = (struct node_report){
        .full = from->full,
        .memory_reserved_bytes = from->memory_reserved_bytes,
        .instances = from->instances,
        .loads = loads,
        .n_loads = from->n_loads,
    };
    blanks_from_wire(ret, from);
    return 0;
}

void convert_report_release(struct node_report *r)
{
    free((struct version_load *)(uintptr_t)r->loads);
    r->loads = NULL;
    r->n_loads = 0;
}

void convert_version_report_to_wire(Mayfly__V1__VersionReport *ret,
                                    const struct version_report *from)
{
    mayfly__v1__version_report__init(ret);
    ret->namespace_ = text(from->namespace_);
    ret->name = text(from->name);
    ret->version = from->version;
    ret->ready = from->ready;
    ret->cause = text(from->ready ? "" : cause_name(from->cause));
    ret->text = text(from->text);
}

int convert_version_report_from_wire(struct version_report *ret,
                                     const Mayfly__V1__VersionReport *from,
                                     struct error *err)
{
    enum cause cause = from->ready ? CAUSE_NONE : cause_from_name(from->cause);
    int rc = check_name("namespace", from->namespace_, err);

    rc = rc < 0 ? rc : check_name("function", from->name, err);
    if (rc < 0) {
        return rc;
    }
    if (cause == CAUSE_COUNT || (!from->ready && cause == CAUSE_NONE)) {
        return error_set(err, -EINVAL, "cause \"%.40s\" is not known", from->cause);
    }
    *ret = (struct version_report){
        .namespace_ = from->namespace_,
        .name = from->name,
        .version = from->version,
        .ready = from->ready,
        .cause = cause,
        .text = from->text,
    };
    return 0;
}
