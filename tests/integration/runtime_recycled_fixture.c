#include "tests/integration/runtime_recycled_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

struct runtime_bench bench;
static uint64_t last_version;

/* A call's body is the program that it runs. */
static const char program[] = "#!/usr/bin/python3 -I\n"
                              "import sys\n"
                              "exec(sys.stdin.read())\n";

void recycled_init(struct bench_instance *i, uint64_t version_id)
{
    bench_instance_init(i, SPEC_RUNTIME_EXEC, "recycled");
    i->spec.reuse = false;
    i->spec.memory_mib = 256;
    i->spec.tmp_mib = 16;
    i->spec.pids_max = 32;
    i->version_id = version_id;
}

void recycled_run(struct bench_instance *i, const char *code, struct bench_call *c)
{
    *c = (struct bench_call){0};
    bench_instance_run(&bench, i);
    bench_call_do(&bench, i, c, code);
}

void recycled_end(struct bench_instance *i, struct bench_call *c)
{
    bench_call_free(c);
    bench_instance_end(&bench, i);
}

char *recycled_reply(uint64_t version_id, const char *code)
{
    struct bench_instance i;
    struct bench_call c;
    char *text;

    recycled_init(&i, version_id);
    recycled_run(&i, code, &c);
    if (c.cause != CAUSE_NONE) {
        struct buf log = {0};

        bench_log_read(&bench, &log);
        print_error("%s: %s\n%s\n", cause_name(c.cause), c.text, log.data);
    }
    assert_int_equal(c.cause, CAUSE_NONE);
    text = strdup(c.body.data);
    recycled_end(&i, &c);
    return text;
}

struct runtime_recycled recycled_counts(void)
{
    return runtime_host_recycled(bench.host);
}

uint64_t recycled_version(void)
{
    return ++last_version;
}

int recycled_open(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "recycled", program);
    return 0;
}

int recycled_close(void **state)
{
    (void)state;
    runtime_bench_close(&bench);
    return 0;
}
