#include "common/lambda_path.h"

#include <errno.h>
#include <string.h>

#include "common/hex.h"

static const struct operation {
    const char *name, *method, *pattern;
    int status;
} operations[LAMBDA_OP_COUNT] = {[LAMBDA_OP_NONE] = {"", "", "", 404},
#define X(op, method, pattern, status) [LAMBDA_##op] = {#op, method, pattern, status},
                                 LAMBDA_OPS(X)
#undef X
};

const char *lambda_op_name(enum lambda_op op)
{
    return operations[op].name;
}

int lambda_op_status(enum lambda_op op)
{
    return operations[op].status;
}

bool lambda_path_is(const char *path, size_t len)
{
    static const char form[] = "/dddd-dd-dd/";

    for (size_t i = 0; form[i] != '\0'; i++) {
        if (i == len ||
            (form[i] == 'd' ? path[i] < '0' || path[i] > '9' : path[i] != form[i])) {
            return false;
        }
    }
    return true;
}

struct slice {
    const char *at;
    size_t len;
};

static bool matches(const char *pattern, const char *path, size_t len,
                    struct slice params[LAMBDA_PARAMS_MAX])
{
    size_t n = 0, i = 0;

    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '{') {
            struct slice s = {path + i, 0};

            while (i < len && path[i] != '/') {
                i++;
            }
            s.len = (size_t)(path + i - s.at);
            if (s.len == 0) {
                return false;
            }
            params[n++] = s;
            pattern++; /* the '}' */
        } else if (i == len || path[i++] != *pattern) {
            return false;
        }
    }
    return i == len;
}

static int decode(char ret[LAMBDA_PARAM_SIZE], struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++, n++) {
        char c = s.at[i];

        if (n == LAMBDA_PARAM_SIZE - 1) {
            return -EINVAL;
        }
        if (c == '%') {
            int high = i + 2 < s.len ? hex_digit(s.at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;

            if (low < 0) {
                return -EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return -EINVAL;
        }
        ret[n] = c;
    }
    ret[n] = '\0';
    return 0;
}

int lambda_path_parse(struct lambda_path *ret, const char *method, size_t method_len,
                      const char *path, size_t len)
{
    struct slice params[LAMBDA_PARAMS_MAX] = {{NULL, 0}};
    int rc = 0;

    *ret = (struct lambda_path){.op = LAMBDA_OP_NONE};
    if (len > 0 && path[len - 1] == '/') {
        len--;
    }
    for (int op = 1; op < LAMBDA_OP_COUNT; op++) {
        struct slice found[LAMBDA_PARAMS_MAX] = {{NULL, 0}};

        if (!matches(operations[op].pattern, path, len, found)) {
            continue;
        }
        ret->known = true;
        if (strlen(operations[op].method) == method_len &&
            memcmp(operations[op].method, method, method_len) == 0) {
            ret->op = (enum lambda_op)op;
            memcpy(params, found, sizeof(params));
        }
    }
    for (int i = 0; rc == 0 && i < LAMBDA_PARAMS_MAX && params[i].at != NULL; i++) {
        rc = decode(ret->params[i], params[i]);
    }
    return rc;
}
