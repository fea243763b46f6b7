#include "common/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define LINE_MAX_BYTES 4096

static struct {
    const char *component;
    enum log_level level;
    bool human;
} state = {.component = "mayfly", .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void put(struct line *l, const char *s, size_t len)
{
    size_t room = sizeof(l->text) - 2 - l->len; /* keeps "}\n" */

    if (len > room) {
        len = room;
    }
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

static void puts_raw(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Control bytes are escaped in both formats, so that a value can never forge a line. */
static void put_escaped(struct line *l, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[8];

        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            put(l, esc, 2);
        } else if (c < 0x20 || c == 0x7f) {
            put(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
        } else {
            put(l, s, 1);
        }
    }
}

static void put_value(struct line *l, const struct log_field *f, bool quote)
{
    if (f->type == LOG_FIELD_INT) {
        char num[24];

        put(l, num, (size_t)snprintf(num, sizeof(num), "%lld", (long long)f->num));
        return;
    }
    puts_raw(l, quote ? "\"" : "");
    put_escaped(l, f->str != NULL ? f->str : "");
    puts_raw(l, quote ? "\"" : "");
}

static void human(struct line *l, enum log_level level, const char *ts, const char *msg,
                  const struct log_field *fields, size_t n)
{
    char head[64];

    put(l, head,
        (size_t)snprintf(head, sizeof(head), "%.12s %-5s %s: ", ts + 11,
                         level_names[level], state.component));
    put_escaped(l, msg);
    for (size_t i = 0; i < n; i++) {
        puts_raw(l, i == 0 ? "  " : " ");
        puts_raw(l, fields[i].key);
        puts_raw(l, "=");
        put_value(l, &fields[i],
                  fields[i].str != NULL && strpbrk(fields[i].str, " =\"") != NULL);
    }
    l->text[l->len++] = '\n';
}

static void json(struct line *l, enum log_level level, const char *ts, const char *msg,
                 const struct log_field *fields, size_t n)
{
    char head[128];

    put(l, head,
        (size_t)snprintf(
            head, sizeof(head),
            "{\"ts\":\"%s\",\"level\":\"%s\",\"component\":\"%s\",\"msg\":\"", ts,
            level_names[level], state.component));
    put_escaped(l, msg);
    puts_raw(l, "\"");
    for (size_t i = 0; i < n; i++) {
        puts_raw(l, ",\"");
        puts_raw(l, fields[i].key);
        puts_raw(l, "\":");
        put_value(l, &fields[i], true);
    }
    l->text[l->len++] = '}';
    l->text[l->len++] = '\n';
}

void log_init(const char *component, enum log_level level, enum log_format format)
{
    state.component = component;
    state.level = level;
    state.human = format == LOG_FORMAT_HUMAN ||
                  (format == LOG_FORMAT_AUTO && isatty(STDERR_FILENO) == 1);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               size_t n_fields)
{
    char ts[CLOCK_RFC3339_SIZE];
    struct line l = {.len = 0};

    if (level < state.level) {
        return;
    }
    clock_rfc3339(clock_wall_ms(), ts);
    if (state.human) {
        human(&l, level, ts, msg, fields, n_fields);
    } else {
        json(&l, level, ts, msg, fields, n_fields);
    }
    if (write(STDERR_FILENO, l.text, l.len) < 0) {
        return; /* nowhere left to say so */
    }
}

int log_level_parse(const char *name)
{
    for (int i = 0; i < (int)(sizeof(level_names) / sizeof(level_names[0])); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}
