/* node: what an operator says of one host. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/http.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define DRAIN_MS (10 * 60 * 1000)
#define POLL_MS  500

/* "zone=a" sets, "zone-" removes. NULL after it was said what is wrong. */
static json_t *read_labels(const struct cli *c)
{
    const struct args *a = c->args;
    json_t *labels = json_object();

    for (size_t i = 2; labels != NULL && i < a->n_operands; i++) {
        const char *text = a->operands[i];
        const char *equals = strchr(text, '=');
        size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text) - 1;
        char key[160];
        int rc;

        if (len == 0 || len >= sizeof(key) ||
            (equals == NULL && text[strlen(text) - 1] != '-')) {
            (void)cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly node label NODE zone=a old-",
                           "\"%.80s\" is neither KEY=VALUE nor KEY-", text);
            json_decref(labels);
            return NULL;
        }
        memcpy(key, text, len);
        key[len] = '\0';
        rc = json_object_set_new(labels, key,
                                 equals != NULL ? json_string(equals + 1) : json_null());
        if (rc < 0) {
            (void)cli_fail(c, EXIT_CODE_USAGE, NULL, NULL,
                           "label \"%.80s\" is not valid text", text);
            json_decref(labels);
            return NULL;
        }
    }
    return labels;
}

static int patch(const struct cli *c, const char *verb, const json_t *body, json_t **ret)
{
    const char *name = c->args->operands[1];
    _cleanup_free_ char *escaped = http_escape(name);
    char what[200];

    if (escaped == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    (void)snprintf(what, sizeof(what), "%s \"%.80s\"", verb, name);
    return rest_call(c, what, "PATCH", body, ret, "/v1/nodes/%s", escaped);
}

static bool is_empty(const json_t *node)
{
    return json_number(node, "instances") == 0 && json_number(node, "functions") == 0;
}

/* Until nothing of it is left there. An answer that does not come is asked for again: the
 * node drains whether or not anybody looks. */
static int wait_empty(const struct cli *c, uint64_t limit_ms, json_t **node)
{
    _cleanup_free_ char *escaped = http_escape(c->args->operands[1]);
    uint64_t began_ms = clock_mono_ms();
    struct progress p;

    progress_init(&p, c->quiet);
    while (!is_empty(*node)) {
        struct http_reply reply = {0};
        struct error err;
        json_t *now = NULL;

        if (clock_mono_ms() - began_ms >= limit_ms) {
            progress_clear(&p);
            return cli_fail(
                c, EXIT_CODE_TIMED_OUT, NULL,
                "mayfly nodes shows how it goes on; calls end by their time-outs",
                "%s is not empty yet: instances left: %lld", c->args->operands[1],
                (long long)json_number(*node, "instances"));
        }
        progress_show(&p, "%s: instances left: %lld", c->args->operands[1],
                      (long long)json_number(*node, "instances"));
        term_pause_ms(POLL_MS);
        if (escaped != NULL &&
            rest_ask(c, "GET", NULL, REST_TIMEOUT_MS, &reply, &err, "/v1/nodes/%s",
                     escaped) == 0 &&
            reply.status == 200) {
            now = rest_json(&reply);
        }
        http_reply_free(&reply);
        if (now != NULL) {
            json_decref(*node);
            *node = now;
        }
    }
    progress_clear(&p);
    return EXIT_CODE_OK;
}

static int drain(const struct cli *c, json_t **node)
{
    const char *text = args_get(c->args, "deadline");
    uint64_t limit_ms = DRAIN_MS;

    if (text != NULL && config_parse_ms(text, &limit_ms) < 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "--deadline 5m",
                        "--deadline is \"%.40s\", which is no time", text);
    }
    return args_has(c->args, "no-wait") ? EXIT_CODE_OK : wait_empty(c, limit_ms, node);
}

/* verb, the state that it asks for, and what is said when it is done. */
static const struct action {
    const char *verb;
    const char *state;
    const char *done;
} actions[] = {
    {"cordon", "cordoned", "gets nothing new; what is there stays"},
    {"uncordon", "ready", "takes work again"},
    {"drain", "draining",
     "is empty and gets nothing; mayfly node uncordon brings it back"},
    {"label", NULL, "has its labels"},
};

/* --- looking ------------------------------------------------------------------------ */

/* "14, 29.1 MiB: 8 plain, 4 python, 2 node" */
static void print_blanks(const json_t *blanks)
{
    const json_t *kinds = json_object_get(blanks, "kinds");
    char text[PRINT_SHORT];
    const char *before = ": ";

    (void)printf("blanks     %" PRId64 " made ahead, %s", json_number(blanks, "ready"),
                 print_bytes((uint64_t)json_number(blanks, "memory_bytes"), text));
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const json_t *kind = json_array_get(kinds, i);

        (void)printf("%s%" PRId64 " %s, %s", before, json_number(kind, "ready"),
                     json_text(kind, "kind", "?"),
                     print_bytes((uint64_t)json_number(kind, "memory_bytes"), text));
        before = "; ";
    }
    (void)putchar('\n');
}

static int show(struct cli *c, const char *name)
{
    char what[SPEC_NODE_MAX + 20], reserved[PRINT_SHORT], capacity[PRINT_SHORT];
    const json_t *memory, *value;
    const char *key;
    json_t *n;
    int rc;

    (void)snprintf(what, sizeof(what), "show node \"%.*s\"", SPEC_NODE_MAX, name);
    rc = rest_call(c, what, "GET", NULL, &n, "/v1/nodes/%s", name);
    if (rc != EXIT_CODE_OK || print_data(c, n, &rc)) {
        json_decref(n);
        return rc;
    }
    memory = json_object_get(n, "memory");
    (void)printf("%s is %s, seen %s ago\n\n", json_text(n, "name", "?"),
                 json_text(n, "state", "?"),
                 print_duration((uint64_t)json_number(n, "last_seen_ms"), reserved));
    (void)printf("version    %s\n", json_text(n, "version", "?"));
    (void)printf("gateway    %s\n", json_text(n, "gateway", "?"));
    (void)printf("memory     %s of %s in instances\n",
                 print_bytes((uint64_t)json_number(memory, "reserved_bytes"), reserved),
                 print_bytes((uint64_t)json_number(memory, "capacity_bytes"), capacity));
    (void)printf("CPU        %.1f\n", (double)json_number(n, "cpu_millis") / 1000);
    (void)printf("instances  %" PRId64 ", of %" PRId64 " functions that may run there\n",
                 json_number(n, "instances"), json_number(n, "functions"));
    print_blanks(json_object_get(n, "blanks"));
    json_object_foreach(json_object_get(n, "labels"), key, value)
    {
        (void)printf("label      %s=%s\n", key,
                     json_is_string(value) ? json_string_value(value) : "?");
    }
    json_decref(n);
    return EXIT_CODE_OK;
}

static bool is_node_name(const char *text)
{
    return strlen(text) <= SPEC_NODE_MAX && *text != '\0' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                        ".-_") == strlen(text);
}

/* ------------------------------------------------------------------------------------ */

int verb_node(struct cli *c)
{
    const struct args *a = c->args;
    const struct action *act = NULL;
    json_t *body, *node = NULL;
    int rc;

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].verb, a->operands[0]) == 0) {
            act = &actions[i];
        }
    }
    if (act == NULL && a->n_operands == 1 && is_node_name(a->operands[0])) {
        return show(c, a->operands[0]);
    }
    if (act == NULL) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help node",
                        "\"%.40s\" is none of cordon, uncordon, drain and label",
                        a->operands[0]);
    }
    if (a->n_operands < 2 || (act->state == NULL) != (a->n_operands > 2)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help node", "mayfly node %s %s",
                        act->verb,
                        act->state == NULL ? "needs labels: zone=a" : "takes one NODE");
    }
    body = act->state != NULL ? json_pack("{s:s}", "state", act->state) : NULL;
    if (act->state == NULL) {
        json_t *labels = read_labels(c);

        if (labels == NULL) {
            return EXIT_CODE_USAGE;
        }
        body = json_pack("{s:o}", "labels", labels);
    }
    if (body == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    rc = patch(c, act->verb, body, &node);
    json_decref(body);
    if (rc == EXIT_CODE_OK && strcmp(act->verb, "drain") == 0) {
        rc = drain(c, &node);
    }
    if (rc == EXIT_CODE_OK && !print_data(c, node, &rc)) {
        bool waits = strcmp(act->verb, "drain") != 0 || !args_has(a, "no-wait");

        cli_say(c, "%s %s", a->operands[1], waits ? act->done : "is draining");
    }
    json_decref(node);
    return rc;
}
