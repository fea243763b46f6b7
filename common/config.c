#include "common/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "common/config_tree.h"

#define PATH_SIZE 256 /* of a dotted key; longer ones cannot be in any table */

struct apply {
    const char *name;
    const struct config_key *keys;
    size_t n_keys;
    void *target;
    size_t *seen_line; /* a key: the line it was given in, 0 if not yet */
    bool store;        /* false: check only, so that a bad file changes nothing */
    struct error *err;
};

/* The key, or the section that keys are in, that is most like path. "" if none is. */
static void suggest(const struct apply *a, const char *path, char ret[PATH_SIZE])
{
    unsigned best = strlen(path) < 6 ? 3 : 4; /* one more than the edits we believe in */

    ret[0] = '\0';
    for (size_t i = 0; i < a->n_keys; i++) {
        const char *name = a->keys[i].name;

        for (const char *end = name; end != NULL && *end != '\0';) {
            char part[PATH_SIZE];
            unsigned d;

            end = strchr(end + 1, '.');
            (void)snprintf(part, sizeof(part), "%.*s",
                           end != NULL ? (int)(end - name) : (int)strlen(name), name);
            d = config_edit_distance(path, part, best);
            if (d < best) {
                best = d;
                memcpy(ret, part, sizeof(part));
            }
        }
    }
}

/* ":12", or "" for what came from a command line. */
struct line_text {
    char text[24];
};

static struct line_text at(size_t line)
{
    struct line_text t = {""};

    if (line > 0) {
        (void)snprintf(t.text, sizeof(t.text), ":%zu", line);
    }
    return t;
}

static int wrong(const struct apply *a, size_t line, const char *path, int code,
                 const char *value, const char *want)
{
    char excerpt[CONFIG_EXCERPT_SIZE];

    if (value == NULL) {
        return error_set(a->err, code, "%s%s: %s: %s", a->name, at(line).text, path,
                         want);
    }
    return error_set(a->err, code, "%s%s: %s: \"%s\" is not %s", a->name, at(line).text,
                     path, config_excerpt(value, excerpt), want);
}

static int out_of_memory(const struct apply *a)
{
    return error_set(a->err, -ENOMEM, "%s: out of memory", a->name);
}

static uint64_t type_max(enum config_type type)
{
    switch (type) {
    case CONFIG_U16:
        return UINT16_MAX;
    case CONFIG_U32:
    case CONFIG_MS:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

static int convert_number(const struct apply *a, const struct config_key *k,
                          const struct config_node *node, uint64_t *ret)
{
    bool has_range = k->min != 0 || k->max != 0;
    uint64_t max = has_range ? k->max : type_max(k->type);
    uint64_t min = k->min, unit = k->type == CONFIG_DECIMAL ? 100 : 1;
    int rc;

    CHECK(max <= type_max(k->type));
    max = max <= UINT64_MAX / unit ? max * unit : UINT64_MAX;
    min *= unit;
    if (k->type == CONFIG_MS) {
        rc = config_parse_ms(node->text, ret);
    } else if (k->type == CONFIG_BYTES) {
        rc = config_parse_bytes(node->text, ret);
    } else if (k->type == CONFIG_DECIMAL) {
        rc = config_parse_hundredths(node->text, ret);
    } else {
        rc = config_parse_u64(node->text, ret);
    }
    if (rc == -EINVAL) {
        return wrong(a, node->line, k->name, -EINVAL, node->text,
                     k->type == CONFIG_MS ? "a duration: write 500ms, 30s, 5m or 1h"
                     : k->type == CONFIG_BYTES
                         ? "a size: write a number of bytes, or 64Ki, 128Mi, 2Gi"
                     : k->type == CONFIG_DECIMAL
                         ? "a number with two decimals at most: write 2 or 1.5"
                         : "a whole number");
    }
    if (rc == -ERANGE || *ret > max || *ret < min) {
        char excerpt[CONFIG_EXCERPT_SIZE];

        return error_set(a->err, -ERANGE,
                         "%s%s: %s: %s is out of range; allowed is %" PRIu64
                         " to %" PRIu64 "%s",
                         a->name, at(node->line).text, k->name,
                         config_excerpt(node->text, excerpt), k->min, max / unit,
                         k->type == CONFIG_MS      ? " ms"
                         : k->type == CONFIG_BYTES ? " bytes"
                                                   : "");
    }
    return 0;
}

static int convert_bool(const struct apply *a, const struct config_key *k,
                        const struct config_node *node, bool *ret)
{
    static const char *const names[2][3] = {{"false", "False", "FALSE"},
                                            {"true", "True", "TRUE"}};

    for (int v = 0; v < 2; v++) {
        for (int i = 0; i < 3; i++) {
            if (strcmp(node->text, names[v][i]) == 0) {
                *ret = v == 1;
                return 0;
            }
        }
    }
    return wrong(a, node->line, k->name, -EINVAL, node->text, "true or false");
}

static int apply_scalar(const struct apply *a, const struct config_key *k,
                        const struct config_node *node)
{
    char *field = (char *)a->target + k->offset;
    uint64_t number = 0;
    bool truth = false;
    char *copy;
    int rc;

    if (k->type == CONFIG_STR) {
        if (!a->store) {
            return 0;
        }
        copy = strdup(node->text);
        if (copy == NULL) {
            return out_of_memory(a);
        }
        free(*(char **)field);
        *(char **)field = copy;
        return 0;
    }
    rc = k->type == CONFIG_BOOL ? convert_bool(a, k, node, &truth)
                                : convert_number(a, k, node, &number);
    if (rc < 0 || !a->store) {
        return rc;
    }
    switch (k->type) {
    case CONFIG_BOOL:
        *(bool *)field = truth;
        break;
    case CONFIG_U16:
        *(uint16_t *)field = (uint16_t)number;
        break;
    case CONFIG_U32:
    case CONFIG_MS:
        *(uint32_t *)field = (uint32_t)number;
        break;
    case CONFIG_DECIMAL:
        *(double *)field = (double)number / 100;
        break;
    default:
        *(uint64_t *)field = number;
        break;
    }
    return 0;
}

static void free_strings(char **strings)
{
    for (size_t i = 0; strings != NULL && strings[i] != NULL; i++) {
        free(strings[i]);
    }
    free(strings);
}

/* CONFIG_STR_LIST from a list, CONFIG_STR_MAP from a map: scalars only. */
static int apply_strings(const struct apply *a, const struct config_key *k,
                         const struct config_node *node)
{
    char ***field = (char ***)((char *)a->target + k->offset);
    char **strings = calloc(node->n_items + 1, sizeof(*strings));

    if (strings == NULL) {
        return out_of_memory(a);
    }
    for (size_t i = 0; i < node->n_items; i++) {
        const struct config_node *item = &node->items[i];
        int n;

        if (item->type != CONFIG_NODE_SCALAR || config_node_is_null(item)) {
            free_strings(strings);
            return wrong(a, item->line, k->name, -EINVAL, NULL,
                         "each entry must be one value");
        }
        n = item->key != NULL ? asprintf(&strings[i], "%s=%s", item->key, item->text)
                              : asprintf(&strings[i], "%s", item->text);
        if (n < 0) {
            strings[i] = NULL;
            free_strings(strings);
            return out_of_memory(a);
        }
    }
    if (a->store) {
        free_strings(*field);
        *field = steal(strings);
    }
    free_strings(strings);
    return 0;
}

static int apply_key(const struct apply *a, const struct config_key *k,
                     const struct config_node *node)
{
    size_t i = (size_t)(k - a->keys);
    char want[96];

    if (a->seen_line[i] != 0) {
        (void)snprintf(want, sizeof(want), "given twice; it is in line %zu already",
                       a->seen_line[i]);
        return wrong(a, node->key_line, k->name, -EINVAL, NULL, want);
    }
    a->seen_line[i] = node->key_line;
    if (config_node_is_null(node)) {
        return wrong(a, node->line, k->name, -EINVAL, NULL,
                     "has no value; give one or remove the key");
    }
    if (k->type == CONFIG_STR_LIST || k->type == CONFIG_STR_MAP) {
        bool list = k->type == CONFIG_STR_LIST;

        return node->type == (list ? CONFIG_NODE_LIST : CONFIG_NODE_MAP)
                   ? apply_strings(a, k, node)
                   : wrong(a, node->line, k->name, -EINVAL, NULL,
                           list ? "must be a list: [a, b]"
                                : "must be names with values: {name: value}");
    }
    return node->type == CONFIG_NODE_SCALAR
               ? apply_scalar(a, k, node)
               : wrong(a, node->line, k->name, -EINVAL, NULL, "must be one value");
}

static const struct config_key *find_key(const struct apply *a, const char *path)
{
    for (size_t i = 0; i < a->n_keys; i++) {
        if (strcmp(a->keys[i].name, path) == 0) {
            return &a->keys[i];
        }
    }
    return NULL;
}

static bool is_section(const struct apply *a, const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < a->n_keys; i++) {
        if (strncmp(a->keys[i].name, path, len) == 0 && a->keys[i].name[len] == '.') {
            return true;
        }
    }
    return false;
}

static int no_such_key(const struct apply *a, size_t line, const char *path)
{
    char like[PATH_SIZE];
    char excerpt[CONFIG_EXCERPT_SIZE];

    suggest(a, path, like);
    return error_set(a->err, -EINVAL, "%s%s: %s: no such key%s%s%s", a->name,
                     at(line).text, config_excerpt(path, excerpt),
                     like[0] != '\0' ? "; did you mean " : "", like,
                     like[0] != '\0' ? "?" : "");
}

/* prefix is "" or ends with a dot. */
static int apply_map(const struct apply *a, const struct config_node *map,
                     const char *prefix)
{
    for (size_t i = 0; i < map->n_items; i++) {
        const struct config_node *node = &map->items[i];
        const struct config_key *key = NULL;
        char path[PATH_SIZE];
        int n = snprintf(path, sizeof(path) - 1, "%s%s", prefix, node->key);
        bool fits = n >= 0 && (size_t)n < sizeof(path) - 1;
        int rc;

        key = fits ? find_key(a, path) : NULL;
        if (key != NULL) {
            rc = apply_key(a, key, node);
        } else if (!fits || !is_section(a, path)) {
            rc = no_such_key(a, node->key_line, path);
        } else if (config_node_is_null(node)) {
            rc = 0; /* a section whose keys are all commented out */
        } else if (node->type != CONFIG_NODE_MAP) {
            rc = wrong(a, node->line, path, -EINVAL, NULL, "is a section: it holds keys");
        } else {
            path[n] = '.';
            path[n + 1] = '\0';
            rc = apply_map(a, node, path);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int apply_tree(const char *name, const struct config_node *root,
                      const struct config_key *keys, size_t n_keys, void *target,
                      struct error *err)
{
    _cleanup_free_ size_t *seen = calloc(n_keys + 1, sizeof(*seen));
    struct apply a = {.name = name,
                      .keys = keys,
                      .n_keys = n_keys,
                      .target = target,
                      .seen_line = seen,
                      .err = err};
    int rc;

    if (seen == NULL) {
        return out_of_memory(&a);
    }
    rc = apply_map(&a, root, "");
    if (rc < 0) {
        return rc;
    }
    memset(seen, 0, n_keys * sizeof(*seen));
    a.store = true;
    return apply_map(&a, root, "");
}

int config_parse(const char *name, const char *text, size_t len,
                 const struct config_key *keys, size_t n_keys, void *target,
                 struct error *err)
{
    struct config_node root;
    int rc = config_tree_parse(name, text, len, &root, err);

    if (rc == 0) {
        rc = apply_tree(name, &root, keys, n_keys, target, err);
    }
    config_tree_free(&root);
    return rc;
}

int config_load(const char *path, const struct config_key *keys, size_t n_keys,
                void *target, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_free_ char *text = malloc(CONFIG_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t n;

    if (fd < 0) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    if (text == NULL) {
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    }
    while ((n = read(fd, text + len, CONFIG_BYTES_MAX + 1 - len)) != 0) {
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, -errno, "read %s", path);
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return config_parse(path, text, len, keys, n_keys, target, err);
}

/* "a,b" as the entries of a list, "x=1,y=2" as those of a map. Cuts text up; the nodes
 * point into it. */
static int split_entries(char *text, bool map, struct config_node *node)
{
    size_t n = 1;
    char *next = text;

    for (const char *p = text; *p != '\0'; p++) {
        n += *p == ',';
    }
    node->items = calloc(n, sizeof(*node->items));
    if (node->items == NULL) {
        return -ENOMEM;
    }
    for (char *entry; (entry = strsep(&next, ",")) != NULL;) {
        struct config_node *item = &node->items[node->n_items++];

        *item = (struct config_node){.type = CONFIG_NODE_SCALAR, .quoted = true};
        item->text = entry;
        if (map) {
            item->key = strsep(&entry, "=");
            item->text = entry;
            if (entry == NULL || *item->key == '\0') {
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int set_key(const char *name, char *assignment, const struct config_key *keys,
                   size_t n_keys, void *target, struct error *err)
{
    struct apply a = {.name = name, .keys = keys, .n_keys = n_keys, .err = err};
    struct config_node node = {.type = CONFIG_NODE_SCALAR, .quoted = true};
    struct config_node root = {.type = CONFIG_NODE_MAP, .items = &node, .n_items = 1};
    const struct config_key *key;
    int rc = 0;

    node.key = strsep(&assignment, "=");
    node.text = assignment;
    key = find_key(&a, node.key);
    if (key == NULL) {
        return no_such_key(&a, 0, node.key);
    }
    if (node.text == NULL) {
        return wrong(&a, 0, node.key, -EINVAL, NULL, "has no value; write key=value");
    }
    if (key->type == CONFIG_STR_LIST || key->type == CONFIG_STR_MAP) {
        node.type = key->type == CONFIG_STR_MAP ? CONFIG_NODE_MAP : CONFIG_NODE_LIST;
        if (*node.text != '\0') { /* nothing after the "=": an empty list */
            rc = split_entries(node.text, node.type == CONFIG_NODE_MAP, &node);
        }
    }
    if (rc == -EINVAL) {
        rc = wrong(&a, 0, node.key, rc, NULL, "write name=value,name=value");
    } else if (rc == -ENOMEM) {
        rc = out_of_memory(&a);
    } else {
        rc = apply_tree(name, &root, keys, n_keys, target, err);
    }
    free(node.items);
    return rc;
}

int config_set(const char *name, const char *assignment, const struct config_key *keys,
               size_t n_keys, void *target, struct error *err)
{
    _cleanup_free_ char *copy = strdup(assignment);

    if (copy == NULL) {
        return error_set(err, -ENOMEM, "%s: out of memory", name);
    }
    return set_key(name, copy, keys, n_keys, target, err);
}

void config_free_strings(const struct config_key *keys, size_t n_keys, void *target)
{
    for (size_t i = 0; i < n_keys; i++) {
        void *field = (char *)target + keys[i].offset;

        if (keys[i].type == CONFIG_STR) {
            free(*(char **)field);
            *(char **)field = NULL;
        } else if (keys[i].type == CONFIG_STR_LIST || keys[i].type == CONFIG_STR_MAP) {
            free_strings(*(char ***)field);
            *(char ***)field = NULL;
        }
    }
}
