#include "agent/gateway/mark.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define VERSION       "v1"
#define SIGNATURE_LEN 64 /* hex of SHA-256 */

/* -ENOMEM, or -EIO when libcrypto fails. */
static int sign(char ret[SIGNATURE_LEN + 1], const char *fields, const char *secret,
                struct http_str method, struct http_str target)
{
    unsigned char sum[32];
    unsigned len = sizeof(sum);
    struct buf b = {0};
    int rc = buf_printf(&b, "mayfly forward\n%s\n", fields);

    rc = rc < 0 ? rc : buf_append(&b, method.at, method.len);
    rc = rc < 0 ? rc : buf_append(&b, " ", 1);
    rc = rc < 0 ? rc : buf_append(&b, target.at, target.len);
    if (rc == 0 && HMAC(EVP_sha256(), secret, (int)strlen(secret),
                        (const unsigned char *)b.data, b.len, sum, &len) == NULL) {
        rc = -EIO;
    }
    buf_free(&b);
    for (size_t i = 0; rc == 0 && i < sizeof(sum); i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", sum[i]);
    }
    return rc;
}

static bool word_valid(const char *s, size_t room)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] > '~') {
            return false;
        }
    }
    return len > 0 && len < room;
}

int mark_write(char ret[MARK_SIZE], const struct mark *m, const char *secret,
               struct http_str method, struct http_str target)
{
    char fields[MARK_SIZE], signature[SIGNATURE_LEN + 1] = "-";
    int rc = 0;

    if (!word_valid(m->node, sizeof(m->node))) {
        return -EINVAL;
    }
    (void)snprintf(fields, sizeof(fields), VERSION " %s %s %llu %s", m->node,
                   m->request_id, (unsigned long long)m->left_ms,
                   m->peer[0] != '\0' ? m->peer : "-");
    if (secret != NULL) {
        rc = sign(signature, fields, secret, method, target);
    }
    if (rc == 0 && snprintf(ret, MARK_SIZE, "%s %s", fields, signature) >= MARK_SIZE) {
        rc = -EINVAL;
    }
    return rc;
}

static bool uuid_valid(const char *s)
{
    return strlen(s) == RANDOM_UUID_SIZE - 1 &&
           strspn(s, "0123456789abcdef-") == RANDOM_UUID_SIZE - 1;
}

/* Splits text at its blanks, in place; false unless there are exactly six words. */
static bool split(char *text, char *words[6])
{
    char *save, *word = strtok_r(text, " ", &save);

    for (unsigned i = 0; i < 6; i++, word = strtok_r(NULL, " ", &save)) {
        if (word == NULL) {
            return false;
        }
        words[i] = word;
    }
    return word == NULL;
}

enum mark_trust mark_read(struct mark *ret, struct http_str value, const char *secret,
                          struct http_str method, struct http_str target)
{
    char text[MARK_SIZE], fields[MARK_SIZE], want[SIGNATURE_LEN + 1], *words[6], *end;
    struct mark m = {0};

    if (value.len == 0 || value.len >= sizeof(text) ||
        memchr(value.at, '\0', value.len) != NULL) {
        return MARK_NONE;
    }
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    memcpy(fields, text, sizeof(text));
    if (strrchr(fields, ' ') == NULL) {
        return MARK_NONE;
    }
    *strrchr(fields, ' ') = '\0';
    if (!split(text, words) || strcmp(words[0], VERSION) != 0 ||
        !word_valid(words[1], sizeof(m.node)) || !uuid_valid(words[2]) ||
        !word_valid(words[4], sizeof(m.peer))) {
        return MARK_NONE;
    }
    errno = 0;
    m.left_ms = strtoull(words[3], &end, 10);
    if (errno != 0 || *end != '\0' || words[3][0] < '0' || words[3][0] > '9') {
        return MARK_NONE;
    }
    if (secret != NULL) {
        if (sign(want, fields, secret, method, target) < 0 ||
            strlen(words[5]) != SIGNATURE_LEN ||
            CRYPTO_memcmp(words[5], want, SIGNATURE_LEN) != 0) {
            return MARK_UNSIGNED;
        }
    }
    memcpy(m.node, words[1], strlen(words[1]));
    memcpy(m.request_id, words[2], sizeof(m.request_id));
    if (strcmp(words[4], "-") != 0) {
        memcpy(m.peer, words[4], strlen(words[4]));
    }
    *ret = m;
    return MARK_TRUSTED;
}
