#include "controller/cli/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Words that readers of YAML 1.1 or 1.2 take for something else than text. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n",   "~"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Text that needs no quotes: begins with a letter or a slash, so that it is no number and
 * no indicator, and has nothing that ends a plain scalar. */
static bool is_plain(const char *text, size_t len)
{
    if (len == 0 || len != strlen(text) || is_reserved(text) || text[len - 1] == ' ' ||
        text[len - 1] == ':') {
        return false;
    }
    if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/", text[0]) ==
        NULL) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || (text[i] & 0x80) != 0) {
            return false;
        }
    }
    return strstr(text, ": ") == NULL && strstr(text, " #") == NULL;
}

/* A JSON string is a double-quoted YAML scalar as well. */
static int write_text(struct buf *out, const char *text, size_t len)
{
    json_t *json;
    char *quoted;
    int rc;

    if (is_plain(text, len)) {
        return buf_append(out, text, len);
    }
    json = json_stringn(text, len);
    quoted = json_dumps(json, JSON_ENCODE_ANY);
    json_decref(json);
    rc = quoted != NULL ? buf_append_str(out, quoted) : -ENOMEM;
    free(quoted);
    return rc;
}

static bool is_collection(const json_t *json)
{
    return (json_is_object(json) && json_object_size(json) > 0) ||
           (json_is_array(json) && json_array_size(json) > 0);
}

static int write_scalar(struct buf *out, const json_t *json)
{
    char *text;
    int rc;

    if (json_is_string(json)) {
        return write_text(out, json_string_value(json), json_string_length(json));
    }
    text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    rc = text != NULL ? buf_append_str(out, text) : -ENOMEM;
    free(text);
    return rc;
}

static int indent(struct buf *out, unsigned depth)
{
    int rc = 0;

    for (unsigned i = 0; i < depth && rc == 0; i++) {
        rc = buf_append_str(out, "  ");
    }
    return rc;
}

/* first: the cursor stands behind "- " already, so the first key is not indented. */
static int write_value(struct buf *out, const json_t *json, unsigned depth, bool first);

static int write_object(struct buf *out, const json_t *json, unsigned depth, bool first)
{
    const char *key;
    const json_t *value;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        bool nested = is_collection(value);

        rc |= first ? 0 : indent(out, depth);
        first = false;
        rc |= write_text(out, key, strlen(key));
        rc |= buf_append_str(out, nested ? ":\n" : ": ");
        rc |= write_value(out, value, depth + (json_is_array(value) ? 0 : 1), false);
        if (rc != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int write_value(struct buf *out, const json_t *json, unsigned depth, bool first)
{
    int rc = 0;

    if (!is_collection(json)) {
        rc |= write_scalar(out, json);
        rc |= buf_append_str(out, "\n");
        return rc != 0 ? -ENOMEM : 0;
    }
    if (json_is_object(json)) {
        return write_object(out, json, depth, first);
    }
    for (size_t i = 0; i < json_array_size(json) && rc == 0; i++) {
        rc |= first && i == 0 ? 0 : indent(out, depth);
        rc |= buf_append_str(out, "- ");
        rc |= write_value(out, json_array_get(json, i), depth + 1, true);
    }
    return rc != 0 ? -ENOMEM : 0;
}

int yaml_write(struct buf *out, const json_t *json)
{
    return write_value(out, json, 0, false);
}
