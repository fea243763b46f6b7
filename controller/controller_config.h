/* mayfly-controller's configuration: one table, from which file, --set and --help come.
 */
#ifndef CONTROLLER_CONTROLLER_CONFIG_H
#define CONTROLLER_CONTROLLER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "controller/core/autoscaler_config.h"

#define CONTROLLER_CONFIG_FILE "/etc/mayfly/controller.yaml" /* read if it is there */

struct controller_config {
    char *name;
    char *rest_host;
    uint16_t rest_port;
    char *hub_host;
    uint16_t hub_port;
    uint32_t hub_heartbeat_ms;
    uint32_t hub_resume_ms;
    uint32_t grants_ttl_ms;
    char *token_file;    /* NULL: any agent may join */
    char *advertise_url; /* NULL: http://<host name>:<rest port> */
    char *state_dir;
    char *store_engine;
    char **store_endpoints;
    uint64_t packages_max_bytes;
    uint32_t packages_grace_ms;
    uint32_t settle_ms;
    uint32_t progress_deadline_ms;
    struct {
        double target_utilization, panic_window, panic_threshold; /* % */
        double target_rps, max_scale_up_rate, max_scale_down_rate;
        uint32_t initial_scale, activation_scale;
        uint32_t window_ms, scale_down_delay_ms, grace_ms, retention_ms;
        bool scale_to_zero;
    } autoscaler;           /* of functions that do not say it */
    char *placement_policy; /* "binpack" or "spread" */
    uint32_t placement_homes;
    uint32_t placement_cpu_overcommit; /* percent; 0: CPU does not count */
    char *lambda_auth;                 /* "sigv4" or "off" */
    char *lambda_account;              /* 12 digits */
    char *log_level;
    char *log_format;
};

extern const struct config_key controller_config_keys[];
extern const size_t controller_config_n_keys;

int controller_config_init(struct controller_config *c, struct error *err); /* defaults */
void controller_config_free(struct controller_config *c);
/* Rules that the table cannot say. The error names the key. */
int controller_config_validate(const struct controller_config *c, struct error *err);

/* The autoscaler's section as the core takes it. The error names the key. */
int controller_config_autoscaler(const struct controller_config *c,
                                 struct autoscaler_config *ret, struct error *err);

enum log_level controller_config_log_level(const struct controller_config *c);
enum log_format controller_config_log_format(const struct controller_config *c);

/* The join token, without the newline at its end; *ret is NULL without a token_file. */
int controller_config_token(const struct controller_config *c, char **ret,
                            struct error *err);

#endif /* CONTROLLER_CONTROLLER_CONFIG_H */
