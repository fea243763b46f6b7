/* The daemons' own log (a function's output goes elsewhere, see agent/runtime/logs.h).
 *
 * Human lines on a terminal, JSON lines otherwise, always on stderr, one write(2) a line.
 * Only edges log; cores and libraries return errors. Threads: any.
 *
 *     log_info("function started", LOG_STR("function", name), LOG_INT("took_ms", ms));
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_HUMAN, LOG_FORMAT_JSON };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT } type;
    const char *str; /* NULL is shown as "" */
    int64_t num;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = (v)})
#define LOG_INT(k, v) \
    ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .num = (int64_t)(v)})

/* component is "controller", "agent" or "warden"; it must stay valid. */
void log_init(const char *component, enum log_level level, enum log_format format);

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               size_t n_fields);

#define LOG_AT_(level, msg, ...)                                                     \
    log_write(                                                                       \
        (level), (msg),                                                              \
        (const struct log_field[]){__VA_OPT__(__VA_ARGS__, ){.key = NULL}},          \
        sizeof((const struct log_field[]){__VA_OPT__(__VA_ARGS__, ){.key = NULL}}) / \
                sizeof(struct log_field) -                                           \
            1)
#define log_debug(msg, ...) LOG_AT_(LOG_LEVEL_DEBUG, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...)  LOG_AT_(LOG_LEVEL_INFO, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...)  LOG_AT_(LOG_LEVEL_WARN, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_error(msg, ...) LOG_AT_(LOG_LEVEL_ERROR, msg __VA_OPT__(, ) __VA_ARGS__)

/* LOG_LEVEL_* from "debug", "info", "warn", "error"; negative if it is none of them. */
int log_level_parse(const char *name);

#endif /* COMMON_LOG_H */
