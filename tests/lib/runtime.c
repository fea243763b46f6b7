#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#include "common/check.h"
#include "common/random.h"
#include "tests/lib/runtime.h"

#define BLOCK        (64 * 1024)
#define RECYCLED_MAX 8

static uint64_t event;

/* --- the host's user ------------------------------------------------------------- */

static void on_ready(void *data, struct runtime_instance *in)
{
    struct bench_instance *i = runtime_instance_data(in);

    i->n_ready++;
}

static void on_failed(void *data, struct runtime_instance *in, enum cause cause,
                      const char *text)
{
    struct bench_instance *i = runtime_instance_data(in);

    i->n_failed++;
    i->cause = cause;
    i->failed_at = ++event;
    (void)snprintf(i->text, sizeof(i->text), "%s", text);
    runtime_instance_stop(in, 0); /* as the agent does */
}

static void on_gone(void *data, struct runtime_instance *in)
{
    struct bench_instance *i = runtime_instance_data(in);

    i->n_gone++;
    i->in = NULL;
}

static void on_cpu(void *data, struct runtime_instance *in, uint64_t cpu_us)
{
    struct runtime_bench *b = data;
    struct bench_instance *i;

    b->cpu_us += cpu_us;
    if (in == NULL) {
        return;
    }
    i = runtime_instance_data(in);
    assert_int_equal(i->n_gone, 0);
    assert_true(cpu_us > 0);
    i->cpu_us += cpu_us;
    i->n_cpu++;
}

static void exit_hook(void *data, uint64_t id, const struct sandbox_exit *e)
{
    const struct runtime_bench *b = data;

    if (b->host != NULL) {
        runtime_host_on_exit(b->host, id, e);
    }
}

static void oom_hook(void *data, uint64_t id)
{
    const struct runtime_bench *b = data;

    if (b->host != NULL) {
        runtime_host_on_oom(b->host, id);
    }
}

void runtime_bench_open(struct runtime_bench *b)
{
    struct runtime_host_options options = {.on_ready = on_ready,
                                           .on_failed = on_failed,
                                           .on_gone = on_gone,
                                           .on_cpu = on_cpu,
                                           .recycled_max = RECYCLED_MAX,
                                           .data = b};
    char dir[96], packages[96];

    *b = (struct runtime_bench){0};
    sandbox_bench_open(&b->sandboxes);
    b->sandboxes.exit_hook = exit_hook;
    b->sandboxes.oom_hook = oom_hook;
    b->sandboxes.hook_data = b;
    (void)snprintf(dir, sizeof(dir), "%s/logs", b->sandboxes.dir);
    CHECK(logs_new(&b->logs, &b->sandboxes.loop, dir, NULL) == 0);
    options.warden = b->sandboxes.warden;
    options.logs = b->logs;
    (void)snprintf(packages, sizeof(packages), "%s/packages", b->sandboxes.dir);
    options.packages_dir = packages;
    CHECK(runtime_host_new(&b->host, &b->sandboxes.loop, &options) == 0);
}

static void on_closed(void *data)
{
    struct runtime_bench *b = data;

    b->host = NULL;
    b->closed = true;
}

void runtime_bench_close(struct runtime_bench *b)
{
    runtime_host_close(b->host, on_closed, b);
    WAIT_FOR(b, b->closed);
    b->logs = logs_free(b->logs);
    sandbox_bench_close(&b->sandboxes);
}

/* --- instances --------------------------------------------------------------------- */

void bench_instance_init(struct bench_instance *i, enum spec_runtime runtime,
                         const char *handler)
{
    *i = (struct bench_instance){0};
    function_spec_init(&i->spec);
    i->spec.runtime = runtime;
    i->spec.handler = handler != NULL ? strdup(handler) : NULL;
    i->spec.memory_mib = 64;
    i->spec.init_timeout_ms = 10000;
    i->spec.timeout_ms = 10000;
    (void)snprintf(i->package.digest, sizeof(i->package.digest), "%s", BENCH_DIGEST);
    i->package.format = SPEC_FORMAT_ZIP;
}

void bench_instance_start(struct runtime_bench *b, struct bench_instance *i)
{
    struct runtime_instance_config config = {
        .id = ++b->last_id,
        .namespace_ = "default",
        .name = "tried",
        .version = 3,
        .version_id = i->version_id,
        .namespace_index = 7,
        .spec = &i->spec,
        .package = &i->package,
        .data = i,
    };

    i->id = config.id;
    assert_int_equal(runtime_instance_start(b->host, &i->in, &config), 0);
    assert_int_equal(i->n_ready + i->n_failed + i->n_gone, 0); /* never from within */
}

void bench_instance_run(struct runtime_bench *b, struct bench_instance *i)
{
    bench_instance_start(b, i);
    WAIT_FOR(b, i->n_ready + i->n_failed > 0);
    if (i->n_failed > 0) {
        print_error("%s: %s\n", cause_name(i->cause), i->text);
    }
    assert_int_equal(i->n_ready, 1);
}

void bench_instance_run_to_failure(struct runtime_bench *b, struct bench_instance *i)
{
    bench_instance_start(b, i);
    WAIT_FOR(b, i->n_gone > 0);
    assert_int_equal(i->n_ready, 0);
    assert_int_equal(i->n_failed, 1);
    function_spec_free(&i->spec);
}

void bench_instance_end(struct runtime_bench *b, struct bench_instance *i)
{
    if (i->in != NULL) {
        runtime_instance_stop(i->in, 0);
    }
    WAIT_FOR(b, i->n_gone > 0);
    assert_int_equal(i->n_gone, 1);
    function_spec_free(&i->spec);
}

/* --- calls ---------------------------------------------------------------------------
 */

static void call_response(struct runtime_call *call, int status,
                          struct http_headers headers, uint64_t content_length)
{
    struct bench_call *c = runtime_call_data(call);

    assert_int_equal(c->status, 0);
    c->status = status;
    c->response_cause = runtime_call_cause(call);
    c->content_length = content_length;
    for (size_t i = 0; i < headers.n; i++) {
        const struct http_header *h = &headers.list[i];

        CHECK(buf_printf(&c->headers, "%.*s: %.*s\n", (int)h->name.len, h->name.at,
                         (int)h->value.len, h->value.at) == 0);
    }
}

static void call_body(struct runtime_call *call, const char *data, size_t len)
{
    struct bench_call *c = runtime_call_data(call);

    assert_int_not_equal(c->status, 0);
    c->seen_bytes += len;
    if (!c->discard) {
        CHECK(buf_append(&c->body, data, len) == 0);
    }
    if (c->cancel_in_body) {
        c->usable = runtime_call_cancel(call);
        c->c = NULL;
    } else if (c->pause_at > 0 && c->seen_bytes >= c->pause_at) {
        c->pause_at = 0;
        runtime_call_pause(call);
    }
}

static void call_drain(struct runtime_call *call)
{
    struct bench_call *c = runtime_call_data(call);

    c->n_drains++;
}

static void call_close(struct runtime_call *call, enum cause cause, const char *text,
                       uint64_t cpu_us)
{
    struct bench_call *c = runtime_call_data(call);

    struct buf given_back = {0};

    c->n_closed++;
    c->c = NULL;
    c->cause = cause;
    c->cpu_us = cpu_us;
    c->closed_at = ++event;
    c->ended_us = clock_mono_us();
    (void)snprintf(c->text, sizeof(c->text), "%s", text);
    c->untaken = runtime_call_take_back(call, &given_back);
    if (c->untaken) {
        buf_free(&c->body);
        c->body = given_back;
    }
}

static void call_replied_cb(struct runtime_call *run)
{
    struct bench_call *c = runtime_call_data(run);

    c->n_replied++;
}

static const struct runtime_call_ops call_ops = {call_response, call_body, call_drain,
                                                 call_replied_cb, call_close};

int bench_call_start(struct runtime_bench *b, struct bench_instance *i,
                     struct bench_call *c, const struct bench_request *r)
{
    struct runtime_request request = {
        .method = http_str(r->method != NULL ? r->method : "POST"),
        .path = http_str(r->path != NULL ? r->path : "/"),
        .query = http_str(r->query),
        .headers = {r->headers, r->n_headers},
        .content_length = r->content_length,
        .peer = "192.0.2.7",
        .deadline_wall_ms = 1700000000123,
        .upgrade = http_str(r->upgrade),
        .invoked_arn = r->invoked_arn,
        .verbatim = r->verbatim,
    };
    int rc;

    random_uuid(c->id);
    request.request_id = c->id;
    c->began_us = clock_mono_us();
    rc = runtime_call_start(i->in, &c->c, &request, &call_ops, c);
    if (rc < 0) {
        c->c = NULL;
    }
    assert_int_equal(c->n_closed + c->n_drains, 0); /* never from within */
    return rc;
}

void bench_call_do(struct runtime_bench *b, struct bench_instance *i,
                   struct bench_call *c, const char *body)
{
    const struct bench_request r = {.content_length = strlen(body)};

    assert_int_equal(bench_call_start(b, i, c, &r), 0);
    assert_int_equal(runtime_call_write(c->c, body, strlen(body)), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
    WAIT_FOR(b, c->n_closed == 1);
    CHECK(buf_append(&c->body, "", 0) == 0);
}

void bench_call_expect(struct runtime_bench *b, struct bench_instance *i,
                       const char *body, const char *reply)
{
    struct bench_call c = {0};

    bench_call_do(b, i, &c, body);
    if (c.cause != CAUSE_NONE) {
        print_error("%s: %s\n", cause_name(c.cause), c.text);
    }
    assert_int_equal(c.cause, CAUSE_NONE);
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body.data != NULL ? c.body.data : "", reply);
    bench_call_free(&c);
}

void bench_timings(struct runtime_bench *b, struct bench_instance *i, const char *kind)
{
    const struct runtime_phases *p = runtime_instance_phases(i->in);
    uint64_t sum_us = 0;

    for (int n = 0; n < 20; n++) {
        struct bench_call c = {0};

        bench_call_do(b, i, &c, "x");
        sum_us += c.ended_us - c.began_us;
        bench_call_free(&c);
    }
    print_message("# %s: sandbox %llu us, init %llu us, then a call %llu us\n", kind,
                  (unsigned long long)p->sandbox_us, (unsigned long long)p->init_us,
                  (unsigned long long)sum_us / 20);
}

void bench_call_send(struct runtime_bench *b, struct bench_call *c, uint64_t bytes)
{
    static char block[BLOCK];

    memset(block, 'x', sizeof(block));
    while (bytes > 0 && c->c != NULL) {
        size_t len = bytes < BLOCK ? (size_t)bytes : BLOCK;
        unsigned drains = c->n_drains;

        assert_int_equal(runtime_call_write(c->c, block, len), 0);
        bytes -= len;
        if (runtime_call_pending(c->c) > 256 * 1024) {
            WAIT_FOR(b, c->n_drains > drains || c->c == NULL);
        }
    }
    if (c->c != NULL) {
        assert_int_equal(runtime_call_end(c->c), 0);
    }
}

bool bench_call_cancel(struct bench_call *c)
{
    struct runtime_call *call = c->c;

    c->c = NULL;
    return runtime_call_cancel(call);
}

void bench_call_free(struct bench_call *c)
{
    buf_free(&c->headers);
    buf_free(&c->body);
}

/* --- logs ----------------------------------------------------------------------------
 */

struct reading {
    struct buf *text;
    struct log_reader *reader;
    bool end;
};

static void on_lines(void *data, const struct log_line *lines, size_t n, bool end)
{
    static const char *const streams[] = {"stdout", "stderr", "system"};
    struct reading *r = data;

    for (size_t i = 0; i < n; i++) {
        CHECK(buf_printf(r->text, "%s %.*s\n", streams[lines[i].stream],
                         (int)lines[i].len, lines[i].text) == 0);
    }
    r->end = end;
    if (!end) {
        log_reader_next(r->reader);
    }
}

void bench_log_read(struct runtime_bench *b, struct buf *ret)
{
    struct reading r = {.text = ret};

    ret->len = 0;
    CHECK(buf_append(ret, "", 0) == 0);
    assert_int_equal(
        log_reader_new(&r.reader, b->logs, "default", "tried", 0, false, 0, on_lines, &r),
        0);
    WAIT_FOR(b, r.end);
    (void)log_reader_free(r.reader);
}

void bench_log_has(struct runtime_bench *b, const char *text)
{
    uint64_t until_ms = clock_mono_ms() + 20000;
    struct buf log = {0};
    bool found = false;

    while (!found && clock_mono_ms() < until_ms) {
        bench_log_read(b, &log);
        found = strstr(log.data, text) != NULL;
    }
    if (!found) {
        print_error("not in the log: %s\n%.2000s\n", text, log.data);
    }
    assert_true(found);
    buf_free(&log);
}
