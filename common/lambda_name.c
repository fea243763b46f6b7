#include "common/lambda_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK      "l--" /* of a native name that stands for another one */
#define PARTS_MAX 8
#define LOWER     "abcdefghijklmnopqrstuvwxyz"
#define DIGITS    "0123456789"
#define WORD      LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_"

bool lambda_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= LAMBDA_NAME_MAX && strspn(name, WORD) == len;
}

bool lambda_qualifier_valid(const char *q)
{
    size_t len = strlen(q);

    return strcmp(q, LAMBDA_LATEST) == 0 ||
           (len > 0 && len <= LAMBDA_QUALIFIER_MAX && strspn(q, WORD) == len);
}

/* --- references ------------------------------------------------------------------- */

static bool is_account(const char *s)
{
    return strlen(s) == LAMBDA_ACCOUNT_LEN && strspn(s, DIGITS) == LAMBDA_ACCOUNT_LEN;
}

static bool is_region(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len <= LAMBDA_REGION_MAX && strspn(s, LOWER DIGITS "-") == len;
}

static size_t split(char *text, char *parts[PARTS_MAX])
{
    size_t n = 0;

    for (char *at = text; at != NULL;) {
        char *colon = strchr(at, ':');

        if (n == PARTS_MAX) {
            return 0;
        }
        parts[n++] = at;
        if (colon != NULL) {
            *colon++ = '\0';
        }
        at = colon;
    }
    return n;
}

/* Takes what stands before the name; returns the index of the name, or -1. */
static int take_prefix(struct lambda_ref *r, char *parts[], size_t n)
{
    if (n >= 7 && strcmp(parts[0], "arn") == 0) {
        if (strncmp(parts[1], "aws", 3) != 0 || strcmp(parts[2], "lambda") != 0 ||
            !is_region(parts[3]) || !is_account(parts[4]) ||
            strcmp(parts[5], "function") != 0) {
            return -1;
        }
        (void)stpcpy(r->region, parts[3]);
        (void)stpcpy(r->account, parts[4]);
        return 6;
    }
    if (n >= 3 && is_account(parts[0]) && strcmp(parts[1], "function") == 0) {
        (void)stpcpy(r->account, parts[0]);
        return 2;
    }
    return n >= 2 && n <= 3 && strcmp(parts[0], "function") == 0 ? 1 : 0;
}

int lambda_ref_parse(struct lambda_ref *ret, const char *text)
{
    char copy[LAMBDA_REF_MAX + 1], *parts[PARTS_MAX];
    struct lambda_ref r = {.name = ""};
    size_t n;
    int at;

    if (strlen(text) > LAMBDA_REF_MAX) {
        return -EINVAL;
    }
    memcpy(copy, text, strlen(text) + 1);
    n = split(copy, parts);
    at = n > 0 ? take_prefix(&r, parts, n) : -1;
    if (at < 0 || n - (size_t)at > 2 || !lambda_name_valid(parts[at]) ||
        (n - (size_t)at == 2 && !lambda_qualifier_valid(parts[at + 1]))) {
        return -EINVAL;
    }
    (void)stpcpy(r.name, parts[at]);
    if (n - (size_t)at == 2) {
        (void)stpcpy(r.qualifier, parts[at + 1]);
    }
    *ret = r;
    return 0;
}

void lambda_arn(char ret[LAMBDA_ARN_SIZE], const char *region, const char *account,
                const char *name, const char *qualifier)
{
    bool qualified = qualifier != NULL && *qualifier != '\0';

    (void)snprintf(ret, LAMBDA_ARN_SIZE,
                   "arn:aws:lambda:%.32s:%.12s:function:%.64s%s%.128s", region, account,
                   name, qualified ? ":" : "", qualified ? qualifier : "");
}

/* --- layers ----------------------------------------------------------------------- */

static int read_version(uint64_t *ret, const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > 15 || strspn(text, DIGITS) != len) {
        return -EINVAL;
    }
    *ret = strtoull(text, NULL, 10);
    return *ret > 0 ? 0 : -EINVAL;
}

int lambda_layer_parse(struct lambda_ref *ret, uint64_t *ret_version, const char *text)
{
    char copy[LAMBDA_REF_MAX + 1], *parts[PARTS_MAX];
    struct lambda_ref r = {.name = ""};
    uint64_t version = 0;
    size_t n;

    if (strlen(text) > LAMBDA_REF_MAX) {
        return -EINVAL;
    }
    memcpy(copy, text, strlen(text) + 1);
    n = split(copy, parts);
    if (n == 7 || n == 8) {
        if (strcmp(parts[0], "arn") != 0 || strncmp(parts[1], "aws", 3) != 0 ||
            strcmp(parts[2], "lambda") != 0 || !is_region(parts[3]) ||
            !is_account(parts[4]) || strcmp(parts[5], "layer") != 0 ||
            (n == 8 && read_version(&version, parts[7]) < 0)) {
            return -EINVAL;
        }
        (void)stpcpy(r.region, parts[3]);
        (void)stpcpy(r.account, parts[4]);
    } else if (n != 1) {
        return -EINVAL;
    }
    if (!lambda_name_valid(parts[n == 1 ? 0 : 6])) {
        return -EINVAL;
    }
    (void)stpcpy(r.name, parts[n == 1 ? 0 : 6]);
    *ret = r;
    *ret_version = version;
    return 0;
}

void lambda_layer_arn(char ret[LAMBDA_ARN_SIZE], const char *region, const char *account,
                      const char *name, uint64_t version)
{
    int n = snprintf(ret, LAMBDA_ARN_SIZE, "arn:aws:lambda:%.32s:%.12s:layer:%.64s",
                     region, account, name);

    if (version > 0) {
        (void)snprintf(ret + n, LAMBDA_ARN_SIZE - (size_t)n, ":%llu",
                       (unsigned long long)version);
    }
}

/* --- native names ----------------------------------------------------------------- */

int lambda_name_to_native(char ret[SPEC_NAME_MAX + 1], const char *name)
{
    char out[sizeof(MARK) + 2 * LAMBDA_NAME_MAX];
    char *at = stpcpy(out, MARK);

    if (!lambda_name_valid(name)) {
        return -EINVAL;
    }
    if (spec_name_valid(name) && strncmp(name, MARK, strlen(MARK)) != 0) {
        (void)stpcpy(ret, name);
        return 0;
    }
    for (; *name != '\0'; name++) {
        if (strchr(LOWER DIGITS, *name) != NULL) {
            *at++ = *name;
            continue;
        }
        *at++ = '-';
        *at++ = *name == '_' ? '0' : *name == '-' ? '1' : (char)(*name - 'A' + 'a');
    }
    *at = '\0';
    if (strlen(out) > SPEC_NAME_MAX) {
        return -ENAMETOOLONG;
    }
    (void)stpcpy(ret, out);
    return 0;
}

void lambda_name_from_native(char ret[LAMBDA_NAME_MAX + 1], const char *native)
{
    char again[SPEC_NAME_MAX + 1];
    const char *from = native + strlen(MARK);
    char *at = ret;

    if (strncmp(native, MARK, strlen(MARK)) == 0) {
        for (; *from != '\0'; from++) {
            if (*from != '-') {
                *at++ = *from;
            } else if (from[1] != '\0') {
                from++;
                *at++ = *from == '0'   ? '_'
                        : *from == '1' ? '-'
                                       : (char)(*from - 'a' + 'A');
            }
        }
        *at = '\0';
        /* One that was not made this way is its own name. */
        if (lambda_name_to_native(again, ret) == 0 && strcmp(again, native) == 0) {
            return;
        }
    }
    (void)snprintf(ret, LAMBDA_NAME_MAX + 1, "%.64s", native);
}
