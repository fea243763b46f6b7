#include "common/config_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    const char *name;
    yaml_parser_t parser;
    size_t n_nodes;
    struct error *err;
};

const char *config_excerpt(const char *text, char ret[CONFIG_EXCERPT_SIZE])
{
    size_t i;

    for (i = 0; text[i] != '\0' && i < CONFIG_EXCERPT_SIZE - 4; i++) {
        unsigned char c = (unsigned char)text[i];

        ret[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (text[i] != '\0') {
        while (i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) {
            i--; /* not in the middle of a character */
        }
        memcpy(ret + i, "...", 3);
        i += 3;
    }
    ret[i] = '\0';
    return ret;
}

bool config_node_is_null(const struct config_node *node)
{
    return node->type == CONFIG_NODE_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0 || strcmp(node->text, "Null") == 0 ||
            strcmp(node->text, "NULL") == 0);
}

void config_tree_free(struct config_node *node)
{
    for (size_t i = 0; i < node->n_items; i++) {
        config_tree_free(&node->items[i]);
    }
    free(node->items);
    free(node->text);
    free(node->key);
    *node = (struct config_node){.type = CONFIG_NODE_MAP};
}

static int refuse(struct reader *r, size_t line, const char *what)
{
    return error_set(r->err, -EINVAL, "%s:%zu: %s", r->name, line, what);
}

static int out_of_memory(struct reader *r)
{
    return error_set(r->err, -ENOMEM, "%s: out of memory", r->name);
}

/* What libyaml has against the text. Its marks count lines from 0. */
static int syntax_error(struct reader *r, const char *text, size_t len)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem != NULL ? p->problem : "not YAML";
    size_t line = p->problem_mark.line + 1;

    if (p->error == YAML_MEMORY_ERROR) {
        return out_of_memory(r);
    }
    if (p->error == YAML_READER_ERROR) { /* has an offset instead of a mark */
        line = 1;
        for (size_t i = 0; i < p->problem_offset && i < len; i++) {
            line += text[i] == '\n';
        }
    }
    if (p->context != NULL && p->context_mark.line + 1 != line) {
        return error_set(r->err, -EINVAL, "%s:%zu: %s, %s that began in line %zu",
                         r->name, line, problem, p->context, p->context_mark.line + 1);
    }
    if (p->context != NULL) {
        return error_set(r->err, -EINVAL, "%s:%zu: %s, %s", r->name, line, problem,
                         p->context);
    }
    return error_set(r->err, -EINVAL, "%s:%zu: %s", r->name, line, problem);
}

static bool has_anchor_or_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor != NULL ||
               e->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor != NULL || e->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

/* The next event that is allowed at all. On success the caller deletes it. */
static int next(struct reader *r, yaml_event_t *ret)
{
    size_t line;

    if (!yaml_parser_parse(&r->parser, ret)) {
        return -EPROTO; /* config_tree_parse() says what and where */
    }
    line = ret->start_mark.line + 1;
    if (ret->type == YAML_ALIAS_EVENT || has_anchor_or_tag(ret)) {
        yaml_event_delete(ret);
        return refuse(r, line,
                      "anchors (&), aliases (*) and tags (!) are not allowed; "
                      "write the value out");
    }
    return 0;
}

static int scalar_text(struct reader *r, const yaml_event_t *e, char **ret)
{
    const char *value = (const char *)e->data.scalar.value;

    if (memchr(value, '\0', e->data.scalar.length) != NULL) {
        return refuse(r, e->start_mark.line + 1, "a NUL character is not allowed");
    }
    *ret = strndup(value, e->data.scalar.length);
    return *ret == NULL ? out_of_memory(r) : 0;
}

static struct config_node *add_item(struct config_node *parent)
{
    size_t n = parent->n_items;

    if ((n & (n - 1)) == 0) { /* capacity is the next power of two */
        struct config_node *grown;

        grown = realloc(parent->items, (n == 0 ? 1 : n * 2) * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        parent->items = grown;
    }
    parent->items[n] = (struct config_node){.type = CONFIG_NODE_MAP};
    parent->n_items = n + 1;
    return &parent->items[n];
}

static int read_node(struct reader *r, const yaml_event_t *e, unsigned depth,
                     struct config_node *node);

static int check_unique(struct reader *r, const struct config_node *map,
                        const struct config_node *entry)
{
    char text[CONFIG_EXCERPT_SIZE];

    for (size_t i = 0; &map->items[i] != entry; i++) {
        if (strcmp(map->items[i].key, entry->key) == 0) {
            return error_set(r->err, -EINVAL,
                             "%s:%zu: %s: given twice; it is in line %zu already",
                             r->name, entry->key_line, config_excerpt(entry->key, text),
                             map->items[i].key_line);
        }
    }
    return 0;
}

/* One entry of a map or list, whose first event is e; deletes e. */
static int read_item(struct reader *r, yaml_event_t *e, unsigned depth,
                     struct config_node *parent)
{
    struct config_node *item = add_item(parent);
    int rc = item != NULL ? 0 : out_of_memory(r);

    if (rc == 0 && parent->type == CONFIG_NODE_MAP) {
        item->key_line = e->start_mark.line + 1;
        rc = e->type == YAML_SCALAR_EVENT
                 ? scalar_text(r, e, &item->key)
                 : refuse(r, item->key_line, "a key must be a plain word");
        if (rc < 0) {
            parent->n_items--; /* entries without a key are not for others to see */
        }
        yaml_event_delete(e);
        if (rc == 0) {
            rc = check_unique(r, parent, item);
        }
        if (rc == 0) {
            rc = next(r, e);
        }
        if (rc < 0) {
            return rc;
        }
    }
    if (rc == 0) {
        rc = read_node(r, e, depth + 1, item);
    }
    yaml_event_delete(e);
    return rc;
}

static int read_collection(struct reader *r, unsigned depth, struct config_node *node)
{
    yaml_event_type_t end =
        node->type == CONFIG_NODE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;

    if (depth > CONFIG_DEPTH_MAX) {
        return refuse(r, node->line, "nested more than 16 deep");
    }
    for (;;) {
        yaml_event_t e;
        int rc = next(r, &e);

        if (rc < 0) {
            return rc;
        }
        if (e.type == end) {
            yaml_event_delete(&e);
            return 0;
        }
        rc = read_item(r, &e, depth, node);
        if (rc < 0) {
            return rc;
        }
    }
}

static int read_node(struct reader *r, const yaml_event_t *e, unsigned depth,
                     struct config_node *node)
{
    node->line = e->start_mark.line + 1;
    if (++r->n_nodes > CONFIG_NODES_MAX) {
        return refuse(r, node->line, "more than 10000 values");
    }
    switch (e->type) {
    case YAML_SCALAR_EVENT: {
        int rc = scalar_text(r, e, &node->text);

        if (rc == 0) {
            node->type = CONFIG_NODE_SCALAR;
            node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        }
        return rc;
    }
    case YAML_SEQUENCE_START_EVENT:
        node->type = CONFIG_NODE_LIST;
        return read_collection(r, depth, node);
    case YAML_MAPPING_START_EVENT:
        node->type = CONFIG_NODE_MAP;
        return read_collection(r, depth, node);
    default:
        return refuse(r, node->line, "not a value");
    }
}

/* Skips to the document's first event: *ret_end if there is no document. */
static int start(struct reader *r, yaml_event_t *e, bool *ret_end)
{
    for (;;) {
        int rc = next(r, e);

        if (rc < 0) {
            return rc;
        }
        if (e->type != YAML_STREAM_START_EVENT && e->type != YAML_DOCUMENT_START_EVENT) {
            *ret_end = e->type == YAML_STREAM_END_EVENT;
            return 0;
        }
        yaml_event_delete(e);
    }
}

static int expect_end(struct reader *r)
{
    yaml_event_type_t type;
    size_t line;

    do {
        yaml_event_t e;
        int rc = next(r, &e);

        if (rc < 0) {
            return rc;
        }
        type = e.type;
        line = e.start_mark.line + 1;
        yaml_event_delete(&e);
    } while (type == YAML_DOCUMENT_END_EVENT);
    return type == YAML_STREAM_END_EVENT
               ? 0
               : refuse(r, line, "a second document; only one is allowed");
}

static int read_document(struct reader *r, struct config_node *ret)
{
    bool end = false;
    yaml_event_t e;
    int rc = start(r, &e, &end);

    if (rc < 0) {
        return rc;
    }
    if (!end) {
        rc = read_node(r, &e, 1, ret);
    }
    yaml_event_delete(&e);
    if (rc < 0 || end) {
        return rc;
    }
    if (config_node_is_null(ret)) { /* nothing but "---" or comments */
        config_tree_free(ret);
    } else if (ret->type != CONFIG_NODE_MAP) {
        return refuse(r, ret->line, "expected keys with values, as in \"key: value\"");
    }
    return expect_end(r);
}

int config_tree_parse(const char *name, const char *text, size_t len,
                      struct config_node *ret, struct error *err)
{
    struct reader r = {.name = name, .err = err};
    int rc;

    *ret = (struct config_node){.type = CONFIG_NODE_MAP, .line = 1};
    if (len > CONFIG_BYTES_MAX) {
        return error_set(err, -E2BIG, "%s: larger than 1 MiB", name);
    }
    if (!yaml_parser_initialize(&r.parser)) {
        return out_of_memory(&r);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    rc = read_document(&r, ret);
    if (rc == -EPROTO) {
        rc = syntax_error(&r, text, len);
    }
    yaml_parser_delete(&r.parser);
    return rc;
}
