/* Between the wire and the program: what is sent is what arrives, and nothing from the
 * wire is believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/convert.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct version_state version(void)
{
    static const struct grant grants[] = {{"node1", 3, 1, 2},
                                          {"node-2.example", 2, 0, 0}};
    struct version_state v = {.number = 7, .grants = grants, .n_grants = 2};

    function_spec_init(&v.spec);
    v.spec.runtime = SPEC_RUNTIME_EXEC;
    v.spec.memory_mib = 200;
    assert_int_equal(function_spec_set_env(&v.spec, "KEY", "value"), 0);
    v.package = (struct package_ref){
        .digest = DIGEST, .bytes = 10, .format = SPEC_FORMAT_FILE, .file_name = "run.sh"};
    return v;
}

/* A function with its grants survives the trip: packed, framed, read, unpacked. */
static void carries_a_function(void **state)
{
    struct version_state v = version();
    struct function_state out = {.namespace_ = "team",
                                 .name = "hello",
                                 .revision = 1ULL << 40,
                                 .namespace_index = 3,
                                 .serving = 7,
                                 .urls = "[{\"id\":\"x\"}]",
                                 .stopped = true,
                                 .failed = CAUSE_INIT_FAILED,
                                 .failed_text = "exit status 7",
                                 .versions = &v,
                                 .n_versions = 1},
                          in;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT, *read;
    Mayfly__V1__FunctionState wire;
    struct codec_reader reader = {.max = CODEC_FRAME_MAX};
    struct buf frame = {0};
    struct error err;
    uint8_t packed[1024];
    size_t len;

    assert_int_equal(convert_function_to_wire(&wire, &out), 0);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &wire;
    assert_true(mayfly__v1__envelope__get_packed_size(&m) <= sizeof(packed));
    len = mayfly__v1__envelope__pack(&m, packed);
    assert_int_equal(codec_frame(&frame, 5, 6, packed, len), 0);
    convert_function_free(&wire);
    assert_int_equal(codec_feed(&reader, frame.data, frame.len - 1), 0);
    assert_int_equal(codec_next(&reader, &read), 0); /* the last byte is missing */
    assert_int_equal(codec_feed(&reader, frame.data + frame.len - 1, 1), 0);
    assert_int_equal(codec_next(&reader, &read), 1);
    assert_int_equal(read->seq, 5);
    assert_int_equal(read->ack, 6);

    assert_int_equal(convert_function_from_wire(&in, read->function, &err), 0);
    assert_string_equal(in.namespace_, "team");
    assert_string_equal(in.name, "hello");
    assert_int_equal(in.revision, 1ULL << 40);
    assert_int_equal(in.namespace_index, 3);
    assert_int_equal(in.serving, 7);
    assert_string_equal(in.urls, "[{\"id\":\"x\"}]");
    assert_true(in.stopped);
    assert_int_equal(in.failed, CAUSE_INIT_FAILED);
    assert_string_equal(in.failed_text, "exit status 7");
    assert_int_equal(in.n_versions, 1);
    assert_int_equal(in.versions[0].spec.memory_mib, 200);
    assert_string_equal(in.versions[0].spec.env[0].value, "value");
    assert_string_equal(in.versions[0].package.digest, DIGEST);
    assert_string_equal(in.versions[0].package.file_name, "run.sh");
    assert_int_equal(in.versions[0].n_grants, 2);
    assert_string_equal(in.versions[0].grants[1].node, "node-2.example");
    assert_int_equal(in.versions[0].grants[0].warm, 1);
    convert_function_release(&in);
    mayfly__v1__envelope__free_unpacked(read, NULL);
    codec_reader_free(&reader);
    buf_free(&frame);
    function_spec_free(&v.spec);
}

/* Names that would lead out of a folder, digests that are none, grants that contradict
 * themselves and versions without a spec are refused, saying what is wrong. */
static void refuses_what_is_wrong(void **state)
{
    struct version_state v = version();
    struct grant odd = {"node1", 1, 2, 0};
    struct function_state f = {.namespace_ = "team",
                               .name = "hello",
                               .revision = 1,
                               .namespace_index = 3,
                               .serving = 7,
                               .versions = &v,
                               .n_versions = 1},
                          in;
    Mayfly__V1__FunctionState wire;
    struct error err;

    f.name = "../etc";
    assert_int_equal(convert_function_to_wire(&wire, &f), 0);
    assert_int_equal(convert_function_from_wire(&in, &wire, &err), -EINVAL);
    assert_non_null(strstr(err.text, "../etc"));
    convert_function_free(&wire);
    f.name = "hello";

    v.grants = &odd;
    v.n_grants = 1;
    assert_int_equal(convert_function_to_wire(&wire, &f), 0);
    assert_int_equal(convert_function_from_wire(&in, &wire, &err), -EINVAL);
    assert_non_null(strstr(err.text, "warm"));
    convert_function_free(&wire);

    v.n_grants = 0;
    v.package.digest[0] = 'X';
    assert_int_equal(convert_function_to_wire(&wire, &f), 0);
    assert_int_equal(convert_function_from_wire(&in, &wire, &err), -EINVAL);
    assert_non_null(strstr(err.text, "digest"));

    v.package.digest[0] = '0';
    wire.versions[0]->spec->memory_mib = 1;
    assert_int_equal(convert_function_from_wire(&in, &wire, &err), -ERANGE);
    assert_non_null(strstr(err.text, "memory_mib"));
    convert_function_free(&wire);
    function_spec_free(&v.spec);
}

/* A report arrives field by field as it was; one with a bad name is refused whole. */
static void carries_reports(void **state)
{
    static const uint64_t counts[] = {0, 7, 1ULL << 40};
    struct version_load loads[] = {
        {.namespace_ = "default",
         .name = "a",
         .version = 1,
         .starting = 2,
         .idle = 3,
         .cpu_us = 11,
         .grant_max = 12,
         .grant_warm = 13,
         .grant_reserved = 14,
         .stopping = 17,
         .revision = 1ULL << 61,
         .id = 18,
         .frozen = 16,
         .load_us = 1ULL << 60,
         .latency = counts,
         .n_latency = 3,
         .last_cold = {1000, COLD_ZERO, 40, 50},
         .last_wait = {2000, WAIT_PACKAGE, 60},
         .last_refused = {3000, CAUSE_THROTTLED, "full"},
         .begun = 15},
        {.namespace_ = "default", .name = "b", .version = 1},
    };
    struct node_report out = {.full = true,
                              .memory_reserved_bytes = 1024,
                              .instances = 9,
                              .loads = loads,
                              .n_loads = 2,
                              .blanks = {{"plain", 8, 1 << 20}, {"python", 2, 5 << 20}},
                              .n_blanks = 2},
                       in;
    Mayfly__V1__NodeReport wire;
    struct error err;

    assert_int_equal(convert_report_to_wire(&wire, &out), 0);
    assert_int_equal(convert_report_from_wire(&in, &wire, &err), 0);
    assert_true(in.full);
    assert_int_equal(in.memory_reserved_bytes, 1024);
    assert_int_equal(in.n_blanks, 2);
    assert_string_equal(in.blanks[1].kind, "python");
    assert_int_equal(in.blanks[1].ready, 2);
    assert_int_equal(in.blanks[1].memory_bytes, 5 << 20);
    assert_int_equal(in.n_loads, 2);
    assert_string_equal(in.loads[1].name, "b");
    assert_int_equal(in.loads[0].starting, 2);
    assert_int_equal(in.loads[0].idle, 3);
    assert_int_equal(in.loads[0].frozen, 16);
    assert_int_equal(in.loads[0].cpu_us, 11);
    assert_int_equal(in.loads[0].grant_max, 12);
    assert_int_equal(in.loads[0].grant_warm, 13);
    assert_int_equal(in.loads[0].grant_reserved, 14);
    assert_int_equal(in.loads[0].stopping, 17);
    assert_int_equal(in.loads[0].revision, 1ULL << 61);
    assert_int_equal(in.loads[0].id, 18);
    assert_int_equal(in.loads[0].load_us, 1ULL << 60);
    assert_int_equal(in.loads[0].begun, 15);
    assert_int_equal(in.loads[0].n_latency, 3);
    assert_memory_equal(in.loads[0].latency, counts, sizeof(counts));
    assert_int_equal(in.loads[0].last_cold.at_ms, 1000);
    assert_int_equal(in.loads[0].last_cold.reason, COLD_ZERO);
    assert_int_equal(in.loads[0].last_cold.start_ms, 40);
    assert_int_equal(in.loads[0].last_cold.waited_ms, 50);
    assert_int_equal(in.loads[0].last_wait.at_ms, 2000);
    assert_int_equal(in.loads[0].last_wait.reason, WAIT_PACKAGE);
    assert_int_equal(in.loads[0].last_wait.waited_ms, 60);
    assert_int_equal(in.loads[0].last_refused.at_ms, 3000);
    assert_int_equal(in.loads[0].last_refused.cause, CAUSE_THROTTLED);
    assert_string_equal(in.loads[0].last_refused.text, "full");
    assert_int_equal(in.loads[1].n_latency, 0);
    assert_int_equal(in.loads[1].last_cold.at_ms, 0);
    convert_report_release(&in);
    wire.loads[1]->name = (char *)(uintptr_t) "No Name";
    assert_int_equal(convert_report_from_wire(&in, &wire, &err), -EINVAL);
    convert_report_free(&wire);
}

/* A failure carries its cause; a cause that is not in the table is refused. */
static void carries_version_reports(void **state)
{
    struct version_report out = {"default", "a", 3, false, CAUSE_INIT_FAILED, "exit 7"},
                          in;
    Mayfly__V1__VersionReport wire;
    struct error err;

    convert_version_report_to_wire(&wire, &out);
    assert_int_equal(convert_version_report_from_wire(&in, &wire, &err), 0);
    assert_int_equal(in.cause, CAUSE_INIT_FAILED);
    assert_string_equal(in.text, "exit 7");
    wire.cause = (char *)(uintptr_t) "bad luck";
    assert_int_equal(convert_version_report_from_wire(&in, &wire, &err), -EINVAL);
}

/* A frame over the limit is refused by its length, before its bytes are waited for. */
static void frames_have_a_limit(void **state)
{
    struct codec_reader r = {.max = CODEC_HELLO_MAX};
    Mayfly__V1__Envelope *m;

    assert_int_equal(codec_feed(&r, "\x00\x01\x00\x01", 4), 0); /* 64 KiB and one */
    assert_int_equal(codec_next(&r, &m), -EMSGSIZE);
    codec_reader_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_a_function),  cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(carries_reports),     cmocka_unit_test(carries_version_reports),
        cmocka_unit_test(frames_have_a_limit),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
