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

#define FOLDER      "/opt/extensions"
#define FIRST_RUN   (RUNTIME_MAIN_RUN + 1)
#define SHUTDOWN_MS 2000

static struct lambda_state *state_of(const struct runtime_instance *in)
{
    return in->kind_state;
}

/* --- the programs ---------------------------------------------------------------------
 */

struct lambda_extension *lambda_extension_new(struct runtime_instance *in,
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

struct lambda_extension *lambda_extension_find(const struct lambda_state *s,
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
            lambda_extension_find(s, http_str(name)) == NULL) {
            if (s->n_extensions == LAMBDA_EXTENSIONS_MAX) {
                rc = -EMFILE;
            } else if (lambda_extension_new(in, name, FIRST_RUN + s->n_extensions) ==
                       NULL) {
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
void lambda_extensions_lack(struct runtime_instance *in)
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
    lambda_extensions_lack(in);
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

    LIST_FOREACH(it, &state_of(in)->extensions)
    {
        struct lambda_extension *e = container_of(it, struct lambda_extension, link);

        if (e->invoke && e->poller != NULL) {
            send_event(e, json_pack("{s:s, s:I, s:s, s:s, s:{s:s, s:s}}", "eventType",
                                    "INVOKE", "deadlineMs",
                                    (json_int_t)l->deadline_wall_ms, "requestId", l->id,
                                    "invokedFunctionArn", lambda_event_arn(l), "tracing",
                                    "type", "X-Amzn-Trace-Id", "value", l->trace_id));
        }
    }
}

void lambda_extension_shutdown(const struct lambda_state *s, struct lambda_extension *e)
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
            lambda_extension_shutdown(s, e);
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
