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
        "\"%.80s\" is no constraint: write KEY=VALUE, KEY!=VALUE or KEY=~ONE|OTHER, "
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

static bool has_value(const struct constraint *c, const char *value, size_t len)
{
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

bool constraint_has_value(const struct constraint *c, const char *value)
{
    return has_value(c, value, strlen(value));
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

/* --- what is asked anew ------------------------------------------------------------- */

static int check_values(const struct constraint *c, size_t at, struct error *err)
{
    int key_len = (int)c->key_len;

    if (c->op != CONSTRAINT_ONE_OF || !has_value(c, "", 0)) {
        return 0;
    }
    if (*c->value == '\0') {
        return error_set(err, -EINVAL,
                         "constraints[%zu]: \"%.80s\" names no value; write "
                         "%.*s=~ONE|OTHER, or %.*s= for a label without a value",
                         at, c->text, key_len, c->text, key_len, c->text);
    }
    return error_set(err, -EINVAL,
                     "constraints[%zu]: \"%.80s\" has an empty value beside a '|'; leave "
                     "that '|' out",
                     at, c->text);
}

static bool is_same_label(const struct constraint *a, const struct constraint *b)
{
    return a->key_len == b->key_len && memcmp(a->text, b->text, a->key_len) == 0;
}

static bool allows(const struct constraint *c, const char *value, size_t len)
{
    return c->op == CONSTRAINT_ONE_OF
               ? has_value(c, value, len)
               : (strlen(c->value) == len && memcmp(c->value, value, len) == 0) ==
                     (c->op == CONSTRAINT_IS);
}

/* Whether one of c's values is allowed by each of those on its label. */
static bool can_hold(const struct constraint *c, const struct constraint *all, size_t n)
{
    for (const char *at = c->value;; at++) {
        size_t len = c->op == CONSTRAINT_ONE_OF ? strcspn(at, "|") : strlen(at), i = 0;

        while (i < n && (!is_same_label(c, &all[i]) || allows(&all[i], at, len))) {
            i++;
        }
        at += len;
        if (i == n || *at == '\0') {
            return i == n;
        }
    }
}

int constraints_check(const struct constraint *all, size_t n, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = check_values(&all[i], i, err);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct constraint *c = &all[i];

        if (c->op != CONSTRAINT_IS_NOT && !can_hold(c, all, n)) {
            rc =
                error_set(err, -EINVAL,
                          "constraints[%zu]: \"%.80s\" and the others on label %.*s "
                          "cannot hold together, as a node has one value of it; leave "
                          "one out, or write %.*s=~ONE|OTHER for either value",
                          i, c->text, (int)c->key_len, c->text, (int)c->key_len, c->text);
        }
    }
    return rc;
}
