/* mayfly-agent: command line and configuration, then the steps that must come in this
 * order: the warden (a fork, so before any thread), folders, root given up, the loop. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/privileges.h"
#include "agent/warden/warden_client.h"
#include "common/cleanup.h"
#include "common/log.h"

#define DEFAULT_CONFIG "/etc/mayfly/agent.yaml"
#define SETS_MAX       64

struct arguments {
    const char *config;
    const char *sets[SETS_MAX];
    unsigned n_sets;
    bool check;
    bool version;
    bool help;
};

static void print_help(void)
{
    (void)printf(
        "usage: mayfly-agent [--config FILE] [--set key=value]... "
        "[--check-config]\n\n"
        "  mayfly-agent                                 with " DEFAULT_CONFIG
        " if it is there\n"
        "  mayfly-agent --set node=n1 --set memory=2Gi\n\n"
        "Runs functions on this host. Starts as root, makes its warden, and goes "
        "on as `user`.\n\n"
        "  --config FILE      read FILE\n"
        "  --set key=value    set a key, over the file; may be repeated\n"
        "  --check-config     check the configuration and end\n"
        "  --version, --help\n\nkeys:\n");
    for (size_t i = 0; i < agent_config_n_keys; i++) {
        (void)printf("  %-20s  %s\n", agent_config_keys[i].name,
                     agent_config_keys[i].help);
    }
}

static int parse(struct arguments *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
        {"check-config", no_argument, NULL, 'k'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            a->config = optarg;
            break;
        case 's':
            if (a->n_sets == SETS_MAX) {
                (void)fprintf(stderr, "mayfly-agent: too many --set\n");
                return -EINVAL;
            }
            a->sets[a->n_sets++] = optarg;
            break;
        case 'k':
            a->check = true;
            break;
        case 'v':
            a->version = true;
            break;
        case 'h':
            a->help = true;
            break;
        default:
            return -EINVAL; /* getopt has said why */
        }
    }
    if (optind != argc) {
        (void)fprintf(stderr, "mayfly-agent: unexpected argument \"%s\"\n", argv[optind]);
        return -EINVAL;
    }
    return 0;
}

static int configure(struct agent_config *c, const struct arguments *a, struct error *err)
{
    const char *file = a->config;
    int rc = agent_config_init(c, err);

    if (file == NULL && access(DEFAULT_CONFIG, F_OK) == 0) {
        file = DEFAULT_CONFIG;
    }
    if (rc == 0 && file != NULL) {
        rc = config_load(file, agent_config_keys, agent_config_n_keys, c, err);
    }
    for (unsigned i = 0; rc == 0 && i < a->n_sets; i++) {
        rc = config_set("--set", a->sets[i], agent_config_keys, agent_config_n_keys, c,
                        err);
    }
    return rc < 0 ? rc : agent_config_check(c, err);
}

static void init_log(const struct agent_config *c)
{
    enum log_format format = strcmp(c->log_format, "json") == 0    ? LOG_FORMAT_JSON
                             : strcmp(c->log_format, "human") == 0 ? LOG_FORMAT_HUMAN
                                                                   : LOG_FORMAT_AUTO;

    log_init("agent", (enum log_level)log_level_parse(c->log_level), format);
}

static int start_warden(const struct agent_config *c, pid_t *ret_pid, int *ret_fd,
                        struct error *err)
{
    _cleanup_free_ char *state_dir = NULL, *packages = NULL;

    if (asprintf(&state_dir, "%s/warden", c->state_dir) < 0 ||
        asprintf(&packages, "%s/packages", c->state_dir) < 0) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    return warden_spawn(
        &(struct warden_spawn_options){
            .program = c->warden,
            .state_dir = state_dir,
            .packages = packages,
            .cgroup = c->cgroup,
            .uid_base = c->uid_base,
            .blanks = c->blanks,
            .base = c->base,
            .log_level = c->log_level,
            .log_format = c->log_format,
        },
        ret_pid, ret_fd, err);
}

static int run(const struct agent_config *c)
{
    struct privileges_user user;
    struct error err = {0};
    _cleanup_free_ char *token = NULL;
    pid_t pid;
    int fd, rc;

    if (geteuid() != 0) {
        log_error("the agent must be started as root: it makes its warden, which makes "
                  "sandboxes, and then goes on as the configured user");
        return 1;
    }
    rc = privileges_user(&user, c->user, &err);
    rc = rc < 0 ? rc : agent_config_token(c, &token, &err);
    rc = rc < 0 ? rc : privileges_folders(c->state_dir, &user, &err);
    rc = rc < 0 ? rc : start_warden(c, &pid, &fd, &err);
    if (rc < 0) {
        log_error("the agent cannot start", LOG_STR("error", err.text));
        return 1;
    }
    privileges_raise_files(); /* after the warden: functions keep the usual limit */
    if (privileges_drop(&user, &err) < 0) {
        log_error("the agent cannot start", LOG_STR("error", err.text));
        (void)close(fd);
        (void)waitpid(pid, NULL, 0);
        return 1;
    }
    return agent_run(c, token, fd, pid);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct agent_config config;
    struct error err = {0};
    int rc = parse(&arguments, argc, argv);

    if (rc < 0) {
        (void)fprintf(stderr, "try: mayfly-agent --help\n");
        return 2;
    }
    if (arguments.help) {
        print_help();
        return 0;
    }
    if (arguments.version) {
        (void)printf("mayfly-agent %s\n", MAYFLY_VERSION);
        return 0;
    }
    rc = configure(&config, &arguments, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "mayfly-agent: %s\n", err.text);
    } else if (arguments.check) {
        (void)printf("the configuration is valid\n");
    } else {
        init_log(&config);
        rc = run(&config);
    }
    agent_config_free(&config);
    return rc < 0 ? 2 : rc;
}
