#include "common/archive_tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define N_BUCKETS   8192
#define LINKS_MAX   40   /* as the kernel: path_resolution(7) */
#define STEPS_MAX   4096 /* components a single symlink may lead through */
#define SHOWN_CHARS 160  /* of a name in an error */

struct node {
    struct node *parent; /* NULL: the root */
    struct node *next_in_bucket;
    struct node *next; /* all */
    enum archive_kind kind;
    bool implied; /* a folder that no entry named yet */
    char *target;
    char name[];
};

struct archive_tree {
    struct node *buckets[N_BUCKETS];
    struct node *all;
    struct node *root;
    uint32_t n;
    uint32_t entries_max;
};

static struct node **bucket(const struct archive_tree *t, const struct node *parent,
                            const char *name, size_t len)
{
    uint64_t h = 14695981039346656037ULL ^ (uint64_t)(uintptr_t)parent;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * 1099511628211ULL;
    }
    return (struct node **)&t->buckets[(h ^ (h >> 32)) % N_BUCKETS];
}

static struct node *find(const struct archive_tree *t, const struct node *parent,
                         const char *name, size_t len)
{
    for (struct node *n = *bucket(t, parent, name, len); n != NULL;
         n = n->next_in_bucket) {
        if (n->parent == parent && strlen(n->name) == len &&
            memcmp(n->name, name, len) == 0) {
            return n;
        }
    }
    return NULL;
}

static struct node *add(struct archive_tree *t, struct node *parent, const char *name,
                        size_t len)
{
    struct node *n = calloc(1, sizeof(*n) + len + 1);
    struct node **b = bucket(t, parent, name, len);

    if (n == NULL) {
        return NULL;
    }
    memcpy(n->name, name, len);
    n->parent = parent;
    n->next_in_bucket = *b;
    *b = n;
    n->next = t->all;
    t->all = n;
    t->n++;
    return n;
}

int archive_tree_new(struct archive_tree **ret, uint32_t entries_max)
{
    struct archive_tree *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        return -ENOMEM;
    }
    t->entries_max = entries_max;
    t->root = add(t, NULL, "", 0);
    if (t->root == NULL) {
        free(t);
        return -ENOMEM;
    }
    t->root->implied = true;
    t->n = 0; /* the root is not an entry */
    *ret = t;
    return 0;
}

struct archive_tree *archive_tree_free(struct archive_tree *t)
{
    if (t != NULL) {
        for (struct node *n = t->all, *next; n != NULL; n = next) {
            next = n->next;
            free(n->target);
            free(n);
        }
        free(t);
    }
    return NULL;
}

/* --- names -------------------------------------------------------------------- */

/* An entry's name as text for people: it is the archive's, so anything may be in it. */
static const char *shown(const char *name, char out[SHOWN_CHARS + 4])
{
    size_t i;

    for (i = 0; name[i] != '\0' && i < SHOWN_CHARS; i++) {
        unsigned char c = (unsigned char)name[i];

        out[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    memcpy(out + i, name[i] != '\0' ? "..." : "", name[i] != '\0' ? 4 : 1);
    return out;
}

static int refuse(struct error *err, const char *name, const char *why)
{
    char text[SHOWN_CHARS + 4];

    return error_set(err, -EBADMSG, "entry \"%s\": %s", shown(name, text), why);
}

static const char *name_fault(const char *name)
{
    if (name[0] == '\0') {
        return "the name is empty";
    }
    if (name[0] == '/') {
        return "the path is absolute; it must be relative to the package";
    }
    if (strchr(name, '\\') != NULL) {
        return "the name has a backslash; use '/' between folders";
    }
    if (strlen(name) > ARCHIVE_PATH_MAX) {
        return "the path is longer than 4095 bytes";
    }
    return NULL;
}

/* The next component of *at: true and its place, or false at the end. Skips "/" and ".".
 */
static bool component(const char **at, const char **ret, size_t *ret_len)
{
    for (;;) {
        *at += strspn(*at, "/");
        *ret_len = strcspn(*at, "/");
        *ret = *at;
        *at += *ret_len;
        if (*ret_len == 0) {
            return false;
        }
        if (!(*ret_len == 1 && (*ret)[0] == '.')) {
            return true;
        }
    }
}

/* The clean path of a name, or why it is refused. */
static const char *clean(const char *name, char ret[ARCHIVE_PATH_MAX + 1])
{
    const char *fault = name_fault(name);
    const char *at = name;
    const char *c;
    size_t len;
    size_t out = 0;
    unsigned depth = 0;

    if (fault != NULL) {
        return fault;
    }
    while (component(&at, &c, &len)) {
        if (len == 2 && memcmp(c, "..", 2) == 0) {
            return "\"..\" in the path leads out of the package";
        }
        if (len > NAME_MAX) {
            return "a name in the path is longer than 255 bytes";
        }
        if (++depth > ARCHIVE_DEPTH_MAX) {
            return "the path is more than 64 folders deep";
        }
        if (out > 0) {
            ret[out++] = '/';
        }
        memcpy(ret + out, c, len);
        out += len;
    }
    ret[out] = '\0';
    return NULL;
}

/* The folder that a clean path lies in, made where it is missing; *ret_last is the last
 * component. */
static int parent_of(struct archive_tree *t, const char *name, const char *path,
                     struct node **ret, const char **ret_last, struct error *err)
{
    struct node *n = t->root;
    const char *at = path;

    for (const char *slash; (slash = strchr(at, '/')) != NULL; at = slash + 1) {
        struct node *next = find(t, n, at, (size_t)(slash - at));

        if (next == NULL) {
            if (t->n >= t->entries_max) {
                return error_set(err, -EBADMSG, "more than %u entries", t->entries_max);
            }
            next = add(t, n, at, (size_t)(slash - at));
            if (next == NULL) {
                return error_set(err, -ENOMEM, "out of memory");
            }
            next->implied = true;
        }
        if (next->kind == ARCHIVE_SYMLINK) {
            return refuse(err, name, "it would be written through a symlink");
        }
        if (next->kind != ARCHIVE_FOLDER) {
            return refuse(err, name, "it lies under a file");
        }
        n = next;
    }
    *ret = n;
    *ret_last = at;
    return 0;
}

int archive_tree_add(struct archive_tree *t, const char *name, enum archive_kind kind,
                     const char *target, char ret_path[ARCHIVE_PATH_MAX + 1],
                     struct error *err)
{
    const char *fault = clean(name, ret_path);
    const char *last = "";
    struct node *parent = NULL;
    struct node *n;
    int rc;

    if (fault != NULL) {
        return refuse(err, name, fault);
    }
    if (ret_path[0] != '\0') {
        rc = parent_of(t, name, ret_path, &parent, &last, err);
        if (rc < 0) {
            return rc;
        }
    }
    n = parent == NULL ? t->root : find(t, parent, last, strlen(last));
    if (n != NULL) {
        if (!n->implied || kind != ARCHIVE_FOLDER) {
            return refuse(err, name, "the name is there twice");
        }
        n->implied = false;
        return 0;
    }
    if (t->n >= t->entries_max) {
        return error_set(err, -EBADMSG, "more than %u entries", t->entries_max);
    }
    n = add(t, parent, last, strlen(last));
    if (n == NULL || (target != NULL && (n->target = strdup(target)) == NULL)) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    n->kind = kind;
    return 0;
}

int archive_tree_find_file(const struct archive_tree *t, const char *name,
                           char ret_path[ARCHIVE_PATH_MAX + 1], struct error *err)
{
    const char *fault = clean(name, ret_path);
    const struct node *n = t->root;
    const char *at = ret_path;
    const char *c;
    size_t len;

    if (fault != NULL) {
        return refuse(err, name, fault);
    }
    while (n != NULL && component(&at, &c, &len)) {
        n = find(t, n, c, len);
    }
    if (n == NULL || n->kind != ARCHIVE_FILE) {
        return refuse(err, name, "a hard link must name a file earlier in the archive");
    }
    return 0;
}

/* --- symlinks ----------------------------------------------------------------- */

static const char *follow(const struct archive_tree *t, const struct node *from,
                          const char *path, unsigned *links, unsigned *steps,
                          const struct node **ret);

static const char *step(const struct archive_tree *t, const struct node **at,
                        unsigned *below, const char *c, size_t len, unsigned *links,
                        unsigned *steps)
{
    const struct node *next;

    if (len == 2 && memcmp(c, "..", 2) == 0) {
        if (*below > 0) { /* in folders that are not there */
            (*below)--;
            return NULL;
        }
        *at = (*at)->parent;
        return *at == NULL ? "the symlink leads out of the package" : NULL;
    }
    next = *below > 0 ? NULL : find(t, *at, c, len);
    if (next == NULL || next->kind == ARCHIVE_FILE) {
        (*below)++; /* leads nowhere: harmless as long as it stays inside */
        return NULL;
    }
    if (next->kind == ARCHIVE_FOLDER) {
        *at = next;
        return NULL;
    }
    if (++*links > LINKS_MAX) {
        return "too many symlinks behind each other";
    }
    return follow(t, *at, next->target, links, steps, at);
}

/* The folder that path leads to from `from`; what does not exist counts as its parent. */
static const char *follow(const struct archive_tree *t, const struct node *from,
                          const char *path, unsigned *links, unsigned *steps,
                          const struct node **ret)
{
    const struct node *at = from;
    const char *fault = NULL;
    const char *c;
    size_t len;
    unsigned below = 0;

    if (path[0] == '/') {
        return "the symlink is absolute; it must stay in the package";
    }
    while (fault == NULL && component(&path, &c, &len)) {
        if (++*steps > STEPS_MAX) {
            return "too many symlinks behind each other";
        }
        fault = step(t, &at, &below, c, len, links, steps);
    }
    *ret = at;
    return fault;
}

int archive_tree_check_links(const struct archive_tree *t, struct error *err)
{
    for (const struct node *n = t->all; n != NULL; n = n->next) {
        const struct node *end = NULL;
        unsigned links = 0;
        unsigned steps = 0;
        const char *fault;

        if (n->kind != ARCHIVE_SYMLINK) {
            continue;
        }
        fault = n->target[0] == '\0'
                    ? "the symlink has no target"
                    : follow(t, n->parent, n->target, &links, &steps, &end);
        if (fault != NULL) {
            return refuse(err, n->name, fault);
        }
    }
    return 0;
}
