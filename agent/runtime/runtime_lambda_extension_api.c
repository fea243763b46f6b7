/* The Extensions API
 * (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html): what
 * extensions ask. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/runtime/lambda_document.h"
#include "agent/runtime/runtime_lambda.h"

#define PREFIX     "/2020-01-01/extension/"
#define TELEMETRY  "/2022-07-01/telemetry"
#define LOGS       "/2020-08-15/logs"
#define ERROR_TYPE "Lambda-Extension-Function-Error-Type"

static struct lambda_state *state_of(const struct runtime_instance *in)
{
    return in->kind_state;
}

/* --- register -------------------------------------------------------------------------
 */

static bool read_events(struct lambda_exchange *x, struct lambda_extension *e)
{
    switch (lambda_events_read(&e->invoke, &e->shutdown, e->run == 0, x->body.data,
                               x->body.len)) {
    case LAMBDA_EVENTS_GOOD:
        return true;
    case LAMBDA_EVENTS_NO_LIST:
        lambda_refuse(x->x, 403, "InvalidRequestFormat",
                      "The body is not a JSON object with the list events");
        break;
    case LAMBDA_EVENTS_NO_SHUTDOWN:
        lambda_refuse(x->x, 403, "Extension.InvalidEventType",
                      "SHUTDOWN: not for internal extensions");
        break;
    case LAMBDA_EVENTS_UNKNOWN:
        lambda_refuse(x->x, 403, "Extension.InvalidEventType",
                      "The events are INVOKE and SHUTDOWN");
        break;
    }
    return false;
}

static void welcome(struct lambda_exchange *x, const struct lambda_extension *e)
{
    const struct runtime_instance *in = x->instance;
    const struct http_header list[] = {
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("Lambda-Extension-Identifier"), http_str(e->id)},
    };
    struct http_str features =
        lambda_header(http_exchange_headers(x->x), "Lambda-Extension-Accept-Feature");
    const char *handler = in->config.spec->handler;
    char version[24], name[LAMBDA_NAME_MAX + 1];
    json_t *json;
    char *text;

    runtime_lambda_name(name, in);
    runtime_lambda_version(version, in);
    json = json_pack("{s:s, s:s, s:s}", "functionName", name, "functionVersion", version,
                     "handler", handler != NULL ? handler : "bootstrap");
    if (memmem(features.at, features.len, "accountId", strlen("accountId")) != NULL) {
        (void)json_object_set_new(json, "accountId", json_string(in->host->account));
    }
    text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(json);
    if (text == NULL) {
        http_exchange_abort(x->x);
        return;
    }
    (void)http_exchange_reply(x->x, 200, (struct http_headers){list, 2}, text,
                              strlen(text));
    free(text);
}

/* Who registers: an external one by its file's name, or a new internal one. NULL: it was
 * refused. */
static struct lambda_extension *who_registers(struct lambda_exchange *x)
{
    struct runtime_instance *in = x->instance;
    struct lambda_state *s = state_of(in);
    struct http_str name =
        lambda_header(http_exchange_headers(x->x), "Lambda-Extension-Name");
    struct lambda_extension *e = lambda_extension_find(s, name);
    char text[sizeof(e->name)];

    if (name.len == 0 || name.len >= sizeof(text)) {
        lambda_refuse(x->x, 403, "Extension.InvalidExtensionName",
                      name.len == 0 ? "Empty extension name" : "Extension name too long");
    } else if (in->phase != PHASE_INIT) {
        lambda_refuse(x->x, 403, "Extension.RegistrationClosed",
                      "Extension registration closed already");
    } else if (e != NULL && e->registered) {
        lambda_refuse(x->x, 403, "Extension.InvalidExtensionState",
                      "Extension with this name already registered");
    } else if (e != NULL) {
        return e;
    } else if (s->n_extensions == LAMBDA_EXTENSIONS_MAX) {
        lambda_refuse(x->x, 403, "Extension.TooManyExtensions",
                      "Extension limit (10) reached");
    } else {
        (void)snprintf(text, sizeof(text), "%.*s", (int)name.len, name.at);
        e = lambda_extension_new(in, text, 0);
        if (e == NULL) {
            http_exchange_abort(x->x);
        }
        return e;
    }
    return NULL;
}

static void end_register(struct lambda_exchange *x)
{
    struct runtime_instance *in = x->instance;
    struct lambda_state *s = state_of(in);
    struct lambda_extension *e = who_registers(x);

    if (e == NULL) {
        return;
    }
    if (!read_events(x, e)) {
        if (e->run == 0) {
            s->n_extensions--;
            list_remove(&e->link);
            free(e);
        }
        return;
    }
    e->registered = true;
    welcome(x, e);
    if (e->run != 0 && --s->n_unregistered == 0 && s->main_due) {
        s->main_due = false;
        lambda_extensions_lack(in);
        lambda_run_main(in);
    } else {
        lambda_extensions_lack(in);
    }
}

/* --- the other requests ---------------------------------------------------------------
 */

/* Who asks; NULL: it was refused. */
static struct lambda_extension *who(struct runtime_instance *in, struct http_exchange *x)
{
    struct http_str id =
        lambda_header(http_exchange_headers(x), "Lambda-Extension-Identifier");

    if (id.len == 0) {
        lambda_refuse(x, 403, "Extension.MissingExtensionIdentifier",
                      "Missing Lambda-Extension-Identifier header");
        return NULL;
    }
    LIST_FOREACH(it, &state_of(in)->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->registered && http_str_eq(id, e->id)) {
            return e;
        }
    }
    lambda_refuse(x, 403, "Extension.InvalidExtensionIdentifier",
                  "Invalid Lambda-Extension-Identifier");
    return NULL;
}

static void on_next(struct runtime_instance *in, struct http_exchange *x)
{
    const struct lambda_state *s = state_of(in);
    struct lambda_extension *e = who(in, x);
    struct lambda_exchange *waits;

    if (e == NULL) {
        return;
    }
    if (e->failed || e->poller != NULL) {
        lambda_refuse(x, 403, "Extension.InvalidExtensionState",
                      e->failed ? "It has reported its failure"
                                : "It waits for its next event already");
        return;
    }
    waits = lambda_exchange_new(in, x, LAMBDA_EXTENSION_NEXT);
    if (waits == NULL) {
        return;
    }
    waits->extension = e;
    e->poller = waits;
    e->asked = true;
    if (e->shutdown_due) {
        lambda_extension_shutdown(s, e);
        return;
    }
    lambda_extensions_lack(in);
    lambda_check_ready(in);
    lambda_dispatch(in);
}

/* init/error and exit/error: the body says more, if it is there. */
static void on_error(struct runtime_instance *in, struct http_exchange *x)
{
    struct lambda_extension *e = who(in, x);

    if (e == NULL) {
        return;
    }
    if (lambda_header(http_exchange_headers(x), ERROR_TYPE).len == 0) {
        lambda_refuse(x, 403, "Extension.MissingHeader", ERROR_TYPE " not found");
    } else if (e->failed) {
        lambda_refuse(x, 403, "Extension.InvalidExtensionState",
                      "It has reported its failure");
    } else {
        e->failed = true;
        (void)lambda_exchange_new(in, x, LAMBDA_EXTENSION_ERROR);
    }
}

static void end_error(struct lambda_exchange *x)
{
    struct runtime_instance *in = x->instance;
    bool init = http_str_eq(http_exchange_path(x->x), PREFIX "init/error");
    struct http_str type = lambda_header(http_exchange_headers(x->x), ERROR_TYPE);
    json_t *json =
        x->body.len > 0 ? json_loadb(x->body.data, x->body.len, 0, NULL) : NULL;
    const char *message = json_string_value(json_object_get(json, "errorMessage"));

    lambda_accept(x->x);
    instance_fail(in, CAUSE_CRASHED, "Extension.%s: %.*s%s%s",
                  init ? "InitError" : "ExitError", (int)type.len, type.at,
                  message != NULL ? ": " : "", message != NULL ? message : "");
    json_decref(json);
}

void lambda_extension_on_end(struct lambda_exchange *x)
{
    if (x->what == LAMBDA_EXTENSION_REGISTER) {
        end_register(x);
    } else {
        end_error(x);
    }
}

void lambda_extension_on_close(struct lambda_exchange *x)
{
    if (x->extension != NULL) {
        x->extension->poller = NULL;
        x->extension = NULL;
    }
}

/* As AWS' own emulator says it where there is none. */
static void no_subscription(struct http_exchange *x, const char *which)
{
    char body[128];

    (void)snprintf(body, sizeof(body),
                   "{\"errorMessage\":\"%s API is not supported\","
                   "\"errorType\":\"%s.NotSupported\"}\n",
                   which, which);
    lambda_answer(x, 202, "application/json", body);
}

bool lambda_extension_request(struct runtime_instance *in, struct http_exchange *x)
{
    struct http_str path = http_exchange_path(x);
    bool get = http_str_eq(http_exchange_method(x), "GET");
    bool post = http_str_eq(http_exchange_method(x), "POST");
    bool put = http_str_eq(http_exchange_method(x), "PUT");

    if (put && http_str_eq(path, TELEMETRY)) {
        no_subscription(x, "Telemetry");
    } else if (put && http_str_eq(path, LOGS)) {
        no_subscription(x, "Logs");
    } else if (post && http_str_eq(path, PREFIX "register")) {
        (void)lambda_exchange_new(in, x, LAMBDA_EXTENSION_REGISTER);
    } else if (get && http_str_eq(path, PREFIX "event/next")) {
        on_next(in, x);
    } else if (post && (http_str_eq(path, PREFIX "init/error") ||
                        http_str_eq(path, PREFIX "exit/error"))) {
        on_error(in, x);
    } else {
        return false;
    }
    return true;
}
