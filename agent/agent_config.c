#include "agent/agent_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/warden/warden_proto.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/spec.h"

#define TOKEN_MAX  4096
#define MEMORY_MIN (16ull << 20)
#define UID_MIN    65536u /* below are the host's own users */
#define AT(member) offsetof(struct agent_config, member)

const struct config_key agent_config_keys[] = {
    {"node", CONFIG_STR, AT(node), 0, 0,
     "unique name of this host in the cluster; default: the host's name"},
    {"controllers", CONFIG_STR_LIST, AT(controllers), 0, 0,
     "hubs to connect to, tried in turn"},
    {"token_file", CONFIG_STR, AT(token_file), 0, 0,
     "file with the cluster's join token"},
    {"gateway.host", CONFIG_STR, AT(gateway_host), 0, 0,
     "address on which calls are taken"},
    {"gateway.port", CONFIG_U16, AT(gateway_port), 0, 0, "port of the gateway; 0: any"},
    {"gateway.advertise", CONFIG_STR, AT(gateway_advertise), 0, 0,
     "host:port at which other agents reach the gateway; default: found out"},
    {"metrics.host", CONFIG_STR, AT(metrics_host), 0, 0,
     "address of /metrics, /healthz and /readyz"},
    {"metrics.port", CONFIG_U16, AT(metrics_port), 0, 0, "port of the same; 0: any"},
    {"state_dir", CONFIG_STR, AT(state_dir), 0, 0, "folder for packages and logs"},
    {"user", CONFIG_STR, AT(user), 0, 0, "whom the agent runs as, once the warden is up"},
    {"memory", CONFIG_BYTES, AT(memory_bytes), MEMORY_MIN, INT64_MAX,
     "memory for functions; default: 80 % of the host's"},
    {"cpu", CONFIG_U32, AT(cpu_millis), 10, 1000 * 4096,
     "processor time for functions in thousandths; default: all"},
    {"labels", CONFIG_STR_MAP, AT(labels), 0, 0, "of the node, for people and placement"},
    {"cgroup", CONFIG_STR, AT(cgroup), 0, 0, "control group of all sandboxes"},
    {"uid_base", CONFIG_U32, AT(uid_base), UID_MIN, INT32_MAX,
     "first of the user numbers that sandboxes take, one each"},
    {"blanks", CONFIG_U32, AT(blanks), 0, WARDEN_BLANKS_MAX,
     "sandboxes that are made ahead of calls, at most, and as many that wait for their "
     "version's next call; 0: none; default: by memory"},
    {"base", CONFIG_STR, AT(base), 0, 0,
     "root file system of sandboxes: \"host\" or a folder"},
    {"region", CONFIG_STR, AT(region), 0, 0, "AWS_REGION for functions"},
    {"lambda.auth", CONFIG_STR, AT(lambda_auth), 0, 0,
     "sigv4: AWS Lambda's API takes signed requests only; off: any"},
    {"lambda.account", CONFIG_STR, AT(lambda_account), 0, 0,
     "account number in AWS Lambda's ARNs"},
    {"warden", CONFIG_STR, AT(warden), 0, 0,
     "path of mayfly-warden; default: as installed or built"},
    {"log.level", CONFIG_STR, AT(log_level), 0, 0, "debug, info, warn or error"},
    {"log.format", CONFIG_STR, AT(log_format), 0, 0, "auto, human or json"},
    {"stop_notice", CONFIG_MS, AT(stop_notice_ms), 0, 3600 * 1000,
     "when the agent is stopped, it takes calls for so long with /healthz at 503"},
    {"freeze_after", CONFIG_MS, AT(freeze_after_ms), 0, 24 * 3600 * 1000,
     "an instance without calls for so long is frozen: takes no processor time until "
     "the next call; 0: never"},
    {"gateway.upgrade_idle", CONFIG_MS, AT(upgrade_idle_ms), 1, 24 * 3600 * 1000,
     "a WebSocket or other upgraded connection ends after so long without a byte"},
    {"stop_grace", CONFIG_MS, AT(stop_grace_ms), 0, 24 * 3600 * 1000,
     "calls may take so long to end when the agent is stopped"},
};
const size_t agent_config_n_keys =
    sizeof(agent_config_keys) / sizeof(agent_config_keys[0]);

/* --- defaults -------------------------------------------------------------------------
 */

static uint64_t default_memory(void)
{
    struct sysinfo info;
    uint64_t total = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;

    return total / 5 * 4 > MEMORY_MIN ? total / 5 * 4 : MEMORY_MIN;
}

/* Each takes about a megabyte of the kernel's. */
static uint32_t default_blanks(void)
{
    uint64_t n = default_memory() / (128 << 20);

    return n < 4 ? 4 : n > 64 ? 64 : (uint32_t)n;
}

static char **one_string(const char *text)
{
    char **list = calloc(2, sizeof(*list));

    if (list != NULL && (list[0] = strdup(text)) == NULL) {
        free(list);
        return NULL;
    }
    return list;
}

int agent_config_init(struct agent_config *c, struct error *err)
{
    char name[HOST_NAME_MAX + 1] = "";
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    (void)gethostname(name, sizeof(name) - 1);
    *c = (struct agent_config){
        .node = strdup(name),
        .controllers = one_string("tcp://127.0.0.1:8091"),
        .token_file = strdup(""),
        .gateway_host = strdup("0.0.0.0"),
        .gateway_port = 8080,
        .gateway_advertise = strdup(""),
        .metrics_host = strdup("0.0.0.0"),
        .metrics_port = 8092,
        .state_dir = strdup("/var/lib/mayfly/agent"),
        .user = strdup("mayfly"),
        .memory_bytes = default_memory(),
        .cpu_millis = cpus > 0 ? (uint32_t)cpus * 1000 : 1000,
        .cgroup = strdup("mayfly"),
        .uid_base = 2000000000,
        .blanks = default_blanks(),
        .base = strdup("host"),
        .region = strdup("us-east-1"),
        .lambda_auth = strdup("sigv4"),
        .lambda_account = strdup("000000000000"),
        .warden = strdup(""),
        .log_level = strdup("info"),
        .log_format = strdup("auto"),
        .stop_notice_ms = 1000,
        .freeze_after_ms = 1000,
        .stop_grace_ms = 30000,
        .upgrade_idle_ms = 10 * 60 * 1000,
    };
    if (c->controllers == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < agent_config_n_keys; i++) {
        const struct config_key *k = &agent_config_keys[i];

        if (k->type == CONFIG_STR && *(char **)((char *)c + k->offset) == NULL) {
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

void agent_config_free(struct agent_config *c)
{
    config_free_strings(agent_config_keys, agent_config_n_keys, c);
}

/* --- checks ---------------------------------------------------------------------------
 */

/* As installed: <prefix>/bin and <prefix>/libexec/mayfly; as built: side by side. */
static char *find_warden(void)
{
    static const char *const places[] = {"../libexec/mayfly/mayfly-warden",
                                         "mayfly-warden"};
    char self[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0) {
        return NULL;
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", self, places[i]);
        if (access(path, X_OK) == 0) {
            return realpath(path, NULL);
        }
    }
    return NULL;
}

static bool node_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= SPEC_NODE_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-._") == len;
}

static int check_controllers(const struct agent_config *c, struct error *err)
{
    if (c->controllers == NULL || c->controllers[0] == NULL) {
        return error_set(err, -EINVAL, "controllers: none is named");
    }
    for (char **url = c->controllers; *url != NULL; url++) {
        if (strncmp(*url, "tcp://", 6) != 0 && strncmp(*url, "tls+tcp://", 10) != 0) {
            return error_set(err, -EINVAL, "controllers: \"%s\" is no tcp://host:port",
                             *url);
        }
    }
    return 0;
}

static int check_words(const struct agent_config *c, struct error *err)
{
    if (!node_valid(c->node)) {
        return error_set(err, -EINVAL,
                         "node: \"%s\" is not a host name of at most %d characters",
                         c->node, SPEC_NODE_MAX);
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
    if (log_level_parse(c->log_level) < 0) {
        return error_set(err, -EINVAL,
                         "log.level: \"%s\": write debug, info, warn or error",
                         c->log_level);
    }
    if (strcmp(c->log_format, "auto") != 0 && strcmp(c->log_format, "human") != 0 &&
        strcmp(c->log_format, "json") != 0) {
        return error_set(err, -EINVAL, "log.format: \"%s\": write auto, human or json",
                         c->log_format);
    }
    if (c->state_dir[0] != '/') {
        return error_set(err, -EINVAL, "state_dir: \"%s\" is not an absolute path",
                         c->state_dir);
    }
    if (strcmp(c->base, "host") != 0 && c->base[0] != '/') {
        return error_set(err, -EINVAL, "base: \"%s\": write \"host\" or a folder's path",
                         c->base);
    }
    if (c->cgroup[0] == '\0' || strstr(c->cgroup, "..") != NULL) {
        return error_set(err, -EINVAL, "cgroup: \"%s\" is not a group's name", c->cgroup);
    }
    return 0;
}

int agent_config_check(struct agent_config *c, struct error *err)
{
    int rc = check_words(c, err);

    rc = rc < 0 ? rc : check_controllers(c, err);
    if (rc < 0) {
        return rc;
    }
    if (c->gateway_advertise[0] != '\0' && strrchr(c->gateway_advertise, ':') == NULL) {
        return error_set(err, -EINVAL, "gateway.advertise: \"%s\" is no host:port",
                         c->gateway_advertise);
    }
    if (c->warden[0] == '\0') {
        char *found = find_warden();

        if (found == NULL) {
            return error_set(err, -ENOENT,
                             "warden: mayfly-warden is neither in ../libexec/mayfly nor "
                             "beside mayfly-agent; set its path");
        }
        free(c->warden);
        c->warden = found;
    }
    return 0;
}

int agent_config_token(const struct agent_config *c, char **ret, struct error *err)
{
    _cleanup_close_ int fd = -1;
    char text[TOKEN_MAX + 1], *begin = text;
    ssize_t n;

    if (c->token_file[0] == '\0') {
        *ret = NULL;
        return 0;
    }
    fd = open(c->token_file, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (n < 0) {
        return error_set_errno(err, -errno, "token_file: %s", c->token_file);
    }
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) {
        n--;
    }
    if (n == (ssize_t)sizeof(text)) {
        return error_set(err, -EFBIG, "token_file: %s: over %d bytes", c->token_file,
                         TOKEN_MAX);
    }
    text[n] = '\0';
    begin += strspn(begin, " \t\r\n");
    if (*begin == '\0') {
        return error_set(err, -EINVAL, "token_file: %s: it is empty", c->token_file);
    }
    *ret = strdup(begin);
    return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- advertise ------------------------------------------------------------------------
 */

/* The address from which packets to "tcp://host:port" go out. */
static int local_address(const char *url, char *ret, size_t room)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    const char *at = strstr(url, "://");
    struct sockaddr_storage local;
    socklen_t len = sizeof(local);
    struct addrinfo *found = NULL;
    _cleanup_close_ int fd = -1;
    char host[NI_MAXHOST], *colon;
    int rc = -ENOENT;

    (void)snprintf(host, sizeof(host), "%s", at != NULL ? at + 3 : url);
    colon = strrchr(host, ':');
    if (colon == NULL) {
        return -EINVAL;
    }
    *colon = '\0';
    if (getaddrinfo(host[0] == '[' ? strtok(host, "[]") : host, colon + 1, &hints,
                    &found) != 0) {
        return -ENOENT;
    }
    fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&local, &len) == 0 &&
        getnameinfo((struct sockaddr *)&local, len, ret, (socklen_t)room, NULL, 0,
                    NI_NUMERICHOST) == 0) {
        rc = 0;
    }
    freeaddrinfo(found);
    return rc;
}

int agent_config_advertise(const struct agent_config *c, uint16_t port, char **ret)
{
    char host[NI_MAXHOST];
    int n;

    if (c->gateway_advertise[0] != '\0') {
        *ret = strdup(c->gateway_advertise);
        return *ret != NULL ? 0 : -ENOMEM;
    }
    (void)snprintf(host, sizeof(host), "%s", c->gateway_host);
    if ((strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) &&
        local_address(c->controllers[0], host, sizeof(host)) < 0) {
        (void)gethostname(host, sizeof(host) - 1);
    }
    n = strchr(host, ':') != NULL ? asprintf(ret, "[%s]:%u", host, port)
                                  : asprintf(ret, "%s:%u", host, port);
    return n < 0 ? -ENOMEM : 0;
}
