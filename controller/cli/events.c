/* events: what the cluster decided and what became of its nodes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/lines.h"
#include "controller/cli/print.h"
#include "controller/cli/term.h"

#define TAIL_DEFAULT 100
#define TAIL_MAX     4096

struct events {
    struct cli *c;
    const char *name, *node; /* NULL: all */
    uint64_t tail, last;     /* last: number of the newest one shown */
    bool follow, all, colour;
};

static const char *colour_of(const char *kind)
{
    static const struct {
        const char *kind, *colour;
    } colours[] = {
        {"node_lost", "\033[31m"},     {"version_failed", "\033[31m"},
        {"missed", "\033[31m"},        {"node_joined", "\033[32m"},
        {"version_ready", "\033[32m"}, {"node_ordered", "\033[33m"},
        {"rollout", "\033[33m"},
    };

    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(colours[i].kind, kind) == 0) {
            return colours[i].colour;
        }
    }
    return "";
}

/* Who it is about: "node n1", "hello v3", "team/hello". */
static void print_subject(const struct events *e, const json_t *event)
{
    const char *function = json_text(event, "function", NULL);
    const char *ns = json_text(event, "namespace", "");
    int64_t version = json_number(event, "version");

    if (function == NULL) {
        (void)printf("node %s", json_text(event, "node", ""));
        return;
    }
    if (e->all || strcmp(ns, e->c->ns) != 0) {
        (void)printf("%s/", ns);
    }
    (void)printf("%s", function);
    if (version > 0) {
        (void)printf(" v%" PRId64, version);
    }
}

static void print_event(const struct events *e, const json_t *event)
{
    const char *kind = json_text(event, "kind", "?");
    const char *colour = e->colour ? colour_of(kind) : "";

    (void)fputs(e->colour ? "\033[2m" : "", stdout);
    print_time_of_day(json_text(event, "ts", NULL));
    (void)printf("%s %s%-14s%s ", e->colour ? "\033[0m" : "", colour, kind,
                 *colour != '\0' ? "\033[0m" : "");
    if (strcmp(kind, "missed") != 0) {
        print_subject(e, event);
        (void)fputs(" ", stdout);
    }
    (void)printf("%s\n", json_text(event, "text", ""));
}

static void take_line(void *data, const char *raw, size_t len)
{
    struct events *e = data;
    json_t *event = json_loadb(raw, len, 0, NULL);
    int ignored;

    if (json_number(event, "id") > 0) {
        e->last = (uint64_t)json_number(event, "id");
    }
    if (e->c->output == OUTPUT_JSON) {
        (void)printf("%.*s\n", (int)len, raw);
    } else if (e->c->output == OUTPUT_YAML) {
        (void)fputs("---\n", stdout);
        (void)print_data(e->c, event, &ignored);
    } else if (json_is_object(event)) {
        print_event(e, event);
    }
    json_decref(event);
}

static int append_param(struct buf *url, const char *name, const char *value)
{
    char *escaped = value != NULL ? http_escape(value) : NULL;
    int rc = 0;

    if (value != NULL) {
        rc = escaped != NULL ? buf_printf(url, "&%s=%s", name, escaped) : -ENOMEM;
    }
    free(escaped);
    return rc;
}

static int events_url(void *data, bool again, struct buf *url)
{
    const struct events *e = data;
    int rc = again && e->last > 0
                 ? buf_printf(url, "%s/v1/events?after=%" PRIu64, e->c->url, e->last)
                 : buf_printf(url, "%s/v1/events?tail=%" PRIu64, e->c->url,
                              again ? TAIL_MAX : e->tail);

    rc = rc == 0 && !e->all ? append_param(url, "namespace", e->c->ns) : rc;
    rc = rc == 0 ? append_param(url, "function", e->name) : rc;
    rc = rc == 0 ? append_param(url, "node", e->node) : rc;
    return rc == 0 && e->follow ? buf_append_str(url, "&follow=1") : rc;
}

int verb_events(struct cli *c)
{
    struct events e = {
        .c = c,
        .name = c->args->n_operands > 0 ? c->args->operands[0] : NULL,
        .node = args_get(c->args, "node"),
        .tail = TAIL_DEFAULT,
        .follow = args_has(c->args, "follow"),
        .all = args_has(c->args, "all"),
        .colour = !args_has(c->args, "no-color") && term_colour(STDOUT_FILENO),
    };
    int rc;

    if (e.name != NULL && !spec_name_valid(e.name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                        "\"%.70s\" is no function's name", e.name);
    }
    if (c->output == OUTPUT_NAME) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "-o table, wide, json or yaml",
                        "events have no names");
    }
    rc = cli_number(c, "tail", TAIL_MAX, &e.tail);
    return rc != EXIT_CODE_OK ? rc
                              : lines_run(&(struct lines){.c = c,
                                                          .what = "show events",
                                                          .stream = "event stream",
                                                          .follow = e.follow,
                                                          .url = events_url,
                                                          .take = take_line,
                                                          .data = &e});
}
