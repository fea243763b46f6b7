/* What may be a name in a spec, and the names of its choices. */
#include <errno.h>
#include <string.h>

#include "common/spec.h"

static const char *const runtime_names[SPEC_RUNTIME_COUNT] = {
    [SPEC_RUNTIME_PROVIDED] = "provided", [SPEC_RUNTIME_HTTP] = "http",
    [SPEC_RUNTIME_EXEC] = "exec",         [SPEC_RUNTIME_PYTHON] = "python",
    [SPEC_RUNTIME_NODE] = "node",
};

/* Other names of a runtime: the prefix, and after it a version of those characters. */
static const struct {
    const char *prefix;
    const char *version;
    enum spec_runtime runtime;
} runtime_aliases[] = {
    {"python", "0123456789.", SPEC_RUNTIME_PYTHON},
    {"nodejs", "0123456789.x", SPEC_RUNTIME_NODE},
    {"node", "0123456789.x", SPEC_RUNTIME_NODE},
    {"provided.al", "0123456789", SPEC_RUNTIME_PROVIDED},
};

static const char *const metric_names[SPEC_METRIC_COUNT] = {
    [SPEC_METRIC_CONCURRENCY] = "concurrency",
    [SPEC_METRIC_RPS] = "rps",
};

static const char *const keep_alive_names[SPEC_KEEP_ALIVE_COUNT] = {
    [SPEC_KEEP_ALIVE_LEARNED] = "learned",
    [SPEC_KEEP_ALIVE_FIXED] = "fixed",
};

static const char *const placement_names[SPEC_PLACEMENT_COUNT] = {
    [SPEC_PLACEMENT_DEFAULT] = "default",
    [SPEC_PLACEMENT_BINPACK] = "binpack",
    [SPEC_PLACEMENT_SPREAD] = "spread",
};

static const char *const format_names[SPEC_FORMAT_COUNT] = {
    [SPEC_FORMAT_ZIP] = "zip",
    [SPEC_FORMAT_TAR] = "tar",
    [SPEC_FORMAT_FILE] = "file",
};

bool access_key_id_valid(const char *id)
{
    size_t len = strlen(id);

    return len >= ACCESS_KEY_ID_MIN && len <= ACCESS_KEY_ID_MAX &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                      "0123456789_") == len;
}

bool access_key_secret_valid(const char *secret)
{
    size_t len = strlen(secret);

    for (size_t i = 0; i < len; i++) {
        if (secret[i] <= ' ' || secret[i] > '~') {
            return false;
        }
    }
    return len >= ACCESS_KEY_SECRET_MIN && len <= ACCESS_KEY_SECRET_MAX;
}

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool spec_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > SPEC_NAME_MAX || name[0] == '-' || name[len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < len; i++) { /* strspn() first makes a table, for each call */
        if (!in_name(name[i])) {
            return false;
        }
    }
    return true;
}

bool spec_digest_valid(const char *digest)
{
    return strlen(digest) == SPEC_DIGEST_LEN &&
           strspn(digest, "0123456789abcdef") == SPEC_DIGEST_LEN;
}

static int name_index(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

const char *spec_runtime_name(enum spec_runtime r)
{
    return runtime_names[r];
}

int spec_runtime_parse(const char *name)
{
    int runtime = name_index(runtime_names, SPEC_RUNTIME_COUNT, name);

    for (size_t i = 0;
         runtime < 0 && i < sizeof(runtime_aliases) / sizeof(*runtime_aliases); i++) {
        size_t n = strlen(runtime_aliases[i].prefix);

        if (strncmp(name, runtime_aliases[i].prefix, n) == 0 &&
            strspn(name + n, runtime_aliases[i].version) == strlen(name + n)) {
            runtime = (int)runtime_aliases[i].runtime;
        }
    }
    return runtime;
}

bool spec_runtime_takes_events(enum spec_runtime r)
{
    return r == SPEC_RUNTIME_PROVIDED || r == SPEC_RUNTIME_PYTHON ||
           r == SPEC_RUNTIME_NODE;
}

const char *spec_metric_name(enum spec_metric m)
{
    return metric_names[m];
}

int spec_metric_parse(const char *name)
{
    return name_index(metric_names, SPEC_METRIC_COUNT, name);
}

const char *spec_keep_alive_name(enum spec_keep_alive k)
{
    return keep_alive_names[k];
}

int spec_keep_alive_parse(const char *name)
{
    return name_index(keep_alive_names, SPEC_KEEP_ALIVE_COUNT, name);
}

const char *spec_placement_name(enum spec_placement p)
{
    return placement_names[p];
}

int spec_placement_parse(const char *name)
{
    return name_index(placement_names, SPEC_PLACEMENT_COUNT, name);
}

const char *spec_format_name(enum spec_format f)
{
    return format_names[f];
}

int spec_format_parse(const char *name)
{
    return name_index(format_names, SPEC_FORMAT_COUNT, name);
}

bool spec_file_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < sizeof(((struct package_ref *)NULL)->file_name) &&
           strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
