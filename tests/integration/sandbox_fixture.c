#include "tests/integration/sandbox_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/check.h"
#include "common/clock.h"

#define LIMIT_MS 10000

struct sandbox_bench bench;

int fixture_open(void **state)
{
    (void)state;
    sandbox_bench_open(&bench);
    sandbox_bench_copy(&bench, MAYFLY_PROBE, "probe");
    return 0;
}

int fixture_close(void **state)
{
    (void)state;
    sandbox_bench_close(&bench);
    return 0;
}

void fixture_make_with(struct bench_sandbox *s, const struct sandbox_config *config)
{
    bench_sandbox_make(&bench, s, config);
    if (s->status != 0) {
        print_error("%s\n", s->err.text);
    }
    assert_int_equal(s->status, 0);
}

void fixture_make(struct bench_sandbox *s)
{
    struct sandbox_config config = sandbox_bench_config();

    fixture_make_with(s, &config);
}

static void probe_words(const char *const *args, const char *words[static 64])
{
    size_t n = 0;

    words[n++] = "./probe";
    for (; *args != NULL; args++) {
        CHECK(n < 63);
        words[n++] = *args;
    }
    words[n] = NULL;
}

const char *fixture_probe(struct bench_sandbox *s, const char *const *args)
{
    static char text[65536];
    const char *words[64];
    struct bench_run r;

    probe_words(args, words);
    bench_sandbox_run(&bench, s, &r, words);
    (void)snprintf(text, sizeof(text), "%s", r.out.len > 0 ? r.out.data : "");
    bench_run_free(&r);
    return text;
}

const char *fixture_probe_once(const char *const *args)
{
    struct bench_sandbox s;
    const char *out;

    fixture_make(&s);
    out = fixture_probe(&s, args);
    bench_sandbox_end(&bench, &s);
    return out;
}

const char *fixture_stay(struct bench_sandbox *s, int *ret_fd, const char *const *args)
{
    static char text[4096];
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;
    const char *words[64];
    size_t len = 0;
    int ends[2];

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    probe_words(args, words);
    assert_true(bench_sandbox_spawn(s, words, ends[1]) > 0);
    (void)close(ends[1]);
    text[0] = '\0';
    while (strstr(text, "staying") == NULL) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        ssize_t n = poll(&p, 1, LIMIT_MS) == 1
                        ? read(ends[0], text + len, sizeof(text) - 1 - len)
                        : 0;

        assert_true(n > 0 && clock_mono_ms() < until_ms);
        len += (size_t)n;
        text[len] = '\0';
    }
    *ret_fd = ends[0];
    return text;
}

const char *fixture_line(const char *out, const char *name)
{
    static char line[512];
    size_t len = strlen(name);

    while (out != NULL && *out != '\0') {
        const char *end = strchr(out, '\n');

        if (strncmp(out, name, len) == 0 && out[len] == ' ') {
            size_t n = end != NULL ? (size_t)(end - out) : strlen(out);

            (void)snprintf(line, sizeof(line), "%.*s", (int)(n - len - 1), out + len + 1);
            return line;
        }
        out = end != NULL ? end + 1 : NULL;
    }
    return "";
}

void fixture_says_one_of(const char *out, const char *name, const char *const *expected)
{
    const char *says = fixture_line(out, name);

    for (const char *const *e = expected; *e != NULL; e++) {
        if (strcmp(says, *e) == 0) {
            return;
        }
    }
    print_error("%s: \"%s\"\n", name, says);
    fail();
}

void fixture_group(const struct bench_sandbox *s, char ret[256])
{
    char link[64];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", s->freezer);
    len = readlink(link, ret, 255);
    assert_true(len > 0);
    ret[len] = '\0';
    *strrchr(ret, '/') = '\0';
}

bool fixture_ended(int fd)
{
    uint64_t until_ms = clock_mono_ms() + LIMIT_MS;
    char block[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, LIMIT_MS) != 1 || clock_mono_ms() >= until_ms) {
            return false;
        }
        if (read(fd, block, sizeof(block)) <= 0) {
            return true;
        }
    }
}
