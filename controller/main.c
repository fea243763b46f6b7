/* mayfly-controller: options, signals, and the loop. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"
#include "controller/controller.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct program {
    uv_loop_t loop;
    uv_signal_t terminate, interrupt;
    struct controller_config config;
    struct controller *controller;
};

/* --- options ------------------------------------------------------------------ */

static void print_help(void)
{
    size_t width = 0;

    (void)printf("Examples:\n"
                 "  mayfly-controller\n"
                 "  mayfly-controller --config /etc/mayfly/controller.yaml\n"
                 "  mayfly-controller --set store.engine=etcd "
                 "--set store.endpoints=http://127.0.0.1:2379\n\n"
                 "Usage: mayfly-controller [OPTION]…\n"
                 "  --config FILE     YAML; default %s, if it is there\n"
                 "  --set KEY=VALUE   one key, after the file; may be repeated\n"
                 "  --check-config    say whether the configuration is good, and end\n"
                 "  --version         print the version, and end\n"
                 "  --help            print this, and end\n\n"
                 "Keys:\n",
                 CONTROLLER_CONFIG_FILE);
    for (size_t i = 0; i < controller_config_n_keys; i++) {
        size_t len = strlen(controller_config_keys[i].name);

        width = len > width ? len : width;
    }
    for (size_t i = 0; i < controller_config_n_keys; i++) {
        (void)printf("  %-*s  %s\n", (int)width, controller_config_keys[i].name,
                     controller_config_keys[i].help);
    }
}

struct options {
    const char *file;
    const char **sets;
    size_t n_sets;
    bool check;
};

/* -1: go on; else the program ends with this status. */
static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
        {"check-config", no_argument, NULL, 'k'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->file = optarg;
            break;
        case 's':
            o->sets[o->n_sets++] = optarg;
            break;
        case 'k':
            o->check = true;
            break;
        case 'v':
            (void)printf("mayfly-controller %s\n", MAYFLY_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            print_help();
            return EXIT_SUCCESS;
        default:
            (void)fprintf(stderr, "try: mayfly-controller --help\n");
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr,
                      "mayfly-controller: \"%s\" is no option\n"
                      "try: mayfly-controller --help\n",
                      argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

static int read_config(struct controller_config *config, const struct options *o,
                       struct error *err)
{
    const char *file = o->file;
    int rc = controller_config_init(config, err);

    if (rc < 0) {
        return rc;
    }
    if (file == NULL && access(CONTROLLER_CONFIG_FILE, F_OK) == 0) {
        file = CONTROLLER_CONFIG_FILE;
    }
    if (file != NULL) {
        rc = config_load(file, controller_config_keys, controller_config_n_keys, config,
                         err);
    }
    for (size_t i = 0; rc == 0 && i < o->n_sets; i++) {
        rc = config_set("--set", o->sets[i], controller_config_keys,
                        controller_config_n_keys, config, err);
    }
    return rc < 0 ? rc : controller_config_validate(config, err);
}

/* --- running ------------------------------------------------------------------ */

/* A descriptor for each agent and client: as many as root allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void signal_cb(uv_signal_t *handle, int signum)
{
    struct program *p = handle->data;

    if (uv_is_closing((uv_handle_t *)&p->terminate)) {
        log_warn("ending at once");
        _exit(EXIT_FAILED);
    }
    log_info("ending", LOG_STR("signal", signum == SIGINT ? "SIGINT" : "SIGTERM"));
    (void)sd_notify(0, "STOPPING=1");
    uv_close((uv_handle_t *)&p->terminate, NULL);
    uv_unref((uv_handle_t *)&p->interrupt); /* a second one ends at once */
    controller_stop(p->controller);
}

static void on_ready(void *data)
{
    (void)sd_notify(0, "STATUS=ready");
    log_info("ready: agents may join");
}

static int start(struct program *p, struct error *err)
{
    int rc = controller_new(&p->controller, &p->loop, &p->config, on_ready, p, err);

    rc = rc < 0 ? rc : controller_start(p->controller, err);
    if (rc < 0) {
        return rc;
    }
    CHECK(uv_signal_init(&p->loop, &p->terminate) == 0);
    CHECK(uv_signal_init(&p->loop, &p->interrupt) == 0);
    p->terminate.data = p->interrupt.data = p;
    CHECK(uv_signal_start(&p->terminate, signal_cb, SIGTERM) == 0);
    CHECK(uv_signal_start(&p->interrupt, signal_cb, SIGINT) == 0);
    log_info("listening", LOG_STR("version", MAYFLY_VERSION),
             LOG_STR("rest_host", p->config.rest_host),
             LOG_INT("rest_port", controller_rest_port(p->controller)),
             LOG_INT("hub_port", controller_hub_port(p->controller)),
             LOG_STR("store", p->config.store_engine));
    (void)sd_notify(0, "READY=1\nSTATUS=reading the store");
    return 0;
}

static void close_interrupt(struct program *p)
{
    if (p->interrupt.loop != NULL) {
        uv_close((uv_handle_t *)&p->interrupt, NULL);
        (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    }
}

static int run(struct program *p)
{
    struct error err;
    int rc;

    CHECK(uv_loop_init(&p->loop) == 0);
    rc = start(p, &err);
    if (rc < 0) {
        log_error("cannot start", LOG_STR("error", err.text));
        if (p->controller != NULL) {
            controller_stop(p->controller);
        }
    }
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    close_interrupt(p);
    p->controller = controller_free(p->controller);
    CHECK(uv_loop_close(&p->loop) == 0);
    if (rc == 0) {
        log_info("ended");
    }
    return rc < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct program p = {.controller = NULL};
    struct options o = {.sets = calloc((size_t)argc, sizeof(char *))};
    struct error err;
    int status;

    CHECK(o.sets != NULL);
    status = parse_options(&o, argc, argv);
    if (status < 0 && read_config(&p.config, &o, &err) < 0) {
        (void)fprintf(stderr, "mayfly-controller: %s\n", err.text);
        status = EXIT_USAGE;
    }
    free(o.sets);
    if (status < 0 && o.check) {
        (void)printf("the configuration is good\n");
        status = EXIT_SUCCESS;
    }
    if (status < 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        raise_descriptor_limit();
        log_init("controller", controller_config_log_level(&p.config),
                 controller_config_log_format(&p.config));
        status = run(&p);
    }
    controller_config_free(&p.config);
    return status;
}
