#include "controller/cli/mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define MOUNTS_MAX 4096

/* "\040" for a blank and so on, in place. */
static void unescape(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
            *out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 3;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

/* proc_pid_mountinfo(5): id parent dev root PATH options [fields] - TYPE source SUPER.
 * The line is cut up. */
static bool split(char *line, struct mount_point *ret)
{
    char *fields[6];
    char *save = line;
    char *tail = strstr(line, " - ");

    if (tail == NULL) {
        return false;
    }
    *tail = '\0';
    for (unsigned i = 0; i < 6; i++) {
        fields[i] = strsep(&save, " ");
        if (fields[i] == NULL) {
            return false;
        }
    }
    save = tail + 3;
    ret->path = fields[4];
    ret->type = strsep(&save, " ");
    (void)strsep(&save, " "); /* source */
    ret->options = save != NULL ? save : "";
    unescape(fields[4]);
    return true;
}

void mounts_each(void (*found)(void *data, const struct mount_point *m), void *data)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
    char *lines[MOUNTS_MAX];
    size_t n = 0, size = 0;
    char *line = NULL;

    while (f != NULL && n < MOUNTS_MAX && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        lines[n++] = steal(line);
        size = 0;
    }
    free(line);
    while (n-- > 0) {
        struct mount_point m;

        if (split(lines[n], &m)) {
            found(data, &m);
        }
        free(lines[n]);
    }
}

bool mounts_has_option(const char *options, const char *word)
{
    size_t len = strlen(word);

    while (*options != '\0') {
        size_t n = strcspn(options, ",");

        if (n == len && strncmp(options, word, n) == 0) {
            return true;
        }
        options += n + (options[n] == ',');
    }
    return false;
}
