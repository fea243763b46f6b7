#include "controller/cli/help.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/term.h"
#include "controller/cli/verbs.h"

static const struct {
    const char *name, *help;
} environment[] = {
    {"MAYFLY_URL", "the controller's REST API; default: that of mayfly dev, else "
                   "http://127.0.0.1:8090"},
    {"MAYFLY_GATEWAY",
     "a gateway; default: that of mayfly dev, else http://127.0.0.1:8080"},
    {"MAYFLY_NAMESPACE", "the namespace when -n is not given; default: default"},
    {"MAYFLY_DEV_DIR", "state of mayfly dev; default: /var/lib/mayfly-dev"},
    {"NO_COLOR", "if not empty: no colours"},
    {"COLUMNS", "width of tables, instead of the terminal's"},
};
#define N_ENVIRONMENT (sizeof(environment) / sizeof(environment[0]))

static const struct {
    int code;
    const char *meaning;
} exits[] = {
#define X(symbol, number, meaning) {number, meaning},
    EXIT_TABLE(X)
#undef X
};
#define N_EXITS (sizeof(exits) / sizeof(exits[0]))

#define OPTION_COLUMN 26
#define EXAMPLE_MAX   48

/* Text wrapped to width, from column `indent` on; the cursor stands at column `at`. */
static void wrap(FILE *out, const char *text, size_t at, size_t indent, size_t width)
{
    if (at < indent) {
        (void)fprintf(out, "%*s", (int)(indent - at), "");
    } else if (at > indent) {
        (void)fprintf(out, "\n%*s", (int)indent, "");
    }
    at = indent;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (at > indent && at + 1 + len > width) {
            (void)fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fwrite(text, 1, len, out);
        at += len;
        text += len;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static size_t option_synopsis(char *text, size_t size, const struct option *o)
{
    char letter[8] = "    ";

    if (o->letter != 0) {
        (void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    }
    (void)snprintf(text, size, "  %s--%s%s%s", letter, o->name,
                   o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
    return strlen(text);
}

void help_overview(FILE *out, const struct verb_table *t)
{
    (void)fputs("mayfly runs functions on plain Linux hosts.\n\n"
                "  mayfly dev --detach                     a one-host cluster\n"
                "  mayfly deploy hello.sh --runtime exec   a first function\n"
                "  mayfly invoke hello --data World        a first call\n\n"
                "Verbs:\n",
                out);
    for (size_t i = 0; i < t->n_verbs; i++) {
        (void)fprintf(out, "  %-12s %s\n", t->verbs[i].name, t->verbs[i].summary);
    }
    (void)fputs("\nmayfly help VERB tells more; also: mayfly help environment, "
                "mayfly help exit-codes.\n",
                out);
}

/* Those beside each other that fit, the others below. */
static void help_examples(FILE *out, const struct verb *v, size_t width)
{
    size_t widest = 0;

    for (size_t i = 0; v->examples[i] != NULL; i += 2) {
        size_t len = strlen(v->examples[i]);

        widest = len > widest && len <= EXAMPLE_MAX ? len : widest;
    }
    for (size_t i = 0; v->examples[i] != NULL; i += 2) {
        size_t len = strlen(v->examples[i]);

        (void)fprintf(out, "  %s", v->examples[i]);
        wrap(out, v->examples[i + 1], len <= widest ? len + 2 : widest + 5, widest + 4,
             width);
    }
}

void help_verb(FILE *out, const struct verb *v, size_t width)
{
    const struct option *o;

    width = width >= 50 && width < 100 ? width : 90;
    (void)fprintf(out, "mayfly %s: %s\n\n", v->name, v->summary);
    help_examples(out, v, width);
    (void)fprintf(out, "\nUsage: mayfly %s%s%s [options]\n\n", v->name,
                  *v->operands != '\0' ? " " : "", v->operands);
    wrap(out, v->text, 0, 0, width);
    (void)fputs("\nOptions:\n", out);
    for (size_t i = 0; (o = args_option(v, i)) != NULL; i++) {
        char text[80];
        size_t at = option_synopsis(text, sizeof(text), o);

        (void)fputs(text, out);
        wrap(out, o->help, at < OPTION_COLUMN ? at : OPTION_COLUMN + 1, OPTION_COLUMN,
             width);
        if (o->choices != NULL) {
            (void)fprintf(out, "%*s%s\n", OPTION_COLUMN, "", o->choices);
        }
    }
}

/* --- man pages ---------------------------------------------------------------- */

/* What would be a request or an escape is made plain. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') {
        (void)fputs("\\&", out);
    }
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            (void)fputs("\\e", out);
        } else if (*text == '-') {
            (void)fputs("\\-", out);
        } else {
            (void)fputc(*text, out);
        }
    }
}

static void man_head(FILE *out, const char *page, const char *name, const char *summary)
{
    (void)fprintf(out, ".TH \"%s\" 1 \"\" \"mayfly " MAYFLY_VERSION "\" \"mayfly\"\n",
                  page);
    (void)fputs(".nh\n.ad l\n.SH NAME\n", out);
    roff(out, name);
    (void)fputs(" \\- ", out);
    roff(out, summary);
    (void)fputs("\n.SH SYNOPSIS\n", out);
}

static void man_examples(FILE *out, const struct verb *v)
{
    (void)fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; v->examples[i] != NULL; i += 2) {
        (void)fputs(".TP\n.B ", out);
        roff(out, v->examples[i]);
        (void)fputc('\n', out);
        roff(out, v->examples[i + 1]);
        (void)fputc('\n', out);
    }
}

static void man_options(FILE *out, const struct verb *v)
{
    const struct option *o;

    (void)fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; (o = args_option(v, i)) != NULL; i++) {
        (void)fputs(".TP\n", out);
        if (o->letter != 0) {
            (void)fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        }
        (void)fputs("\\fB\\-\\-", out);
        roff(out, o->name);
        (void)fputs("\\fR", out);
        if (o->value != NULL) {
            (void)fputs(" \\fI", out);
            roff(out, o->value);
            (void)fputs("\\fR", out);
        }
        (void)fputc('\n', out);
        roff(out, o->help);
        if (o->choices != NULL) {
            (void)fputs(": ", out);
            roff(out, o->choices);
        }
        (void)fputc('\n', out);
    }
}

static void man_facts(FILE *out)
{
    (void)fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < N_EXITS; i++) {
        (void)fprintf(out, ".TP\n.B %d\n", exits[i].code);
        roff(out, exits[i].meaning);
        (void)fputc('\n', out);
    }
    (void)fputs(".SH ENVIRONMENT\n", out);
    for (size_t i = 0; i < N_ENVIRONMENT; i++) {
        (void)fprintf(out, ".TP\n.B %s\n", environment[i].name);
        roff(out, environment[i].help);
        (void)fputc('\n', out);
    }
}

void help_man(FILE *out, const struct verb_table *t, const struct verb *v)
{
    char page[64];

    if (v != NULL) {
        (void)snprintf(page, sizeof(page), "mayfly-%s", v->name);
        man_head(out, page, page, v->summary);
        (void)fprintf(out, ".B mayfly %s\n", v->name);
        roff(out, v->operands);
        (void)fputs("\n[options]\n.SH DESCRIPTION\n", out);
        roff(out, v->text);
        (void)fputc('\n', out);
        man_options(out, v);
        man_examples(out, v);
        man_facts(out);
        (void)fputs(".SH SEE ALSO\n.BR mayfly (1)\n", out);
        return;
    }
    man_head(out, "mayfly", "mayfly", "serverless functions on plain Linux hosts");
    (void)fputs(".B mayfly\n.I verb\n[options]\n.SH DESCRIPTION\n"
                "The command line of a mayfly cluster.\n.SH VERBS\n",
                out);
    for (size_t i = 0; i < t->n_verbs; i++) {
        (void)fprintf(out, ".TP\n.BR mayfly\\-%s (1)\n", t->verbs[i].name);
        roff(out, t->verbs[i].summary);
        (void)fputc('\n', out);
    }
    man_facts(out);
    (void)fputs(".SH FILES\n.TP\n.I /etc/mayfly/controller.yaml\nthe controller\n"
                ".TP\n.I /etc/mayfly/agent.yaml\nthe agent of this host\n",
                out);
}

/* --- the verb ----------------------------------------------------------------- */

/* All pages into a folder, as the build does. */
static int write_man_pages(struct cli *c, const char *dir)
{
    for (size_t i = 0; i <= cli_verbs.n_verbs; i++) {
        const struct verb *v = i < cli_verbs.n_verbs ? &cli_verbs.verbs[i] : NULL;
        _cleanup_free_ char *path = cli_text("%s/mayfly%s%s.1", dir, v != NULL ? "-" : "",
                                             v != NULL ? v->name : "");
        FILE *out = path != NULL ? fopen(path, "we") : NULL;

        if (out != NULL) {
            help_man(out, &cli_verbs, v);
        }
        if (out == NULL || fclose(out) != 0) {
            return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "cannot write %s: %s",
                            path != NULL ? path : dir, strerror(errno));
        }
    }
    return EXIT_CODE_OK;
}

int verb_help(struct cli *c)
{
    const char *topic = c->args->n_operands > 0 ? c->args->operands[0] : NULL;
    const struct verb *v = topic != NULL ? args_verb(&cli_verbs, topic) : NULL;
    bool is_man = args_has(c->args, "man");

    if (args_has(c->args, "man-dir")) {
        return write_man_pages(c, args_get(c->args, "man-dir"));
    }
    if (topic == NULL || (is_man && strcmp(topic, "mayfly") == 0)) {
        if (is_man) {
            help_man(stdout, &cli_verbs, NULL);
        } else {
            help_overview(stdout, &cli_verbs);
        }
    } else if (v != NULL) {
        if (is_man) {
            help_man(stdout, &cli_verbs, v);
        } else {
            help_verb(stdout, v, term_width());
        }
    } else if (strcmp(topic, "exit-codes") == 0) {
        for (size_t i = 0; i < N_EXITS; i++) {
            (void)printf("%d  %s\n", exits[i].code, exits[i].meaning);
        }
    } else if (strcmp(topic, "environment") == 0) {
        for (size_t i = 0; i < N_ENVIRONMENT; i++) {
            (void)printf("%-18s%s\n", environment[i].name, environment[i].help);
        }
    } else {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help", "no help about \"%s\"",
                        topic);
    }
    return EXIT_CODE_OK;
}
