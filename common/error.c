#include "common/error.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"

__attribute__((format(printf, 3, 0))) static void format(struct error *err, int code,
                                                         const char *fmt, va_list ap)
{
    err->code = code;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    /* One line, whatever bytes from outside are quoted in it: a log line or a terminal
     * must not be written to by them. */
    for (char *c = err->text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
    CHECK(code < 0);
    if (err != NULL) {
        va_list ap;

        va_start(ap, fmt);
        format(err, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

int error_set_errno(struct error *err, int code, const char *fmt, ...)
{
    CHECK(code < 0);
    if (err != NULL) {
        va_list ap;
        size_t len;

        va_start(ap, fmt);
        format(err, code, fmt, ap);
        va_end(ap);
        len = strlen(err->text);
        (void)snprintf(err->text + len, sizeof(err->text) - len, ": %s",
                       strerrordesc_np(-code) != NULL ? strerrordesc_np(-code)
                                                      : "unknown error");
    }
    return code;
}

int error_wrap(struct error *err, int code, const char *fmt, ...)
{
    CHECK(code < 0);
    if (err != NULL) {
        char inner[ERROR_TEXT_MAX];
        va_list ap;
        size_t len;

        (void)snprintf(inner, sizeof(inner), "%s", err->text);
        va_start(ap, fmt);
        format(err, code, fmt, ap);
        va_end(ap);
        len = strlen(err->text);
        (void)snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
    }
    return code;
}
