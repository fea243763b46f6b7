#include "agent/warden/memory_room.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_FREE 16 /* a sixteenth of it must be */
#define NO_LIMIT   (1ULL << 60)

/* The number after `name` at a line's beginning, or 0. */
static uint64_t number(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ' ')) {
            return strtoull(line + len + 1, NULL, 10);
        }
    }
    return 0;
}

struct memory_room memory_room_host(const char *meminfo)
{
    return (struct memory_room){.total_bytes = number(meminfo, "MemTotal") << 10,
                                .left_bytes = number(meminfo, "MemAvailable") << 10};
}

struct memory_room memory_room_group(const char *limit, const char *usage,
                                     const char *stat)
{
    struct memory_room r = {.total_bytes = strtoull(limit, NULL, 10)};
    uint64_t used = strtoull(usage, NULL, 10), file;
    bool v1 = strstr(stat, "\ntotal_inactive_file ") != NULL;

    if (r.total_bytes == 0 || r.total_bytes >= NO_LIMIT) {
        return (struct memory_room){0};
    }
    file = number(stat, v1 ? "total_inactive_file" : "inactive_file") +
           number(stat, v1 ? "total_active_file" : "active_file");
    used -= file < used ? file : used;
    r.left_bytes = r.total_bytes - (used < r.total_bytes ? used : r.total_bytes);
    return r;
}

bool memory_room_is_short(const struct memory_room *r)
{
    return r->total_bytes > 0 && r->left_bytes < r->total_bytes / LEAST_FREE;
}
