/* Signatures of calls: whose they say to be, and whether they are. */
#include <stdio.h>
#include <string.h>

#include "agent/gateway/lambda_private.h"
#include "common/clock.h"
#include "common/http/http_signed.h"

bool invoke_claim(struct invoke *i)
{
    bool off = i->gateway->lambda.auth_off;
    const struct lambda_key *k = NULL;
    struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX];
    struct sigv4_request r;
    char text[SIGV4_TEXT_MAX];
    enum sigv4_outcome o;

    http_signed_request(&r, list, i->exchange);
    o = sigv4_claim(&i->claim, &r, text);
    if (o == SIGV4_GOOD) {
        (void)stpcpy(i->region, i->claim.region);
        k = lambda_key_find(i->gateway, i->claim.key);
    }
    if (k != NULL) {
        (void)stpcpy(i->namespace_, lambda_key_namespace(k));
    } else if (!off && o != SIGV4_GOOD) {
        invoke_error(i, lambda_error_of_signature(o), "%s", text);
    } else if (!off && !i->gateway->informed) {
        invoke_error(i, LAMBDA_E_UNAVAILABLE,
                     "The node has started and does not know the "
                     "access keys yet.");
    } else if (!off) {
        invoke_error(i, LAMBDA_E_CLIENT,
                     "The security token included in the request is invalid.");
    }
    return k != NULL || off;
}

bool invoke_verify(struct invoke *i)
{
    const struct lambda_key *k = lambda_key_find(i->gateway, i->claim.key);
    struct sigv4_header list[HTTP_SIGNED_HEADERS_MAX];
    struct sigv4_request r;
    char text[SIGV4_TEXT_MAX], hash[SIGV4_HASH_SIZE];
    unsigned char sum[EVP_MAX_MD_SIZE];
    enum sigv4_outcome o;

    if (i->gateway->lambda.auth_off) {
        return true;
    }
    if (k == NULL) {
        invoke_error(i, LAMBDA_E_CLIENT,
                     "The security token included in the request is invalid.");
        return false;
    }
    (void)EVP_DigestFinal_ex(i->hash, sum, NULL);
    for (size_t n = 0; n < 32; n++) {
        (void)snprintf(hash + 2 * n, 3, "%02x", sum[n]);
    }
    http_signed_request(&r, list, i->exchange);
    o = sigv4_verify(&i->claim, &r, "lambda", lambda_key_secret(k), hash,
                     clock_wall_ms() / 1000, text);
    if (o != SIGV4_GOOD) {
        invoke_error(i, lambda_error_of_signature(o), "%s", text);
    }
    return o == SIGV4_GOOD;
}
