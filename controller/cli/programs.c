#include "controller/cli/programs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"

/* path if it can be executed; else it is freed. */
static char *if_executable(char *path)
{
    if (path != NULL && access(path, X_OK) == 0) {
        return path;
    }
    free(path);
    return NULL;
}

static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (size_t)(slash - path) : 0;
}

static char *on_path(const char *name)
{
    const char *path = getenv("PATH");

    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        char *found =
            len > 0 ? if_executable(cli_text("%.*s/%s", (int)len, path, name)) : NULL;

        if (found != NULL) {
            return found;
        }
        path += len + (path[len] == ':');
    }
    return NULL;
}

char *programs_daemon(const char *name)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *found = NULL;

    if (len > 0) {
        self[len] = '\0';
        found = if_executable(cli_text("%.*s/%s", (int)folder_len(self), self, name));
    }
    return found != NULL ? found : on_path(name);
}

char *programs_helper(const char *agent, const char *name)
{
    /* From the agent's folder: as installed, beside it, and as built. */
    static const char *const folders[] = {"../libexec/mayfly", ".", "../lib/mayfly",
                                          "../agent"};
    _cleanup_free_ char *real = realpath(agent, NULL);
    char *found = NULL;

    for (size_t i = 0;
         real != NULL && found == NULL && i < sizeof(folders) / sizeof(*folders); i++) {
        found = if_executable(
            cli_text("%.*s/%s/%s", (int)folder_len(real), real, folders[i], name));
    }
    return found;
}
