#include "controller/cli/args.h"

#include <errno.h>
#include <string.h>

/* Options that many verbs take, with the bit that says so; 0: every verb. */
static const struct {
    struct option option;
    unsigned bit;
} shared_options[] = {
    {{"namespace", 'n', "NS", "namespace (MAYFLY_NAMESPACE; default: default)", NULL},
     VERB_NAMESPACE},
    {{"output", 'o', "FORMAT", "how to print it", "table|wide|json|yaml|name"},
     VERB_OUTPUT},
    {{"no-headers", 0, NULL, "no header line in tables", NULL}, VERB_OUTPUT},
    {{"url", 0, "URL", "the controller (MAYFLY_URL; default: that of mayfly dev)", NULL},
     VERB_URL},
    {{"gateway", 0, "URL", "the gateway (MAYFLY_GATEWAY; default: that of mayfly dev)",
      NULL},
     VERB_GATEWAY},
    {{"quiet", 'q', NULL, "say only what went wrong", NULL}, 0},
    {{"no-color", 0, NULL, "no colours (also NO_COLOR)", NULL}, 0},
    {{"help", 'h', NULL, "show this help", NULL}, 0},
};
#define N_SHARED          (sizeof(shared_options) / sizeof(shared_options[0]))
#define DISTANCE_WORD_MAX 40

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Edits that turn a into b; a swap of neighbours is one. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][DISTANCE_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    if (n > DISTANCE_WORD_MAX || m > DISTANCE_WORD_MAX) {
        return DISTANCE_WORD_MAX;
    }
    for (size_t j = 0; j <= m; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *spare = before;

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] =
                min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j]) {
                row[j] = before[j - 2] + 1;
            }
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

const char *args_nearest(const char *word, const char *(*name)(const void *, size_t),
                         const void *data, size_t n)
{
    size_t best = strlen(word) <= 3 ? 2 : 3; /* so many edits are too many */
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        const char *candidate = name(data, i);
        size_t d = distance(word, candidate);

        if (d > 0 && strlen(word) >= 3 && strncmp(word, candidate, strlen(word)) == 0) {
            d = 1; /* cut short */
        }
        if (d < best) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}

bool args_is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);

    while (choices != NULL && *choices != '\0') {
        size_t n = strcspn(choices, "|");

        bool prefix = n > 0 && choices[n - 1] == '*';

        if ((prefix ? len >= n - 1 : len == n) &&
            strncmp(choices, word, prefix ? n - 1 : n) == 0) {
            return true;
        }
        choices += n + (choices[n] == '|');
    }
    return false;
}

/* --- tables ------------------------------------------------------------------- */

const struct verb *args_verb(const struct verb_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_verbs; i++) {
        if (strcmp(t->verbs[i].name, name) == 0) {
            return &t->verbs[i];
        }
    }
    return NULL;
}

const struct option *args_option(const struct verb *v, size_t i)
{
    if (v != NULL && i < v->n_options) {
        return &v->options[i];
    }
    i -= v != NULL ? v->n_options : 0;
    for (size_t k = 0; k < N_SHARED; k++) {
        unsigned bit = shared_options[k].bit;

        if (bit != 0 && v != NULL && (v->shared & bit) == 0) {
            continue;
        }
        if (i-- == 0) {
            return &shared_options[k].option;
        }
    }
    return NULL;
}

static const char *verb_name(const void *data, size_t i)
{
    return ((const struct verb_table *)data)->verbs[i].name;
}

static const char *option_name(const void *data, size_t i)
{
    return args_option(data, i)->name;
}

static const struct option *find_option(const struct verb *v, const char *name,
                                        size_t len, char letter)
{
    const struct option *o;

    for (size_t i = 0; (o = args_option(v, i)) != NULL; i++) {
        if (name != NULL ? strlen(o->name) == len && strncmp(o->name, name, len) == 0
                         : o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

/* --- parsing ------------------------------------------------------------------ */

struct parse {
    struct args *ret;
    const struct verb_table *table;
    char **argv;
    int argc, at;
    bool help, version;
    struct error *err;
};

static int unknown_option(const struct parse *p, const char *word)
{
    const struct verb *v = p->ret->verb;
    const char *nearest = NULL;
    char name[64] = "";
    size_t n = 0;

    while (args_option(v, n) != NULL) {
        n++;
    }
    if (word[1] == '-') {
        size_t len = strcspn(word + 2, "=");

        len = len < sizeof(name) - 1 ? len : sizeof(name) - 1;
        memcpy(name, word + 2, len);
        name[len] = '\0';
        nearest = args_nearest(name, option_name, v, n);
    }
    return error_set(p->err, -EINVAL, "%s%s has no option %.80s%s%s%s",
                     v != NULL ? "mayfly " : "mayfly", v != NULL ? v->name : "", word,
                     nearest != NULL ? "; did you mean --" : "",
                     nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

static int store_value(struct parse *p, const struct option *o, const char *value)
{
    struct args *a = p->ret;

    if (strcmp(o->name, "help") == 0) {
        p->help = true;
        return 0;
    }
    if (o->choices != NULL && !args_is_choice(o->choices, value)) {
        return error_set(p->err, -EINVAL, "--%s is \"%.60s\"; give one of %s", o->name,
                         value, o->choices);
    }
    if (a->n_values == ARGS_VALUES_MAX) {
        return error_set(p->err, -EINVAL, "more than %d options", ARGS_VALUES_MAX);
    }
    a->values[a->n_values].option = o;
    a->values[a->n_values].value = value;
    a->n_values++;
    return 0;
}

/* One word that begins with a dash; takes the next as its value where it needs one. */
static int parse_option(struct parse *p, const char *word)
{
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : NULL;
    size_t len = is_long ? strcspn(name, "=") : 0;
    const struct option *o = find_option(p->ret->verb, name, len, is_long ? 0 : word[1]);
    const char *attached = NULL;

    if (o == NULL && p->ret->verb == NULL && strcmp(word, "--version") == 0) {
        p->version = true;
        return 0;
    }
    if (o == NULL) {
        return unknown_option(p, word);
    }
    if (is_long && name[len] == '=') {
        attached = name + len + 1;
    } else if (!is_long && word[2] != '\0') {
        attached = word + 2 + (word[2] == '=');
    }
    if (o->value == NULL) {
        if (attached != NULL) {
            return error_set(p->err, -EINVAL, "--%s takes no value", o->name);
        }
        return store_value(p, o, "");
    }
    if (attached == NULL) {
        if (p->at == p->argc) {
            return error_set(p->err, -EINVAL, "--%s needs a value: --%s %s", o->name,
                             o->name, o->value);
        }
        attached = p->argv[p->at++];
    }
    return store_value(p, o, attached);
}

static int parse_word(struct parse *p, const char *word)
{
    struct args *a = p->ret;

    if (a->verb == NULL) {
        const char *nearest;

        a->verb = args_verb(p->table, word);
        if (a->verb != NULL) {
            return 0;
        }
        nearest = args_nearest(word, verb_name, p->table, p->table->n_verbs);
        return error_set(p->err, -EINVAL, "mayfly has no verb \"%.60s\"%s%s%s", word,
                         nearest != NULL ? "; did you mean " : "",
                         nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    }
    if (a->n_operands == a->verb->max_operands || a->n_operands == ARGS_OPERANDS_MAX) {
        return error_set(p->err, -EINVAL, "\"%.60s\" is one word too many: mayfly %s%s%s",
                         word, a->verb->name, *a->verb->operands != '\0' ? " " : "",
                         a->verb->operands);
    }
    a->operands[a->n_operands++] = word;
    return 0;
}

/* What may only be judged once all words are known. */
static int finish(struct parse *p)
{
    struct args *a = p->ret;

    if (p->help || p->version || a->verb == NULL) {
        const struct verb *of = a->verb;

        *a = (struct args){.verb = args_verb(p->table, p->version ? "version" : "help")};
        if (of != NULL && !p->version) {
            a->operands[a->n_operands++] = of->name;
        }
        return 0;
    }
    if (a->n_operands < a->verb->min_operands) {
        return error_set(p->err, -EINVAL, "mayfly %s needs %s", a->verb->name,
                         a->verb->operands);
    }
    /* Those that stood before the verb were looked up without it. */
    for (size_t i = 0; i < a->n_values; i++) {
        const char *name = a->values[i].option->name;

        if (find_option(a->verb, name, strlen(name), 0) == NULL) {
            return error_set(p->err, -EINVAL, "mayfly %s has no option --%s",
                             a->verb->name, name);
        }
    }
    return 0;
}

int args_parse(struct args *ret, const struct verb_table *t, int argc, char **argv,
               struct error *err)
{
    struct parse p = {
        .ret = ret, .table = t, .argv = argv, .argc = argc, .at = 1, .err = err};
    bool only_words = false;
    int rc = 0;

    *ret = (struct args){0};
    while (p.at < argc && rc == 0) {
        const char *word = argv[p.at++];

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            rc = parse_option(&p, word);
        } else {
            rc = parse_word(&p, word);
        }
    }
    return rc < 0 ? rc : finish(&p);
}

const char *args_each(const struct args *a, const char *option, size_t *at)
{
    while (*at < a->n_values) {
        size_t i = (*at)++;

        if (strcmp(a->values[i].option->name, option) == 0) {
            return a->values[i].value;
        }
    }
    return NULL;
}

const char *args_get(const struct args *a, const char *option)
{
    const char *value, *last = NULL;
    size_t at = 0;

    while ((value = args_each(a, option, &at)) != NULL) {
        last = value;
    }
    return last;
}

bool args_has(const struct args *a, const char *option)
{
    return args_get(a, option) != NULL;
}
