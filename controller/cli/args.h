/* Command line arguments by a table of verbs and options. Pure: nothing is printed. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct cli;

struct option {
    const char *name;  /* without the dashes */
    char letter;       /* or 0 */
    const char *value; /* placeholder ("N"); NULL: the option takes none */
    const char *help;
    const char *choices; /* "a|b|c*": other values are refused and these completed; with a
                            '*' whatever begins so is taken */
};

/* What an operand is, for completion. */
enum operand_kind {
    OPERAND_NONE,
    OPERAND_FUNCTION,
    OPERAND_PATH,
    OPERAND_VERB,
    OPERAND_CHOICE
};

/* Which of the shared options a verb takes. */
#define VERB_NAMESPACE (1U << 0)
#define VERB_OUTPUT    (1U << 1)
#define VERB_URL       (1U << 2)
#define VERB_GATEWAY   (1U << 3)

struct verb {
    const char *name;
    const char *operands; /* as shown: "NAME [-]" */
    unsigned min_operands, max_operands;
    enum operand_kind operand;
    const char *operand_choices; /* "stop", for OPERAND_CHOICE */
    unsigned shared;             /* VERB_* */
    const char *summary;         /* one line */
    const char *text;            /* paragraphs */
    const char *const *examples; /* pairs: command, what it does; NULL ends */
    const struct option *options;
    size_t n_options;
    int (*run)(struct cli *c);
};

#define ARGS_VALUES_MAX   600
#define ARGS_OPERANDS_MAX 8

struct args {
    const struct verb *verb;
    struct {
        const struct option *option;
        const char *value; /* "" for an option without value */
    } values[ARGS_VALUES_MAX];
    size_t n_values;
    const char *operands[ARGS_OPERANDS_MAX];
    size_t n_operands;
};

struct verb_table {
    const struct verb *verbs;
    size_t n_verbs;
};

const struct verb *args_verb(const struct verb_table *t, const char *name);

/* The option of that number among those the verb takes, its own first, then the shared
 * ones; NULL past the last. */
const struct option *args_option(const struct verb *v, size_t i);

/* argv[0] is the program. Options may stand before the verb too if they are shared ones.
 * -EINVAL with err->text saying what is wrong and the nearest name; ret->verb is set as
 * soon as the verb is known, NULL otherwise. Nothing given: verb "help". "--help" or "-h"
 * anywhere: verb "help" with the verb as its operand; "--version": verb "version". */
int args_parse(struct args *ret, const struct verb_table *t, int argc, char **argv,
               struct error *err);

/* The last value given, or NULL. */
const char *args_get(const struct args *a, const char *option);
bool args_has(const struct args *a, const char *option);
/* Each value in turn; *at begins as 0. NULL when there are no more. */
const char *args_each(const struct args *a, const char *option, size_t *at);

/* Whether word is one of "a|b|c". */
bool args_is_choice(const char *choices, const char *word);
/* Of n names the one that word was probably meant to be, or NULL. */
const char *args_nearest(const char *word, const char *(*name)(const void *, size_t),
                         const void *data, size_t n);

#endif /* CLI_ARGS_H */
