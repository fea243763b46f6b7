/* Sandboxes for tests: a real warden, and programs run in what it makes. */
#ifndef TESTS_LIB_SANDBOX_H
#define TESTS_LIB_SANDBOX_H

#include <stdbool.h>

#include "agent/warden/warden_client.h"
#include "common/buf.h"

/* The package that every sandbox of a test bench gets. */
#define BENCH_DIGEST "00000000000000000000000000000000000000000000000000000000000000aa"

#define BENCH_UID_BASE 2000000000u

struct sandbox_bench {
    uv_loop_t loop;
    struct warden_client *warden;
    int raw_fd;
    pid_t warden_pid;
    pid_t janitor; /* cleans up after this process, however it ends */
    int janitor_fd;
    char dir[64]; /* packages/BENCH_DIGEST/ is the package */
    char cgroup[64];
    bool ready;
    bool lost;
    char lost_reason[256];
    uint64_t last_id;
    /* of the last one that ended */
    uint64_t exit_id;
    struct sandbox_exit exit;
    uint64_t oom_id;
    int warden_status; /* once closed */
    unsigned n_exits;
    unsigned n_ooms;
    /* Also told, if set. */
    void (*exit_hook)(void *data, uint64_t id, const struct sandbox_exit *e);
    void (*oom_hook)(void *data, uint64_t id);
    void *hook_data;
};

struct sandbox_bench_options {
    const char *cgroup; /* NULL: a name of its own */
    bool raw;           /* no client: the connection is raw_fd, the caller's to close */
    bool no_blanks;     /* not even if MAYFLY_TEST_BLANKS says so */
    unsigned blanks;    /* 0: as MAYFLY_TEST_BLANKS says */
    bool may_fail;      /* to start: then lost and lost_reason are set */
};

/* False, having said why, where no sandboxes can be made (not root). */
bool sandbox_bench_possible(void);
void sandbox_bench_open(struct sandbox_bench *b);
void sandbox_bench_open_with(struct sandbox_bench *b,
                             const struct sandbox_bench_options *options);
void sandbox_bench_close(struct sandbox_bench *b);
void sandbox_bench_turn(
    struct sandbox_bench *b); /* one turn of the loop, at most 50 ms */
void sandbox_bench_file(struct sandbox_bench *b, const char *name, const char *text);
/* In another package, "extensions/name" or "name"; executable. */
void sandbox_bench_layer(struct sandbox_bench *b, const char *digest, const char *name,
                         const char *text);
void sandbox_bench_copy(struct sandbox_bench *b, const char *path, const char *name);

struct bench_sandbox {
    uint64_t id;
    int control;
    int listener;
    int freezer;            /* or a negative errno */
    int seed_out, seed_err; /* or -1; the caller's to close */
    uint32_t last_run;
    int status;
    struct error err;
    bool done;
};

struct sandbox_config sandbox_bench_config(void); /* 64 MiB, 1 CPU, 64 pids */
void bench_sandbox_make(struct sandbox_bench *b, struct bench_sandbox *s,
                        const struct sandbox_config *config);
/* Waits for its on_exit. */
void bench_sandbox_end(struct sandbox_bench *b, struct bench_sandbox *s);

struct bench_run {
    struct buf out; /* stdout and stderr */
    bool started;
    bool failed; /* did not start: value is errno, out the text */
    int value;   /* wait status */
    uint64_t cpu_us;
};

/* Starts a program whose stdout and stderr are `out` (which stays the caller's); it has
 * executed on return. The run's number, or a negative errno. */
int bench_sandbox_spawn(struct bench_sandbox *s, const char *const *argv, int out);

/* Runs a shell-like list of words, NULL-terminated; waits until it has ended.
 * The ends of spawned ones in the meantime are passed over. */
void bench_sandbox_run(struct sandbox_bench *b, struct bench_sandbox *s,
                       struct bench_run *r, const char *const *argv);
void bench_run_free(struct bench_run *r);

#endif /* TESTS_LIB_SANDBOX_H */
