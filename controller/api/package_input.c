/* The package that a body names, which must be stored and stay so until the core knows of
 * it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

/* common/spec.h's errors begin with the key that is at fault. */
void api_refuse_inside(struct api_request *r, const char *inside, const struct error *err)
{
    char field[INPUT_FIELD_MAX];
    size_t len = strcspn(err->text, " :");
    const char *prefix = strncmp(err->text, inside, strlen(inside)) == 0 ? "" : inside;

    (void)snprintf(field, sizeof(field), "%s%s%.*s", prefix, *prefix != '\0' ? "." : "",
                   (int)(len < 70 ? len : 70), err->text);
    api_refuse(r, field, err);
}

bool api_read_package(struct api_request *r, struct package_ref *ret)
{
    static const char *const known[] = {"digest", "format", "file_name", "bytes", NULL};
    const json_t *json = json_object_get(r->json, "package");
    const struct package_store *packages = r->api->packages;
    struct api_error missing = {.cause = CAUSE_PACKAGE_INVALID,
                                .fix = "upload it with PUT /v1/packages/{digest} first"};
    char field[INPUT_FIELD_MAX] = "package";
    struct error err;

    if (json == NULL) {
        (void)error_set(&err, -EINVAL, "package is missing; give its digest and format");
        api_refuse(r, field, &err);
        return false;
    }
    if (json_is_object(json) &&
        input_json_keys(json, known, "package.", field, &err) < 0) {
        api_refuse(r, field, &err);
        return false;
    }
    if (package_ref_from_json(ret, json, &err) < 0) {
        api_refuse_inside(r, "package", &err);
        return false;
    }
    if (!package_store_find(packages, ret->digest, &ret->bytes)) {
        missing.field = "package.digest";
        api_fail(r, &missing, "package.digest: %s is not stored", ret->digest);
        return false;
    }
    if (!package_store_has(packages, ret->digest, ret->format)) {
        missing.field = "package.format";
        api_fail(r, &missing, "package.format: %s was not uploaded as %s", ret->digest,
                 spec_format_name(ret->format));
        return false;
    }
    return true;
}

/* --- pinned ------------------------------------------------------------------- */

struct pin {
    char digest[SPEC_DIGEST_LEN + 1];
};

void api_unpin(struct api_request *r)
{
    struct pin *p = r->state;

    if (p != NULL) {
        package_store_unpin(r->api->packages, p->digest);
        free(p);
        r->state = NULL;
    }
}

static const struct api_request_ops pin_ops = {.on_gone = api_unpin};

bool api_pin(struct api_request *r, const char *digest)
{
    struct pin *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
        return false;
    }
    (void)stpcpy(p->digest, digest);
    package_store_pin(r->api->packages, p->digest);
    r->state = p;
    r->ops = &pin_ops;
    return true;
}
