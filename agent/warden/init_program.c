#include "agent/warden/init_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A check's own word about the program, for people; "" if there is none. */
static char check_word[320];

/* The interpreter that a script names in its first line (execve(2)) must be there; a line
 * that ends in CRLF names one with a CR at its end. */
static int check_interpreter(const char *path, const char *line)
{
    const char *name = line + strspn(line, " \t");
    size_t len = strcspn(name, " \t\n");
    char interpreter[256];
    bool cr = len > 0 && name[len - 1] == '\r';

    memcpy(interpreter, name, len);
    interpreter[len] = '\0';
    if (len > 0 && faccessat(AT_FDCWD, interpreter, X_OK, 0) == 0) {
        return 0;
    }
    (void)snprintf(check_word, sizeof(check_word), "%.100s: its interpreter \"%.*s%s\"%s",
                   path, (int)(cr ? len - 1 : len), interpreter, cr ? "\\r" : "",
                   cr ? " (its lines end in CRLF)" : "");
    errno = len > 0 ? errno : ENOEXEC;
    return -1;
}

/* What is plain text without an interpreter line will not be executed by the kernel. What
 * is neither that nor a script may be anything that this kernel can run. */
static int check_format(const char *path)
{
    char head[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof(head) - 1) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        return 0; /* it may be executed, but not read: the kernel will tell */
    }
    if (strncmp(head, "#!", 2) == 0) {
        return check_interpreter(path, head + 2);
    }
    for (ssize_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head[i];

        if (c < ' ' && c != '\t' && c != '\n' && c != '\r') {
            return 0;
        }
    }
    (void)snprintf(check_word, sizeof(check_word),
                   "%.100s: it is no program, and has no interpreter line (#!/bin/sh)",
                   path);
    errno = ENOEXEC;
    return -1;
}

/* execve(2), or with envp NULL: would it find something that it may run? */
static int try_one(const char *path, char *const *argv, char *const *envp)
{
    struct stat st;

    if (envp != NULL) {
        return execve(path, argv, envp);
    }
    if (stat(path, &st) < 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EACCES; /* as execve(2) has it */
        return -1;
    }
    return faccessat(AT_FDCWD, path, X_OK, 0) < 0 ? -1 : check_format(path);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool join(char ret[PATH_MAX], const char *folder, const char *name)
{
    if (strlen(folder) + 1 + strlen(name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)strcpy(stpcpy(stpcpy(ret, folder), "/"), name);
    return true;
}

int program_execute(char *const *argv, char *const *envp)
{
    static const char *const folders[] = {
        "/var/task", "/usr/local/sbin", "/usr/local/bin",
        "/usr/sbin", "/usr/bin",        "/sbin",
        "/bin"};
    char path[PATH_MAX];
    int error = ENOENT;

    if (strchr(argv[0], '/') != NULL) {
        return try_one(argv[0], argv, envp);
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (join(path, folders[i], argv[0]) && try_one(path, argv, envp) == 0) {
            return 0;
        }
        if (errno == EACCES && is_folder(path)) {
            error =
                EACCES; /* maybe a package's folder `node`: the program is elsewhere */
        } else if (errno != ENOENT && errno != ENOTDIR) {
            error = errno;
            break;
        }
    }
    errno = error;
    return -1;
}

int program_check(const char *program, const char **ret_word)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};

    check_word[0] = '\0';
    *ret_word = check_word;
    return program_execute(argv, NULL);
}
