#include "common/alias.h"

#include <errno.h>
#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool alias_name_valid(const char *name, size_t len)
{
    bool digits = true;

    if (len == 0 || len > ALIAS_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool letter =
            (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');

        if (!letter && !is_digit(name[i]) && name[i] != '-' && name[i] != '_') {
            return false;
        }
        digits = digits && is_digit(name[i]);
    }
    return !digits;
}

int alias_percent_parse(uint32_t *ret, const char *text, size_t len)
{
    uint32_t n = 0, decimals = 0;
    size_t i = 0;

    if (len > 0 && text[len - 1] == '%') {
        len--;
    }
    if (len == 0 || len > 6 || !is_digit(text[0])) { /* "100.00" is the longest */
        return -EINVAL;
    }
    while (i < len && is_digit(text[i])) {
        n = n * 10 + (uint32_t)(text[i++] - '0');
    }
    if (i < len && text[i] == '.') {
        for (i++; i < len && is_digit(text[i]) && decimals < 2; i++, decimals++) {
            n = n * 10 + (uint32_t)(text[i] - '0');
        }
        if (decimals == 0) {
            return -EINVAL;
        }
    }
    if (i < len) {
        return -EINVAL;
    }
    for (; decimals < 2; decimals++) {
        n *= 10;
    }
    if (n > ALIAS_WHOLE) {
        return -ERANGE;
    }
    *ret = n;
    return 0;
}

void alias_percent_format(char ret[ALIAS_PERCENT_SIZE], uint32_t weight)
{
    uint32_t whole = weight / 100, rest = weight % 100;

    if (rest == 0) {
        (void)snprintf(ret, ALIAS_PERCENT_SIZE, "%u", whole);
    } else if (rest % 10 == 0) {
        (void)snprintf(ret, ALIAS_PERCENT_SIZE, "%u.%u", whole, rest / 10);
    } else {
        (void)snprintf(ret, ALIAS_PERCENT_SIZE, "%u.%02u", whole, rest);
    }
}
