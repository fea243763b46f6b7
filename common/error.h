/* Errors: an int for the program, a story for the person.
 *
 * Functions return 0 or a negative errno. Where a human needs more, the last argument
 * is a `struct error *` on the caller's stack (it may be NULL). It is built and returned
 * in one expression, and wrapped with context on the way up:
 *
 *     if (fd < 0)
 *         return error_set(err, -errno, "open %s", path);
 *     ...
 *     if (rc < 0)
 *         return error_wrap(err, rc, "load config");       // "load config: open /x"
 *
 * Nothing here allocates. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <stdarg.h>

#define ERROR_TEXT_MAX 480

struct error {
    int code;                  /* 0 or a negative errno */
    char text[ERROR_TEXT_MAX]; /* one line, no full stop; "" while code is 0 */
};

/* Stores code and text. With code = -errno the text gets ": strerror" appended by
 * error_set_errno(), not by error_set(). Returns code. */
int error_set(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int error_set_errno(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there, keeps err->code, returns code. */
int error_wrap(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* COMMON_ERROR_H */
