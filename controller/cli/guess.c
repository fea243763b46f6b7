#include "controller/cli/guess.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

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

static int guess_file(struct guess *g, const char *path, struct error *err)
{
    const char *base = strrchr(path, '/');

    if (strcmp(base != NULL ? base + 1 : path, BOOTSTRAP) == 0) {
        *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED, .why = "a bootstrap"};
        return 0;
    }
    if (!is_program(path)) {
        return error_set(err, -EINVAL, "%s is neither a script (#!) nor a binary", path);
    }
    *g = (struct guess){.runtime = SPEC_RUNTIME_EXEC,
                        .why = "one program: a process a call"};
    return 0;
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

static int guess_folder(struct guess *g, const char *path, bool has_handler,
                        struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(path);
    struct guess found = {.runtime = SPEC_RUNTIME_EXEC,
                          .why = "one program in the folder: a process a call"};
    unsigned programs = 0;
    struct dirent *e;

    if (dir == NULL) {
        return error_set_errno(err, -errno, "open %s", path);
    }
    if (is_executable(dirfd(dir), BOOTSTRAP)) {
        *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED,
                            .why = "there is an executable bootstrap"};
        return 0;
    }
    if (faccessat(dirfd(dir), BOOTSTRAP, F_OK, 0) == 0) {
        return error_set(err, -EINVAL, "its bootstrap is not executable (chmod +x)");
    }
    while (!has_handler && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.' || !is_plain_word(e->d_name) ||
            !is_executable(dirfd(dir), e->d_name)) {
            continue;
        }
        programs++;
        (void)snprintf(found.handler, sizeof(found.handler), "%s", e->d_name);
    }
    if (programs != 1) {
        return error_set(err, -EINVAL,
                         has_handler ? "the handler may be a server or run once a call"
                         : programs == 0
                             ? "there is no executable file at its top (chmod +x)"
                             : "there are several executable files and no bootstrap");
    }
    *g = found;
    return 0;
}

static int guess_archive(struct guess *g, const char *path, struct error *err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    bool found = false;

    if (a == NULL || archive_read_support_filter_all(a) < ARCHIVE_WARN ||
        archive_read_support_format_all(a) < ARCHIVE_WARN ||
        archive_read_open_filename(a, path, 64 * 1024) != ARCHIVE_OK) {
        (void)archive_read_free(a);
        return error_set(err, -EINVAL, "%s cannot be read", path);
    }
    /* It was verified just now: the end comes within the limits. */
    while (!found && archive_read_next_header(a, &e) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(e);

        name = name != NULL && strncmp(name, "./", 2) == 0 ? name + 2 : name;
        found = name != NULL && strcmp(name, BOOTSTRAP) == 0;
    }
    (void)archive_read_free(a);
    if (!found) {
        return error_set(err, -EINVAL, "there is no bootstrap at the archive's top");
    }
    *g = (struct guess){.runtime = SPEC_RUNTIME_PROVIDED, .why = "there is a bootstrap"};
    return 0;
}

int guess_runtime(struct guess *ret, const char *path, bool is_folder,
                  enum spec_format format, bool has_handler, struct error *err)
{
    if (is_folder) {
        return guess_folder(ret, path, has_handler, err);
    }
    return format == SPEC_FORMAT_FILE ? guess_file(ret, path, err)
                                      : guess_archive(ret, path, err);
}
