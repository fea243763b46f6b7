/* The command line program `mayfly`: what its verbs share.
 *
 * A verb is a row of the table in verbs.c: from it come parsing (args.c), help and man
 * pages (help.c) and bash completion (completion.c). Data goes to stdout, everything else
 * to stderr; a verb returns an exit code and has then said why it failed. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "controller/cli/args.h"

/* X(SYMBOL, number, "meaning"). docs/errors.md has the same list. */
#define EXIT_TABLE(X)                                        \
    X(OK, 0, "done")                                         \
    X(FAILED, 1, "failed")                                   \
    X(USAGE, 2, "wrong usage")                               \
    X(NOT_FOUND, 3, "not found")                             \
    X(DENIED, 4, "denied")                                   \
    X(UNREACHABLE, 5, "controller or gateway not reachable") \
    X(TIMED_OUT, 6, "a wait timed out")                      \
    X(CONFLICT, 7, "conflict: it was changed meanwhile")     \
    X(NO_CAPACITY, 8, "cannot be placed: no capacity")       \
    X(FUNCTION, 9, "the function itself failed")

enum exit_code {
#define X(symbol, number, meaning) EXIT_CODE_##symbol = (number),
    EXIT_TABLE(X)
#undef X
};

enum output_format {
    OUTPUT_TABLE,
    OUTPUT_WIDE,
    OUTPUT_JSON,
    OUTPUT_YAML,
    OUTPUT_NAME,
};

struct cli {
    const struct args *args;
    enum output_format output;
    bool headers;
    bool quiet;
    bool colour;          /* of stderr */
    const char *ns;       /* namespace */
    char *url;            /* of the controller's REST API, no slash at the end */
    char *gateway;        /* of a gateway, likewise */
    const char *url_from; /* where url came from: "--url", "MAYFLY_URL", … */
    const char *gateway_from;
};

/* Prints an error as people read it and returns exit. what: printf style; code and fix
 * may be NULL. */
int cli_fail(const struct cli *c, int exit, const char *code, const char *fix,
             const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A line on stderr, unless --quiet. */
void cli_say(const struct cli *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The option's value as a number up to max; *ret keeps its value without the option. An
 * exit code; what is wrong was said. */
int cli_number(const struct cli *c, const char *option, uint64_t max, uint64_t *ret);

/* Formatted text, malloc'ed; NULL: out of memory. */
char *cli_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The exit code that belongs to a cause's name ("oom" → 9) or, without one, a status. */
int cli_exit_of(const char *cause, long status);

int cli_main(int argc, char **argv);

/* One function a verb (verbs.c). */
int verb_alias(struct cli *c);
int verb_completion(struct cli *c);
int verb_delete(struct cli *c);
int verb_deploy(struct cli *c);
int verb_describe(struct cli *c);
int verb_dev(struct cli *c);
int verb_doctor(struct cli *c);
int verb_events(struct cli *c);
int verb_explain(struct cli *c);
int verb_help(struct cli *c);
int verb_invoke(struct cli *c);
int verb_layer(struct cli *c);
int verb_keys(struct cli *c);
int verb_list(struct cli *c);
int verb_logs(struct cli *c);
int verb_namespaces(struct cli *c);
int verb_node(struct cli *c);
int verb_nodes(struct cli *c);
int verb_publish(struct cli *c);
int verb_rollback(struct cli *c);
int verb_rollout(struct cli *c);
int verb_status(struct cli *c);
int verb_top(struct cli *c);
int verb_version(struct cli *c);
int verb_versions(struct cli *c);

#endif /* CLI_CLI_H */
