#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/random.h"
#include "controller/cli/dev.h"
#include "controller/cli/port.h"
#include "controller/cli/yaml.h"

#define TOKEN_FILE  "token"
#define TOKEN_BYTES 32
#define AGENT_UID   1999999999 /* nobody else has it; it is below the sandboxes' */
#define SETTLE      "500ms"    /* one node, and it comes at once */
#define STOP_GRACE  "10s"      /* for calls that run; a developer waits for it */
#define NODE        "dev"
#define UID_BASE    2000000000 /* the agent's default */
#define UID_RANGE   65536      /* a namespace takes one */
#define UID_RANGES  2000

static const char *const files[] = {TOKEN_FILE, "controller.yaml", "agent.yaml"};

static const struct {
    const char *option, *what;
} ports[DEV_PORTS] = {
    [DEV_GATEWAY] = {"gateway-port", "the gateway"},
    [DEV_REST] = {"rest-port", "the REST API"},
    [DEV_HUB] = {"hub-port", "the hub"},
    [DEV_METRICS] = {"metrics-port", "the agent's metrics"},
};

/* --- ports -------------------------------------------------------------------- */

static void who_has(uint16_t port, char *ret, size_t size)
{
    struct port_holder holder;

    if (!port_holder(port, &holder)) {
        (void)snprintf(ret, size, "it cannot be told by whom");
    } else if (holder.pid == 0) {
        (void)snprintf(ret, size, "by a process that only root can see");
    } else {
        (void)snprintf(ret, size, "by %s, pid %d", holder.name, (int)holder.pid);
    }
}

static int settle_port(struct dev *d, enum dev_port p, const uint16_t *taken, size_t n)
{
    uint16_t wanted = d->ports[p].port;
    int rc = port_try(d->host, wanted);
    char who[NAME_MAX + 64];
    uint16_t other;

    for (size_t i = 0; i < n && rc == 0; i++) {
        if (taken[i] == wanted && d->ports[p].given) {
            return cli_fail(d->c, EXIT_CODE_USAGE, NULL, "give each its own port",
                            "port %u is given to %s and to another", wanted,
                            ports[p].what);
        }
        rc = taken[i] == wanted ? -EADDRINUSE : 0;
    }
    if (rc == 0) {
        return EXIT_CODE_OK;
    }
    if (rc != -EADDRINUSE) {
        return cli_fail(
            d->c, EXIT_CODE_FAILED, NULL, "--host names an address of this host",
            "cannot start: listen on %s port %u: %s", d->host, wanted, strerror(-rc));
    }
    who_has(wanted, who, sizeof(who));
    if (d->ports[p].given) {
        return cli_fail(
            d->c, EXIT_CODE_FAILED, NULL,
            "end that program, or leave the option out to have a free one taken",
            "cannot start: port %u (--%s) is in use (%s)", wanted, ports[p].option, who);
    }
    other = port_other(d->host, wanted, taken, n);
    if (other == 0) {
        return cli_fail(d->c, EXIT_CODE_FAILED, NULL, NULL,
                        "cannot start: port %u is in use (%s), and so are those near it",
                        wanted, who);
    }
    cli_say(d->c, "port %u is in use (%s); %s gets %u", wanted, who, ports[p].what,
            other);
    d->ports[p].port = other;
    return EXIT_CODE_OK;
}

int dev_config_ports(struct dev *d)
{
    uint16_t taken[DEV_PORTS] = {0};
    size_t n = 0;
    int rc = EXIT_CODE_OK;

    /* Those that were asked for come first, so that no other takes them. */
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned p = 0; p < DEV_PORTS && rc == EXIT_CODE_OK; p++) {
            if (d->ports[p].given == (round == 0)) {
                rc = settle_port(d, (enum dev_port)p, taken, n);
                taken[n++] = d->ports[p].port;
            }
        }
    }
    return rc;
}

/* --- the folder --------------------------------------------------------------- */

bool dev_config_is_reachable(const char *dir)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(setgroups(0, NULL) == 0 &&
                      setresgid(AGENT_UID, AGENT_UID, AGENT_UID) == 0 &&
                      setresuid(AGENT_UID, AGENT_UID, AGENT_UID) == 0 &&
                      access(dir, X_OK) < 0
                  ? 1
                  : 0);
    }
    return pid < 0 || waitpid(pid, &status, 0) < 0 || status == 0;
}

/* --- files -------------------------------------------------------------------- */

void dev_config_url_host(const char *host, char ret[64])
{
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        (void)strcpy(ret, "127.0.0.1");
    } else {
        (void)snprintf(ret, 64, strchr(host, ':') != NULL ? "[%s]" : "%s", host);
    }
}

/* What two clusters on this host may not share comes from their folders (FNV-1a); 0: the
 * default one. */
static uint32_t folder_hash(const char *dir)
{
    uint32_t hash = 0x811c9dc5;

    if (strcmp(dir, DEV_DIR_DEFAULT) == 0) {
        return 0;
    }
    for (; *dir != '\0'; dir++) {
        hash = (hash ^ (unsigned char)*dir) * 0x01000193;
    }
    return hash != 0 ? hash : 1;
}

void dev_config_cgroup(const char *dir, char ret[64])
{
    uint32_t hash = folder_hash(dir);

    (void)strcpy(ret, "mayfly-dev");
    if (hash != 0) {
        (void)snprintf(ret, 64, "mayfly-dev-%08x", hash);
    }
}

/* First of the sandboxes' user numbers. */
static json_int_t uid_base(const char *dir)
{
    uint32_t hash = folder_hash(dir);

    return UID_BASE + (hash != 0 ? 1 + hash % UID_RANGES : 0) * (json_int_t)UID_RANGE;
}

static int write_file(const char *dir, const char *name, mode_t mode, const char *data,
                      size_t len, struct error *err)
{
    _cleanup_free_ char *path = dev_path(dir, name);
    _cleanup_close_ int fd = -1;

    if (path == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    (void)unlink(path); /* whoever has it open keeps the old one */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len) {
        return error_set_errno(err, errno != 0 ? -errno : -EIO, "write %s", path);
    }
    return 0;
}

static int write_token(const char *dir, struct error *err)
{
    unsigned char secret[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 2];

    random_bytes(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", secret[i]);
    }
    text[2 * TOKEN_BYTES] = '\n';
    return write_file(dir, TOKEN_FILE, 0600, text, 2 * TOKEN_BYTES + 1, err);
}

static int write_yaml(const char *dir, const char *name, json_t *json, struct error *err)
{
    struct buf text = {0};
    int rc = json == NULL
                 ? -ENOMEM
                 : buf_append_str(&text, "# Written by mayfly dev at each start.\n");

    rc = rc == 0 ? yaml_write(&text, json) : rc;
    rc = rc < 0 ? error_set(err, rc, "out of memory")
                : write_file(dir, name, 0644, text.data, text.len, err);
    buf_free(&text);
    json_decref(json);
    return rc;
}

static json_t *in_folder(const struct dev *d, const char *name)
{
    return json_sprintf("%s/%s", d->dir, name);
}

static json_t *listener(const struct dev *d, enum dev_port port)
{
    return json_pack("{s:s, s:i}", "host", d->host, "port", d->ports[port].port);
}

/* json, or NULL if a member could not be set. */
static json_t *whole(json_t *json, int rc)
{
    if (rc != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *controller_config(const struct dev *d, const char *host)
{
    json_t *json = json_object();
    json_t *url = json_sprintf("http://%s:%u", host, d->ports[DEV_REST].port);
    int rc = 0;

    rc |= json_object_set_new(json, "name", json_string(NODE));
    rc |= json_object_set_new(json, "rest", listener(d, DEV_REST));
    rc |= json_object_set_new(json, "hub", listener(d, DEV_HUB));
    rc |= json_object_set_new(json, "token_file", in_folder(d, TOKEN_FILE));
    rc |= json_object_set_new(json, "advertise_url", url);
    rc |= json_object_set_new(json, "state_dir", in_folder(d, "controller"));
    rc |= json_object_set_new(json, "settle", json_string(SETTLE));
    rc |= json_object_set_new(json, "store", json_pack("{s:s}", "engine", "sqlite"));
    return whole(json, rc);
}

static json_t *agent_config(const struct dev *d, const char *host)
{
    json_t *json = json_object();
    json_t *hub = json_sprintf("tcp://%s:%u", host, d->ports[DEV_HUB].port);
    json_t *self = json_sprintf("%s:%u", host, d->ports[DEV_GATEWAY].port);
    json_t *gateway = listener(d, DEV_GATEWAY);
    int rc = json_object_set_new(gateway, "advertise", self);

    rc |= json_object_set_new(json, "node", json_string(NODE));
    rc |= json_object_set_new(json, "controllers", json_pack("[o]", hub));
    rc |= json_object_set_new(json, "token_file", in_folder(d, TOKEN_FILE));
    rc |= json_object_set_new(json, "gateway", gateway);
    rc |= json_object_set_new(json, "metrics", listener(d, DEV_METRICS));
    rc |= json_object_set_new(json, "state_dir", in_folder(d, "agent"));
    rc |= json_object_set_new(json, "user", json_sprintf("%d", AGENT_UID));
    rc |= json_object_set_new(json, "cgroup", json_string(d->cgroup));
    rc |= json_object_set_new(json, "uid_base", json_integer(uid_base(d->dir)));
    rc |= json_object_set_new(json, "stop_notice", json_string("0s")); /* no balancer */
    rc |= json_object_set_new(json, "stop_grace", json_string(STOP_GRACE));
    return whole(json, rc);
}

static int make_folder(const char *dir, const char *name, struct error *err)
{
    _cleanup_free_ char *path = dev_path(dir, name);

    if (path == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    return mkdir(path, 0755) < 0 && errno != EEXIST
               ? error_set_errno(err, -errno, "make folder %s", path)
               : 0;
}

int dev_config_write(const struct dev *d, struct error *err)
{
    char host[64];
    int rc = make_folder(d->dir, "log", err);

    dev_config_url_host(d->host, host);
    rc = rc < 0 ? rc : write_token(d->dir, err);
    rc = rc < 0 ? rc
                : write_yaml(d->dir, "controller.yaml", controller_config(d, host), err);
    return rc < 0 ? rc : write_yaml(d->dir, "agent.yaml", agent_config(d, host), err);
}

void dev_config_remove(const char *dir)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        _cleanup_free_ char *path = dev_path(dir, files[i]);

        if (path != NULL) {
            (void)unlink(path);
        }
    }
}
