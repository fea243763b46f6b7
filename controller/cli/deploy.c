/* deploy: a package is sent, a version recorded, and waited for until it serves or not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/cause.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/random.h"
#include "controller/cli/canary.h"
#include "controller/cli/cli.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/source.h"
#include "controller/cli/term.h"
#include "controller/cli/upload.h"

#define WAIT_MS    120000
#define SLICE_MS   2000  /* of one waiting request */
#define ANSWER_MS  10000 /* for a reply that is due */
#define VERSION_MS 2000

struct deploy {
    struct cli *c;
    struct source source;
    struct progress progress;
    uint64_t wait_ms;
    char what[SPEC_NAME_MAX + 20]; /* deploy "NAME" */
    char *path;                    /* of the function in the API */
    int64_t version;
    json_t *rollout; /* what is asked for; or NULL */
};

/* --- the version -------------------------------------------------------------- */

static int record(struct deploy *d, json_t **ret_function)
{
    json_t *body = json_pack("{s:o, s:o}", "spec", function_spec_to_json(&d->source.spec),
                             "package", package_ref_to_json(&d->source.package));
    int rc;

    if (body == NULL ||
        (d->rollout != NULL && json_object_set(body, "rollout", d->rollout) < 0)) {
        json_decref(body);
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    rc = rest_call(d->c, d->what, "PUT", body, ret_function, "%s", d->path);
    json_decref(body);
    if (rc == EXIT_CODE_OK) {
        d->version = json_number(*ret_function, "latest_version");
        if (d->version <= 0) {
            rc = cli_fail(d->c, EXIT_CODE_FAILED, NULL,
                          "is this the address of a mayfly controller?",
                          "cannot %s: %s did not say which version it made", d->what,
                          d->c->url);
        }
    }
    return rc;
}

/* "fix" of a cause, for the reason of a version. */
static const char *fix_of(const char *cause)
{
    enum cause known = cause_from_name(cause);

    return known != CAUSE_COUNT && known != CAUSE_NONE ? cause_fix(known) : NULL;
}

static int version_failed(struct deploy *d, const json_t *version)
{
    const char *cause = json_text(version, "cause", "internal");
    const char *message = json_text(version, "message", "");

    return cli_fail(d->c, cli_exit_of(cause, 0), cause, fix_of(cause),
                    "cannot %s: version %lld failed: %s", d->what, (long long)d->version,
                    *message != '\0' ? message : cause);
}

static int waited_enough(struct deploy *d, const json_t *version, const struct error *err)
{
    const char *cause = json_text(version, "cause", "none");
    const char *message = json_text(version, "message", "");
    char span[PRINT_SHORT];

    if (err->code != 0) {
        return rest_unreachable(d->c, d->what, d->c->url, d->c->url_from, err);
    }
    if (strcmp(cause, "none") != 0) { /* why it is not ready yet */
        bool room = cli_exit_of(cause, 0) == EXIT_CODE_NO_CAPACITY;

        return cli_fail(
            d->c, room ? EXIT_CODE_NO_CAPACITY : EXIT_CODE_TIMED_OUT, cause,
            fix_of(cause), "cannot %s: version %lld is not ready after %s: %s%s", d->what,
            (long long)d->version, print_duration(d->wait_ms, span),
            *message != '\0' ? message : cause,
            room ? "; it stays pending, and takes over if room comes in time" : "");
    }
    return cli_fail(
        d->c, EXIT_CODE_TIMED_OUT, "timeout",
        "mayfly describe and mayfly nodes show why; --wait-timeout waits longer",
        "cannot %s: version %lld is not ready after %s; it may still become so", d->what,
        (long long)d->version, print_duration(d->wait_ms, span));
}

/* One waiting request. -EAGAIN: it is still deploying; else an exit code, said. A
 * controller that does not answer is asked again: the version is recorded. *keep is its
 * last state. */
static int ask_version(struct deploy *d, uint64_t slice_ms, json_t **keep,
                       struct error *err)
{
    struct http_reply reply;
    const char *state;
    int rc;

    *err = (struct error){0};
    rc = rest_ask(d->c, "GET", NULL, slice_ms + ANSWER_MS, &reply, err,
                  "%s/versions/%lld?wait_ms=%llu", d->path, (long long)d->version,
                  (unsigned long long)slice_ms);
    if (rc < 0) {
        rc = rest_is_unreachable(rc)
                 ? -EAGAIN
                 : rest_unreachable(d->c, d->what, d->c->url, d->c->url_from, err);
        http_reply_free(&reply);
        return rc;
    }
    if (reply.status == 404) {
        rc = cli_fail(d->c, EXIT_CODE_CONFLICT, "conflict", NULL,
                      "cannot %s: it was deleted meanwhile", d->what);
    } else if (reply.status >= 500) { /* the store's bad moment */
        (void)error_set(err, -EAGAIN, "status %ld", reply.status);
        rc = -EAGAIN;
    } else if (reply.status >= 300) {
        rc = rest_fail(d->c, d->what, &reply);
    }
    if (rc != 0) {
        http_reply_free(&reply);
        return rc;
    }
    json_decref(*keep);
    *keep = rest_json(&reply);
    http_reply_free(&reply);
    state = json_text(*keep, "state", "?");
    if (strcmp(state, "deploying") == 0) {
        return -EAGAIN;
    }
    if (strcmp(state, "failed") == 0) {
        return version_failed(d, *keep);
    }
    if (strcmp(state, "retired") == 0) {
        return cli_fail(
            d->c, EXIT_CODE_CONFLICT, "conflict", "mayfly describe",
            "cannot %s: version %lld was replaced by a newer one before it served",
            d->what, (long long)d->version);
    }
    return 0;
}

static void show_wait(struct deploy *d, const json_t *version, const struct error *err,
                      uint64_t began_ms)
{
    const char *message = json_text(version, "message", "");
    unsigned seconds = (unsigned)((clock_mono_ms() - began_ms) / 1000);

    if (err->code != 0) {
        progress_show(&d->progress,
                      "version %lld is recorded; %s does not answer: waiting",
                      (long long)d->version, d->c->url);
    } else if (*message != '\0') {
        progress_show(&d->progress, "version %lld is not ready: %.100s",
                      (long long)d->version, message);
    } else {
        /* Off a terminal the first is said once. */
        (d->progress.terminal && seconds > 0)
            ? progress_detail(&d->progress, "version %lld is starting (%u s)",
                              (long long)d->version, seconds)
            : progress_show(&d->progress, "version %lld is starting",
                            (long long)d->version);
    }
}

static int wait_ready(struct deploy *d)
{
    struct backoff backoff = {.min_ms = 200, .max_ms = 3000};
    uint64_t began_ms = clock_mono_ms();
    uint64_t deadline_ms = began_ms + d->wait_ms;
    struct error err = {0};
    json_t *version = NULL;
    int rc = -EAGAIN;

    show_wait(d, NULL, &err, began_ms);
    while (rc == -EAGAIN) {
        uint64_t asked_ms = clock_mono_ms();
        uint64_t left_ms = asked_ms < deadline_ms ? deadline_ms - asked_ms : 0;
        uint64_t pause_ms;

        rc = ask_version(d, left_ms < SLICE_MS ? left_ms : SLICE_MS, &version, &err);
        if (rc == -EAGAIN && clock_mono_ms() >= deadline_ms) {
            progress_clear(&d->progress);
            rc = waited_enough(d, version, &err);
            break;
        }
        if (rc == -EAGAIN) {
            show_wait(d, version, &err, began_ms);
            /* An answer that came at once would make this a busy loop. */
            pause_ms = err.code != 0 || clock_mono_ms() - asked_ms < SLICE_MS / 4
                           ? backoff_next_ms(&backoff, random_u64())
                           : 0;
            term_pause_ms(pause_ms);
        }
    }
    progress_clear(&d->progress);
    json_decref(version);
    return rc;
}

/* --- the verb ----------------------------------------------------------------- */

static int print_result(struct deploy *d, json_t *function, bool waited)
{
    const struct package_ref *p = &d->source.package;
    char size[PRINT_SHORT];
    int rc = EXIT_CODE_OK;

    if (d->c->output == OUTPUT_JSON || d->c->output == OUTPUT_YAML) {
        json_t *now = NULL;

        rc = waited ? rest_call(d->c, d->what, "GET", NULL, &now, "%s", d->path) : rc;
        if (rc == EXIT_CODE_OK) {
            (void)print_data(d->c, now != NULL ? now : function, &rc);
        }
        json_decref(now);
        return rc;
    }
    if (print_data(d->c, function, &rc)) {
        return rc;
    }
    (void)printf("%s %s/%s version %lld (%s, %s)%s\n",
                 d->version == 1 ? "created" : "updated", d->c->ns, d->source.name,
                 (long long)d->version, spec_runtime_name(d->source.spec.runtime),
                 print_bytes(p->bytes, size), waited ? ", ready" : ", not waited for");
    (void)printf("%s/fn/%s/%s\n", d->c->gateway, d->c->ns, d->source.name);
    (void)fflush(stdout);
    cli_say(d->c, "next: mayfly %s %s%s%s", waited ? "invoke" : "describe",
            d->source.name, strcmp(d->c->ns, "default") != 0 ? " -n " : "",
            strcmp(d->c->ns, "default") != 0 ? d->c->ns : "");
    return EXIT_CODE_OK;
}

static int settle_wait(struct deploy *d, bool *ret_waits)
{
    const char *timeout = args_get(d->c->args, "wait-timeout");

    *ret_waits = !args_has(d->c->args, "no-wait");
    d->wait_ms = WAIT_MS;
    if (!*ret_waits && args_has(d->c->args, "wait")) {
        return cli_fail(d->c, EXIT_CODE_USAGE, NULL, "give one of them",
                        "--wait and --no-wait exclude each other");
    }
    if (timeout != NULL && config_parse_ms(timeout, &d->wait_ms) < 0) {
        return cli_fail(d->c, EXIT_CODE_USAGE, NULL, "--wait-timeout 90s",
                        "--wait-timeout is \"%.40s\", which is no time", timeout);
    }
    return EXIT_CODE_OK;
}

static int deploy(struct deploy *d, bool waits)
{
    _cleanup_free_ char *version = NULL;
    json_t *function = NULL;
    int rc;

    (void)snprintf(d->what, sizeof(d->what), "deploy \"%s\"", d->source.name);
    d->path = cli_text("/v1/namespaces/%s/functions/%s", d->c->ns, d->source.name);
    if (d->path == NULL) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    rc = upload_package(d->c, d->what, &d->source, &d->progress);
    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    version = rest_version(d->c, VERSION_MS);
    rest_warn_skew(d->c, version);
    rc = record(d, &function);
    if (rc == EXIT_CODE_OK && waits) {
        rc = wait_ready(d);
    }
    if (rc == EXIT_CODE_OK && waits && d->rollout != NULL) {
        rc = canary_wait(d->c, d->what, d->path, d->version);
    }
    if (rc == EXIT_CODE_OK) {
        rc = print_result(d, function, waits);
    }
    json_decref(function);
    return rc;
}

int verb_deploy(struct cli *c)
{
    struct deploy d = {.c = c};
    bool waits;
    int rc = settle_wait(&d, &waits);

    rc = rc != EXIT_CODE_OK ? rc : canary_read(c, &d.rollout);
    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    progress_init(&d.progress, c->quiet);
    rc = source_open(&d.source, c, c->args->operands[0], &d.progress);
    if (rc == EXIT_CODE_OK) {
        rc = deploy(&d, waits);
    }
    source_close(&d.source);
    json_decref(d.rollout);
    free(d.path);
    return rc;
}
