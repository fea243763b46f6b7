/* What a function is: the shapes that controller, agent and CLI share.
 *
 * A spec is the configuration that `deploy` sends; a version is a spec plus a package,
 * frozen under a number. The fields, their JSON keys, units, ranges and defaults stand in
 * one table, from which validation, function.yaml, the CLI's flags and the docs come. */
#ifndef COMMON_SPEC_H
#define COMMON_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/constraint.h"
#include "common/error.h"

#define SPEC_NAME_MAX        63 /* namespace and function: [a-z0-9]([-a-z0-9]*[a-z0-9])? */
#define SPEC_NODE_MAX        63
#define SPEC_HANDLER_MAX     1023
#define SPEC_DIGEST_LEN      64             /* SHA-256 in lower-case hex */
#define SPEC_ENV_BYTES_MAX   (4 * 1024 * 8) /* names and values together: 32 KiB */
#define SPEC_ENV_MAX         256
#define SPEC_CONSTRAINTS_MAX 16
#define SPEC_LAYERS_MAX      5
#define SPEC_ANNOTATIONS_MAX (16 * 1024) /* bytes of their JSON */

/* Access keys: with which AWS's clients sign. */
#define ACCESS_KEY_ID_MIN     4
#define ACCESS_KEY_ID_MAX     128
#define ACCESS_KEY_SECRET_MIN 8
#define ACCESS_KEY_SECRET_MAX 128

enum spec_runtime {
    SPEC_RUNTIME_PROVIDED, /* executable `bootstrap` speaking the Lambda Runtime API */
    SPEC_RUNTIME_HTTP,     /* a server on $PORT */
    SPEC_RUNTIME_EXEC,     /* a process a call: stdin to stdout */
    SPEC_RUNTIME_PYTHON,   /* a function of a Python module, called with event, context */
    SPEC_RUNTIME_NODE,     /* likewise of a JavaScript module */
    SPEC_RUNTIME_COUNT
};

/* What the autoscaler averages. */
enum spec_metric {
    SPEC_METRIC_CONCURRENCY, /* calls in an instance or waiting for one */
    SPEC_METRIC_RPS,         /* calls begun per second */
    SPEC_METRIC_COUNT
};

enum spec_keep_alive {                          /* of an idle instance */
                       SPEC_KEEP_ALIVE_LEARNED, /* as calls are used to come; idle_ms
                                                   while that is unknown */
                       SPEC_KEEP_ALIVE_FIXED,   /* idle_ms */
                       SPEC_KEEP_ALIVE_COUNT
};

enum spec_format {
    SPEC_FORMAT_ZIP,
    SPEC_FORMAT_TAR,
    SPEC_FORMAT_FILE,
    SPEC_FORMAT_COUNT
};

/* Which of the nodes that fit come first. */
enum spec_placement {
    SPEC_PLACEMENT_DEFAULT, /* as the cluster is configured */
    SPEC_PLACEMENT_BINPACK, /* the fullest that is not busy */
    SPEC_PLACEMENT_SPREAD,  /* the emptiest, and in as many zones as there are */
    SPEC_PLACEMENT_COUNT
};

struct spec_env {
    char *name;
    char *value;
};

struct package_ref {
    char digest[SPEC_DIGEST_LEN + 1];
    uint64_t bytes; /* of the stored archive */
    enum spec_format format;
    char file_name[256]; /* SPEC_FORMAT_FILE: its name inside the package; else "" */
};

/* A package at /opt, under a name and number of its namespace (common/spec_layers.h). */
struct spec_layer {
    char name[SPEC_NAME_MAX + 1];
    uint64_t version;           /* 0: the newest, not looked up yet */
    struct package_ref package; /* digest "": not looked up yet */
};

/* Whole numbers: X(member, "json_key", "flag", min, max, default, "unit", "help") */
#define SPEC_NUMBERS(X)                                                                  \
    X(memory_mib, "memory_mib", "memory", 16, 32768, 128, "MiB",                         \
      "memory limit of an instance")                                                     \
    X(cpu_millis, "cpu_millis", "cpu", 10, 256000, 1000, "millicores",                   \
      "CPU limit of an instance")                                                        \
    X(timeout_ms, "timeout_ms", "timeout", 10, 5400000, 30000, "ms",                     \
      "a call is killed after this")                                                     \
    X(init_timeout_ms, "init_timeout_ms", "init-timeout", 10, 600000, 10000, "ms",       \
      "an instance must be ready within this")                                           \
    X(concurrency, "concurrency", "concurrency", 1, 1000, 1, "calls",                    \
      "calls at once in one instance")                                                   \
    X(max_scale, "max_scale", "max-scale", 0, 100000, 0, "instances",                    \
      "most instances in the cluster; 0: no limit but capacity")                         \
    X(min_scale, "min_scale", "min-scale", 0, 10000, 0, "instances",                     \
      "instances kept ready")                                                            \
    X(window_ms, "window_ms", "window", 0, 3600000, 0, "ms",                             \
      "load is averaged over this; 0: the cluster's default, 60s")                       \
    X(initial_scale, "initial_scale", "initial-scale", 0, 10000, 0, "instances",         \
      "instances that a new version takes over with; 0: the cluster's default, 1")       \
    X(activation_scale, "activation_scale", "activation-scale", 0, 10000, 0,             \
      "instances", "fewest instances while there is load; 0: the cluster's default, 1")  \
    X(scale_down_delay_ms, "scale_down_delay_ms", "scale-down-delay", 0, 3600000, 0,     \
      "ms",                                                                              \
      "fewer instances must have been wanted for so long; 0: the cluster's default, "    \
      "none")                                                                            \
    X(retention_ms, "scale_to_zero_retention_ms", "scale-to-zero-retention", 0, 3600000, \
      0, "ms",                                                                           \
      "the last instance stays so long after load ended; 0: the cluster's default, "     \
      "none")                                                                            \
    X(reserved, "reserved", "reserved", 0, 100000, 0, "calls",                           \
      "calls at once that there is always room for, and no more; 0: neither")            \
    X(pids_max, "pids_max", "pids", 1, 32768, 256, "processes",                          \
      "processes and threads of an instance")                                            \
    X(tmp_mib, "tmp_mib", "tmp", 1, 10240, 64, "MiB", "size of /tmp")                    \
    X(idle_ms, "idle_ms", "idle", 0, 86400000, 60000, "ms",                              \
      "an idle instance is dropped after this; with keep_alive learned, until there is " \
      "a pattern")                                                                       \
    X(queue_max, "queue_max", "queue-max", 0, 100000, 1000, "calls",                     \
      "calls that may wait on one node")                                                 \
    X(queue_timeout_ms, "queue_timeout_ms", "queue-timeout", 0, 600000, 10000, "ms",     \
      "a call waits so long for an instance")                                            \
    X(body_max_kib, "body_max_kib", "body-max", 1, 1048576, 6144, "KiB",                 \
      "largest request body")

/* Those that may have two decimals, as Knative's may: X(name, …); the member is
 * NAME_hundredths, the range is in whole ones. */
#define SPEC_DECIMALS(X)                                                                \
    X(target, "target", "target", 0, 1000000, 0, "calls (/s)",                          \
      "load of an instance to aim for; 0: concurrency, or the cluster's default")       \
    X(target_utilization, "target_utilization", "target-utilization", 0, 100, 0, "%",   \
      "share of the target that is used; 0: the cluster's default, 70")                 \
    X(panic_window, "panic_window", "panic-window", 0, 100, 0, "%",                     \
      "of the window: averaged over this in a burst; 0: the cluster's default, 10")     \
    X(panic_threshold, "panic_threshold", "panic-threshold", 0, 1000, 0, "%",           \
      "instances wanted, of those ready, that make a burst; 0: the cluster's default, " \
      "200")                                                                            \
    X(max_scale_up_rate, "max_scale_up_rate", "max-scale-up-rate", 0, 1000000, 0,       \
      "times",                                                                          \
      "most instances wanted at once, of those ready; 0: the cluster's default, 1000")  \
    X(max_scale_down_rate, "max_scale_down_rate", "max-scale-down-rate", 0, 1000000, 0, \
      "times",                                                                          \
      "those ready are at most divided by this at once; 0: the cluster's default, 2")

struct function_spec {
    enum spec_runtime runtime;
    char *handler; /* exec, http: command line, first word relative to the package root;
                      provided: value of _HANDLER; python, node: "module.function".
                      NULL: the runtime's default */
#define X(member, key, flag, min, max, dflt, unit, help) uint32_t member;
    SPEC_NUMBERS(X)
#undef X
#define X(name, key, flag, min, max, dflt, unit, help) uint32_t name##_hundredths;
    SPEC_DECIMALS(X)
#undef X
    enum spec_metric metric;
    bool reuse; /* false: every call in a fresh sandbox (not http) */
    enum spec_keep_alive keep_alive;
    struct spec_env *env;
    size_t n_env;
    char *annotations; /* JSON of an object of strings: what others than mayfly want to
                          keep with the version; NULL: none. Nodes are not told. */
    enum spec_placement placement;
    struct constraint *constraints; /* a node must satisfy all of them */
    size_t n_constraints;
    struct spec_layer *layers; /* at /opt, later ones over earlier ones */
    size_t n_layers;
};

void function_spec_init(struct function_spec *s); /* defaults */
void function_spec_free(struct function_spec *s); /* frees members; init'ed again */
int function_spec_copy(struct function_spec *dst, const struct function_spec *src);

/* Adds a variable, or replaces its value. -ENOMEM. */
int function_spec_set_env(struct function_spec *s, const char *name, const char *value);
/* Adds what constraint_parse() reads, once. */
int function_spec_add_constraint(struct function_spec *s, const char *text,
                                 struct error *err);
/* `reserved` and the most there may be, both in instances; 0: none, no limit. */
uint32_t function_spec_reserved_instances(const struct function_spec *s);
uint32_t function_spec_instances_max(const struct function_spec *s);
/* Where idle_ms is given (here, or in JSON without keep_alive) keep_alive becomes fixed:
 * who names a time means it. */
/* One of the tables' numbers, by key or flag name, from a person's text: a plain number
 * in the field's unit, or "128Mi", "30s", "0.5" (of a CPU, a target). -ENOENT: no such
 * number. */
int function_spec_add_layer(struct function_spec *s, const struct spec_layer *layer);
int function_spec_set(struct function_spec *s, const char *name, const char *text,
                      struct error *err);

/* Fills in what json (an object) has; numbers may stand under key or flag name, and be
 * text with a unit ("memory": "128Mi"); keys that are not known are refused by name. On
 * failure *s is untouched and err names key, value, range and what to do. */
int function_spec_from_json(struct function_spec *s, const json_t *json,
                            struct error *err);
json_t *function_spec_to_json(const struct function_spec *s); /* NULL: out of memory */
/* Rules between fields (min_scale within max_scale, what reuse=false excludes) and of
 * env. */
int function_spec_validate(const struct function_spec *s, struct error *err);
/* And rules for what is asked anew: versions that are stored may be older than these. */
int function_spec_check_new(const struct function_spec *s, struct error *err);

int package_ref_from_json(struct package_ref *p, const json_t *json, struct error *err);
json_t *package_ref_to_json(const struct package_ref *p);

bool spec_name_valid(const char *name);
bool access_key_id_valid(const char *id);         /* letters, digits and _ */
bool access_key_secret_valid(const char *secret); /* printable ASCII without blanks */
bool spec_digest_valid(const char *digest);
bool spec_file_name_valid(const char *name); /* plain: no slash, fits package_ref */
const char *spec_runtime_name(enum spec_runtime r); /* "provided", "http", "exec" … */
/* Also the names that Lambda has, with a version which says nothing here: "python3.11",
 * "nodejs20.x", "provided.al2023". -EINVAL: none. */
int spec_runtime_parse(const char *name);
/* Its programs ask for events over the Runtime API. */
bool spec_runtime_takes_events(enum spec_runtime r);
const char *spec_metric_name(enum spec_metric m); /* "concurrency", "rps" */
int spec_metric_parse(const char *name);
const char *spec_placement_name(enum spec_placement p);   /* "binpack" */
int spec_placement_parse(const char *name);               /* or -EINVAL */
const char *spec_keep_alive_name(enum spec_keep_alive k); /* "learned", "fixed" */
int spec_keep_alive_parse(const char *name);              /* or -EINVAL */
const char *spec_format_name(enum spec_format f);         /* "zip", "tar", "file" */
int spec_format_parse(const char *name);

/* spec.c's, in spec_placement.c. */
void spec_constraints_free(struct constraint *constraints, size_t n);
int spec_constraints_copy(struct function_spec *dst, const struct function_spec *src);
int spec_constraints_from_json(struct function_spec *s, const json_t *value,
                               struct error *err);
json_t *spec_constraints_to_json(const struct function_spec *s);
int spec_placement_validate(const struct function_spec *s, struct error *err);

#endif /* COMMON_SPEC_H */
