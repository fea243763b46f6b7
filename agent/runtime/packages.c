#include "agent/runtime/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/archive.h"
#include "common/backoff.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/http/http_client.h"
#include "common/list.h"
#include "common/random.h"

#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   10000
#define FETCHES_MAX      4 /* at once: a node that joins a big cluster must not fall over */
#define CONNECT_MS       5000
#define RESPONSE_MS      15000
#define BETWEEN_BYTES_MS 15000

/* One package that is wanted.
 *
 *   WAITING ──slot──▶ FETCHING ──body whole──▶ UNPACKING ──▶ READY
 *      ▲                 │ cannot be reached      │ bad: FAILED (until wanted again)
 *      └── back-off ─────┘                        │
 */
enum item_state { ITEM_WAITING, ITEM_FETCHING, ITEM_UNPACKING, ITEM_READY, ITEM_FAILED };

struct item {
    struct list link;
    struct packages *packages;
    struct package_ref ref;
    enum item_state state;
    bool dropped;      /* unwanted meanwhile: removed when its step has ended */
    uint64_t retry_ms; /* of the loop's clock: not before */
    struct backoff backoff;
    struct http_call *call;
    char tmp[600];
    char dest[600];
    int fd;
    uint64_t got_bytes;
    EVP_MD_CTX *sum;
    enum cause cause; /* of a failure */
    struct error error;
    bool retry;
    uv_work_t work;
};

struct packages {
    uv_loop_t *loop;
    struct packages_options options;
    char *dir;
    char *base_path; /* of the URL: "" or "/prefix" */
    struct list items;
    struct http_client *client; /* NULL: no URL yet */
    uv_timer_t timer;           /* retries, starts and reports */
    unsigned n_working;
    bool closing;
    bool timer_open;
    unsigned n_clients;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void pump(struct packages *p);
static void timer_cb(uv_timer_t *timer);

static struct item *find(const struct packages *p, const char *digest)
{
    LIST_FOREACH(it, &p->items)
    {
        struct item *i = container_of(it, struct item, link);

        if (strcmp(i->ref.digest, digest) == 0) {
            return i;
        }
    }
    return NULL;
}

static void item_free(struct item *i)
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

static void poke(struct packages *p, uint64_t in_ms)
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

/* --- the end of a step ---------------------------------------------------------------
 */

static void closed_check(struct packages *p);

static void fail(struct item *i, enum cause cause)
{
    i->state = ITEM_FAILED;
    i->cause = cause;
}

static void close_tmp(struct item *i)
{
    if (i->fd >= 0) {
        (void)close(i->fd);
        i->fd = -1;
    }
    if (i->tmp[0] != '\0') {
        (void)unlink(i->tmp);
        i->tmp[0] = '\0';
    }
    EVP_MD_CTX_free(i->sum);
    i->sum = NULL;
}

/* Reports, retries or forgets, when neither network nor worker holds the item. */
static void settle(struct item *i)
{
    struct packages *p = i->packages;

    close_tmp(i);
    if (i->dropped || p->closing) {
        if (i->state == ITEM_READY) {
            (void)archive_remove_tree(i->dest, NULL);
        }
        item_free(i);
    } else if (i->retry) {
        i->retry = false;
        i->state = ITEM_WAITING;
        i->retry_ms = uv_now(p->loop) + backoff_next_ms(&i->backoff, random_u64());
    } else if (i->state == ITEM_READY) {
        p->options.on_ready(p->options.data, i->ref.digest);
    } else if (i->state == ITEM_FAILED) {
        p->options.on_failed(p->options.data, i->ref.digest, i->cause, i->error.text);
    }
    if (p->closing) {
        closed_check(p);
    } else {
        pump(p);
    }
}

/* --- unpacking, on a worker thread
 * ------------------------------------------------------ */

static enum cause cause_of(int rc)
{
    return rc == -EBADMSG                   ? CAUSE_PACKAGE_INVALID
           : rc == -ENOSPC || rc == -EDQUOT ? CAUSE_DISK_FULL
                                            : CAUSE_INTERNAL;
}

static void unpack_work(uv_work_t *work)
{
    struct item *i = container_of(work, struct item, work);
    int rc;

    if (fsync(i->fd) < 0) {
        rc = error_set_errno(&i->error, -errno, "write %s", i->tmp);
    } else {
        rc = archive_unpack(i->tmp, i->ref.format, i->ref.file_name, i->dest, NULL,
                            &i->error);
    }
    i->error.code = rc == -EEXIST ? 0 : rc; /* it is there: as whole as ours would be */
}

static void unpacked_cb(uv_work_t *work, int status)
{
    struct item *i = container_of(work, struct item, work);

    i->packages->n_working--;
    if (status == 0 && i->error.code == 0) {
        i->state = ITEM_READY;
    } else {
        fail(i, cause_of(i->error.code));
    }
    settle(i);
}

static void unpack(struct item *i)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[SPEC_DIGEST_LEN + 1];

    CHECK(EVP_DigestFinal_ex(i->sum, sum, NULL) == 1);
    for (size_t n = 0; n < SPEC_DIGEST_LEN / 2; n++) {
        (void)snprintf(hex + 2 * n, 3, "%02x", sum[n]);
    }
    if (strcmp(hex, i->ref.digest) != 0) {
        (void)error_set(&i->error, -EBADMSG,
                        "the package's SHA-256 is %s and not its digest", hex);
        fail(i, CAUSE_PACKAGE_INVALID);
        settle(i);
        return;
    }
    i->state = ITEM_UNPACKING;
    i->packages->n_working++;
    CHECK(uv_queue_work(i->packages->loop, &i->work, unpack_work, unpacked_cb) == 0);
}

/* --- fetching
 * --------------------------------------------------------------------------- */

static void on_response(struct http_call *call, int status, struct http_headers headers,
                        uint64_t content_length)
{
    struct item *i = http_call_data(call);

    (void)headers;
    if (status == 404) {
        /* It may be on its way to the controller's disk: retried like an outage. */
        (void)error_set(&i->error, -ENOENT, "the controller does not have the package");
        i->retry = true;
    } else if (status != 200) {
        (void)error_set(&i->error, -EAGAIN, "the controller answered %d", status);
        i->retry = true;
    } else if (content_length != HTTP_BODY_CHUNKED && i->ref.bytes != 0 &&
               content_length != i->ref.bytes) {
        (void)error_set(&i->error, -EBADMSG, "the package has %llu bytes instead of %llu",
                        (unsigned long long)content_length,
                        (unsigned long long)i->ref.bytes);
        fail(i, CAUSE_PACKAGE_INVALID);
    }
    if (i->retry || i->state == ITEM_FAILED) {
        http_call_cancel(call);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct item *i = http_call_data(call);

    if (i->retry || i->state == ITEM_FAILED || i->dropped) {
        return;
    }
    i->got_bytes += len;
    if (i->ref.bytes != 0 && i->got_bytes > i->ref.bytes) {
        (void)error_set(&i->error, -EBADMSG, "the package is longer than %llu bytes",
                        (unsigned long long)i->ref.bytes);
        fail(i, CAUSE_PACKAGE_INVALID);
        http_call_cancel(call);
        return;
    }
    CHECK(EVP_DigestUpdate(i->sum, data, len) == 1);
    while (len > 0) {
        /* Into the page cache; the flush that waits for the disk is the worker's. */
        ssize_t n = write(i->fd, data, len);

        if (n < 0 && errno != EINTR) {
            int rc = error_set_errno(&i->error, -errno, "write package");

            fail(i, cause_of(rc));
            http_call_cancel(call);
            return;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void on_close(struct http_call *call, int status)
{
    struct item *i = http_call_data(call);

    i->call = NULL;
    i->packages->n_working--;
    if (status < 0 && i->state != ITEM_FAILED) {
        i->retry = true;
    }
    if (i->retry || i->state == ITEM_FAILED || i->dropped || i->packages->closing) {
        settle(i);
    } else {
        unpack(i);
    }
}

static const struct http_call_ops fetch_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_close = on_close,
};

static int open_tmp(struct item *i)
{
    (void)snprintf(i->tmp, sizeof(i->tmp), "%s/.fetch-%s", i->packages->dir,
                   i->ref.digest);
    i->fd = open(i->tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (i->fd < 0) {
        return error_set_errno(&i->error, -errno, "create %s", i->tmp);
    }
    i->sum = EVP_MD_CTX_new();
    if (i->sum == NULL || EVP_DigestInit_ex(i->sum, EVP_sha256(), NULL) != 1) {
        return error_set(&i->error, -ENOMEM, "out of memory");
    }
    i->got_bytes = 0;
    return 0;
}

static void fetch(struct item *i)
{
    struct packages *p = i->packages;
    char target[256];
    int rc = open_tmp(i);

    if (rc < 0) {
        fail(i, cause_of(rc));
        settle(i);
        return;
    }
    (void)snprintf(target, sizeof(target), "%s/v1/packages/%s", p->base_path,
                   i->ref.digest);
    i->state = ITEM_FETCHING;
    p->n_working++;
    rc = http_call_start(p->client, &i->call, HTTP_STR("GET"), http_str(target),
                         (struct http_headers){0}, NULL, 0, &fetch_ops, i);
    if (rc < 0) {
        p->n_working--;
        i->retry = true;
        settle(i);
    }
}

/* Starts what is due, and sets the timer for what is due next. */
static void pump(struct packages *p)
{
    poke(p, 0);
}

static void timer_cb(uv_timer_t *timer)
{
    struct packages *p = container_of(timer, struct packages, timer);
    uint64_t now = uv_now(p->loop);
    uint64_t next = UINT64_MAX;
    struct item *due = NULL;

    LIST_FOREACH(it, &p->items)
    {
        struct item *i = container_of(it, struct item, link);

        if (i->state == ITEM_WAITING && p->client != NULL) {
            if (i->retry_ms <= now && due == NULL) {
                due = i;
            } else if (i->retry_ms < next) {
                next = i->retry_ms;
            }
        }
    }
    if (next != UINT64_MAX) {
        poke(p, next > now ? next - now : 1);
    }
    if (due != NULL && p->n_working < FETCHES_MAX) {
        fetch(due); /* may change the list: one a turn */
        poke(p, 0);
    }
}

/* --- life
 * ------------------------------------------------------------------------------- */

/* What an earlier agent left half-done is removed; what it left whole is kept. */
static int clean_dir(struct packages *p, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(p->dir);
    struct dirent *e;

    if (dir == NULL) {
        return error_set_errno(err, -errno, "open folder %s", p->dir);
    }
    while ((e = readdir(dir)) != NULL) {
        char path[600];

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

static void closed_check(struct packages *p)
{
    void (*on_closed)(void *data) = p->on_closed;
    void *data = p->closed_data;

    if (p->timer_open || p->n_clients > 0 || p->n_working > 0 || !list_empty(&p->items)) {
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
    closed_check(p);
}

static void client_closed(struct http_client *c)
{
    struct packages *p = c->data;

    p->n_clients--;
    free(c);
    if (p->closing) {
        closed_check(p);
    }
}

void packages_close(struct packages *p, void (*on_closed)(void *data), void *data)
{
    p->closing = true;
    p->on_closed = on_closed;
    p->closed_data = data;
    LIST_FOREACH_SAFE(it, &p->items)
    {
        struct item *i = container_of(it, struct item, link);

        if (i->state != ITEM_FETCHING && i->state != ITEM_UNPACKING) {
            item_free(i);
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
        .connections_max = FETCHES_MAX,
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
        container_of(it, struct item, link)->retry_ms = 0;
    }
    pump(p);
}

static void present_work(uv_work_t *work)
{
    struct item *i = container_of(work, struct item, work);

    i->error.code = 0;
}

void packages_want(struct packages *p, const struct package_ref *ref)
{
    struct item *i = find(p, ref->digest);
    struct stat st;

    if (i != NULL && i->state != ITEM_FAILED) {
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
    i->state = ITEM_WAITING;
    i->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    i->retry_ms = 0;
    i->error = (struct error){0};
    if (stat(i->dest, &st) == 0 && S_ISDIR(st.st_mode)) {
        /* Whole, from before. Told from the loop, not from within this call. */
        i->state = ITEM_UNPACKING;
        p->n_working++;
        CHECK(uv_queue_work(p->loop, &i->work, present_work, unpacked_cb) == 0);
        return;
    }
    pump(p);
}

void packages_drop(struct packages *p, const char *digest)
{
    struct item *i = find(p, digest);

    if (i == NULL) {
        return;
    }
    if (i->state == ITEM_FETCHING) {
        i->dropped = true;
        if (i->call != NULL) {
            http_call_cancel(i->call);
        }
    } else if (i->state == ITEM_UNPACKING) {
        i->dropped = true;
    } else {
        /* Off its name at once, so that it cannot be wanted half gone. */
        if (i->state == ITEM_READY) {
            char gone[700];

            (void)snprintf(gone, sizeof(gone), "%s.tmp-gone", i->dest);
            (void)archive_remove_tree(gone, NULL);
            if (rename(i->dest, gone) == 0) {
                (void)archive_remove_tree(gone, NULL);
            }
        }
        item_free(i);
    }
}

bool packages_has(const struct packages *p, const char *digest)
{
    const struct item *i = find(p, digest);

    return i != NULL && i->state == ITEM_READY && !i->dropped;
}
