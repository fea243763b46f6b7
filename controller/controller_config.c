#include "controller/controller_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define TOKEN_MAX 1024

#define KEY(name, type, member, min, max, help)                                \
    {                                                                          \
        name, type, offsetof(struct controller_config, member), min, max, help \
    }

const struct config_key controller_config_keys[] = {
    KEY("name", CONFIG_STR, name, 0, 0, "this controller's name; default: the host's"),
    KEY("rest.host", CONFIG_STR, rest_host, 0, 0, "address of REST; default 0.0.0.0"),
    KEY("rest.port", CONFIG_U16, rest_port, 0, 65535,
        "port of REST; default 8090, 0 takes a free one"),
    KEY("hub.host", CONFIG_STR, hub_host, 0, 0, "address for agents; default 0.0.0.0"),
    KEY("hub.port", CONFIG_U16, hub_port, 0, 65535,
        "port for agents; default 8091, 0 takes a free one"),
    KEY("hub.heartbeat", CONFIG_MS, hub_heartbeat_ms, 100, 60000,
        "agents are heard in this time, and gone after three of them; default 2s"),
    KEY("hub.resume", CONFIG_MS, hub_resume_ms, 100, 600000,
        "a lost connection may resume for so long; default 10s"),
    KEY("grants_ttl", CONFIG_MS, grants_ttl_ms, 1000, 7 * 24 * 3600 * 1000,
        "a node without a controller goes on within its grants for so long; default 1h"),
    KEY("token_file", CONFIG_STR, token_file, 0, 0,
        "file with the join token; without it any agent may join"),
    KEY("advertise_url", CONFIG_STR, advertise_url, 0, 0,
        "where agents fetch packages; default http://<host name>:<rest.port>"),
    KEY("state_dir", CONFIG_STR, state_dir, 0, 0,
        "packages and the SQLite store; default /var/lib/mayfly/controller"),
    KEY("store.engine", CONFIG_STR, store_engine, 0, 0,
        "sqlite, etcd or memory; default sqlite"),
    KEY("store.endpoints", CONFIG_STR_LIST, store_endpoints, 0, 0,
        "etcd's client URLs, tried in turn"),
    KEY("packages.max_bytes", CONFIG_BYTES, packages_max_bytes, 1, 1ULL << 40,
        "largest package; default 256Mi"),
    KEY("packages.grace", CONFIG_MS, packages_grace_ms, 0, 0,
        "a package that no version needs is kept for so long; default 1h"),
    KEY("settle", CONFIG_MS, settle_ms, 0, 600000,
        "after a start, nodes are listened to for so long before anything moves; default "
        "3s"),
    KEY("progress_deadline", CONFIG_MS, progress_deadline_ms, 1000, 7 * 24 * 3600 * 1000,
        "a new version that finds no room waits for it, and fails after this; default "
        "10m"),
    KEY("autoscaler.window", CONFIG_MS, autoscaler.window_ms, 6000, 3600000,
        "load is averaged over this; default 60s"),
    KEY("autoscaler.panic_window", CONFIG_DECIMAL, autoscaler.panic_window, 1, 100,
        "% of the window: averaged over this in a burst; default 10"),
    KEY("autoscaler.panic_threshold", CONFIG_DECIMAL, autoscaler.panic_threshold, 110,
        1000, "instances wanted, in % of those ready, that make a burst; default 200"),
    KEY("autoscaler.target_utilization", CONFIG_DECIMAL, autoscaler.target_utilization, 1,
        100, "% of a function's target that is used; default 70"),
    KEY("autoscaler.target_rps", CONFIG_DECIMAL, autoscaler.target_rps, 0, 1000000,
        "target of the metric rps, calls per second and instance; default 200"),
    KEY("autoscaler.initial_scale", CONFIG_U32, autoscaler.initial_scale, 0, 10000,
        "instances that a new version takes over with; default 1"),
    KEY("autoscaler.activation_scale", CONFIG_U32, autoscaler.activation_scale, 1, 10000,
        "fewest instances while there is load; default 1"),
    KEY("autoscaler.scale_down_delay", CONFIG_MS, autoscaler.scale_down_delay_ms, 0,
        3600000, "fewer instances must have been wanted for so long; default 0s"),
    KEY("autoscaler.max_scale_up_rate", CONFIG_DECIMAL, autoscaler.max_scale_up_rate, 1,
        1000000, "most instances wanted at once, times those ready; default 1000"),
    KEY("autoscaler.max_scale_down_rate", CONFIG_DECIMAL, autoscaler.max_scale_down_rate,
        1, 1000000, "those ready are at most divided by this at once; default 2"),
    KEY("autoscaler.scale_to_zero", CONFIG_BOOL, autoscaler.scale_to_zero, 0, 0,
        "false: every function keeps one instance ready; default true"),
    KEY("autoscaler.scale_to_zero_grace", CONFIG_MS, autoscaler.grace_ms, 6000, 3600000,
        "without load, the last instance is wanted for so long at least; default 30s"),
    KEY("autoscaler.scale_to_zero_retention", CONFIG_MS, autoscaler.retention_ms, 0,
        3600000, "the last instance stays so long after load ended; default 0s"),
    KEY("placement.policy", CONFIG_STR, placement_policy, 0, 0,
        "binpack or spread, of functions that do not say; default binpack"),
    KEY("placement.homes", CONFIG_U32, placement_homes, 2, 64,
        "nodes that a function may start on before there is load; default 8"),
    KEY("placement.cpu_overcommit", CONFIG_U32, placement_cpu_overcommit, 0, 100000,
        "percent of a node's CPU that warm and reserved instances' limits may add up to; "
        "default 1600, 0: CPU does not count"),
    KEY("lambda.auth", CONFIG_STR, lambda_auth, 0, 0,
        "sigv4: AWS Lambda's API takes signed requests only; off: any; default sigv4"),
    KEY("lambda.account", CONFIG_STR, lambda_account, 0, 0,
        "account number in AWS Lambda's ARNs; default 000000000000"),
    KEY("log.level", CONFIG_STR, log_level, 0, 0,
        "debug, info, warn or error; default info"),
    KEY("log.format", CONFIG_STR, log_format, 0, 0,
        "auto, human or json; default auto: human on a terminal"),
};
const size_t controller_config_n_keys =
    sizeof(controller_config_keys) / sizeof(controller_config_keys[0]);

int controller_config_init(struct controller_config *c, struct error *err)
{
    char host[256] = "";

    if (gethostname(host, sizeof(host) - 1) < 0) {
        return error_set_errno(err, -errno, "host name");
    }
    host[strcspn(host, ".")] = '\0';
    *c = (struct controller_config){
        .name = strdup(host),
        .rest_host = strdup("0.0.0.0"),
        .rest_port = 8090,
        .hub_host = strdup("0.0.0.0"),
        .hub_port = 8091,
        .hub_heartbeat_ms = 2000,
        .hub_resume_ms = 10 * 1000,
        .grants_ttl_ms = 3600 * 1000,
        .state_dir = strdup("/var/lib/mayfly/controller"),
        .store_engine = strdup("sqlite"),
        .packages_max_bytes = 256ULL << 20,
        .packages_grace_ms = 3600 * 1000,
        .settle_ms = 3000,
        .progress_deadline_ms = 600 * 1000,
        .autoscaler = {.target_utilization = 70,
                       .panic_window = 10,
                       .panic_threshold = 200,
                       .target_rps = 200,
                       .initial_scale = 1,
                       .activation_scale = 1,
                       .max_scale_up_rate = 1000,
                       .max_scale_down_rate = 2,
                       .window_ms = 60 * 1000,
                       .grace_ms = 30 * 1000,
                       .scale_to_zero = true},
        .placement_policy = strdup("binpack"),
        .placement_homes = 8,
        .placement_cpu_overcommit = 1600,
        .lambda_auth = strdup("sigv4"),
        .lambda_account = strdup("000000000000"),
        .log_level = strdup("info"),
        .log_format = strdup("auto"),
    };
    if (c->name == NULL || c->rest_host == NULL || c->hub_host == NULL ||
        c->state_dir == NULL || c->store_engine == NULL || c->lambda_auth == NULL ||
        c->lambda_account == NULL || c->log_level == NULL || c->log_format == NULL ||
        c->placement_policy == NULL) {
        controller_config_free(c);
        return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

void controller_config_free(struct controller_config *c)
{
    config_free_strings(controller_config_keys, controller_config_n_keys, c);
}

static int log_format_parse(const char *name)
{
    static const char *const names[] = {"auto", "human", "json"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

enum log_level controller_config_log_level(const struct controller_config *c)
{
    return (enum log_level)log_level_parse(c->log_level);
}

enum log_format controller_config_log_format(const struct controller_config *c)
{
    return (enum log_format)log_format_parse(c->log_format);
}

static bool is_http_url(const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : "";

    return *host != '\0' && *host != '/' && strpbrk(host, " \t\r\n?#") == NULL &&
           url[strlen(url) - 1] != '/';
}

static int validate_store(const struct controller_config *c, struct error *err)
{
    bool is_etcd = strcmp(c->store_engine, "etcd") == 0;
    bool has_endpoints = c->store_endpoints != NULL && c->store_endpoints[0] != NULL;

    if (!is_etcd && strcmp(c->store_engine, "sqlite") != 0 &&
        strcmp(c->store_engine, "memory") != 0) {
        return error_set(err, -EINVAL,
                         "store.engine is \"%.40s\"; give sqlite, etcd or memory",
                         c->store_engine);
    }
    if (is_etcd && !has_endpoints) {
        return error_set(
            err, -EINVAL,
            "store.endpoints is empty; store.engine etcd needs at least one, "
            "such as http://127.0.0.1:2379");
    }
    if (!is_etcd && has_endpoints) {
        return error_set(err, -EINVAL,
                         "store.endpoints is given, but store.engine is %s, not etcd",
                         c->store_engine);
    }
    for (char **url = c->store_endpoints; has_endpoints && *url != NULL; url++) {
        if (!is_http_url(*url)) {
            return error_set(err, -EINVAL,
                             "store.endpoints: \"%.100s\" is not like http://HOST:PORT",
                             *url);
        }
    }
    return 0;
}

int controller_config_autoscaler(const struct controller_config *c,
                                 struct autoscaler_config *ret, struct error *err)
{
    struct autoscaler_config a;
    int rc;

    autoscaler_config_init(&a);
    a.enable_scale_to_zero = c->autoscaler.scale_to_zero;
    a.target_utilization_percentage = c->autoscaler.target_utilization;
    a.rps_target_default = c->autoscaler.target_rps;
    a.stable_window_ms = c->autoscaler.window_ms;
    a.panic_window_percentage = c->autoscaler.panic_window;
    a.panic_threshold_percentage = c->autoscaler.panic_threshold;
    a.initial_scale = c->autoscaler.initial_scale;
    a.activation_scale = c->autoscaler.activation_scale;
    a.scale_down_delay_ms = c->autoscaler.scale_down_delay_ms;
    a.max_scale_up_rate = c->autoscaler.max_scale_up_rate;
    a.max_scale_down_rate = c->autoscaler.max_scale_down_rate;
    a.grace_ms = c->autoscaler.grace_ms;
    a.retention_ms = c->autoscaler.retention_ms;
    rc = autoscaler_config_check(&a, err);
    if (rc < 0) {
        return error_wrap(err, rc, "autoscaler");
    }
    *ret = a;
    return 0;
}

int controller_config_validate(const struct controller_config *c, struct error *err)
{
    size_t len = strlen(c->name);
    struct autoscaler_config autoscaler;
    int rc = controller_config_autoscaler(c, &autoscaler, err);

    if (rc < 0) {
        return rc;
    }
    if (len == 0 || len > 63 ||
        strspn(c->name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") !=
            len) {
        return error_set(err, -EINVAL,
                         "name is \"%.80s\"; give 1 to 63 letters, digits, '-', '.', '_'",
                         c->name);
    }
    if (strcmp(c->lambda_auth, "sigv4") != 0 && strcmp(c->lambda_auth, "off") != 0) {
        return error_set(err, -EINVAL, "lambda.auth is \"%.40s\"; give sigv4 or off",
                         c->lambda_auth);
    }
    if (strlen(c->lambda_account) != 12 ||
        strspn(c->lambda_account, "0123456789") != 12) {
        return error_set(err, -EINVAL, "lambda.account is \"%.40s\"; give 12 digits",
                         c->lambda_account);
    }
    if (c->advertise_url != NULL && !is_http_url(c->advertise_url)) {
        return error_set(err, -EINVAL,
                         "advertise_url is \"%.100s\"; give http://HOST:PORT without a "
                         "slash at its end",
                         c->advertise_url);
    }
    if (c->state_dir[0] != '/') {
        return error_set(err, -EINVAL, "state_dir is \"%.100s\"; give an absolute path",
                         c->state_dir);
    }
    if (strcmp(c->placement_policy, "binpack") != 0 &&
        strcmp(c->placement_policy, "spread") != 0) {
        return error_set(err, -EINVAL,
                         "placement.policy is \"%.20s\"; give binpack or spread",
                         c->placement_policy);
    }
    if (log_level_parse(c->log_level) < 0) {
        return error_set(err, -EINVAL,
                         "log.level is \"%.20s\"; give debug, info, warn or error",
                         c->log_level);
    }
    if (log_format_parse(c->log_format) < 0) {
        return error_set(err, -EINVAL,
                         "log.format is \"%.20s\"; give auto, human or json",
                         c->log_format);
    }
    return validate_store(c, err);
}

int controller_config_token(const struct controller_config *c, char **ret,
                            struct error *err)
{
    _cleanup_close_ int fd = -1;
    char text[TOKEN_MAX + 2];
    ssize_t n;

    if (c->token_file == NULL || *c->token_file == '\0') {
        *ret = NULL;
        return 0;
    }
    fd = open(c->token_file, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n < 0) {
        return error_set_errno(err, -errno, "token_file %s", c->token_file);
    }
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0' || strlen(text) > TOKEN_MAX || (size_t)n > strlen(text) + 2) {
        return error_set(err, -EINVAL,
                         "token_file %s: it must hold one line of 1 to %d characters",
                         c->token_file, TOKEN_MAX);
    }
    *ret = strdup(text);
    return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}
