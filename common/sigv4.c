#include "common/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/check.h"
#include "common/sigv4_text.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TIME_SIZE 17 /* "20150830T123600Z", with NUL */
#define MISMATCH                                                                      \
    "The request signature we calculated does not match the signature you provided. " \
    "Check your AWS Secret Access Key and signing method. Consult the service "       \
    "documentation for details."

static void to_hex(char ret[SIGV4_HASH_SIZE], const unsigned char sum[32])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        ret[2 * i] = digits[sum[i] >> 4];
        ret[2 * i + 1] = digits[sum[i] & 15];
    }
    ret[64] = '\0';
}

void sigv4_hash(char ret[SIGV4_HASH_SIZE], const void *data, size_t len)
{
    unsigned char sum[32];

    (void)SHA256(data != NULL ? data : "", len, sum);
    to_hex(ret, sum);
}

/* --- the claim -------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static enum sigv4_outcome say(
    char text[SIGV4_TEXT_MAX], enum sigv4_outcome outcome, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, SIGV4_TEXT_MAX, fmt, ap);
    va_end(ap);
    return outcome;
}

/* The value of "name=" among the comma-separated parameters; false: not there, too long,
 * or with what no such value has. */
static bool parameter(struct sigv4_str all, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < all.len;) {
        const char *comma = memchr(all.at + i, ',', all.len - i);
        size_t end = comma != NULL ? (size_t)(comma - all.at) : all.len;
        size_t from = i, to = end;

        while (from < to && (all.at[from] == ' ' || all.at[from] == '\t')) {
            from++;
        }
        while (to > from && (all.at[to - 1] == ' ' || all.at[to - 1] == '\t')) {
            to--;
        }
        if (to - from > n && strncmp(all.at + from, name, n) == 0 &&
            all.at[from + n] == '=') {
            from += n + 1;
            if (to == from || to - from >= size ||
                memchr(all.at + from, '\0', to - from) != NULL) {
                return false;
            }
            memcpy(ret, all.at + from, to - from);
            ret[to - from] = '\0';
            return true;
        }
        i = end + 1;
    }
    return false;
}

/* "KEY/20150830/us-east-1/lambda/aws4_request"; the key itself may hold slashes. */
static bool split_scope(struct sigv4_claim *c, char *scope)
{
    char *parts[4]; /* the end, service, region, date: from behind */

    for (int i = 0; i < 4; i++) {
        char *slash = strrchr(scope, '/');

        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
        parts[i] = slash + 1;
    }
    if (strcmp(parts[0], "aws4_request") != 0 || *parts[1] == '\0' ||
        strlen(parts[1]) > SIGV4_SERVICE_MAX || *parts[2] == '\0' ||
        strlen(parts[2]) > SIGV4_REGION_MAX || strlen(parts[3]) != 8 ||
        strspn(parts[3], "0123456789") != 8 || *scope == '\0' ||
        strlen(scope) > SIGV4_KEY_MAX ||
        strspn(parts[2], "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(parts[2])) {
        return false;
    }
    (void)stpcpy(c->service, parts[1]);
    (void)stpcpy(c->region, parts[2]);
    (void)stpcpy(c->date, parts[3]);
    (void)stpcpy(c->key, scope);
    return true;
}

static bool names_host(const char *names)
{
    while (*names != '\0') {
        size_t len = strcspn(names, ";");

        if (len == 4 && strncmp(names, "host", 4) == 0) {
            return true;
        }
        names += len + (names[len] == ';');
    }
    return false;
}

enum sigv4_outcome sigv4_claim(struct sigv4_claim *ret, const struct sigv4_request *r,
                               char text[SIGV4_TEXT_MAX])
{
    const struct sigv4_header *h = sigv4_find(r, "authorization");
    size_t skip = strlen(ALGORITHM);
    char scope[SIGV4_KEY_MAX + 128];
    struct sigv4_claim c = {.key = ""};
    struct sigv4_str all;

    if (h == NULL || h->value.len < skip + 1 ||
        memcmp(h->value.at, ALGORITHM " ", skip + 1) != 0) {
        return say(text, SIGV4_MISSING, "Missing Authentication Token");
    }
    all = (struct sigv4_str){h->value.at + skip, h->value.len - skip};
    if (!parameter(all, "Credential", scope, sizeof(scope))) {
        return say(text, SIGV4_INCOMPLETE,
                   "Authorization header requires 'Credential' parameter.");
    }
    if (!parameter(all, "SignedHeaders", c.signed_headers, sizeof(c.signed_headers))) {
        return say(text, SIGV4_INCOMPLETE,
                   "Authorization header requires 'SignedHeaders' parameter.");
    }
    if (!parameter(all, "Signature", c.signature, sizeof(c.signature)) ||
        strspn(c.signature, "0123456789abcdef") != SIGV4_HASH_SIZE - 1) {
        return say(text, SIGV4_INCOMPLETE,
                   "Authorization header requires 'Signature' parameter.");
    }
    if (!split_scope(&c, scope)) {
        return say(text, SIGV4_INCOMPLETE,
                   "Credential must have exactly 5 slash-delimited elements, e.g. "
                   "keyid/date/region/service/term.");
    }
    if (!names_host(c.signed_headers)) {
        return say(text, SIGV4_INCOMPLETE,
                   "'Host' or ':authority' must be a 'SignedHeader' in the AWS "
                   "Authorization.");
    }
    *ret = c;
    return SIGV4_GOOD;
}

/* --- the signature ---------------------------------------------------------------- */

static void hmac(unsigned char ret[32], const void *key, size_t key_len, const char *data)
{
    unsigned len = 32;

    CHECK(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, strlen(data),
               ret, &len) != NULL &&
          len == 32);
}

static void signing_key(unsigned char ret[32], const struct sigv4_claim *c,
                        const char *secret)
{
    char first[SIGV4_SECRET_MAX + 5];

    (void)snprintf(first, sizeof(first), "AWS4%s", secret);
    hmac(ret, first, strlen(first), c->date);
    hmac(ret, ret, 32, c->region);
    hmac(ret, ret, 32, c->service);
    hmac(ret, ret, 32, "aws4_request");
    OPENSSL_cleanse(first, sizeof(first));
}

static int canonical(struct buf *b, const struct sigv4_claim *c,
                     const struct sigv4_request *r, const char *body_hash,
                     char text[SIGV4_TEXT_MAX])
{
    int rc = buf_append(b, r->method.at, r->method.len);

    rc = rc < 0 ? rc : buf_append(b, "\n", 1);
    rc = rc < 0 ? rc : sigv4_add_path(b, r->path);
    rc = rc < 0 ? rc : buf_append(b, "\n", 1);
    rc = rc < 0 ? rc : sigv4_add_query(b, r->query, text);
    rc = rc < 0 ? rc : buf_append(b, "\n", 1);
    rc = rc < 0 ? rc : sigv4_add_headers(b, r, c->signed_headers, text);
    return rc < 0 ? rc : buf_printf(b, "\n%s\n%s", c->signed_headers, body_hash);
}

enum sigv4_outcome sigv4_sign(char ret[SIGV4_HASH_SIZE], const struct sigv4_claim *c,
                              const struct sigv4_request *r, const char *secret,
                              const char *body_hash, const char *time,
                              char text[SIGV4_TEXT_MAX])
{
    char hash[SIGV4_HASH_SIZE];
    unsigned char key[32], sum[32];
    struct buf b = {0};
    int rc;

    (void)say(text, SIGV4_INVALID, "The request cannot be put in canonical form.");
    rc = canonical(&b, c, r, body_hash, text);
    if (rc == 0) {
        sigv4_hash(hash, b.data, b.len);
        buf_free(&b);
        rc = buf_printf(&b, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", time, c->date,
                        c->region, c->service, hash);
    }
    if (rc == 0) {
        signing_key(key, c, secret);
        hmac(sum, key, sizeof(key), b.data);
        to_hex(ret, sum);
        OPENSSL_cleanse(key, sizeof(key));
    }
    buf_free(&b);
    return rc == 0 ? SIGV4_GOOD : rc == -ENOMEM ? SIGV4_NO_MEMORY : SIGV4_INVALID;
}

/* --- the time --------------------------------------------------------------------- */

static void format_time(char ret[TIME_SIZE], uint64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    CHECK(gmtime_r(&t, &tm) != NULL &&
          strftime(ret, TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm) > 0);
}

/* "20150830T123600Z" as X-Amz-Date has it. */
static bool read_time(const struct sigv4_request *r, char ret[TIME_SIZE], uint64_t *ret_s)
{
    static const char form[] = "ddddddddTddddddZ";
    const struct sigv4_header *h = sigv4_find(r, "x-amz-date");
    struct tm tm = {0};
    time_t t;

    h = h != NULL ? h : sigv4_find(r, "date");
    if (h == NULL || h->value.len != TIME_SIZE - 1) {
        return false;
    }
    memcpy(ret, h->value.at, TIME_SIZE - 1);
    ret[TIME_SIZE - 1] = '\0';
    for (int i = 0; form[i] != '\0'; i++) {
        bool digit = ret[i] >= '0' && ret[i] <= '9';

        if (form[i] == 'd' ? !digit : ret[i] != form[i]) {
            return false;
        }
    }
    if (strptime(ret, "%Y%m%dT%H%M%SZ", &tm) == NULL) {
        return false;
    }
    t = timegm(&tm);
    *ret_s = t > 0 ? (uint64_t)t : 0;
    return t > 0;
}

static enum sigv4_outcome check_time(const struct sigv4_claim *c,
                                     const struct sigv4_request *r, uint64_t wall_s,
                                     char time[TIME_SIZE], char text[SIGV4_TEXT_MAX])
{
    char now[TIME_SIZE], limit[TIME_SIZE];
    uint64_t signed_s;

    if (!read_time(r, time, &signed_s)) {
        return say(text, SIGV4_INCOMPLETE,
                   "Authorization header requires existence of either a 'X-Amz-Date' or "
                   "a 'Date' header, in the form 20150830T123600Z.");
    }
    if (strncmp(time, c->date, 8) != 0) {
        return say(text, SIGV4_INVALID,
                   "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                   "version of date from HTTP: '%s' != '%.8s', from '%s'.",
                   c->date, time, time);
    }
    format_time(now, wall_s);
    if (signed_s + SIGV4_SKEW_S < wall_s) {
        format_time(limit, wall_s - SIGV4_SKEW_S);
        return say(text, SIGV4_INVALID,
                   "Signature expired: %s is now earlier than %s (%s - %d min.)", time,
                   limit, now, SIGV4_SKEW_S / 60);
    }
    if (signed_s > wall_s + SIGV4_SKEW_S) {
        format_time(limit, wall_s + SIGV4_SKEW_S);
        return say(text, SIGV4_INVALID,
                   "Signature not yet current: %s is still later than %s (%s + %d min.)",
                   time, limit, now, SIGV4_SKEW_S / 60);
    }
    return SIGV4_GOOD;
}

/* --- verifying -------------------------------------------------------------------- */

/* What the client says of its body must be so. UNSIGNED-PAYLOAD, which says nothing, is
 * for S3. */
static enum sigv4_outcome check_body(const struct sigv4_request *r, const char *body_hash,
                                     char text[SIGV4_TEXT_MAX])
{
    const struct sigv4_header *h = sigv4_find(r, "x-amz-content-sha256");

    if (h == NULL || (h->value.len == SIGV4_HASH_SIZE - 1 &&
                      CRYPTO_memcmp(h->value.at, body_hash, h->value.len) == 0)) {
        return SIGV4_GOOD;
    }
    return say(text, SIGV4_INVALID,
               "The value of 'x-amz-content-sha256' is not the SHA-256 of the body that "
               "was received.");
}

enum sigv4_outcome sigv4_verify(const struct sigv4_claim *c,
                                const struct sigv4_request *r, const char *service,
                                const char *secret, const char *body_hash,
                                uint64_t wall_s, char text[SIGV4_TEXT_MAX])
{
    char want[SIGV4_HASH_SIZE], time[TIME_SIZE];
    enum sigv4_outcome o;

    if (strcmp(c->service, service) != 0) {
        return say(text, SIGV4_INVALID,
                   "Credential should be scoped to correct service: '%s'. ", service);
    }
    o = check_time(c, r, wall_s, time, text);
    o = o == SIGV4_GOOD ? check_body(r, body_hash, text) : o;
    o = o == SIGV4_GOOD ? sigv4_sign(want, c, r, secret, body_hash, time, text) : o;
    if (o == SIGV4_GOOD && CRYPTO_memcmp(want, c->signature, sizeof(want) - 1) != 0) {
        return say(text, SIGV4_INVALID, "%s", MISMATCH);
    }
    return o;
}
