/* The terminal: width, colour, a line that updates. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Columns of stdout's terminal, or of COLUMNS; 0: stdout is not a terminal, no limit. */
size_t term_width(void);
/* Its rows; 24 if that is not known. */
size_t term_height(void);
/* Whether colours may be used on that stream (fd 1 or 2): a terminal, NO_COLOR empty,
 * TERM not "dumb". */
bool term_colour(int fd);

/* Columns that a UTF-8 text takes; how many of its bytes fit into so many columns. */
size_t term_text_width(const char *text);
size_t term_text_fit(const char *text, size_t columns);

void term_pause_ms(uint64_t ms);

/* Progress on stderr. On a terminal one line that is replaced; else a line whenever the
 * text is another one. */
struct progress {
    bool terminal, off;
    char last[160];
};

void progress_init(struct progress *p, bool off);
void progress_show(struct progress *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A detail that changes all the time (seconds): shown on a terminal only. */
void progress_detail(struct progress *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void progress_clear(struct progress *p); /* before anything else is printed */

#endif /* CLI_TERM_H */
