/* /v1/namespaces/{namespace}/keys… */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define KEY_LEN    20 /* of an id that we make, as AWS's */
#define SECRET_LEN 40

/* Which of the 32 or 64 signs a byte stands for has no bias: 256 is a multiple of both.
 */
static void random_text(char *ret, size_t len, const char *signs, size_t n_signs)
{
    for (size_t i = 0; i < len; i++) {
        ret[i] = signs[random_u64() % n_signs];
    }
    ret[len] = '\0';
}

void api_list_keys(struct api_request *r)
{
    const char *ns;

    if (api_known_namespace(r, &ns)) {
        api_reply_list(r, ns, controller_core_access_keys);
    }
}

struct new_key {
    char id[ACCESS_KEY_ID_MAX + 1];
    char secret[ACCESS_KEY_SECRET_MAX + 1];
};

static void key_gone(struct api_request *r)
{
    struct new_key *k = r->state;

    if (k != NULL) {
        explicit_bzero(k, sizeof(*k));
        free(k);
        r->state = NULL;
    }
}

static const struct api_request_ops key_ops = {.on_gone = key_gone};

/* The one time that the secret is told. */
static void key_made(void *data, const struct core_reply *reply)
{
    struct api_request *r = data;
    const struct new_key *k = r->state;

    r->asked_core = false;
    if (reply->cause != CAUSE_NONE) {
        api_fail_core(r, reply);
    } else {
        api_reply_json(r, 201,
                       json_pack("{s:s, s:s, s:s}", "access_key_id", k->id, "namespace",
                                 r->match.params[0], "secret_access_key", k->secret));
    }
}

/* Both are given, or none. False: refused. */
static bool read_pair(struct api_request *r, struct new_key *k)
{
    static const char *const known[] = {"access_key_id", "secret_access_key", NULL};
    const char *id = json_string_value(json_object_get(r->json, "access_key_id"));
    const char *secret = json_string_value(json_object_get(r->json, "secret_access_key"));
    char field[INPUT_FIELD_MAX];
    struct error err;

    if (input_json_keys(r->json, known, "", field, &err) < 0) {
        api_refuse(r, field, &err);
        return false;
    }
    if (json_object_size(r->json) == 0) {
        (void)stpcpy(k->id, "AKIA");
        random_text(k->id + 4, KEY_LEN - 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32);
        random_text(k->secret, SECRET_LEN,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                    64);
        return true;
    }
    if (id == NULL || !access_key_id_valid(id)) {
        (void)error_set(&err, -1,
                        "access_key_id has 4 to 128 letters, digits and _; give "
                        "both it and secret_access_key, or neither");
        api_refuse(r, "access_key_id", &err);
        return false;
    }
    if (secret == NULL || !access_key_secret_valid(secret)) {
        (void)error_set(&err, -1,
                        "secret_access_key has 8 to 128 printable characters and no "
                        "blanks; give both it and access_key_id, or neither");
        api_refuse(r, "secret_access_key", &err);
        return false;
    }
    (void)stpcpy(k->id, id);
    (void)stpcpy(k->secret, secret);
    return true;
}

void api_create_key(struct api_request *r)
{
    struct new_key *k;
    const char *ns;

    if (!api_known_namespace(r, &ns)) {
        return;
    }
    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return;
    }
    r->state = k;
    r->ops = &key_ops;
    if (read_pair(r, k)) {
        r->asked_core = true;
        controller_core_put_key(r->api->core, ns, k->id, k->secret, key_made, r);
    }
}

void api_delete_key(struct api_request *r)
{
    const char *ns;

    if (api_known_namespace(r, &ns)) {
        r->asked_core = true;
        controller_core_delete_key(r->api->core, ns, r->match.params[1], api_core_gone,
                                   r);
    }
}
