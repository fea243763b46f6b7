#include "agent/gateway/timing.h"

#include <errno.h>
#include <string.h>

#include "common/number.h"

#define DURATION ";dur="
#define MS_MAX   (1000ull * 3600 * 1000) /* no call takes so long */

/* What of the time before `end_us` came after `from_us`. */
static uint64_t seen(uint64_t from_us, uint64_t end_us, uint64_t took_us)
{
    uint64_t most_us = end_us > from_us ? end_us - from_us : 0;

    return took_us < most_us ? took_us : most_us;
}

void timing_waited(struct timing *t, uint64_t from_us, uint64_t now_us, uint64_t ready_us,
                   uint64_t start_us, uint64_t init_us)
{
    uint64_t waited_us = now_us > from_us ? now_us - from_us : 0;

    if (ready_us > now_us) {
        ready_us = now_us;
    }
    t->cold = ready_us >= from_us;
    t->init_us = seen(from_us, ready_us, init_us);
    t->start_us = seen(from_us, ready_us - t->init_us, start_us);
    t->queue_us = waited_us - t->init_us - t->start_us;
}

uint64_t timing_total_us(const struct timing *t)
{
    return t->body_us + t->queue_us + t->start_us + t->init_us + t->run_us + t->hop_us;
}

/* --- as text ------------------------------------------------------------------ */

/* In milliseconds with three decimals. At most 36 bytes with the longest of numbers:
 * TIMING_SIZE holds seven. */
static char *put(char *at, struct http_str name, uint64_t us)
{
    at = mempcpy(at, name.at, name.len);
    at = mempcpy(at, DURATION, strlen(DURATION));
    at += number_text(at, us / 1000);
    *at++ = '.';
    *at++ = (char)('0' + us / 100 % 10);
    *at++ = (char)('0' + us / 10 % 10);
    *at++ = (char)('0' + us % 10);
    *at = '\0';
    return at;
}

void timing_format(char ret[TIMING_SIZE], const struct timing *t)
{
    char *at = ret;

    if (t->read) {
        at = stpcpy(put(at, HTTP_STR("body"), t->body_us), ", ");
    }
    at = put(at, HTTP_STR("queue"), t->queue_us);
    if (t->cold) {
        at = put(at, HTTP_STR(", start"), t->start_us);
        at = put(at, HTTP_STR(", init"), t->init_us);
    }
    if (t->ran) {
        at = put(at, HTTP_STR(", run"), t->run_us);
    }
    if (t->hopped) {
        at = put(at, HTTP_STR(", hop"), t->hop_us);
    }
    (void)put(at, HTTP_STR(", total"), timing_total_us(t));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "12.345" in milliseconds; exactly three decimals. */
static int read_ms(uint64_t *ret_us, struct http_str text)
{
    uint64_t us = 0;

    if (text.len < 5 || text.at[text.len - 4] != '.') {
        return -EINVAL;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (i == text.len - 4) {
            continue;
        }
        if (!is_digit(text.at[i]) || us > MS_MAX * 1000) {
            return -EINVAL;
        }
        us = us * 10 + (uint64_t)(text.at[i] - '0');
    }
    *ret_us = us;
    return 0;
}

static int read_phase(struct timing *t, struct http_str text)
{
    const struct {
        const char *name;
        uint64_t *us;
        bool *told;
    } known[] = {
        {"body", &t->body_us, &t->read}, {"queue", &t->queue_us, NULL},
        {"start", &t->start_us, NULL},   {"init", &t->init_us, &t->cold},
        {"run", &t->run_us, &t->ran},    {"hop", &t->hop_us, &t->hopped},
    };
    const char *end = text.len > 0 ? memmem(text.at, text.len, DURATION, 5) : NULL;
    struct http_str name = {text.at, end != NULL ? (size_t)(end - text.at) : 0};
    uint64_t us;

    if (end == NULL ||
        read_ms(&us, (struct http_str){end + 5, text.len - name.len - 5}) < 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (http_str_eq(name, known[i].name)) {
            *known[i].us = us;
            if (known[i].told != NULL) {
                *known[i].told = true;
            }
        }
    }
    return 0;
}

int timing_read(struct timing *ret, struct http_str text)
{
    struct timing t = {.queue_us = 0};

    while (text.len > 0) {
        const char *comma = memchr(text.at, ',', text.len);
        size_t len = comma != NULL ? (size_t)(comma - text.at) : text.len;
        size_t skip = len;

        if (read_phase(&t, (struct http_str){text.at, len}) < 0) {
            return -EINVAL;
        }
        while (skip < text.len && (text.at[skip] == ',' || text.at[skip] == ' ')) {
            skip++;
        }
        text.at += skip;
        text.len -= skip;
    }
    *ret = t;
    return 0;
}
