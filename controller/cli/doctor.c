#include "controller/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "controller/cli/dev.h"
#include "controller/cli/http.h"
#include "controller/cli/port.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"
#include "controller/cli/term.h"

#define ASK_MS 2000

static const char *const status_names[] = {
    [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail"};

void doctor_add(struct doctor *d, const char *name, enum check_status status,
                const char *fix, const char *fmt, ...)
{
    struct check *k;
    va_list ap;

    CHECK(d->n < DOCTOR_CHECKS_MAX);
    k = &d->checks[d->n++];
    *k = (struct check){.name = name, .status = status};
    va_start(ap, fmt);
    (void)vsnprintf(k->message, sizeof(k->message), fmt, ap);
    va_end(ap);
    if (status != CHECK_OK && fix != NULL) {
        (void)snprintf(k->fix, sizeof(k->fix), "%s", fix);
    }
}

/* --- ports and the cluster ---------------------------------------------------- */

static void check_ports(struct doctor *d)
{
    static const struct {
        const char *name, *option;
        uint16_t port;
    } ports[] = {
        {"port 8080", "--gateway-port", 8080},
        {"port 8090", "--rest-port", 8090},
        {"port 8091", "--hub-port", 8091},
        {"port 8092", "--metrics-port", 8092},
    };

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        struct port_holder holder;

        if (!port_holder(ports[i].port, &holder)) {
            doctor_add(d, ports[i].name, CHECK_OK, NULL, "free");
        } else if (strncmp(holder.name, "mayfly-", 7) == 0) {
            doctor_add(d, ports[i].name, CHECK_OK, NULL, "in use by %s, pid %d",
                       holder.name, (int)holder.pid);
        } else {
            char fix[128];

            (void)snprintf(fix, sizeof(fix), "mayfly dev takes another; %s chooses one",
                           ports[i].option);
            doctor_add(d, ports[i].name, CHECK_WARN, fix, "in use by %s, pid %d",
                       holder.name, (int)holder.pid);
        }
    }
}

static void check_cluster(struct doctor *d)
{
    const struct cli *c = d->c;
    _cleanup_free_ char *version = rest_version(c, ASK_MS);
    _cleanup_free_ char *url = cli_text("%s/fn/", c->gateway);
    struct http_reply reply = {0};
    struct error err = {0};
    bool answers;

    if (version == NULL) {
        doctor_add(d, "controller", CHECK_WARN,
                   "mayfly dev --detach starts a cluster here; --url names another",
                   "none answers at %s (%s)", c->url, c->url_from);
        return;
    }
    doctor_add(d, "controller", CHECK_OK, NULL, "version %s answers at %s", version,
               c->url);
    answers =
        url != NULL &&
        http_do(&(struct http_request){.method = "GET", .url = url, .timeout_ms = ASK_MS},
                &reply, &err) == 0;
    http_reply_free(&reply);
    if (answers) {
        doctor_add(d, "gateway", CHECK_OK, NULL, "answers at %s", c->gateway);
    } else {
        doctor_add(d, "gateway", CHECK_WARN,
                   "start mayfly-agent; --gateway names another",
                   "none answers at %s (%s)", c->gateway, c->gateway_from);
    }
}

/* --- printing ----------------------------------------------------------------- */

static size_t count(const struct doctor *d, enum check_status status)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++) {
        n += d->checks[i].status == status;
    }
    return n;
}

static int print_json(const struct doctor *d)
{
    json_t *checks = json_array();
    json_t *json =
        json_pack("{s:b, s:o}", "ok", count(d, CHECK_FAIL) == 0, "checks", checks);
    int rc = json == NULL ? -1 : 0;

    for (size_t i = 0; i < d->n && rc == 0; i++) {
        const struct check *k = &d->checks[i];

        rc = json_array_append_new(
            checks, json_pack("{s:s, s:s, s:s, s:s*}", "name", k->name, "status",
                              status_names[k->status], "message", k->message, "fix",
                              k->fix[0] != '\0' ? k->fix : NULL));
    }
    if (rc != 0) {
        rc = cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    } else {
        (void)print_data(d->c, json, &rc);
    }
    json_decref(json);
    return rc;
}

static void print_check(const struct check *k, FILE *out, bool colour)
{
    static const char *const colours[] = {
        [CHECK_OK] = "\033[32m", [CHECK_WARN] = "\033[33m", [CHECK_FAIL] = "\033[1;31m"};

    (void)fprintf(out, "%s%-4s%s  %-18s %s\n", colour ? colours[k->status] : "",
                  status_names[k->status], colour ? "\033[0m" : "", k->name, k->message);
    if (k->fix[0] != '\0') {
        (void)fprintf(out, "%*stry: %s\n", 25, "", k->fix);
    }
}

static void print_all(const struct doctor *d)
{
    bool colour = !args_has(d->c->args, "no-color") && term_colour(STDOUT_FILENO);
    size_t fails = count(d, CHECK_FAIL), warnings = count(d, CHECK_WARN);

    for (size_t i = 0; i < d->n; i++) {
        print_check(&d->checks[i], stdout, colour);
    }
    (void)fflush(stdout);
    cli_say(d->c, "%zu missing, %zu to look at, %zu as they should be%s", fails, warnings,
            count(d, CHECK_OK), fails == 0 ? ": mayfly can run here" : "");
}

int verb_doctor(struct cli *c)
{
    static struct doctor d; /* large */
    const char *dir = args_get(c->args, "dir");
    int rc = EXIT_CODE_OK;

    dir = dir != NULL ? dir : getenv("MAYFLY_DEV_DIR");
    d = (struct doctor){.c = c,
                        .dir = dir != NULL && *dir != '\0' ? dir : DEV_DIR_DEFAULT};
    doctor_kernel(&d);
    doctor_cgroups(&d);
    doctor_programs(&d);
    doctor_host(&d);
    check_ports(&d);
    check_cluster(&d);
    if (c->output == OUTPUT_JSON || c->output == OUTPUT_YAML) {
        rc = print_json(&d);
    } else if (c->output == OUTPUT_NAME) {
        for (size_t i = 0; i < d.n; i++) {
            if (d.checks[i].status != CHECK_OK) {
                (void)puts(d.checks[i].name);
            }
        }
    } else {
        print_all(&d);
    }
    return rc == EXIT_CODE_OK && count(&d, CHECK_FAIL) > 0 ? EXIT_CODE_FAILED : rc;
}

int doctor_preflight(const struct cli *c, const char *dir)
{
    static struct doctor d; /* large */

    if (geteuid() != 0) {
        return cli_fail(
            c, EXIT_CODE_DENIED, "forbidden", "sudo mayfly dev",
            "mayfly dev needs root (this is uid %u): its warden makes namespaces, "
            "mounts and control groups for sandboxes; controller and functions "
            "do without, and the agent that faces the network runs unprivileged",
            (unsigned)geteuid());
    }
    d = (struct doctor){.c = c, .dir = dir};
    doctor_kernel(&d);
    doctor_cgroups(&d);
    doctor_programs(&d);
    if (count(&d, CHECK_FAIL) == 0) {
        return EXIT_CODE_OK;
    }
    for (size_t i = 0; i < d.n; i++) {
        if (d.checks[i].status == CHECK_FAIL) {
            print_check(&d.checks[i], stderr, c->colour);
        }
    }
    return cli_fail(c, EXIT_CODE_FAILED, NULL, "mayfly doctor tells all that is checked",
                    "mayfly dev cannot run on this host yet; missing: %zu",
                    count(&d, CHECK_FAIL));
}
