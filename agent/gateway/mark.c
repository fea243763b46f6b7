#include "agent/gateway/mark.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define VERSION       "v2"
#define WORDS         8
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

static const char *want_word(const struct mark *m)
{
    return m->only_idle ? "idle" : m->may_wait ? "wait" : "now";
}

int mark_write(char ret[MARK_SIZE], const struct mark *m, const char *secret,
               struct http_str method, struct http_str target)
{
    char fields[MARK_SIZE], signature[SIGNATURE_LEN + 1] = "-";
    int rc = 0;

    if (!word_valid(m->node, sizeof(m->node))) {
        return -EINVAL;
    }
    (void)snprintf(fields, sizeof(fields), VERSION " %s %s %llu %llu %s %s", m->node,
                   m->request_id, (unsigned long long)m->left_ms,
                   (unsigned long long)m->wait_ms, want_word(m),
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

/* Splits text at its blanks, in place; false unless there are exactly so many words. */
static bool split(char *text, char **words, unsigned n)
{
    char *save, *word = strtok_r(text, " ", &save);

    for (unsigned i = 0; i < n; i++, word = strtok_r(NULL, " ", &save)) {
        if (word == NULL) {
            return false;
        }
        words[i] = word;
    }
    return word == NULL;
}

static int number(uint64_t *ret, const char *word, uint64_t max)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(word, &end, 10);
    if (errno != 0 || *end != '\0' || word[0] < '0' || word[0] > '9' || n > max) {
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

/* A copy that can be split; false: it does not fit, or is none. */
static bool copy(char *text, size_t room, struct http_str value)
{
    if (value.len == 0 || value.len >= room ||
        memchr(value.at, '\0', value.len) != NULL) {
        return false;
    }
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    return true;
}

static bool want_read(struct mark *m, const char *word)
{
    m->only_idle = strcmp(word, "idle") == 0;
    m->may_wait = strcmp(word, "wait") == 0;
    return m->only_idle || m->may_wait || strcmp(word, "now") == 0;
}

enum mark_trust mark_read(struct mark *ret, struct http_str value, const char *secret,
                          struct http_str method, struct http_str target)
{
    char text[MARK_SIZE], fields[MARK_SIZE], want[SIGNATURE_LEN + 1], *words[WORDS];
    struct mark m = {0};

    if (!copy(text, sizeof(text), value)) {
        return MARK_NONE;
    }
    memcpy(fields, text, sizeof(text));
    if (strrchr(fields, ' ') == NULL) {
        return MARK_NONE;
    }
    *strrchr(fields, ' ') = '\0';
    if (!split(text, words, WORDS) || strcmp(words[0], VERSION) != 0 ||
        !word_valid(words[1], sizeof(m.node)) || !uuid_valid(words[2]) ||
        number(&m.left_ms, words[3], UINT64_MAX) < 0 ||
        number(&m.wait_ms, words[4], UINT64_MAX) < 0 || !want_read(&m, words[5]) ||
        !word_valid(words[6], sizeof(m.peer))) {
        return MARK_NONE;
    }
    if (secret != NULL) {
        if (sign(want, fields, secret, method, target) < 0 ||
            strlen(words[7]) != SIGNATURE_LEN ||
            CRYPTO_memcmp(words[7], want, SIGNATURE_LEN) != 0) {
            return MARK_UNSIGNED;
        }
    }
    memcpy(m.node, words[1], strlen(words[1]));
    memcpy(m.request_id, words[2], sizeof(m.request_id));
    if (strcmp(words[6], "-") != 0) {
        memcpy(m.peer, words[6], strlen(words[6]));
    }
    *ret = m;
    return MARK_TRUSTED;
}

/* --- the reply's
 * ---------------------------------------------------------------------- */

#define REPLY_VERSION "v1"

static const char *const verdicts[] = {
    [VERDICT_FINAL] = "done",
    [VERDICT_BUSY] = "busy",
    [VERDICT_CANNOT] = "cannot",
};

void mark_reply_write(char ret[MARK_REPLY_SIZE], const struct mark_reply *r)
{
    (void)snprintf(ret, MARK_REPLY_SIZE, REPLY_VERSION " %u %u %s", r->room.free,
                   r->room.load_permille, verdicts[r->verdict]);
}

int mark_reply_read(struct mark_reply *ret, struct http_str value)
{
    char text[MARK_REPLY_SIZE], *words[4];
    uint64_t free, load;

    if (!copy(text, sizeof(text), value) || !split(text, words, 4) ||
        strcmp(words[0], REPLY_VERSION) != 0 || number(&free, words[1], UINT32_MAX) < 0 ||
        number(&load, words[2], UINT32_MAX) < 0) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (strcmp(verdicts[i], words[3]) == 0) {
            *ret = (struct mark_reply){
                .room = {.free = (uint32_t)free, .load_permille = (uint32_t)load},
                .verdict = (enum call_verdict)i};
            return 0;
        }
    }
    return -EINVAL;
}
