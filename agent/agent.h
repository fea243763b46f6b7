/* The agent: its parts on one loop, and what joins them.
 *
 *   controller ◀──link──▶ core ──agent_io──▶ runtime ──▶ warden
 *                          ▲ │                  ▲
 *          callers ──▶ gateway └──▶ packages     └── logs
 *
 * agent.c opens and closes them, agent_io.c is the core's way to the world, agent_link.c
 * and agent_report.c speak with the controller, agent_logs.c answers its log requests,
 * agent_status.c serves metrics and health. Everything runs on the loop's thread. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <uv.h>

#include "agent/agent_config.h"
#include "agent/core/agent_core.h"
#include "agent/gateway/gateway.h"
#include "agent/link/link.h"
#include "agent/runtime/logs.h"
#include "agent/runtime/packages.h"
#include "agent/runtime/runtime.h"
#include "common/http/http_server.h"
#include "common/metrics.h"
#include "common/random.h"

/*   RUNNING ──signal──▶ LEAVING ──grants gone and notice over, or limit──▶
 *   DRAINING ──calls ended, or grace over──▶ STOPPING ──instances gone, or limit──▶
 *   CLOSING ─▶ the loop ends. A second signal cuts the calls. */
enum agent_phase {
    AGENT_RUNNING,
    AGENT_LEAVING, /* takes calls as ever, while the controller gives its grants away */
    AGENT_DRAINING,
    AGENT_STOPPING,
    AGENT_CLOSING
};

struct agent_reports;
struct agent_status_series;

struct agent_cpu_times {
    uint64_t idle, all; /* of all processors, in ticks */
};

struct agent {
    const struct agent_config *config;
    const char *token; /* NULL: none */
    uv_loop_t loop;
    enum agent_phase phase;
    uint64_t phase_until_ms;  /* uv_now; LEAVING, DRAINING and STOPPING end then */
    uint64_t notice_until_ms; /* uv_now; LEAVING ends no sooner */
    uint64_t down_ms;         /* uv_now, when the last controller was lost; 0: it is up */
    uint32_t grants_ttl_ms;
    int exit_code;
    char *advertise;
    char boot[33];         /* hex: tells this start of the agent from all others */
    char down_reason[128]; /* why there is no controller; said once */

    struct metrics *metrics;
    struct agent_core *core;
    struct warden_client *warden;
    pid_t warden_pid;
    struct logs *logs;
    struct packages *packages;
    struct runtime_host *runtime;
    struct gateway *gateway;
    struct http_server status;
    bool status_open;
    uint16_t status_port;
    struct link *link;

    bool warden_ready;
    bool told_ready; /* systemd */
    bool has_snapshot;
    bool link_was_up;

    uv_prepare_t turn;    /* once a turn of the loop, before it sleeps */
    uv_timer_t deadline;  /* the core's */
    uv_timer_t beat;      /* the next report */
    uv_timer_t suspended; /* the next peer that is to be tried again */
    uv_timer_t cpu;       /* the next look at the host's processors */
    struct agent_cpu_times cpu_times;
    uv_signal_t signals[2];

    struct list stillborn; /* instances that could not even be asked for */
    struct list peers;     /* agent_peers.c */
    uint64_t peers_snapshot;
    bool peers_failed;
    struct list log_jobs;
    unsigned n_log_jobs;
    struct agent_reports *reports;
    struct agent_learned *learned;
    struct agent_status_series *series;
    void **labels; /* of the hello; owned by agent_link.c */
};

/* Runs until it is stopped; the process has no privileges any more. warden_fd is taken
 * over. Returns the exit code. */
int agent_run(const struct agent_config *config, const char *token, int warden_fd,
              pid_t warden_pid);

/* --- agent_io.c */
extern const struct agent_io agent_io; /* without ctx */
void agent_io_warden_exit(void *data, uint64_t id, const struct sandbox_exit *e);
void agent_io_warden_oom(void *data, uint64_t id);
void agent_io_warden_short(void *data);
void agent_io_instance_ready(void *data, struct runtime_instance *in);
void agent_io_instance_failed(void *data, struct runtime_instance *in, enum cause cause,
                              const char *text);
void agent_io_instance_gone(void *data, struct runtime_instance *in);
void agent_io_instance_cpu(void *data, struct runtime_instance *in, uint64_t cpu_us);
void agent_io_package_ready(void *data, const char *digest);
void agent_io_package_failed(void *data, const char *digest, enum cause cause,
                             const char *text);
void agent_io_turn(struct agent *a); /* tells the core of the stillborn */

/* --- agent_link.c */
int agent_link_open(struct agent *a, struct error *err);
void agent_link_close(struct agent *a, void (*on_closed)(void *data));
void agent_link_free(struct agent *a);

/* --- agent_peers.c */
void agent_peers_set(struct agent *a, const struct node_state *n);
void agent_peers_snapshot(struct agent *a, bool end);
void agent_peers_unreachable(void *data, const char *node); /* only notes it */
void agent_peers_turn(struct agent *a);
void agent_peers_free(struct agent *a);

/* --- agent_cpu.c */
void agent_cpu_turn(struct agent *a);

/* --- agent_learned.c */
int agent_learned_open(struct agent *a);
void agent_learned_load(struct agent *a); /* into the core, which knows nothing yet */
void agent_learned_close(struct agent *a);
void agent_learned_free(struct agent *a); /* writes it, for the next life */

/* --- agent_report.c */
int agent_reports_new(struct agent *a);
void agent_reports_free(struct agent *a);
void agent_reports_session(struct agent *a); /* a new one: all is to be said again */
void agent_reports_soon(struct agent *a);
void agent_reports_beat(struct agent *a, uint32_t every_ms);
void agent_reports_turn(struct agent *a);
void agent_reports_version(struct agent *a, const struct version *v, bool ready,
                           enum cause cause, const char *text);
/* Versions of it that are not in `keep` are retired: they are not reported again. */
void agent_reports_retire(struct agent *a, const char *namespace_, const char *name,
                          const struct version_state *keep, size_t n_keep);

/* --- agent_leave.c */
void agent_leave_begin(struct agent *a); /* RUNNING ─▶ LEAVING */
void agent_leave_tell(struct agent *a);  /* the controller, in a new session again */
bool agent_leave_is_over(struct agent *a);
/* When a controller was lost, and when one has said all that there is. */
void agent_grants_alone(struct agent *a);
void agent_grants_renewed(struct agent *a);
void agent_grants_turn(struct agent *a);
uint64_t agent_grants_end_in_ms(const struct agent *a); /* UINT64_MAX: they do not */

/* --- agent_logs.c */
void agent_logs_request(struct agent *a, const Mayfly__V1__LogRequest *m);
void agent_logs_ack(struct agent *a, uint64_t id);
void agent_logs_cancel(struct agent *a, uint64_t id);
void agent_logs_cancel_all(struct agent *a);

/* --- agent_status.c */
int agent_status_open(struct agent *a, struct error *err);
int agent_status_metrics(struct agent *a); /* before the server: others add to it */
void agent_status_free(struct agent *a);
/* How metrics and reports call blanks in which this program is up: "plain", "python". */
const char *agent_status_kind(const char *program);
void agent_status_cpu(struct agent *a, uint64_t cpu_us);

#endif /* AGENT_AGENT_H */
