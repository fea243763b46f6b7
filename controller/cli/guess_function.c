#include "controller/cli/guess_function.h"

#include <stdio.h>
#include <string.h>

static const struct language {
    const char *suffix;
    enum spec_runtime runtime;
} languages[] = {
    {".py", SPEC_RUNTIME_PYTHON},
    {".mjs", SPEC_RUNTIME_NODE},
    {".js", SPEC_RUNTIME_NODE},
    {".cjs", SPEC_RUNTIME_NODE},
};

static const char *const modules[] = {"lambda_function", "index", "app", "main",
                                      "handler"};
static const char *const functions[] = {"lambda_handler", "handler"};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct language *language_of(const char *file)
{
    const char *suffix = strrchr(file, '.');

    for (size_t i = 0; suffix != NULL && i < N_OF(languages); i++) {
        if (strcmp(suffix, languages[i].suffix) == 0) {
            return &languages[i];
        }
    }
    return NULL;
}

int guess_function_rank(const char *file)
{
    const struct language *language = language_of(file);

    for (size_t i = 0; language != NULL && i < N_OF(modules); i++) {
        size_t len = strlen(modules[i]);

        if (strncmp(file, modules[i], len) == 0 &&
            strcmp(file + len, language->suffix) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* --- lines ---------------------------------------------------------------------- */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$';
}

static const char *after_word(const char *line, const char *word)
{
    size_t len = strlen(word);

    return strncmp(line, word, len) == 0 && !is_word_char(line[len]) ? line + len : NULL;
}

/* "def handler(", "handler = " */
static bool defines_python(const char *line, const char *function)
{
    const char *def = after_word(line, "def");
    const char *rest =
        after_word(def != NULL ? def + strspn(def, " \t") : line, function);

    if (rest == NULL) {
        return false;
    }
    rest += strspn(rest, " \t");
    return def != NULL ? *rest == '(' : *rest == '=' && rest[1] != '=';
}

/* "exports.handler =", "module.exports = { handler", "export const handler" */
static bool exports_node(const char *line, const char *function)
{
    size_t len = strlen(function);
    const char *at = line;

    if (after_word(line, "exports") == NULL && after_word(line, "module") == NULL &&
        after_word(line, "export") == NULL) {
        return false;
    }
    while ((at = strstr(at, function)) != NULL) {
        if (!is_word_char(at[-1]) && !is_word_char(at[len])) {
            return true;
        }
        at += len;
    }
    return false;
}

static bool line_has(const struct language *language, const char *line,
                     const char *function)
{
    return language->runtime == SPEC_RUNTIME_PYTHON ? defines_python(line, function)
                                                    : exports_node(line, function);
}

bool guess_function_in(struct guess *g, const char *file, const char *text, size_t len)
{
    const struct language *language = language_of(file);
    const char *end = text + len;
    char line[512];

    if (language == NULL) {
        return false;
    }
    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((eol != NULL ? eol : end) - text);
        size_t kept = n < sizeof(line) ? n : sizeof(line) - 1;

        memcpy(line, text, kept);
        line[kept] = '\0';
        for (size_t i = 0; i < N_OF(functions); i++) {
            if (line_has(language, line, functions[i])) {
                *g = (struct guess){.runtime = language->runtime,
                                    .why = "it has a handler"};
                (void)snprintf(g->handler, sizeof(g->handler), "%.*s.%s",
                               (int)(strlen(file) - strlen(language->suffix)), file,
                               functions[i]);
                return true;
            }
        }
        text += n + 1;
    }
    return false;
}

bool guess_function_is(struct guess *g, const char *file, const char *handler)
{
    const struct language *language = language_of(file);
    const char *slash = strrchr(handler, '/');
    const char *dot = strchr(slash != NULL ? slash : handler, '.');
    size_t len = language != NULL ? strlen(file) - strlen(language->suffix) : 0;

    if (language == NULL || dot == NULL || strncmp(file, handler, len) != 0 ||
        handler + len != dot || dot[1] == '\0' || strpbrk(handler, " \t") != NULL ||
        strcmp(dot, language->suffix) == 0) { /* "server.py": a program */
        return false;
    }
    *g = (struct guess){.runtime = language->runtime, .why = "the handler's file"};
    return true;
}

bool guess_function_file(const char *handler, size_t i, char *ret, size_t size)
{
    const char *slash = strrchr(handler, '/');
    const char *name = slash != NULL ? slash : handler;
    size_t len = (size_t)(name - handler) + strcspn(name, ".");

    return i < N_OF(languages) && snprintf(ret, size, "%.*s%s", (int)len, handler,
                                           languages[i].suffix) < (int)size;
}
