/* The Extensions API
 * (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html) and the
 * programs in /opt/extensions that speak it.
 *
 *   started ──register──▶ registered ──event/next──▶ waits ◀──event/next── at work
 *      (external ones)         │                      └──── INVOKE ──────────▲
 *                              ▼
 *                        init/error, exit/error, or its end: the instance fails
 *
 * External ones are started before the function's program, which follows when all have
 * registered. Internal ones register from within that program. None is trusted: each is
 * known by the identifier that its registration returned. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/runtime/runtime_lambda.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define PREFIX      "/2020-01-01/extension/"
#define TELEMETRY   "/2022-07-01/telemetry"
#define LOGS        "/2020-08-15/logs"
#define FOLDER      "/opt/extensions"
#define FIRST_RUN   (RUNTIME_MAIN_RUN + 1)
#define SHUTDOWN_MS 2000
#define ERROR_TYPE  "Lambda-Extension-Function-Error-Type"

struct lambda_extension {
    struct list link;
    char id[RANDOM_UUID_SIZE];
    char name[128];
    uint32_t run; /* init's number for its process; 0: internal */
    bool registered;
    bool asked;  /* for an event, once */
    bool invoke; /* events that it wants */
    bool shutdown;
    bool shutdown_due; /* not yet told */
    bool failed;       /* it said so */
    bool exited;
    struct lambda_exchange *poller; /* waits for its next event */
};

static struct lambda_state *state_of(const struct runtime_instance *in)
{
    return in->kind_state;
}

/* --- the programs ---------------------------------------------------------------------
 */

static struct lambda_extension *extension_new(struct runtime_instance *in,
                                              const char *name, uint32_t run)
{
    struct lambda_state *s = state_of(in);
    struct lambda_extension *e = calloc(1, sizeof(*e));

    if (e != NULL) {
        (void)snprintf(e->name, sizeof(e->name), "%s", name);
        random_uuid(e->id);
        e->run = run;
        list_push_back(&s->extensions, &e->link);
        s->n_extensions++;
    }
    return e;
}

static struct lambda_extension *by_name(const struct lambda_state *s,
                                        struct http_str name)
{
    LIST_FOREACH(it, &s->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (http_str_eq(name, e->name)) {
            return e;
        }
    }
    return NULL;
}

static int add_folder(struct runtime_instance *in, const char *path)
{
    struct lambda_state *s = state_of(in);
    struct dirent **list = NULL;
    int n = scandir(path, &list, NULL, alphasort);
    int rc = 0;

    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;

        if (rc == 0 && name[0] != '.' && list[i]->d_type != DT_DIR &&
            strlen(name) < sizeof(((struct lambda_extension *)0)->name) &&
            by_name(s, http_str(name)) == NULL) {
            if (s->n_extensions == LAMBDA_EXTENSIONS_MAX) {
                rc = -EMFILE;
            } else if (extension_new(in, name, FIRST_RUN + s->n_extensions) == NULL) {
                rc = -ENOMEM;
            }
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

/* What the layers put there; the first layers' come first. */
static int find_programs(struct runtime_instance *in)
{
    const struct function_spec *spec = in->config.spec;
    int rc = 0;

    for (size_t i = 0; rc == 0 && in->host->packages_dir != NULL && i < spec->n_layers;
         i++) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s/extensions", in->host->packages_dir,
                     spec->layers[i].package.digest) < 0) {
            path = NULL;
            return -ENOMEM;
        }
        rc = add_folder(in, path);
    }
    return rc;
}

/* What is still waited for, for people. */
static void note_lack(struct runtime_instance *in)
{
    const struct lambda_state *s = state_of(in);

    in->lack[0] = '\0';
    LIST_FOREACH(it, &s->extensions)
    {
        const struct lambda_extension *e =
            container_of(it, struct lambda_extension, link);

        if (!e->asked) {
            (void)snprintf(in->lack, sizeof(in->lack), "the extension %.40s has not %s",
                           e->name, e->registered ? "asked for an event" : "registered");
            return;
        }
    }
}

int lambda_extensions_start(struct runtime_instance *in)
{
    struct lambda_state *s = state_of(in);
    struct strings env = {0};
    int rc = find_programs(in);

    if (rc == 0 && s->n_extensions > 0) {
        rc = runtime_env_extension(&env, in);
    }
    LIST_FOREACH(it, &s->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);
        char path[sizeof(FOLDER) + sizeof(e->name)];
        char *argv[] = {path, NULL};

        (void)snprintf(path, sizeof(path), "%s/%s", FOLDER, e->name);
        rc = rc < 0 ? rc : instance_run(in, e->run, argv, env.list);
        s->n_unregistered += rc == 0;
    }
    strings_free(&env);
    note_lack(in);
    return rc;
}

void lambda_extensions_free(struct runtime_instance *in)
{
    struct lambda_state *s = state_of(in);

    LIST_FOREACH_SAFE(it, &s->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->poller != NULL) {
            e->poller->extension = NULL;
        }
        list_remove(&e->link);
        free(e);
    }
    s->n_extensions = 0;
}

static bool any_runs(const struct lambda_state *s)
{
    LIST_FOREACH(it, &s->extensions)
    {
        const struct lambda_extension *e =
            container_of(it, struct lambda_extension, link);

        if (e->run != 0 && !e->exited) {
            return true;
        }
    }
    return false;
}

static struct lambda_extension *by_run(const struct lambda_state *s, uint32_t run)
{
    LIST_FOREACH(it, &s->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->run == run) {
            return e;
        }
    }
    return NULL;
}

void lambda_extension_message(struct runtime_instance *in, const struct init_message *m,
                              const char *text)
{
    const struct lambda_state *s = state_of(in);
    struct lambda_extension *e = by_run(s, m->run);
    char how[64];

    if (e == NULL || in->killed) {
        return;
    }
    if (m->type == INIT_FAILED) {
        e->exited = true;
        instance_fail(in, CAUSE_START_FAILED, "Extension.LaunchError: %s: %s", text,
                      strerror(m->value));
    } else if (m->type == INIT_EXITED) {
        e->exited = true;
        wait_status_text(m->value, how);
        if (!s->ending) {
            instance_fail(in, CAUSE_CRASHED, "Extension.Crash: the extension %s: %s",
                          e->name, how);
        } else if (!any_runs(s)) {
            instance_kill(in);
        }
    }
}

/* --- events ---------------------------------------------------------------------------
 */

static void send_event(struct lambda_extension *e, json_t *event)
{
    struct lambda_exchange *x = e->poller;
    char *text =
        event != NULL ? json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    char id[RANDOM_UUID_SIZE];
    const struct http_header list[] = {
        {HTTP_STR("Content-Type"), HTTP_STR("application/json")},
        {HTTP_STR("Lambda-Extension-Event-Identifier"), {id, RANDOM_UUID_SIZE - 1}},
    };

    random_uuid(id);
    e->poller = NULL;
    x->extension = NULL;
    if (text != NULL) {
        (void)http_exchange_reply(x->x, 200, (struct http_headers){list, 2}, text,
                                  strlen(text));
    } else {
        http_exchange_abort(x->x);
    }
    free(text);
    json_decref(event);
}

/* With several calls at once, an extension that is at work misses the next ones' events.
 */
void lambda_extensions_invoke(struct lambda_call *l)
{
    const struct runtime_instance *in = l->call.instance;
    char arn[256];

    lambda_arn(in, arn);
    LIST_FOREACH(it, &state_of(in)->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->invoke && e->poller != NULL) {
            send_event(
                e, json_pack("{s:s, s:I, s:s, s:s, s:{s:s, s:s}}", "eventType", "INVOKE",
                             "deadlineMs", (json_int_t)l->deadline_wall_ms, "requestId",
                             l->id, "invokedFunctionArn",
                             lambda_event_arn(l) != NULL ? lambda_event_arn(l) : arn,
                             "tracing", "type", "X-Amzn-Trace-Id", "value", l->trace_id));
        }
    }
}

static void send_shutdown(const struct lambda_state *s, struct lambda_extension *e)
{
    e->shutdown_due = false;
    send_event(e, json_pack("{s:s, s:s, s:I}", "eventType", "SHUTDOWN", "shutdownReason",
                            s->end_reason, "deadlineMs", (json_int_t)s->end_wall_ms));
}

uint32_t lambda_extensions_end(struct runtime_instance *in, const char *reason)
{
    struct lambda_state *s = state_of(in);

    if (!s->server_open || !any_runs(s)) {
        return 0;
    }
    s->ending = true;
    s->end_reason = reason != NULL ? reason : s->cut ? "timeout" : "spindown";
    s->end_wall_ms = clock_wall_ms() + SHUTDOWN_MS;
    LIST_FOREACH(it, &s->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->run == 0 || e->exited) {
            continue;
        }
        e->shutdown_due = e->shutdown;
        if (!e->shutdown) {
            channel_signal(in->channel, e->run, SIGKILL);
        } else if (e->poller != NULL) {
            send_shutdown(s, e);
        }
    }
    return SHUTDOWN_MS;
}

bool lambda_extensions_idle(const struct runtime_instance *in, bool init)
{
    LIST_FOREACH(it, &state_of(in)->extensions)
    {
        const struct lambda_extension *e =
            container_of(it, struct lambda_extension, link);

        if (init ? !e->asked : e->invoke && e->poller == NULL) {
            return false;
        }
    }
    return true;
}

/* --- register -------------------------------------------------------------------------
 */

static bool read_events(struct lambda_exchange *x, struct lambda_extension *e)
{
    json_t *json =
        x->body.len > 0 ? json_loadb(x->body.data, x->body.len, 0, NULL) : NULL;
    const json_t *events = json_object_get(json, "events");
    bool ok = json_is_object(json) && (events == NULL || json_is_array(events));

    if (!ok) {
        lambda_refuse(x->x, 403, "InvalidRequestFormat",
                      "The body is not a JSON object with the list events");
    }
    for (size_t i = 0; ok && i < json_array_size(events); i++) {
        const char *name = json_string_value(json_array_get(events, i));

        if (name != NULL && strcmp(name, "INVOKE") == 0) {
            e->invoke = true;
        } else if (name != NULL && strcmp(name, "SHUTDOWN") == 0 && e->run != 0) {
            e->shutdown = true;
        } else {
            ok = false;
            lambda_refuse(x->x, 403, "Extension.InvalidEventType",
                          name != NULL && strcmp(name, "SHUTDOWN") == 0
                              ? "SHUTDOWN: not for internal extensions"
                              : "The events are INVOKE and SHUTDOWN");
        }
    }
    json_decref(json);
    return ok;
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
    char version[24], account[16];
    json_t *json;
    char *text;

    (void)snprintf(version, sizeof(version), "%" PRIu64, in->config.version);
    (void)snprintf(account, sizeof(account), "%012u", in->config.namespace_index);
    json =
        json_pack("{s:s, s:s, s:s}", "functionName", in->config.name, "functionVersion",
                  version, "handler", handler != NULL ? handler : "bootstrap");
    if (memmem(features.at, features.len, "accountId", strlen("accountId")) != NULL) {
        (void)json_object_set_new(json, "accountId", json_string(account));
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
    struct lambda_extension *e = by_name(s, name);
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
        e = extension_new(in, text, 0);
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
        e->invoke = e->shutdown = false;
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
        note_lack(in);
        lambda_run_main(in);
    } else {
        note_lack(in);
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
        send_shutdown(s, e);
        return;
    }
    note_lack(in);
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
