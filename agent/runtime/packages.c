/* Which packages are wanted, which are there, and their folder. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/packages_private.h"
#include "common/archive.h"
#include "common/check.h"
#include "common/cleanup.h"

#define CONNECT_MS       5000
#define RESPONSE_MS      15000
#define BETWEEN_BYTES_MS 15000

static void timer_cb(uv_timer_t *timer);

static struct package_item *find(const struct packages *p, const char *digest)
{
    LIST_FOREACH(it, &p->items)
    {
        struct package_item *i = container_of(it, struct package_item, link);

        if (strcmp(i->ref.digest, digest) == 0) {
            return i;
        }
    }
    return NULL;
}

void package_item_free(struct package_item *i)
{
    list_remove(&i->link);
    EVP_MD_CTX_free(i->sum);
    if (i->fd >= 0) {
        (void)close(i->fd);
    }
    if (i->tmp[0] != '\0') {
        (void)unlink(i->tmp);
    }
    free(i);
}

/* --- removal ---------------------------------------------------------------------- */

struct removal {
    uv_work_t work;
    struct packages *packages;
    char path[700];
};

static void remove_work(uv_work_t *work)
{
    (void)archive_remove_tree(container_of(work, struct removal, work)->path, NULL);
}

static void removed_cb(uv_work_t *work, int status)
{
    struct removal *r = container_of(work, struct removal, work);
    struct packages *p = r->packages;

    free(r);
    p->n_removing--;
    if (p->closing) {
        packages_closed_check(p);
    }
}

void package_remove(struct packages *p, const char *dest)
{
    struct removal *r = malloc(sizeof(*r));

    if (r == NULL) {
        return; /* stays until it is wanted again */
    }
    r->packages = p;
    (void)snprintf(r->path, sizeof(r->path), "%s.tmp-gone-%llu", dest,
                   (unsigned long long)++p->last_gone);
    if (rename(dest, r->path) < 0) {
        free(r);
        return;
    }
    p->n_removing++;
    CHECK(uv_queue_work(p->loop, &r->work, remove_work, removed_cb) == 0);
}

/* --- what is due ------------------------------------------------------------------ */

void packages_poke(struct packages *p, uint64_t in_ms)
{
    if (!p->closing) {
        uint64_t due = uv_is_active((uv_handle_t *)&p->timer)
                           ? uv_timer_get_due_in(&p->timer)
                           : UINT64_MAX;

        if (in_ms < due) {
            CHECK(uv_timer_start(&p->timer, timer_cb, in_ms, 0) == 0);
        }
    }
}

/* Starts what is due, and sets the timer for what is due next. */
static void timer_cb(uv_timer_t *timer)
{
    struct packages *p = container_of(timer, struct packages, timer);
    uint64_t now = uv_now(p->loop);
    uint64_t next = UINT64_MAX;
    struct package_item *due = NULL;

    LIST_FOREACH(it, &p->items)
    {
        struct package_item *i = container_of(it, struct package_item, link);

        if (i->state == PACKAGE_WAITING && p->client != NULL) {
            if (i->retry_ms <= now && due == NULL) {
                due = i;
            } else if (i->retry_ms < next) {
                next = i->retry_ms;
            }
        }
    }
    if (next != UINT64_MAX) {
        packages_poke(p, next > now ? next - now : 1);
    }
    if (due != NULL && p->n_working < PACKAGE_FETCHES_MAX) {
        package_fetch(due); /* may change the list: one a turn */
        packages_poke(p, 0);
    }
}

/* --- life ------------------------------------------------------------------------- */

/* What an earlier agent left half-done is removed; what it left whole is kept. */
static int clean_dir(struct packages *p, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(p->dir);
    struct dirent *e;

    if (dir == NULL) {
        return error_set_errno(err, -errno, "open folder %s", p->dir);
    }
    while ((e = readdir(dir)) != NULL) {
        char path[700];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", p->dir, e->d_name);
        if (strncmp(e->d_name, ".fetch-", 7) == 0) {
            (void)unlink(path);
        } else if (strstr(e->d_name, ".tmp-") != NULL) {
            (void)archive_remove_tree(path, NULL);
        }
    }
    return 0;
}

int packages_new(struct packages **ret, uv_loop_t *loop,
                 const struct packages_options *options, struct error *err)
{
    struct packages *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL || strlen(options->dir) > 400 ||
        (p->dir = strdup(options->dir)) == NULL) {
        free(p);
        return error_set(err, -ENOMEM, "packages folder %s: too long or out of memory",
                         options->dir);
    }
    if (mkdir(p->dir, 0755) < 0 && errno != EEXIST) {
        rc = error_set_errno(err, -errno, "make folder %s", p->dir);
    } else {
        rc = clean_dir(p, err);
    }
    if (rc < 0) {
        free(p->dir);
        free(p);
        return rc;
    }
    p->loop = loop;
    p->options = *options;
    list_init(&p->items);
    CHECK(uv_timer_init(loop, &p->timer) == 0);
    p->timer_open = true;
    *ret = p;
    return 0;
}

void packages_closed_check(struct packages *p)
{
    void (*on_closed)(void *data) = p->on_closed;
    void *data = p->closed_data;

    if (p->timer_open || p->n_clients > 0 || p->n_working > 0 || p->n_removing > 0 ||
        !list_empty(&p->items)) {
        return;
    }
    free(p->base_path);
    free(p->dir);
    free(p);
    if (on_closed != NULL) {
        on_closed(data);
    }
}

static void timer_closed(uv_handle_t *handle)
{
    struct packages *p = container_of((uv_timer_t *)handle, struct packages, timer);

    p->timer_open = false;
    packages_closed_check(p);
}

static void client_closed(struct http_client *c)
{
    struct packages *p = c->data;

    p->n_clients--;
    free(c);
    if (p->closing) {
        packages_closed_check(p);
    }
}

void packages_close(struct packages *p, void (*on_closed)(void *data), void *data)
{
    p->closing = true;
    p->on_closed = on_closed;
    p->closed_data = data;
    LIST_FOREACH_SAFE(it, &p->items)
    {
        struct package_item *i = container_of(it, struct package_item, link);

        if (i->state != PACKAGE_FETCHING && i->state != PACKAGE_UNPACKING) {
            package_item_free(i);
        }
    }
    uv_close((uv_handle_t *)&p->timer, timer_closed);
    if (p->client != NULL) {
        http_client_close(p->client, client_closed);
        p->client = NULL;
    }
}

/* "http://host:port[/prefix]"; host numeric, IPv6 in brackets. */
static int parse_url(const char *url, char host[64], uint16_t *ret_port,
                     const char **path)
{
    const char *at = url;
    size_t len;
    unsigned long port = 80;

    if (strncmp(at, "http://", 7) != 0) {
        return -EINVAL;
    }
    at += 7;
    if (*at == '[') {
        at++;
        len = strcspn(at, "]");
    } else {
        len = strcspn(at, ":/");
    }
    if (len == 0 || len >= 64) {
        return -EINVAL;
    }
    memcpy(host, at, len);
    host[len] = '\0';
    at += len + (at[len] == ']' ? 1 : 0);
    if (*at == ':') {
        char *end;

        port = strtoul(at + 1, &end, 10);
        at = end;
    }
    if (port == 0 || port > UINT16_MAX || (*at != '\0' && *at != '/')) {
        return -EINVAL;
    }
    *ret_port = (uint16_t)port;
    *path = at;
    return 0;
}

void packages_set_url(struct packages *p, const char *base_url)
{
    struct http_client_options options = {
        .connect_timeout_ms = CONNECT_MS,
        .response_timeout_ms = RESPONSE_MS,
        .idle_timeout_ms = BETWEEN_BYTES_MS,
        .connections_max = PACKAGE_FETCHES_MAX,
    };
    struct http_client *client;
    char host[64];
    const char *path;
    char *base;
    size_t len;

    if (parse_url(base_url, host, &options.port, &path) < 0) {
        return; /* the old one, if any, stays in use */
    }
    options.host = host;
    client = calloc(1, sizeof(*client));
    base = strdup(path);
    if (client == NULL || base == NULL ||
        http_client_open(client, p->loop, &options) < 0) {
        free(client);
        free(base);
        return;
    }
    client->data = p;
    len = strlen(base);
    if (len > 0 && base[len - 1] == '/') {
        base[len - 1] = '\0';
    }
    if (p->client !=
        NULL) { /* its calls end with -ECANCELED and are retried on the new */
        http_client_close(p->client, client_closed);
    }
    free(p->base_path);
    p->base_path = base;
    p->client = client;
    p->n_clients++;
    LIST_FOREACH(it, &p->items)
    {
        container_of(it, struct package_item, link)->retry_ms = 0;
    }
    packages_poke(p, 0);
}

void packages_want(struct packages *p, const struct package_ref *ref)
{
    struct package_item *i = find(p, ref->digest);
    struct stat st;

    if (i != NULL && i->state != PACKAGE_FAILED) {
        i->dropped = false; /* one fetch serves all who want it */
        return;
    }
    if (!spec_digest_valid(ref->digest)) {
        return;
    }
    if (i == NULL) {
        i = calloc(1, sizeof(*i));
        if (i == NULL) {
            return;
        }
        i->packages = p;
        i->fd = -1;
        i->ref = *ref;
        (void)snprintf(i->dest, sizeof(i->dest), "%s/%s", p->dir, ref->digest);
        list_push_back(&p->items, &i->link);
    }
    i->state = PACKAGE_WAITING;
    i->backoff = (struct backoff){.min_ms = PACKAGE_BACKOFF_MIN_MS,
                                  .max_ms = PACKAGE_BACKOFF_MAX_MS};
    i->retry_ms = 0;
    i->error = (struct error){0};
    if (stat(i->dest, &st) == 0 && S_ISDIR(st.st_mode)) {
        /* Whole, from before. Told from the loop, not from within this call. */
        package_present(i);
        return;
    }
    packages_poke(p, 0);
}

void packages_drop(struct packages *p, const char *digest)
{
    struct package_item *i = find(p, digest);

    if (i == NULL) {
        return;
    }
    if (i->state == PACKAGE_FETCHING) {
        i->dropped = true;
        if (i->call != NULL) {
            http_call_cancel(i->call);
        }
    } else if (i->state == PACKAGE_UNPACKING) {
        i->dropped = true;
    } else {
        if (i->state == PACKAGE_READY) {
            package_remove(p, i->dest);
        }
        package_item_free(i);
    }
}

void packages_prune(struct packages *p)
{
    _cleanup_closedir_ DIR *dir = opendir(p->dir);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[700];

        if (spec_digest_valid(e->d_name) && find(p, e->d_name) == NULL) {
            (void)snprintf(path, sizeof(path), "%s/%s", p->dir, e->d_name);
            package_remove(p, path);
        }
    }
}

bool packages_has(const struct packages *p, const char *digest)
{
    const struct package_item *i = find(p, digest);

    return i != NULL && i->state == PACKAGE_READY && !i->dropped;
}
