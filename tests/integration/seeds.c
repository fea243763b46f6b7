/* Runtimes that are up before their function is known (init_seed.h), here a program of
 * the test's own. (Python's and Node.js's: tests/e2e/test_runtimes.py.) */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "agent/warden/init_proto.h"
#include "common/clock.h"
#include "tests/lib/sandbox.h"

#define WAIT_MS 20000

/* Says what it got, and where it is then. The function may come before it has said that
 * it is up: then nobody listens. */
#define PROGRAM                                                                          \
    "import os, resource, sys\n"                                                         \
    "try: os.write(3, b'r')\n"                                                           \
    "except OSError: pass\n"                                                             \
    "n = int.from_bytes(os.read(3, 4), sys.byteorder)\n"                                 \
    "env = os.read(3, n).decode().split('\\0')[:-1]\n"                                   \
    "os.close(3)\n"                                                                      \
    "os.chdir('/var/task')\n"                                                            \
    "print(env, os.environ.get('AHEAD'), sorted(os.listdir('.')))\n"                     \
    "print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], os.listdir('/proc/self/fd'))\n" \
    "sys.exit(5)\n"

static struct sandbox_bench bench;

static void add(struct warden_seed *seed, const char *word)
{
    memcpy(seed->text + seed->len, word, strlen(word) + 1);
    seed->len += (uint32_t)strlen(word) + 1;
}

static struct warden_seed seed_of(const char *program, const char *code)
{
    struct warden_seed seed = {.n_argv = 4, .n_env = 1};

    add(&seed, program);
    add(&seed, "-S");
    add(&seed, "-c");
    add(&seed, code);
    add(&seed, "AHEAD=yes");
    return seed;
}

static int open_bench(void **state)
{
    (void)state;
    sandbox_bench_open_with(&bench, &(struct sandbox_bench_options){.blanks = 8});
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    sandbox_bench_close(&bench);
    return 0;
}

static void end(struct bench_sandbox *s)
{
    bench_sandbox_end(&bench, s);
    if (s->seed_out >= 0) {
        (void)close(s->seed_out);
        (void)close(s->seed_err);
    }
}

/* One with a seed: the warden learns what is wanted, and has it after a while. */
static bool make_seeded(struct bench_sandbox *s, const struct sandbox_config *config,
                        unsigned wait_ms)
{
    uint64_t until_ms = clock_mono_ms() + wait_ms;

    for (;;) {
        bench_sandbox_make(&bench, s, config);
        if (s->status != 0) {
            print_error("%s\n", s->err.text);
        }
        assert_int_equal(s->status, 0);
        if (s->seed_out >= 0) {
            return true;
        }
        end(s);
        if (clock_mono_ms() >= until_ms) {
            return false;
        }
        sandbox_bench_turn(&bench);
    }
}

/* The function is there. What runs in its place has no environment but this. */
static void run_seed(const struct bench_sandbox *s)
{
    static const char text[] = "python3\0TO=function";
    struct init_message m = {.type = INIT_RUN,
                             .run = 1,
                             .value = INIT_RUN_SEED,
                             .n_argv = 1,
                             .n_env = 1,
                             .len = sizeof(text)};
    struct iovec parts[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)text, sizeof(text)}};
    struct msghdr head = {.msg_iov = parts, .msg_iovlen = 2};

    assert_true(sendmsg(s->control, &head, MSG_NOSIGNAL) > 0);
}

static struct init_message hear(const struct bench_sandbox *s)
{
    struct init_message m = {0};
    struct pollfd p = {.fd = s->control, .events = POLLIN};

    do {
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        assert_int_equal(recv(s->control, &m, sizeof(m), 0), sizeof(m));
    } while (m.type == INIT_SEEDED || m.type == INIT_SETTLED); /* it was on its way */
    return m;
}

static const char *read_all(int fd)
{
    static char text[4096];
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(text) - 1 &&
           (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

/* It was started with its own environment, gets the function's, has the function's files
 * and limits, and its end is the function's. */
static void becomes_the_function(void **state)
{
    struct warden_seed seed = seed_of("python3", PROGRAM);
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    struct init_message m;
    const char *out;
    (void)state;

    sandbox_bench_file(&bench, "note", "of the package\n");
    config.seed = &seed;
    config.memory_bytes = 256 << 20;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    run_seed(&s);
    m = hear(&s);
    assert_int_equal(m.type, INIT_STARTED);
    m = hear(&s);
    assert_int_equal(m.type, INIT_EXITED);
    assert_int_equal(m.run, 1);
    assert_int_equal(WEXITSTATUS(m.value), 5);
    out = read_all(s.seed_out);
    assert_string_equal(out,
                        "['TO=function'] yes ['note']\n"
                        "269484032 ['0', '1', '2', '3']\n"); /* 3: the listing's own */
    end(&s);
}

/* Nobody runs in a runtime that takes more memory than the function has. */
static void is_not_for_the_small(void **state)
{
    struct warden_seed seed = seed_of("python3", "x = bytearray(40 << 20)\n" PROGRAM);
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    (void)state;

    config.seed = &seed;
    config.memory_bytes = 256 << 20;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    end(&s);
    config.memory_bytes = 32 << 20;
    assert_false(make_seeded(&s, &config, 2000));
}

/* Another function's runtime is not taken. */
static void is_for_its_own_kind(void **state)
{
    struct warden_seed seed = seed_of("python3", PROGRAM);
    struct warden_seed other = seed_of("python3", "import time\n" PROGRAM);
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    (void)state;

    config.memory_bytes = 256 << 20;
    config.seed = &seed;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    end(&s);
    config.seed = NULL;
    bench_sandbox_make(&bench, &s, &config);
    assert_int_equal(s.seed_out, -1);
    end(&s);
    config.seed = &other;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    run_seed(&s);
    assert_int_equal(hear(&s).type, INIT_STARTED);
    assert_int_equal(hear(&s).type, INIT_EXITED);
    assert_non_null(strstr(read_all(s.seed_out), "TO=function"));
    end(&s);
}

/* A runtime that does not start does not keep anybody from starting without: who got it
 * while it was being made has the function's program in its place. */
static void need_not_start(void **state)
{
    struct warden_seed seed = seed_of("no-such-program", "");
    struct sandbox_config config = sandbox_bench_config();
    uint64_t until_ms = clock_mono_ms() + 1000;
    struct bench_sandbox s;
    (void)state;

    sandbox_bench_file(&bench, "python3", "#!/bin/sh\necho in its place: $TO\n");
    config.memory_bytes = 256 << 20;
    config.seed = &seed;
    while (clock_mono_ms() < until_ms) {
        bench_sandbox_make(&bench, &s, &config);
        assert_int_equal(s.status, 0);
        if (s.seed_out >= 0) {
            run_seed(&s);
            assert_int_equal(hear(&s).type, INIT_STARTED);
            assert_int_equal(hear(&s).type, INIT_EXITED);
            assert_string_equal(read_all(s.seed_out), "in its place: function\n");
        }
        end(&s);
    }
}

/* Likewise one that ends by itself, before or after it was given. */
static void may_end_by_itself(void **state)
{
    struct warden_seed ends = seed_of("python3", "print('bye')");
    struct sandbox_config config = sandbox_bench_config();
    uint64_t until_ms = clock_mono_ms() + 1000;
    struct bench_sandbox s;
    (void)state;

    config.memory_bytes = 256 << 20;
    config.seed = &ends;
    while (clock_mono_ms() < until_ms) {
        bench_sandbox_make(&bench, &s, &config);
        assert_int_equal(s.status, 0);
        if (s.seed_out >= 0) {
            run_seed(&s);
            assert_int_equal(hear(&s).type, INIT_STARTED);
            assert_int_equal(hear(&s).type, INIT_EXITED);
        }
        end(&s);
    }
}

/* One that is being made is as good as one that is to be started, and nearer to its end:
 * the function waits for that. */
static void is_given_before_it_is_up(void **state)
{
    struct warden_seed seed = seed_of("python3", "import time\ntime.sleep(2)\n" PROGRAM);
    struct sandbox_config config = sandbox_bench_config();
    uint64_t began_ms = clock_mono_ms();
    struct bench_sandbox s;
    (void)state;

    config.memory_bytes = 256 << 20;
    config.seed = &seed;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    assert_true(clock_mono_ms() < began_ms + 2000);
    run_seed(&s);
    assert_int_equal(hear(&s).type, INIT_STARTED);
    assert_int_equal(hear(&s).type, INIT_EXITED);
    assert_true(clock_mono_ms() >= began_ms + 2000);
    assert_non_null(strstr(read_all(s.seed_out), "['TO=function'] yes"));
    end(&s);
    assert_true(bench.exit.cpu_us < 1000000);
}

/* The package's own program of that name goes before the base's: it is started then. */
static void the_package_goes_first(void **state)
{
    struct warden_seed seed = seed_of("python3", PROGRAM);
    struct sandbox_config config = sandbox_bench_config();
    struct bench_sandbox s;
    (void)state;

    sandbox_bench_file(&bench, "python3", "#!/bin/sh\necho the package: $TO\n");
    config.seed = &seed;
    config.memory_bytes = 256 << 20;
    assert_true(make_seeded(&s, &config, WAIT_MS));
    run_seed(&s);
    assert_int_equal(hear(&s).type, INIT_STARTED);
    assert_int_equal(hear(&s).type, INIT_EXITED);
    assert_string_equal(read_all(s.seed_out), "the package: function\n");
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(becomes_the_function, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(is_not_for_the_small, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(is_for_its_own_kind, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(need_not_start, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(may_end_by_itself, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(is_given_before_it_is_up, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(the_package_goes_first, open_bench, close_bench),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
