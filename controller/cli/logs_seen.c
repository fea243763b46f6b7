#include "controller/cli/logs_seen.h"

/* FNV-1a: lines differ in time and instance, nobody gains by a collision. */
static uint64_t hash_of(const char *line, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)line[i]) * 0x100000001b3U;
    }
    return hash != 0 ? hash : 1;
}

void logs_seen_again(struct logs_seen *s)
{
    s->round++;
}

bool logs_seen_is_new(struct logs_seen *s, const char *line, size_t len)
{
    uint64_t hash = hash_of(line, len);

    for (size_t i = 0; s->round > 0 && i < LOGS_SEEN_MAX; i++) {
        if (s->lines[i].hash == hash && s->lines[i].round < s->round) {
            s->lines[i].round = s->round;
            return false;
        }
    }
    s->lines[s->next].hash = hash;
    s->lines[s->next].round = s->round;
    s->next = (s->next + 1) % LOGS_SEEN_MAX;
    return true;
}
