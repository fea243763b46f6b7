#include "controller/cli/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/config.h"
#include "controller/cli/args.h"

#define BUILD_MAX 4096

static const char *const keys[] = {"name",
                                   "build",
                                   "runtime",
                                   "handler",
                                   "reuse",
                                   "env",
                                   "metric",
                                   "keep-alive",
                                   "keep_alive",
                                   "constraints",
                                   "placement",
                                   "layers",
#define X(member, key, flag, min, max, dflt, unit, help) flag, key,
                                   SPEC_NUMBERS(X) SPEC_DECIMALS(X)
#undef X
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *key_at(const void *data, size_t i)
{
    return keys[i];
}

/* Whether a line of YAML, without its indent, is where that key stands. */
static bool is_key(const char *line, const char *key)
{
    size_t len = strlen(key);
    char quote = *line == '"' || *line == '\'' ? *line : '\0';

    line += quote != '\0';
    if (strncmp(line, key, len) != 0) {
        return false;
    }
    line += len;
    if (quote != '\0' && *line++ != quote) {
        return false;
    }
    return line[strspn(line, " \t")] == ':';
}

/* The line on which a key stands, from `first` on; top: without an indent. 0: not found,
 * as in a document that is written in one line. */
static size_t line_of(const char *text, const char *key, size_t first, bool top)
{
    size_t number = 1;

    for (const char *p = text;; number++) {
        size_t indent = strspn(p, " \t");

        if (number >= first && (!top || indent == 0) && is_key(p + indent, key)) {
            return number;
        }
        p = strchr(p, '\n');
        if (p == NULL) {
            return 0;
        }
        p++;
    }
}

/* Where the fault is that the error of a top-level key tells: in env it begins with the
 * variable's name ("env.LEVEL is not a string"). */
static size_t fault_line(const char *text, const char *key, const char *story)
{
    size_t line = line_of(text, key, 1, true);
    char name[64];
    size_t len;

    line = line != 0 ? line : line_of(text, key, 1, false);
    if (line != 0 && strncmp(story, "env.", 4) == 0) {
        size_t inner;

        len = strcspn(story + 4, " :");
        len = len < sizeof(name) - 1 ? len : sizeof(name) - 1;
        memcpy(name, story + 4, len);
        name[len] = '\0';
        inner = line_of(text, name, line, false);
        line = inner != 0 ? inner : line;
    }
    return line;
}

static int text_from_json(char **ret, const char *key, const json_t *value,
                          struct error *err)
{
    const char *text = json_string_value(value);

    if (text == NULL || *text == '\0' || strlen(text) > BUILD_MAX) {
        return error_set(err, -EINVAL, "%s is no text of 1 to %d bytes", key, BUILD_MAX);
    }
    free(*ret);
    *ret = strdup(text);
    return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int take_key(struct manifest *m, struct function_spec *spec, const char *key,
                    json_t *value, struct error *err)
{
    json_t *one;
    int rc;

    if (strcmp(key, "name") == 0) {
        rc = text_from_json(&m->name, key, value, err);
        if (rc == 0 && !spec_name_valid(m->name)) {
            rc =
                error_set(err, -EINVAL,
                          "name is \"%.70s\"; use lower-case letters, digits and dashes, "
                          "%d at most",
                          m->name, SPEC_NAME_MAX);
        }
        return rc;
    }
    if (strcmp(key, "build") == 0) {
        return text_from_json(&m->build, key, value, err);
    }
    one = json_pack("{s:O}", key, value);
    if (one == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    rc = function_spec_from_json(spec, one, err);
    json_decref(one);
    if (rc == -ENOENT) {
        const char *nearest = args_nearest(key, key_at, NULL, N_KEYS);

        return error_set(err, -EINVAL, "%.60s: no such key%s%s%s", key,
                         nearest != NULL ? "; did you mean " : "",
                         nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    }
    m->has_runtime = m->has_runtime || (rc == 0 && strcmp(key, "runtime") == 0);
    return rc;
}

int manifest_parse(struct manifest *ret, struct function_spec *spec, const char *file,
                   const char *text, size_t len, struct error *err)
{
    struct manifest m = {0};
    json_t *json = NULL;
    json_t *value;
    const char *key;
    int rc = config_yaml_to_json(file, text, len, &json, err);

    if (rc < 0) {
        return rc;
    }
    json_object_foreach(json, key, value)
    {
        rc = take_key(&m, spec, key, value, err);
        if (rc < 0) {
            size_t line = fault_line(text, key, err->text);

            rc = line != 0 ? error_wrap(err, rc, "%s:%zu", file, line)
                           : error_wrap(err, rc, "%s", file);
            break;
        }
    }
    for (size_t i = 0; rc == 0 && i < 2; i++) { /* counts wherever idle stood beside it */
        key = i == 0 ? "keep_alive" : "keep-alive";
        value = json_object_get(json, key);
        rc = value != NULL ? take_key(&m, spec, key, value, err) : 0;
    }
    json_decref(json);
    if (rc < 0) {
        manifest_free(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

void manifest_free(struct manifest *m)
{
    free(m->name);
    free(m->build);
    *m = (struct manifest){0};
}
