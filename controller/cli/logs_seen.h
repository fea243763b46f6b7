/* Which log lines were shown lately, so that after a break in the stream the last lines
 * can be asked for again without showing any twice. Pure. Of very many lines
 * (LOGS_SEEN_MAX) the oldest are forgotten. */
#ifndef CLI_LOGS_SEEN_H
#define CLI_LOGS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGS_SEEN_MAX 4096

struct logs_seen { /* {0} has seen nothing */
    struct {
        uint64_t hash;      /* 0: empty */
        uint32_t round;     /* in which it came last */
    } lines[LOGS_SEEN_MAX]; /* a ring */
    size_t next;
    uint32_t round;
};

/* The stream begins again: what came before may come once more. */
void logs_seen_again(struct logs_seen *s);
/* Whether the line is to be shown. A line that was printed twice is shown twice. */
bool logs_seen_is_new(struct logs_seen *s, const char *line, size_t len);

#endif /* CLI_LOGS_SEEN_H */
