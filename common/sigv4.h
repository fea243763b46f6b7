/* Signature Version 4: whether a request was signed by who has the secret. Pure.
 *
 * The rules are AWS's ("Signature Version 4 signing process"), in the form that all of
 * its services but S3 use: the path is signed as it is on the wire, every segment encoded
 * once more; the query sorted; those headers that the client names, `host` among them;
 * and the body's SHA-256. A signature is good for SIGV4_SKEW_S around the time it names.
 * Signatures in the query (presigned URLs) are not taken. */
#ifndef COMMON_SIGV4_H
#define COMMON_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_SKEW_S      300
#define SIGV4_KEY_MAX     128 /* of an access key's id */
#define SIGV4_SECRET_MAX  128
#define SIGV4_REGION_MAX  32
#define SIGV4_SERVICE_MAX 32
#define SIGV4_HASH_SIZE   65 /* SHA-256 in hex, with NUL */
#define SIGV4_SIGNED_MAX  2048
#define SIGV4_HEADERS_MAX 64 /* that may be signed */
#define SIGV4_PARAMS_MAX  128
#define SIGV4_TEXT_MAX    512

/* Slices of the request; not NUL-terminated. */
struct sigv4_str {
    const char *at;
    size_t len;
};

struct sigv4_header {
    struct sigv4_str name;
    struct sigv4_str value;
};

struct sigv4_request {
    struct sigv4_str method;
    struct sigv4_str path;  /* as received, up to '?' */
    struct sigv4_str query; /* as received, without '?' */
    const struct sigv4_header *headers;
    size_t n_headers;
};

enum sigv4_outcome {
    SIGV4_GOOD,
    SIGV4_MISSING,    /* no Authorization header, or none of this kind */
    SIGV4_INCOMPLETE, /* it lacks something, or what it has cannot be read */
    SIGV4_INVALID,    /* scope, time, body or signature is not right */
    SIGV4_NO_MEMORY,
};

/* What the Authorization header says of itself. */
struct sigv4_claim {
    char key[SIGV4_KEY_MAX + 1];
    char date[9]; /* "20150830" */
    char region[SIGV4_REGION_MAX + 1];
    char service[SIGV4_SERVICE_MAX + 1];
    char signed_headers[SIGV4_SIGNED_MAX + 1];
    char signature[SIGV4_HASH_SIZE];
};

/* Reads it; nothing is verified yet. On failure text says why in AWS's words. */
enum sigv4_outcome sigv4_claim(struct sigv4_claim *ret, const struct sigv4_request *r,
                               char text[SIGV4_TEXT_MAX]);

/* Whether the claim holds. body_hash: SHA-256 of the body as received, in lower-case hex;
 * wall_s: now, seconds since 1970. */
enum sigv4_outcome sigv4_verify(const struct sigv4_claim *claim,
                                const struct sigv4_request *r, const char *service,
                                const char *secret, const char *body_hash,
                                uint64_t wall_s, char text[SIGV4_TEXT_MAX]);

/* The signature itself, for a body with this hash at this time ("20150830T123600Z").
 * SIGV4_GOOD, or why there is none. */
enum sigv4_outcome sigv4_sign(char ret[SIGV4_HASH_SIZE], const struct sigv4_claim *claim,
                              const struct sigv4_request *r, const char *secret,
                              const char *body_hash, const char *time,
                              char text[SIGV4_TEXT_MAX]);

/* SHA-256 in lower-case hex. */
void sigv4_hash(char ret[SIGV4_HASH_SIZE], const void *data, size_t len);

#endif /* COMMON_SIGV4_H */
