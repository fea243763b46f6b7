/* What people write in a configuration: numbers with their units, and keys that are
 * nearly right. */
#include "common/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/config_tree.h"

static int parse_u64(const char *text, const char **ret_rest, uint64_t *ret)
{
    uint64_t v = 0;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)) {
            return -ERANGE;
        }
    }
    if (p == text) {
        return -EINVAL;
    }
    *ret_rest = p;
    *ret = v;
    return 0;
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    const char *rest;
    uint64_t v;
    int rc = parse_u64(text, &rest, &v);

    if (rc < 0) {
        return rc;
    }
    for (const struct unit *u = units; u->suffix != NULL; u++) {
        if (strcmp(rest, u->suffix) == 0) {
            if (__builtin_mul_overflow(v, u->factor, &v)) {
                return -ERANGE;
            }
            *ret = v;
            return 0;
        }
    }
    return -EINVAL;
}

/* What other tools take for the same: 128Mi as Kubernetes, 128m as Docker, 128MB as
 * people write it. All are powers of 1024. False: it is none of them. */
static bool read_size_unit(const char *text, uint64_t *ret)
{
    static const char letters[] = "kmgt";
    const char *at =
        *text != '\0' ? strchr(letters, tolower((unsigned char)*text)) : NULL;

    *ret = 1;
    if (at != NULL) {
        *ret = UINT64_C(1) << (10 * (at - letters + 1));
        text++;
        text += *text == 'i';
    }
    text += *text == 'B' || (at != NULL && *text == 'b');
    return *text == '\0';
}

int config_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    const char *rest;
    uint64_t v, unit;
    int rc = parse_u64(text, &rest, &v);

    if (rc < 0) {
        return rc;
    }
    if (!read_size_unit(rest, &unit)) {
        return -EINVAL;
    }
    if (__builtin_mul_overflow(v, unit, &v)) {
        return -ERANGE;
    }
    *ret_bytes = v;
    return 0;
}

int config_parse_ms(const char *text, uint64_t *ret_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {NULL, 0},
    };

    if (strcmp(text, "0") == 0) { /* the one number that needs no unit */
        *ret_ms = 0;
        return 0;
    }
    return parse_with_unit(text, units, ret_ms);
}

int config_parse_u64(const char *text, uint64_t *ret)
{
    const char *rest;
    uint64_t v;
    int rc = parse_u64(text, &rest, &v);

    if (rc < 0 || *rest != '\0') {
        return rc < 0 ? rc : -EINVAL;
    }
    *ret = v;
    return 0;
}

int config_parse_hundredths(const char *text, uint64_t *ret)
{
    uint64_t whole = 0, part = 0;
    const char *rest = text;
    size_t n;
    int rc = *text == '.' ? 0 : parse_u64(text, &rest, &whole);

    if (rc < 0) {
        return rc;
    }
    if (*rest == '.') {
        n = strspn(++rest, "0123456789");
        if (n < 1 || n > 2) {
            return -EINVAL;
        }
        part = (uint64_t)(rest[0] - '0') * 10 + (n > 1 ? (uint64_t)(rest[1] - '0') : 0);
        rest += n;
    }
    if (*rest != '\0' || rest == text) {
        return -EINVAL;
    }
    if (__builtin_mul_overflow(whole, 100U, &whole) ||
        __builtin_add_overflow(whole, part, &whole)) {
        return -ERANGE;
    }
    *ret = whole;
    return 0;
}

/* --- nearly right ------------------------------------------------------------------- */

unsigned config_edit_distance(const char *a, const char *b, unsigned limit)
{
    enum { MAX = 64 };
    unsigned d[3][MAX + 1]; /* the rows before last, last and now */
    size_t n = strlen(a);
    size_t m = strlen(b);

    if (n > MAX || m > MAX) {
        return limit;
    }
    for (unsigned j = 0; j <= m; j++) {
        d[0][j] = j;
    }
    for (unsigned i = 1; i <= n; i++) {
        unsigned *now = d[i % 3];
        const unsigned *last = d[(i - 1) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[(i - 2) % 3][j - 2] + 1 < best) {
                best = d[(i - 2) % 3][j - 2] + 1;
            }
            now[j] = best;
        }
    }
    return d[n % 3][m] < limit ? d[n % 3][m] : limit;
}
