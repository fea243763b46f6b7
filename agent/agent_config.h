/* The agent's configuration: agent.yaml, `--set key=value`, and the defaults that are
 * read from the host. One table, in agent_config.c, has all keys. */
#ifndef AGENT_AGENT_CONFIG_H
#define AGENT_AGENT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"

struct agent_config {
    char *node;
    char **controllers; /* NULL-terminated */
    char *token_file;   /* "": the cluster has no token */
    char *gateway_host;
    uint16_t gateway_port;
    char *gateway_advertise; /* "": found out (agent_config_advertise) */
    char *metrics_host;
    uint16_t metrics_port;
    char *state_dir;
    char *user; /* name or number */
    uint64_t memory_bytes;
    uint32_t cpu_millis;
    char **labels; /* NULL or NULL-terminated "key=value" */
    char *cgroup;
    uint32_t uid_base;
    uint32_t blanks;
    char *base;
    char *region;
    char *warden;
    char *lambda_auth;    /* "sigv4" or "off" */
    char *lambda_account; /* 12 digits */
    char *log_level;
    char *log_format;
    uint32_t stop_notice_ms;
    uint32_t freeze_after_ms; /* 0: never */
    uint32_t stop_grace_ms;
    uint32_t upgrade_idle_ms;
};

extern const struct config_key agent_config_keys[];
extern const size_t agent_config_n_keys;

/* Defaults. -ENOMEM. Free it whatever this returns. */
int agent_config_init(struct agent_config *c, struct error *err);
void agent_config_free(struct agent_config *c);

/* Rules between keys and of values; fills in what has to be looked up (warden). */
int agent_config_check(struct agent_config *c, struct error *err);

/* The join token: the file's text without white space around it. *ret NULL: none is
 * configured. Read as root: the agent's own user need not be able to. */
int agent_config_token(const struct agent_config *c, char **ret, struct error *err);

/* Where other agents reach this gateway, "host:port": as configured, or the gateway's own
 * address, or, if that is a wildcard, the address from which this host talks to its
 * controller; the host's name if none of these is known. port: in use. */
int agent_config_advertise(const struct agent_config *c, uint16_t port, char **ret);

#endif /* AGENT_AGENT_CONFIG_H */
