#include "common/constraint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD                                                            \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/" \
    "-"

static int refuse(const char *text, struct error *err)
{
    return error_set(
        err, -EINVAL,
        "constraint \"%.80s\": write KEY=VALUE, KEY!=VALUE or KEY=~ONE|OTHER, "
        "of letters, digits and ._/-, in at most %d bytes",
        text, CONSTRAINT_TEXT_MAX);
}

int constraint_parse(struct constraint *ret, const char *text, struct error *err)
{
    size_t key_len = strspn(text, WORD);
    const char *at = text + key_len;
    struct constraint c = {.key_len = key_len};

    if (key_len == 0 || strlen(text) > CONSTRAINT_TEXT_MAX) {
        return refuse(text, err);
    }
    if (strncmp(at, "!=", 2) == 0) {
        c.op = CONSTRAINT_IS_NOT;
        at += 2;
    } else if (strncmp(at, "=~", 2) == 0) {
        c.op = CONSTRAINT_ONE_OF;
        at += 2;
    } else if (*at == '=') {
        c.op = CONSTRAINT_IS;
        at++;
    } else {
        return refuse(text, err);
    }
    if (strspn(at, c.op == CONSTRAINT_ONE_OF ? WORD "|" : WORD) != strlen(at)) {
        return refuse(text, err);
    }
    c.text = strdup(text);
    if (c.text == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    c.value = c.text + (at - text);
    *ret = c;
    return 0;
}

void constraint_free(struct constraint *c)
{
    free(c->text);
    *c = (struct constraint){0};
}

int constraint_copy(struct constraint *dst, const struct constraint *src)
{
    struct constraint c = *src;

    c.text = strdup(src->text);
    if (c.text == NULL) {
        return -ENOMEM;
    }
    c.value = c.text + (src->value - src->text);
    *dst = c;
    return 0;
}

const char *constraint_label(const char *const *labels, const char *key, size_t key_len)
{
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i++) {
        if (strncmp(labels[i], key, key_len) == 0 && labels[i][key_len] == '=') {
            return labels[i] + key_len + 1;
        }
    }
    return NULL;
}

bool constraint_has_value(const struct constraint *c, const char *value)
{
    size_t len = strlen(value);

    for (const char *at = c->value;; at++) {
        size_t n = strcspn(at, "|");

        if (n == len && memcmp(at, value, len) == 0) {
            return true;
        }
        at += n;
        if (*at == '\0') {
            return false;
        }
    }
}

bool constraint_holds(const struct constraint *c, const char *const *labels)
{
    const char *value = constraint_label(labels, c->text, c->key_len);

    switch (c->op) {
    case CONSTRAINT_IS:
        return value != NULL && strcmp(value, c->value) == 0;
    case CONSTRAINT_IS_NOT:
        return value == NULL || strcmp(value, c->value) != 0;
    default:
        return value != NULL && constraint_has_value(c, value);
    }
}
