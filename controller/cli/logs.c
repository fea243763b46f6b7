/* logs: what a function printed, and with -f what it goes on printing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/cleanup.h"
#include "common/random.h"
#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/logs_seen.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define TAIL_DEFAULT   100
#define TAIL_MAX       100000
#define LINE_MAX_BYTES (1024U * 1024)
#define CATCH_UP       1000 /* lines asked for after a break, to lose none */
#define COLOURS        6

struct logs {
    struct cli *c;
    char what[SPEC_NAME_MAX + 40]; /* show logs of "NAME" */
    const char *name;
    uint64_t tail, version;
    bool follow, prefix, terminal, colour;

    struct http_reply reply; /* of the request that runs */
    struct buf line;         /* the beginning of a line */
    struct buf error;        /* body of a refusal */
    struct logs_seen seen;
    bool said; /* that the connection broke */
    int write_errno;
};

/* --- a line ------------------------------------------------------------------- */

/* Local time of day of "2026-01-31T12:00:00.123Z". */
static void print_time(const char *ts)
{
    struct tm tm = {0};
    const char *rest = ts != NULL ? strptime(ts, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    struct tm local;
    time_t at;

    if (rest == NULL) {
        (void)fputs("?", stdout);
        return;
    }
    at = timegm(&tm);
    (void)localtime_r(&at, &local);
    (void)printf("%02d:%02d:%02d%.*s", local.tm_hour, local.tm_min, local.tm_sec,
                 (int)strspn(rest, ".0123456789"), rest);
}

static const char *colour_of(const char *instance)
{
    static const char *const colours[COLOURS] = {"\033[36m", "\033[32m", "\033[33m",
                                                 "\033[35m", "\033[34m", "\033[96m"};
    unsigned sum = 0;

    while (*instance != '\0') {
        sum = sum * 31 + (unsigned char)*instance++;
    }
    return colours[sum % COLOURS];
}

/* "instance" is a number or text, as is "version". */
static void member_text(const json_t *line, const char *key, char ret[64])
{
    const json_t *value = json_object_get(line, key);

    if (json_is_integer(value)) {
        (void)snprintf(ret, 64, "%lld", (long long)json_integer_value(value));
    } else {
        (void)snprintf(ret, 64, "%s",
                       json_is_string(value) ? json_string_value(value) : "?");
    }
}

static void print_prefix(const struct logs *l, const json_t *line)
{
    bool is_err = strcmp(json_text(line, "stream", ""), "stderr") == 0;
    char instance[64], version[64];

    member_text(line, "instance", instance);
    (void)fputs(l->colour ? "\033[2m" : "", stdout);
    print_time(json_text(line, "ts", NULL));
    (void)fputs(l->colour ? "\033[0m " : " ", stdout);
    if (l->c->output == OUTPUT_WIDE) {
        member_text(line, "version", version);
        (void)printf("%s v%s ", json_text(line, "node", "?"), version);
    }
    (void)printf("%s%.12s%s %s%s%s ", l->colour ? colour_of(instance) : "", instance,
                 l->colour ? "\033[0m" : "", l->colour && is_err ? "\033[31m" : "",
                 is_err ? "err" : "out", l->colour && is_err ? "\033[0m" : "");
}

/* A function's text must not steer the terminal it is shown on. */
static void print_text(const struct logs *l, const char *text, size_t len)
{
    if (!l->terminal) {
        (void)fwrite(text, 1, len, stdout);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            (void)printf("^%c", c ^ 0x40);
        } else if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0) {
            (void)printf("\\x%02x", (unsigned char)text[++i]); /* C1, in UTF-8 */
        } else {
            (void)putchar(c);
        }
    }
}

static void print_line(struct logs *l, const char *raw, size_t len)
{
    json_t *line;
    int ignored;

    if (l->c->output == OUTPUT_JSON) {
        (void)fwrite(raw, 1, len, stdout);
        (void)putchar('\n');
        return;
    }
    line = json_loadb(raw, len, 0, NULL);
    if (!json_is_object(line)) {
        print_text(l, raw, len);
        (void)putchar('\n');
    } else if (l->c->output == OUTPUT_YAML) {
        (void)fputs("---\n", stdout);
        (void)print_data(l->c, line, &ignored);
    } else {
        if (l->prefix) {
            print_prefix(l, line);
        }
        print_text(l, json_text(line, "text", ""),
                   json_string_length(json_object_get(line, "text")));
        (void)putchar('\n');
    }
    json_decref(line);
}

static void take_line(struct logs *l, const char *raw, size_t len)
{
    while (len > 0 && raw[len - 1] == '\r') {
        len--;
    }
    if (len == 0) { /* a sign of life */
        return;
    }
    if (l->follow && !logs_seen_is_new(&l->seen, raw, len)) {
        return;
    }
    print_line(l, raw, len);
}

/* --- the stream --------------------------------------------------------------- */

static int on_bytes(void *data, const void *bytes, size_t len)
{
    struct logs *l = data;
    char *end;
    size_t done = 0;

    if (l->reply.status >= 300) {
        return buf_append(&l->error, bytes, l->error.len + len < 65536 ? len : 0);
    }
    if (l->said) {
        l->said = false;
        cli_say(l->c, "the log stream is back");
    }
    if (buf_append(&l->line, bytes, len) < 0) {
        return -ENOMEM;
    }
    while ((end = memchr(l->line.data + done, '\n', l->line.len - done)) != NULL) {
        take_line(l, l->line.data + done, (size_t)(end - l->line.data) - done);
        done = (size_t)(end - l->line.data) + 1;
    }
    buf_consume(&l->line, done);
    if (l->line.len > LINE_MAX_BYTES) {
        l->line.len = 0; /* no line of ours is so long */
    }
    if (fflush(stdout) != 0) {
        l->write_errno = errno;
        return -EIO;
    }
    return 0;
}

static int fetch(struct logs *l, struct error *err)
{
    struct buf url = {0};
    int rc = buf_printf(&url, "%s/v1/namespaces/%s/functions/%s/logs?tail=%" PRIu64,
                        l->c->url, l->c->ns, l->name, l->tail);

    if (rc == 0 && l->version != 0) {
        rc = buf_printf(&url, "&version=%" PRIu64, l->version);
    }
    if (rc == 0 && l->follow) {
        rc = buf_append_str(&url, "&follow=1");
    }
    l->line.len = 0;
    l->error.len = 0;
    http_reply_free(&l->reply);
    rc = rc < 0 ? error_set(err, -ENOMEM, "out of memory")
                : http_do(&(struct http_request){.method = "GET",
                                                 .url = url.data,
                                                 .timeout_ms =
                                                     l->follow ? 0 : REST_TIMEOUT_MS,
                                                 .sink = on_bytes,
                                                 .data = l},
                          &l->reply, err);
    buf_free(&url);
    return rc;
}

static int refused(struct logs *l)
{
    l->reply.body = l->error; /* what rest_fail() reads */
    l->error = (struct buf){0};
    return rest_fail(l->c, l->what, &l->reply);
}

/* Says once that it broke, and waits. */
static void pause_broken(struct logs *l, struct backoff *backoff, const struct error *err)
{
    if (!l->said) {
        cli_say(l->c, "the log stream broke off (%s); trying again",
                err->code != 0 ? err->text : "the controller ended it");
        l->said = true;
    }
    term_pause_ms(backoff_next_ms(backoff, random_u64()));
    logs_seen_again(&l->seen);
    l->tail = CATCH_UP;
}

static int stream(struct logs *l)
{
    struct backoff backoff = {.min_ms = 250, .max_ms = 10000};
    bool connected = false; /* once: a wrong address is no break */

    for (;;) {
        struct error err = {0};
        int rc = fetch(l, &err);

        if (l->write_errno != 0) {
            return l->write_errno == EPIPE
                       ? EXIT_CODE_OK
                       : cli_fail(l->c, EXIT_CODE_FAILED, NULL, NULL,
                                  "write to stdout: %s", strerror(l->write_errno));
        }
        if (l->reply.status >= 300 && l->reply.status < 500) {
            return refused(l);
        }
        connected = connected || l->reply.status == 200;
        if (l->reply.status == 200) {
            backoff_reset(&backoff);
        }
        if (!l->follow || !connected) {
            return rc < 0
                       ? rest_unreachable(l->c, l->what, l->c->url, l->c->url_from, &err)
                   : l->reply.status >= 300 ? refused(l)
                                            : EXIT_CODE_OK;
        }
        if (rc < 0 && !rest_is_unreachable(rc)) {
            return rest_unreachable(l->c, l->what, l->c->url, l->c->url_from, &err);
        }
        pause_broken(l, &backoff, &err);
    }
}

static int take_number(const struct logs *l, const char *option, uint64_t max,
                       uint64_t *ret)
{
    const char *text = args_get(l->c->args, option);
    char *end;

    if (text == NULL) {
        return EXIT_CODE_OK;
    }
    errno = 0;
    *ret = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || strspn(text, "0123456789") == 0 || *ret > max) {
        return cli_fail(l->c, EXIT_CODE_USAGE, NULL, NULL,
                        "--%s is \"%.40s\"; give a number up to %" PRIu64, option, text,
                        max);
    }
    return EXIT_CODE_OK;
}

int verb_logs(struct cli *c)
{
    static struct logs l; /* large */
    int rc;

    l = (struct logs){
        .c = c,
        .name = c->args->operands[0],
        .tail = TAIL_DEFAULT,
        .follow = args_has(c->args, "follow"),
        .prefix = !args_has(c->args, "no-prefix"),
        .terminal = isatty(STDOUT_FILENO) == 1,
        .colour = !args_has(c->args, "no-color") && term_colour(STDOUT_FILENO),
    };

    if (!spec_name_valid(l.name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                        "\"%.70s\" is no function's name", l.name);
    }
    if (c->output == OUTPUT_NAME) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "-o table, wide, json or yaml",
                        "lines of a log have no names");
    }
    (void)snprintf(l.what, sizeof(l.what), "show logs of \"%s\"", l.name);
    rc = take_number(&l, "tail", TAIL_MAX, &l.tail);
    rc = rc == EXIT_CODE_OK ? take_number(&l, "version", INT64_MAX, &l.version) : rc;
    if (rc == EXIT_CODE_OK) {
        rc = stream(&l);
    }
    http_reply_free(&l.reply);
    buf_free(&l.line);
    buf_free(&l.error);
    return rc;
}
