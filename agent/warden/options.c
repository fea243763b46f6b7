#include "agent/warden/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "agent/warden/warden_proto.h"

static int number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno != 0 || *end != '\0' || end == text || *ret > max ? -EINVAL : 0;
}

static int log_format(const char *name)
{
    return strcmp(name, "json") == 0    ? LOG_FORMAT_JSON
           : strcmp(name, "human") == 0 ? LOG_FORMAT_HUMAN
                                        : LOG_FORMAT_AUTO;
}

static int take(struct warden_options *o, int option, const char *value,
                struct error *err)
{
    unsigned long n;
    int level;

    switch (option) {
    case 'f':
        if (number(value, 1u << 20, &n) < 0) {
            return error_set(err, -EINVAL, "--fd %s: not a descriptor", value);
        }
        o->fd = (int)n;
        return 0;
    case 'u':
        if (number(value, UINT32_MAX, &n) < 0 || n < 1000) {
            return error_set(err, -EINVAL, "--uid-base %s: give 1000 or more", value);
        }
        o->uid_base = (uint32_t)n;
        return 0;
    case 'l':
        level = log_level_parse(value);
        if (level < 0) {
            return error_set(err, -EINVAL, "--log-level %s: not a level", value);
        }
        o->log_level = (enum log_level)level;
        return 0;
    case 'F':
        o->log_format = (enum log_format)log_format(value);
        return 0;
    case 's':
        o->state_dir = value;
        return 0;
    case 'p':
        o->packages = value;
        return 0;
    case 'c':
        o->cgroup = value;
        return 0;
    case 'b':
        o->base = value;
        return 0;
    case 'B':
        if (number(value, WARDEN_BLANKS_MAX, &n) < 0) {
            return error_set(err, -EINVAL, "--blanks %s: at most %d", value,
                             WARDEN_BLANKS_MAX);
        }
        o->blanks = (unsigned)n;
        return 0;
    default:
        return error_set(err, -EINVAL,
                         "unknown option; mayfly-agent starts this program");
    }
}

int warden_options_parse(struct warden_options *o, int argc, char **argv,
                         struct error *err)
{
    static const struct option options[] = {
        {"fd", required_argument, NULL, 'f'},
        {"state-dir", required_argument, NULL, 's'},
        {"packages", required_argument, NULL, 'p'},
        {"cgroup", required_argument, NULL, 'c'},
        {"uid-base", required_argument, NULL, 'u'},
        {"base", required_argument, NULL, 'b'},
        {"blanks", required_argument, NULL, 'B'},
        {"log-level", required_argument, NULL, 'l'},
        {"log-format", required_argument, NULL, 'F'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *o = (struct warden_options){
        .fd = -1,
        .cgroup = "mayfly",
        .uid_base = 2000000000,
        .base = "host",
        .log_level = LOG_LEVEL_INFO,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int rc = take(o, option, optarg, err);

        if (rc < 0) {
            return rc;
        }
    }
    if (o->fd < 0 || o->state_dir == NULL || o->packages == NULL || optind != argc) {
        return error_set(
            err, -EINVAL,
            "--fd, --state-dir and --packages are needed; mayfly-agent starts "
            "this program");
    }
    return 0;
}
