/* invoke: one call through a gateway, its reply streamed to stdout. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alias.h"
#include "common/cause.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"

#define MAX_TIME_MS (15ULL * 60 * 1000)
#define HEADERS_MAX 100

struct invoke {
    struct cli *c;
    const char *name;
    char what[SPEC_NAME_MAX + 20]; /* invoke "NAME" */
    char *headers[HEADERS_MAX + 2];
    size_t n_headers;
    FILE *file; /* the body, if it is not --data */
    int64_t file_len;
    uint64_t max_time_ms;

    struct http_reply reply;
    bool begun; /* the reply's headers were looked at */
    bool ours;  /* the reply is mayfly's error, kept in error */
    struct buf error;
    uint64_t written;
    int write_errno;
};

#define usage(v, fix, ...) cli_fail((v)->c, EXIT_CODE_USAGE, NULL, fix, __VA_ARGS__)

/* --- the request -------------------------------------------------------------- */

static int add_header(struct invoke *v, const char *line)
{
    const char *colon = strchr(line, ':');
    char *copy;

    if (colon == NULL || colon == line || line[strcspn(line, "\r\n")] != '\0') {
        return cli_fail(v->c, EXIT_CODE_USAGE, NULL, "--header 'Name: value'",
                        "--header is \"%.60s\", which is no \"Name: value\"", line);
    }
    if (v->n_headers == HEADERS_MAX) {
        return cli_fail(v->c, EXIT_CODE_USAGE, NULL, NULL, "more than %d headers",
                        HEADERS_MAX);
    }
    /* libcurl takes "Name:" for "do not send it" and "Name;" for one without a value. */
    copy = colon[1 + strspn(colon + 1, " \t")] == '\0'
               ? cli_text("%.*s;", (int)(colon - line), line)
               : strdup(line);
    if (copy == NULL) {
        return cli_fail(v->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    v->headers[v->n_headers++] = copy;
    return EXIT_CODE_OK;
}

static bool has_type(const struct invoke *v)
{
    for (size_t i = 0; i < v->n_headers; i++) {
        if (strncasecmp(v->headers[i], "content-type", 12) == 0 &&
            strchr(":;", v->headers[i][12]) != NULL) {
            return true;
        }
    }
    return false;
}

static int take_headers(struct invoke *v, const char *data)
{
    const char *line;
    json_t *json;
    size_t at = 0;
    int rc;

    while ((line = args_each(v->c->args, "header", &at)) != NULL) {
        rc = add_header(v, line);
        if (rc != EXIT_CODE_OK) {
            return rc;
        }
    }
    if (data == NULL || has_type(v)) {
        return EXIT_CODE_OK;
    }
    json = json_loads(data, 0, NULL); /* an object or a list, no mere word */
    rc = json != NULL ? add_header(v, "Content-Type: application/json") : EXIT_CODE_OK;
    json_decref(json);
    return rc;
}

static int open_body(struct invoke *v, const char *path)
{
    struct stat st;
    off_t at;

    v->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (v->file == NULL || fstat(fileno(v->file), &st) < 0) {
        return cli_fail(v->c, EXIT_CODE_USAGE, NULL, NULL, "cannot %s: open %s: %s",
                        v->what, path, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return cli_fail(v->c, EXIT_CODE_USAGE, NULL, NULL, "cannot %s: %s is a folder",
                        v->what, path);
    }
    /* Of stdin a part may have been read by somebody else. */
    at = S_ISREG(st.st_mode) ? lseek(fileno(v->file), 0, SEEK_CUR) : -1;
    v->file_len = at >= 0 && at <= st.st_size ? (int64_t)(st.st_size - at) : -1;
    return EXIT_CODE_OK;
}

static int take_body(struct invoke *v)
{
    const struct args *a = v->c->args;
    const char *data = args_get(a, "data");
    const char *file = args_get(a, "data-file");
    const char *operand = a->n_operands > 1 ? a->operands[1] : NULL;

    if (operand != NULL && strcmp(operand, "-") != 0) {
        return usage(v, "--data TEXT, --data-file FILE or - for stdin",
                     "\"%.60s\" is no way to give the body", operand);
    }
    if ((data != NULL) + (file != NULL) + (operand != NULL) > 1) {
        return usage(v, "give one of them", "%s exclude each other",
                     "--data, --data-file and -");
    }
    if (file != NULL || operand != NULL) {
        return open_body(v, file != NULL ? file : operand);
    }
    return EXIT_CODE_OK;
}

/* "hello", "hello:live", "hello:3" */
static bool is_callable(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    char name[SPEC_NAME_MAX + 1];

    if (len > SPEC_NAME_MAX) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    return spec_name_valid(name) &&
           (colon == NULL || alias_name_valid(colon + 1, strlen(colon + 1)) ||
            (colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1)));
}

static int take_arguments(struct invoke *v)
{
    const struct args *a = v->c->args;
    const char *max_time = args_get(a, "max-time");
    const char *method = args_get(a, "method");
    int rc;

    if (!is_callable(v->name)) {
        return usage(v, "mayfly list; mayfly invoke NAME, NAME:ALIAS or NAME:VERSION",
                     "\"%.70s\" is no function's name", v->name);
    }
    (void)snprintf(v->what, sizeof(v->what), "invoke \"%s\"", v->name);
    v->max_time_ms = MAX_TIME_MS;
    if (max_time != NULL && config_parse_ms(max_time, &v->max_time_ms) < 0) {
        return usage(v, "--max-time 30s", "--max-time is \"%.40s\", which is no time",
                     max_time);
    }
    if (method != NULL &&
        (*method == '\0' ||
         strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(method))) {
        return usage(v, "--method GET, POST, PUT, …",
                     "--method is \"%.40s\", which is none", method);
    }
    rc = take_headers(v, args_get(a, "data"));
    return rc == EXIT_CODE_OK ? take_body(v) : rc;
}

/* --- the reply ---------------------------------------------------------------- */

static void show_head(const struct invoke *v)
{
    (void)fprintf(stderr, "HTTP %ld\n%s\n", v->reply.status,
                  v->reply.headers.data != NULL ? v->reply.headers.data : "");
}

/* Whose reply it is: mayfly's own errors name their cause in a header. */
static void look_at_head(struct invoke *v)
{
    _cleanup_free_ char *cause = http_header(&v->reply, "X-Mayfly-Error");

    v->begun = true;
    v->ours = cause != NULL && v->reply.status >= 400;
    if (args_has(v->c->args, "include")) {
        show_head(v);
    }
}

static int on_body(void *data, const void *bytes, size_t len)
{
    struct invoke *v = data;

    if (!v->begun) {
        look_at_head(v);
    }
    if (v->ours) {
        return buf_append(&v->error, bytes, v->error.len + len < 65536 ? len : 0);
    }
    if (fwrite(bytes, 1, len, stdout) != len || fflush(stdout) != 0) {
        v->write_errno = errno;
        return -1;
    }
    v->written += len;
    return 0;
}

/* mayfly could not make the call, or its function failed before it replied. */
static int fail_of_mayfly(const struct invoke *v)
{
    _cleanup_free_ char *cause = http_header(&v->reply, "X-Mayfly-Error");
    _cleanup_free_ char *after = http_header(&v->reply, "Retry-After");
    json_t *json =
        v->error.len > 0 ? json_loadb(v->error.data, v->error.len, 0, NULL) : NULL;
    enum cause known = cause != NULL ? cause_from_name(cause) : CAUSE_COUNT;
    const char *message =
        json_text(json_object_get(json, "error"), "message",
                  known != CAUSE_COUNT ? cause_what(known) : "no reason was given");
    int exit = cli_exit_of(cause, v->reply.status);

    cli_fail(v->c, exit, cause, known != CAUSE_COUNT ? cause_fix(known) : NULL,
             "cannot %s: %s%s%s%s", v->what, message,
             after != NULL ? " (retry after " : "", after != NULL ? after : "",
             after != NULL ? " s)" : "");
    json_decref(json);
    return exit;
}

static int judge(const struct invoke *v, int rc, const struct error *err)
{
    if (rc == -ECANCELED && v->write_errno == EPIPE) {
        return EXIT_CODE_OK; /* who reads has had enough */
    }
    if (rc == -ECANCELED && v->write_errno != 0) {
        return cli_fail(v->c, EXIT_CODE_FAILED, NULL, NULL,
                        "cannot %s: write to stdout: %s", v->what,
                        strerror(v->write_errno));
    }
    if (v->ours && (rc == 0 || v->error.len > 0)) { /* even if not all was sent */
        return fail_of_mayfly(v);
    }
    if (rc < 0 && v->reply.status != 0 && rc != -ETIMEDOUT) {
        return cli_fail(v->c, EXIT_CODE_FUNCTION, "function_error",
                        "mayfly logs shows what it printed",
                        "cannot %s: the reply broke off after %llu bytes", v->what,
                        (unsigned long long)v->written);
    }
    if (rc == -ETIMEDOUT) {
        char span[PRINT_SHORT];

        return cli_fail(v->c, EXIT_CODE_TIMED_OUT, "timeout", "--max-time waits longer",
                        "cannot %s: no whole reply within %s", v->what,
                        print_duration(v->max_time_ms, span));
    }
    if (rc < 0) {
        return rest_unreachable(v->c, v->what, v->c->gateway, v->c->gateway_from, err);
    }
    if (v->reply.status >= 400) {
        return cli_fail(v->c, EXIT_CODE_FUNCTION, NULL, NULL,
                        "the function replied with status %ld", v->reply.status);
    }
    return EXIT_CODE_OK;
}

/* What people write is made fit for a request line: blanks would end it. */
static char *request_url(const struct invoke *v)
{
    const char *path = args_get(v->c->args, "path");
    struct buf url = {0};
    int rc = buf_printf(&url, "%s/fn/%s/%s%s", v->c->gateway, v->c->ns, v->name,
                        path != NULL && *path != '/' && *path != '?' ? "/" : "");

    for (const char *p = path; p != NULL && *p != '\0' && rc == 0; p++) {
        unsigned char byte = (unsigned char)*p;

        rc = byte <= ' ' || byte >= 0x7f ? buf_printf(&url, "%%%02X", byte)
                                         : buf_append(&url, p, 1);
    }
    if (rc < 0) {
        buf_free(&url);
    }
    return url.data;
}

static int call(struct invoke *v)
{
    const char *data = args_get(v->c->args, "data");
    const char *method = args_get(v->c->args, "method");
    _cleanup_free_ char *url = request_url(v);
    struct error err = {0};
    int rc;

    if (url == NULL) {
        return cli_fail(v->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    if (method == NULL) {
        method = data != NULL || v->file != NULL ? "POST" : "GET";
    }
    rc = http_do(&(struct http_request){.method = method,
                                        .url = url,
                                        .headers = (const char *const *)v->headers,
                                        .body = data,
                                        .body_len = data != NULL ? strlen(data) : 0,
                                        .body_file = v->file,
                                        .body_file_len = v->file_len,
                                        .timeout_ms = v->max_time_ms,
                                        .sink = on_body,
                                        .data = v},
                 &v->reply, &err);
    if (!v->begun && v->reply.status != 0) {
        look_at_head(v); /* there was no body */
    }
    return judge(v, rc, &err);
}

int verb_invoke(struct cli *c)
{
    struct invoke v = {.c = c, .name = c->args->operands[0]};
    int rc = take_arguments(&v);

    if (rc == EXIT_CODE_OK) {
        rc = call(&v);
    }
    if (v.file != NULL && v.file != stdin) {
        (void)fclose(v.file);
    }
    for (size_t i = 0; i < v.n_headers; i++) {
        free(v.headers[i]);
    }
    http_reply_free(&v.reply);
    buf_free(&v.error);
    return rc;
}
