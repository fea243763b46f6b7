/* Function output, kept per instance on the node that ran it.
 *
 *   <dir>/<namespace>/<name>/<version>-<instance>.log     one JSON line a line
 *
 * Bounded: lines are cut at 16 KiB, an instance keeps two files of 512 KiB (older output
 * is dropped and says so), a function's oldest files go past 16 MiB, and what
 * takes more than 1 MiB of file in a second is dropped, with a line that says so at once
 * and one that says how much it was. Kept after the instance died. */
#ifndef AGENT_RUNTIME_LOGS_H
#define AGENT_RUNTIME_LOGS_H

#include <stdbool.h>
#include <uv.h>

#include "common/error.h"

struct logs;
struct log_sink;   /* one instance's */
struct log_reader; /* one request's */

enum log_stream { LOG_STREAM_STDOUT, LOG_STREAM_STDERR, LOG_STREAM_SYSTEM };

struct log_line {
    uint64_t wall_ms;
    uint64_t version;
    char instance[24];
    enum log_stream stream;
    const char *text;
    size_t len;
};

int logs_new(struct logs **ret, uv_loop_t *loop, const char *dir, struct error *err);
struct logs *logs_free(struct logs *l);

int log_sink_new(struct log_sink **ret, struct logs *l, const char *namespace_,
                 const char *name, uint64_t version, uint64_t instance);
struct log_sink *log_sink_free(struct log_sink *s); /* flushes a partial line */
/* Readers that follow have its lines at once, the file with logs_flush(), or as soon as
 * 64 KiB wait. */
void log_sink_write(struct log_sink *s, enum log_stream stream, const char *data,
                    size_t len);
/* What waits goes to the files, in one write for each: soon after log_sink_write(), but
 * not before a call's reply. What waits when the agent crashes is lost. */
void logs_flush(struct logs *l);

/* From here on what is written is kept in memory, up to LOG_TAIL bytes; each mark is
 * given back once. */
#define LOG_TAIL 4096
uint64_t log_sink_mark(struct log_sink *s);
/* The lines since the mark, each with its newline, or the last LOG_TAIL bytes of them.
 * ret NULL: nobody wants them. Returns their length. */
size_t log_sink_tail(struct log_sink *s, uint64_t mark, char *ret);

/* Reads what is kept, oldest first by time, then follows if asked. on_lines is called
 * with up to 32 KiB; the next call comes only after log_reader_next(). n = 0 with end =
 * true is the last call. version 0: all. tail 0: all that is kept. */
int log_reader_new(struct log_reader **ret, struct logs *l, const char *namespace_,
                   const char *name, uint64_t version, bool follow, uint32_t tail,
                   void (*on_lines)(void *data, const struct log_line *lines, size_t n,
                                    bool end),
                   void *data);
void log_reader_next(struct log_reader *r);
struct log_reader *log_reader_free(struct log_reader *r);

#endif /* AGENT_RUNTIME_LOGS_H */
