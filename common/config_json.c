/* config_yaml_to_json(): the tree as JSON, scalars typed by YAML 1.2's core schema
 * (https://yaml.org/spec/1.2.2/#103-core-schema). */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/config_tree.h"

struct convert {
    const char *name;
    struct error *err;
};

static bool is_one_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

static const char *skip_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

/* [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+ */
static bool is_integer(const char *text, int *ret_base, const char **ret_digits)
{
    const char *digits = text;
    const char *set = "0123456789";

    *ret_base = 10;
    if (strncmp(text, "0x", 2) == 0) {
        *ret_base = 16;
        digits += 2;
        set = "0123456789abcdefABCDEF";
    } else if (strncmp(text, "0o", 2) == 0) {
        *ret_base = 8;
        digits += 2;
        set = "01234567";
    } else if (*text == '-' || *text == '+') {
        digits++;
    }
    *ret_digits = *ret_base == 10 ? text : digits;
    return *digits != '\0' && digits[strspn(digits, set)] == '\0';
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    const char *end = skip_digits(p);
    bool whole = end > p;

    if (*end == '.') {
        p = end + 1;
        end = skip_digits(p);
        if (!whole && end == p) {
            return false;
        }
    } else if (!whole) {
        return false;
    }
    if (*end == 'e' || *end == 'E') {
        p = end + 1 + (end[1] == '-' || end[1] == '+');
        end = skip_digits(p);
        if (end == p) {
            return false;
        }
    }
    return *end == '\0';
}

static bool is_infinity_or_nan(const char *text)
{
    return is_one_of(text + (*text == '-' || *text == '+'), ".inf", ".Inf", ".INF") ||
           is_one_of(text, ".nan", ".NaN", ".NAN");
}

static int refuse(const struct convert *c, const struct config_node *node, int code,
                  const char *what)
{
    char text[CONFIG_EXCERPT_SIZE];

    return error_set(c->err, code, "%s:%zu: %s %s", c->name, node->line,
                     config_excerpt(node->text, text), what);
}

static int created(const struct convert *c, json_t *json, json_t **ret)
{
    if (json == NULL) {
        return error_set(c->err, -ENOMEM, "%s: out of memory", c->name);
    }
    *ret = json;
    return 0;
}

static int convert_scalar(const struct convert *c, const struct config_node *node,
                          json_t **ret)
{
    const char *text = node->text;
    const char *digits;
    int base;

    if (node->quoted) {
        return created(c, json_string(text), ret);
    }
    if (config_node_is_null(node)) {
        return created(c, json_null(), ret);
    }
    if (is_one_of(text, "true", "True", "TRUE")) {
        return created(c, json_true(), ret);
    }
    if (is_one_of(text, "false", "False", "FALSE")) {
        return created(c, json_false(), ret);
    }
    if (is_integer(text, &base, &digits)) {
        long long v;

        errno = 0;
        v = strtoll(digits, NULL, base);
        return errno != 0 ? refuse(c, node, -ERANGE, "does not fit into 64 bits")
                          : created(c, json_integer(v), ret);
    }
    if (is_infinity_or_nan(text)) {
        return refuse(c, node, -EINVAL, "is not a number that can be used here");
    }
    if (is_float(text)) {
        double v = strtod(text, NULL);

        return isfinite(v) ? created(c, json_real(v), ret)
                           : refuse(c, node, -ERANGE, "is too large");
    }
    return created(c, json_string(text), ret);
}

static int convert(const struct convert *c, const struct config_node *node, json_t **ret)
{
    bool map = node->type == CONFIG_NODE_MAP;
    json_t *json = NULL;
    int rc;

    if (node->type == CONFIG_NODE_SCALAR) {
        return convert_scalar(c, node, ret);
    }
    rc = created(c, map ? json_object() : json_array(), &json);
    for (size_t i = 0; i < node->n_items && rc == 0; i++) {
        const struct config_node *item = &node->items[i];
        json_t *value = NULL;

        rc = convert(c, item, &value);
        if (rc == 0 && (map ? json_object_set_new(json, item->key, value)
                            : json_array_append_new(json, value)) != 0) {
            rc = created(c, NULL, NULL);
        }
    }
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    *ret = json;
    return 0;
}

int config_yaml_to_json(const char *name, const char *text, size_t len, json_t **ret,
                        struct error *err)
{
    struct convert c = {.name = name, .err = err};
    struct config_node root;
    int rc = config_tree_parse(name, text, len, &root, err);

    if (rc == 0) {
        rc = convert(&c, &root, ret);
    }
    config_tree_free(&root);
    return rc;
}
