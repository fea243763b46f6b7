#include "controller/cli/term.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

size_t term_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (isatty(STDOUT_FILENO) != 1) {
        return 0;
    }
    if (columns != NULL && atoi(columns) > 0) {
        return (size_t)atoi(columns);
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

size_t term_height(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row
                                                                           : 24;
}

bool term_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(fd) == 1 && (no_color == NULL || *no_color == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* Bytes and columns of the character at text, which is not at its end. */
static size_t step(const char *text, size_t *ret_columns)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t n = mbrtowc(&wide, text, strlen(text), &state);
    int columns;

    if (n == 0 || n > strlen(text)) { /* not in this locale's encoding */
        *ret_columns = 1;
        return 1;
    }
    columns = wcwidth(wide);
    *ret_columns = columns > 0 ? (size_t)columns : 0;
    return n;
}

size_t term_text_width(const char *text)
{
    size_t width = 0, columns;

    while (*text != '\0') {
        text += step(text, &columns);
        width += columns;
    }
    return width;
}

size_t term_text_fit(const char *text, size_t columns)
{
    const char *p = text;
    size_t used = 0;

    while (*p != '\0') {
        size_t width;
        size_t n = step(p, &width);

        if (used + width > columns) {
            break;
        }
        used += width;
        p += n;
    }
    return (size_t)(p - text);
}

void term_pause_ms(uint64_t ms)
{
    struct timespec span = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&span, &span) < 0 && errno == EINTR) {
    }
}

/* --- progress ----------------------------------------------------------------- */

void progress_init(struct progress *p, bool off)
{
    const char *term = getenv("TERM");

    *p = (struct progress){
        .terminal =
            isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0,
        .off = off,
    };
}

__attribute__((format(printf, 2, 0))) static void show(struct progress *p,
                                                       const char *fmt, va_list ap)
{
    char text[sizeof(p->last)];

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    if (p->off || strcmp(text, p->last) == 0) {
        return;
    }
    memcpy(p->last, text, sizeof(text));
    (void)fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", text);
    (void)fflush(stderr);
}

void progress_show(struct progress *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    show(p, fmt, ap);
    va_end(ap);
}

void progress_detail(struct progress *p, const char *fmt, ...)
{
    va_list ap;

    if (!p->terminal) {
        return;
    }
    va_start(ap, fmt);
    show(p, fmt, ap);
    va_end(ap);
}

void progress_clear(struct progress *p)
{
    if (p->terminal && !p->off && p->last[0] != '\0') {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    p->last[0] = '\0';
}
