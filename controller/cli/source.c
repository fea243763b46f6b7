#include "controller/cli/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/cleanup.h"
#include "common/spec_layers.h"
#include "controller/cli/build.h"
#include "controller/cli/guess.h"
#include "controller/cli/manifest.h"

#define TEXT_FILE_MAX (1024 * 1024) /* function.yaml, .mayflyignore */
#define IGNORE_FILE   ".mayflyignore"
#define IGNORE_MAX    256

static int out_of_memory(const struct cli *c)
{
    return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
}

/* 1: read; 0: there is no such file. */
static int read_text(const char *path, struct buf *ret, struct error *err)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char part[4096];
    size_t n;

    if (f == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(err, -errno, "open %s", path);
    }
    while ((n = fread(part, 1, sizeof(part), f)) > 0) {
        if (ret->len + n > TEXT_FILE_MAX) {
            return error_set(err, -EFBIG, "%s is over %d KiB", path,
                             TEXT_FILE_MAX / 1024);
        }
        if (buf_append(ret, part, n) < 0) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    if (ferror(f)) {
        return error_set_errno(err, -errno, "read %s", path);
    }
    return buf_append_str(ret, "") < 0 ? error_set(err, -ENOMEM, "out of memory") : 1;
}

/* --- the settings ------------------------------------------------------------- */

static int take_manifest(struct source *s, const struct cli *c)
{
    _cleanup_free_ char *file = cli_text("%s/" MANIFEST_FILE, s->path);
    struct manifest m = {0};
    struct buf text = {0};
    struct error err = {0};
    int rc = file != NULL ? read_text(file, &text, &err)
                          : error_set(&err, -ENOMEM, "out of memory");

    if (rc > 0) {
        rc = manifest_parse(&m, &s->spec, file, text.data, text.len, &err);
    }
    buf_free(&text);
    if (rc < 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "cannot deploy %s: %s", s->path,
                        err.text);
    }
    s->name = steal(m.name);
    s->build = steal(m.build);
    s->has_runtime = m.has_runtime;
    manifest_free(&m);
    return EXIT_CODE_OK;
}

static int take_numbers(struct source *s, const struct cli *c)
{
    static const char *const flags[] = {
#define X(member, key, flag, min, max, dflt, unit, help) flag,
        SPEC_NUMBERS(X) SPEC_DECIMALS(X)
#undef X
    };
    struct error err = {0};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const char *value = args_get(c->args, flags[i]);

        if (value != NULL && function_spec_set(&s->spec, flags[i], value, &err) < 0) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "--%s: %s", flags[i],
                            err.text);
        }
    }
    return EXIT_CODE_OK;
}

static int take_env(struct source *s, const struct cli *c)
{
    const char *assignment;
    size_t at = 0;

    while ((assignment = args_each(c->args, "env", &at)) != NULL) {
        const char *equals = strchr(assignment, '=');
        _cleanup_free_ char *name = NULL;

        if (equals == NULL || equals == assignment) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "--env NAME=VALUE",
                            "--env is \"%.60s\", which names no variable and value",
                            assignment);
        }
        name = strndup(assignment, (size_t)(equals - assignment));
        if (name == NULL || function_spec_set_env(&s->spec, name, equals + 1) < 0) {
            return out_of_memory(c);
        }
    }
    return EXIT_CODE_OK;
}

static int take_constraints(struct source *s, const struct cli *c)
{
    struct error err = {0};
    const char *text;
    size_t at = 0;

    while ((text = args_each(c->args, "constraint", &at)) != NULL) {
        if (function_spec_add_constraint(&s->spec, text, &err) < 0) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "--constraint disk=ssd",
                            "--constraint: %s", err.text);
        }
    }
    if (constraints_check(s->spec.constraints, s->spec.n_constraints, &err) < 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "--constraint disk=ssd", "%s",
                        err.text);
    }
    return EXIT_CODE_OK;
}

/* The flags replace what function.yaml names. */
static int take_layers(struct source *s, const struct cli *c)
{
    const char *text;
    size_t at = 0;
    bool first = true;

    while ((text = args_each(c->args, "layer", &at)) != NULL) {
        struct spec_layer l;
        struct error err = {0};

        if (first) {
            free(s->spec.layers);
            s->spec.layers = NULL;
            s->spec.n_layers = 0;
            first = false;
        }
        if (spec_layer_parse(&l, text, &err) < 0) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "--layer NAME:VERSION", "%s",
                            err.text);
        }
        if (function_spec_add_layer(&s->spec, &l) < 0) {
            return out_of_memory(c);
        }
    }
    return EXIT_CODE_OK;
}

static int replace(char **text, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL) {
        return -ENOMEM;
    }
    free(*text);
    *text = copy;
    return 0;
}

static int take_flags(struct source *s, const struct cli *c)
{
    const char *runtime = args_get(c->args, "runtime");
    const char *handler = args_get(c->args, "handler");
    const char *name = args_get(c->args, "name");
    const char *metric = args_get(c->args, "metric");
    const char *placement = args_get(c->args, "placement");
    const char *keep_alive = args_get(c->args, "keep-alive");
    int rc;

    if (placement != NULL) { /* a choice */
        s->spec.placement = (enum spec_placement)spec_placement_parse(placement);
    }

    if (runtime != NULL) {
        rc = spec_runtime_parse(runtime);
        if (rc < 0) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL,
                            "python, python3.11, node, nodejs20.x, http, exec, provided",
                            "--runtime \"%.60s\": no such runtime", runtime);
        }
        s->spec.runtime = (enum spec_runtime)rc;
        s->has_runtime = true;
    }
    if (metric != NULL) {
        s->spec.metric = (enum spec_metric)spec_metric_parse(metric); /* a choice */
    }
    if (handler != NULL && strlen(handler) > SPEC_HANDLER_MAX) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, NULL, "--handler is over %d bytes",
                        SPEC_HANDLER_MAX);
    }
    if ((handler != NULL && replace(&s->spec.handler, handler) < 0) ||
        (name != NULL && replace(&s->name, name) < 0)) {
        return out_of_memory(c);
    }
    if (args_has(c->args, "no-reuse")) {
        s->spec.reuse = false;
    }
    rc = take_numbers(s, c);
    if (keep_alive != NULL) { /* also beside --idle; a choice */
        s->spec.keep_alive = (enum spec_keep_alive)spec_keep_alive_parse(keep_alive);
    }
    rc = rc == EXIT_CODE_OK ? take_env(s, c) : rc;
    rc = rc == EXIT_CODE_OK ? take_layers(s, c) : rc;
    return rc == EXIT_CODE_OK ? take_constraints(s, c) : rc;
}

bool source_name_of(const char *path, char ret[SPEC_NAME_MAX + 1])
{
    const char *base = strrchr(path, '/');
    size_t len = 0;

    base = base != NULL ? base + 1 : path;
    /* A name may not have a dot, so the first ends it; ".hidden" has no name before it.
     */
    for (; *base != '\0' && *base != '.' && len < SPEC_NAME_MAX; base++) {
        ret[len++] =
            isalnum((unsigned char)*base) ? (char)tolower((unsigned char)*base) : '-';
    }
    while (len > 0 && ret[len - 1] == '-') {
        len--;
    }
    ret[len] = '\0';
    memmove(ret, ret + strspn(ret, "-"), len + 1 - strspn(ret, "-"));
    return spec_name_valid(ret);
}

static int settle_name(struct source *s, const struct cli *c)
{
    _cleanup_free_ char *whole = NULL;
    char name[SPEC_NAME_MAX + 1];

    if (s->name == NULL) {
        whole = realpath(s->path, NULL);
        if (whole == NULL || !source_name_of(whole, name)) {
            return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly deploy PATH --name NAME",
                            "cannot deploy %s: no function's name can be made of it",
                            s->path);
        }
        s->name = strdup(name);
        return s->name != NULL ? EXIT_CODE_OK : out_of_memory(c);
    }
    if (!spec_name_valid(s->name)) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL,
                        "use lower-case letters, digits and dashes, 63 at most",
                        "\"%s\" is no function's name", s->name);
    }
    return EXIT_CODE_OK;
}

static int validate(const struct source *s, const struct cli *c)
{
    struct error err = {0};

    return function_spec_check_new(&s->spec, &err) == 0
               ? EXIT_CODE_OK
               : cli_fail(c, EXIT_CODE_USAGE, "bad_request", NULL,
                          "cannot deploy \"%s\": %s", s->name, err.text);
}

/* --- building and packing ----------------------------------------------------- */

struct build_watch {
    struct progress *progress;
    const char *command;
    unsigned seconds;
};

static void on_build_waits(void *data)
{
    struct build_watch *w = data;

    progress_detail(w->progress, "building: %.60s (%u s)", w->command, ++w->seconds);
}

static int build(struct source *s, const struct cli *c, struct progress *progress)
{
    struct build_watch watch = {.progress = progress, .command = s->build};
    struct buf output = {0};
    struct error err = {0};
    int rc;

    progress_show(progress, "building: %.60s", s->build);
    rc = build_run(s->path, s->build, &output, on_build_waits, &watch, &err);
    progress_clear(progress);
    if (rc < 0) {
        if (output.len > 0) {
            (void)fwrite(output.data, 1, output.len, stderr);
            (void)fputs(output.data[output.len - 1] == '\n' ? "" : "\n", stderr);
        }
        rc = cli_fail(c, EXIT_CODE_FAILED, NULL, "mend it, or --no-build",
                      "cannot deploy \"%s\": %s: %s", s->name, err.text, s->build);
    }
    buf_free(&output);
    return rc;
}

/* Plain names, one a line; "#" begins a comment. text is cut up. */
static int split_ignored(const char *file, char *text, const char *names[],
                         struct error *err)
{
    size_t n = 0, line = 0;
    char *save = text;

    while (names[n] != NULL) {
        n++;
    }
    while (save != NULL) {
        char *name = strsep(&save, "\n");
        size_t len;

        line++;
        name += strspn(name, " \t");
        for (len = strlen(name); len > 0 && strchr(" \t\r/", name[len - 1]) != NULL;) {
            name[--len] = '\0';
        }
        if (len == 0 || *name == '#') {
            continue;
        }
        if (strpbrk(name, "/*?[!") != NULL) {
            return error_set(
                err, -EINVAL,
                "%s:%zu: \"%.60s\": give the plain name of a file or folder; it "
                "is left out wherever it stands",
                file, line, name);
        }
        if (n == IGNORE_MAX) {
            return error_set(err, -E2BIG, "%s: more than %d names", file, IGNORE_MAX);
        }
        names[n++] = name;
        names[n] = NULL;
    }
    return 0;
}

/* A file without a name, which goes when we do, however that is; reached through /proc.
 */
static int make_temporary(struct source *s, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    _cleanup_free_ char *path =
        cli_text("%s/mayfly-XXXXXX", folder != NULL && *folder != '\0' ? folder : "/tmp");

    if (path == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0) {
        return error_set_errno(err, -errno, "make a temporary file %s", path);
    }
    (void)unlink(path);
    s->file = cli_text("/proc/self/fd/%d", s->fd);
    return s->file != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int pack_folder(struct source *s, struct error *err)
{
    const char *names[IGNORE_MAX + 1] = {".git", IGNORE_FILE, NULL};
    _cleanup_free_ char *file = cli_text("%s/" IGNORE_FILE, s->path);
    struct buf text = {0};
    int rc = file != NULL ? read_text(file, &text, err)
                          : error_set(err, -ENOMEM, "out of memory");

    if (rc > 0) {
        rc = split_ignored(file, text.data, names, err);
    }
    if (rc == 0) {
        rc = make_temporary(s, err);
    }
    if (rc == 0) {
        s->package.format = SPEC_FORMAT_TAR;
        rc = archive_pack_folder(s->path, s->file, names, err);
    }
    buf_free(&text);
    return rc;
}

static int take_file(struct source *s, struct error *err)
{
    const char *base = strrchr(s->path, '/');
    int rc = archive_detect(s->path, &s->package.format, err);

    base = base != NULL ? base + 1 : s->path;
    s->file = strdup(s->path);
    if (rc == 0 && s->file == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (rc == 0 && s->package.format == SPEC_FORMAT_FILE) {
        if (!spec_file_name_valid(base)) {
            return error_set(err, -EINVAL, "its name is too long");
        }
        (void)stpcpy(s->package.file_name, base);
    }
    return rc;
}

static int pack(struct source *s, const struct cli *c, struct progress *progress)
{
    struct error err = {0};
    int rc;

    progress_detail(progress, "packing %s", s->path);
    rc = s->is_folder ? pack_folder(s, &err) : take_file(s, &err);
    if (rc == 0) {
        rc = archive_digest(s->file, s->package.digest, &s->package.bytes, &err);
    }
    if (rc == 0) {
        rc = archive_verify(s->file, s->package.format, s->package.file_name,
                            &archive_limits_default, &err);
    }
    progress_clear(progress);
    return rc == 0 ? EXIT_CODE_OK
                   : cli_fail(c, EXIT_CODE_FAILED,
                              rc == -EBADMSG ? "package_invalid" : NULL, NULL,
                              "cannot deploy \"%s\": %s: %s", s->name, s->path, err.text);
}

/* --- the whole ---------------------------------------------------------------- */

/* Says how the program will be run if nobody did. */
static int settle_runtime(struct source *s, const struct cli *c)
{
    const struct guess_source from = {
        .path = s->path,
        .is_folder = s->is_folder,
        .format = s->package.format,
        .handler = s->spec.handler,
        .runtime = s->has_runtime ? (int)s->spec.runtime : -1,
    };
    struct guess guess;
    struct error err = {0};
    int rc = guess_runtime(&guess, &from, &err);

    if (rc == 0 && !s->has_runtime) {
        s->spec.runtime = guess.runtime;
        cli_say(c, "runtime: %s (%s)", spec_runtime_name(guess.runtime), guess.why);
    }
    if (rc == 0 && guess.handler[0] != '\0' && s->spec.handler == NULL &&
        (s->spec.runtime == guess.runtime ||
         (s->spec.runtime == SPEC_RUNTIME_HTTP && guess.runtime == SPEC_RUNTIME_EXEC))) {
        cli_say(c, "handler: %s (%s)", guess.handler,
                guess.runtime == SPEC_RUNTIME_EXEC ? "the only program in the folder"
                                                   : guess.why);
        s->spec.handler = strdup(guess.handler);
        return s->spec.handler != NULL ? EXIT_CODE_OK : out_of_memory(c);
    }
    if (rc < 0 && !s->has_runtime) {
        return cli_fail(
            c, EXIT_CODE_USAGE, NULL,
            "--runtime python or node with --handler MODULE.FUNCTION, or exec "
            "(a process a call), http (a server on $PORT) or provided (a "
            "bootstrap) with --handler PROGRAM",
            "cannot deploy \"%s\": how is it run? %s", s->name, err.text);
    }
    return EXIT_CODE_OK;
}

static int look_at(struct source *s, const struct cli *c, const char *path)
{
    struct stat st;

    *s = (struct source){.path = path, .fd = -1};
    function_spec_init(&s->spec);
    errno = 0;
    if (stat(path, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "mayfly help deploy",
                        "cannot deploy %s: %s", path,
                        errno != 0 ? strerror(errno) : "neither a folder nor a file");
    }
    s->is_folder = S_ISDIR(st.st_mode);
    return EXIT_CODE_OK;
}

int source_open_layer(struct source *s, const struct cli *c, const char *name,
                      const char *path, struct progress *progress)
{
    int rc = look_at(s, c, path);

    if (rc == EXIT_CODE_OK && replace(&s->name, name) < 0) {
        rc = out_of_memory(c);
    }
    return rc == EXIT_CODE_OK ? pack(s, c, progress) : rc;
}

int source_open(struct source *s, const struct cli *c, const char *path,
                struct progress *progress)
{
    int rc = look_at(s, c, path);

    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    rc = s->is_folder ? take_manifest(s, c) : rc;
    rc = rc == EXIT_CODE_OK ? take_flags(s, c) : rc;
    rc = rc == EXIT_CODE_OK ? settle_name(s, c) : rc;
    if (rc == EXIT_CODE_OK && s->has_runtime) {
        rc = validate(s, c); /* before a long build */
    }
    if (rc == EXIT_CODE_OK && s->build != NULL && !args_has(c->args, "no-build")) {
        rc = build(s, c, progress);
    }
    rc = rc == EXIT_CODE_OK ? pack(s, c, progress) : rc;
    rc = rc == EXIT_CODE_OK ? settle_runtime(s, c) : rc;
    return rc == EXIT_CODE_OK ? validate(s, c) : rc;
}

void source_close(struct source *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    free(s->name);
    free(s->file);
    free(s->build);
    function_spec_free(&s->spec);
    *s = (struct source){.fd = -1};
}
