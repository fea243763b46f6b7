#include "controller/api/package_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/api/package_private.h"

/* --- index -------------------------------------------------------------------- */

static unsigned hex(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t bucket_of(const char *digest)
{
    return hex(digest[0]) * 16 + hex(digest[1]);
}

struct package *package_find(const struct package_store *s, const char *digest)
{
    const struct list *bucket = &s->buckets[bucket_of(digest)];

    LIST_FOREACH(it, bucket)
    {
        struct package *p = container_of(it, struct package, node);

        if (strcmp(p->digest, digest) == 0) {
            return p;
        }
    }
    return NULL;
}

struct package *package_note(struct package_store *s, const char *digest,
                             enum spec_format format, uint64_t bytes)
{
    struct package *p = package_find(s, digest);

    if (p == NULL) {
        p = calloc(1, sizeof(*p));
        if (p == NULL) {
            return NULL;
        }
        memcpy(p->digest, digest, sizeof(p->digest));
        p->bytes = bytes;
        list_push_back(&s->buckets[bucket_of(digest)], &p->node);
        s->n_packages++;
        s->n_bytes += bytes;
    }
    p->formats[format] = true;
    p->wanted_ms = clock_mono_ms();
    return p;
}

static void package_forget(struct package_store *s, struct package *p)
{
    list_remove(&p->node);
    s->n_packages--;
    s->n_bytes -= p->bytes;
    free(p);
}

bool package_store_find(const struct package_store *s, const char *digest,
                        uint64_t *ret_bytes)
{
    const struct package *p = package_find(s, digest);

    if (p != NULL && ret_bytes != NULL) {
        *ret_bytes = p->bytes;
    }
    return p != NULL;
}

bool package_store_has(const struct package_store *s, const char *digest,
                       enum spec_format format)
{
    const struct package *p = package_find(s, digest);

    return p != NULL && p->formats[format];
}

bool package_store_path(const struct package_store *s, const char *digest,
                        char ret[PATH_MAX])
{
    const struct package *p = package_find(s, digest);

    for (unsigned f = 0; p != NULL && f < SPEC_FORMAT_COUNT; f++) {
        if (p->formats[f]) {
            int n = snprintf(ret, PATH_MAX, "%s/%s.%s", s->dir, digest,
                             spec_format_name((enum spec_format)f));

            return n < PATH_MAX;
        }
    }
    return false;
}

size_t package_store_count(const struct package_store *s)
{
    return s->n_packages;
}

uint64_t package_store_bytes(const struct package_store *s)
{
    return s->n_bytes;
}

void package_store_touch(struct package_store *s, const char *digest)
{
    struct package *p = package_find(s, digest);

    if (p != NULL) {
        p->wanted_ms = clock_mono_ms();
    }
}

void package_store_pin(struct package_store *s, const char *digest)
{
    struct package *p = package_find(s, digest);

    CHECK(p != NULL);
    p->pins++;
}

void package_store_unpin(struct package_store *s, const char *digest)
{
    struct package *p = package_find(s, digest);

    CHECK(p != NULL && p->pins > 0);
    p->pins--;
    p->wanted_ms = clock_mono_ms();
}

/* --- collection --------------------------------------------------------------- */

/* Removed on the loop's thread: it is rare, and so nothing can come between the index and
 * the files. */
static void remove_files(struct package_store *s, const struct package *p)
{
    for (unsigned f = 0; f < SPEC_FORMAT_COUNT; f++) {
        char name[SPEC_DIGEST_LEN + 16];

        (void)snprintf(name, sizeof(name), "%s.%s", p->digest,
                       spec_format_name((enum spec_format)f));
        if (p->formats[f]) {
            (void)unlinkat(s->dir_fd, name, 0);
        }
    }
}

size_t package_store_collect(struct package_store *s, uint64_t grace_ms,
                             bool (*used)(void *data, const char *digest), void *data)
{
    uint64_t now_ms = clock_mono_ms();
    size_t n = 0;

    if (s->n_uploads > 0) {
        return 0; /* one of them may just be putting its file there: next time */
    }
    for (size_t i = 0; i < PACKAGE_BUCKETS; i++) {
        LIST_FOREACH_SAFE(it, &s->buckets[i])
        {
            struct package *p = container_of(it, struct package, node);

            if (p->pins == 0 && now_ms - p->wanted_ms >= grace_ms &&
                !used(data, p->digest)) {
                remove_files(s, p);
                package_forget(s, p);
                n++;
            }
        }
    }
    return n;
}

/* --- life --------------------------------------------------------------------- */

/* "<digest>.<format>" */
static bool parse_name(const char *name, char digest[SPEC_DIGEST_LEN + 1],
                       int *ret_format)
{
    if (strlen(name) <= SPEC_DIGEST_LEN + 1 || name[SPEC_DIGEST_LEN] != '.') {
        return false;
    }
    memcpy(digest, name, SPEC_DIGEST_LEN);
    digest[SPEC_DIGEST_LEN] = '\0';
    *ret_format = spec_format_parse(name + SPEC_DIGEST_LEN + 1);
    return *ret_format >= 0 && spec_digest_valid(digest);
}

static int scan(struct package_store *s, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(s->dir);
    struct dirent *e;

    if (dir == NULL) {
        return error_set_errno(err, -errno, "open %s", s->dir);
    }
    while ((e = readdir(dir)) != NULL) {
        char digest[SPEC_DIGEST_LEN + 1];
        struct stat st;
        int format;

        if (strncmp(e->d_name, PACKAGE_UPLOAD_PREFIX, strlen(PACKAGE_UPLOAD_PREFIX)) ==
            0) {
            if (unlinkat(s->dir_fd, e->d_name, 0) < 0 && errno != ENOENT) {
                return error_set_errno(err, -errno, "remove %s/%s", s->dir, e->d_name);
            }
        } else if (parse_name(e->d_name, digest, &format) &&
                   fstatat(s->dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                   S_ISREG(st.st_mode) &&
                   package_note(s, digest, (enum spec_format)format,
                                (uint64_t)st.st_size) == NULL) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

int package_store_new(struct package_store **ret, uv_loop_t *loop, const char *dir,
                      struct error *err)
{
    struct package_store *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || (s->dir = strdup(dir)) == NULL) {
        free(s);
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->loop = loop;
    s->dir_fd = -1;
    for (size_t i = 0; i < PACKAGE_BUCKETS; i++) {
        list_init(&s->buckets[i]);
    }
    if (mkdir(dir, 0750) < 0 && errno != EEXIST) {
        rc = error_set_errno(err, -errno, "make folder %s", dir);
        package_store_free(s);
        return rc;
    }
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = s->dir_fd < 0 ? error_set_errno(err, -errno, "open %s", dir) : scan(s, err);
    if (rc < 0) {
        package_store_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

struct package_store *package_store_free(struct package_store *s)
{
    if (s == NULL) {
        return NULL;
    }
    CHECK(s->n_uploads == 0);
    for (size_t i = 0; i < PACKAGE_BUCKETS; i++) {
        LIST_FOREACH_SAFE(it, &s->buckets[i])
        {
            package_forget(s, container_of(it, struct package, node));
        }
    }
    if (s->dir_fd >= 0) {
        (void)close(s->dir_fd);
    }
    free(s->dir);
    free(s);
    return NULL;
}
