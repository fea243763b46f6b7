/* YAML configuration into a struct, by a table.
 *
 *     static const struct config_key keys[] = {
 *         {"gateway.port", CONFIG_U16, offsetof(struct agent_config, gateway_port)},
 *         ...
 *     };
 *     rc = config_load(path, keys, n, &cfg, &err);
 *     // err: "/etc/mayfly/agent.yaml:12: gateway.prot: no such key; did you mean
 * gateway.port?"
 *
 * Keys that are not known, given twice, or of the wrong type or range are refused with
 * file, line and key, and a file that is refused changes nothing. Values keep what they
 * were when a key is absent. A section may be nested or dotted ("gateway.port: 1").
 * Limits: 1 MiB, depth 16, 10000 values; anchors and aliases, tags and several documents
 * are refused. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum config_type {
    CONFIG_STR,      /* char *, malloc'ed; the old value is freed */
    CONFIG_BOOL,     /* bool */
    CONFIG_U16,      /* uint16_t */
    CONFIG_U32,      /* uint32_t */
    CONFIG_U64,      /* uint64_t */
    CONFIG_MS,       /* uint32_t; "500ms", "30s", "5m", "1h" */
    CONFIG_DECIMAL,  /* double; a whole number, or with two decimals at most */
    CONFIG_BYTES,    /* uint64_t; "64Ki", "128Mi", "2Gi", or a plain number */
    CONFIG_STR_LIST, /* char **, NULL-terminated, malloc'ed */
    CONFIG_STR_MAP,  /* char **, NULL-terminated "key=value" strings */
};

struct config_key {
    const char *name; /* dotted path */
    enum config_type type;
    size_t offset;
    uint64_t min, max; /* for numbers; both 0: the type's range */
    const char *help;  /* one line, for docs */
};

int config_load(const char *path, const struct config_key *keys, size_t n_keys,
                void *target, struct error *err);
int config_parse(const char *name, const char *text, size_t len,
                 const struct config_key *keys, size_t n_keys, void *target,
                 struct error *err);
/* One key from a command line's `--set key=value`: the value is taken as it stands; lists
 * and maps are written "a,b" and "x=1,y=2". name is what errors begin with ("--set"). */
int config_set(const char *name, const char *assignment, const struct config_key *keys,
               size_t n_keys, void *target, struct error *err);
void config_free_strings(const struct config_key *keys, size_t n_keys, void *target);

/* YAML document (one mapping) as JSON with the same limits and refusals: for
 * function.yaml. Scalars are typed by the YAML 1.2 core schema. Errors name name:line. */
int config_yaml_to_json(const char *name, const char *text, size_t len, json_t **ret,
                        struct error *err);

/* "128Mi" (or 128MiB, 128M, 128MB, 128m) -> 134217728; "30s" -> 30000. -EINVAL or
 * -ERANGE.
 */
int config_parse_bytes(const char *text, uint64_t *ret_bytes);
int config_parse_ms(const char *text, uint64_t *ret_ms);
/* "12"; "12", "0.5" or "1.25", in hundredths. Likewise. */
int config_parse_u64(const char *text, uint64_t *ret);
int config_parse_hundredths(const char *text, uint64_t *ret);

#endif /* COMMON_CONFIG_H */
