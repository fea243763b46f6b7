#include "controller/cli/rest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"

#define PATH_MAX_BYTES 2048

bool rest_is_unreachable(int code)
{
    switch (code) {
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ETIMEDOUT:
    case -EPIPE:
        return true;
    default:
        return false;
    }
}

int rest_unreachable(const struct cli *c, const char *what, const char *url,
                     const char *from, const struct error *err)
{
    bool late = err->code == -ETIMEDOUT;

    if (err->code == -EINVAL) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "give it as http://HOST:PORT",
                        "cannot %s: \"%s\" (%s): %s", what, url, from, err->text);
    }
    if (err->code == -ENOMEM || err->code == -EFBIG) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "cannot %s: %s", what,
                        err->text);
    }
    return cli_fail(
        c, late ? EXIT_CODE_TIMED_OUT : EXIT_CODE_UNREACHABLE,
        late ? "timeout" : "unreachable",
        "`mayfly dev --detach` starts a cluster here; --url, --gateway, MAYFLY_URL "
        "and MAYFLY_GATEWAY name another",
        "cannot %s: %s does not answer (%s): %s", what, url, from, err->text);
}

json_t *rest_json(const struct http_reply *r)
{
    return r->body.len > 0 ? json_loadb(r->body.data, r->body.len, 0, NULL) : NULL;
}

int rest_fail(const struct cli *c, const char *what, const struct http_reply *r)
{
    json_t *json = rest_json(r);
    const json_t *e = json_object_get(json, "error");
    const char *message = json_string_value(json_object_get(e, "message"));
    const char *code = json_string_value(json_object_get(e, "code"));
    int exit = cli_exit_of(code, r->status);

    if (message != NULL) {
        cli_fail(c, exit, code, json_string_value(json_object_get(e, "fix")),
                 "cannot %s: %s", what, message);
    } else {
        cli_fail(c, exit, NULL, "is this the address of a mayfly controller?",
                 "cannot %s: %s replied with status %ld and no reason", what, c->url,
                 r->status);
    }
    json_decref(json);
    return exit;
}

static int ask(const struct cli *c, const char *method, const json_t *body,
               uint64_t timeout_ms, struct http_reply *ret, struct error *err,
               const char *path)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json", NULL};
    _cleanup_free_ char *text =
        body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    _cleanup_free_ char *url = cli_text("%s%s", c->url, path);

    *ret = (struct http_reply){0};
    if (url == NULL || (body != NULL && text == NULL)) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    return http_do(&(struct http_request){.method = method,
                                          .url = url,
                                          .headers = headers,
                                          .body = text,
                                          .body_len = text != NULL ? strlen(text) : 0,
                                          .timeout_ms = timeout_ms},
                   ret, err);
}

int rest_ask(const struct cli *c, const char *method, const json_t *body,
             uint64_t timeout_ms, struct http_reply *ret, struct error *err,
             const char *path, ...)
{
    char whole[PATH_MAX_BYTES];
    va_list ap;

    va_start(ap, path);
    (void)vsnprintf(whole, sizeof(whole), path, ap);
    va_end(ap);
    return ask(c, method, body, timeout_ms, ret, err, whole);
}

int rest_call(const struct cli *c, const char *what, const char *method,
              const json_t *body, json_t **ret_json, const char *path, ...)
{
    char whole[PATH_MAX_BYTES];
    struct http_reply reply;
    struct error err = {0};
    va_list ap;
    int rc;

    *ret_json = NULL;
    va_start(ap, path);
    (void)vsnprintf(whole, sizeof(whole), path, ap);
    va_end(ap);
    rc = ask(c, method, body, REST_TIMEOUT_MS, &reply, &err, whole);
    if (rc < 0) {
        rc = rest_unreachable(c, what, c->url, c->url_from, &err);
    } else if (reply.status >= 300) {
        rc = rest_fail(c, what, &reply);
    } else if (reply.body.len > 0) {
        *ret_json = rest_json(&reply);
        if (*ret_json == NULL) {
            rc = cli_fail(
                c, EXIT_CODE_FAILED, NULL, "is this the address of a mayfly controller?",
                "cannot %s: %s replied with something that is no JSON", what, c->url);
        }
    }
    http_reply_free(&reply);
    return rc;
}

/* --- versions ----------------------------------------------------------------- */

char *rest_version(const struct cli *c, uint64_t timeout_ms)
{
    struct http_reply reply;
    struct error err = {0};
    json_t *json = NULL;
    const char *version;
    char *copy;

    if (rest_ask(c, "GET", NULL, timeout_ms, &reply, &err, "/v1/version") == 0 &&
        reply.status == 200) {
        json = rest_json(&reply);
    }
    http_reply_free(&reply);
    version = json_string_value(json_object_get(json, "version"));
    copy = version != NULL ? strdup(version) : NULL;
    json_decref(json);
    return copy;
}

/* Length of "MAJOR.MINOR". */
static size_t minor_len(const char *version)
{
    size_t major = strcspn(version, ".");

    return version[major] == '.' ? major + 1 + strcspn(version + major + 1, ".-+")
                                 : major;
}

void rest_warn_skew(const struct cli *c, const char *version)
{
    size_t len = minor_len(MAYFLY_VERSION);

    if (version != NULL &&
        (minor_len(version) != len || strncmp(version, MAYFLY_VERSION, len) != 0)) {
        cli_say(c,
                "warning: this is mayfly " MAYFLY_VERSION
                ", the controller %s is version "
                "%s; what is new in one may be missing",
                c->url, version);
    }
}
