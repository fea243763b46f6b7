/* What comes from inside a sandbox over Lambda's Runtime and Extensions API. The first
 * byte says what: the status and headers before a reply's body, or what an extension
 * registers for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/lambda_document.h"
#include "common/check.h"

static void prelude(const char *text, size_t len)
{
    struct lambda_prelude p;

    if (lambda_prelude_read(&p, text, len) == 0) {
        CHECK(p.status >= 200 && p.status <= 599);
        CHECK(p.n <= LAMBDA_PRELUDE_HEADERS);
        for (size_t i = 0; i < p.n; i++) {
            struct http_str name = p.list[i].name, value = p.list[i].value;

            CHECK(name.len > 0 && memchr(name.at, '\n', name.len) == NULL &&
                  memchr(name.at, ':', name.len) == NULL);
            CHECK(memchr(value.at, '\n', value.len) == NULL &&
                  memchr(value.at, '\r', value.len) == NULL);
            CHECK(!http_str_ieq(name, "Content-Length"));
        }
    }
    lambda_prelude_free(&p);
}

static void events(const char *text, size_t len, bool internal)
{
    bool invoke = false, shutdown = false;

    if (lambda_events_read(&invoke, &shutdown, internal, text, len) !=
        LAMBDA_EVENTS_GOOD) {
        CHECK(!invoke && !shutdown);
    }
    CHECK(!internal || !shutdown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = size > 0 ? malloc(size) : NULL;

    if (copy != NULL) { /* of just this size: what reads past its end is seen */
        memcpy(copy, data + 1, size - 1);
        if (data[0] == 'p') {
            prelude(copy, size - 1);
        } else {
            events(copy, size - 1, data[0] == 'i');
        }
        free(copy);
    }
    return 0;
}
