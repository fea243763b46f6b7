/* Shared by logs.c (writing), log_line.c and log_reader.c (reading). */
#ifndef AGENT_RUNTIME_LOGS_PRIVATE_H
#define AGENT_RUNTIME_LOGS_PRIVATE_H

#include "agent/runtime/logs.h"
#include "common/buf.h"
#include "common/list.h"

#define LOG_STREAMS 3 /* of enum log_stream */

struct logs {
    uv_loop_t *loop;
    char *dir;
    struct list readers; /* those that follow */
    struct list waiting; /* sinks with lines that are not in their files */
};

#define LOG_LINE_MAX     (16 * 1024)
#define LOG_FILE_MAX     (512 * 1024)
#define LOG_FILES_MAX    256 /* of a function */
#define LOG_FUNCTION_MAX (16 * 1024 * 1024)
#define LOG_RATE_BYTES   (1024 * 1024) /* a second */
#define LOG_FOLLOW_MAX   (256 * 1024)  /* waiting for a reader that is slow */

/* "<version>-<instance>.log" or with ".1" for the older half. */
bool log_file_name_parse(const char *name, uint64_t *ret_version, uint64_t *ret_instance);

/* log_line.c: as it stands in the file, newline and all. 0 or -ENOMEM: b may then have a
 * part of it. */
int log_line_append(struct buf *b, const struct log_line *line);

/* A line was written: readers that follow its function get a copy. */
void log_readers_push(struct logs *l, const char *namespace_, const char *name,
                      const struct log_line *line);

#endif /* AGENT_RUNTIME_LOGS_PRIVATE_H */
