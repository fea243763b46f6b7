/* One log out of many nodes': lines in the order of their time, with bounded memory.
 * Pure.
 *
 * Each node has at most one chunk here; the next one is asked for (want_more) when its
 * last line was given out. While a node still owes its history nothing is given out,
 * since its next line may be the oldest; a node that owes for too long is passed over,
 * and a line of stream "system" says so. When following, a node that has been quiet for a
 * moment has given its history: from then on its lines go out as they come.
 *
 *   OWES ──chunk──▶ HAS ──last line given──▶ OWES
 *    │ quiet (follow)                         │
 *    ▼                                        │
 *   LIVE ──chunk──▶ HAS ──last line given──▶ LIVE        any ──end, gone──▶ ENDED
 */
#ifndef CONTROLLER_API_LOG_MERGE_H
#define CONTROLLER_API_LOG_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/api/api.h"

struct log_merge;

struct log_merge_options {
    bool follow;
    uint32_t answer_ms; /* not following: a node that owes is passed over after this */
    uint32_t quiet_ms;  /* following: its history is over after this */
    void (*want_more)(void *data, const char *node);
    void *data;
};

int log_merge_new(struct log_merge **ret, const struct log_merge_options *options);
struct log_merge *log_merge_free(struct log_merge *m);

/* A node was asked. One that was here before and has ended begins again; what it has
 * given out already is left out. 0 or -ENOMEM. */
int log_merge_ask(struct log_merge *m, const char *node, uint64_t now_ms);
/* Copies. -ENOMEM, or -EPROTO if it was not asked for more: the node is then passed over.
 */
int log_merge_chunk(struct log_merge *m, const char *node,
                    const struct api_log_line *lines, size_t n, bool end,
                    uint64_t now_ms);
/* It will not give more; text (for people) becomes a system line, NULL: none. */
void log_merge_gone(struct log_merge *m, const char *node, const char *text,
                    uint64_t wall_ms);

/* The next line, or NULL: none can be given out now. Valid until the next call. */
const struct api_log_line *log_merge_next(struct log_merge *m, const char **ret_node,
                                          uint64_t now_ms, uint64_t wall_ms);
/* When log_merge_next() may have more without another event; UINT64_MAX: never. */
uint64_t log_merge_deadline_ms(const struct log_merge *m);
/* All nodes have ended and all lines are given out. A followed log only ends when its
 * reader does. */
bool log_merge_is_over(const struct log_merge *m);
/* Calls each for the nodes that have not ended. */
void log_merge_each_open(const struct log_merge *m,
                         void (*each)(void *data, const char *node), void *data);

#endif /* CONTROLLER_API_LOG_MERGE_H */
