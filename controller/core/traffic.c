#include "controller/core/traffic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "controller/core/clean.h"
#include "controller/core/records_json.h"
#include "controller/core/rollouts.h"

typedef unsigned long long ull;

int traffic_refuse(struct traffic_error *err, enum cause cause, const char *field,
                   const char *fmt, ...)
{
    va_list ap;

    err->cause = cause;
    err->field = field;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return -1;
}

static int no_memory(struct traffic_error *err)
{
    return traffic_refuse(err, CAUSE_INTERNAL, NULL, "out of memory");
}

/* --- what keeps a version --------------------------------------------------------- */

static bool alias_names(const struct record_alias *a, uint64_t number)
{
    for (size_t i = 0; i < a->n_weights; i++) {
        if (a->weights[i].version == number) {
            return true;
        }
    }
    return false;
}

const struct record_alias *traffic_alias(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->n_aliases; i++) {
        if (strcmp(r->aliases[i].name, name) == 0) {
            return &r->aliases[i];
        }
    }
    return NULL;
}

const struct record_alias *traffic_alias_of(const struct record *r, uint64_t number)
{
    for (size_t i = 0; i < r->n_aliases; i++) {
        if (alias_names(&r->aliases[i], number)) {
            return &r->aliases[i];
        }
    }
    return NULL;
}

bool traffic_is_named(const struct record *r, uint64_t number)
{
    const struct record_version *v = record_find(r, number);

    return v != NULL && (v->published > 0 || traffic_alias_of(r, number) != NULL);
}

bool traffic_is_kept(const struct record *r, uint64_t number)
{
    return number == r->serving || number == r->latest || number == r->previous ||
           rollout_of(r, number) != NULL || traffic_is_named(r, number);
}

static int check_room(const struct record *r, struct traffic_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_versions; i++) {
        n += traffic_is_named(r, r->versions[i].number) ? 1 : 0;
    }
    return n <= TRAFFIC_KEPT_MAX
               ? 0
               : traffic_refuse(err, CAUSE_CONFLICT, NULL,
                                "%d versions of a function may be published or have an "
                                "alias; delete one of them first: `mayfly versions NAME "
                                "--delete N`",
                                TRAFFIC_KEPT_MAX);
}

/* A version that calls can be sent to. */
static struct record_version *want_usable(const struct record *r, uint64_t number,
                                          const char *field, struct traffic_error *err)
{
    struct record_version *v = record_find(r, number);

    if (v == NULL) {
        (void)traffic_refuse(err, CAUSE_NOT_FOUND, field,
                             "there is no version %llu; see `mayfly versions`",
                             (ull)number);
        return NULL;
    }
    if (v->state == RECORD_DEPLOYING) {
        (void)traffic_refuse(err, CAUSE_CONFLICT, field,
                             "version %llu is still being deployed; repeat this when it "
                             "is ready",
                             (ull)number);
        return NULL;
    }
    if (v->state == RECORD_FAILED || !v->was_ready) {
        (void)traffic_refuse(err, CAUSE_CONFLICT, field,
                             "version %llu %s%s%.200s; name one that was ready once",
                             (ull)number,
                             v->state == RECORD_FAILED ? "failed" : "never became ready",
                             *v->message != '\0' ? ": " : "", v->message);
        return NULL;
    }
    return v;
}

/* --- publishing ------------------------------------------------------------------- */

uint64_t traffic_published_last(const struct record *r)
{
    for (size_t i = 0; r->published_last > 0 && i < r->n_versions; i++) {
        if (r->versions[i].published == r->published_last) {
            return r->versions[i].number;
        }
    }
    return 0;
}

static int set_description(char **description, const char *text)
{
    char *copy = record_clean_copy(text, TRAFFIC_DESCRIPTION_MAX);

    if (copy == NULL) {
        return -ENOMEM;
    }
    free(*description);
    *description = copy;
    return 0;
}

int traffic_publish(struct record *r, uint64_t number, uint64_t same,
                    const char *description, const char *now, uint64_t *ret_number,
                    bool *ret_created, struct traffic_error *err)
{
    struct record_version *v =
        want_usable(r, number != 0 ? number : r->latest, "version", err);

    if (v == NULL) {
        return -1;
    }
    *ret_created = false;
    if (v->published == 0 && same != 0) {
        v = record_find(r, same);
        CHECK(v != NULL && v->published > 0);
    }
    *ret_number = v->number;
    if (v->published > 0) {
        return 0;
    }
    if (description != NULL && set_description(&v->description, description) < 0) {
        return no_memory(err);
    }
    v->published = ++r->published_last;
    (void)stpcpy(r->updated_at, now);
    *ret_created = true;
    return check_room(r, err);
}

int traffic_publish_latest(struct record *r, const char *description,
                           struct traffic_error *err)
{
    struct record_version *v = record_find(r, r->latest);

    CHECK(v != NULL && v->published == 0);
    if (description != NULL && set_description(&v->description, description) < 0) {
        return no_memory(err);
    }
    v->published = ++r->published_last;
    return check_room(r, err);
}

/* What is kept with an alias or a published version goes with it. -ENOMEM. */
static int forget_attributes(struct record *r, const char *name)
{
    size_t len = strlen(name);
    const char *key;
    void *next;
    json_t *value;
    int rc = 0;
    json_t *before = json_incref(r->attributes);

    json_object_foreach_safe(before, next, key, value)
    {
        size_t n = strlen(key);

        if (rc == 0 && n > len && key[n - len - 1] == ':' &&
            strcmp(key + n - len, name) == 0) {
            rc = record_set_attribute(r, key, NULL);
        }
    }
    json_decref(before);
    return rc;
}

static void remove_version(struct record *r, uint64_t number)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->n_versions; i++) {
        if (r->versions[i].number == number) {
            free(r->versions[i].message);
            free(r->versions[i].description);
        } else {
            r->versions[kept++] = r->versions[i];
        }
    }
    r->n_versions = kept;
    if (r->previous == number) {
        r->previous = 0;
    }
}

int traffic_delete_version(struct record *r, uint64_t number, bool *ret_gone,
                           struct traffic_error *err)
{
    struct record_version *v = record_find(r, number);
    const struct record_alias *a = traffic_alias_of(r, number);
    char published[24];

    if (v == NULL) {
        return traffic_refuse(err, CAUSE_NOT_FOUND, NULL,
                              "there is no version %llu; see `mayfly versions`",
                              (ull)number);
    }
    if (a != NULL) {
        return traffic_refuse(err, CAUSE_CONFLICT, NULL,
                              "alias %s names version %llu; set the alias to another "
                              "version or delete it first",
                              a->name, (ull)number);
    }
    if (rollout_of(r, number) != NULL) {
        return traffic_refuse(err, CAUSE_CONFLICT, NULL,
                              "version %llu is being rolled out; `mayfly rollback` ends "
                              "that",
                              (ull)number);
    }
    *ret_gone = number != r->serving && number != r->latest;
    (void)snprintf(published, sizeof(published), "%llu", (ull)v->published);
    if (forget_attributes(r, published) < 0) {
        return no_memory(err);
    }
    if (*ret_gone) {
        remove_version(r, number);
        return 0;
    }
    if (v->published == 0) {
        return traffic_refuse(err, CAUSE_CONFLICT, NULL,
                              "version %llu is the %s one; deploy another or delete the "
                              "function",
                              (ull)number, number == r->serving ? "serving" : "latest");
    }
    v->published = 0;
    free(v->description);
    v->description = NULL;
    return 0;
}

/* --- aliases ---------------------------------------------------------------------- */

static int check_weights(const struct record *r, const struct alias_weight *weights,
                         size_t n, struct traffic_error *err)
{
    uint64_t sum = 0;

    if (n == 0 || n > ALIAS_SPLIT_MAX) {
        return traffic_refuse(err, CAUSE_BAD_REQUEST, "weights",
                              "weights has %zu versions; give 1 to %d", n,
                              ALIAS_SPLIT_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (weights[j].version == weights[i].version) {
                return traffic_refuse(err, CAUSE_BAD_REQUEST, "weights",
                                      "weights names version %llu twice; name it once",
                                      (ull)weights[i].version);
            }
        }
        if (want_usable(r, weights[i].version, "weights", err) == NULL) {
            return -1;
        }
        sum += weights[i].weight;
    }
    if (sum != ALIAS_WHOLE) {
        char text[ALIAS_PERCENT_SIZE];

        alias_percent_format(text, (uint32_t)(sum < UINT32_MAX ? sum : UINT32_MAX));
        return traffic_refuse(err, CAUSE_BAD_REQUEST, "weights",
                              "weights add up to %s; they must add up to 100", text);
    }
    return 0;
}

/* Room for one more at its place; NULL: no memory. */
static struct record_alias *insert_alias(struct record *r, const char *name)
{
    struct record_alias *grown =
        reallocarray(r->aliases, r->n_aliases + 1, sizeof(*grown));
    size_t at = 0;

    if (grown == NULL) {
        return NULL;
    }
    r->aliases = grown;
    while (at < r->n_aliases && strcmp(grown[at].name, name) < 0) {
        at++;
    }
    memmove(&grown[at + 1], &grown[at], (r->n_aliases - at) * sizeof(*grown));
    r->n_aliases++;
    grown[at] = (struct record_alias){.n_weights = 0};
    (void)snprintf(grown[at].name, sizeof(grown[at].name), "%s", name);
    return &grown[at];
}

int traffic_set_alias(struct record *r, const char *name,
                      const struct alias_weight *weights, size_t n_weights,
                      const char *description, const char *now, bool *ret_created,
                      struct traffic_error *err)
{
    struct record_alias *a = (struct record_alias *)(uintptr_t)traffic_alias(r, name);

    if (!alias_name_valid(name, strlen(name))) {
        return traffic_refuse(
            err, CAUSE_BAD_REQUEST, "alias",
            "an alias's name has 1 to %d of A-Z, a-z, 0-9, - and _, and "
            "not digits alone",
            ALIAS_NAME_MAX);
    }
    if (check_weights(r, weights, n_weights, err) < 0) {
        return -1;
    }
    *ret_created = a == NULL;
    if (a == NULL && r->n_aliases == TRAFFIC_ALIASES_MAX) {
        return traffic_refuse(
            err, CAUSE_CONFLICT, NULL,
            "the function has %d aliases, the most there may be; delete "
            "one first",
            TRAFFIC_ALIASES_MAX);
    }
    if (a == NULL && (a = insert_alias(r, name)) == NULL) {
        return no_memory(err);
    }
    if ((description != NULL || a->description == NULL) &&
        set_description(&a->description, description != NULL ? description : "") < 0) {
        return no_memory(err);
    }
    memcpy(a->weights, weights, n_weights * sizeof(*weights));
    a->n_weights = n_weights;
    (void)stpcpy(a->updated_at, now);
    (void)stpcpy(r->updated_at, now);
    return check_room(r, err);
}

int traffic_delete_alias(struct record *r, const char *name, struct traffic_error *err)
{
    struct record_alias *a = (struct record_alias *)(uintptr_t)traffic_alias(r, name);
    size_t at;

    if (a == NULL) {
        return traffic_refuse(err, CAUSE_NOT_FOUND, NULL,
                              "there is no alias %s; see `mayfly alias list`", name);
    }
    if (forget_attributes(r, name) < 0) {
        return no_memory(err);
    }
    free(a->description);
    at = (size_t)(a - r->aliases);
    r->n_aliases--;
    memmove(a, a + 1, (r->n_aliases - at) * sizeof(*a));
    return 0;
}

/* --- back ------------------------------------------------------------------------- */

uint64_t traffic_rollback_to(const struct record *r)
{
    const struct record_version *v = record_find(r, r->previous);

    if (rollout_running(r) != NULL) {
        return r->serving; /* the new version is left: what served goes on alone */
    }
    return v != NULL && v->was_ready && v->state != RECORD_FAILED ? v->number : 0;
}

/* What a second rollback means: not the version that was just left. */
static uint64_t ready_before(const struct record *r, uint64_t number)
{
    uint64_t found = 0;

    for (size_t i = 0; i < r->n_versions && r->versions[i].number < number; i++) {
        if (r->versions[i].was_ready && r->versions[i].state != RECORD_FAILED) {
            found = r->versions[i].number;
        }
    }
    return found;
}

int traffic_rollback(struct record *r, uint64_t number, const char *now,
                     struct traffic_error *err)
{
    struct record_version *v = want_usable(r, number, "to", err);
    uint64_t left = r->serving;
    char text[96];

    if (v == NULL) {
        return -1;
    }
    if (number == left && rollout_running(r) == NULL) {
        return traffic_refuse(err, CAUSE_CONFLICT, "to",
                              "version %llu serves already; see `mayfly versions` for "
                              "others",
                              (ull)number);
    }
    (void)snprintf(text, sizeof(text), "rolled back to version %llu", (ull)number);
    if ((rollout_running(r) != NULL && rollout_end(r, text, now) < 0) ||
        record_serve(r, number, text) < 0) {
        return no_memory(err);
    }
    if (number != left) {
        r->previous = number < left ? ready_before(r, number) : left;
    }
    (void)stpcpy(r->updated_at, now);
    return 0;
}
