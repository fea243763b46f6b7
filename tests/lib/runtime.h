/* Functions for tests: real instances in real sandboxes, called as the gateway would. */
#ifndef TESTS_LIB_RUNTIME_H
#define TESTS_LIB_RUNTIME_H

#include "agent/runtime/logs.h"
#include "agent/runtime/runtime.h"
#include "common/buf.h"
#include "common/clock.h"
#include "tests/lib/sandbox.h"

struct runtime_bench {
    struct sandbox_bench sandboxes;
    struct logs *logs;
    struct runtime_host *host;
    uint64_t last_id;
    unsigned last_call;
    uint64_t cpu_us; /* of all sandboxes that was told */
    bool closed;
};

struct bench_instance {
    struct runtime_instance *in;
    struct function_spec spec; /* change it before bench_instance_start() */
    struct package_ref package;
    uint64_t id;
    uint64_t version_id; /* 0: its sandboxes are not recycled */
    unsigned n_ready, n_failed, n_gone;
    uint64_t cpu_us; /* all that was told */
    unsigned n_cpu;
    enum cause cause;
    char text[256];
    uint64_t failed_at; /* order of events: see bench_call.closed_at */
};

struct bench_call {
    struct runtime_call *c; /* NULL: over */
    char id[40];
    int status;                /* 0: no response */
    struct buf headers;        /* "Name: value\n" each */
    enum cause response_cause; /* when the response began */
    uint64_t content_length;
    struct buf body; /* unless discarding */
    uint64_t seen_bytes;
    bool discard;
    uint64_t pause_at; /* pauses when so many bytes were seen; 0: never */
    bool cancel_in_body;
    bool usable;
    bool untaken; /* body: what is given back of the request's */
    unsigned n_drains;
    unsigned n_replied;
    unsigned n_closed;
    enum cause cause;
    char text[256];
    uint64_t cpu_us;
    uint64_t closed_at;
    uint64_t began_us;
    uint64_t ended_us;
};

void runtime_bench_open(struct runtime_bench *b);
void runtime_bench_close(struct runtime_bench *b);

/* Turns the loop until `condition`; the test fails if that takes 20 s. */
#define WAIT_FOR(b, condition)                                \
    do {                                                      \
        uint64_t until_ms_ = clock_mono_ms() + 20000;         \
        while (!(condition) && clock_mono_ms() < until_ms_) { \
            sandbox_bench_turn(&(b)->sandboxes);              \
        }                                                     \
        assert_true(condition);                               \
    } while (0)

/* 64 MiB, 1 CPU, time limits of 10 s. */
void bench_instance_init(struct bench_instance *i, enum spec_runtime runtime,
                         const char *handler);
void bench_instance_start(struct runtime_bench *b, struct bench_instance *i);
/* … and is ready. */
void bench_instance_run(struct runtime_bench *b, struct bench_instance *i);
/* … or fails, and is gone. */
void bench_instance_run_to_failure(struct runtime_bench *b, struct bench_instance *i);
void bench_instance_end(struct runtime_bench *b, struct bench_instance *i);

struct bench_request {
    const char *method; /* default POST */
    const char *path;   /* default "/" */
    const char *query;
    const struct http_header *headers;
    size_t n_headers;
    uint64_t content_length;
    const char *invoked_arn;
    const char *upgrade;
    bool verbatim;
};
/* 0 or what runtime_call_start() says. The body is the caller's to write. */
int bench_call_start(struct runtime_bench *b, struct bench_instance *i,
                     struct bench_call *c, const struct bench_request *r);
/* A whole POST, to its end. */
void bench_call_do(struct runtime_bench *b, struct bench_instance *i,
                   struct bench_call *c, const char *body);
/* … which must succeed with that body. */
void bench_call_expect(struct runtime_bench *b, struct bench_instance *i,
                       const char *body, const char *reply);
/* Prints how long the start took and what a call takes now. */
void bench_timings(struct runtime_bench *b, struct bench_instance *i, const char *kind);
/* Writes `bytes` of a pattern as back-pressure allows, then ends the body. */
void bench_call_send(struct runtime_bench *b, struct bench_call *c, uint64_t bytes);
bool bench_call_cancel(struct bench_call *c);
void bench_call_free(struct bench_call *c);

/* Waits until the function's log has `text`. */
void bench_log_has(struct runtime_bench *b, const char *text);
/* All that is kept, a line each: "stdout text\n". */
void bench_log_read(struct runtime_bench *b, struct buf *ret);

#endif /* TESTS_LIB_RUNTIME_H */
