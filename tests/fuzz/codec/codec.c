/* Fuzz target: any bytes on the hub's port. Frames are cut the same way however the bytes
 * arrive, and what is accepted of a message is the same after a trip over the wire. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "proto/convert.h"
#include "proto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(int rc, const struct error *err)
{
    CHECK(rc <= 0 &&
          (rc == 0 || (*err->text != '\0' && strchr(err->text, '\n') == NULL)));
}

static void trip_function(const Mayfly__V1__FunctionState *m)
{
    Mayfly__V1__FunctionState wire;
    struct function_state f, again;
    struct error err = {0};
    int rc = convert_function_from_wire(&f, m, &err);

    check_error(rc, &err);
    if (rc < 0) {
        return;
    }
    CHECK(convert_function_to_wire(&wire, &f) == 0);
    CHECK(convert_function_from_wire(&again, &wire, &err) == 0);
    CHECK(again.n_versions == f.n_versions && again.serving == f.serving);
    for (size_t i = 0; i < f.n_versions; i++) {
        CHECK(again.versions[i].n_grants == f.versions[i].n_grants);
        CHECK(again.versions[i].spec.n_env == f.versions[i].spec.n_env);
        CHECK(strcmp(again.versions[i].package.digest, f.versions[i].package.digest) ==
              0);
        CHECK(again.versions[i].published == f.versions[i].published);
    }
    CHECK(again.n_aliases == f.n_aliases);
    for (size_t i = 0; i < f.n_aliases; i++) {
        CHECK(strcmp(again.aliases[i].name, f.aliases[i].name) == 0);
        CHECK(again.aliases[i].n_weights == f.aliases[i].n_weights);
    }
    convert_function_release(&again);
    convert_function_free(&wire);
    convert_function_release(&f);
}

static void trip_report(const Mayfly__V1__NodeReport *m)
{
    Mayfly__V1__NodeReport wire;
    struct node_report r, again;
    struct error err = {0};
    int rc = convert_report_from_wire(&r, m, &err);

    check_error(rc, &err);
    if (rc < 0) {
        return;
    }
    CHECK(convert_report_to_wire(&wire, &r) == 0);
    CHECK(convert_report_from_wire(&again, &wire, &err) == 0);
    CHECK(again.n_loads == r.n_loads);
    for (size_t i = 0; i < r.n_loads; i++) {
        CHECK(again.loads[i].invocations == r.loads[i].invocations);
        CHECK(again.loads[i].grant_warm == r.loads[i].grant_warm);
    }
    convert_report_release(&again);
    convert_report_free(&wire);
    convert_report_release(&r);
}

static void look_at(void *data, const Mayfly__V1__Envelope *m)
{
    struct session_body *body = wire_body(m);
    struct error err = {0};
    char key[WIRE_KEY_MAX];

    wire_key(m, key);
    if (body != NULL) {
        session_body_unref(body);
    }
    if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_FUNCTION) {
        trip_function(m->function);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_REPORT) {
        trip_report(m->report);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_NODE) {
        struct node_state n;

        check_error(convert_node_from_wire(&n, m->node, &err), &err);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_VERSION_REPORT) {
        struct version_report v;

        check_error(convert_version_report_from_wire(&v, m->version_report, &err), &err);
    } else if (m->body_case == MAYFLY__V1__ENVELOPE__BODY_BATCH) {
        (void)batch_each(m->batch, look_at, data); /* no batch is in one */
    }
}

/* Feeds in steps; stores how many messages came and returns how it ended. */
static int read_all(const uint8_t *data, size_t size, size_t step, size_t *ret_n)
{
    struct codec_reader r = {.max = CODEC_HELLO_MAX};
    Mayfly__V1__Envelope *m;
    int rc = 0;

    *ret_n = 0;
    for (size_t at = 0; at < size && rc >= 0; at += step) {
        CHECK(codec_feed(&r, data + at, size - at < step ? size - at : step) == 0);
        while ((rc = codec_next(&r, &m)) == 1) {
            look_at(NULL, m);
            mayfly__v1__envelope__free_unpacked(m, NULL);
            (*ret_n)++;
        }
    }
    codec_reader_free(&r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n_whole, n_steps;
    int whole = read_all(data, size, size + 1, &n_whole);
    int steps = read_all(data, size, 3, &n_steps);

    CHECK(whole == steps && n_whole == n_steps);
    return 0;
}
