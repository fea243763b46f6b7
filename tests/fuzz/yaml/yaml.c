/* Fuzz target: any bytes as a daemon's config and as a function.yaml. What is refused
 * must say so in one line; what is accepted as JSON must survive being written and read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/config.h"

struct sample {
    char *str;
    bool truth;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    uint32_t ms;
    uint64_t bytes;
    char **list;
    char **map;
};

static const struct config_key keys[] = {
    {"str", CONFIG_STR, offsetof(struct sample, str), 0, 0, ""},
    {"bool", CONFIG_BOOL, offsetof(struct sample, truth), 0, 0, ""},
    {"n.u16", CONFIG_U16, offsetof(struct sample, u16), 1, 1000, ""},
    {"n.u32", CONFIG_U32, offsetof(struct sample, u32), 0, 0, ""},
    {"n.u64", CONFIG_U64, offsetof(struct sample, u64), 0, 0, ""},
    {"n.m.ms", CONFIG_MS, offsetof(struct sample, ms), 0, 0, ""},
    {"bytes", CONFIG_BYTES, offsetof(struct sample, bytes), 0, 0, ""},
    {"list", CONFIG_STR_LIST, offsetof(struct sample, list), 0, 0, ""},
    {"map", CONFIG_STR_MAP, offsetof(struct sample, map), 0, 0, ""},
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(int rc, const struct error *err)
{
    CHECK(rc < 0 && err->code == rc);
    CHECK(strncmp(err->text, "f.yaml:", 7) == 0);
    CHECK(strpbrk(err->text, "\n\r\033") == NULL);
}

static void as_config(const char *text, size_t size)
{
    struct sample s = {0};
    struct error err = {0};
    int rc = config_parse("f.yaml", text, size, keys, N_KEYS, &s, &err);

    if (rc < 0) {
        check_error(rc, &err);
        CHECK(s.str == NULL && s.list == NULL && s.map == NULL && s.u64 == 0);
    } else {
        CHECK(s.u16 <= 1000);
    }
    config_free_strings(keys, N_KEYS, &s);
}

static void as_json(const char *text, size_t size)
{
    struct error err = {0};
    json_t *json = NULL;
    json_t *again;
    char *dump;
    int rc = config_yaml_to_json("f.yaml", text, size, &json, &err);

    if (rc < 0) {
        check_error(rc, &err);
        CHECK(json == NULL);
        return;
    }
    CHECK(json_is_object(json));
    dump = json_dumps(json, JSON_REAL_PRECISION(17));
    CHECK(dump != NULL);
    again = json_loads(dump, 0, NULL);
    CHECK(again != NULL && json_equal(json, again));
    json_decref(again);
    free(dump);
    json_decref(json);
}

static void as_assignment(const char *text, size_t size)
{
    struct sample s = {0};
    struct error err = {0};
    char *assignment = strndup(text, size);
    uint64_t v;

    CHECK(assignment != NULL);
    (void)config_set("--set", assignment, keys, N_KEYS, &s, &err);
    (void)config_parse_bytes(assignment, &v);
    (void)config_parse_ms(assignment, &v);
    config_free_strings(keys, N_KEYS, &s);
    free(assignment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_config((const char *)data, size);
    as_json((const char *)data, size);
    as_assignment((const char *)data, size);
    return 0;
}
