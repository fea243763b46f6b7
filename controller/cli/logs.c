/* logs: what a function printed, and with -f what it goes on printing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/lines.h"
#include "controller/cli/logs_seen.h"
#include "controller/cli/print.h"
#include "controller/cli/term.h"

#define TAIL_DEFAULT 100
#define TAIL_MAX     100000
#define CATCH_UP     1000 /* lines asked for after a break, to lose none */
#define COLOURS      6

struct logs {
    struct cli *c;
    char what[SPEC_NAME_MAX + 40]; /* show logs of "NAME" */
    const char *name;
    uint64_t tail, version;
    bool follow, prefix, terminal, colour;
    struct logs_seen seen;
};

/* --- a line ------------------------------------------------------------------- */

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
    print_time_of_day(json_text(line, "ts", NULL));
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

static void take_line(void *data, const char *raw, size_t len)
{
    struct logs *l = data;

    if (!l->follow || logs_seen_is_new(&l->seen, raw, len)) {
        print_line(l, raw, len);
    }
}

/* After a break more is asked for than was, and what was seen is left out. */
static int logs_url(void *data, bool again, struct buf *url)
{
    struct logs *l = data;
    int rc;

    if (again) {
        logs_seen_again(&l->seen);
    }
    rc = buf_printf(url, "%s/v1/namespaces/%s/functions/%s/logs?tail=%" PRIu64, l->c->url,
                    l->c->ns, l->name, again ? CATCH_UP : l->tail);
    if (rc == 0 && l->version != 0) {
        rc = buf_printf(url, "&version=%" PRIu64, l->version);
    }
    if (rc == 0 && l->follow) {
        rc = buf_append_str(url, "&follow=1");
    }
    return rc;
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
    rc = cli_number(c, "tail", TAIL_MAX, &l.tail);
    rc = rc == EXIT_CODE_OK ? cli_number(c, "version", INT64_MAX, &l.version) : rc;
    if (rc == EXIT_CODE_OK) {
        rc = lines_run(&(struct lines){.c = c,
                                       .what = l.what,
                                       .stream = "log stream",
                                       .follow = l.follow,
                                       .url = logs_url,
                                       .take = take_line,
                                       .data = &l});
    }
    return rc;
}
