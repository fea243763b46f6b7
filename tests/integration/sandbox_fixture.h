/* A warden, its sandboxes and the probe in them: what the tests of the sandbox share. */
#ifndef TESTS_INTEGRATION_SANDBOX_FIXTURE_H
#define TESTS_INTEGRATION_SANDBOX_FIXTURE_H

#include "tests/lib/sandbox.h"

extern struct sandbox_bench bench;

int fixture_open(void **state); /* cmocka's group set-up: the package holds ./probe */
int fixture_close(void **state);

void fixture_make(struct bench_sandbox *s); /* with the bench's usual limits */
void fixture_make_with(struct bench_sandbox *s, const struct sandbox_config *config);

/* Runs the probe with these words (NULL-terminated) and returns what it printed, until
 * the next call. */
const char *fixture_probe(struct bench_sandbox *s, const char *const *args);
#define PROBE(s, ...) fixture_probe(s, (const char *const[]){__VA_ARGS__, NULL})

/* The same in a sandbox of its own. */
const char *fixture_probe_once(const char *const *args);
#define PROBE_ONCE(...) fixture_probe_once((const char *const[]){__VA_ARGS__, NULL})

/* Starts the probe and waits for its line "staying". What it printed, until the next
 * call. *ret_fd: its output; ends when all that hold it have. */
const char *fixture_stay(struct bench_sandbox *s, int *ret_fd, const char *const *args);
#define STAY(s, fd, ...) fixture_stay(s, fd, (const char *const[]){__VA_ARGS__, NULL})

/* The rest of the line that begins with `name ` (until the next call), or "". */
const char *fixture_line(const char *out, const char *name);

/* Asserts that there is such a line and what it says. */
#define assert_says(out, name, expected)                                    \
    do {                                                                    \
        const char *says_ = fixture_line(out, name);                        \
        if (strcmp(says_, expected) != 0) {                                 \
            print_error("%s: \"%s\", not \"%s\"\n", name, says_, expected); \
        }                                                                   \
        assert_string_equal(says_, expected);                               \
    } while (0)

/* Asserts that it says one of several, NULL-terminated. */
void fixture_says_one_of(const char *out, const char *name, const char *const *expected);
#define assert_says_one_of(out, name, ...) \
    fixture_says_one_of(out, name, (const char *const[]){__VA_ARGS__, NULL})

/* The folder of its control group (the one that freezes it). */
void fixture_group(const struct bench_sandbox *s, char ret[256]);

/* True when the descriptor's other ends have closed within ten seconds. */
bool fixture_ended(int fd);

#endif /* TESTS_INTEGRATION_SANDBOX_FIXTURE_H */
