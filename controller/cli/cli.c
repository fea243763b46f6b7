#include "controller/cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cause.h"
#include "common/spec.h"
#include "controller/cli/dev.h"
#include "controller/cli/term.h"
#include "controller/cli/verbs.h"

#define DEFAULT_URL     "http://127.0.0.1:8090"
#define DEFAULT_GATEWAY "http://127.0.0.1:8080"

int cli_fail(const struct cli *c, int exit, const char *code, const char *fix,
             const char *fmt, ...)
{
    bool colour = c != NULL && c->colour;
    va_list ap;

    (void)fflush(stdout);
    (void)fputs(colour ? "\033[1;31merror:\033[0m " : "error: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    if (fix != NULL && *fix != '\0') {
        (void)fprintf(stderr, "  try: %s\n", fix);
    }
    if (code != NULL) {
        (void)fprintf(stderr, "  code: %s\n", code);
    }
    return exit;
}

void cli_say(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    if (c->quiet) {
        return;
    }
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

char *cli_text(const char *fmt, ...)
{
    char *text;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vasprintf(&text, fmt, ap);
    va_end(ap);
    return len < 0 ? NULL : text;
}

static int exit_of_status(long status)
{
    switch (status) {
    case 401:
    case 403:
        return EXIT_CODE_DENIED;
    case 404:
        return EXIT_CODE_NOT_FOUND;
    case 409:
        return EXIT_CODE_CONFLICT;
    default:
        return EXIT_CODE_FAILED;
    }
}

int cli_number(const struct cli *c, const char *option, uint64_t max, uint64_t *ret)
{
    const char *text = args_get(c->args, option);
    char *end;

    if (text == NULL) {
        return EXIT_CODE_OK;
    }
    errno = 0;
    *ret = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || strspn(text, "0123456789") == 0 || *ret > max) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL,
                        "--%s is \"%.40s\"; give a number up to %" PRIu64, option, text,
                        max);
    }
    return EXIT_CODE_OK;
}

int cli_exit_of(const char *cause, long status)
{
    switch (cause != NULL ? cause_from_name(cause) : CAUSE_COUNT) {
    case CAUSE_NOT_FOUND:
        return EXIT_CODE_NOT_FOUND;
    case CAUSE_UNAUTHORIZED:
    case CAUSE_FORBIDDEN:
        return EXIT_CODE_DENIED;
    case CAUSE_CONFLICT:
        return EXIT_CODE_CONFLICT;
    case CAUSE_THROTTLED:
    case CAUSE_QUEUE_TIMEOUT:
    case CAUSE_NO_CAPACITY:
        return EXIT_CODE_NO_CAPACITY;
    case CAUSE_FUNCTION_ERROR:
    case CAUSE_CRASHED:
    case CAUSE_OOM:
    case CAUSE_START_FAILED:
    case CAUSE_INIT_FAILED:
    case CAUSE_TIMEOUT:
        return EXIT_CODE_FUNCTION;
    case CAUSE_COUNT:
        return exit_of_status(status);
    default:
        return EXIT_CODE_FAILED;
    }
}

/* --- settings ----------------------------------------------------------------- */

static char *without_slash(char *url)
{
    size_t len = url != NULL ? strlen(url) : 0;

    while (len > 0 && url[len - 1] == '/') {
        url[--len] = '\0';
    }
    return url;
}

/* Flag, environment, what `mayfly dev` wrote, default. */
static char *choose_url(const struct args *a, const char *option, const char *variable,
                        const json_t *dev, const char *dflt, const char **ret_from)
{
    const char *url = args_get(a, option);

    *ret_from = "given on the command line";
    if (url == NULL) {
        url = getenv(variable);
        *ret_from = variable;
    }
    if (url == NULL || *url == '\0') {
        url = json_string_value(json_object_get(dev, option));
        *ret_from = "from mayfly dev";
    }
    if (url == NULL) {
        url = dflt;
        *ret_from = "the default";
    }
    return without_slash(strstr(url, "://") == NULL ? cli_text("http://%s", url)
                                                    : strdup(url));
}

static enum output_format output_of(const char *name)
{
    static const char *const names[] = {"table", "wide", "json", "yaml", "name"};

    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum output_format)i;
        }
    }
    return OUTPUT_TABLE;
}

static int settle(struct cli *c, const struct args *a)
{
    const char *ns = args_get(a, "namespace");
    json_t *dev = NULL;

    c->args = a;
    c->output = output_of(args_get(a, "output"));
    c->headers = !args_has(a, "no-headers");
    c->quiet = args_has(a, "quiet");
    c->colour = !args_has(a, "no-color") && term_colour(STDERR_FILENO);
    ns = ns != NULL ? ns : getenv("MAYFLY_NAMESPACE");
    c->ns = ns != NULL && *ns != '\0' ? ns : "default";
    if (!spec_name_valid(c->ns)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "use lower-case letters, digits and dashes, 63 at most",
                        "namespace \"%s\" is no name", c->ns);
    }
    if ((a->verb->shared & (VERB_URL | VERB_GATEWAY)) != 0) {
        dev = dev_endpoints_read();
    }
    c->url = choose_url(a, "url", "MAYFLY_URL", dev, DEFAULT_URL, &c->url_from);
    c->gateway = choose_url(a, "gateway", "MAYFLY_GATEWAY", dev, DEFAULT_GATEWAY,
                            &c->gateway_from);
    json_decref(dev);
    if (c->url == NULL || c->gateway == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    return EXIT_CODE_OK;
}

int cli_main(int argc, char **argv)
{
    static struct args args; /* large */
    struct cli c = {.colour = term_colour(STDERR_FILENO)};
    struct error err = {0};
    char fix[80];
    int rc;

    (void)setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
    if (args_parse(&args, &cli_verbs, argc, argv, &err) < 0) {
        (void)snprintf(fix, sizeof(fix), "mayfly help%s%s", args.verb != NULL ? " " : "",
                       args.verb != NULL ? args.verb->name : "");
        return cli_fail(&c, EXIT_CODE_USAGE, NULL, fix, "%s", err.text);
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = settle(&c, &args);
    if (rc == EXIT_CODE_OK) {
        rc = args.verb->run(&c);
    }
    free(c.url);
    free(c.gateway);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && errno != EPIPE && rc == EXIT_CODE_OK) {
        rc = cli_fail(&c, EXIT_CODE_FAILED, NULL, NULL, "write to stdout: %s",
                      strerror(errno));
    }
    return rc;
}
