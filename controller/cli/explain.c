/* explain: why a function has so many instances, where they are, and what its calls met.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/spec.h"
#include "controller/cli/cli.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"

#define RECORDS_SHOWN 5
#define NODES_NAMED   10

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* A load for people: "0.7", "17.2", "140"; never an exponent. */
static const char *load_text(double n, char text[PRINT_SHORT])
{
    (void)snprintf(text, PRINT_SHORT, n < 1 ? "%.2f" : n < 100 ? "%.1f" : "%.0f", n);
    return text;
}

/* "bin-packed, the package was already there". That it was kept is the rule, and said
 * only where nothing else is known. */
static void print_because(const json_t *because)
{
    size_t n = json_array_size(because);
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(because, i);

        if (n > 1 && strcmp(json_text(item, "reason", ""), "kept") == 0) {
            continue;
        }
        (void)printf("%s%s", any ? ", " : "", json_text(item, "text", "?"));
        any = true;
    }
}

/* --- how many ----------------------------------------------------------------------- */

static void print_load(const json_t *version)
{
    const json_t *load = json_object_get(version, "load");
    char stable[PRINT_SHORT], target[PRINT_SHORT];
    bool rps;

    if (strcmp(json_text(version, "role", ""), "recent") == 0) {
        (void)printf("its calls go to another version");
        return;
    }
    if (!json_is_object(load)) {
        (void)printf("there is no load, and without it min-scale (%" PRId64 ") holds",
                     json_number(version, "min_scale"));
        return;
    }
    rps = strcmp(json_text(load, "metric", ""), "rps") == 0;
    (void)printf("lately %s calls %s, an instance is meant for %s",
                 load_text(real(load, "stable"), stable),
                 rps ? "began a second" : "ran or waited at once",
                 load_text(real(load, "target"), target));
    if (json_is_true(json_object_get(load, "panicking"))) {
        (void)printf("; after a burst or a deploy the count does not fall for a window "
                     "(%s in the last seconds)",
                     load_text(real(load, "panic"), stable));
    }
}

static void print_record(const json_t *r)
{
    int64_t queued = json_number(r, "queued"), no_room = json_number(r, "no_room");
    const json_t *limits = json_object_get(r, "limited_by");
    char value[PRINT_SHORT], target[PRINT_SHORT];

    (void)fputs("    ", stdout);
    print_time_of_day(json_text(r, "at", NULL));
    (void)printf("  from %" PRId64 " to %" PRId64 ": %s", json_number(r, "from"),
                 json_number(r, "to"), json_text(r, "text", "?"));
    if (strcmp(json_text(r, "reason", ""), "queue") == 0) {
        (void)printf(" (%" PRId64 " waited)", queued);
    } else if (real(r, "target") > 0) {
        (void)printf(" (%s, target %s)", load_text(real(r, "value"), value),
                     load_text(real(r, "target"), target));
    }
    if (no_room > 0) {
        (void)printf("; %" PRId64 " without a place", no_room);
    }
    for (size_t i = 0; i < json_array_size(limits); i++) {
        (void)printf("; %s", json_text(json_array_get(limits, i), "text", "?"));
    }
    (void)putchar('\n');
}

static void print_count(const json_t *version)
{
    const json_t *records = json_object_get(version, "because");
    int64_t missing = json_number(version, "without_place");
    size_t n = json_array_size(records);

    (void)printf("  %" PRId64 " wanted: ", json_number(version, "desired"));
    print_load(version);
    (void)printf(".\n");
    if (missing > 0) {
        (void)printf("  %" PRId64 " without room on any node.\n", missing);
    }
    for (size_t i = 0; i < n && i < RECORDS_SHOWN; i++) {
        print_record(json_array_get(records, i));
    }
}

/* --- where -------------------------------------------------------------------------- */

static void print_node(const json_t *n)
{
    int64_t warm = json_number(n, "warm"), reserved = json_number(n, "reserved");
    int64_t max = json_number(n, "max");

    (void)printf("    %s: %" PRId64 " there, ", json_text(n, "node", "?"),
                 json_number(n, "instances"));
    if (max == 0) {
        (void)printf("no more");
    } else {
        (void)printf("up to %" PRId64, max);
    }
    if (warm > 0) {
        (void)printf(", %" PRId64 " kept warm", warm);
    }
    if (reserved > 0) {
        (void)printf(", memory reserved for %" PRId64, reserved);
    }
    (void)printf("; ");
    print_because(json_object_get(n, "because"));
    (void)putchar('\n');
}

static void print_left_out(const json_t *version)
{
    const json_t *nodes = json_object_get(version, "left_out");
    size_t n = json_array_size(nodes);

    for (size_t i = 0; i < n && i < NODES_NAMED; i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *name = json_text(node, "node", "?");
        const char *constraint = json_text(node, "constraint", NULL);

        if (strcmp(json_text(node, "reason", ""), "fits") == 0) {
            (void)printf("    %s has room, and is not needed\n", name);
        } else {
            (void)printf("    %s was left out: %s%s%s\n", name,
                         json_text(node, "text", "?"), constraint != NULL ? ", " : "",
                         constraint != NULL ? constraint : "");
        }
    }
    if (n > NODES_NAMED) {
        const char *reason;
        json_t *count;

        (void)printf("    of all that were left out:");
        json_object_foreach(json_object_get(version, "refused"), reason, count)
        {
            (void)printf(" %s %" JSON_INTEGER_FORMAT, reason, json_integer_value(count));
        }
        (void)putchar('\n');
    }
}

static void print_version(const json_t *version)
{
    const json_t *nodes = json_object_get(version, "nodes");
    const char *message = json_text(version, "message", "");
    int64_t ready = json_number(version, "ready");
    int64_t queued = json_number(version, "queued");

    (void)printf("\nversion %" PRId64 " (%s): %" PRId64 " instance%s",
                 json_number(version, "number"), json_text(version, "role", "?"), ready,
                 plural(ready));
    if (queued > 0) {
        (void)printf(", %" PRId64 " call%s wait%s", queued, plural(queued),
                     queued == 1 ? "s" : "");
    }
    (void)putchar('\n');
    if (*message != '\0') {
        (void)printf("  %s\n", message);
    }
    print_count(version);
    (void)printf(json_array_size(nodes) > 0 ? "  It may run on\n"
                                            : "  It may run nowhere.\n");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        print_node(json_array_get(nodes, i));
    }
    print_left_out(version);
}

/* --- calls -------------------------------------------------------------------------- */

/* False: it was never. */
static bool print_last(const char *what, const json_t *last)
{
    (void)printf("%s: ", what);
    if (!json_is_object(last)) {
        (void)printf("none is known of\n");
        return false;
    }
    print_time_of_day(json_text(last, "at", NULL));
    (void)printf(" on %s (version %" PRId64 ")", json_text(last, "node", "?"),
                 json_number(last, "version"));
    return true;
}

static void print_calls(const json_t *e)
{
    const json_t *cold = json_object_get(e, "last_cold_start");
    const json_t *wait = json_object_get(e, "last_wait");
    const json_t *refused = json_object_get(e, "last_refusal");
    const json_t *keep = json_object_get(e, "keep_alive");
    const json_t *latency = json_object_get(e, "latency");
    char text[PRINT_SHORT];

    (void)putchar('\n');
    if (json_is_object(latency)) {
        (void)printf("calls of the last minute: %" PRId64
                     ", half of them within %.1f ms, "
                     "99%% within %.1f ms\n",
                     json_number(latency, "count"), real(latency, "p50_ms"),
                     real(latency, "p99_ms"));
    }
    if (print_last("last cold start", cold)) {
        (void)printf(", %" PRId64 " ms, because %s; the call waited %" PRId64 " ms\n",
                     json_number(cold, "start_ms"), json_text(cold, "text", "?"),
                     json_number(cold, "waited_ms"));
    }
    if (print_last("last other wait", wait)) {
        (void)printf(", %" PRId64 " ms, because %s\n", json_number(wait, "waited_ms"),
                     json_text(wait, "text", "?"));
    }
    if (print_last("last refused call", refused)) {
        (void)printf(", %s: %s\n    %s\n", json_text(refused, "cause", "?"),
                     json_text(refused, "text", "?"), json_text(refused, "fix", ""));
    }
    if (json_is_object(keep)) {
        bool learned = strcmp(json_text(keep, "policy", ""), "learned") == 0;

        (void)printf("idle instances are kept %s %s\n",
                     learned ? "as calls are used to come; until that is known, for"
                             : "for",
                     print_duration((uint64_t)json_number(keep, "idle_ms"), text));
    }
}

/* ------------------------------------------------------------------------------------ */

static void print_head(const json_t *e)
{
    const json_t *versions = json_object_get(e, "versions");
    const json_t *in = json_object_get(e, "instances");
    int64_t n = json_number(in, "starting") + json_number(in, "idle") +
                json_number(in, "frozen") + json_number(in, "busy");
    int64_t wanted = 0;

    for (size_t i = 0; i < json_array_size(versions); i++) {
        wanted += json_number(json_array_get(versions, i), "desired");
    }
    (void)printf("%s is %s and has %" PRId64 " instance%s (%" PRId64 " wanted): %" PRId64
                 " busy, %" PRId64 " idle, %" PRId64 " frozen, %" PRId64 " starting\n",
                 json_text(e, "name", "?"), json_text(e, "state", "?"), n, plural(n),
                 wanted, json_number(in, "busy"), json_number(in, "idle"),
                 json_number(in, "frozen"), json_number(in, "starting"));
}

static void print_failure(const json_t *failure)
{
    if (json_is_object(failure)) {
        (void)printf("\nversion %" PRId64 " (latest) cannot serve, %s: %s\n    %s\n",
                     json_number(failure, "version"), json_text(failure, "cause", "?"),
                     json_text(failure, "text", "?"), json_text(failure, "fix", ""));
    }
}

int verb_explain(struct cli *c)
{
    const char *name = c->args->operands[0];
    const json_t *versions;
    char what[SPEC_NAME_MAX + 40];
    json_t *json;
    int rc;

    if (!spec_name_valid(name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly list",
                        "\"%.70s\" is no function's name", name);
    }
    (void)snprintf(what, sizeof(what), "explain \"%s\"", name);
    rc = rest_call(c, what, "GET", NULL, &json, "/v1/namespaces/%s/functions/%s/explain",
                   c->ns, name);
    if (rc != EXIT_CODE_OK || print_data(c, json, &rc)) {
        json_decref(json);
        return rc;
    }
    print_head(json);
    print_failure(json_object_get(json, "last_failure"));
    versions = json_object_get(json, "versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        print_version(json_array_get(versions, i));
    }
    print_calls(json);
    json_decref(json);
    return EXIT_CODE_OK;
}
