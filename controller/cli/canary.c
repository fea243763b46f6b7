#include "controller/cli/canary.h"

#include <stdlib.h>
#include <string.h>

#include "common/alias.h"
#include "common/backoff.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "common/random.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define POLL_MS   500
#define STEPS_MAX 20

/* --- what is asked for -------------------------------------------------------- */

static json_t *percent_json(uint32_t weight)
{
    return weight % 100 == 0 ? json_integer(weight / 100)
                             : json_real((double)weight / 100);
}

static int bad_percent(const struct cli *c, const char *option, const char *text,
                       size_t len)
{
    return cli_fail(c, EXIT_CODE_USAGE, NULL, "--steps 10,25,50 --max-error-rate 1%",
                    "--%s has \"%.*s\", which is no percentage from 0 to 100", option,
                    (int)(len < 40 ? len : 40), text);
}

/* "10%,25,50" after what is in steps already; a step that --canary named is not repeated.
 */
static int add_steps(const struct cli *c, const char *option, const char *text,
                     json_t *steps, uint32_t *last)
{
    for (const char *at = text; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        uint32_t weight;

        if (alias_percent_parse(&weight, at, len) < 0) {
            return bad_percent(c, option, at, len);
        }
        if (weight != *last) {
            if (weight < *last || weight == ALIAS_WHOLE || weight == 0 ||
                json_array_size(steps) == STEPS_MAX) {
                return cli_fail(c, EXIT_CODE_USAGE, NULL, "--canary 10% --steps 10,25,50",
                                "--%s is \"%.60s\"; steps grow, each between 0 and 100, "
                                "and there are at most %d",
                                option, text, STEPS_MAX);
            }
            if (json_array_append_new(steps, percent_json(weight)) < 0) {
                return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
            }
            *last = weight;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return EXIT_CODE_OK;
}

static int read_limits(const struct cli *c, json_t *plan)
{
    const char *time = args_get(c->args, "step-time");
    const char *calls = args_get(c->args, "min-calls");
    const char *rate = args_get(c->args, "max-error-rate");
    uint64_t ms;
    uint32_t weight;
    int rc = 0;

    if (time != NULL && config_parse_ms(time, &ms) < 0) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "--step-time 60s",
                        "--step-time is \"%.40s\", which is no time", time);
    }
    if (calls != NULL && (*calls == '\0' || strlen(calls) > 9 ||
                          strspn(calls, "0123456789") != strlen(calls))) {
        return cli_fail(c, EXIT_CODE_USAGE, NULL, "--min-calls 100",
                        "--min-calls is \"%.40s\", which is no number", calls);
    }
    if (rate != NULL && alias_percent_parse(&weight, rate, strlen(rate)) < 0) {
        return bad_percent(c, "max-error-rate", rate, strlen(rate));
    }
    if (time != NULL) {
        rc |= json_object_set_new(plan, "step_ms", json_integer((json_int_t)ms));
    }
    if (calls != NULL) {
        rc |= json_object_set_new(plan, "min_calls",
                                  json_integer(strtoll(calls, NULL, 10)));
    }
    if (rate != NULL) {
        rc |= json_object_set_new(plan, "max_error_rate", percent_json(weight));
    }
    return rc == 0 ? EXIT_CODE_OK
                   : cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
}

int canary_read(const struct cli *c, json_t **ret)
{
    static const char *const more[] = {"step-time", "min-calls", "max-error-rate"};
    const char *canary = args_get(c->args, "canary"), *list = args_get(c->args, "steps");
    json_t *steps, *plan;
    uint32_t last = 0;
    int rc = EXIT_CODE_OK;

    *ret = NULL;
    if (canary == NULL && list == NULL) {
        for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
            if (args_has(c->args, more[i])) {
                return cli_fail(
                    c, EXIT_CODE_USAGE, NULL, "--canary 10%, or --steps 10,25,50",
                    "--%s is about the steps of a rollout, and there are none", more[i]);
            }
        }
        return EXIT_CODE_OK;
    }
    steps = json_array();
    plan = json_pack("{s:o}", "steps", steps); /* takes it over */
    if (plan == NULL) {
        return cli_fail(c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    if (canary != NULL) {
        rc = add_steps(c, "canary", canary, steps, &last);
    }
    if (rc == EXIT_CODE_OK && list != NULL) {
        rc = add_steps(c, "steps", list, steps, &last);
    }
    rc = rc == EXIT_CODE_OK ? read_limits(c, plan) : rc;
    if (rc != EXIT_CODE_OK) {
        json_decref(plan);
        return rc;
    }
    *ret = plan;
    return EXIT_CODE_OK;
}

/* --- how it goes -------------------------------------------------------------- */

void canary_say(const struct cli *c, const json_t *rollout)
{
    cli_say(c, "version %lld: %s", (long long)json_number(rollout, "version"),
            json_text(rollout, "message", json_text(rollout, "state", "?")));
}

/* An exit code when it is over, or -1. */
static int outcome(const struct cli *c, const char *what, const json_t *function,
                   int64_t version)
{
    const json_t *rollout = json_object_get(function, "rollout");
    const char *state = json_text(rollout, "state", "done");
    const char *message = json_text(rollout, "message", state);

    if (json_number(rollout, "version") != version) {
        return cli_fail(c, EXIT_CODE_CONFLICT, "conflict", "mayfly versions",
                        "cannot %s: another deployment took the place of version %lld",
                        what, (long long)version);
    }
    if (strcmp(state, "pending") == 0 || strcmp(state, "running") == 0) {
        return -1;
    }
    if (strcmp(state, "done") == 0) {
        return EXIT_CODE_OK;
    }
    if (strcmp(state, "back") == 0) {
        return cli_fail(c, EXIT_CODE_FUNCTION, "function_error",
                        "mayfly logs --version shows what went wrong",
                        "cannot %s: version %lld failed %s", what, (long long)version,
                        message);
    }
    return cli_fail(c, EXIT_CODE_CONFLICT, "conflict", "mayfly versions",
                    "cannot %s: the rollout of version %lld ended: %s", what,
                    (long long)version, message);
}

static void say_if_new(const struct cli *c, const json_t *rollout, char **said)
{
    const char *message = json_text(rollout, "message", "");

    if (*said == NULL || strcmp(*said, message) != 0) {
        canary_say(c, rollout);
        free(*said);
        *said = strdup(message);
    }
}

int canary_wait(const struct cli *c, const char *what, const char *path, int64_t version)
{
    struct backoff backoff = {.min_ms = POLL_MS, .max_ms = 5000};
    _cleanup_free_ char *said = NULL;
    int rc = -1;

    while (rc < 0) {
        struct http_reply reply = {0};
        json_t *function = NULL;
        struct error err;

        /* No answer: the rollout goes on whether or not anybody looks. */
        if (rest_ask(c, "GET", NULL, REST_TIMEOUT_MS, &reply, &err, "%s", path) == 0) {
            if (reply.status == 404) {
                rc = cli_fail(c, EXIT_CODE_CONFLICT, "conflict", NULL,
                              "cannot %s: it was deleted meanwhile", what);
            } else if (reply.status == 200) {
                function = rest_json(&reply);
            }
        }
        http_reply_free(&reply);
        if (function != NULL) {
            backoff_reset(&backoff);
            say_if_new(c, json_object_get(function, "rollout"), &said);
            rc = outcome(c, what, function, version);
            json_decref(function);
        }
        if (rc < 0) {
            term_pause_ms(backoff_next_ms(&backoff, random_u64()));
        }
    }
    return rc;
}
