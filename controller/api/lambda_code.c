/* Zip files: from base64 in the body into the package store. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/archive.h"
#include "controller/api/lambda_private.h"

#define PIECE (64 * 1024)
#define BAD_ZIP \
    "Could not unzip uploaded file. Please check your file, then try to upload again."

static const json_t *code_of(const struct lambda *l)
{
    return l->path.op == LAMBDA_CreateFunction ? json_object_get(l->json, "Code")
           : l->path.op == LAMBDA_PublishLayerVersion
               ? json_object_get(l->json, "Content")
               : l->json;
}

/* Strictly: no white space, padding where it belongs. -EINVAL. */
static int decode(unsigned char *out, const char *text, size_t len, size_t *ret_len)
{
    size_t pad = len >= 2 && text[len - 1] == '=' ? 1 + (text[len - 2] == '=') : 0;
    int n;

    if (len == 0 || len % 4 != 0 ||
        strspn(text,
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
            len - pad) {
        return -EINVAL;
    }
    n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    if (n < 0) {
        return -EINVAL;
    }
    *ret_len = (size_t)n - pad;
    return 0;
}

void lambda_code_decode(struct lambda *l)
{
    json_t *code = (json_t *)(uintptr_t)code_of(l);
    const json_t *text = json_object_get(code, "ZipFile");

    if (!json_is_string(text)) {
        return;
    }
    l->zip = malloc(json_string_length(text) / 4 * 3 + 4);
    if (l->zip == NULL) {
        l->work_rc = error_set(&l->work_err, -ENOMEM, "out of memory");
        return;
    }
    if (decode(l->zip, json_string_value(text), json_string_length(text), &l->zip_len) <
        0) {
        l->zip_bad = true;
    } else {
        sigv4_hash(l->package.digest, l->zip, l->zip_len);
    }
    (void)json_object_set_new(code, "ZipFile", json_true()); /* it was there */
}

/* --- how large it is unpacked ----------------------------------------------------- */

/* Of what is not on this controller's disk nothing is known, which is no refusal. */
static uint64_t unpacked(const struct lambda *l, const struct package_ref *p)
{
    char path[PATH_MAX];
    uint64_t bytes = 0;
    struct error err;

    if (!package_store_path(l->r->api->packages, p->digest, path) ||
        archive_unpacked(path, p->format, &bytes, &err) < 0) {
        return 0;
    }
    return bytes;
}

bool lambda_size_check(struct lambda *l)
{
    uint64_t bytes = unpacked(l, &l->package);

    for (size_t i = 0; i < l->spec.n_layers; i++) {
        const struct spec_layer *layer = &l->spec.layers[i];
        json_t *version = controller_core_layer_version(l->r->api->core, l->namespace_,
                                                        layer->name, layer->version);
        struct package_ref p;
        struct error err;

        if (package_ref_from_json(&p, json_object_get(version, "package"), &err) == 0) {
            bytes += unpacked(l, &p);
        }
        json_decref(version);
    }
    if (bytes > LAMBDA_UNZIPPED_MAX) {
        lambda_fail(
            l, LAMBDA_E_INVALID_PARAMETER,
            l->spec.n_layers > 0
                ? "Function code combined with layers exceeds the maximum allowed "
                  "size of %d bytes. The actual size is %llu bytes."
                : "Unzipped size must be smaller than %d bytes; it is %llu.",
            LAMBDA_UNZIPPED_MAX, (unsigned long long)bytes);
    }
    return bytes <= LAMBDA_UNZIPPED_MAX;
}

/* Where the stored file is to be had. */
json_t *lambda_package_url(const struct lambda *l, const json_t *package)
{
    const struct http_header *host =
        http_headers_find(http_exchange_headers(l->r->x), "Host");

    return json_sprintf("http://%.*s/v1/packages/%s",
                        host != NULL ? (int)host->value.len : 0,
                        host != NULL ? host->value.at : "",
                        json_string_value(json_object_get(package, "digest")));
}

void lambda_code_drop(struct lambda *l)
{
    struct package_store *packages = l->r->api->packages;

    package_upload_close(l->upload);
    l->upload = NULL;
    free(l->zip);
    l->zip = NULL;
    if (l->pinned) {
        package_store_unpin(packages, l->package.digest);
        l->pinned = false;
    }
}

static void write_on(void *data)
{
    struct lambda *l = data;

    while (l->zip_at < l->zip_len) {
        size_t n = l->zip_len - l->zip_at < PIECE ? l->zip_len - l->zip_at : PIECE;
        bool room = package_upload_write(l->upload, l->zip + l->zip_at, n);

        l->zip_at += n;
        if (!room) {
            return; /* and comes back */
        }
    }
    if (l->zip != NULL) {
        free(l->zip);
        l->zip = NULL;
        l->zip_len = l->zip_at = 0;
        package_upload_end(l->upload);
    }
}

static void done(void *data, const struct package_upload_result *result)
{
    struct lambda *l = data;

    if (l->r->x == NULL || l->r->status != 0) {
        return;
    }
    if (result->cause == CAUSE_PACKAGE_INVALID) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, BAD_ZIP);
        return;
    }
    if (result->cause != CAUSE_NONE) {
        lambda_fail(l, lambda_error_of_cause(result->cause), "%s", result->text);
        return;
    }
    l->package.bytes = result->bytes;
    package_store_pin(l->r->api->packages, l->package.digest);
    l->pinned = true;
    l->stored(l);
}

void lambda_code_store(struct lambda *l, void (*stored)(struct lambda *l))
{
    const json_t *code = code_of(l);
    int rc;

    l->stored = stored;
    l->package.format = SPEC_FORMAT_ZIP;
    if (json_object_get(code, "S3Bucket") != NULL ||
        json_object_get(code, "ImageUri") != NULL) {
        lambda_fail(
            l, LAMBDA_E_INVALID_PARAMETER,
            "Code from S3 or from an image is not supported by this cluster; send "
            "ZipFile.");
        return;
    }
    if (l->zip == NULL) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Please provide a source for function "
                    "code.");
        return;
    }
    if (l->zip_bad) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, BAD_ZIP);
        return;
    }
    if (l->zip_len > LAMBDA_ZIP_MAX) {
        lambda_fail(l, LAMBDA_E_ENTITY_TOO_LARGE,
                    "Zipped size must be smaller than %d bytes", LAMBDA_ZIP_MAX);
        return;
    }
    rc = package_upload_new(&l->upload, l->r->api->packages, &l->package, write_on, done,
                            l);
    if (rc < 0) {
        lambda_fail(l, rc == -EBUSY ? LAMBDA_E_THROTTLED : LAMBDA_E_SERVICE,
                    rc == -EBUSY ? "Too many uploads are under way." : "out of memory");
        return;
    }
    write_on(l);
}
