/* What the controller tells of access keys and function URLs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"
#include "common/log.h"

struct lambda_key {
    struct list link;
    uint64_t revision;
    uint64_t snapshot;
    char id[ACCESS_KEY_ID_MAX + 1];
    char namespace_[SPEC_NAME_MAX + 1];
    char secret[ACCESS_KEY_SECRET_MAX + 1];
};

static unsigned bucket(const char *s, size_t len)
{
    unsigned h = 2166136261u; /* FNV-1a; ids are the controller's own */

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h % LAMBDA_BUCKETS;
}

/* --- keys ------------------------------------------------------------------------- */

static struct lambda_key *find_key(const struct gateway *g, const char *id)
{
    LIST_FOREACH(it, &g->lambda.keys[bucket(id, strlen(id))])
    {
        struct lambda_key *k = container_of(it, struct lambda_key, link);

        if (strcmp(k->id, id) == 0) {
            return k;
        }
    }
    return NULL;
}

const struct lambda_key *lambda_key_find(const struct gateway *g, const char *id)
{
    return find_key(g, id);
}

const char *lambda_key_secret(const struct lambda_key *k)
{
    return k->secret;
}

const char *lambda_key_namespace(const struct lambda_key *k)
{
    return k->namespace_;
}

static void key_free(struct lambda_key *k)
{
    list_remove(&k->link);
    explicit_bzero(k->secret, sizeof(k->secret));
    free(k);
}

void gateway_key(struct gateway *g, const struct key_state *s)
{
    struct lambda_key *k = find_key(g, s->id);

    if (k != NULL && s->revision < k->revision) {
        k->snapshot = g->lambda.snapshot;
        return;
    }
    if (s->deleted) {
        if (k != NULL) {
            key_free(k);
        }
        return;
    }
    if (k == NULL) {
        k = calloc(1, sizeof(*k));
        if (k == NULL) {
            log_error("out of memory: an access key is not known here",
                      LOG_STR("id", s->id));
            return;
        }
        (void)stpcpy(k->id, s->id);
        list_push_back(&g->lambda.keys[bucket(k->id, strlen(k->id))], &k->link);
    }
    k->revision = s->revision;
    k->snapshot = g->lambda.snapshot;
    (void)stpcpy(k->namespace_, s->namespace_);
    (void)stpcpy(k->secret, s->secret);
}

/* --- URLs ------------------------------------------------------------------------- */

void lambda_url_unref(struct lambda_url_entry *u)
{
    if (u != NULL && --u->refs == 0) {
        json_decref(u->config);
        free(u);
    }
}

static void url_drop(struct lambda_url_entry *u)
{
    list_remove(&u->link);
    lambda_url_unref(u);
}

struct lambda_url_entry *lambda_url_find(struct gateway *g, const char *id, size_t len)
{
    LIST_FOREACH(it, &g->lambda.urls[bucket(id, len)])
    {
        struct lambda_url_entry *u = container_of(it, struct lambda_url_entry, link);

        if (strlen(u->id) == len && memcmp(u->id, id, len) == 0) {
            u->refs++;
            return u;
        }
    }
    return NULL;
}

/* By their function they are looked for only when something changes. */
static void urls_drop(struct gateway *g, const char *namespace_, const char *name)
{
    for (size_t i = 0; i < LAMBDA_BUCKETS; i++) {
        LIST_FOREACH_SAFE(it, &g->lambda.urls[i])
        {
            struct lambda_url_entry *u = container_of(it, struct lambda_url_entry, link);

            if (strcmp(u->native, name) == 0 && strcmp(u->namespace_, namespace_) == 0) {
                url_drop(u);
            }
        }
    }
}

static void url_add(struct gateway *g, const char *namespace_, const char *name,
                    json_t *config)
{
    const char *id = json_string_value(json_object_get(config, "id"));
    const char *q = json_string_value(json_object_get(config, "qualifier"));
    struct lambda_url_entry *u = calloc(1, sizeof(*u));

    if (u == NULL || id == NULL || strlen(id) >= sizeof(u->id) ||
        (q != NULL && strlen(q) >= sizeof(u->qualifier))) {
        log_error("a function's URL cannot be served", LOG_STR("namespace", namespace_),
                  LOG_STR("function", name));
        free(u);
        return;
    }
    u->refs = 1;
    u->snapshot = g->lambda.snapshot;
    u->config = json_incref(config);
    (void)stpcpy(u->id, id);
    (void)stpcpy(u->namespace_, namespace_);
    (void)stpcpy(u->native, name);
    (void)stpcpy(u->qualifier, q != NULL ? q : "");
    list_push_back(&g->lambda.urls[bucket(id, strlen(id))], &u->link);
}

void gateway_function_urls(struct gateway *g, const char *namespace_, const char *name,
                           const char *configs)
{
    json_t *list =
        configs != NULL ? json_loads(configs, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *one;
    size_t i;

    urls_drop(g, namespace_, name);
    json_array_foreach(list, i, one)
    {
        url_add(g, namespace_, name, one);
    }
    json_decref(list);
}

/* --- the whole -------------------------------------------------------------------- */

void gateway_snapshot(struct gateway *g, bool end)
{
    if (!end) {
        g->lambda.snapshot++;
        return;
    }
    for (size_t i = 0; i < LAMBDA_BUCKETS; i++) {
        LIST_FOREACH_SAFE(it, &g->lambda.keys[i])
        {
            struct lambda_key *k = container_of(it, struct lambda_key, link);

            if (k->snapshot != g->lambda.snapshot) {
                key_free(k);
            }
        }
        LIST_FOREACH_SAFE(it, &g->lambda.urls[i])
        {
            struct lambda_url_entry *u = container_of(it, struct lambda_url_entry, link);

            if (u->snapshot != g->lambda.snapshot) {
                url_drop(u);
            }
        }
    }
}

void lambda_tables_free(struct gateway *g)
{
    g->lambda.snapshot++;
    gateway_snapshot(g, true);
    free(g->lambda.controller);
    free(g->lambda.account);
}

void gateway_controller(struct gateway *g, const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    char *copy = strndup(host, strcspn(host, "/"));

    if (copy != NULL) {
        free(g->lambda.controller);
        g->lambda.controller = copy;
    }
}
