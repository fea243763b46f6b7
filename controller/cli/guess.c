#include "controller/cli/guess.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/guess_function.h"

#define BOOTSTRAP "bootstrap"

/* Whether the kernel could execute it: a script with its interpreter, or a binary. */
static bool is_program(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char head[4] = "";

    if (fd < 0 || read(fd, head, sizeof(head)) < 2) {
        return false;
    }
    return memcmp(head, "#!", 2) == 0 || memcmp(head, "\177ELF", 4) == 0;
}

/* A runtime that was given is not guessed, only its handler. */
static bool may_be(const struct guess_source *s, enum spec_runtime runtime)
{
    return s->runtime < 0 || s->runtime == (int)runtime;
}

static bool text_has_function(struct guess *g, const struct guess_source *s,
                              const char *file, const char *text, size_t len)
{
    struct guess found;

    if (!(s->handler != NULL ? guess_function_is(&found, file, s->handler)
                             : guess_function_in(&found, file, text, len)) ||
        !may_be(s, found.runtime)) {
        return false;
    }
    *g = found;
    return true;
}

static bool file_has_function(struct guess *g, const struct guess_source *s, int dir,
                              const char *file, const char *path)
{
    _cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    _cleanup_free_ char *text = malloc(GUESS_TEXT_MAX);
    ssize_t n = fd >= 0 && text != NULL ? read(fd, text, GUESS_TEXT_MAX) : -1;

    return n > 0 && text_has_function(g, s, file, text, (size_t)n);
}

static int guess_file(struct guess *g, const struct guess_source *s, struct error *err)
{
    const char *base = strrchr(s->path, '/');

    base = base != NULL ? base + 1 : s->path;
    if (strcmp(base, BOOTSTRAP) == 0) {
        *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED, .why = "a bootstrap"};
        return 0;
    }
    if (is_program(s->path) && may_be(s, SPEC_RUNTIME_EXEC)) {
        *g = (struct guess){.runtime = SPEC_RUNTIME_EXEC,
                            .why = "one program: a process a call"};
        return 0;
    }
    return file_has_function(g, s, AT_FDCWD, base, s->path)
               ? 0
               : error_set(err, -EINVAL,
                           "%s is neither a script (#!) nor a binary, and has no handler",
                           s->path);
}

/* A name that a handler's line takes as one word. */
static bool is_plain_word(const char *name)
{
    return strspn(name,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+") ==
           strlen(name);
}

static bool is_executable(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
           (st.st_mode & 0111) != 0;
}

static bool folder_has_function(struct guess *g, const struct guess_source *s, DIR *dir)
{
    int best = -1;
    char file[SPEC_HANDLER_MAX + 8];
    struct dirent *e;

    for (size_t i = 0;
         s->handler != NULL && guess_function_file(s->handler, i, file, sizeof(file));
         i++) {
        if (file_has_function(g, s, dirfd(dir), file, file)) {
            return true;
        }
    }
    while (s->handler == NULL && (e = readdir(dir)) != NULL) {
        int rank = guess_function_rank(e->d_name);

        if (rank >= 0 && (best < 0 || rank < best) &&
            file_has_function(g, s, dirfd(dir), e->d_name, e->d_name)) {
            best = rank;
        }
    }
    rewinddir(dir);
    return best >= 0;
}

static int folder_program(struct guess *g, const struct guess_source *s, DIR *dir,
                          struct error *err)
{
    struct guess found = {.runtime = SPEC_RUNTIME_EXEC,
                          .why = "one program in the folder: a process a call"};
    unsigned programs = 0;
    struct dirent *e;

    while (s->handler == NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.' || !is_plain_word(e->d_name) ||
            !is_executable(dirfd(dir), e->d_name)) {
            continue;
        }
        programs++;
        (void)snprintf(found.handler, sizeof(found.handler), "%s", e->d_name);
    }
    if (programs != 1) {
        return error_set(
            err, -EINVAL,
            s->handler != NULL ? "the handler may be a server or run once a call"
            : programs == 0 ? "there is no executable file at its top (chmod +x), and no "
                              "handler in an app.py, index.js or the like"
                            : "there are several executable files and no bootstrap");
    }
    *g = found;
    return 0;
}

static int guess_folder(struct guess *g, const struct guess_source *s, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(s->path);

    if (dir == NULL) {
        return error_set_errno(err, -errno, "open %s", s->path);
    }
    if (is_executable(dirfd(dir), BOOTSTRAP)) {
        *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED,
                            .why = "there is an executable bootstrap"};
        return 0;
    }
    if (faccessat(dirfd(dir), BOOTSTRAP, F_OK, 0) == 0) {
        return error_set(err, -EINVAL, "its bootstrap is not executable (chmod +x)");
    }
    return folder_has_function(g, s, dir) ? 0 : folder_program(g, s, dir, err);
}

static bool entry_has_function(struct guess *g, const struct guess_source *s,
                               struct archive *a, const char *name, char *text)
{
    la_ssize_t n = archive_read_data(a, text, GUESS_TEXT_MAX);

    return n > 0 && text_has_function(g, s, name, text, (size_t)n);
}

static int guess_archive(struct guess *g, const struct guess_source *s, struct error *err)
{
    struct archive *a = archive_read_new();
    _cleanup_free_ char *text = malloc(GUESS_TEXT_MAX);
    struct archive_entry *e;
    int best = INT_MAX;

    if (a == NULL || text == NULL || archive_read_support_filter_all(a) < ARCHIVE_WARN ||
        archive_read_support_format_all(a) < ARCHIVE_WARN ||
        archive_read_open_filename(a, s->path, 64 * 1024) != ARCHIVE_OK) {
        (void)archive_read_free(a);
        return error_set(err, -EINVAL, "%s cannot be read", s->path);
    }
    /* It was verified just now: the end comes within the limits. */
    while (best >= 0 && archive_read_next_header(a, &e) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(e);
        int rank;

        name = name != NULL && strncmp(name, "./", 2) == 0 ? name + 2 : name;
        if (name != NULL && strcmp(name, BOOTSTRAP) == 0) {
            *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED,
                                .why = "there is a bootstrap"};
            best = -1;
            continue;
        }
        rank = name == NULL ? -1 : s->handler != NULL ? 0 : guess_function_rank(name);
        if (rank >= 0 && rank < best && entry_has_function(g, s, a, name, text)) {
            best = rank;
        }
    }
    (void)archive_read_free(a);
    return best != INT_MAX
               ? 0
               : error_set(err, -EINVAL,
                           "there is no bootstrap at the archive's top, and no "
                           "handler in an app.py, index.js or the like");
}

int guess_runtime(struct guess *ret, const struct guess_source *source, struct error *err)
{
    if (source->is_folder) {
        return guess_folder(ret, source, err);
    }
    return source->format == SPEC_FORMAT_FILE ? guess_file(ret, source, err)
                                              : guess_archive(ret, source, err);
}
